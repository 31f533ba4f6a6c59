"""``aiida-siox predict``: a property from a spectrum in a file."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import click

from aiida_siox.cli.common import NEW_FILE, json_option, load_node, say, user_errors, with_profile
from aiida_siox.cli.output.files import columns_text, write_columns
from aiida_siox.cli.output.tables import emit_json
from aiida_siox.data.model import ModelData
from aiida_siox.learning.data.spectrum import Normalisation, SpectrumKind
from aiida_siox.science.readers import read_spectrum_file

#: Units in names of columns.
ASCII = {"Å": "angstrom", "°": "degree"}


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@click.option(
    "--output",
    type=NEW_FILE,
    help="Write the result there, with commas between the columns if the name ends in .csv.",
)
@click.option(
    "--site", is_flag=True, help="FILE is of a single absorber, not an average over many as a measured spectrum is."
)
@click.option(
    "--normalisation",
    type=click.Choice(["none", "post_edge"]),
    help="What FILE is: none for a cross-section per absorber, post_edge for an edge step of one, which a model of "
    "cross-sections refuses.",
)
@json_option
@with_profile
def predict(
    model: str,
    file: pathlib.Path,
    output: pathlib.Path | None,
    site: bool,
    normalisation: str | None,
    as_json: bool,
) -> None:
    """Predict from the spectrum in FILE with MODEL, given by PK or UUID.

    FILE has two columns: energy in eV (measured axis) and absorption.
    """
    node = load_node(model, ModelData)
    with user_errors():
        spectrum = read_spectrum_file(file)
    with user_errors(str(file)):
        prediction: Any = node.predict(
            spectrum,
            None if normalisation is None else Normalisation(normalisation),
            SpectrumKind.SITE if site else SpectrumKind.AVERAGE,
        )
    if output is not None:
        write_columns(output, columns(prediction))
    if as_json:
        scores = {"rmse_by_split": rmse_by_split(node)}
        emit_json({"model": node.pk, "model_uuid": node.uuid, "file": str(file), **prediction.to_dict(), **scores})
        return
    quantity = prediction.quantity
    unit = "" if quantity.unit == "1" else f" {quantity.unit}"
    error = f"± {prediction.rmse:.3f}{unit} (RMSE {where(node, prediction)})"
    protocol = node.base.attributes.get("protocol", None)
    what = f"{quantity.title} of this site" if site else f"{quantity.title}, mean over sites"
    if quantity.is_scalar:
        click.echo(f"{what}: {signed(prediction.value, quantity)}{unit} {error}, protocol {protocol}")
        if math.isfinite(prediction.high - prediction.low):
            low, high = (signed(end, quantity) for end in (prediction.low, prediction.high))
            click.echo(f"{prediction.coverage:.0%} interval: {low} to {high}{unit}")
    else:
        click.echo(", ".join(["# " + what, *([quantity.note] if quantity.note else []), error, f"protocol {protocol}"]))
        if output is None:
            click.echo(columns_text(columns(prediction)))
    if output is not None:
        click.echo(f"Written: {output}")
    for note in prediction.notes:
        say(note)


def where(node: Any, prediction: Any) -> str:
    """Return which spectra an RMSE is of, with that of the other splits."""
    if prediction.split == "averages":
        return "of averaged spectra of left-out configurations"
    if prediction.split == "out_of_fold":
        return "on sites of left-out folds"
    # both splits, always: the grouped one says what to expect of a configuration the model never saw
    others = [f"; {split} split {rmse:.3f}" for split, rmse in rmse_by_split(node).items() if split != prediction.split]
    return f"on test sites, {prediction.split} split{''.join(others)}"


def rmse_by_split(node: Any) -> dict[str, float]:
    """Return the RMSE of a model by split, whether its scores hold one number or the mean over seeds."""
    errors = {split: scores.get("rmse") for split, scores in node.scores.items()}
    numbers = {split: error.get("mean") if isinstance(error, dict) else error for split, error in errors.items()}
    return {split: float(number) for split, number in numbers.items() if number is not None}


def signed(value: float, quantity: Any) -> str:
    """Return a number as text, with its sign where the property can be negative."""
    return f"{value:+.3f}" if quantity.limits[0] < 0 else f"{value:.3f}"


def columns(prediction: Any) -> dict[str, Any]:
    """Return a scalar with its error, or the axis and the values, by names with units where there are any."""
    quantity = prediction.quantity

    def named(name: str, unit: str) -> str:
        return name if unit in ("", "1") else f"{name}_{ASCII.get(unit, unit)}"

    if quantity.is_scalar:
        values = {quantity.name: [prediction.value], "rmse": [prediction.rmse]}
        return {named(name, quantity.unit): value for name, value in values.items()}
    axis = quantity.axis
    return {named(axis.name, axis.unit): list(axis.values), named(quantity.name, quantity.unit): prediction.value}

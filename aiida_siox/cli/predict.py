"""``aiida-siox predict``: valence or RDF from a spectrum in a file."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import click

from aiida_siox.cli.common import json_option, load_node, say, user_errors, with_profile
from aiida_siox.cli.output.tables import emit_json


@click.command()
@click.argument("model")
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    help="Write the result there, with commas between the columns if the name ends in .csv.",
)
@click.option(
    "--site", is_flag=True, help="FILE is of a single Si atom, not an average over many as a measured spectrum is."
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
    from aiida_siox.data.model import ModelData
    from aiida_siox.learning.parameters import Normalisation, SpectrumKind
    from aiida_siox.science.readers import read_spectrum_file

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
        write_columns(output, prediction)
    if as_json:
        scores = {"rmse_by_split": rmse_by_split(node)}
        emit_json({"model": node.pk, "model_uuid": node.uuid, "file": str(file), **prediction.to_dict(), **scores})
        return
    error = f"± {prediction.rmse:.3f} {prediction.unit} (RMSE {where(node, prediction)})"
    protocol = node.base.attributes.get("protocol", None)
    if prediction.target == "valence":
        what = "Valence of this Si" if site else "Mean valence of Si"
        click.echo(f"{what}: {prediction.value:+.3f} {prediction.unit} {error}, protocol {protocol}")
        if math.isfinite(prediction.high - prediction.low):
            click.echo(f"{prediction.coverage:.0%} interval: {prediction.low:+.3f} to {prediction.high:+.3f} e")
    elif prediction.target == "oxidation":
        click.echo(f"# fractions of the oxidation states of Si {error}, protocol {protocol}")
        if output is None:
            click.echo(columns(prediction, " "))
    else:
        sigma = prediction.sigma_angstrom
        click.echo(f"# g(R) of Si, σ {sigma} Å, {error}, protocol {protocol}")
        if output is None:
            click.echo(columns(prediction, " "))
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


def columns(prediction: Any, separator: str) -> str:
    """Return the result as text: g(R) as two columns, the valence with its error as one line."""
    if prediction.target == "valence":
        return f"{prediction.value:.5f}{separator}{prediction.rmse:.5f}"
    if prediction.target == "oxidation":
        return "\n".join(f"{state}{separator}{part:.5f}" for state, part in enumerate(prediction.value))
    pairs = zip(prediction.r_angstrom, prediction.value, strict=True)
    return "\n".join(f"{r:.5f}{separator}{g:.5f}" for r, g in pairs)


def write_columns(path: pathlib.Path, prediction: Any) -> None:
    """Write the result into a text file with one line of titles.

    :raises click.ClickException: if the file cannot be written.
    """
    separator = "," if path.suffix.lower() == ".csv" else " "
    titles = {"valence": ("valence_e", "rmse_e"), "oxidation": ("n_oxygen", "fraction")}.get(
        prediction.target, ("r_angstrom", "g")
    )
    mark = "" if separator == "," else "# "
    try:
        path.write_text(f"{mark}{separator.join(titles)}\n{columns(prediction, separator)}\n")
    except OSError as exception:
        raise click.ClickException(f"{path} cannot be written: {exception.strerror}.")

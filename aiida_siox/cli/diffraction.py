"""``aiida-siox diffraction``: structure factors of cells, and how far they are from a measured one."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from typing import Any

import click
import numpy as np
from aiida import orm
from ase.formula import Formula

from aiida_siox.cli.common import emit_json, json_option, number, say, user_errors, with_profile
from aiida_siox.cli.structure_files import chosen_structures, formula_of
from aiida_siox.science import diffraction as sq

FIGURES = (".png", ".svg", ".pdf")
TABLES = (".csv", ".txt", ".dat")


@click.command()
@click.argument("identifiers", metavar="PK...", nargs=-1, required=True)
@click.option("--formula", metavar="FORMULA", help="The cells of a structure set or study that count.")
@click.option(
    "--measured",
    type=click.Path(path_type=pathlib.Path),
    help="File to compare with: q in Å⁻¹, what --form says and, if you have it, its standard uncertainty.",
)
@click.option(
    "--form",
    type=click.Choice(list(sq.KINDS)),
    default="S",
    show_default=True,
    help="What the second column is: " + "; ".join(f"{key}: {words}" for key, words in sq.KINDS.items()) + ".",
)
@click.option(
    "--probe", type=click.Choice(["neutron", "xray"]), default="neutron", show_default=True, help="What was scattered."
)
@click.option("--window", nargs=2, type=float, metavar="LOW HIGH", help="q in Å⁻¹ that count, and are drawn.")
@click.option(
    "--overrides",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="yaml file with other q_max, q_step, q_width or first_peak; unknown keys are refused.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    help="Draw it (.png, .svg, .pdf), or write columns, with commas if the name ends in .csv.",
)
@click.option("--store", is_flag=True, help="Store the structure factors as nodes, with their provenance.")
@json_option
@with_profile
def diffraction(
    identifiers: tuple[str, ...],
    formula: str | None,
    measured: pathlib.Path | None,
    form: str,
    probe: str,
    window: tuple[float, float] | None,
    overrides: pathlib.Path | None,
    output: pathlib.Path | None,
    store: bool,
    as_json: bool,
) -> None:
    """Print the first peak of S(q) of structures, averaged over them, and the misfit to a measured S(q).

    PK is a structure, or a melt-quench, structure set or study that made some; give several of one composition.
    """
    from aiida_siox.calculations.diffraction import structure_factors_of
    from aiida_siox.science.readers import read_curve
    from aiida_siox.workflows.diffraction import DiffractionProtocol

    found = chosen_structures(identifiers, (formula,) if formula else ())
    structures = list(found.values())
    refuse_mixtures(structures)
    if window is not None and not 0 <= window[0] < window[1]:
        raise click.ClickException(f"`--window` {window[0]:g} {window[1]:g} is empty: give the lower q first, in Å⁻¹.")
    if output is not None and output.suffix.lower() not in (*FIGURES, *TABLES):
        raise click.ClickException(
            f"`--output` {output}: the ending must be one of {', '.join((*FIGURES, *TABLES))} (a figure, or columns)."
        )
    with user_errors():
        parameters = DiffractionProtocol.get_parameters(overrides)
    if window is not None and window[0] >= parameters["q_max"]:
        raise click.ClickException(
            f"`--window` {window[0]:g} {window[1]:g} begins above q_max {parameters['q_max']:g} Å⁻¹ of the computed "
            "S(q): take a lower one, or a higher q_max in --overrides."
        )
    points, uncertainty = None, None
    if measured is not None:
        with user_errors():
            table = read_curve(measured, f"q in Å⁻¹, {sq.KINDS[form]} and its uncertainty if known", (2, 3))
        with user_errors(str(measured)):
            points = table[:, 0], sq.as_structure_factor(table[:, 0], table[:, 1], form)
        if table.shape[1] == 3:
            uncertainty = table[:, 2] / (table[:, 0] if form == "F" else 1)
    with user_errors():
        cells = {label: structure_factors_of(node, parameters) for label, node in found.items()}
        mean = sq.mean_structure_factors(list(cells.values()))
    single = {
        kind: [sq.first_sharp_peak(each.q, getattr(each, kind), parameters["first_peak"]) for each in cells.values()]
        for kind in PROBES
    }
    peaks = {kind: sq.first_sharp_peak(mean.q, getattr(mean, kind), parameters["first_peak"]) for kind in PROBES}
    fit = None
    if points is not None:
        with user_errors(str(measured)):
            fit = sq.misfit(*points, mean.q, getattr(mean, probe), window, uncertainty)
    if fit is not None and points is not None:
        for warning in sq.doubts(*points, (float(mean.q[0]), float(mean.q[-1]))):
            say(f"Careful: {measured}: {warning}")
    stored = [store_factors(node, parameters) for node in structures] if store else []
    if output is not None:
        write(output, mean, cells, probe, peaks[probe], fit, window)
    if as_json:
        result: dict[str, Any] = {"structures": [node.pk for node in structures], "first_peak_per_angstrom": peaks}
        result["single_first_peaks_per_angstrom"] = single
        if fit is not None:
            result |= {"probe": probe, "n_points": len(fit.q), "rms": fit.rms, "misfit": fit.relative}
            result |= {} if fit.chi_squared is None else {"chi_squared": fit.chi_squared}
        emit_json({**result, "stored": [node.pk for node in stored]})
        return
    for kind, words in PROBES.items():
        text = "none between {:g} and {:g}".format(*parameters["first_peak"])
        peak = peaks[kind]
        of = f", mean of {len(cells)} cells; each alone: {', '.join(number(value, 2) for value in single[kind])}"
        click.echo(
            f"{words} S(q): first peak {text if peak is None else number(peak, 2)} Å⁻¹{of if len(cells) > 1 else ''}"
        )
        known = [value for value in single[kind] if value is not None]
        if len(known) > 1 and max(known) - min(known) > parameters["q_width"]:
            say(
                f"Careful: the first {words} peak of single cells differs by {max(known) - min(known):.2f} Å⁻¹: cells "
                "of this size have too few reciprocal vectors there. Give more or larger cells."
            )
    if fit is not None and points is not None:
        chi_squared = "" if fit.chi_squared is None else f"mean χ² of a point {fit.chi_squared:.3g}, "
        click.echo(
            f"{measured}: misfit {fit.relative:.3f} (0: agreement, 1: as good as S = 1), rms {fit.rms:.3f}, "
            f"{chi_squared}{len(fit.q)} of {len(points[0])} points, from {fit.q[0]:.2f} to {fit.q[-1]:.2f} Å⁻¹, "
            f"{PROBES[probe]}"
        )
    if output is not None:
        click.echo(f"Written: {output}")
    if stored:
        click.echo(f"Stored: {', '.join(str(node.pk) for node in stored)}")


PROBES = {"neutron": "neutron", "xray": "X-ray"}


def refuse_mixtures(structures: list[orm.StructureData]) -> None:
    """Refuse structures of several compositions: their mean is that of no material.

    :raises click.ClickException: naming the compositions.
    """
    found = {name: str(Formula(name).reduce()[0]) for name in map(formula_of, structures)}
    if len(set(found.values())) > 1:
        raise click.ClickException(
            f"the structures are of several compositions ({', '.join(found)}): give those of one, or its --formula."
        )


def store_factors(structure: orm.StructureData, parameters: dict[str, Any]) -> orm.ArrayData:
    """Store the structure factors through their calcfunction."""
    from aiida_siox.calculations.diffraction import diffract
    from aiida_siox.science import SCIENCE_VERSION

    with contextlib.redirect_stdout(sys.stderr), user_errors():
        node: orm.ArrayData = diffract(structure, orm.Dict(parameters), orm.Int(SCIENCE_VERSION))
    return node


def write(
    path: pathlib.Path,
    mean: sq.StructureFactors,
    cells: dict[str, sq.StructureFactors],
    probe: str,
    peak: float | None,
    fit: sq.Misfit | None,
    window: tuple[float, float] | None,
) -> None:
    """Draw the structure factors, or write them as columns.

    :raises click.ClickException: if the file cannot be written.
    """
    try:
        if path.suffix.lower() in FIGURES:
            from aiida_siox.report.figures import style
            from aiida_siox.report.figures.diffraction import diffraction_figure

            with style.style():
                diffraction_figure(mean, cells, probe, peak, fit, window).savefig(path, dpi=190)
            return
        separator = "," if path.suffix.lower() == ".csv" else " "
        columns = {"q_per_angstrom": mean.q, "neutron": mean.neutron, "xray": mean.xray, **mean.partial}
        if fit is not None:
            columns["measured"] = np.interp(mean.q, fit.q, fit.measured, left=np.nan, right=np.nan)
        lines = [("" if separator == "," else "# ") + separator.join(columns)]
        lines += [separator.join(f"{value:.6g}" for value in row) for row in zip(*columns.values(), strict=True)]
        path.write_text("\n".join(lines) + "\n")
    except OSError as exception:
        raise click.ClickException(f"{path} cannot be written: {exception.strerror}.")

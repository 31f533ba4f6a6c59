"""``aiida-siox diffraction``: structure factors of cells, and how far they are from a measured one."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
from typing import Any

import click
import numpy as np
from aiida import orm
from ase.formula import Formula

from aiida_siox.calculations.diffraction import diffract, structure_factors_of
from aiida_siox.cli.common import FILE, NEW_FILE, json_option, say, user_errors, with_profile
from aiida_siox.cli.export_structures import chosen_structures, formula_of
from aiida_siox.cli.output.files import FIGURES, is_figure, write_columns, write_figure
from aiida_siox.cli.output.numbers import number
from aiida_siox.cli.output.tables import emit_json
from aiida_siox.report.figures.diffraction import diffraction_figure
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science import diffraction as sq
from aiida_siox.science.readers import read_curve
from aiida_siox.workflows.diffraction import DiffractionProtocol

TABLES = (".csv", ".txt", ".dat")
PROBES = {"neutron": "neutron", "xray": "X-ray"}

#: q in Å⁻¹, measured S(q) and its uncertainty, None where it is unknown; shape (n,) each.
Points = tuple[np.ndarray, np.ndarray, np.ndarray | None]


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
    "--probe", type=click.Choice(list(PROBES)), default="neutron", show_default=True, help="What was scattered."
)
@click.option("--window", nargs=2, type=float, metavar="LOW HIGH", help="q in Å⁻¹ that count, and are drawn.")
@click.option(
    "--overrides",
    type=FILE,
    help="yaml file with other q_max, q_step, q_width or first_peak; unknown keys are refused.",
)
@click.option(
    "--output",
    type=NEW_FILE,
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
    found = chosen_structures(identifiers, (formula,) if formula else ())
    structures = list(found.values())
    refuse_mixtures(structures)
    if output is not None and not is_figure(output) and output.suffix.lower() not in TABLES:
        raise click.ClickException(
            f"`--output` {output}: the ending must be one of {', '.join((*FIGURES, *TABLES))} (a figure, or columns)."
        )
    with user_errors():
        parameters = DiffractionProtocol.get_parameters(overrides)
    check_window(window, parameters["q_max"])
    points = None if measured is None else read_points(measured, form)
    with user_errors():
        cells = {label: structure_factors_of(node, parameters) for label, node in found.items()}
        factors = Factors(cells, sq.mean_structure_factors(list(cells.values())), parameters)
    comparison = None
    if points is not None and measured is not None:
        comparison = Comparison.of(measured, points, factors.mean, probe, window)
    stored = [store_factors(node, parameters) for node in structures] if store else []
    if output is not None:
        write(output, factors, probe, comparison, window)
    if as_json:
        result = {"structures": [node.pk for node in structures], **factors.as_dict()}
        result |= {} if comparison is None else comparison.as_dict()
        emit_json({**result, "stored": [node.pk for node in stored]})
        return
    factors.print_peaks()
    if comparison is not None:
        click.echo(comparison.text)
    if output is not None:
        click.echo(f"Written: {output}")
    if stored:
        click.echo(f"Stored: {', '.join(str(node.pk) for node in stored)}")


def check_window(window: tuple[float, float] | None, q_max: float) -> None:
    """Refuse a window in which nothing is computed.

    :raises click.ClickException: naming the window.
    """
    if window is not None and not 0 <= window[0] < window[1]:
        raise click.ClickException(f"`--window` {window[0]:g} {window[1]:g} is empty: give the lower q first, in Å⁻¹.")
    if window is not None and window[0] >= q_max:
        raise click.ClickException(
            f"`--window` {window[0]:g} {window[1]:g} begins above q_max {q_max:g} Å⁻¹ of the computed "
            "S(q): take a lower one, or a higher q_max in --overrides."
        )


def read_points(path: pathlib.Path, form: str) -> Points:
    """Return q in Å⁻¹, the measured S(q), and its uncertainty if the file has one.

    :raises click.ClickException: if the file cannot be read so.
    """
    with user_errors():
        table = read_curve(path, f"q in Å⁻¹, {sq.KINDS[form]} and its uncertainty if known", (2, 3))
    q = table[:, 0]
    with user_errors(str(path)):
        measured = sq.as_structure_factor(q, table[:, 1], form)
    return q, measured, table[:, 2] / (q if form == "F" else 1) if table.shape[1] == 3 else None


@dataclasses.dataclass(frozen=True)
class Factors:
    """Structure factors of cells of one composition.

    :param cells: by label.
    :param mean: over the cells.
    :param parameters: with which they were computed.
    """

    cells: dict[str, sq.StructureFactors]
    mean: sq.StructureFactors
    parameters: dict[str, Any]

    def peak(self, each: sq.StructureFactors, kind: str) -> float | None:
        """Return the position of the first peak in Å⁻¹."""
        return sq.first_sharp_peak(each.q, getattr(each, kind), self.parameters["first_peak"])

    def as_dict(self) -> dict[str, Any]:
        """Return the first peaks in Å⁻¹."""
        return {
            "first_peak_per_angstrom": {kind: self.peak(self.mean, kind) for kind in PROBES},
            "single_first_peaks_per_angstrom": {
                kind: [self.peak(each, kind) for each in self.cells.values()] for kind in PROBES
            },
        }

    def print_peaks(self) -> None:
        """Print the first peaks, and say where those of single cells differ."""
        for kind, words in PROBES.items():
            single = [self.peak(each, kind) for each in self.cells.values()]
            peak = self.peak(self.mean, kind)
            text = "none between {:g} and {:g}".format(*self.parameters["first_peak"])
            text = f"{words} S(q): first peak {text if peak is None else number(peak, 2)} Å⁻¹"
            if len(single) > 1:
                each = ", ".join(number(value, 2) for value in single)
                text += f", mean of {len(single)} cells; each alone: {each}"
            click.echo(text)
            known = [value for value in single if value is not None]
            if len(known) > 1 and max(known) - min(known) > self.parameters["q_width"]:
                say(
                    f"Careful: the first {words} peak of single cells differs by {max(known) - min(known):.2f} Å⁻¹: "
                    "cells of this size have too few reciprocal vectors there. Give more or larger cells."
                )


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The misfit to measured points.

    :param path: of the file.
    :param probe: what was scattered.
    :param n_points: in the file.
    :param fit: over those that count.
    """

    path: pathlib.Path
    probe: str
    n_points: int
    fit: sq.Misfit

    @classmethod
    def of(
        cls,
        path: pathlib.Path,
        points: Points,
        mean: sq.StructureFactors,
        probe: str,
        window: tuple[float, float] | None,
    ) -> Comparison:
        """Compare, and say what is doubtful about the points.

        :raises click.ClickException: if no point counts.
        """
        q, measured, uncertainty = points
        with user_errors(str(path)):
            fit = sq.misfit(q, measured, mean.q, getattr(mean, probe), window, uncertainty)
        for warning in sq.doubts(q, measured, (float(mean.q[0]), float(mean.q[-1]))):
            say(f"Careful: {path}: {warning}")
        return cls(path, probe, len(q), fit)

    def as_dict(self) -> dict[str, Any]:
        """Return the misfit as plain values."""
        fit = self.fit
        result = {"probe": self.probe, "n_points": len(fit.q), "rms": fit.rms, "misfit": fit.relative}
        return result if fit.chi_squared is None else {**result, "chi_squared": fit.chi_squared}

    @property
    def text(self) -> str:
        """The misfit in one line."""
        fit = self.fit
        chi_squared = "" if fit.chi_squared is None else f"mean χ² of a point {fit.chi_squared:.3g}, "
        return (
            f"{self.path}: misfit {fit.relative:.3f} (0: agreement, 1: as good as S = 1), rms {fit.rms:.3f}, "
            f"{chi_squared}{len(fit.q)} of {self.n_points} points, from {fit.q[0]:.2f} to {fit.q[-1]:.2f} Å⁻¹, "
            f"{PROBES[self.probe]}"
        )


def refuse_mixtures(structures: list[orm.StructureData]) -> None:
    """Refuse structures of several compositions: their mean is that of no material.

    :raises click.ClickException: naming the compositions.
    """
    found = {name: str(Formula(name).reduce()[0]) for name in map(formula_of, structures)}
    if len(set(found.values())) > 1:
        raise click.ClickException(
            f"the structures are of several compositions ({', '.join(sorted(found))}): give those of one, or its "
            "--formula."
        )


def store_factors(structure: orm.StructureData, parameters: dict[str, Any]) -> orm.ArrayData:
    """Store the structure factors through their calcfunction."""
    with contextlib.redirect_stdout(sys.stderr), user_errors():
        node: orm.ArrayData = diffract(structure, orm.Dict(parameters), orm.Int(SCIENCE_VERSION))
    return node


def write(
    path: pathlib.Path,
    factors: Factors,
    probe: str,
    comparison: Comparison | None,
    window: tuple[float, float] | None,
) -> None:
    """Draw the structure factors, or write them as columns.

    :raises click.ClickException: if the file cannot be written.
    """
    mean, fit = factors.mean, None if comparison is None else comparison.fit
    if is_figure(path):
        peak = factors.peak(mean, probe)
        write_figure(path, lambda: diffraction_figure(mean, factors.cells, probe, peak, fit, window))
        return
    columns = {"q_per_angstrom": mean.q, "neutron": mean.neutron, "xray": mean.xray, **mean.partial}
    if fit is not None:
        columns["measured"] = np.interp(mean.q, fit.q, fit.measured, left=np.nan, right=np.nan)
    write_columns(path, columns)

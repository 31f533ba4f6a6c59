"""``aiida-siox spectrum``: spectra with another broadening or range, from the stored Lanczos coefficients."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
from typing import Any

import click
import numpy as np
from aiida import orm

from aiida_siox.calculations.broadening import broaden, broaden_table, energy_grid
from aiida_siox.cli.common import FILE, NEW_FILE, describe, json_option, load_node, say, user_errors, with_profile
from aiida_siox.cli.output.files import columns_text, is_figure, write_columns, write_figure
from aiida_siox.cli.output.tables import emit_json
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.site import SiteData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.report.figures.broadening import broadened_figure
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science import spectra as sp
from aiida_siox.workflows.broadening import BroadeningProtocol
from aiida_siox.workflows.protocol import read_overrides


@dataclasses.dataclass
class Columns:
    """What is printed, written or drawn.

    :param calibration_eV: what was added to the total energies, eV; None without a calibration.
    :param energy: eV on that axis, shape (n,).
    :param curves: cross-sections by name, shape (n,) each.
    :param average: mean over all silicon sites of the configuration, None below 95 % of them.
    :param broadening: the model with every number.
    :param half_width: of the first spectrum, eV, shape (n,).
    """

    calibration_eV: float | None
    energy: np.ndarray
    curves: dict[str, np.ndarray]
    average: np.ndarray | None
    broadening: dict[str, Any]
    half_width: np.ndarray

    @property
    def shift(self) -> float:
        """What was added to the total energies, eV."""
        return self.calibration_eV or 0.0

    @property
    def axis(self) -> str:
        """What the energies are."""
        return "total energy" if self.calibration_eV is None else f"calibrated, shift {self.shift:+.3f} eV"

    @property
    def all(self) -> dict[str, np.ndarray]:
        """Every column."""
        average = {} if self.average is None else {"average": self.average}
        return {"energy_eV": self.energy, **average, **self.curves}


@click.command()
@click.argument("identifier", metavar="PK")
@click.option("--site", type=click.IntRange(min=0), help="Of a site table: this site only.")
@click.option("--broadening", "model", help="constant, arctan or seah-dench [default: constant].")
@click.option("--gamma", type=float, help="Half width at and below the edge, eV [default: that of the run].")
@click.option("--gaussian", type=float, help="Full width at half maximum of the instrument, eV [default: 0].")
@click.option("--overrides", type=FILE, help="yaml file with other parameters of the model; unknown keys are refused.")
@click.option("--range", "limits", nargs=2, type=float, metavar="LOW HIGH", help="Energies in eV.")
@click.option("--step", type=float, help="Step of the energies in eV.")
@click.option("--calibration", metavar="PK", help="CalibrationData: energies, and --range, on the measured axis.")
@click.option(
    "--output",
    type=NEW_FILE,
    help="Write columns there, with commas if the name ends in .csv, or draw it (.png, .svg, .pdf).",
)
@click.option("--store", is_flag=True, help="Store the result as a node, with its provenance.")
@json_option
@with_profile
def spectrum(
    identifier: str,
    site: int | None,
    model: str | None,
    gamma: float | None,
    gaussian: float | None,
    overrides: pathlib.Path | None,
    limits: tuple[float, float] | None,
    step: float | None,
    calibration: str | None,
    output: pathlib.Path | None,
    store: bool,
    as_json: bool,
) -> None:
    """Broaden a spectrum, or all spectra of a site table, anew: no engine runs.

    PK is a SpectrumData, a site or a site table. Without options the spectrum comes as it was computed. Half widths
    below the one for which the run converged are refused.
    """
    with user_errors():
        changes = {} if overrides is None else read_overrides(overrides)
        changes |= {
            key: value for key, value in (("gamma_eV", gamma), ("gaussian_fwhm_eV", gaussian)) if value is not None
        }
        parameters = BroadeningProtocol.get_parameters(model, changes)
    node, sources = find_spectra(load_node(identifier, orm.Node), site)
    shift = None if calibration is None else load_node(calibration, CalibrationData).shift
    with user_errors():
        grid = asked_grid(node, limits, step, shift or 0.0)
        columns = broaden_all(node, sources, parameters, grid, shift)
    stored = store_broadened(node, sources, parameters, grid) if store else None
    if output is not None:
        if is_figure(output):
            write_figure(output, lambda: draw(columns, sources))
        else:
            write_columns(output, columns.all, summary(columns))
    if as_json:
        emit_json(
            {
                "type": "broadened",
                "axis": "total energy" if shift is None else "calibrated",
                "shift_eV": shift,
                "broadening": columns.broadening,
                "energy_eV": columns.energy,
                "spectra": columns.curves,
                "average": columns.average,
                "stored": None if stored is None else stored.pk,
            }
        )
    elif output is None and not store:
        click.echo(columns_text(columns.all, note=summary(columns)))
    if not as_json and output is not None:
        click.echo(f"Written: {output}")
    if not as_json and stored is not None:
        click.echo(f"Stored: {describe(stored)} {stored.pk}. Next: aiida-siox show {stored.pk}")


def find_spectra(node: orm.Node, site: int | None) -> tuple[orm.Node, dict[str, Any]]:
    """Return what is broadened (a table or a spectrum) and its SpectrumData by name.

    :raises click.ClickException: if the node has no spectrum with coefficients.
    """
    if isinstance(node, SiteData):
        site = node.site_index if site is None else site
        with user_errors():
            node = node.table
    if isinstance(node, SpectrumData):
        return node, {f"site_{node.site_index:04d}": node}
    if not isinstance(node, SiteTableData):
        raise click.ClickException(
            f"node {node.pk} is a {describe(node)}: give a spectrum (SpectrumData), a site or a site table."
        )
    sources = node.site_spectra
    if not sources:
        raise click.ClickException(f"the site table {node.pk} is not linked to any spectrum in this profile.")
    if site is None:
        return node, sources
    chosen = {label: source for label, source in sources.items() if source.site_index == site}
    if not chosen:
        known = ", ".join(str(source.site_index) for source in sources.values())
        raise click.ClickException(f"site {site} of table {node.pk} has no spectrum. Sites with one: {known}.")
    return next(iter(chosen.values())), chosen


def asked_grid(
    node: Any, limits: tuple[float, float] | None, step: float | None, shift: float
) -> dict[str, float] | None:
    """Return the grid of total energies that the options ask for; None for that of the node.

    :raises ValueError: for an empty range.
    """
    if limits is None and step is None:
        return None
    energy = node.energy
    low, high = (float(energy[0]), float(energy[-1])) if limits is None else (limits[0] - shift, limits[1] - shift)
    if not low < high:
        raise ValueError(f"`--range` {low + shift:g} {high + shift:g} is empty: give the lower energy first.")
    step = float(np.diff(energy).mean()) if step is None else step
    if not step > 0:
        raise ValueError(f"`--step` must be positive, got {step:g}.")
    return {"energy_min_eV": low, "energy_max_eV": high, "step_eV": step}


def broaden_all(
    node: Any, sources: dict[str, Any], parameters: dict[str, Any], grid: dict[str, float] | None, shift: float | None
) -> Columns:
    """Return every spectrum with the new broadening, and their average where all sites are there."""
    total = node.energy if grid is None else energy_grid(grid)
    first = next(iter(sources.values()))
    model = first.resolve(parameters)
    curves = {label: source.broadened(parameters, total) for label, source in sources.items()}
    average = None
    n_absorbers = node.base.attributes.get("n_absorbers", None)
    if n_absorbers is not None and len(curves) >= sp.MINIMUM_COVERAGE * n_absorbers:
        average = sp.average(list(curves.values()), n_absorbers)
    return Columns(
        calibration_eV=shift,
        energy=np.asarray(total) + (shift or 0.0),
        curves=curves,
        average=average,
        broadening=model.to_dict(),
        half_width=model(np.asarray(total) - first.offset),
    )


def store_broadened(
    node: Any, sources: dict[str, Any], parameters: dict[str, Any], grid: dict[str, float] | None
) -> orm.Node:
    """Store the broadened spectrum or table through its calcfunction, and return it."""
    values = orm.Dict({"broadening": parameters} if grid is None else {"broadening": parameters, "grid": grid})
    version = orm.Int(SCIENCE_VERSION)
    with contextlib.redirect_stdout(sys.stderr), user_errors():
        if isinstance(node, SpectrumData):
            return broaden(node, values, version)
        say("Tables are combined only with others broadened alike; so is the calibration (`calibrate`).")
        return broaden_table(node, node.structure, values, version, spectra=sources)


def summary(columns: Columns) -> str:
    """Return in one line what the spectra are."""
    numbers = ", ".join(f"{key} {value}" for key, value in columns.broadening.items() if key != "model")
    return f"{columns.axis} axis; broadening {columns.broadening['model']}: {numbers}"


def draw(columns: Columns, sources: dict[str, Any]) -> Any:
    """Return a figure of the spectra; of a single one beside itself with the half width of the run."""
    model = columns.broadening
    single = next(iter(sources.values())) if len(sources) == 1 else None
    reference = None
    if single is not None:
        reference = single.broadened(float(single.base.attributes.get("gamma_eV")), columns.energy - columns.shift)
    return broadened_figure(
        columns.energy,
        columns.curves,
        f"Energy (eV), {'total-energy' if columns.calibration_eV is None else 'calibrated'} axis",
        f"{model['model']}, Γ {model['gamma_eV']:g} eV, Gaussian {model['gaussian_fwhm_eV']:g} eV",
        average=columns.average,
        reference=reference,
        half_width=None if single is None else columns.half_width,
    )

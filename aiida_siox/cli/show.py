"""``aiida-siox show``: what a node holds, for reading or as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import click
import numpy as np
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.cli.common import (
    describe,
    json_option,
    load_node,
    named_outputs,
    process_class_name,
    user_errors,
    with_profile,
)
from aiida_siox.cli.energies import print_energies, print_table_energies
from aiida_siox.cli.output.numbers import number
from aiida_siox.cli.output.tables import emit_json, print_table
from aiida_siox.cli.reference import print_comparison
from aiida_siox.cli.structures import (
    acceptance_of,
    cells_of,
    print_acceptance,
    print_cells,
    print_structure_set,
    set_summary,
)
from aiida_siox.data.analysis import analysis_of
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.site import SiteData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.report.study_nodes import read_study
from aiida_siox.report.timing import engine_summary, study_times
from aiida_siox.science.cells import density_g_cm3
from aiida_siox.science.composition import formula_of_cell
from aiida_siox.science.plain import plain
from aiida_siox.science.spectra import maximum_position

STUDY = "siox.study"
REFERENCE = "siox.reference"
STRUCTURE_SET = "siox.structure_set"
#: Processes that make amorphous cells one by one.
CELL_MAKERS = ("siox.melt_quench", "siox.configuration")


@click.command()
@click.argument("identifier", metavar="PK")
@click.option("--energies", is_flag=True, help="Of a site table: every term of the transition energies.")
@click.option("--calibration", metavar="PK", help="CalibrationData: energies on the measured axis.")
@json_option
@with_profile
def show(identifier: str, energies: bool, calibration: str | None, as_json: bool) -> None:
    """Show a site table, data set, model, study or another node, given by PK or UUID."""
    node = load_node(identifier, orm.Node)
    constant = None if calibration is None else load_node(calibration, CalibrationData)
    with user_errors():
        summary = summarise(node, constant)
    if as_json:
        emit_json(summary)
    elif summary["type"] == "site_table":
        print_site_table(node, summary, energies)
    elif summary["type"] == "study":
        print_study(node, summary)
    elif summary["type"] == "reference":
        print_comparison(f"{describe(node)} {node.pk}", summary)
    elif summary["type"] == "structure_set":
        label = f" ({node.label})" if node.label else ""
        print_structure_set(f"{describe(node)} {node.pk}{label}", summary)
    else:
        cells = summary.pop("cells", [])
        print_mapping(f"{describe(node)} {node.pk}", summary)
        if cells:
            print_cells("Cells", cells)
        if isinstance(node, SpectrumData) or (isinstance(node, SiteData) and summary.get("energies")):
            print_energies(node, constant)


def summarise(node: orm.Node, calibration: CalibrationData | None = None) -> dict[str, Any]:
    """Return the content of a node as plain values, with its ``type``.

    :param calibration: for the measured axis, of a node that has an axis.

    :raises click.ClickException: for a node of which there is nothing to say here.
    """
    if isinstance(node, SiteTableData):
        return node.summary(calibration)
    if calibration is not None and not isinstance(node, SiteData | SpectrumData):
        raise click.ClickException(f"node {node.pk} is a {describe(node)}: --calibration is for tables and spectra.")
    if isinstance(node, DatasetData) and node.base.attributes.get("digest", None):
        return {**node.summary(), "analysis": {part: found.pk for part, found in analysis_of(node)[0].items()}}
    if hasattr(node, "summary"):
        return dict(node.summary())
    if isinstance(node, orm.WorkChainNode) and process_class_name(node) == STUDY:
        return study_summary(node)
    if isinstance(node, orm.ProcessNode) and process_class_name(node) == REFERENCE and "comparison" in node.outputs:
        return {**process_summary(node), "type": "reference", **node.outputs.comparison.get_dict()}
    if isinstance(node, orm.ProcessNode) and process_class_name(node) == STRUCTURE_SET:
        return {**process_summary(node), "type": "structure_set", **set_summary(node)}
    if isinstance(node, orm.ProcessNode) and process_class_name(node) in CELL_MAKERS:
        return {**process_summary(node), "cells": cells_of(node)}
    if isinstance(node, orm.ProcessNode):
        return process_summary(node)
    if isinstance(node, orm.StructureData):
        return structure_summary(node)
    if isinstance(node, orm.ArrayData):
        arrays = {name: node.get_array(name).tolist() for name in sorted(node.get_arraynames())}
        return {"type": "arrays", "uuid": node.uuid, "units": node.base.attributes.get("units", {}), **arrays}
    if isinstance(node, orm.Dict):
        return {"type": "dict", "uuid": node.uuid, **node.get_dict()}
    raise click.ClickException(
        f"node {node.pk} is a {describe(node)}: `show` knows site tables, sites, spectra, calibrations, data sets, "
        f"models, structures, arrays and processes. Try `verdi node show {node.pk}`."
    )


def process_summary(node: orm.ProcessNode) -> dict[str, Any]:
    """Return state, exit status and outputs of a process."""
    return {
        "type": "process",
        "pk": node.pk,
        "uuid": node.uuid,
        "process": node.process_label,
        "label": node.label,
        "state": node.process_state.value if node.process_state else None,
        "exit_status": node.exit_status,
        "exit_message": node.exit_message or (node.exception if node.is_excepted else None),
        "outputs": named_outputs(node) or _other_outputs(node),
    }


def _other_outputs(node: orm.ProcessNode) -> dict[str, int | None]:
    links = node.base.links.get_outgoing(link_type=(LinkType.RETURN, LinkType.CREATE)).all()
    return {entry.link_label: entry.node.pk for entry in links}


def structure_summary(node: orm.StructureData) -> dict[str, Any]:
    """Return formula, cell and positions of a structure."""
    atoms = node.get_ase()
    return {
        "type": "structure",
        "uuid": node.uuid,
        "formula": formula_of_cell(atoms.get_chemical_symbols()),
        "n_atoms": len(atoms),
        "density_g_cm3": density_g_cm3(atoms) if all(node.pbc) else None,
        "cell_angstrom": atoms.cell.tolist(),
        "symbols": atoms.get_chemical_symbols(),
        "positions_angstrom": atoms.positions.tolist(),
    }


def study_summary(node: orm.WorkChainNode) -> dict[str, Any]:
    """Return tables, acceptance of the cells, data set, models, timings and failures of a study."""
    outputs = named_outputs(node)
    with user_errors():
        study = read_study(node)
    return {
        **process_summary(node),
        "type": "study",
        "protocol": study.shared("protocol"),
        "tables": outputs.get("site_table", {}),
        "structures": outputs.get("structure", {}),
        "qualities": outputs.get("quality", {}),
        "acceptance": acceptance_of(outputs),
        "calibration": outputs.get("calibration"),
        "dataset": outputs.get("dataset"),
        "models": outputs.get("models", {}),
        "timings": [dataclasses.asdict(entry) for entry in engine_summary(study_times(node))],
        "failures": [dataclasses.asdict(failure) for failure in study.failures],
        "missing": study.missing,
    }


def print_site_table(node: orm.Node, summary: dict[str, Any], energies: bool) -> None:
    """Print one row a site."""
    calibration = summary["calibration"]
    axis = "total-energy axis"
    if calibration is not None:
        axis = f"calibrated axis, shift {calibration['shift_eV']:+.3f} eV"
    title = f"SiteTable {node.pk}: {summary['formula']}, protocol {summary['protocol']}, {summary['treatment']}, {axis}"
    energy = np.asarray(summary["energy_eV"])
    species = summary["axes"]["coordination"]["values"]
    counts = [f"n_{element}" for element in species]
    columns = ["site", "status", *counts, "valence / e", "bridge angle / °", "transition / eV", "white line / eV"]
    rows = []
    for site in summary["sites"]:
        white_line = None if site["spectrum"] is None else white_line_of(energy, np.asarray(site["spectrum"]))
        rows.append(
            [
                str(site["site_index"]),
                site["status"],
                *(str(site["coordination"][element]) for element in species),
                number(site["valence"], signed=True),
                number(site["bridge_angle"], 1),
                number((site["energies"] or {}).get("transition_eV")),
                number(white_line, 2),
            ]
        )
    print_table(title, columns, rows)
    if energies:
        print_table_energies(summary)
    for site in summary["sites"]:
        if site["reason"]:
            click.echo(f"Site {site['site_index']} failed: {site['reason']}")
    r = summary["axes"]["rdf"]["values"]
    click.echo(
        f"Spectra: {len(energy)} energies from {energy[0]:.1f} to {energy[-1]:.1f} eV. g(R): {len(r)} bins to "
        f"{r[-1]:.2f} Å, σ {summary['sigma_angstrom']} Å. All numbers: aiida-siox show {node.pk} --json"
    )


def white_line_of(energy: np.ndarray, spectrum: np.ndarray) -> float:
    """Return the energy in eV of the maximum of a spectrum."""
    return maximum_position(energy, spectrum)


def print_study(node: orm.Node, summary: dict[str, Any]) -> None:
    """Print the tables, acceptance of the cells, models, timings and failures of a study."""
    state = summary["state"] if summary["exit_status"] is None else f"exit status {summary['exit_status']}"
    rows = []
    for label, pk in summary["tables"].items():
        attributes = orm.load_node(pk).base.attributes
        done = f"{attributes.get('n_done')}/{attributes.get('n_requested')}"
        rows.append([label, done, *[str(summary[key].get(label, "-")) for key in ("structures", "tables")]])
    print_table(
        f"Study {node.pk}: {state}, protocol {summary['protocol']}",
        ["configuration", "sites done", "structure", "site table"],
        rows,
    )
    print_acceptance(summary["acceptance"])
    if summary["exit_message"]:
        click.echo(summary["exit_message"])
    if summary["exit_status"] is None and summary["state"] not in ("excepted", "killed"):
        click.echo(f"It has not ended: aiida-siox status {node.pk} says what runs.")
    rest = {key: summary[key] for key in ("calibration", "dataset")} | summary["models"]
    for name, pk in rest.items():
        click.echo(f"{name + (' model' if name in summary['models'] else '')}: {pk if pk is not None else '-'}")
    if summary["timings"]:
        rows = [
            [
                entry["engine"],
                str(entry["n_jobs"]),
                str(entry["n_cached"]),
                number(entry["wall"], 1),
                number(entry["cpu"], 1),
                f"{entry['share']:.0%}",
            ]
            for entry in summary["timings"]
        ]
        print_table("Engine time", ["engine", "jobs", "from cache", "wall / s", "CPU / s", "share"], rows)
    if summary["failures"]:
        rows = [[entry["where"], str(entry["pk"] or "-"), entry["reason"]] for entry in summary["failures"]]
        print_table("Failures", ["where", "process", "reason"], rows)


def print_mapping(title: str, mapping: Mapping[str, Any]) -> None:
    """Print keys and values, long lists as their length and range, nested mappings with dotted keys."""
    print_table(title, ["key", "value"], list(flat_rows(plain(mapping))))


def flat_rows(mapping: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Return ``[key, value]`` rows of a nested mapping."""
    rows: list[list[str]] = []
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flat_rows(value, f"{name}.") if value else [[name, "-"]]
        elif isinstance(value, list) and len(value) > 6:
            rows.append([name, abbreviated(value)])
        else:
            rows.append([name, "-" if value is None else str(value)])
    return rows


def abbreviated(values: list[Any]) -> str:
    """Return a long list as its length and, for numbers, its range."""
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) == len(values):
        return f"{len(values)} values from {min(numbers):g} to {max(numbers):g}"
    return f"{len(values)} entries"

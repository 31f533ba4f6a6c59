"""Tables of the energies of a transition, whose terms add up to the white line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import numpy as np

from aiida_siox.cli.output.numbers import number
from aiida_siox.cli.output.tables import print_table
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.site import SiteData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science.constants import RYDBERG_AIIDA_EV
from aiida_siox.science.energies import total_energy_offset
from aiida_siox.science.energy_terms import PART, SUM, EnergyTerm
from aiida_siox.science.spectra import maximum_position

EDGE_NOTE = (
    "difference_eV = (hole_Ry - ground_Ry) x 13.605692; transition_eV = difference_eV + core_correction_eV; "
    "offset_eV = transition_eV + energy_zero_eV{fermi}; white line = offset_eV + peak_eV (of xspectra.x){shift}."
)


def print_energies(node: SpectrumData | SiteData, calibration: CalibrationData | None) -> None:
    """Print the energies of one absorber, from the total energies to the white line, calibrated if asked for."""
    spectrum = node.spectrum if isinstance(node, SiteData) else node
    attributes = spectrum.base.attributes
    lines = spectrum.energy_terms(None if calibration is None else calibration.shift)
    kind = attributes.get("free_energy", None) or {}
    quantity = kind.get("quantity", "the `!` line of pw.x")
    if kind.get("smearing"):
        quantity += f", {kind['smearing']} smearing of {kind['degauss_eV'] / RYDBERG_AIIDA_EV:.4g} Ry"
    print_table(
        f"Energies, {attributes.get('treatment')}: lines with = are the sum of those above; E is {quantity}",
        ["term", "eV", "Ry", "of it / eV"],
        [term_row(line) for line in lines],
    )


def term_row(line: EnergyTerm) -> list[str]:
    """Return the cells of one line; what a term contains stands in a column of its own and is not added."""
    if line.kind == PART:
        return [line.label, "", "", f"{line.value_eV:+.3f}"]
    label = f"= {line.label}" if line.kind == SUM else f"+ {line.label}"
    return [label, f"{line.value_eV:+.3f}", f"{line.value_Ry:+.6f}", ""]


def print_table_energies(summary: Mapping[str, Any]) -> None:
    """Print the energies of every finished site of a table, one row each."""
    treatment = summary["treatment"]
    shift = None if summary["calibration"] is None else summary["calibration"]["shift_eV"]
    fermi = treatment != "fch"
    columns = ["site", "hole_Ry", "ground_Ry", "difference_eV", "core_correction_eV", "transition_eV", "energy_zero_eV"]
    columns += (["fermi_eV"] if fermi else []) + ["offset_eV", "peak_eV", "white line"]
    energy = np.asarray(summary["energy_eV"])
    rows = []
    for site in summary["sites"]:
        terms = site["energies"]
        if site["spectrum"] is None:
            rows.append([str(site["site_index"]), *["-"] * (len(columns) - 1)])
            continue
        white_line = maximum_position(energy, np.asarray(site["spectrum"]))
        offset = total_energy_offset(treatment, terms["transition_eV"], terms["energy_zero_eV"], terms["fermi_eV"])
        values = [(terms["hole_Ry"] - terms["ground_Ry"]) * RYDBERG_AIIDA_EV, terms["core_correction_eV"]]
        values += [terms["transition_eV"], terms["energy_zero_eV"], *([terms["fermi_eV"]] if fermi else [])]
        values += [offset, white_line - (shift or 0.0) - offset, white_line]
        rows.append(
            [
                str(site["site_index"]),
                *(f"{terms[key]:.6f}" for key in ("hole_Ry", "ground_Ry")),
                *(map(number, values)),
            ]
        )
    print_table("Energies", columns, rows)
    click.echo(
        EDGE_NOTE.format(
            fermi=" - fermi_eV" if fermi else "", shift="" if shift is None else f" + calibration ({shift:+.3f} eV)"
        )
    )
    smearing = [
        abs(site["energies"][key]) * RYDBERG_AIIDA_EV
        for site in summary["sites"]
        for key in ("hole_smearing_Ry", "ground_smearing_Ry")
        if key in (site["energies"] or {})
    ]
    if smearing:
        click.echo(f"hole_Ry and ground_Ry are F = E - TS; -TS is at most {max(smearing):.4f} eV in size.")
    if treatment == "none":
        click.echo("Without a hole, transition_eV is that of the free atom, the same for every site.")

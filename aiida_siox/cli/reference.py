"""``aiida-siox run atomic-data``, ``calibration`` and ``reference``: what a material brings before any structure."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import click

from aiida_siox.cli.codes import get_codes
from aiida_siox.cli.common import launch_options, scheduler_options, user_errors, with_profile, without
from aiida_siox.cli.launch import launch
from aiida_siox.cli.output.numbers import number
from aiida_siox.cli.output.tables import print_table
from aiida_siox.cli.run import STRUCTURE_ENGINES, obtain_atomic_data, split_overrides
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain
from aiida_siox.workflows.calibration import CalibrationWorkChain
from aiida_siox.workflows.reference import ReferenceWorkChain


@click.command("atomic-data")
@without("max_concurrent")
@launch_options
@with_profile
def atomic_data(
    protocol: str | None,
    overrides: dict[str, Any],
    options_file: pathlib.Path | None,
    computer: str | None,
    submit: bool,
    as_json: bool,
) -> None:
    """Make the data sets of the material with ld1.x: its elements, and the absorber with the core hole.

    The other commands do so by themselves. Protocol `ultrasoft`: the sets for spectra alone, if the material has them.
    --overrides has the keys of protocols/atomic_data.yaml.
    """
    options = scheduler_options(options_file, "ld1")
    with user_errors():
        code = get_codes(["ld1"], computer=computer)["ld1"]
        builder = AtomicDataWorkChain.get_builder_from_protocol(code, protocol, overrides, options)
    launch(builder, submit)


@click.command("calibration")
@launch_options
@with_profile
def calibration(
    protocol: str | None,
    overrides: dict[str, Any],
    max_concurrent: int | None,
    options_file: pathlib.Path | None,
    computer: str | None,
    submit: bool,
    as_json: bool,
) -> None:
    """Compute the calibration: one site of the crystal whose measured main peak the material knows.

    --overrides has the keys of protocols/calibration.yaml and, under `structure_targets`, those of the spectra.
    """
    options = scheduler_options(options_file)
    changes, atomic_changes = split_overrides(overrides)
    targets = changes.pop("structure_targets", None)
    with user_errors():
        CalibrationWorkChain.get_protocol_inputs(protocol, changes)
    codes = get_codes(STRUCTURE_ENGINES, computer=computer)
    atoms = obtain_atomic_data(codes["ld1"], protocol, options, atomic_changes)
    with user_errors():
        builder = CalibrationWorkChain.get_builder_from_protocol(
            codes, atoms, protocol, changes, targets_overrides=targets, max_concurrent=max_concurrent, options=options
        )
    launch(builder, submit)


@click.command("reference")
@launch_options
@with_profile
def reference(
    protocol: str | None,
    overrides: dict[str, Any],
    max_concurrent: int | None,
    options_file: pathlib.Path | None,
    computer: str | None,
    submit: bool,
    as_json: bool,
) -> None:
    """Compute crystals of the material (α-quartz and silicon) from coarse to fine, and the calibration from one.

    The test of the method is the Si → SiO₂ shift, since quartz itself is fitted. `aiida-siox show` of the process
    prints what the spectra converge to. The cases stand in the yaml of the material; --overrides replaces them.
    """
    options = scheduler_options(options_file)
    changes, atomic_changes = split_overrides(overrides)
    with user_errors():
        ReferenceWorkChain.settings_of_cases(ReferenceWorkChain.get_protocol_inputs(protocol, changes), protocol)
    codes = get_codes(STRUCTURE_ENGINES, computer=computer)
    atomic_data = obtain_atomic_data(codes["ld1"], protocol, options, atomic_changes)
    with user_errors():
        builder = ReferenceWorkChain.get_builder_from_protocol(
            codes, atomic_data, protocol, changes, max_concurrent=max_concurrent, options=options
        )
    launch(builder, submit)


def print_comparison(title: str, comparison: Mapping[str, Any]) -> None:
    """Print convergence and edge shift of reference crystals."""
    columns = ["case", "atoms", "k SCF", "k xspectra", "hole", "transition / eV", "half height / eV", "white line / eV"]
    columns += ["Δ white line / eV", "L1", "valence / e"]
    rows = [
        [
            row["name"],
            str(row["n_atoms"]),
            *("×".join(map(str, row[f"mesh_{stage}"])) for stage in ("scf", "xspectra")),
            row["treatment"],
            number(row["transition_eV"]),
            *(number(row[key], 2) for key in ("half_height_eV", "white_line_eV")),
            number(row["d_white_line_eV"], 2, signed=True),
            number(row["l1"]),
            number(row["valence_e"], signed=True),
        ]
        for row in comparison["rows"]
    ]
    print_table(f"{title}: total-energy axis; Δ and L1 against the last case of the compound", columns, rows)
    rows = [
        [shift["step"], *(number(shift[key], 2) for key in ("white_line_eV", "half_height_eV"))]
        for shift in comparison["shifts"]
    ]
    experiment = comparison["experiment"]
    rows.append(["experiment", number(experiment["shift_eV"], 2), "-"])
    print_table(f"Shift {' → '.join(experiment['shift'])}", ["step", "maxima / eV", "half heights / eV"], rows)
    click.echo(f"Experiment: {experiment.get('source', 'no source given')}.")
    if comparison["missing"]:
        click.echo(f"Failed: {', '.join(comparison['missing'])}; see `verdi process report` of the run.")

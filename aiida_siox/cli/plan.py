"""``aiida-siox plan``: what a study or a structure will cost, before anything is stored or submitted."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from aiida_siox.cli.codes import get_codes
from aiida_siox.cli.common import scheduler_options, user_errors, with_profile, without
from aiida_siox.cli.plan_text import print_plan
from aiida_siox.cli.run import (
    STRUCTURE_ENGINES,
    checked_structure,
    refuse,
    split_overrides,
    structure_options,
    study_builder,
    study_options,
)
from aiida_siox.workflows.atomic_data import find_atomic_data
from aiida_siox.workflows.plan import Plan, plan_structure, plan_study


@click.command("study")
@without("submit")
@study_options
@with_profile
def study(as_json: bool, **parameters: Any) -> None:
    """Plan `run study` (`run dataset` costs the same)."""
    print_plan(validated_plan(study_builder(train=True, **parameters)), parameters["options_file"])


def validated_plan(builder: Any) -> Plan:
    """Return the plan of a study, once its inputs have been checked as they are when it is launched."""
    inputs = builder._inputs(prune=True)
    error = builder.process_class.spec().inputs.validate(inputs)
    refuse(None if error is None else str(error))
    with user_errors():
        return plan_study(inputs)


@click.command("structure")
@without("submit")
@structure_options
@with_profile
def structure(
    file: pathlib.Path,
    sites: list[int] | None,
    file_format: str | None,
    calibrate: bool,
    protocol: str | None,
    overrides: dict[str, Any],
    max_concurrent: int | None,
    options_file: pathlib.Path | None,
    computer: str | None,
    as_json: bool,
) -> None:
    """Plan `run structure` of the structure in FILE."""
    scheduler_options(options_file)
    changes, atomic_changes = split_overrides(overrides)
    node, inputs = checked_structure(file, file_format, sites, protocol, changes, max_concurrent)
    codes = get_codes(STRUCTURE_ENGINES, computer=computer)
    with user_errors():
        atomic = find_atomic_data(codes["ld1"], protocol, atomic_changes) is None
        found = plan_structure(file.name, node, sites, inputs, protocol, calibrate=calibrate, atomic=atomic)
    print_plan(found, options_file)

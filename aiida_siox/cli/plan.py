"""``aiida-siox plan``: what a study or a structure will cost, before anything is stored or submitted."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from aiida_siox.cli.common import scheduler_options, user_errors, with_profile
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
from aiida_siox.workflows.plan import Plan, plan_structure, plan_study


class DefaultStudy(click.Group):
    """A group whose first word may be left out: ``study`` is meant then."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before options that come without one."""
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["study", *args]
        return super().parse_args(ctx, args)


@click.group(cls=DefaultStudy, context_settings={"help_option_names": ["-h", "--help"]})
def plan() -> None:
    """Say what a study costs before it runs: jobs, core hours, scratch, size of the repository.

    Takes the options of `run` and refuses what `run` refuses; nothing is stored or submitted (--submit is accepted and
    changes nothing). `aiida-siox plan` without a command means `plan study`. The training of the networks is not
    counted.
    """


@plan.command("study")
@study_options
@with_profile
def study(submit: bool, as_json: bool, **parameters: Any) -> None:
    """Plan `run study` (`run dataset` costs the same)."""
    print_plan(validated_plan(study_builder(train=True, **parameters)), parameters["options_file"])


def validated_plan(builder: Any) -> Plan:
    """Return the plan of a study, once its inputs have been checked as they are when it is launched."""
    inputs = builder._inputs(prune=True)
    error = builder.process_class.spec().inputs.validate(inputs)
    refuse(None if error is None else str(error))
    with user_errors():
        return plan_study(inputs)


@plan.command("structure")
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
    submit: bool,
    as_json: bool,
) -> None:
    """Plan `run structure` of the structure in FILE."""
    from aiida_siox.cli.codes import get_codes
    from aiida_siox.workflows.atomic_data import find_atomic_data

    scheduler_options(options_file)
    changes, atomic_changes = split_overrides(overrides)
    node, inputs = checked_structure(file, file_format, sites, protocol, changes, max_concurrent)
    codes = get_codes(STRUCTURE_ENGINES, computer=computer)
    with user_errors():
        atomic = find_atomic_data(codes["ld1"], protocol, atomic_changes) is None
        found = plan_structure(file.name, node, sites, inputs, protocol, calibrate=calibrate, atomic=atomic)
    print_plan(found, options_file)

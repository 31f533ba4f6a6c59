"""``aiida-siox run``: the WorkChains, from a formula or a structure file."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import click
from aiida import orm

from aiida_siox.calculations.spectra import digest_of
from aiida_siox.cli.codes import get_codes, study_codes
from aiida_siox.cli.common import (
    describe,
    launch_options,
    named_outputs,
    say,
    scheduler_options,
    user_errors,
    with_profile,
    without,
)
from aiida_siox.cli.launch import failure_text, finish, finish_submitted, launch, run_process, submit_process
from aiida_siox.cli.plan_text import estimate_line
from aiida_siox.cli.structures import cells_of, in_words, launch_structures, print_cells, requested_formulas
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.materials import Material, load_material
from aiida_siox.science.structure_file import doubts, read_structure_file, told_back
from aiida_siox.science.structures import validate_structure
from aiida_siox.workflows.atomic_data import (
    AtomicDataWorkChain,
    atomic_data_of,
    check_atomic_parameters,
    find_atomic_data,
)
from aiida_siox.workflows.calibration import CalibrationWorkChain
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.plan import plan_structure, plan_study
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain as Targets
from aiida_siox.workflows.structure_targets import validate_inputs, validate_max_concurrent
from aiida_siox.workflows.study import StudyWorkChain

STRUCTURE_ENGINES = ("ld1", "pw", "pp", "xspectra", "bader")

#: Extra of structures read from files, by which the same file finds its node again: caching needs the very same node.
DIGEST_EXTRA = "siox_structure_digest"


def read_integers(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int] | None:
    """Read ``0,3,7`` as integers (callback of an option)."""
    if value is None:
        return None
    try:
        numbers = [int(word) for word in value.replace(",", " ").split()]
    except ValueError:
        raise click.BadParameter(f"`{value}` is not a list of integers such as 0,3,7.")
    if not numbers or min(numbers) < 0:
        raise click.BadParameter(f"`{value}` must name integers from 0 on, such as 0,3,7.")
    if len(set(numbers)) < len(numbers):
        raise click.BadParameter(f"`{value}` names a number twice.")
    return numbers


def lammps_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--code``: another LAMMPS than the one that ``setup`` registered."""
    return click.option(
        "--code", "code_label", help="Label of a code of LAMMPS; the one that `setup` registered when not given."
    )(function)


@click.command("melt-quench")
@click.argument("formula")
@lammps_option
@click.option("--seed", type=click.IntRange(min=1), required=True, help="Of the starting cell and the velocities.")
@without("max_concurrent")
@launch_options
@with_profile
def melt_quench(
    formula: str,
    seed: int,
    protocol: str | None,
    overrides: dict[str, Any],
    options_file: pathlib.Path | None,
    computer: str | None,
    submit: bool,
    as_json: bool,
    code_label: str | None,
) -> None:
    """Melt and quench one cell of FORMULA (such as Si8O4) and return the amorphous structure."""
    options = scheduler_options(options_file, "lmp")
    with user_errors():
        MeltQuenchWorkChain.get_protocol_inputs(protocol, overrides)
        builder = MeltQuenchWorkChain.get_builder_from_protocol(
            get_codes(["lmp"], {"lmp": code_label} if code_label else None, computer)["lmp"],
            formula,
            seed,
            protocol,
            overrides,
            options,
        )
    if submit:
        launch(builder, submit)
        return
    node = run_process(builder)
    if cells := cells_of(node):
        (cell,) = cells
        if not as_json:
            print_cells("Cell", cells)
        if cell["rejected_by"]:
            say(
                f"This cell would be rejected: {in_words(cell['rejected_by'])}. Take another --seed, or "
                f"`aiida-siox run structures --formula {formula}`, which does so by itself."
            )
    finish(node)


def structure_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what ``run structure`` and ``plan structure`` share."""
    for decorator in (
        launch_options,
        click.option(
            "--calibrate",
            is_flag=True,
            help="Find or compute the calibration with the same settings, from the material's crystal.",
        ),
        click.option(
            "--format", "file_format", help="Name of the file format for ASE, where the file name does not tell it."
        ),
        click.option("--sites", callback=read_integers, help="Indices of the absorbers, such as 0,3; default all."),
        click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path)),
    ):
        function = decorator(function)
    return function


@click.command("structure")
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
    """Compute spectra, Bader valences and RDFs of the absorbers of the structure in FILE.

    FILE is anything ASE reads: extended xyz, cif, POSCAR, ... It must be a periodic cell of the species of the
    material, Si and O if none is named.
    """
    options = scheduler_options(options_file)
    changes, atomic_changes = split_overrides(overrides)
    node, inputs = checked_structure(file, file_format, sites, protocol, changes, max_concurrent)
    codes = get_codes(STRUCTURE_ENGINES, computer=computer)
    atomic_data = obtain_atomic_data(codes["ld1"], protocol, options, atomic_changes)
    with user_errors():
        builder = Targets.get_builder_from_protocol(
            codes,
            stored_structure(node),
            atomic_data,
            protocol,
            changes,
            sites=sites,
            max_concurrent=max_concurrent,
            options=options,
        )

    calibration_builder = None
    if calibrate:
        with user_errors():
            calibration_builder = CalibrationWorkChain.get_builder_from_protocol(
                codes,
                atomic_data,
                protocol,
                {key: changes[key] for key in ("material",) if key in changes},
                targets_overrides=changes,
                max_concurrent=max_concurrent,
                options=options,
            )
    say(estimate_line(plan_structure(file.name, node, sites, inputs, protocol, calibrate=calibrate, atomic=False)))
    if submit:
        if calibration_builder is not None:
            calibration = submit_process(calibration_builder)
            say(f"Submitted {describe(calibration)} {calibration.pk}.")
        finish_submitted(submit_process(builder))
        return
    targets = run_process(builder)
    outputs = named_outputs(targets)
    complete = True
    if calibration_builder is not None and "site_table" in outputs:
        pk = obtain_calibration(orm.load_node(outputs["site_table"]), calibration_builder)
        complete = pk is not None
        outputs.update({} if pk is None else {"calibration": pk})
    finish(targets, outputs, complete)


def checked_structure(
    file: pathlib.Path,
    file_format: str | None,
    sites: list[int] | None,
    protocol: str | None,
    overrides: Mapping[str, Any],
    max_concurrent: int | None,
) -> tuple[orm.StructureData, dict[str, Any]]:
    """Return the unstored structure of a file and the protocol's inputs, once all that can be wrong is looked at.

    :returns: the inputs are those of protocols/structure_targets.yaml, with ``max_concurrent`` as it was asked for.
    """
    with user_errors():
        inputs = Targets.get_protocol_inputs(protocol, overrides)
        settings = Targets.settings_from(inputs, protocol)
    if max_concurrent is not None:
        inputs["max_concurrent"] = max_concurrent
    refuse(validate_max_concurrent(orm.Int(inputs["max_concurrent"])))
    with user_errors(str(file)):
        node = read_structure(file, file_format, load_material(inputs["material"]))
    given = {"structure": node, "settings": orm.Dict(settings)}
    refuse(validate_inputs(given | ({} if sites is None else {"sites": orm.List(sites)})))
    return node, inputs


def refuse(message: str | None) -> None:
    """Raise a message of a validator as an error of the command line."""
    if message is not None:
        raise click.ClickException(message)


def read_structure(path: pathlib.Path, file_format: str | None, material: Material) -> orm.StructureData:
    """Read a structure file into an unstored node, and tell what was read before anything runs.

    :raises ValueError: if it cannot be read, or the material does not have such a structure.
    """
    found = read_structure_file(path, file_format)
    for remark in found.remarks:
        say(f"Careful: {path}: {remark}")
    validate_structure(found.atoms, material)
    say(f"{path}: {told_back(found.atoms, material)}")
    if wrong := doubts(found.atoms, material):
        reasons = " ".join(f"({number}) {text}" for number, text in enumerate(wrong, start=1))
        say(f"CAREFUL: {path} is hardly {material.title}: {reasons}")
    return orm.StructureData(ase=found.atoms, label=path.name)


def stored_structure(node: orm.StructureData) -> orm.StructureData:
    """Return the stored node of the same structure, storing this one where there is none."""
    digest = digest_of(node)
    query = orm.QueryBuilder()
    query.append(orm.StructureData, filters={f"extras.{DIGEST_EXTRA}": digest})
    found = query.first(flat=True)
    if found is not None:
        return found
    node.store()
    node.base.extras.set(DIGEST_EXTRA, digest)
    return node


def split_overrides(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return overrides without ``atomic_data``, and those under ``atomic_data``, which are checked.

    Both have the material, if one was named.

    :raises click.ClickException: for atomic data that the protocol does not know.
    """
    with user_errors():
        content = dict(overrides)
        atomic = dict(content.pop("atomic_data", None) or {})
        if "material" in content:
            atomic["material"] = content["material"]
        refuse(check_atomic_parameters(AtomicDataWorkChain.get_protocol_inputs(None, atomic)["parameters"]))
    return content, atomic


def obtain_atomic_data(
    code: orm.AbstractCode,
    protocol: str | None,
    options: Mapping[str, Any] | None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the atomic data that this ld1.x made before, or make them now (seconds).

    :param overrides: of ``protocols/atomic_data.yaml``.
    :raises click.ClickException: if ld1.x fails.
    """
    with user_errors():
        found = find_atomic_data(code, protocol, overrides)
        if found is not None:
            return found
        builder = AtomicDataWorkChain.get_builder_from_protocol(code, protocol, overrides, (options or {}).get("ld1"))
    node = run_process(builder)
    if not node.is_finished_ok:
        raise click.ClickException(failure_text(node))
    return atomic_data_of(node)


def obtain_calibration(table: Any, builder: Any) -> int | None:
    """Return the PK of the calibration with the settings of a table, computed now where there is none.

    :param builder: of the CalibrationWorkChain.
    :returns: None if it could not be computed; why was said.
    """
    query = orm.QueryBuilder()
    query.append(
        CalibrationData, filters={"attributes.settings_digest": table.settings_digest}, project="id", tag="calibration"
    )
    found = query.order_by({"calibration": {"id": "desc"}}).first(flat=True)
    if found is not None:
        return int(found)
    node = run_process(builder)
    if not node.is_finished_ok:
        say(failure_text(node))
        return None
    return int(node.outputs.calibration.pk)


def study_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what ``run structures``, ``run dataset`` and ``run study`` share."""
    function = launch_options(function)
    function = click.option("--seeds", callback=read_integers, help="Such as 1,2; the protocol's when not given.")(
        function
    )
    function = click.option("--compositions", help="Formulas with commas between them: Si14,Si8O4,Si4O8.")(function)
    return click.option(
        "--formula", "formulas", multiple=True, help="One formula; may be given many times. Default: the protocol's."
    )(function)


@click.command("structures")
@lammps_option
@study_options
@with_profile
def structures(**parameters: Any) -> None:
    """Melt and quench cells of several compositions until one of each seed is accepted; no spectra.

    Protocols: fast, balanced, shortened (the paper's cells in minutes each) and paper.
    """
    launch_structures(**parameters)


@click.command("study")
@study_options
@with_profile
def study(**parameters: Any) -> None:
    """From compositions to two trained networks: melts, spectra, data set, models, in one provenance graph."""
    launch_study(train=True, **parameters)


@click.command("dataset")
@study_options
@with_profile
def dataset(**parameters: Any) -> None:
    """The same as `study`, without the training."""
    launch_study(train=False, **parameters)


def launch_study(*, submit: bool, as_json: bool, **parameters: Any) -> None:
    """Build a StudyWorkChain from the options of the command line and launch it."""
    builder = study_builder(**parameters)
    say(estimate_line(plan_study(builder._inputs(prune=True))))
    launch(builder, submit)


def study_builder(
    *,
    train: bool,
    formulas: tuple[str, ...],
    compositions: str | None,
    seeds: list[int] | None,
    protocol: str | None,
    overrides: dict[str, Any],
    max_concurrent: int | None,
    options_file: pathlib.Path | None,
    computer: str | None,
) -> Any:
    """Return the builder of a StudyWorkChain from the options of the command line.

    :raises click.ClickException: for whatever is wrong with them.
    """
    options = scheduler_options(options_file)
    with user_errors():
        inputs = StudyWorkChain.get_protocol_inputs(protocol, overrides)
        names = requested_formulas(formulas, compositions, inputs["material"])
        return StudyWorkChain.get_builder_from_protocol(
            study_codes(computer),
            protocol=protocol,
            overrides=overrides,
            compositions=names or None,
            seeds=seeds,
            max_concurrent=max_concurrent,
            options=options,
            train=train,
        )

"""Codes of the engines: registering them, finding them again, saying what is wrong with them."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterable, Mapping
from typing import Any, cast

import click
from aiida import orm
from aiida.common.exceptions import AiidaException
from aiida.orm import Computer, InstalledCode

from aiida_siox.cli.engines import (
    ENGINES,
    STUDY_ENGINES,
    EngineStatus,
    find_executable,
    inspect_engine,
    runner_of,
)
from aiida_siox.cli.profile import COMPUTER

REMEDY = "Run `aiida-siox setup`; `aiida-siox setup --check` says what is usable."


def find_code(name: str, computer: str | None = None) -> InstalledCode | None:
    """Return the code that stands for an engine: the one registered last by ``aiida-siox setup``.

    A code with the name as the first part of its label (``pw-7.2``, ``pw``) is taken when none was registered so.

    :param name: key of ``ENGINES``.
    :param computer: label of the computer; any when None, ``localhost`` first.
    """

    query = orm.QueryBuilder()
    query.append(orm.Computer, filters={"label": computer} if computer else {}, tag="computer")
    query.append(orm.InstalledCode, with_computer="computer")

    def registered(code: InstalledCode) -> bool:
        return bool(code.base.extras.get("siox_engine", None) == name)

    def rank(code: InstalledCode) -> tuple[Any, ...]:
        when = float(code.base.extras.get("siox_registered", 0.0))
        return registered(code), code.computer.label == COMPUTER, when, code.mtime

    found = [code for code in query.all(flat=True) if not code.is_hidden]
    mine = [code for code in found if registered(code) or code.label == name or code.label.startswith(f"{name}-")]
    return max(mine, key=rank, default=None)


def register_code(
    name: str, path: str, computer: Computer, version: str, prepend_text: str = "", with_mpi: bool = False
) -> tuple[InstalledCode, bool]:
    """Make the code of an engine, or return the one that has the same executable; it becomes the one that is used.

    :returns: the code, and whether it was made now.
    """
    engine = ENGINES[name]
    text = "export OMP_NUM_THREADS=1" + (f"\n{prepend_text}" if prepend_text else "")
    builder = orm.QueryBuilder()
    builder.append(orm.Computer, filters={"uuid": computer.uuid}, tag="computer")
    builder.append(orm.InstalledCode, with_computer="computer")
    existing = builder.all(flat=True)

    def is_same(code: InstalledCode) -> bool:
        return (
            str(code.filepath_executable) == path
            and code.default_calc_job_plugin == engine.plugin
            and code.label.startswith(f"{name}-{version}")
            and code.prepend_text == text
            and bool(code.with_mpi) == with_mpi
            and not code.is_hidden
        )

    code = next((item for item in existing if is_same(item)), None)
    created = code is None
    if code is None:
        labels = {item.label for item in existing}
        numbered = (f"{name}-{version}-{number}" for number in itertools.count(2))
        label = next(label for label in itertools.chain([f"{name}-{version}"], numbered) if label not in labels)
        code = orm.InstalledCode(
            label=label,
            description=f"{engine.executable} {version} (made by aiida-siox setup)",
            computer=computer,
            filepath_executable=path,
            default_calc_job_plugin=engine.plugin,
            with_mpi=with_mpi,
            prepend_text=text,
        ).store()
    current = find_code(name, computer.label)
    if current is None or current.uuid != code.uuid or "siox_engine" not in code.base.extras:
        code.base.extras.set_many({"siox_engine": name, "siox_registered": time.time()})
    return code, created


def get_codes(
    names: Iterable[str], selection: Mapping[str, str] | None = None, computer: str | None = None
) -> dict[str, InstalledCode]:
    """Return the codes of some engines, each with an executable that exists.

    :param names: keys of ``ENGINES``.
    :param selection: labels or identifiers of codes to take instead of the registered ones, keyed by engine.
    :param computer: label of the computer where they run; any when None, ``localhost`` first.
    :raises click.ClickException: naming all that is missing, with the remedy.
    """
    codes: dict[str, InstalledCode] = {}
    problems: list[str] = []
    for name in names:
        try:
            codes[name] = usable_code(name, (selection or {}).get(name), computer)
        except (AiidaException, ValueError) as exception:
            problems.append(f"{name}: {exception}")
    if problems:
        raise click.ClickException("Engines are missing or wrong.\n  " + "\n  ".join(problems) + f"\n{REMEDY}")
    return codes


def usable_code(name: str, wanted: str | None, computer: str | None) -> InstalledCode:
    """Return the code of one engine.

    :param wanted: label or identifier; the registered one when None.
    :raises ValueError: if there is none, it is of another engine, or its executable cannot be started.
    """
    engine = ENGINES[name]
    code = cast("InstalledCode", orm.load_code(wanted)) if wanted else find_code(name, computer)
    if code is None:
        raise ValueError(f"no code for {engine.executable} is registered")
    plugin = code.default_calc_job_plugin
    if wanted and plugin != engine.plugin and plugin in {other.plugin for other in ENGINES.values()}:
        raise ValueError(f"the code {code.full_label} is of {plugin}, not of {engine.plugin}")
    if problem := executable_problem(code):
        raise ValueError(problem)
    return code


def study_codes(computer: str | None = None) -> dict[str, InstalledCode]:
    """Return the codes of a study, with that of the training if there is one, on the computer or else on another.

    :param computer: label of the computer where the engines run; any when None, ``localhost`` first.
    :raises click.ClickException: naming all that is missing, with the remedy.
    """
    codes = get_codes(STUDY_ENGINES, computer=computer)
    found = [code for code in (find_code("analysis", computer), find_code("analysis")) if code is not None]
    usable = [code for code in found if not executable_problem(code)]
    return {**codes, "analysis": usable[0]} if usable else codes


def executable_problem(code: InstalledCode) -> str:
    """Say why the executable of a code on this machine cannot be started; empty when it can, or runs elsewhere."""
    if code.computer.transport_type != "core.local":
        return ""
    path = str(code.filepath_executable)
    if shutil.which(path) is None:
        return f"{path} (code {code.full_label}) does not exist or is not executable"
    return ""


def engine_table(computer: str | None = None) -> list[EngineStatus]:
    """Look at every engine: the registered code if there is a profile with one, else the executable on the PATH."""
    rows = []
    for name, engine in ENGINES.items():
        code = find_code(name, computer)
        if code is None:
            rows.append(inspect_engine(engine, find_executable(engine) if computer in (None, COMPUTER) else None, None))
        else:
            path = str(code.filepath_executable)
            rows.append(inspect_engine(engine, path, code.full_label, runner_of(code.computer)))
    return rows

"""Codes of the engines: registering them, finding them again, saying what is wrong with them.

AiiDA is imported inside the functions: ``aiida-siox --help`` does not need it.
"""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import click

from aiida_siox.cli.engines import (
    ENGINES,
    STUDY_ENGINES,
    EngineStatus,
    find_executable,
    inspect_engine,
    runner_of,
)
from aiida_siox.cli.profile import COMPUTER

if TYPE_CHECKING:
    from aiida.orm import Computer, InstalledCode

REMEDY = "Run `aiida-siox setup`; `aiida-siox setup --check` says what is usable."


def find_code(name: str, computer: str | None = None) -> InstalledCode | None:
    """Return the code that stands for an engine: the one registered last by ``aiida-siox setup``.

    A code with the name as the first part of its label (``pw-7.2``, ``pw``) is taken when none was registered so.

    :param name: key of ``ENGINES``.
    :param computer: label of the computer; any when None, ``localhost`` first.
    """
    from aiida import orm

    def query(filters: dict[str, Any], where: str | None) -> list[InstalledCode]:
        builder = orm.QueryBuilder()
        builder.append(orm.Computer, filters={"label": where} if where else {}, tag="computer")
        builder.append(orm.InstalledCode, filters=filters, with_computer="computer", tag="code")
        builder.order_by({"code": [{"mtime": "desc"}]})
        return [code for code in builder.all(flat=True) if not code.is_hidden]

    places = [computer] if computer else [COMPUTER, None]
    for filters in (
        {"extras.siox_engine": name},
        {"or": [{"label": name}, {"label": {"like": f"{name}-%"}}]},
    ):
        for place in places:
            codes = query(filters, place)
            if codes:
                return max(codes, key=lambda code: float(code.base.extras.get("siox_registered", 0.0)))
    return None


def register_code(
    name: str, path: str, computer: Computer, version: str, prepend_text: str = "", with_mpi: bool = False
) -> tuple[InstalledCode, bool]:
    """Make the code of an engine, or return the one that has the same executable; it becomes the one that is used.

    :returns: the code, and whether it was made now.
    """
    import time

    from aiida import orm

    engine = ENGINES[name]
    text = "export OMP_NUM_THREADS=1" + (f"\n{prepend_text}" if prepend_text else "")
    builder = orm.QueryBuilder()
    builder.append(orm.Computer, filters={"uuid": computer.uuid}, tag="computer")
    builder.append(orm.InstalledCode, with_computer="computer")
    existing = builder.all(flat=True)
    labels = {code.label for code in existing}
    code, created = None, False
    for item in existing:
        if (
            str(item.filepath_executable) == path
            and item.default_calc_job_plugin == engine.plugin
            and item.label.startswith(f"{name}-{version}")
            and item.prepend_text == text
            and bool(item.with_mpi) == with_mpi
            and not item.is_hidden
        ):
            code = item
    if code is None:
        label, number = f"{name}-{version}", 1
        while label in labels:
            number += 1
            label = f"{name}-{version}-{number}"
        code = orm.InstalledCode(
            label=label,
            description=f"{engine.executable} {version} (made by aiida-siox setup)",
            computer=computer,
            filepath_executable=path,
            default_calc_job_plugin=engine.plugin,
            with_mpi=with_mpi,
            prepend_text=text,
        ).store()
        created = True
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
    from aiida import orm
    from aiida.common.exceptions import AiidaException

    codes: dict[str, InstalledCode] = {}
    problems: list[str] = []
    for name in names:
        wanted = (selection or {}).get(name)
        code: InstalledCode | None
        if wanted:
            try:
                code = cast("InstalledCode", orm.load_code(wanted))
            except AiidaException as exception:
                problems.append(f"{name}: {exception}")
                continue
            plugin = code.default_calc_job_plugin
            if plugin not in (None, ENGINES[name].plugin) and plugin in {engine.plugin for engine in ENGINES.values()}:
                problems.append(f"{name}: the code {code.full_label} is of {plugin}, not of {ENGINES[name].plugin}")
                continue
        else:
            code = find_code(name, computer)
        if code is None:
            problems.append(f"{name}: no code for {ENGINES[name].executable} is registered")
            continue
        problem = executable_problem(code)
        if problem:
            problems.append(f"{name}: {problem}")
            continue
        codes[name] = code
    if problems:
        raise click.ClickException("Engines are missing or wrong.\n  " + "\n  ".join(problems) + f"\n{REMEDY}")
    return codes


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
    path = pathlib.Path(str(code.filepath_executable))
    found = shutil.which(str(path))
    if found is None:
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

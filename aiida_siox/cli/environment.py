"""Profile, computer and codes: making them, finding them again, saying what is wrong with them.

AiiDA is imported inside the functions: ``aiida-siox --help`` does not need it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from aiida.manage.configuration.profile import Profile
    from aiida.orm import Computer, InstalledCode

PROFILE = "siox"
COMPUTER = "localhost"
#: Process types whose results are taken from the cache: our jobs and functions, and those of aiida-quantumespresso.
#: (`aiida_siox.*` would be clearer, but AiiDA's check of this option tries to import a pattern with a dot.)
CACHED = ["aiida*siox*", "aiida*quantumespresso*"]
REMEDY = "Run `aiida-siox setup`; `aiida-siox setup --check` says what is usable."
OWN_SCRIPT = "it comes with aiida-siox: install the package again"


@dataclasses.dataclass(frozen=True)
class Engine:
    """An executable that the WorkChains need.

    :ivar name: the name of its role, and of the input in the namespaces ``codes``.
    :ivar executable: what is looked for on the PATH.
    :ivar plugin: entry point of the CalcJob.
    :ivar probe: arguments with which it says who it is; it gets an empty standard input.
    :ivar pattern: regular expression of that saying, with the version as its group.
    :ivar blas: whether its speed depends on the BLAS library.
    :ivar optional: whether the WorkChains do without it.
    """

    name: str
    executable: str
    plugin: str
    probe: str
    pattern: str
    blas: bool = False
    remedy: str = "apt-get install quantum-espresso, or conda install -c conda-forge qe"
    optional: bool = False


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "lmp",
            "lmp",
            "siox.melt_quench",
            "-h",
            r"Large-scale Atomic/Molecular Massively Parallel Simulator - (\d+ \w+ \d+)",
            remedy="apt-get install lammps lammps-data, or conda install -c conda-forge lammps",
        ),
        Engine("ld1", "ld1.x", "siox.ld1", "", r"Program LD1 v\.([\d.]+)"),
        Engine("pw", "pw.x", "quantumespresso.pw", "", r"Program PWSCF v\.([\d.]+)", blas=True),
        Engine("pp", "pp.x", "quantumespresso.pp", "", r"Program POST-PROC v\.([\d.]+)"),
        Engine("xspectra", "xspectra.x", "siox.xspectra", "", r"Program XSpectra v\.([\d.]+)", blas=True),
        Engine(
            "bader",
            "siox-bader",
            "siox.bader",
            "--version",
            r"(?:siox-bader\D*|[Vv]ersion\s+)(\d+(?:\.\d+)+)",
            remedy=OWN_SCRIPT,
        ),
        Engine(
            "train",
            "siox-train",
            "siox.train",
            "--version",
            r"siox-train (\d+(?:\.\d+)+)",
            remedy=OWN_SCRIPT,
            optional=True,
        ),
    )
}
#: What a study needs; the training runs inside the daemon when there is no code for it.
STUDY_ENGINES = tuple(name for name, engine in ENGINES.items() if not engine.optional)


@dataclasses.dataclass
class EngineStatus:
    """What is known of one engine: one row of ``setup --check``."""

    engine: str
    code: str | None
    path: str | None
    version: str | None
    blas: str | None
    usable: bool
    reason: str
    warning: str


def prepare_path() -> None:
    """Put the folder of this Python's scripts on the PATH: the daemon is started through ``verdi``."""
    folder = str(pathlib.Path(sys.executable).parent)
    paths = os.environ.get("PATH", "").split(os.pathsep)
    if folder not in paths:
        os.environ["PATH"] = os.pathsep.join([folder, *paths])


def current_profile_option() -> str | None:
    """Return what was given to ``aiida-siox --profile``."""
    context = click.get_current_context(silent=True)
    obj = context.find_root().obj if context else None
    return obj.get("profile") if isinstance(obj, dict) else None


def load_siox_profile(name: str | None = None) -> Profile:
    """Load the profile to work in, unless one is loaded already.

    In this order: the argument, ``aiida-siox --profile``, the profile ``siox``, the default profile.

    :raises click.ClickException: with the remedy if there is none.
    """
    prepare_path()
    from aiida import load_profile
    from aiida.common.exceptions import AiidaException
    from aiida.manage import get_config, get_manager

    name = name or current_profile_option()
    loaded = get_manager().get_profile()
    if loaded is not None and name in (None, loaded.name):
        return loaded
    try:
        config = get_config()
        if name is None:
            name = PROFILE if PROFILE in config.profile_names else config.default_profile_name
        if name is None or name not in config.profile_names:
            known = ", ".join(config.profile_names) or "none"
            raise click.ClickException(
                f"There is no AiiDA profile `{name or PROFILE}` in {config.dirpath} (profiles there: {known}). "
                "Run `aiida-siox setup` to make one, or set AIIDA_PATH to the folder that has it."
            )
        return load_profile(name, allow_switch=True)
    except AiidaException as exception:
        raise click.ClickException(
            f"The AiiDA profile could not be loaded: {exception}. "
            "Run `aiida-siox setup` to make one, or set AIIDA_PATH to the folder that has it."
        )


def let_readers_in(storage: pathlib.Path) -> None:
    """Let SQLite keep a write-ahead log, so that a reader (`show`, `report`) never blocks the daemon's commits.

    Without it a long query makes the worker's commit end with "database is locked" after five seconds, and aiida-core
    2.9 then keeps its half-open transaction: the daemon stands still. The mode stays with the file.
    """
    for path in storage.glob("*.sqlite"):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def create_profile(name: str) -> tuple[Profile, bool]:
    """Make a profile without services (SQLite storage, built-in ZeroMQ broker), or load it when it exists.

    :returns: the profile, and whether it was made now.
    """
    prepare_path()
    from aiida.manage.configuration import create_profile as create
    from aiida.manage.configuration import get_config, load_profile
    from aiida.plugins import BrokerFactory

    config = get_config(create=True)
    created = name not in config.profile_names
    if created:
        create(
            config,
            name=name,
            email="siox@localhost",
            storage_backend="core.sqlite_dos",
            storage_config={},
            broker_backend="core.zeromq",
            broker_config=BrokerFactory("core.zeromq").get_default_config(),
        )
        config.set_option("runner.poll.interval", 1, scope=name)
        if not config.default_profile_name:
            config.set_default_profile(name)
        config.store()
        let_readers_in(pathlib.Path(config.get_profile(name).storage_config["filepath"]))
    profile = load_profile(name, allow_switch=True)
    enabled = list(config.get_option("caching.enabled_for", scope=name) or [])
    if not set(CACHED) <= set(enabled):
        config.set_option("caching.enabled_for", enabled + [item for item in CACHED if item not in enabled], scope=name)
        config.store()
    return profile, created


def get_computer(label: str) -> Computer:
    """Return a configured Computer; ``localhost`` is made when it is missing.

    :raises click.ClickException: if it does not exist or is not configured for this user.
    """
    from aiida import orm
    from aiida.common.exceptions import NotExistent

    try:
        computer = orm.Computer.collection.get(label=label)
    except NotExistent:
        if label != COMPUTER:
            known = ", ".join(item.label for item in orm.Computer.collection.all()) or "none"
            raise click.ClickException(
                f"There is no computer `{label}` in this profile (there: {known}). Make it with "
                f"`verdi computer setup` and `verdi computer configure core.ssh {label}`."
            )
        computer = orm.Computer(
            label=label,
            hostname="localhost",
            description="This machine, without a scheduler (made by aiida-siox setup)",
            transport_type="core.local",
            scheduler_type="core.direct",
            workdir=local_workdir(),
        ).store()
        configure_local(computer)
    if not computer.is_configured and label == COMPUTER and computer.transport_type == "core.local":
        computer.set_workdir(local_workdir())  # it came with an archive, from another machine
        configure_local(computer)
    if not computer.is_configured:
        raise click.ClickException(
            f"The computer `{label}` is not configured: "
            f"run `verdi computer configure {computer.transport_type} {label}`."
        )
    return computer


def local_workdir() -> str:
    """Return the folder where engines run on this machine."""
    from aiida.manage import get_config, get_manager

    profile = get_manager().get_profile()
    assert profile is not None
    return str(pathlib.Path(get_config().dirpath) / "scratch" / profile.name)


def configure_local(computer: Computer) -> None:
    """Configure a computer as this machine.

    A login shell costs 0.4 s for each job, the default poll interval of 10 s more than many of our jobs. Below a
    second the worker is busy storing what it saw: each look is a commit to the database.
    """
    computer.set_minimum_job_poll_interval(1.0)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure(safe_interval=0, use_login_shell=False)


# --- looking at executables --------------------------------------------------------------------------------------


def run_locally(command: str) -> str:
    """Run a shell command in an empty folder (engines litter) and return what it prints, at most 30 s."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=30, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return ""
    return done.stdout + done.stderr


def runner_of(computer: Computer | None) -> Callable[[str], str]:
    """Return a function that runs a shell command where the codes of a computer run."""
    if computer is None or computer.transport_type == "core.local":
        return run_locally

    def run_remotely(command: str) -> str:
        with computer.get_transport() as transport:
            quoted = shlex.quote(f"folder=$(mktemp -d) && cd $folder && ({command}); rm -rf $folder")
            _, stdout, stderr = transport.exec_command_wait(f"timeout 60 /bin/sh -c {quoted} </dev/null")
        return str(stdout) + str(stderr)

    return run_remotely


def find_executable(engine: Engine) -> str | None:
    """Return the path of an engine: beside this Python, or on the PATH."""
    beside = pathlib.Path(sys.executable).parent / engine.executable
    if engine.executable.startswith("siox-") and os.access(beside, os.X_OK):
        return str(beside)
    return shutil.which(engine.executable)


def identify(engine: Engine, path: str, run: Callable[[str], str] = run_locally) -> tuple[str | None, str]:
    """Start an executable and read who it says it is.

    :returns: the version (None if it is not this engine), and otherwise the reason.
    """
    quoted = shlex.quote(path)
    output = run(f"test -x {quoted} || {{ echo siox-no-executable; exit; }}; {quoted} {engine.probe} </dev/null")
    if "siox-no-executable" in output:
        return None, f"{path} does not exist or is not executable"
    found = re.search(engine.pattern, output)
    if found is None:
        first = next((line.strip() for line in output.splitlines() if line.strip()), "nothing")
        return None, f"{path} is not {engine.executable}: it says `{first[:80]}`"
    return found.group(1).replace(" ", ""), ""


def blas_of(path: str, run: Callable[[str], str] = run_locally) -> tuple[str, str]:
    """Return the name of the BLAS library that an executable loads, and a warning when it is a slow one."""
    output = run(f"ldd {shlex.quote(path)}")
    for pattern, name in (
        ("openblas", "OpenBLAS"), ("mkl", "MKL"), ("blis", "BLIS"), ("armpl", "Arm PL"), ("libsci", "LibSci"),
        ("libatlas", "ATLAS"),
    ):  # fmt: skip
        if pattern in output.lower():
            return name, ""
    if "libblas.so" in output:
        # The alternative behind libblas.so may be any library: look at the file.
        target = re.search(r"libblas\.so\S* => (\S+)", output)
        resolved = run(f"readlink -f {shlex.quote(target.group(1))}").strip() if target else ""
        if "openblas" in resolved:
            return "OpenBLAS", ""
        return "reference", "reference BLAS, about twice as slow: apt-get install libopenblas0-serial"
    if "not a dynamic executable" in output or ".so" not in output:
        return "unknown", ""
    return "built in", ""


def inspect_engine(
    engine: Engine, path: str | None, code: str | None, run: Callable[[str], str] = run_locally
) -> EngineStatus:
    """Look at one engine and say whether it can be used."""
    if path is None:
        return EngineStatus(
            engine.name, code, None, None, None, False, f"{engine.executable} is not on the PATH: {engine.remedy}", ""
        )
    version, reason = identify(engine, path, run)
    blas, warning = blas_of(path, run) if engine.blas and version else (None, "")
    if version and code is None:
        reason = "not registered: run `aiida-siox setup`"
    return EngineStatus(
        engine.name, code, path, version, blas, version is not None and code is not None, reason, warning
    )


# --- codes -------------------------------------------------------------------------------------------------------


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
    found = [code for code in (find_code("train", computer), find_code("train")) if code is not None]
    usable = [code for code in found if not executable_problem(code)]
    return {**codes, "train": usable[0]} if usable else codes


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

"""The AiiDA profile and its computers: making them, finding them again."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import sys

import click
from aiida import load_profile, orm
from aiida.common.exceptions import AiidaException, NotExistent
from aiida.manage import get_config, get_manager
from aiida.manage.configuration import create_profile as create
from aiida.manage.configuration.profile import Profile
from aiida.orm import Computer
from aiida.plugins import BrokerFactory

PROFILE = "siox"
COMPUTER = "localhost"
#: Process types whose results are taken from the cache: our jobs and functions, and those of aiida-quantumespresso.
#: (`aiida_siox.*` would be clearer, but AiiDA's check of this option tries to import a pattern with a dot.)
CACHED = ["aiida*siox*", "aiida*quantumespresso*"]


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

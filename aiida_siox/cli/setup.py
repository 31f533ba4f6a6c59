"""``aiida-siox setup``: profile, computer and codes."""

from __future__ import annotations

import dataclasses
import pathlib
import time

import click
from aiida.manage import get_config

from aiida_siox.cli.codes import engine_table, register_code
from aiida_siox.cli.engines import ENGINES, find_executable, identify, inspect_engine, runner_of
from aiida_siox.cli.output.tables import emit_json, print_table
from aiida_siox.cli.profile import (
    COMPUTER,
    PROFILE,
    create_profile,
    current_profile_option,
    get_computer,
    load_siox_profile,
)
from aiida_siox.registry import nearest


def parse_paths(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read the ``--code ENGINE=PATH`` options."""
    paths = {}
    for value in values:
        name, separator, path = value.partition("=")
        if not separator or not path:
            raise click.BadParameter(f"`{value}` is not of the form ENGINE=PATH.")
        if name not in ENGINES:
            raise click.BadParameter(f"unknown engine `{name}`: {nearest(name, ENGINES)}")
        paths[name] = path
    return paths


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; say what is usable, and fail if something is missing.")
@click.option("--json", "as_json", is_flag=True, help="With --check: print JSON.")
@click.option("--computer", default=COMPUTER, show_default=True, help="Computer where the engines are.")
@click.option(
    "--code", "paths", multiple=True, metavar="ENGINE=PATH", callback=parse_paths,
    help=f"Absolute path of an engine ({', '.join(ENGINES)}); may be given more than once.",
)  # fmt: skip
@click.option("--prepend-text", default="", help="Shell lines before the engine starts in each job (module load ...).")
@click.option("--no-probe", is_flag=True, help="Register the paths of --code without starting the engines once.")
@click.option("--mpi/--no-mpi", default=False, help="Start the engines through the computer's mpirun command.")
def setup(
    check: bool, as_json: bool, computer: str, paths: dict[str, str], prepend_text: str, no_probe: bool, mpi: bool
) -> None:
    """Make a profile of its own and register the engines in it. Calling it again changes nothing that is right.

    The profile (name `siox`, or the one of `aiida-siox --profile`) needs no server: SQLite storage and AiiDA's
    built-in broker, in the folder AIIDA_PATH (default: ~/.aiida). On the computer localhost the engines are looked
    for on the PATH; on another computer, made before with `verdi computer setup`, name each with --code.
    """
    if check:
        raise SystemExit(run_check(computer, as_json))

    profile, created = create_profile(current_profile_option() or PROFILE)
    click.echo(f"profile {profile.name}: {made(created)} ({get_config().dirpath})")
    target = get_computer(computer)
    click.echo(f"computer {target.label}: ready")
    wanted, failed = dict(paths), []
    if target.transport_type == "core.local":
        for engine in ENGINES.values():
            path = paths.get(engine.name) or find_executable(engine)
            if path is not None:
                wanted[engine.name] = path
            elif not engine.optional:
                failed.append(f"{engine.name}: {engine.missing}")
    elif not wanted:
        raise click.ClickException(f"Name the engines on {computer}: --code pw=/path/to/pw.x --code ...")
    run = runner_of(target)
    for name, path in wanted.items():
        version: str | None
        if not pathlib.PurePosixPath(path).is_absolute():
            version, reason = None, f"{path} is not an absolute path"
        elif no_probe and name in paths:
            version, reason = time.strftime("%Y%m%d"), ""
        else:
            version, reason = identify(ENGINES[name], path, lambda command: run(f"{prepend_text}\n{command}"))
        if version is None:
            failed.append(f"{name}: {reason}")
            continue
        code, created = register_code(name, path, target, version, prepend_text=prepend_text, with_mpi=mpi)
        click.echo(f"code {code.full_label}: {made(created, 'registered')} ({path})")
    if failed:
        raise click.ClickException("Not all engines are usable.\n  " + "\n  ".join(failed))


def made(created: bool, word: str = "made") -> str:
    """Return whether something was made now."""
    return word if created else "there already"


def run_check(computer: str, as_json: bool) -> int:
    """Print the table of engines.

    :returns: 0 if all can be used, else 1.
    """
    profile: str | None
    try:
        profile = load_siox_profile().name
        rows = engine_table(computer)
    except click.ClickException:
        profile = None
        rows = [inspect_engine(engine, find_executable(engine), None) for engine in ENGINES.values()]
    usable = all(row.usable or ENGINES[row.engine].optional for row in rows)
    if as_json:
        emit_json({"profile": profile, "usable": usable, "engines": [dataclasses.asdict(row) for row in rows]})
    else:
        cells = []
        for row in rows:
            state = f"yes, {row.code}" if row.usable else f"no: {row.reason}"
            state += f"\n{row.warning}" if row.warning else ""
            cells.append([row.engine, row.path or "-", row.version or "-", row.blas or "-", state])
        title = f"Engines of profile {profile}" if profile else "Engines (no profile)"
        print_table(title, ["engine", "path", "version", "BLAS", "usable"], cells)
        if not usable:
            click.echo("Not all engines are usable: see the last column.", err=True)
    return 0 if usable else 1

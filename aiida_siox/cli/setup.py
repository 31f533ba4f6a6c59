"""``aiida-siox setup``: profile, computer and codes."""

from __future__ import annotations

import dataclasses
import difflib
import json
import pathlib

import click

from aiida_siox.cli.codes import engine_table, register_code
from aiida_siox.cli.engines import ENGINES, EngineStatus, find_executable, identify, runner_of
from aiida_siox.cli.profile import (
    COMPUTER,
    PROFILE,
    create_profile,
    current_profile_option,
    get_computer,
    load_siox_profile,
)


def parse_paths(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read the ``--code ENGINE=PATH`` options."""
    paths = {}
    for value in values:
        name, separator, path = value.partition("=")
        if not separator or not path:
            raise click.BadParameter(f"`{value}` is not of the form ENGINE=PATH.")
        if name not in ENGINES:
            near = difflib.get_close_matches(name, ENGINES, n=1, cutoff=0.4)
            hint = f" did you mean `{near[0]}`?" if near else ""
            raise click.BadParameter(f"unknown engine `{name}`:{hint} Valid: {', '.join(ENGINES)}.")
        paths[name] = path
    return paths


def print_table(rows: list[EngineStatus], profile: str | None) -> None:
    """Print the engines with rich."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Engines of profile {profile}" if profile else "Engines (no profile)", title_justify="left")
    for column in ("engine", "path", "version", "BLAS", "usable"):
        table.add_column(column, overflow="fold")
    for row in rows:
        state = f"[green]yes[/], {row.code}" if row.usable else f"[red]no[/]: {escape(row.reason)}"
        if row.warning:
            state += f"\n[yellow]{escape(row.warning)}[/]"
        table.add_row(row.engine, row.path or "-", row.version or "-", row.blas or "-", state)
    console = Console()
    Console(width=None if console.is_terminal else 140).print(table)


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

    import time

    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    profile, created = create_profile(current_profile_option() or PROFILE)
    console.print(f"profile {profile.name}: {'made' if created else 'there already'} ({config_folder()})")
    target = get_computer(computer)
    console.print(f"computer {target.label}: ready")
    run = runner_of(target)
    is_local = target.transport_type == "core.local"
    wanted = dict(paths)
    if is_local:
        for engine in ENGINES.values():
            found = find_executable(engine)
            if engine.name not in wanted and found is not None:
                wanted[engine.name] = found
    elif not wanted:
        raise click.ClickException(f"Name the engines on {computer}: --code pw=/path/to/pw.x --code ...")
    failed = [
        f"{engine.name}: {engine.executable} is not on the PATH: {engine.remedy}"
        for engine in ENGINES.values()
        if is_local and engine.name not in wanted and not engine.optional
    ]
    for name, path in wanted.items():
        engine = ENGINES[name]
        if not pathlib.PurePosixPath(path).is_absolute():
            failed.append(f"{name}: {path} is not an absolute path")
            continue
        version: str | None
        if no_probe and name in paths:
            version, reason = str(time.strftime("%Y%m%d")), ""
        else:
            version, reason = identify(engine, path, lambda command: run(f"{prepend_text}\n{command}"))
        if version is None:
            failed.append(f"{name}: {reason}")
            continue
        code, is_new = register_code(name, path, target, version, prepend_text=prepend_text, with_mpi=mpi)
        console.print(f"code {code.full_label}: {'registered' if is_new else 'there already'} ({path})")
    if failed:
        raise click.ClickException("Not all engines are usable.\n  " + "\n  ".join(failed))


def config_folder() -> str:
    """Return the folder of the AiiDA configuration."""
    from aiida.manage import get_config

    return str(get_config().dirpath)


def run_check(computer: str, as_json: bool) -> int:
    """Print the table of engines.

    :returns: 0 if all can be used, else 1.
    """
    profile: str | None
    try:
        profile = load_siox_profile().name
    except click.ClickException:
        profile = None
    if profile is None:
        from aiida_siox.cli.engines import inspect_engine

        rows = [inspect_engine(engine, find_executable(engine), None) for engine in ENGINES.values()]
    else:
        rows = engine_table(computer)
    usable = all(row.usable or ENGINES[row.engine].optional for row in rows)
    if as_json:
        click.echo(
            json.dumps({"profile": profile, "usable": usable, "engines": [dataclasses.asdict(row) for row in rows]})
        )
    else:
        print_table(rows, profile)
        if not usable:
            click.echo("Not all engines are usable: see the last column.", err=True)
    return 0 if usable else 1

"""``aiida-siox demo``: the study of the ``fast`` protocol, watched until its report is written."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import subprocess
import sys
import time
from typing import Any, cast

import click
from aiida import orm
from aiida.common.exceptions import AiidaException, InvalidOperation
from aiida.engine import submit
from aiida.engine.daemon.client import get_daemon_client
from aiida.engine.processes.control import get_active_processes
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from aiida_siox.cli.codes import study_codes
from aiida_siox.cli.common import NEW_FILE, named_outputs, with_profile
from aiida_siox.cli.daemon import daemon_processes, ensure_daemon, is_healthy
from aiida_siox.cli.engines import ENGINES
from aiida_siox.cli.launch import EXIT_INCOMPLETE
from aiida_siox.cli.output.numbers import duration
from aiida_siox.cli.progress import as_table, one_line, study_progress, verdict
from aiida_siox.report import write_report
from aiida_siox.report.timing import cpu_utilisation
from aiida_siox.workflows.study import StudyWorkChain

LABEL = "aiida-siox demo"
REPORT = "siox-demo-report.html"
#: Seconds between two views on a terminal, two lines elsewhere, and two looks at the daemon. Looking costs CPU that the
#: engines need.
VIEW_INTERVAL = 4.0
LINE_INTERVAL = 15.0
HEALTH_INTERVAL = 30.0


@click.command()
@click.option("--formula", "formulas", multiple=True, help="Composition; may be given more than once. [protocol's]")
@click.option("--seed", "seeds", multiple=True, type=int, help="Seed of the melt-quench. [protocol's]")
@click.option("--workers", default=2, show_default=True, help="Workers of the daemon, when it has to be started.")
@click.option(
    "--report", "report_path", type=NEW_FILE, default=REPORT,
    show_default=True, help="Where the report is written.",
)  # fmt: skip
@with_profile
def demo(formulas: tuple[str, ...], seeds: tuple[int, ...], workers: int, report_path: pathlib.Path) -> None:
    """Run the study of the `fast` protocol, from compositions to a report.

    It is handed to AiiDA's daemon; what is shown is only a view. Ctrl-C leaves it running, the next call shows it
    again. After everything was killed, the next call goes on where it was. A study that has ended is submitted again:
    all calculations come from AiiDA's cache.
    """
    codes = study_codes()
    study = running_study()
    done = {"running": "is running", "started": "started", "revived": "was broken off: started again"}[
        ensure_daemon(workers)
    ]
    click.echo(f"daemon: {done}")
    if study is not None:
        click.echo(f"study {study.pk}: goes on where it was")
    else:
        study = submit_study(codes, workers, formulas, seeds)
    # Compiled once; a demo that has ended has needed it already.
    warm_up = None if any(other.is_finished for other in demo_studies()) else start_warm_up()
    try:
        watch(study, workers)
    except KeyboardInterrupt:
        click.echo(
            f"\nDetached. Study {study.pk} goes on in the background.\n"
            f"{again()} shows it again. To look at it or to stop it yourself:"
        )
        commands = (environment_line(), f"aiida-siox status {study.pk}", f"verdi process kill {study.pk}")
        for command in filter(None, commands):
            click.echo(f"  {command}")
        raise SystemExit(0)
    finally:
        if warm_up is not None and warm_up.poll() is not None:
            warm_up.wait()
    raise SystemExit(conclude(study, report_path))


def again() -> str:
    """Return the command that re-attaches, as the user started it."""
    return "`make demo`" if os.environ.get("MAKELEVEL") else "`aiida-siox demo`"


def environment_line() -> str:
    """Return the line without which commands look into the user's own AiiDA configuration; empty where it is that."""
    if "AIIDA_PATH" not in os.environ:
        return ""
    scripts = pathlib.Path(sys.executable).parent
    return f"export AIIDA_PATH={shlex.quote(os.environ['AIIDA_PATH'])} PATH={shlex.quote(str(scripts))}:$PATH"


def demo_studies() -> list[orm.WorkChainNode]:
    """Return the studies that this command submitted, newest first."""
    builder = orm.QueryBuilder()
    builder.append(
        orm.WorkChainNode, filters={"label": LABEL, "process_type": "aiida.workflows:siox.study"}, tag="study"
    )
    builder.order_by({"study": [{"ctime": "desc"}]})
    return list(builder.all(flat=True))


def running_study() -> orm.WorkChainNode | None:
    """Return the study that has not ended yet."""
    return next((study for study in demo_studies() if not study.is_terminated), None)


def submit_study(
    codes: dict[str, Any], workers: int, formulas: tuple[str, ...] = (), seeds: tuple[int, ...] = ()
) -> orm.WorkChainNode:
    """Hand the study to the daemon and say what it is."""
    finished = [study for study in demo_studies() if study.is_finished]
    try:
        builder = StudyWorkChain.get_builder_from_protocol(
            codes=codes, protocol="fast", compositions=list(formulas) or None, seeds=list(seeds) or None
        )
    except ValueError as exception:
        raise click.ClickException(str(exception))
    builder.metadata.label = LABEL
    try:
        study = submit(builder)
    except InvalidOperation:
        # Another demo that ended just now has stopped the daemon.
        ensure_daemon(workers)
        study = submit(builder)
    cells = ", ".join(f"{formula} (seed {seed})" for formula, seed in study.inputs["configurations"].get_list())
    click.echo(f"study {study.pk}: submitted, protocol fast, {cells}")
    if finished:
        click.echo(
            f"study {finished[0].pk} has ended before: what it computed is taken from AiiDA's cache, only what failed "
            "or differs is computed"
        )
    return cast("orm.WorkChainNode", study)


def start_warm_up() -> subprocess.Popen[bytes] | None:
    """Compile what siox-bader needs while the first engines run; later calls find it compiled."""
    script = pathlib.Path(sys.executable).parent / ENGINES["bader"].executable
    if not script.exists():
        return None
    return subprocess.Popen(
        ["nice", "-n", "19", str(script), "--warm-up"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def watch(study: orm.WorkChainNode, workers: int) -> None:
    """Show how far the study is until it has ended, and keep its daemon alive."""
    console = Console(highlight=False)
    interval = VIEW_INTERVAL if console.is_terminal else LINE_INTERVAL
    next_view, next_health = 0.0, time.monotonic() + HEALTH_INTERVAL
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(Live(console=console, refresh_per_second=1)) if console.is_terminal else None
        while True:
            now = time.monotonic()
            is_over = study.is_terminated
            if now >= next_view or is_over:
                state = study_progress(study)
                if live is None:
                    click.echo(one_line(state))
                else:
                    live.update(Group(as_table(state), Text("Ctrl-C leaves it running in the background", style="dim")))
                next_view = now + interval
            if is_over:
                return
            if now >= next_health:
                keep_alive(workers)
                next_health = time.monotonic() + HEALTH_INTERVAL
            time.sleep(1.0)


def keep_alive(workers: int) -> None:
    """Start a daemon again that broke; leave one alone that somebody has stopped.

    :raises click.ClickException: when there is none any more.
    """
    client = get_daemon_client()
    if is_healthy(client):
        return
    if not any(daemon_processes(client).values()):
        raise click.ClickException(f"The daemon was stopped. The study goes on with {again()}.")
    ensure_daemon(workers)


def stop_idle_daemon() -> None:
    """Stop the daemon when nothing is left for it to do."""
    if get_active_processes(project="id"):
        return
    with contextlib.suppress(AiidaException):
        get_daemon_client().stop_daemon(wait=True, timeout=20)


def conclude(study: orm.WorkChainNode, report_path: pathlib.Path) -> int:
    """Write the report and say where it is, what the study cost, and what to try next.

    :returns: exit status of the command.
    """
    state = study_progress(study)
    click.echo("")
    click.echo(
        f"study {study.pk} (protocol fast): {verdict(state)}; {state.n_done} sites done, {state.n_failed} failed, "
        f"in {duration(state.elapsed_s)}"
    )
    if state.n_cached:
        click.echo(f"{state.n_cached} of {state.n_jobs} engine jobs were taken from the cache")
    click.echo(str(cpu_utilisation(study, os.cpu_count() or 1)))
    stop_idle_daemon()
    if not study.is_finished:
        click.echo(f"See `verdi process report {study.pk}`; the next {again()} starts over with what is in the cache.")
        return 1
    if not study.is_finished_ok:
        click.echo(f"What went wrong: `verdi process report {study.pk}`")
    path = report_path.resolve()
    write_report(study, path)
    click.echo(f"report: {path}")
    print_next(study)
    return 0 if study.is_finished_ok else EXIT_INCOMPLETE


def print_next(study: orm.WorkChainNode) -> None:
    """Print three commands to try, ready to be pasted."""
    outputs = named_outputs(study)
    commands = [f"aiida-siox show {pk}" for pk in [study.pk, *list(outputs.get("site_table", {}).values())[:1]]]
    model = next(iter(outputs.get("models", {}).values()), None)
    commands.append(f"verdi node graph generate {model}" if model else f"aiida-siox export {study.pk} study.aiida")
    click.echo("\nNext, three commands to try:")
    for command in filter(None, [environment_line(), *commands]):
        click.echo(f"  {command}")

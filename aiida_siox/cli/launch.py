"""Running a process here or handing it to the daemon, ending it with all its jobs, and telling what came of it."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
from aiida import orm
from aiida.common.exceptions import AiidaException
from aiida.engine import ProcessState, submit
from aiida.engine.utils import loop_scope
from aiida.manage import get_manager
from psutil import NoSuchProcess

from aiida_siox.cli.common import describe, named_outputs, say, user_errors, wants_json
from aiida_siox.cli.daemon import ensure_daemon
from aiida_siox.cli.output.tables import emit_json, print_table

#: Exit code of a command whose process failed, or succeeded in part only.
EXIT_INCOMPLETE = 3
#: Seconds between two looks at a process for the progress that is shown of it.
WATCH_INTERVAL = 0.5


def launch(builder: Any, submit: bool) -> None:
    """Run or submit a process, print what came of it, and leave with the exit code that says so."""
    if submit:
        finish_submitted(submit_process(builder))
    else:
        finish(run_process(builder))


def finish_submitted(node: orm.ProcessNode) -> None:
    """Print that a process was submitted."""
    if wants_json():
        emit_json({"process": node.pk, "exit_status": None, "outputs": {}})
    else:
        click.echo(f"Submitted {describe(node)} {node.pk}. Follow it with: aiida-siox status {node.pk}")


def finish(node: orm.ProcessNode, outputs: dict[str, Any] | None = None, complete: bool = True) -> None:
    """Print the outputs of a process that has ended, and leave with the exit code that says how.

    :param outputs: label → PK; those of the process when None.
    :param complete: False if something beside the process went wrong.
    """
    outputs = named_outputs(node) if outputs is None else outputs
    if not node.is_finished_ok:
        say(failure_text(node))
    if wants_json():
        emit_json({"process": node.pk, "exit_status": node.exit_status, "outputs": outputs})
    else:
        print_outputs(node, outputs)
    if not (node.is_finished_ok and complete):
        click.get_current_context().exit(EXIT_INCOMPLETE)


def run_process(builder: Any, watch: Callable[[orm.ProcessNode], None] | None = None) -> Any:
    """Run a process here and return its node, whatever came of it.

    All that AiiDA and the engines print goes to stderr. Ctrl-C kills the process with all its jobs.

    :param watch: is called with the node again and again while the process runs.
    :raises click.ClickException: if the inputs are not valid.
    """
    # as aiida.engine.run does: nothing here needs the broker, which lives only while the daemon does
    runner = get_manager().create_runner(communicator=None)
    with contextlib.redirect_stdout(sys.stderr):
        with user_errors():
            process = runner.instantiate_process(builder)
        node = process.node
        say(f"Running {describe(node)} {node.pk}; Ctrl-C stops it.")
        try:
            with loop_scope(runner.loop), killed_by_signals(process, runner.loop), watched(runner.loop, node, watch):
                process.execute()
        except Exception:
            # a process that excepted or was killed ends with that exception; its node keeps it and is reported
            if not (node.is_excepted or node.is_killed):
                raise
        finally:
            if not node.is_finished:
                stop_descendants(node)
    return node


@contextlib.contextmanager
def killed_by_signals(process: Any, loop: Any) -> Iterator[None]:
    """Kill a process when Ctrl-C or a request to terminate comes; a second Ctrl-C is one.

    AiiDA's own runner does so in the signal handler itself, that is, possibly in the middle of a transaction of the
    database, which then stays broken while the process goes on waiting. The event loop calls between two steps.
    """
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt() -> None:
        for number in signals:
            loop.remove_signal_handler(number)
        say(f"Stopping {describe(process.node)} {process.node.pk} ...")
        process.kill(msg_text="Killed by the user.")

    for number in signals:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def watched(loop: Any, node: orm.ProcessNode, watch: Callable[[orm.ProcessNode], None] | None) -> Iterator[None]:
    """Call a function with a node once in a while, between two steps of the event loop."""
    handle: Any = None

    def look() -> None:
        nonlocal handle
        assert watch is not None
        watch(node)
        handle = loop.call_later(WATCH_INTERVAL, look)

    if watch is not None:
        look()
    try:
        yield
    finally:
        if handle is not None:
            handle.cancel()


def stop_descendants(node: orm.ProcessNode) -> None:
    """End the jobs of a process that was broken off, and mark what has not ended under it as killed.

    Without a broker a process cannot tell its children to stop: they would wait for ever, and their engines run on.
    """
    for child in node.called_descendants:
        if child.is_terminated:
            continue
        if isinstance(child, orm.CalcJobNode):
            stop_job(child)
        child.set_process_state(ProcessState.KILLED)
        child.set_process_status(f"Killed with {describe(node)} {node.pk}")
        if not child.is_sealed:
            child.seal()


def stop_job(node: orm.CalcJobNode) -> None:
    """Kill the job of a CalcJob, where it has one."""
    job, computer = node.get_job_id(), node.computer
    if job is None or computer is None:
        return
    try:
        scheduler = computer.get_scheduler()
        with node.get_transport() as transport:
            scheduler.set_transport(transport)
            scheduler.kill_job(job)
    except NoSuchProcess:
        return  # core.direct: it has just ended
    except (OSError, AiidaException) as exception:
        say(f"The job {job} of {describe(node)} {node.pk} may still run: {exception}")


def submit_process(builder: Any) -> orm.ProcessNode:
    """Hand a process to the daemon, which is started where it does not run.

    :raises click.ClickException: if the inputs are not valid, or the profile has no broker to submit through.
    """
    profile = get_manager().get_profile()
    if profile is None or profile.process_control_backend is None:
        raise click.ClickException(
            "this profile has no broker, so nothing can be submitted: leave out --submit, or take the profile that "
            "`aiida-siox setup` makes."
        )
    with contextlib.redirect_stdout(sys.stderr), user_errors():
        if ensure_daemon() != "running":
            say("Started AiiDA's daemon; `verdi daemon stop` ends it.")
        return submit(builder)


def failure_text(node: orm.ProcessNode) -> str:
    """Return why a process did not end well."""
    if node.is_excepted:
        return f"{describe(node)} {node.pk} broke off: {node.exception}"
    if node.is_killed:
        return f"{describe(node)} {node.pk} was killed."
    if node.is_failed:
        return (
            f"{describe(node)} {node.pk} ended with exit status {node.exit_status}: {node.exit_message} "
            f"See `verdi process report {node.pk}`."
        )
    return f"{describe(node)} {node.pk} is {node.process_state.value if node.process_state else 'not started'}."


def print_outputs(node: orm.ProcessNode, outputs: dict[str, Any]) -> None:
    """Print the outputs of a process as a table with the next commands."""
    rows: list[list[str]] = []
    for label, value in outputs.items():
        named = value if isinstance(value, Mapping) else {"": value}
        rows += [[f"{label} {name}".strip(), str(pk)] for name, pk in named.items()]
    if rows:
        print_table(f"{describe(node)} {node.pk}", ["output", "PK"], rows)
    click.echo(f"Next: aiida-siox show {node.pk}")

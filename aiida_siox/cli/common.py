"""What the commands share: options, loading nodes, running a process, JSON, and errors without a traceback."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import pathlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click
from aiida import orm
from aiida.common.exceptions import AiidaException, MultipleObjectsError, NotExistent
from aiida.common.links import LinkType
from rich.console import Console
from rich.table import Table

from aiida_siox.science.plain import plain

#: Exit code of a command whose process failed, or succeeded in part only.
EXIT_INCOMPLETE = 3
#: Seconds between two looks at the children of a process that runs without a broker.
POLL_INTERVAL = 0.2
#: Seconds between two looks at a process for the progress that is shown of it.
WATCH_INTERVAL = 0.5

#: Labels of the outputs in JSON, with the name of the output namespace of a study where that differs.
OUTPUT_LABELS = {
    "structure": "structures",
    "quality": "qualities",
    "profiles": "profiles",
    "attempts": "attempts",
    "acceptance": "acceptance",
    "rejected": "rejected",
    "failure": "failures",
    "site_table": "site_tables",
    "calibration": "calibrations",
    "comparison": "comparison",
    "dataset": "dataset",
    "charge_model": "charge_model",
    "rdf_model": "rdf_model",
}

#: What AiiDA puts before the messages of our validators.
AIIDA_PREFIX = re.compile(r"^Error occurred validating port '[^']*': ")

Command = Callable[..., Any]
NodeT = TypeVar("NodeT", bound=orm.Node)


def say(text: str) -> None:
    """Tell the user something on stderr, where it never mixes with results."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


@contextlib.contextmanager
def user_errors(prefix: str = "") -> Iterator[None]:
    """Turn what is wrong with the user's input into one clear message.

    :param prefix: what was being done or read, put before the message.
    """
    try:
        yield
    except (ValueError, FileNotFoundError, AiidaException) as exception:
        text = AIIDA_PREFIX.sub("", str(exception)) or type(exception).__name__
        raise click.ClickException(f"{prefix}: {text}" if prefix else text)


def with_profile(function: Command) -> Command:
    """Load the profile of the package before a command runs."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from aiida_siox.cli.profile import load_siox_profile

        with user_errors():
            load_siox_profile()
        return function(*args, **kwargs)

    return wrapper


def load_node(identifier: str, wanted: type[NodeT]) -> NodeT:
    """Load a node by its PK or UUID.

    :param wanted: what the node must be; ``orm.Node`` for anything.
    :raises click.ClickException: if there is no such node, or it is something else.
    """
    try:
        node = orm.load_node(identifier)
    except NotExistent:
        raise click.ClickException(
            f"there is no node `{identifier}` in this profile. `aiida-siox status` lists studies, "
            "`verdi process list -a` all processes."
        )
    except MultipleObjectsError:
        raise click.ClickException(f"`{identifier}` is the beginning of several UUIDs: give more of it.")
    except ValueError:
        raise click.ClickException(f"`{identifier}` is neither a PK nor a UUID.")
    if not isinstance(node, wanted):
        raise click.ClickException(f"node {node.pk} is a {describe(node)}, but a {wanted.__name__} is needed here.")
    return node


def describe(node: orm.Node) -> str:
    """Return what a node is, for a message."""
    if isinstance(node, orm.ProcessNode):
        return f"{node.process_label or type(node).__name__} process"
    return type(node).__name__


def process_class_name(node: orm.ProcessNode) -> str:
    """Return the entry point name of a process (``siox.study``), or an empty text."""
    return (node.process_type or "").partition(":")[2]


def emit_json(value: Any) -> None:
    """Write a value as one line of JSON on stdout."""
    click.echo(json.dumps(plain(value), allow_nan=False, ensure_ascii=False))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table on stdout; numbers are right-aligned."""
    table = Table(header_style="bold")
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[i]) for row in rows)
        table.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*row)
    # a pipe or a file has no width: what is read by a program is not to be folded
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    console.print(title, style="bold", soft_wrap=True)
    console.print(table)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "-")
    return True


def number(value: float | None, decimals: int = 3, signed: bool = False) -> str:
    """Return a number as text, ``-`` for none."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:{'+' if signed else ''}.{decimals}f}"


def size_text(n_bytes: float) -> str:
    """Return bytes in a unit that suits them."""
    power = min(3, max(1, int(math.log10(max(n_bytes, 1.0)) // 3)))
    return f"{n_bytes / 1000**power:.3g} {('kB', 'MB', 'GB')[power - 1]}"


def named_outputs(node: orm.ProcessNode) -> dict[str, Any]:
    """Return the PKs of the outputs of a process under their labels in JSON.

    For a study ``structure``, ``quality`` and ``site_table`` map ``<formula>_<seed>`` to PKs; for reference crystals
    ``site_table`` and ``calibration`` map the names of the cases to PKs.
    """
    returned = node.base.links.get_outgoing(link_type=LinkType.RETURN).nested()
    outputs: dict[str, Any] = {}
    for label, plural in OUTPUT_LABELS.items():
        for name in {label, plural}:
            value = returned.get(name)
            if isinstance(value, Mapping):
                outputs[label] = {str(key): entry.pk for key, entry in sorted(value.items())}
            elif value is not None:
                outputs[label] = value.pk
    return outputs


def launch(builder: Any, submit: bool) -> None:
    """Run or submit a process, print what came of it, and leave with the exit code that says so."""
    if submit:
        finish_submitted(submit_process(builder))
    else:
        finish(run_process(builder))


def wants_json() -> bool:
    """Return whether ``--json`` was given to the command that runs."""
    return bool(click.get_current_context().params.get("as_json"))


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


def local_runner() -> Any:
    """Return the runner of this interpreter, one that needs no broker while the daemon is down.

    The ZeroMQ broker lives with the daemon. Without it the runner looks at its children itself.
    """
    from aiida.engine.daemon.client import get_daemon_client
    from aiida.manage import get_manager

    if get_daemon_client().is_daemon_running:
        return get_manager().get_runner()
    return get_manager().get_runner(communicator=None, poll_interval=POLL_INTERVAL)


def run_process(builder: Any, watch: Callable[[orm.ProcessNode], None] | None = None) -> Any:
    """Run a process here and return its node, whatever came of it.

    All that AiiDA and the engines print goes to stderr. Ctrl-C kills the process with all its jobs.

    :param watch: is called with the node again and again while the process runs.
    :raises click.ClickException: if the inputs are not valid.
    """
    from aiida.engine.utils import loop_scope
    from aiida.manage import get_manager

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
    import signal

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
    from aiida.engine import ProcessState

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
    from psutil import NoSuchProcess

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
    from aiida.engine import submit
    from aiida.manage import get_manager

    from aiida_siox.cli.daemon import ensure_daemon

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


def scheduler_options(path: pathlib.Path | None, engine: str | None = None) -> dict[str, Any] | None:
    """Read scheduler options, keyed by engine, from a yaml file.

    :param engine: the only engine whose options are wanted.
    """
    from aiida_siox.cli.engines import ENGINES
    from aiida_siox.workflows.protocol import read_overrides
    from aiida_siox.workflows.utils import validate_options

    if path is None:
        return None
    with user_errors():
        options = read_overrides(path)
        if message := validate_options(options, tuple(ENGINES)):
            raise ValueError(f"{path}: {message}")
    return options if engine is None else options.get(engine)


def json_option(function: Command) -> Command:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one line of JSON on stdout, the rest on stderr."
    )(function)


def protocol_options(function: Command) -> Command:
    """Add ``--protocol`` and ``--overrides``."""
    overrides_type = click.Path(exists=True, dir_okay=False, path_type=pathlib.Path)
    function = click.option(
        "--overrides",
        type=overrides_type,
        help="yaml file with the protocol's keys that differ; unknown keys are refused.",
    )(function)
    return click.option("--protocol", help="fast, balanced or paper [default: fast]; of structures `shortened`, too.")(
        function
    )


def read_changes(path: pathlib.Path | None, material: str | None) -> dict[str, Any]:
    """Return the overrides of a file, with the material that was named beside it.

    :raises click.ClickException: for a file that cannot be read, an unknown material, or one that is no material.
    """
    from aiida_siox.materials import load_material
    from aiida_siox.workflows.protocol import read_overrides

    with user_errors():
        content = {} if path is None else read_overrides(path)
        if material is not None:
            if content.get("material", material) != material:
                raise ValueError(f"--material {material}, but {path} has another `material`: give one of them.")
            content["material"] = material
        if "material" in content:
            content["material"] = load_material(content["material"]).plain()
    return content


def launch_options(function: Command) -> Command:
    """Add the options of all ``run`` commands; ``overrides`` is what the file holds, with the material."""
    inner = function

    @functools.wraps(inner)
    def outer(*args: Any, material: str | None, overrides: pathlib.Path | None, **kwargs: Any) -> Any:
        return inner(*args, overrides=read_changes(overrides, material), **kwargs)

    function = json_option(outer)
    function = click.option(
        "--material",
        help="Name of a material, or the yaml file of another one (absorber, edge, data sets) [default: siox].",
    )(function)
    function = click.option("--submit", is_flag=True, help="Leave it to the daemon, started if need be, and return.")(
        function
    )
    function = click.option(
        "--computer", help="Label of the computer whose codes are taken; the one `setup` made when not given."
    )(function)
    function = click.option(
        "--options",
        "options_file",
        type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
        help="yaml file with scheduler options for each engine (lmp, pw, pp, xspectra, …), e.g. "
        "`pw: {max_wallclock_seconds: 3600}`.",
    )(function)
    function = click.option(
        "--max-concurrent", type=click.IntRange(min=1), help="Engine jobs that may run at the same time."
    )(function)
    return protocol_options(function)

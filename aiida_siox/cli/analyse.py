"""``aiida-siox analyse``: splits, windows, averages, uncertainty, learning curve and models of a data set."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
from aiida import orm
from aiida.engine import Process
from plumpy.process_states import KillInterruption
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from aiida_siox.calculations.analysis import ANALYSIS_VERSION, analyse_part, listening
from aiida_siox.cli.analyse_text import print_analysis
from aiida_siox.cli.codes import get_codes
from aiida_siox.cli.common import describe, json_option, load_node, say, scheduler_options, user_errors, with_profile
from aiida_siox.cli.launch import EXIT_INCOMPLETE, failure_text, run_process, submit_process
from aiida_siox.cli.output.files import writing
from aiida_siox.cli.output.tables import emit_json
from aiida_siox.data.analysis import analysis_of, group_label, keep_in_group
from aiida_siox.data.dataset import DatasetData
from aiida_siox.learning.analysis.parameters import PARAMETERS
from aiida_siox.registry import nearest
from aiida_siox.report.analysis import write_analysis_report
from aiida_siox.workflows.analysis import AnalysisProtocol
from aiida_siox.workflows.protocol import read_overrides
from aiida_siox.workflows.training import job_builder

Update = Callable[[float, str], None]

PARTS = tuple(PARAMETERS)
#: Key of the code in ``setup`` and of its scheduler options.
CODE = "analysis"

code_option = click.option("--code", "code_label", metavar="LABEL", help="Run as a job of this code of siox-analyse.")
scheduler_file_option = click.option(
    "--options",
    "options_file",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="With --code: yaml file with scheduler options, e.g. `analysis: {max_wallclock_seconds: 3600}`.",
)


@dataclasses.dataclass
class Done:
    """What came of one part.

    :ivar node: its process.
    :ivar reason: why it failed, empty when it did not.
    """

    node: orm.ProcessNode
    reason: str

    @property
    def nodes(self) -> dict[str, orm.Data]:
        """Results by name: ``analysis``, and the models by property."""
        if not self.node.is_finished_ok:
            return {}
        models = self.node.outputs.models if "models" in self.node.outputs else {}
        return {"analysis": self.node.outputs.analysis, **{name: models[name] for name in models}}

    @property
    def is_cached(self) -> bool:
        """Whether nothing had to be computed."""
        return bool(self.node.base.caching.is_created_from_cache)


def read_parts(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str]:
    """Read ``splits,windows`` (callback of an option); all parts when None."""
    names = list(PARTS) if value is None else value.replace(",", " ").split()
    for name in names:
        if name not in PARTS:
            raise click.BadParameter(f"there is no part `{name}`: {nearest(name, list(PARTS))}")
    if not names:
        raise click.BadParameter(f"name parts with commas between them: {','.join(PARTS)}.")
    return [part for part in PARTS if part in names]


@click.command()
@click.argument("identifier", metavar="DATASET")
@click.option("--parts", callback=read_parts, help=f"Some of {','.join(PARTS)}, with commas; all when not given.")
@click.option("--target", "targets", multiple=True, help="Property to learn; may be repeated. [default: by part]")
@code_option
@click.option("--submit", is_flag=True, help="With --code: leave the jobs to the daemon, all at one time, and return.")
@scheduler_file_option
@click.option("--protocol", help="fast, balanced or paper [default: balanced].")
@click.option(
    "--overrides",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="yaml file with the protocol's keys that differ, by part; unknown keys are refused.",
)
@click.option(
    "--report",
    "report_folder",
    type=click.Path(file_okay=False, path_type=pathlib.Path),
    help="Folder of the report; siox-analysis-PK when not given. Files of the same names are written over.",
)
@click.option("--no-report", is_flag=True, help="Store and print the scores, draw nothing.")
@json_option
@with_profile
def analyse(
    identifier: str,
    parts: list[str],
    targets: tuple[str, ...],
    code_label: str | None,
    submit: bool,
    options_file: pathlib.Path | None,
    protocol: str | None,
    overrides: pathlib.Path | None,
    report_folder: pathlib.Path | None,
    no_report: bool,
    as_json: bool,
) -> None:
    """Analyse a data set, given by PK or UUID: how well networks read its spectra, and how sure they are.

    Part after part runs here, and each is stored as soon as it has ended: after Ctrl-C the same command goes on with
    the parts that are missing, and what was computed before comes from AiiDA's cache.
    """
    dataset = load_node(identifier, DatasetData)
    if code_label is None and submit:
        raise click.ClickException("--submit belongs to jobs: name the code of siox-analyse with --code.")
    with user_errors():
        group_label(dataset)
        changes = None if overrides is None else read_overrides(overrides)
        parameters = AnalysisProtocol.get_parameters(protocol, changes, targets)
    run = make_run(dataset, parameters, code_label, options_file)
    if submit and isinstance(run, JobRun):
        submitted(dataset, {part: submit_process(run.builder(part)) for part in parts}, as_json)
        return
    done: dict[str, Done] = {}
    with progress_bar() as advance:
        for part in parts:
            done[part] = result = timed(run, part, advance)
            if result.nodes:
                keep_in_group(dataset, result.nodes.values())
            if result.node.is_killed:
                break
    page = None if no_report else written_report(dataset, *analysis_of(dataset), report_folder)
    conclude(dataset, parts, done, page, as_json)


# --- running one part ----------------------------------------------------------------------------------------------


def make_run(
    dataset: Any, parameters: dict[str, dict[str, Any]], code_label: str | None, options_file: pathlib.Path | None
) -> FunctionRun | JobRun:
    """Return what runs a part: here, or as a job where there is a code.

    :raises click.ClickException: if there are options without a code, or no such code.
    """
    if code_label is None:
        if options_file is not None:
            raise click.ClickException("--options belongs to jobs: name the code of siox-analyse with --code.")
        return FunctionRun(dataset, parameters)
    code = get_codes([CODE], selection={CODE: code_label})[CODE]
    return JobRun(dataset, parameters, code, scheduler_options(options_file, CODE) or {})


class FunctionRun:
    """Runs a part as a calcfunction in this interpreter: the daemon, which it would block, has no share in it."""

    def __init__(self, dataset: Any, parameters: dict[str, dict[str, Any]]) -> None:
        self.dataset = dataset
        self.parameters = parameters

    def __call__(self, part: str, update: Update) -> orm.ProcessNode:
        """Run the part, and return its node whatever came of it: killed by Ctrl-C, broken off, or finished."""
        listener = Listener(update)
        inputs = (self.dataset, orm.Str(part), orm.Dict(self.parameters[part]), orm.Int(ANALYSIS_VERSION))
        try:
            with listening(listener), contextlib.redirect_stdout(sys.stderr):
                return analyse_part.run_get_node(*inputs)[1]
        except Exception:
            # whatever the part ran into: the node keeps it, and the next part may be well
            if listener.node is None:
                raise
            return listener.node


class Listener:
    """Hears how far a calcfunction is, and lets Ctrl-C end it at once.

    AiiDA's own handler of the signal waits for the end of the function, which may be minutes away.
    """

    def __init__(self, update: Update) -> None:
        self.node: orm.ProcessNode | None = None
        self._update = update

    def __call__(self, fraction: float, text: str) -> None:
        """Hear; called inside the function."""
        if self.node is None:
            process: Any = Process.current()
            self.node = process.node
            signal.signal(signal.SIGINT, self._kill)  # AiiDA puts the former handler back when the function ends
        self._update(fraction, text)

    @staticmethod
    def _kill(number: int, frame: Any) -> None:
        raise KillInterruption("Killed by the user.")


class JobRun:
    """Runs a part as a job of ``siox-analyse``, wherever its code is."""

    def __init__(
        self, dataset: Any, parameters: dict[str, dict[str, Any]], code: orm.AbstractCode, options: dict[str, Any]
    ) -> None:
        self.dataset = dataset
        self.parameters = parameters
        self.code = code
        self.options = options

    def builder(self, part: str) -> Any:
        """Return the builder of the job of a part."""
        return job_builder(self.code, self.dataset, part, self.parameters[part], self.options)

    def __call__(self, part: str, update: Update) -> orm.ProcessNode:
        """Run the part, and say in what state its job is."""
        return run_process(self.builder(part), lambda node: update(0.0, job_state(node)))


def job_state(node: orm.ProcessNode) -> str:
    """Return what a job does at the moment."""
    state = getattr(node, "get_scheduler_state", lambda: None)()
    if state is not None:
        return f"job {node.get_job_id()}: {state.value}"
    return str(node.process_status or (node.process_state.value if node.process_state else "created"))


def timed(run: Callable[[str, Update], orm.ProcessNode], part: str, advance: Callable[[str], Update]) -> Done:
    """Run a part and say in one line what came of it."""
    start = time.perf_counter()
    update = advance(part)
    node = run(part, update)
    update(1.0, "")
    result = Done(node, "" if node.is_finished_ok else failure_text(node))
    if result.reason:
        say(f"{part}: {result.reason}")
    else:
        how = "from the cache" if result.is_cached else f"{time.perf_counter() - start:.0f} s"
        say(f"{part}: {describe(result.nodes['analysis'])} {result.nodes['analysis'].pk}, {how}")
    return result


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[str], Update]]:
    """Show a bar for each part on stderr; gives a function that begins a part and returns what moves its bar."""
    columns = (
        TextColumn("{task.description:<14}", markup=False),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def advance(part: str) -> Update:
            task = progress.add_task(part, total=1.0, text="")

            def update(fraction: float, text: str) -> None:
                progress.update(task, completed=fraction, text=text)

            return update

        yield advance


# --- what comes of it ----------------------------------------------------------------------------------------------


def submitted(dataset: Any, nodes: dict[str, orm.ProcessNode], as_json: bool) -> None:
    """Say what was handed to the daemon."""
    if as_json:
        process = {part: node.pk for part, node in nodes.items()}
        emit_json({"process": process, "exit_status": None, "outputs": {}, "scores": {}, "report": None})
        return
    for part, node in nodes.items():
        click.echo(f"Submitted {part}: {describe(node)} {node.pk}")
    click.echo(
        f"Follow them with `aiida-siox status PK`. When they have ended, the same command without --submit takes their "
        f"results from the cache and reports on data set {dataset.pk}."
    )


def written_report(
    dataset: Any, parts: dict[str, Any], models: dict[str, Any], folder: pathlib.Path | None
) -> pathlib.Path | None:
    """Write the report of all parts that are there, and return its page; None if there is nothing to report."""
    if not parts:
        return None
    path = folder or pathlib.Path(f"siox-analysis-{dataset.pk}")
    say(f"Drawing the report into {path} ...")
    with user_errors("no report"), writing(path):
        return write_analysis_report(path, dataset, parts, models)


def conclude(dataset: Any, parts: list[str], done: dict[str, Done], report: pathlib.Path | None, as_json: bool) -> None:
    """Print the scores or one line of JSON, and leave with the exit code that says whether all parts are there."""
    found, models = analysis_of(dataset)
    found = {part: found[part] for part in parts if part in done and done[part].nodes}
    if as_json:
        statuses = [result.node.exit_status for result in done.values()]
        emit_json(
            {
                "process": {part: result.node.pk for part, result in done.items()},
                "exit_status": max((status for status in statuses if status is not None), default=None),
                "outputs": {
                    **{part: node.pk for part, node in found.items()},
                    "models": {target: model.pk for target, model in models.items()},
                },
                "scores": {part: node.scores for part, node in found.items()},
                "failures": {part: result.reason for part, result in done.items() if result.reason},
                "report": report,
            }
        )
    else:
        print_analysis(dataset, {part: node.base.attributes.all for part, node in found.items()})
        for target, model in models.items():
            click.echo(f"Model of {target}: {model.pk}. Next: aiida-siox predict {model.pk} SPECTRUM.txt")
        if found:
            click.echo(f"Group of the analysis: {group_label(dataset)}")
        if report is not None:
            click.echo(f"Report: {report}")
    if len(found) < len(parts):
        missing = ", ".join(part for part in parts if part not in found)
        say(f"Without a result: {missing}. The same command tries them again; the rest comes from the cache.")
        click.get_current_context().exit(EXIT_INCOMPLETE)

"""``aiida-siox status``: what runs, and how many sites are done, failed and left."""

from __future__ import annotations

import click
from aiida import orm
from aiida.engine.daemon.client import get_daemon_client
from rich.console import Console

from aiida_siox.cli import progress as module
from aiida_siox.cli.common import load_node, with_profile
from aiida_siox.cli.output.numbers import duration
from aiida_siox.cli.output.tables import emit_json, print_table


@click.command()
@click.argument("identifier", metavar="[PK]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--limit", default=10, show_default=True, help="Without PK: how many processes to list.")
@with_profile
def status(identifier: str | None, as_json: bool, limit: int) -> None:
    """Show how far a study, or any process, is; without PK, list the latest ones."""
    if identifier is not None:
        state = module.study_progress(load_node(identifier, orm.ProcessNode))
        if as_json:
            emit_json(state.as_dict())
        else:
            Console(highlight=False).print(module.as_table(state))
            if not state.is_over:
                warn_without_daemon()
        return
    states = [module.study_progress(node) for node in latest_processes(limit)]
    if as_json:
        emit_json([state.as_dict() for state in states])
        return
    if not states:
        click.echo("No processes yet. Start with `aiida-siox demo`, or `aiida-siox run --help`.")
        return
    rows = [
        [
            str(state.pk),
            state.kind + (f": {state.label}" if state.label else ""),
            module.verdict(state),
            module.counts(state),
            duration(state.elapsed_s),
            "-" if state.is_over else module.expected_end(state),
        ]
        for state in states
    ]
    columns = ["PK", "process", "state", "done/failed/left", "elapsed", "expected end"]
    print_table("Latest processes", columns, rows)
    if not all(state.is_over for state in states):
        warn_without_daemon()


def latest_processes(limit: int) -> list:
    """Return the latest processes of this package that nobody called, newest first."""
    builder = orm.QueryBuilder()
    builder.append(orm.WorkChainNode, filters={"process_type": {"like": "aiida.workflows:siox.%"}}, tag="process")
    builder.order_by({"process": [{"ctime": "desc"}]})
    roots = []
    for node in builder.iterall():
        if node[0].caller is None:
            roots.append(node[0])
        if len(roots) == limit:
            break
    return roots


def warn_without_daemon() -> None:
    """Say so when a process cannot go on because the daemon is down."""
    if not get_daemon_client().is_daemon_running:
        click.echo("The daemon is not running: submitted processes wait for `verdi daemon start`.", err=True)

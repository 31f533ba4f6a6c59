"""``aiida-siox train``: models from a data set, which is the part `model` of its analysis."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from aiida_siox.cli.analyse import Done, code_option, make_run, progress_bar, scheduler_file_option, timed
from aiida_siox.cli.common import json_option, load_node, protocol_options, user_errors, with_profile
from aiida_siox.cli.launch import EXIT_INCOMPLETE
from aiida_siox.cli.output.numbers import number
from aiida_siox.cli.output.tables import emit_json, print_table
from aiida_siox.data.analysis import group_label, keep_in_group
from aiida_siox.data.dataset import DatasetData
from aiida_siox.workflows.analysis import AnalysisProtocol
from aiida_siox.workflows.protocol import read_overrides

PART = "model"
COLUMNS = ("n_train", "n_test", "rmse", "r2", "rmse_no_skill")


@click.command()
@click.argument("identifier", metavar="DATASET")
@click.option("--target", "targets", multiple=True, help="Property to learn; may be repeated. [default: by protocol]")
@click.option("--seed", type=click.IntRange(min=0), help="Of the split, the weights and the batches.")
@code_option
@scheduler_file_option
@protocol_options
@json_option
@with_profile
def train(
    identifier: str,
    targets: tuple[str, ...],
    seed: int | None,
    code_label: str | None,
    options_file: pathlib.Path | None,
    protocol: str | None,
    overrides: pathlib.Path | None,
    as_json: bool,
) -> None:
    """Train models on a data set, given by PK or UUID: the part `model` of its analysis.

    Without --protocol, the protocol that the data set was computed with is taken. Overrides are those of the training.
    """
    dataset = load_node(identifier, DatasetData)
    if protocol is None:
        theirs = dataset.base.attributes.get("protocol", None)
        protocol = theirs if theirs in AnalysisProtocol.get_available_protocols() else None
    with user_errors():
        group_label(dataset)
        changes = {} if overrides is None else read_overrides(overrides)
        if seed is not None:
            changes["seed"] = seed
        parameters = AnalysisProtocol.get_parameters(protocol, {"training": changes}, targets)
    with progress_bar() as advance:
        done = timed(make_run(dataset, parameters, code_label, options_file), PART, advance)
    if done.nodes:
        keep_in_group(dataset, done.nodes.values())
    report(done, as_json)
    if not done.nodes:
        click.get_current_context().exit(EXIT_INCOMPLETE)


def report(done: Done, as_json: bool) -> None:
    """Print the scores of both splits, or one line of JSON with models and scores."""
    models = {name: node for name, node in done.nodes.items() if name != "analysis"}
    if as_json:
        emit_json(
            {
                "process": done.node.pk,
                "exit_status": done.node.exit_status,
                "outputs": {"models": {name: model.pk for name, model in models.items()}},
                "scores": {name: model.scores for name, model in models.items()},
            }
        )
        return
    for name, model in models.items():
        attributes = model.base.attributes
        print_table(
            f"{name}: model {model.pk}, errors in {attributes.get('unit')}, protocol {attributes.get('protocol')}",
            ["split", *COLUMNS],
            [[split, *(cell(scores.get(key)) for key in COLUMNS)] for split, scores in model.scores.items()],
        )
        for split, reason in attributes.get("scores_unavailable").items():
            click.echo(f"No {split} split: {reason}")
        click.echo(f"Next: aiida-siox predict {model.pk} SPECTRUM.txt")


def cell(value: Any) -> str:
    """Return a score as text."""
    return str(value) if isinstance(value, int) else number(value, 4)

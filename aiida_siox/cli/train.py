"""``aiida-siox train``: networks from a data set."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from typing import Any

import click
from aiida import orm

from aiida_siox.cli.common import json_option, load_node, protocol_options, say, user_errors, with_profile
from aiida_siox.cli.launch import EXIT_INCOMPLETE
from aiida_siox.cli.output.numbers import number
from aiida_siox.cli.output.tables import emit_json, print_table

#: Target → label of its model in the JSON contract.
MODEL_LABELS = {"valence": "charge_model", "rdf": "rdf_model"}

COLUMNS = ("n_train", "n_test", "rmse", "r2", "rmse_no_skill")


@click.command()
@click.argument("identifier", metavar="DATASET")
@click.option("--target", type=click.Choice([*MODEL_LABELS, "both"]), default="both", show_default=True)
@click.option("--seed", type=click.IntRange(min=0), help="Of the split, the weights and the batches.")
@protocol_options
@json_option
@with_profile
def train(
    identifier: str,
    target: str,
    seed: int | None,
    protocol: str | None,
    overrides: pathlib.Path | None,
    as_json: bool,
) -> None:
    """Train the networks for valence and RDF on a data set, given by PK or UUID.

    Without --protocol, the protocol that the data set was computed with is taken.
    """
    from aiida_siox.calculations.training import TRAINING_VERSION
    from aiida_siox.calculations.training import train as train_function
    from aiida_siox.data.dataset import DatasetData
    from aiida_siox.workflows.protocol import read_overrides
    from aiida_siox.workflows.training import TrainingProtocol

    dataset = load_node(identifier, DatasetData)
    if protocol is None:
        theirs = dataset.base.attributes.get("protocol", None)
        protocol = theirs if theirs in TrainingProtocol.get_available_protocols() else None
    with user_errors():
        changes = {} if overrides is None else read_overrides(overrides)
        if seed is not None:
            changes["seed"] = seed
        parameters = orm.Dict(TrainingProtocol.get_parameters(protocol, changes))
    nodes: dict[str, orm.ProcessNode] = {}
    for name in MODEL_LABELS if target == "both" else [target]:
        with contextlib.redirect_stdout(sys.stderr):
            _, node = train_function.run_get_node(dataset, orm.Str(name), parameters, orm.Int(TRAINING_VERSION))
        nodes[name] = node
        if not node.is_finished_ok:
            say(f"no {name} network: {node.exit_message}")
    report(nodes, as_json)
    if not all(node.is_finished_ok for node in nodes.values()):
        click.get_current_context().exit(EXIT_INCOMPLETE)


def report(nodes: dict[str, orm.ProcessNode], as_json: bool) -> None:
    """Print the scores of both splits, or one line of JSON with models and scores."""
    models = {name: node.outputs.result for name, node in nodes.items() if node.is_finished_ok}
    if as_json:
        emit_json(
            {
                "process": {MODEL_LABELS[name]: node.pk for name, node in nodes.items()},
                "exit_status": max(node.exit_status or 0 for node in nodes.values()),
                "outputs": {MODEL_LABELS[name]: model.pk for name, model in models.items()},
                "scores": {MODEL_LABELS[name]: model.scores for name, model in models.items()},
            }
        )
        return
    for name, model in models.items():
        unit = model.base.attributes.get("unit")
        print_table(
            f"{name}: model {model.pk}, errors in {unit}, protocol {model.base.attributes.get('protocol')}",
            ["split", *COLUMNS],
            [[split, *(cell(scores.get(key)) for key in COLUMNS)] for split, scores in model.scores.items()],
        )
        for split, reason in model.base.attributes.get("scores_unavailable").items():
            click.echo(f"No {split} split: {reason}")
        click.echo(f"Next: aiida-siox predict {model.pk} SPECTRUM.txt")


def cell(value: Any) -> str:
    """Return a score as text."""
    return str(value) if isinstance(value, int) else number(value, 4)

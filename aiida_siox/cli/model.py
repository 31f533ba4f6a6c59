"""``aiida-siox model``: a model as one file that needs no AiiDA, and back; its card."""

from __future__ import annotations

import pathlib

import click
from aiida import orm

from aiida_siox.cli.common import NEW_FILE, json_option, load_node, user_errors, with_profile
from aiida_siox.cli.output.files import new_file
from aiida_siox.cli.output.numbers import size_text
from aiida_siox.cli.output.tables import emit_json
from aiida_siox.data.model import ModelData
from aiida_siox.learning.model import SpectrumModel


@click.command("export")
@click.argument("identifier", metavar="MODEL")
@click.argument("path", metavar="FILE", type=NEW_FILE)
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@with_profile
def export_model(identifier: str, path: pathlib.Path, force: bool) -> None:
    """Write MODEL, given by PK or UUID, into FILE.

    Python reads it without AiiDA: aiida_siox.learning.model.SpectrumModel.load(FILE).
    """
    node = load_node(identifier, ModelData)
    with new_file(path, force) as partial:
        with user_errors():
            content = node.content
        partial.write_bytes(content)
    click.echo(f"{path}: {size_text(len(content))}. Elsewhere: aiida-siox model import {path.name}")


@click.command("import")
@click.argument("path", metavar="FILE", type=NEW_FILE)
@json_option
@with_profile
def import_model(path: pathlib.Path, as_json: bool) -> None:
    """Store the model in FILE as a node. The same model again gives the node that there is."""
    with user_errors():
        node = ModelData.from_spectrum_model(SpectrumModel.load(path))
    query = orm.QueryBuilder().append(
        ModelData, filters={"attributes.network_sha256": node.base.attributes.get("network_sha256")}
    )
    found = query.first(flat=True)
    if found is None:
        found = node.store()
    if as_json:
        emit_json({"file": str(path), "model": found.pk, "uuid": found.uuid, "target": found.target})
        return
    click.echo(f"model {found.pk} ({found.target}). Next: aiida-siox predict {found.pk} SPECTRUM.txt")


@click.command("card")
@click.argument("identifier", metavar="MODEL")
@json_option
@with_profile
def card(identifier: str, as_json: bool) -> None:
    """Print the card of MODEL as Markdown: data, range, scores, limits."""
    node = load_node(identifier, ModelData)
    if as_json:
        emit_json(node.base.attributes.get("card"))
        return
    with user_errors():
        click.echo(node.card_text())

"""``aiida-siox model``: a model as one file that needs no AiiDA, and back; its card."""

from __future__ import annotations

import pathlib

import click

from aiida_siox.cli.common import emit_json, json_option, load_node, size_text, user_errors, with_profile


@click.group()
def model() -> None:
    """Give a model away as one file, take one in, or read its card."""


@model.command("export")
@click.argument("identifier", metavar="MODEL")
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=pathlib.Path))
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@with_profile
def export_model(identifier: str, path: pathlib.Path, force: bool) -> None:
    """Write MODEL, given by PK or UUID, into FILE.

    Python reads it without AiiDA: aiida_siox.learning.model.SpectrumModel.load(FILE).
    """
    from aiida_siox.data.model import ModelData

    node = load_node(identifier, ModelData)
    if path.exists() and not force:
        raise click.ClickException(f"{path} exists: give another name, or --force to write over it.")
    with user_errors():
        content = node.content
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as exception:
        raise click.ClickException(f"{path} cannot be written: {exception.strerror}.")
    finally:
        partial.unlink(missing_ok=True)
    click.echo(f"{path}: {size_text(len(content))}. Elsewhere: aiida-siox model import {path.name}")


@model.command("import")
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=pathlib.Path))
@json_option
@with_profile
def import_model(path: pathlib.Path, as_json: bool) -> None:
    """Store the model in FILE as a node. The same model again gives the node that there is."""
    from aiida import orm

    from aiida_siox.data.model import ModelData
    from aiida_siox.learning.model import SpectrumModel

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


@model.command("card")
@click.argument("identifier", metavar="MODEL")
@json_option
@with_profile
def card(identifier: str, as_json: bool) -> None:
    """Print the card of MODEL as Markdown: data, range, scores, limits."""
    from aiida_siox.data.model import ModelData

    node = load_node(identifier, ModelData)
    if as_json:
        emit_json(node.base.attributes.get("card"))
        return
    with user_errors():
        click.echo(node.card_text())

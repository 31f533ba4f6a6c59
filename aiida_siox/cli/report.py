"""``aiida-siox report``: one HTML file of a study."""

from __future__ import annotations

import pathlib

import click
from aiida import orm

from aiida_siox.cli.common import NEW_FILE, describe, load_node, process_class_name, user_errors, with_profile
from aiida_siox.cli.output.files import new_file
from aiida_siox.cli.output.numbers import size_text
from aiida_siox.cli.show import STUDY
from aiida_siox.report import write_report


@click.command()
@click.argument("identifier", metavar="PK")
@click.option(
    "--output",
    type=NEW_FILE,
    help="The HTML file; siox-report-PK.html when not given. A file of that name is written over.",
)
@with_profile
def report(identifier: str, output: pathlib.Path | None) -> None:
    """Write the report of a study, given by PK or UUID: one HTML file with all figures inside."""
    node = load_node(identifier, orm.WorkChainNode)
    if process_class_name(node) != STUDY:
        raise click.ClickException(f"node {node.pk} is a {describe(node)}: a report is made of a study.")
    path = output or pathlib.Path(f"siox-report-{node.pk}.html")
    with new_file(path, force=True) as partial, user_errors():
        write_report(node, partial)
    click.echo(f"Written: {path} ({size_text(path.stat().st_size)}). Open it in a browser.")

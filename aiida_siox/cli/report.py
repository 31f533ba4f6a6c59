"""``aiida-siox report``: one HTML file of a study."""

from __future__ import annotations

import pathlib

import click
from aiida import orm

from aiida_siox.cli.common import describe, load_node, process_class_name, size_text, user_errors, with_profile
from aiida_siox.cli.show import STUDY


@click.command()
@click.argument("identifier", metavar="PK")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    help="The HTML file; siox-report-PK.html when not given. A file of that name is written over.",
)
@with_profile
def report(identifier: str, output: pathlib.Path | None) -> None:
    """Write the report of a study, given by PK or UUID: one HTML file with all figures inside."""
    from aiida_siox.report import write_report

    node = load_node(identifier, orm.WorkChainNode)
    if process_class_name(node) != STUDY:
        raise click.ClickException(f"node {node.pk} is a {describe(node)}: a report is made of a study.")
    path = output or pathlib.Path(f"siox-report-{node.pk}.html")
    if not path.parent.is_dir():
        raise click.ClickException(f"there is no folder {path.parent}.")
    try:
        with user_errors():
            write_report(node, path)
    except OSError as exception:
        raise click.ClickException(f"{path} cannot be written: {exception.strerror}.")
    click.echo(f"Written: {path} ({size_text(path.stat().st_size)}). Open it in a browser.")

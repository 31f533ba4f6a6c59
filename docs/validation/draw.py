"""Draw the figures and tables of the validation page from the archive of the results, without any engine.

``python docs/validation/draw.py [--archive FILE]``; without FILE from the profile in use (that of ``recompute.py``).
Figures go to ``docs/validation/figures``, the numbers behind them to ``docs/validation/data``, and the tables of the
page to ``docs/validation/tables``.
"""

from __future__ import annotations

import os
import pathlib
import tempfile

import click
from page_figures import FIGURES
from page_sites import HERE, read_sites
from page_tables import TABLES, Page


def draw(folder: pathlib.Path) -> Page:
    """Draw everything from the loaded profile into a folder."""
    page = Page(read_sites(), folder)
    for part in (*TABLES, *FIGURES):
        part(page)
    return page


@click.command(help=__doc__)
@click.option("--archive", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path), help="AiiDA archive.")
@click.option("--output", type=click.Path(file_okay=False, path_type=pathlib.Path), default=HERE, help="Folder.")
def main(archive: pathlib.Path | None, output: pathlib.Path) -> None:
    if archive is None:
        from aiida import load_profile

        load_profile()
        page = draw(output)
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["AIIDA_PATH"] = folder
            from aiida.manage import get_manager
            from aiida.storage.sqlite_zip.backend import SqliteZipBackend

            profile = SqliteZipBackend.create_profile(archive)
            get_manager().load_profile(profile)
            page = draw(output)
    click.echo(f"{len(page.sites)} cases drawn.")
    if page.missing:
        click.echo(f"Not computed: {', '.join(sorted(page.missing))}.")


if __name__ == "__main__":
    main()

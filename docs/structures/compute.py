"""Compute the structure set and the series around it with the real LAMMPS, and keep them as an archive.

``python docs/structures/compute.py [--concurrent 2] [--archive set.aiida.xz] [--only NAME] [--collect]``, with the
profile, codes and daemon of ``aiida-siox setup``. A series that has ended is not computed again; what a series has in
common with one that was interrupted comes from AiiDA's cache.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
import time
from typing import Any

import click
import yaml
from aiida import load_profile, orm
from aiida.engine import submit

from aiida_siox.cli.codes import get_codes
from aiida_siox.cli.daemon import ensure_daemon
from aiida_siox.workflows.structure_set import StructureSetWorkChain

FOLDER = pathlib.Path(__file__).parent
SERIES = FOLDER / "series.yaml"
EXTRA = "siox_structures"
SERIES_EXTRA = "siox_structures_series"
POLL_SECONDS = 5.0

sys.path.insert(0, str(FOLDER.parent))
from archives import pack  # noqa: E402


def latest(name: str) -> orm.WorkChainNode | None:
    """Return the newest process of a series."""
    query = orm.QueryBuilder().append(
        StructureSetWorkChain, filters={f"extras.{SERIES_EXTRA}": name}, project="*", tag="set"
    )
    query.order_by({"set": {"ctime": "desc"}})
    return next(iter(query.all(flat=True)), None)


def compute(name: str, settings: dict[str, Any], concurrent: int) -> orm.WorkChainNode:
    """Return the ended process of a series, submitted when there is none that goes on or has ended."""
    node = latest(name)
    if node is None or node.is_excepted or node.is_killed:
        builder = StructureSetWorkChain.get_builder_from_protocol(
            get_codes(["lmp"])["lmp"],
            settings["protocol"],
            settings.get("overrides"),
            compositions=settings.get("compositions"),
            seeds=settings.get("seeds"),
            max_concurrent=concurrent,
        )
        node = submit(builder)
        node.label = f"structures {name}"
        node.base.extras.set_many({EXTRA: settings["extra"], SERIES_EXTRA: name})
        click.echo(f"{time.strftime('%H:%M:%S')} {name}: StructureSetWorkChain<{node.pk}>")
    while not node.is_terminated:
        time.sleep(POLL_SECONDS)
    ended = "done" if node.is_finished_ok else f"{node.exit_status} {node.exit_message or node.exception}"
    click.echo(f"{time.strftime('%H:%M:%S')} {name}: {ended}")
    return node


def collect(names: list[str], packed: pathlib.Path) -> None:
    """Write the processes of the series with all that they made."""
    from aiida.tools.archive import create_archive

    nodes = [node for name in names if (node := latest(name)) is not None and node.is_terminated]
    with tempfile.TemporaryDirectory() as folder:
        archive = pathlib.Path(folder) / packed.stem
        create_archive(nodes, filename=archive, call_calc_backward=False, call_work_backward=False)
        pack(archive, packed)
    click.echo(f"{packed}: {packed.stat().st_size / 1e6:.1f} MB, {len(nodes)} of {len(names)} series")


@click.command()
@click.option("--concurrent", default=2, show_default=True, help="LAMMPS jobs at one time.")
@click.option("--archive", type=click.Path(path_type=pathlib.Path), default=FOLDER / "set.aiida.xz")
@click.option("--only", multiple=True, help="Name of a series; all when not given.")
@click.option("--collect", "only_collect", is_flag=True, help="Compute nothing, write what there is.")
def main(concurrent: int, archive: pathlib.Path, only: tuple[str, ...], only_collect: bool) -> None:
    """Compute the series of series.yaml and write the archive."""
    load_profile()
    series = yaml.safe_load(SERIES.read_text())
    if not only_collect:
        ensure_daemon()
        for name in only or series:
            compute(name, series[name], concurrent)
    collect(list(series), archive)


if __name__ == "__main__":
    main()

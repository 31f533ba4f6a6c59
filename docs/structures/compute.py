"""Compute the structure set and the series around it with the real LAMMPS, and keep them as an archive.

``python docs/structures/compute.py [--concurrent 2] [--archive set.aiida.xz] [--only NAME] [--again NAME]
[--collect]``, with the profile, codes and daemon of ``aiida-siox setup``. A series is computed again if it broke off,
if its settings in series.yaml have changed since, or with ``--again``; the LAMMPS jobs that it has in common with
earlier ones come from AiiDA's cache.
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
SETTINGS_EXTRA = "siox_structures_settings"
SETTINGS: dict[str, dict[str, Any]] = yaml.safe_load(SERIES.read_text())
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


def say(name: str, words: str) -> None:
    """Write a line about a series."""
    click.echo(f"{time.strftime('%H:%M:%S')} {name}: {words}")


def ending(node: orm.WorkChainNode) -> str:
    """Return how a process ended, or that it goes on."""
    if not node.is_terminated:
        return "goes on"
    if node.is_finished_ok:
        return "done"
    if node.is_finished:
        return f"{node.exit_status} {node.exit_message or ''}".rstrip()
    return f"{node.process_state.value} {node.exception or ''}".rstrip()


def wait_for(node: orm.WorkChainNode) -> None:
    """Return when a process has ended."""
    while not node.is_terminated:
        time.sleep(POLL_SECONDS)


def why_again(node: orm.WorkChainNode, settings: dict[str, Any], again: bool) -> str | None:
    """Return why the newest process of a series does not stand for it, None if it does.

    One that goes on with the same settings does; so does one that was made before settings were stored, and one that
    ended because cells were rejected.
    """
    if again:
        return "asked for with --again"
    if node.base.extras.get(SETTINGS_EXTRA, settings) != settings:
        return "its settings in series.yaml have changed"
    rejections = ("ERROR_COMPOSITION_MISSING", "WARNING_INCOMPLETE")
    results = [0, *(StructureSetWorkChain.exit_codes[name].status for name in rejections)]
    if node.is_terminated and node.exit_status not in results:
        return f"it ended: {ending(node)}"
    return None


def compute(name: str, settings: dict[str, Any], concurrent: int, again: bool = False) -> orm.WorkChainNode:
    """Return the ended process of a series, submitted when there is none that stands for it."""
    node = latest(name)
    reason = None if node is None else why_again(node, settings, again)
    if node is not None and reason is not None:
        if not node.is_terminated:
            say(name, f"waits for WorkChain<{node.pk}>, which goes on (to end it: verdi process kill {node.pk})")
            wait_for(node)
        say(name, f"computed again after WorkChain<{node.pk}>: {reason}")
    if node is None or reason is not None:
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
        node.base.extras.set_many({EXTRA: settings["extra"], SERIES_EXTRA: name, SETTINGS_EXTRA: settings})
        say(name, f"StructureSetWorkChain<{node.pk}>")
    wait_for(node)
    say(name, ending(node))
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
@click.option("--only", multiple=True, type=click.Choice(list(SETTINGS)), help="A series; all when not given.")
@click.option("--again", multiple=True, type=click.Choice(list(SETTINGS)), help="A series to compute anew anyway.")
@click.option("--collect", "only_collect", is_flag=True, help="Compute nothing, write what there is.")
def main(
    concurrent: int, archive: pathlib.Path, only: tuple[str, ...], again: tuple[str, ...], only_collect: bool
) -> None:
    """Compute the series of series.yaml and write the archive."""
    load_profile()
    if not only_collect:
        ensure_daemon()
        for name in dict.fromkeys((*only, *again)) if only else SETTINGS:
            compute(name, SETTINGS[name], concurrent, name in again)
    collect(list(SETTINGS), archive)


if __name__ == "__main__":
    main()

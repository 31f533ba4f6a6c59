"""Tables and figures of the reference data set, from its archive, without an engine.

``python docs/reference_data/describe.py [--archive FILE]`` writes ``tables/*.csv`` and ``figures/*.svg`` for the page
docs/topics/reference_data.md. With ``--sites FILE.npz`` it also writes the sites as plain arrays, which
``aiida_siox.learning.data.sites.SiteSet.from_npz`` and the benchmarks read without AiiDA.
"""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import matplotlib.pyplot as plt
import numpy as np
from aiida import orm
from aiida.manage.configuration import load_profile
from aiida.storage.sqlite_zip.backend import SqliteZipBackend

from aiida_siox.cli.archive import unpacked
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.report.timing import times_of
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain

FOLDER = pathlib.Path(__file__).parent


@contextmanager
def opened(archive: pathlib.Path) -> Iterator[None]:
    """Read an archive as a profile of its own."""
    with unpacked(archive) as plain:
        load_profile(SqliteZipBackend.create_profile(plain), allow_switch=True)
        yield


def melt_of(table: SiteTableData) -> orm.QueryBuilder:
    """Return a query for the melt-quench (``melt``) of a table, to be gone on with.

    ConfigurationWorkChain returns the same cell, but its seed is the one that was asked for.
    """
    query = orm.QueryBuilder().append(SiteTableData, filters={"uuid": table.uuid}, tag="table")
    query.append(orm.StructureData, with_descendants="table", tag="structure")
    return query.append(MeltQuenchWorkChain, with_outgoing="structure", tag="melt")


def seed_of(table: SiteTableData) -> int | None:
    """Return the seed that the cell of a table was made with."""
    query = melt_of(table)
    query.append(orm.Int, with_outgoing="melt", edge_filters={"label": "seed"}, project="attributes.value")
    found = query.first(flat=True)
    return None if found is None else int(found)


def quality_of(table: SiteTableData) -> dict[str, Any]:
    """Return the quality that the melt-quench of a table reported."""
    query = melt_of(table)
    query.append(orm.Dict, with_incoming="melt", edge_filters={"label": "quality"}, project="*")
    found = query.first(flat=True)
    return {} if found is None else found.get_dict()


def label_of(table: SiteTableData) -> str:
    """Return what the page calls a configuration."""
    return f"{table.base.attributes.get('formula')}, seed {seed_of(table)}"


def equals(dataset: DatasetData, tables: list[SiteTableData]) -> dict[str, str]:
    """Return, by its structure digest, which other configuration one is equal to."""
    own = [entry["structure_digest"] for entry in dataset.configurations]
    labels = {table.base.attributes.get("structure_digest"): label_of(table) for table in tables}
    pairs = zip(own, dataset.site_set().groups, strict=True)
    return {digest: labels[first] for digest, first in pairs if digest != first}


def rows(dataset: DatasetData, tables: list[SiteTableData]) -> list[dict[str, Any]]:
    """Return one line for each configuration."""
    lines, equal = [], equals(dataset, tables)
    for table in tables:
        attributes, done = table.base.attributes, table.done
        transition, valence = table.energies["transition_eV"][done], table.properties["valence"][done, 0]
        n_oxygen = table.n_ligands[done]
        quality = quality_of(table)
        lines.append(
            {
                "formula": attributes.get("formula"),
                "x": f"{attributes.get('x'):.2f}",
                "seed": seed_of(table),
                "sites": f"{attributes.get('n_done')}/{attributes.get('n_requested')}",
                "density_g_cm3": f"{quality.get('density_g_cm3', float('nan')):.3f}",
                "n_oxygen": " ".join(str(n) for n in sorted(n_oxygen)),
                "valence_e": f"{valence.min():.2f} to {valence.max():.2f}",
                "transition_eV": f"{transition.min():.2f} to {transition.max():.2f}",
                "flags": "; ".join(quality.get("flags", [])) or "none",
                "equal_to": equal.get(attributes.get("structure_digest"), ""),
            }
        )
    return lines


def costs() -> list[dict[str, Any]]:
    """Return jobs and CPU seconds of each engine, failed ones counted."""
    status = dict(orm.QueryBuilder().append(orm.CalcJobNode, project=["id", "attributes.exit_status"]).all())
    times = times_of(list(status))
    lines = []
    for engine in sorted({time.engine for time in times}):
        jobs = [time for time in times if time.engine == engine]
        seconds = [time.cpu for time in jobs if time.cpu is not None]
        lines.append(
            {
                "engine": engine,
                "jobs": len(jobs),
                "failed": sum(status[job.pk] not in (0, None) for job in jobs),
                "cpu_s": f"{sum(seconds):.0f}",
                "cpu_s_per_job": f"{sum(seconds) / len(seconds):.1f}" if seconds else "",
            }
        )
    total = sum(float(line["cpu_s"]) for line in lines)
    failed = sum(line["failed"] for line in lines)
    lines.append({"engine": "all", "jobs": len(times), "failed": failed, "cpu_s": f"{total:.0f}", "cpu_s_per_job": ""})
    return lines


def write(folder: pathlib.Path, name: str, lines: list[dict[str, Any]]) -> None:
    """Write a table."""
    path = folder / "tables" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def draw(folder: pathlib.Path, dataset: DatasetData, tables: list[SiteTableData], lines: list[dict[str, Any]]) -> None:
    """Draw what the sites are like."""
    plt.rcParams["svg.hashsalt"] = "aiida-siox"
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.4), constrained_layout=True)
    n_oxygen = dataset.n_ligands
    counts = np.bincount(n_oxygen, minlength=6)
    axes[0, 0].bar(range(len(counts)), counts, color="#3b6ea5")
    axes[0, 0].set(xlabel="oxygen neighbours of a silicon", ylabel="sites")
    for n, count in enumerate(counts):
        axes[0, 0].annotate(str(count), (n, count), ha="center", va="bottom", fontsize=8)
    for n in np.unique(n_oxygen):
        chosen = dataset.properties["valence"][n_oxygen == n, 0]
        axes[0, 1].plot(np.full(len(chosen), n) + np.linspace(-0.25, 0.25, len(chosen)), np.sort(chosen), ".", ms=4)
    axes[0, 1].set(xlabel="oxygen neighbours", ylabel="Bader valence (e)")
    transition = np.concatenate([t.energies["transition_eV"][t.done] for t in tables])
    valence = np.concatenate([t.properties["valence"][t.done, 0] for t in tables])
    axes[1, 0].plot(valence, transition, ".", ms=4, color="#3b6ea5")
    axes[1, 0].set(xlabel="Bader valence (e)", ylabel="transition energy (eV)")
    x, density = (np.array([float(line[key]) for line in lines]) for key in ("x", "density_g_cm3"))
    axes[1, 1].plot(x, density, "o", ms=4, color="#3b6ea5")
    axes[1, 1].set(xlabel="x in SiOₓ", ylabel="density (g/cm³), an input")
    path = folder / "figures" / "distributions.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


@click.command(help=__doc__)
@click.option("--archive", default=FOLDER / "v0.aiida.xz", type=click.Path(exists=True, path_type=pathlib.Path))
@click.option("--output", default=FOLDER, type=click.Path(path_type=pathlib.Path), help="Folder of tables and figures.")
@click.option("--sites", type=click.Path(dir_okay=False, path_type=pathlib.Path), help="File of plain arrays.")
def main(archive: pathlib.Path, output: pathlib.Path, sites: pathlib.Path | None) -> None:
    with opened(archive):
        dataset = (
            orm.QueryBuilder()
            .append(DatasetData, project="*")
            .order_by({DatasetData: {"ctime": "desc"}})
            .first(flat=True)
        )
        digests = {entry["structure_digest"] for entry in dataset.configurations}
        found = orm.QueryBuilder().append(SiteTableData).all(flat=True)
        tables = [table for table in found if table.base.attributes.get("structure_digest") in digests]
        tables.sort(key=lambda table: (table.base.attributes.get("x"), seed_of(table) or 0))
        lines = rows(dataset, tables)
        write(output, "configurations", lines)
        write(output, "jobs", costs())
        draw(output, dataset, tables, lines)
        if sites is not None:
            dataset.site_set().to_npz(sites)
        click.echo(f"{dataset.n_sites} sites of {len(tables)} configurations")


if __name__ == "__main__":
    main()

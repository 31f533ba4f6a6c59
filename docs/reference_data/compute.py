"""Compute the reference data set with the real engines, and keep it as an archive.

``python docs/reference_data/compute.py [--concurrent 2] [--archive v0.aiida.xz] [--collect]``, with the profile, codes
and daemon of ``aiida-siox setup``. A configuration that is in the profile or in the archive, by formula, seed,
melt-quench parameters, settings and atomic data, is not computed again. A configuration that failed is tried again by
the next call; if it fails again it stays in the archive with its reason.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import tempfile
import time
from typing import Any

import click
import yaml
from aiida import load_profile, orm
from aiida.engine import ProcessBuilder, submit

from aiida_siox.calculations.tables import assemble
from aiida_siox.cli.archive import unpacked
from aiida_siox.cli.codes import get_codes
from aiida_siox.cli.daemon import ensure_daemon
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.run_comparison import same
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, atomic_data_of
from aiida_siox.workflows.calibration import CalibrationWorkChain
from aiida_siox.workflows.configuration_lane import configuration_label
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain
from aiida_siox.workflows.study import StudyWorkChain

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))
from archives import pack  # noqa: E402

RECIPE = FOLDER / "recipe.yaml"
EXTRA = "siox_reference_data"
POLL_SECONDS = 5.0
ENGINES = ("lmp", "ld1", "pw", "pp", "xspectra", "bader")


@dataclasses.dataclass
class Item:
    """A configuration on its way."""

    formula: str
    seed: int
    process: orm.ProcessNode | None = None

    @property
    def label(self) -> str:
        """Its key in namespaces."""
        return configuration_label(self.formula, self.seed)


def agree(a: Any, b: Any) -> bool:
    """Return whether nested values agree; the database rounds floats."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(agree(a[key], b[key]) for key in a)
    return same(a, b)


def same_inputs(node: orm.ProcessNode, builder: ProcessBuilder, names: tuple[str, ...]) -> bool:
    """Return whether the Dict inputs of a process are those of a builder."""
    return all(agree(node.inputs[name].get_dict(), builder[name].get_dict()) for name in names)


class Campaign:
    """Configurations of the recipe, each melted and then computed, so many at one time."""

    def __init__(self, concurrent: int) -> None:
        self.recipe = yaml.safe_load(RECIPE.read_text())
        self.protocol = self.recipe["protocol"]
        self.codes = get_codes(list(ENGINES))
        self.concurrent = concurrent
        self.atomic = atomic_data_of(self.finished("atomic_data"))
        self.settings = StructureTargetsWorkChain.settings_from(
            StructureTargetsWorkChain.get_protocol_inputs(self.protocol), self.protocol
        )

    def items(self) -> list[Item]:
        """Return the configurations, all compositions of the first seed first."""
        return [Item(formula, seed) for seed in self.recipe["seeds"] for formula in self.recipe["formulas"]]

    def builder(self, name: str) -> ProcessBuilder:
        """Return the builder of what is made once."""
        if name == "atomic_data":
            return AtomicDataWorkChain.get_builder_from_protocol(self.codes["ld1"], self.protocol)
        return CalibrationWorkChain.get_builder_from_protocol(
            self.codes, self.atomic, self.protocol, max_concurrent=self.concurrent
        )

    def finished(self, name: str) -> orm.ProcessNode:
        """Return the finished process of what is made once, run when there is none."""
        node = self.latest(name)
        if node is None or (node.is_terminated and not node.is_finished_ok):
            node = self.submit(name, self.builder(name))
        while not node.is_terminated:
            time.sleep(POLL_SECONDS)
        if not node.is_finished_ok:
            raise click.ClickException(f"{name} failed: {node.exit_message}. See `verdi process report {node.pk}`.")
        return node

    def named(self, name: str) -> list[orm.ProcessNode]:
        """Return the processes of the campaign under a name, the newest first."""
        query = orm.QueryBuilder().append(
            orm.ProcessNode, filters={f"extras.{EXTRA}": name}, project="*", tag="process"
        )
        query.order_by({"process": {"ctime": "desc"}})
        return query.all(flat=True)

    def latest(self, name: str) -> orm.ProcessNode | None:
        """Return the newest process of the campaign under a name."""
        return next(iter(self.named(name)), None)

    def submit(self, name: str, builder: ProcessBuilder) -> orm.ProcessNode:
        """Submit a process under a name."""
        node = submit(builder)
        node.base.extras.set(EXTRA, name)
        click.echo(f"{time.strftime('%H:%M:%S')} {name}: {node.process_label}<{node.pk}>")
        return node

    def find_melt(self, item: Item, builder: ProcessBuilder) -> orm.ProcessNode | None:
        """Return a melt-quench of the same formula, seed and parameters that gave a structure."""
        query = orm.QueryBuilder()
        query.append(orm.Str, filters={"attributes.value": item.formula}, tag="formula")
        query.append(MeltQuenchWorkChain, with_incoming="formula", tag="melt", project="*")
        query.append(
            orm.Int, with_outgoing="melt", edge_filters={"label": "seed"}, filters={"attributes.value": item.seed}
        )
        for (node,) in query.all():
            running = not node.is_terminated
            names = ("starting_cell", "parameters")
            if same_inputs(node, builder, names) and (running or "structure" in node.outputs):
                return node
        return None

    def find_targets(self, structure: orm.StructureData) -> orm.ProcessNode | None:
        """Return a process that computes, or has computed, all sites of a structure with these settings."""
        query = orm.QueryBuilder().append(orm.StructureData, filters={"uuid": structure.uuid}, tag="structure")
        query.append(StructureTargetsWorkChain, with_incoming="structure", project="*")
        for (node,) in query.all():
            if not agree(node.inputs.settings.get_dict(), self.settings) or "sites" in node.inputs:
                continue
            data_agree = all(node.inputs.atomic_data.pseudos[k].md5 == p.md5 for k, p in self.atomic["pseudos"].items())
            if data_agree and (not node.is_terminated or "site_table" in node.outputs):
                return node
        return None

    def next_process(self, item: Item) -> orm.ProcessNode | None:
        """Return what an item has to wait for now, or None when it is through."""
        melt_builder = MeltQuenchWorkChain.get_builder_from_protocol(
            self.codes["lmp"], item.formula, item.seed, self.protocol
        )
        melt = self.find_melt(item, melt_builder)
        if melt is None:
            if item.process is not None:  # it was tried, and gave no structure
                return None
            return self.submit(f"melt_quench/{item.label}", melt_builder)
        if not melt.is_terminated:
            return melt
        targets = self.find_targets(melt.outputs.structure)
        if targets is None:
            if item.process is not None and item.process.process_class is StructureTargetsWorkChain:
                return None
            builder = StructureTargetsWorkChain.get_builder_from_protocol(
                self.codes, melt.outputs.structure, self.atomic, self.protocol, max_concurrent=1
            )
            return self.submit(f"targets/{item.label}", builder)
        for node, name in ((melt, "melt_quench"), (targets, "targets")):
            if node.base.extras.get(EXTRA, None) is None:
                node.base.extras.set(EXTRA, f"{name}/{item.label}")
        return None if targets.is_terminated else targets

    def run(self) -> None:
        """Compute what is missing."""
        waiting, running = self.items(), []
        while waiting or running:
            for item in list(running):
                if item.process.is_terminated:
                    state = "done" if item.process.is_finished_ok else f"exit {item.process.exit_status}"
                    click.echo(f"{time.strftime('%H:%M:%S')} {item.label}: {item.process.process_label} {state}")
                    item.process = self.next_process(item) or self.drop(running, item)
            while waiting and len(running) < self.concurrent:
                item = waiting.pop(0)
                item.process = self.next_process(item)
                if item.process is not None:
                    running.append(item)
            time.sleep(POLL_SECONDS if running else 0)

    @staticmethod
    def drop(running: list[Item], item: Item) -> None:
        """Take an item off the list of those that run."""
        running.remove(item)

    def tables(self) -> dict[str, SiteTableData]:
        """Return the site tables that there are, by label."""
        found = {}
        for item in self.items():
            for node in self.named(f"targets/{item.label}"):
                if "site_table" in node.outputs:
                    found.setdefault(item.label, node.outputs.site_table)
        return found


def read(packed: pathlib.Path) -> None:
    """Import an archive, so that what it holds is found."""
    from aiida.tools.archive import import_archive

    with unpacked(packed) as archive:
        import_archive(archive)


def write(campaign: Campaign, packed: pathlib.Path) -> None:
    """Assemble the tables that there are, and write data set, tables and their provenance.

    Processes that failed go with the rest: nothing is left out silently.
    """
    from aiida.tools.archive import create_archive

    tables = campaign.tables()
    calibration = campaign.latest("calibration").outputs.calibration
    window = orm.Dict(StudyWorkChain.get_protocol_inputs(campaign.protocol)["window"])
    dataset, _ = assemble.run_get_node(
        calibration=calibration, window=window, version=orm.Int(SCIENCE_VERSION), tables=tables
    )
    dataset.label = f"reference data {campaign.recipe['name']}"
    query = orm.QueryBuilder().append(
        orm.ProcessNode, filters={"extras": {"has_key": EXTRA}, "attributes.sealed": True}, project="*"
    )
    ended = [dataset, *query.all(flat=True)]
    with tempfile.TemporaryDirectory() as folder:
        archive = pathlib.Path(folder) / "archive.aiida"
        create_archive(ended, archive, call_calc_backward=False, call_work_backward=False)
        pack(archive, packed)
    wanted = len(campaign.items())
    click.echo(
        f"{packed}: {packed.stat().st_size / 1e6:.1f} MB, {dataset.n_sites} sites of {len(tables)} of {wanted} "
        f"configurations, data set {dataset.uuid}"
    )


@click.command(help=__doc__)
@click.option("--concurrent", default=2, show_default=True, help="Configurations at one time; each runs one engine.")
@click.option(
    "--archive", type=click.Path(dir_okay=False, path_type=pathlib.Path), help="Read first, written at the end."
)
@click.option("--collect", is_flag=True, help="Compute nothing: assemble and write what there is.")
def main(concurrent: int, archive: pathlib.Path | None, collect: bool) -> None:
    load_profile()
    if archive is not None and archive.exists() and not collect:
        read(archive)
    if not collect:
        ensure_daemon()
    campaign = Campaign(concurrent)
    campaign.finished("calibration")
    if not collect:
        campaign.run()
    if archive is not None:
        write(campaign, archive)


if __name__ == "__main__":
    main()

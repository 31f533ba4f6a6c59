"""Run the cases of ``cases.yaml`` with the real engines, and keep them in the group ``siox/validation``.

``python docs/validation/recompute.py [--concurrent 2] [--archive FILE] [NAME ...]``, with the profile, codes and
daemon of ``aiida-siox setup``. What has finished before is not submitted again; what is in the cache costs nothing.
"""

from __future__ import annotations

import pathlib
import time
from typing import Any

import click
import yaml
from aiida import load_profile, orm
from aiida.engine import submit
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_siox.calculations.spectra import make_kpoints
from aiida_siox.calculations.structures import make_crystal, transform_structure
from aiida_siox.cli.codes import get_codes
from aiida_siox.cli.daemon import ensure_daemon
from aiida_siox.materials import load_material
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, atomic_data_of
from aiida_siox.workflows.calibration import crystal_parameters
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.settings import pw_parameters
from aiida_siox.workflows.site_spectrum import SiteSpectrumWorkChain
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain, absorber_sites
from aiida_siox.workflows.utils import job_metadata

SIOX = load_material("siox")
CASES = pathlib.Path(__file__).parent / "cases.yaml"
GROUP = "siox/validation"
EXTRA = "siox_validation"
POLL_SECONDS = 5.0


def merge(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Return nested mapping ``a`` with the values of ``b`` on top."""
    merged = dict(a)
    for key, value in b.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if nested else value
    return merged


def find(name: str, recipe: dict[str, Any]) -> orm.ProcessNode | None:
    """Return the process of an entry with the same recipe that has ended well or still runs, or None."""
    query = orm.QueryBuilder().append(orm.Group, filters={"label": GROUP}, tag="group")
    query.append(orm.ProcessNode, with_group="group", project="*")
    for (node,) in query.all():
        same = node.base.extras.get(EXTRA, None) == {"name": name, "recipe": recipe}
        if same and (node.is_finished_ok or not node.is_terminated):
            return node
    return None


class Campaign:
    """The entries of ``cases.yaml``, submitted so that no more than a number of them run at one time."""

    def __init__(self, concurrent: int) -> None:
        self.recipes = yaml.safe_load(CASES.read_text())
        self.codes = get_codes(["lmp", "ld1", "pw", "pp", "xspectra", "bader"])
        self.group, _ = orm.Group.collection.get_or_create(GROUP)
        self.concurrent = concurrent
        self.running: dict[str, orm.ProcessNode] = {}
        self.structures: dict[str, orm.StructureData] = {}
        self.atomic: dict[str, dict[str, Any]] = {}

    def start(self, name: str, builder: Any, recipe: dict[str, Any]) -> orm.ProcessNode:
        """Submit an entry, or return the one that is there."""
        node = find(name, recipe)
        if node is not None:
            if not node.is_terminated:
                self.running[name] = node
            return node
        self.wait(self.concurrent - 1)
        node = submit(builder)
        node.base.extras.set(EXTRA, {"name": name, "recipe": recipe})
        self.group.add_nodes(node)
        self.running[name] = node
        click.echo(f"{time.strftime('%H:%M:%S')} {name}: {node.process_label}<{node.pk}>")
        return node

    def wait(self, at_most: int, *names: str) -> None:
        """Wait until at most so many entries run, and none of those named."""
        while len(self.running) > at_most or any(name in self.running for name in names):
            time.sleep(POLL_SECONDS)
            for name, node in list(self.running.items()):
                if node.is_terminated:
                    del self.running[name]
                    state = "done" if node.is_finished_ok else f"FAILED {node.exit_status} {node.exit_message}"
                    click.echo(f"{time.strftime('%H:%M:%S')} {name}: {state}")

    def atomic_data(self, name: str) -> dict[str, Any]:
        """Return the atomic data of a variant, or of a protocol of that name, made when there is none."""
        if name not in self.atomic:
            overrides, protocol = self.recipes["atomic_data"].get(name), None
            if overrides is None:
                overrides, protocol = {}, name
            builder = AtomicDataWorkChain.get_builder_from_protocol(self.codes["ld1"], protocol, overrides)
            label = f"atomic_data/{name}"
            node = self.start(label, builder, {"atomic_data": overrides if protocol is None else protocol})
            self.wait(self.concurrent, label)
            self.atomic[name] = atomic_data_of(node)
        return self.atomic[name]

    def structure(self, name: str) -> orm.StructureData:
        """Return a structure, made when there is none."""
        if name in self.structures:
            return self.structures[name]
        recipe = self.recipes["structures"][name]
        version = orm.Int(SCIENCE_VERSION)
        if "crystal" in recipe:
            parameters = crystal_parameters(SIOX, recipe["crystal"]["compound"], recipe["crystal"]["supercell"])
            node = make_crystal(orm.Dict(parameters), version)
        elif "transform" in recipe:
            node = transform_structure(self.structure(recipe["parent"]), orm.Dict(recipe["transform"]), version)
        else:
            melt = recipe["melt_quench"]
            builder = MeltQuenchWorkChain.get_builder_from_protocol(
                self.codes["lmp"], melt["formula"], seed=melt["seed"], overrides=melt.get("overrides")
            )
            label = f"melt_quench/{name}"
            process = self.start(label, builder, recipe)
            self.wait(self.concurrent, label)
            node = process.outputs.structure
        self.structures[name] = node
        return node

    def case(self, name: str) -> None:
        """Submit one case."""
        recipe = self.recipes["cases"][name]
        structure = self.structure(recipe["structure"])
        settings = merge(self.recipes["settings"], recipe.get("settings", {}))
        sites = recipe.get("sites", absorber_sites(structure, SIOX.absorber)[:1])
        builder = StructureTargetsWorkChain.get_builder_from_protocol(
            self.codes,
            structure,
            self.atomic_data(recipe.get("atomic_data", "default")),
            overrides={"settings": settings},
            sites=sites,
            max_concurrent=1,
        )
        recipe = {**recipe, "settings": settings, "sites": sites}
        if recipe.get("spectrum_only"):
            builder = self.spectrum_only(name, builder, recipe)
        self.start(name, builder, recipe)

    def spectrum_only(self, name: str, targets: Any, recipe: dict[str, Any]) -> Any:
        """Compute the ground state of a case; return the builder of the spectrum of its only site, without charges.

        :param targets: builder of the StructureTargetsWorkChain of the case, whose settings are taken.
        """
        structure, settings = targets.structure, targets.settings
        meshes = {stage: make_kpoints(structure, settings, orm.Str(stage)) for stage in ("scf", "xspectra")}
        ground = PwBaseWorkChain.get_builder()
        ground.pw.code = self.codes["pw"]
        ground.pw.structure = structure
        kinds = structure.get_kind_names()
        ground.pw.pseudos = {kind: targets.atomic_data["pseudos"][kind] for kind in kinds}
        parameters = pw_parameters(settings.get_dict(), len(structure.sites), hole=False, kinds=kinds)
        ground.pw.parameters = orm.Dict(parameters)
        ground.pw.metadata = job_metadata(None, "ground state")
        ground.kpoints = meshes["scf"]
        label = f"ground_state/{name}"
        node = self.start(label, ground, recipe)
        self.wait(self.concurrent, label)
        builder = SiteSpectrumWorkChain.get_builder()
        builder.structure, builder.settings, builder.kpoints = structure, settings, meshes
        builder.site = orm.Int(recipe["sites"][0])
        builder.ground_parameters = node.outputs.output_parameters
        builder.codes = {engine: self.codes[engine] for engine in ("pw", "xspectra")}
        builder.atomic_data = targets.atomic_data
        return builder


def export(group: orm.Group, path: pathlib.Path) -> None:
    """Write the archive of all that is in the group and ended well, with its provenance."""
    from aiida.tools.archive import create_archive

    failed = [node for node in group.nodes if not node.is_finished_ok]
    group.remove_nodes(failed)
    create_archive([group], path, overwrite=True, compression=9, call_calc_backward=False, call_work_backward=False)
    click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {len(list(group.nodes))} entries.")


@click.command(help=__doc__)
@click.option("--concurrent", default=2, show_default=True, help="Cases at one time; each runs one engine at a time.")
@click.option("--archive", type=click.Path(dir_okay=False, path_type=pathlib.Path), help="Write the results there.")
@click.argument("names", nargs=-1)
def main(concurrent: int, archive: pathlib.Path | None, names: tuple[str, ...]) -> None:
    load_profile()
    ensure_daemon()
    campaign = Campaign(concurrent)
    unknown = [name for name in names if name not in campaign.recipes["cases"]]
    if unknown:
        raise click.UsageError(f"no such cases: {', '.join(unknown)}. Valid: {', '.join(campaign.recipes['cases'])}.")
    for name in names or campaign.recipes["cases"]:
        campaign.case(name)
    campaign.wait(0)
    if archive is not None:
        export(campaign.group, archive)


if __name__ == "__main__":
    main()

"""Make spectra, sites, tables and data sets of an archive anew from what its engines wrote. No engine runs.

``python tools/remake_archives.py OLD NEW``: both ``.aiida`` or ``.aiida.xz``. Lanczos coefficients, total energies,
levels and Bader charges of OLD go through the calcfunctions of this version, in a profile of its own in a temporary
folder; their results take the place of the old ones, which are left out, and the WorkChains return them. An archive
without coefficients is refused. At the end it prints how far the spectra of a data set have moved, and how much of that
is the cut of the occupied states.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import calcfunction

from aiida_siox.calculations.spectra import assemble_spectrum, calibrate
from aiida_siox.calculations.tables import assemble, collect
from aiida_siox.cli.archive import unpacked
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.spectra import l1_distance
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "docs"))
from archives import pack

#: The calcfunctions that are called again, each after those whose results it takes.
REMADE = {"assemble_spectrum": assemble_spectrum, "collect": collect, "calibrate": calibrate, "assemble": assemble}
#: Settings that older versions had and that are now of the material, or follow from its window.
DROPPED = {
    None: ("coordination", "grid", "protocol", "changed", "material"),
    "xspectra": ("energy_min_eV", "energy_max_eV", "n_points"),
}


@calcfunction
def renew_settings(settings: orm.Dict, version: orm.Int) -> orm.Dict:
    """Return settings of an older version as this one has them, for the material ``siox`` where they name none.

    :raises ValueError: for bonds of another length than those of the material.
    """
    del version
    old = settings.get_dict()
    changes = {key: value for key, value in old.items() if key not in DROPPED[None]}
    changes["xspectra"] = {k: v for k, v in old["xspectra"].items() if k not in DROPPED["xspectra"]}
    protocol = old.get("protocol", "fast")
    overrides = {"settings": changes, "material": old.get("material", "siox")}
    inputs = StructureTargetsWorkChain.get_protocol_inputs(protocol, overrides)
    new = StructureTargetsWorkChain.settings_from(inputs, protocol)
    bonds, cutoffs = new["material"]["bonds_angstrom"], old.get("coordination", {})
    for pair, key in (("Si-O", "cutoff_si_o_angstrom"), ("Si-Si", "cutoff_si_si_angstrom")):
        if cutoffs.get(key, bonds[pair]) != bonds[pair]:
            raise ValueError(f"{key} was {cutoffs[key]}, the bond {pair} of siox is {bonds[pair]} Å long.")
    return orm.Dict(new)


def inputs_of(node: orm.CalcFunctionNode) -> dict[str, Any]:
    """Return the inputs of a calcfunction as it takes them, namespaces as mappings."""
    found: dict[str, Any] = {}
    for link in node.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all():
        namespace, _, key = link.link_label.partition("__")
        if key:
            found.setdefault(namespace, {})[key] = link.node
        else:
            found[namespace] = link.node
    return found


def bands_of(hole_parameters: orm.Dict) -> orm.BandsData:
    """Return levels and occupations of the run that an output is of.

    :raises click.ClickException: if they are not in the archive.
    """
    job = hole_parameters.creator
    found = [] if job is None else job.base.links.get_outgoing(node_class=orm.BandsData).all()
    if not found:
        raise click.ClickException(f"the output {hole_parameters.uuid} of pw.x has no levels: it cannot be remade.")
    return found[0].node


class Remake:
    """The calcfunctions of an archive, called again."""

    def __init__(self) -> None:
        self.version = orm.Int(SCIENCE_VERSION).store()
        #: New node by the PK of the old one.
        self.new: dict[int, orm.Data] = {}
        self.old: list[orm.CalcFunctionNode] = []

    def run(self, nodes: list[orm.CalcFunctionNode]) -> None:
        """Make everything anew.

        :param nodes: calls of :data:`REMADE`.
        """
        self.old = sorted(nodes, key=lambda node: [*REMADE].index(node.process_label))
        for i, node in enumerate(self.old):
            inputs = inputs_of(node)
            if node.process_label == "assemble_spectrum":
                lanczos = inputs.get("lanczos")
                if lanczos is None or set(SpectrumData.COEFFICIENTS) - set(lanczos.get_arraynames()):
                    raise click.ClickException(f"the spectrum made by {node.uuid} has no Lanczos coefficients.")
                inputs["bands"] = bands_of(inputs["hole_parameters"])
            inputs = {key: self.renewed(key, value) for key, value in inputs.items()}
            inputs["version"] = self.version
            made = REMADE[node.process_label](**inputs)
            self.pair(node, made if isinstance(made, dict) else {"result": made})
            if i % 50 == 49 or i + 1 == len(self.old):
                click.echo(f"{i + 1} of {len(self.old)}: {node.process_label}")

    def renewed(self, key: str, value: Any) -> Any:
        """Return an input with everything old in it replaced."""
        if isinstance(value, dict):
            return {name: self.renewed(name, entry) for name, entry in value.items()}
        if key == "settings" and value.pk not in self.new:
            self.new[value.pk] = renew_settings(value, self.version)
        return self.new.get(value.pk, value)

    def pair(self, node: orm.CalcFunctionNode, made: dict[str, Any]) -> None:
        """Remember which new result stands for which old one."""
        flat = {}
        for label, data in made.items():
            flat |= (
                {f"{label}__{key}": entry for key, entry in data.items()} if isinstance(data, dict) else {label: data}
            )
        for link in node.base.links.get_outgoing(link_type=LinkType.CREATE).all():
            new = flat[link.link_label]
            self.new[link.node.pk] = new
            new.label, new.description = link.node.label, link.node.description
            new.base.extras.set("siox_remade_from", link.node.uuid)
            extras = {k: v for k, v in link.node.base.extras.all.items() if not k.startswith("_aiida")}
            new.base.extras.set_many(extras)

    def replace(self) -> None:
        """Let the WorkChains return the new nodes, and delete the old ones with the calls that made them."""
        backend = self.version.backend
        gone: set[int] = set()
        for node in self.old:
            outputs = [link.node for link in node.base.links.get_outgoing(link_type=LinkType.CREATE).all()]
            gone |= {node.pk, *(output.pk for output in outputs)}
            for output in outputs:
                new = self.new[output.pk]
                for link in output.base.links.get_incoming(link_type=LinkType.RETURN).all():
                    # past the seal of the WorkChain, whose result it is once more
                    new.backend_entity.add_incoming(link.node.backend_entity, LinkType.RETURN, link.link_label)
                for group in (
                    orm.QueryBuilder()
                    .append(orm.Node, filters={"id": output.pk}, tag="node")
                    .append(orm.Group, with_node="node")
                    .all(flat=True)
                ):
                    group.add_nodes(new)
        with backend.transaction():
            backend.delete_nodes_and_connections(sorted(gone))


def compare(old: DatasetData, new: DatasetData) -> None:
    """Print L1 between the spectra of the data sets, apart from the cut, and of the cut alone.

    :param old: of an older layout: only its arrays ``energy_eV`` and ``spectra`` are read.
    """
    if not np.array_equal(old.get_array("energy_eV"), new.energy):
        raise click.ClickException("the data sets have other energies: their spectra cannot be compared.")
    before, shift = old.get_array("spectra"), float(new.base.attributes.get("shift_eV"))
    tables = [link.node for link in new.creator.base.links.get_incoming().all() if link.link_label.startswith("tables")]
    differences: dict[str, list[float]] = {"coefficients": [], "cut": [], "all": []}
    row = 0
    for table in sorted(tables, key=lambda node: tables_label(new, node)):
        for spectrum in table.site_spectra.values():
            uncut = spectrum.clone()
            uncut.base.attributes.set("cut_eV", 0.0)
            without = uncut.on_grid(new.energy - shift)
            differences["coefficients"].append(l1_distance(new.energy, without, before[row]))
            differences["cut"].append(l1_distance(new.energy, new.spectra[row], without))
            differences["all"].append(l1_distance(new.energy, new.spectra[row], before[row]))
            row += 1
    for name, values in differences.items():
        click.echo(f"L1 {name}: mean {np.mean(values):.2e}, largest {np.max(values):.2e} ({len(values)} spectra)")


def tables_label(dataset: DatasetData, table: orm.Node) -> str:
    """Return under which label a table went into a data set."""
    links = dataset.creator.base.links.get_incoming().all()
    return next(link.link_label for link in links if link.node.pk == table.pk)


@contextmanager
def profile_of_its_own() -> Iterator[None]:
    """Load an empty profile in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AIIDA_PATH"] = folder
        from aiida.manage.configuration import create_profile, get_config, load_profile, reset_config
        from aiida.manage.configuration.settings import AiiDAConfigDir

        AiiDAConfigDir.set(pathlib.Path(folder))
        reset_config()
        create_profile(
            get_config(create=True), name="remake", email="aiida@localhost", storage_backend="core.sqlite_dos",
            storage_config={"filepath": str(pathlib.Path(folder) / "storage")},
        )  # fmt: skip
        load_profile("remake", allow_switch=True)
        yield


@click.command(help=__doc__)
@click.argument("old", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.argument("new", type=click.Path(dir_okay=False, path_type=pathlib.Path))
def main(old: pathlib.Path, new: pathlib.Path) -> None:
    """Remake one archive."""
    from aiida.tools.archive import create_archive, import_archive

    with profile_of_its_own():
        with unpacked(old) as plain:
            import_archive(plain, create_group=False)
        remake = Remake()
        calls = {"attributes.process_label": {"in": [*REMADE]}}
        remake.run(orm.QueryBuilder().append(orm.CalcFunctionNode, filters=calls).all(flat=True))
        for node in remake.old:
            if node.process_label == "assemble":
                (before,) = [link.node for link in node.base.links.get_outgoing(link_type=LinkType.CREATE).all()]
                compare(before, remake.new[before.pk])
        remake.replace()
        if new.suffix == ".xz":
            with tempfile.TemporaryDirectory() as folder:
                archive = pathlib.Path(folder) / "archive.aiida"
                create_archive(None, archive)
                pack(archive, new)
        else:
            create_archive(None, new, overwrite=True, compression=9)
        counts = orm.QueryBuilder().append(SpectrumData).count()
        click.echo(f"{new}: {new.stat().st_size / 1e6:.1f} MB, was {old.stat().st_size / 1e6:.1f} MB, {counts} spectra")


if __name__ == "__main__":
    main()

"""Equations of state of silicon and of SiO2 with the package's pseudopotentials, against all-electron PBE.

``python docs/validation/equation_of_state.py [--set NAME ...] [CRYSTAL ...]`` with the profile and the codes of
``aiida-siox setup``; what is in the group ``siox/validation-eos`` already is not computed again. All runs stay in that
group; the fits are exported to ``eos.aiida`` and go to ``data/eos.csv``, which ``--redraw`` writes from the
archive, without an engine.
"""

from __future__ import annotations

import csv
import pathlib
from typing import Any

import click
import numpy as np
import yaml
from aiida import load_profile, orm
from aiida.engine import calcfunction, run_get_node
from ase import Atoms
from ase.build import bulk
from ase.eos import EquationOfState
from ase.units import GPa

HERE = pathlib.Path(__file__).parent
GROUP = "siox/validation-eos"
EXTRA = "siox_validation_eos"
TABLE = HERE / "data" / "eos.csv"
ARCHIVE = HERE / "eos.aiida"
SCALES = [0.94, 0.96, 0.98, 1.0, 1.02, 1.04, 1.06]
SCF = {"ecutwfc": 50.0, "ecutrho": 400.0, "occupations": "smearing", "smearing": "gaussian", "degauss": 0.005}
RELAX = SCF | {"ecutrho": 200.0}
#: Pressures of the relaxations of quartz, GPa; the bulk modulus is the slope between them.
PRESSURES = [0.0, 2.0]
#: Exit status of a relaxation whose final SCF, with the plane waves of the final cell, misses the threshold.
FINAL_SCF = 501
#: Volume of the primitive cell about which seven are computed (Å3), and mesh of k points.
CRYSTALS: dict[str, dict[str, Any]] = {
    "silicon": {"volume": 40.91, "mesh": [8, 8, 8]},
    "fluorite": {"volume": 24.05, "mesh": [6, 6, 6]},
    "quartz": {"mesh": [2, 2, 2]},
}
COLUMNS = [
    "set",
    "crystal",
    "a_angstrom",
    "c_angstrom",
    "volume_angstrom3",
    "bulk_modulus_GPa",
    "at_pressure_GPa",
    "derivative",
]


def cell(crystal: str, volume: float) -> Atoms:
    """Return the primitive cell of diamond silicon or of SiO2 in the fluorite structure.

    :param volume: of the primitive cell in Å3.
    """
    a = (4 * volume) ** (1 / 3)
    if crystal == "silicon":
        return bulk("Si", "diamond", a=a)
    return bulk("SiO2", "fluorite", a=a)


@calcfunction
def make_cell(crystal: orm.Str, volume: orm.Float) -> orm.StructureData:
    """Return a cubic crystal at a volume (Å3 a primitive cell)."""
    return orm.StructureData(ase=cell(crystal.value, volume.value))


@calcfunction
def make_quartz() -> orm.StructureData:
    """Return α-quartz near the cell and coordinates that PBE gives: an earlier relaxation, rounded."""
    from ase.spacegroup import crystal

    cell = [5.02, 5.02, 5.515, 90, 90, 120]
    basis = [(0.477, 0.0, 2 / 3), (0.4145, 0.2541, 0.796)]
    return orm.StructureData(ase=crystal(("Si", "O"), basis=basis, spacegroup=154, cellpar=cell))


@calcfunction
def fit(**outputs: orm.Dict) -> orm.Dict:
    """Fit the equation of state of Birch and Murnaghan (ase.eos) to parsed outputs of pw.x.

    :returns: ``volume_angstrom3`` of the cell, ``bulk_modulus_GPa``, ``derivative``, ``residual_eV`` (the largest).
    """
    parsed = [node.get_dict() for node in outputs.values()]
    volumes, energies = np.array(sorted((entry["volume"], entry["energy"]) for entry in parsed)).T
    state = EquationOfState(volumes, energies, eos="birchmurnaghan")
    volume, _, modulus = state.fit()
    residual = np.abs(state.func(volumes, *state.eos_parameters) - energies).max()
    return orm.Dict(
        {
            "volume_angstrom3": float(volume),
            "bulk_modulus_GPa": float(modulus / GPa),
            "derivative": float(state.eos_parameters[2]),
            "residual_eV": float(residual),
        }
    )


@calcfunction
def quartz_cell(
    relaxed: orm.StructureData,
    relaxed_trajectory: orm.TrajectoryData,
    compressed: orm.StructureData,
    compressed_trajectory: orm.TrajectoryData,
) -> orm.Dict:
    """Return the cell of quartz and its bulk modulus -dP / dln V between two relaxed cells, at their mean pressure.

    The pressures are those of the final SCF, which has the plane waves of the final cell.
    """
    (v0, p0), (v1, p1) = (
        (cell.get_cell_volume(), np.trace(run.get_array("stress")[-1]) / 3)
        for cell, run in ((relaxed, relaxed_trajectory), (compressed, compressed_trajectory))
    )
    a, _, c = relaxed.cell_lengths
    return orm.Dict(
        {
            "volume_angstrom3": v0,
            "a_angstrom": float(a),
            "c_angstrom": float(c),
            "bulk_modulus_GPa": float((p1 - p0) / np.log(v0 / v1)),
            "at_pressure_GPa": float((p0 + p1) / 2),
        }
    )


class Campaign:
    """Runs of one profile, found again by their name."""

    def __init__(self) -> None:
        from aiida_siox.cli.codes import get_codes

        self.codes = get_codes(["ld1", "pw"])
        self.group, _ = orm.Group.collection.get_or_create(GROUP)
        self.recipes = yaml.safe_load((HERE / "cases.yaml").read_text())["atomic_data"]

    def done(self, name: str, process: Any, inputs: Any) -> Any:
        """Return the process of this name that ended well, run now where there is none."""
        query = orm.QueryBuilder().append(orm.Group, filters={"label": GROUP}, tag="group")
        query.append(
            orm.ProcessNode, with_group="group", filters={"attributes.exit_status": {"in": [0, FINAL_SCF]}}, project="*"
        )
        for (node,) in query.all():
            if node.base.extras.get(EXTRA, None) == name:
                return node
        click.echo(name)
        _, node = run_get_node(process, **inputs)
        if node.exit_status not in (0, FINAL_SCF):
            raise click.ClickException(f"{name}: {node.exit_message}")
        node.base.extras.set(EXTRA, name)
        self.group.add_nodes(node)
        return node

    def pseudos(self, name: str) -> dict[str, Any]:
        """Return the pseudopotentials of a set: a key of ``atomic_data`` in cases.yaml, or a protocol."""
        from aiida_siox.workflows.atomic_data import AtomicDataWorkChain

        arguments = {"overrides": self.recipes[name]} if name in self.recipes else {"protocol": name}
        builder = AtomicDataWorkChain.get_builder_from_protocol(self.codes["ld1"], **arguments)
        inputs = {"code": builder.code, "parameters": builder.parameters}
        return self.done(f"{name}/atoms", AtomicDataWorkChain, inputs).outputs.pseudos

    def pw(self, label: str, structure: Any, pseudos: Any, mesh: list[int], parameters: dict[str, Any]) -> Any:
        """Run pw.x."""
        from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

        from aiida_siox.workflows.utils import job_metadata

        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh(mesh)
        pw = {
            "code": self.codes["pw"],
            "structure": structure,
            "pseudos": {kind: pseudos[kind] for kind in structure.get_kind_names()},
            "parameters": orm.Dict(parameters),
            "metadata": job_metadata(None, label),
        }
        return self.done(label, PwBaseWorkChain, {"pw": pw, "kpoints": kpoints, "clean_workdir": orm.Bool(True)})

    def cubic(self, name: str, crystal: str) -> orm.Dict:
        """Compute and fit seven volumes."""
        settings, pseudos = CRYSTALS[crystal], self.pseudos(name)
        outputs = {}
        for scale in SCALES:
            structure = make_cell(orm.Str(crystal), orm.Float(settings["volume"] * scale))
            parameters = {"CONTROL": {"calculation": "scf"}, "SYSTEM": SCF, "ELECTRONS": {"conv_thr": 1.0e-9}}
            label = f"{name}/{crystal}/{scale:.2f}"
            node = self.pw(label, structure, pseudos, settings["mesh"], parameters)
            outputs[f"v{round(scale * 100)}"] = node.outputs.output_parameters
        return self.keep(f"{name}/{crystal}", fit(**outputs))

    def keep(self, name: str, result: orm.Dict) -> orm.Dict:
        """Put the fit that made a result into the group, in place of an earlier one of the same name."""
        for node in [node for node in self.group.nodes if node.base.extras.get(EXTRA, None) == name]:
            self.group.remove_nodes(node)
        result.creator.base.extras.set(EXTRA, name)
        self.group.add_nodes(result.creator)
        return result

    def quartz(self, name: str) -> tuple[orm.StructureData, orm.Dict]:
        """Relax quartz, then again under pressure."""
        structure, pseudos = make_quartz(), self.pseudos(name)
        found: list[Any] = []
        for pressure in PRESSURES:
            parameters = {
                "CONTROL": {"calculation": "vc-relax", "forc_conv_thr": 2.0e-4, "etot_conv_thr": 1.0e-5},
                "SYSTEM": RELAX,
                "ELECTRONS": {"conv_thr": 1.0e-8},
                "IONS": {},
                "CELL": {"press": 10 * pressure, "press_conv_thr": 0.3},
            }
            label = f"{name}/quartz/{pressure:.0f}-GPa"
            node = self.pw(label, structure, pseudos, CRYSTALS["quartz"]["mesh"], parameters)
            structure = node.outputs.output_structure
            found += [structure, node.outputs.output_trajectory]
        return found[0], self.keep(f"{name}/quartz", quartz_cell(*found))


def rows() -> list[dict[str, Any]]:
    """Return a row of the table for each result in the group."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    query = orm.QueryBuilder().append(orm.Group, filters={"label": {"in": [GROUP, f"{GROUP}/fits"]}}, tag="group")
    query.append(orm.CalcFunctionNode, with_group="group", project="*")
    for (node,) in query.all():
        result = node.outputs.result.get_dict()
        name, crystal = node.base.extras.get(EXTRA).split("/")
        row = {"set": name, "crystal": crystal} | result
        if crystal != "quartz":
            row["at_pressure_GPa"] = 0.0
            row["a_angstrom"] = (4 * result["volume_angstrom3"]) ** (1 / 3)
        found[name, crystal] = row
    return [found[key] for key in sorted(found)]


def write_table(table: list[dict[str, Any]]) -> None:
    """Write ``data/eos.csv``."""
    TABLE.parent.mkdir(exist_ok=True)
    with TABLE.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in table:
            writer.writerow({key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()})


@click.command(help=__doc__)
@click.option("--set", "names", multiple=True, default=["default"], show_default=True, help="Pseudopotentials.")
@click.option("--redraw", is_flag=True, help="Write the table from the archive, into a temporary profile.")
@click.argument("crystals", nargs=-1)
def main(names: tuple[str, ...], crystals: tuple[str, ...], redraw: bool) -> None:
    if redraw:
        from aiida.manage.configuration import profile_context
        from aiida.storage.sqlite_zip.backend import SqliteZipBackend

        with profile_context(SqliteZipBackend.create_profile(ARCHIVE), allow_switch=True):
            write_table(rows())
        return
    load_profile()
    unknown = [crystal for crystal in crystals if crystal not in CRYSTALS]
    if unknown:
        raise click.UsageError(f"no such crystals: {', '.join(unknown)}. Valid: {', '.join(CRYSTALS)}.")
    campaign = Campaign()
    for name in names:
        for crystal in crystals or CRYSTALS:
            if crystal == "quartz":
                campaign.quartz(name)
            else:
                campaign.cubic(name, crystal)
    write_table(rows())
    export()


def export() -> None:
    """Write the fits and what they were made from to the archive, without the runs, which are large."""
    from aiida.tools.archive import create_archive

    query = orm.QueryBuilder().append(orm.Group, filters={"label": GROUP}, tag="group")
    fits = query.append(orm.CalcFunctionNode, with_group="group").all(flat=True)
    with_group, _ = orm.Group.collection.get_or_create(f"{GROUP}/fits")
    with_group.clear()
    with_group.add_nodes(fits)
    create_archive([with_group], filename=ARCHIVE, overwrite=True, create_backward=False, return_backward=False)


if __name__ == "__main__":
    main()

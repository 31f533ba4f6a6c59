"""What a study or a structure will cost, before it runs: its jobs, and what the cost model says of them."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from aiida import orm
from ase import Atoms

from aiida_siox.materials import Material, load_material
from aiida_siox.science.cells import mesh_from_distance, reference_crystal, starting_cell
from aiida_siox.science.composition import parse_formula
from aiida_siox.science.cost import CostTable, Job, lanczos_repeats, plane_waves, scf_kpoints, scratch_passing
from aiida_siox.science.melt_quench import stage_plan
from aiida_siox.workflows.calibration import CalibrationWorkChain
from aiida_siox.workflows.configuration_lane import CALIBRATION, configuration_label
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain, density_at
from aiida_siox.workflows.protocol import PROTOCOL_FOLDER
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain
from aiida_siox.workflows.study import study_lanes

COST_FILE = PROTOCOL_FOLDER / "cost.yaml"
#: Cartesian directions of the polarisation, each a run of xspectra.x in one job.
N_POLARISATIONS = 3

Jobs = list[tuple[Job, int]]


@functools.cache
def load_costs() -> CostTable:
    """Return the measured costs of the package."""
    return CostTable.from_dict(yaml.safe_load(COST_FILE.read_text()))


@dataclasses.dataclass(frozen=True)
class Part:
    """One configuration with its jobs, in the order in which they run.

    :param label: ``Si8O4_1``, ``calibration``, the name of a file.
    :param n_atoms: of the cell.
    :param n_sites: absorbers.
    :param meshes: k points of the SCF and of xspectra.x, such as ``(2, 2, 2)``.
    :param before: jobs before the sites, one after another.
    :param site: jobs of one site, one after another.
    """

    label: str
    n_atoms: int
    n_sites: int
    meshes: tuple[tuple[int, ...], tuple[int, ...]]
    before: tuple[Job, ...]
    site: tuple[Job, ...]

    @property
    def jobs(self) -> Jobs:
        """Jobs with their number."""
        return [*((job, 1) for job in self.before), *((job, self.n_sites) for job in self.site)]

    def seconds(self, costs: CostTable) -> float:
        """Return the seconds of one core of all jobs."""
        return sum(count * costs.seconds(job) for job, count in self.jobs)

    def wall_s(self, costs: CostTable, budget: int) -> float:
        """Return the seconds from the first job to the last with so many at one time, each on a core of its own."""
        before = sum(costs.seconds(job) + costs.overhead_s for job in self.before)
        site = sum(costs.seconds(job) + costs.overhead_s for job in self.site)
        return before + math.ceil(self.n_sites / max(1, min(budget, self.n_sites))) * site

    def peak_scratch(self, costs: CostTable, budget: int, clean: bool) -> float:
        """Return the largest number of bytes in the scratch folders at one time.

        :param clean: whether what is no longer needed is removed (``clean_scratch``); melts are kept in any case.
        """
        first = [job for job in self.before if job.engine != "lmp"]
        ground = sum(costs.scratch_bytes(job) for job in first)
        passing = max((scratch_passing(job) for job in first), default=0.0)
        site = sum(costs.scratch_bytes(job) for job in self.site)
        if clean:
            return max(ground + passing, min(budget, self.n_sites) * site)
        return max(ground + passing, ground + self.n_sites * site)

    def kept_scratch(self, costs: CostTable, clean: bool) -> float:
        """Return the bytes in the scratch folders when all is done."""
        melts = sum(costs.scratch_bytes(job) for job in self.before if job.engine == "lmp")
        return melts + (0.0 if clean else self.peak_scratch(costs, 1, clean=False))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What everything together costs.

    :param parts: configurations, the calibration among them.
    :param lanes: of each lane its budget of jobs at one time and its configurations.
    :param n_atomic: atomic data that are made, each a run of ld1.x.
    :param clean_scratch: whether scratch is removed as soon as it is no longer needed.
    :param costs: what was measured.
    """

    parts: list[Part]
    lanes: list[tuple[int, list[Part]]]
    n_atomic: int
    clean_scratch: bool
    costs: CostTable = dataclasses.field(default_factory=load_costs)

    @property
    def jobs(self) -> Jobs:
        """All jobs, with their number."""
        atomic = [(Job("ld1"), self.n_atomic)] if self.n_atomic else []
        return [*atomic, *(job for part in self.parts for job in part.jobs)]

    @functools.cached_property
    def seconds(self) -> dict[str, float]:
        """Seconds of one core by engine."""
        seconds: dict[str, float] = {}
        for job, count in self.jobs:
            seconds[job.engine] = seconds.get(job.engine, 0.0) + count * self.costs.seconds(job)
        return seconds

    @property
    def total_s(self) -> float:
        """Seconds of one core of all engines."""
        return sum(self.seconds.values())

    def counts(self) -> dict[str, int]:
        """Return the number of jobs by engine."""
        counts: dict[str, int] = {}
        for job, count in self.jobs:
            counts[job.engine] = counts.get(job.engine, 0) + count
        return counts

    @property
    def wall_s(self) -> float:
        """Seconds from the first job to the last, that of the slowest lane after the atomic data."""
        atomic = self.n_atomic * (self.costs.seconds(Job("ld1")) + self.costs.overhead_s)
        return atomic + max(sum(part.wall_s(self.costs, budget) for part in parts) for budget, parts in self.lanes)

    @property
    def scratch_bytes(self) -> float:
        """Bytes in the scratch folders when they are fullest."""
        kept = sum(part.kept_scratch(self.costs, self.clean_scratch) for part in self.parts)
        if not self.clean_scratch:
            return kept
        return kept + sum(
            max(part.peak_scratch(self.costs, budget, clean=True) for part in parts) for budget, parts in self.lanes
        )

    @property
    def stored_bytes(self) -> float:
        """Bytes that the profile grows by."""
        return sum(count * self.costs.stored_bytes(job) for job, count in self.jobs)

    def extrapolated(self) -> dict[str, int]:
        """Return the atoms of the largest cell by engine, where that is larger than all that were measured."""
        found: dict[str, int] = {}
        for job, _ in self.jobs:
            if self.costs.is_extrapolated(job):
                found[job.engine] = max(job.n_atoms, found.get(job.engine, 0))
        return found


def mesh_of(cell: Any, section: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the mesh of a cell from the section ``scf`` or ``xspectra`` of the settings."""
    if section["kpoints_mesh"] is None:
        return mesh_from_distance(cell, section["kpoints_distance"])
    a, b, c = section["kpoints_mesh"]
    return a, b, c


def targets_part(
    label: str, atoms: Atoms, settings: Mapping[str, Any], n_sites: int | None = None, before: Sequence[Job] = ()
) -> Part:
    """Return the jobs of StructureTargetsWorkChain for one cell.

    :param settings: as in protocols/structure_targets.yaml.
    :param n_sites: absorbers; all of the cell when None.
    :param before: jobs that come before.
    """
    scf, xspectra = settings["scf"], settings["xspectra"]
    meshes = mesh_of(atoms.cell.array, scf), mesh_of(atoms.cell.array, xspectra)
    n_spins = scf.get("nspin", 1)
    volume_A3 = float(atoms.get_volume())
    n_kpoints = scf_kpoints(meshes[0]) * n_spins
    pw = Job(
        "pw",
        n_atoms=len(atoms),
        n_plane_waves=plane_waves(volume_A3, scf["ecutwfc_Ry"]),
        repeats=n_kpoints,
        n_kpoints=n_kpoints,
        digits=-math.log10(scf["conv_thr_per_atom_Ry"]),
    )
    chains = math.prod(meshes[1]) * n_spins * N_POLARISATIONS
    absorption = dataclasses.replace(
        pw,
        engine="xspectra",
        repeats=lanczos_repeats(chains, scf["ecutwfc_Ry"], xspectra["gamma_eV"]),
        n_kpoints=0,
        digits=-math.log10(xspectra["xerror"]),
    )
    bader = Job("bader", n_atoms=len(atoms), n_plane_waves=plane_waves(volume_A3, scf["ecutrho_Ry"]))
    return Part(
        label=label,
        n_atoms=len(atoms),
        n_sites=atoms.get_chemical_symbols().count(material_of(settings).absorber) if n_sites is None else n_sites,
        meshes=meshes,
        before=(*before, pw, bader),
        site=(pw, absorption),
    )


def formula_part(
    formula: str,
    seed: int,
    settings: Mapping[str, Any],
    starting: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> Part:
    """Return the jobs of a configuration that is still to be melted, with the cell in which it begins.

    At fixed volume this is the cell it ends in; under pressure it is one of the expected density.

    :param starting: ``crystal`` and ``density_g_cm3`` of the starting cell, and the ``material`` that is melted.
    :param parameters: of the melt-quench, as in protocols/melt_quench.yaml.
    """
    material = load_material(starting["material"])
    atoms = starting_cell(formula, starting["density_g_cm3"], seed, starting["crystal"], material)
    melt = Job("lmp", n_atoms=len(atoms), repeats=stage_plan(parameters)[-1].last)
    return targets_part(configuration_label(formula, seed), atoms, settings, before=[melt])


def calibration_part(supercell: Sequence[int], settings: Mapping[str, Any]) -> Part:
    """Return the jobs of the calibration: one site of the crystal of the material.

    :param supercell: how often its cell is repeated.
    """
    material = material_of(settings)
    crystal = reference_crystal(material, material.calibration.crystal, supercell)
    return targets_part(CALIBRATION, crystal, settings, n_sites=1)


def default_settings() -> dict[str, Any]:
    """Return the settings of the default protocol, for processes that do not tell theirs."""
    return StructureTargetsWorkChain.settings_from(StructureTargetsWorkChain.get_protocol_inputs(), None)


def study_settings(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among the inputs of a process, those of the default protocol where there are none."""
    settings: dict[str, Any] = inputs["settings"].get_dict() if "settings" in inputs else default_settings()
    return settings


def material_of(settings: Mapping[str, Any]) -> Material:
    """Return the material of settings."""
    return load_material(settings["material"])


def n_atomic_data(settings: Mapping[str, Any]) -> int:
    """Return the number of atomic data: one for each species, and the absorber with the hole."""
    return len(material_of(settings).species) + 1


def study_parts(inputs: Mapping[str, Any]) -> list[Part]:
    """Return the configurations of a study, the calibration last unless it is given.

    :param inputs: of StudyWorkChain, from a builder or the links of a stored node, nested; settings and parameters that
        are missing are those of the default protocol.
    """
    settings = study_settings(inputs)
    melted = {"material": inputs["material"].get_dict()} if "material" in inputs else None
    protocol = MeltQuenchWorkChain.get_protocol_inputs(None, melted)
    material = load_material(protocol["material"])
    melts = inputs.get("melt_quench", {})
    parts = []
    for formula, seed in inputs["configurations"].get_list():
        if formula in melts:
            starting, parameters = (melts[formula][key].get_dict() for key in ("starting_cell", "parameters"))
        else:
            density = density_at(protocol, "densities", material.x(parse_formula(formula, material)))
            starting, parameters = {**protocol["starting_cell"], "density_g_cm3": density}, protocol["parameters"]
        starting = {**starting, "material": protocol["material"]}
        parts.append(formula_part(formula, seed, settings, starting, parameters))
    if "calibration" not in inputs:
        supercell = inputs["crystal"]["supercell"] if "crystal" in inputs else (1, 1, 1)
        parts.append(calibration_part(supercell, settings))
    return parts


def plan_study(inputs: Mapping[str, Any]) -> Plan:
    """Return what a study costs.

    :param inputs: of StudyWorkChain, from a builder or the links of a stored node, nested.
    """
    parts = study_parts(inputs)
    by_label = {part.label: part for part in parts}
    lanes = study_lanes(
        inputs["configurations"].get_list(),
        "calibration" not in inputs,
        inputs["max_concurrent"].value,
        material_of(study_settings(inputs)),
    )
    return Plan(
        parts=parts,
        lanes=[
            (budget, [by_label[item[0] if len(item) == 1 else configuration_label(*item)] for item in items])
            for budget, items in lanes
        ],
        n_atomic=0 if "atomic_data" in inputs else n_atomic_data(study_settings(inputs)),
        clean_scratch=inputs.get("clean_scratch", True),
    )


def plan_structure(
    label: str,
    structure: orm.StructureData,
    sites: Sequence[int] | None,
    inputs: Mapping[str, Any],
    protocol: str | None,
    *,
    calibrate: bool,
    atomic: bool,
) -> Plan:
    """Return what one structure costs.

    :param sites: absorbers; all of the cell when None.
    :param inputs: as in protocols/structure_targets.yaml.
    :param calibrate: whether the calibration is computed after it.
    :param atomic: whether the atomic data are made first.
    """
    settings = inputs["settings"]
    parts = [targets_part(label, structure.get_ase(), settings, None if sites is None else len(sites))]
    if calibrate:
        calibration = CalibrationWorkChain.get_protocol_inputs(protocol, {"material": inputs["material"]})
        supercell = calibration["supercell"]
        parts.append(calibration_part(supercell, settings))
    lanes = [(int(inputs["max_concurrent"]), parts)]
    return Plan(parts, lanes, n_atomic_data(settings) if atomic else 0, inputs["clean_scratch"])

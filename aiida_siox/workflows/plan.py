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

from aiida_siox.materials import load_material
from aiida_siox.science.cells import mesh_from_distance, reference_crystal, starting_cell
from aiida_siox.science.composition import parse_formula
from aiida_siox.science.cost import CostModel, Estimate, JobSize, count_bands, scf_kpoints, scratch_passing
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
#: Silicon, silicon with the hole, oxygen.
N_LD1 = 3

Jobs = list[tuple[JobSize, int]]


@functools.cache
def load_cost_model() -> CostModel:
    """Return the fitted cost model of the package.

    :raises ValueError: if there is none, or it cannot be read.
    """
    try:
        return CostModel.from_dict(yaml.safe_load(COST_FILE.read_text()))
    except FileNotFoundError:
        raise ValueError(f"there is no cost model {COST_FILE.name}: write it with `aiida-siox plan fit`.") from None


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
    before: tuple[JobSize, ...]
    site: tuple[JobSize, ...]

    @property
    def jobs(self) -> Jobs:
        """Sizes with the number of such jobs."""
        return [*((size, 1) for size in self.before), *((size, self.n_sites) for size in self.site)]

    def wall_s(self, model: CostModel, budget: int) -> float:
        """Return the seconds from the first job to the last with so many at one time, each on a core of its own."""
        before = sum(model.job_seconds(size) + model.overhead_s for size in self.before)
        site = sum(model.job_seconds(size) + model.overhead_s for size in self.site)
        return before + math.ceil(self.n_sites / max(1, min(budget, self.n_sites))) * site

    def peak_scratch(self, model: CostModel, budget: int, clean: bool) -> float:
        """Return the largest number of bytes in the scratch folders at one time.

        :param clean: whether what is no longer needed is removed (``clean_scratch``); melts are kept in any case.
        """
        first = [size for size in self.before if size.engine != "lmp"]
        ground = sum(model.scratch_bytes(size) for size in first)
        passing = max((scratch_passing(size) for size in first), default=0.0)
        site = sum(model.scratch_bytes(size) for size in self.site)
        if clean:
            return max(ground + passing, min(budget, self.n_sites) * site)
        return max(ground + passing, ground + self.n_sites * site)

    def kept_scratch(self, model: CostModel, clean: bool) -> float:
        """Return the bytes in the scratch folders when all is done."""
        melts = sum(model.scratch_bytes(size) for size in self.before if size.engine == "lmp")
        return melts + (0.0 if clean else self.peak_scratch(model, 1, clean=False))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What everything together costs.

    :param parts: configurations, the calibration among them.
    :param lanes: of each lane its budget of jobs at one time and its configurations.
    :param atomic: whether the atomic data are made, too.
    :param clean_scratch: whether scratch is removed as soon as it is no longer needed.
    :param model: the cost model.
    """

    parts: list[Part]
    lanes: list[tuple[int, list[Part]]]
    atomic: bool
    clean_scratch: bool
    model: CostModel

    @property
    def jobs(self) -> Jobs:
        """All jobs, sizes with the number of such jobs."""
        atomic = [(JobSize("ld1"), N_LD1)] if self.atomic else []
        return [*atomic, *(job for part in self.parts for job in part.jobs)]

    @functools.cached_property
    def seconds(self) -> dict[str, Estimate]:
        """Seconds of one core by engine."""
        return self.model.estimate(self.jobs)

    @property
    def total(self) -> Estimate:
        """Seconds of one core of all engines."""
        return sum(self.seconds.values(), Estimate())

    def counts(self) -> dict[str, int]:
        """Return the number of jobs by engine."""
        counts: dict[str, int] = {}
        for size, count in self.jobs:
            counts[size.engine] = counts.get(size.engine, 0) + count
        return counts

    @property
    def wall_s(self) -> float:
        """Seconds from the first job to the last, that of the slowest lane after the atomic data."""
        atomic = N_LD1 * (self.model.job_seconds(JobSize("ld1")) + self.model.overhead_s) if self.atomic else 0.0
        return atomic + max(sum(part.wall_s(self.model, budget) for part in parts) for budget, parts in self.lanes)

    @property
    def scratch_bytes(self) -> float:
        """Bytes in the scratch folders when they are fullest."""
        kept = sum(part.kept_scratch(self.model, self.clean_scratch) for part in self.parts)
        if not self.clean_scratch:
            return kept
        return kept + sum(
            max(part.peak_scratch(self.model, budget, clean=True) for part in parts) for budget, parts in self.lanes
        )

    @property
    def repository_bytes(self) -> float:
        """Bytes that the profile grows by."""
        return sum(count * self.model.repository_bytes(size) for size, count in self.jobs)

    def extrapolations(self) -> dict[tuple[str, str], tuple[float, float, float, float]]:
        """Return what lies outside the measured range: (engine, driver) → (least, largest, measured from, to)."""
        found: dict[tuple[str, str], tuple[float, float, float, float]] = {}
        for size, _ in self.jobs:
            for driver, (value, low, high) in self.model.extrapolations(size).items():
                least, largest, _, _ = found.get((size.engine, driver), (value, value, low, high))
                found[size.engine, driver] = (min(least, value), max(largest, value), low, high)
        return found


def mesh_of(cell: Any, section: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the mesh of a cell from the section ``scf`` or ``xspectra`` of the settings."""
    if section["kpoints_mesh"] is None:
        return mesh_from_distance(cell, section["kpoints_distance"])
    a, b, c = section["kpoints_mesh"]
    return a, b, c


def targets_part(
    label: str, atoms: Atoms, settings: Mapping[str, Any], n_sites: int | None = None, before: Sequence[JobSize] = ()
) -> Part:
    """Return the jobs of StructureTargetsWorkChain for one cell.

    :param settings: as in protocols/structure_targets.yaml.
    :param n_sites: absorbers; all of their element when None.
    :param before: jobs that come before.
    """
    scf, xspectra = settings["scf"], settings["xspectra"]
    material = load_material(settings["material"])
    counts = material.count(atoms.get_chemical_symbols())
    meshes = mesh_of(atoms.cell.array, scf), mesh_of(atoms.cell.array, xspectra)
    pw = JobSize(
        "pw",
        kind="ground",
        n_atoms=len(atoms),
        volume_A3=float(atoms.get_volume()),
        n_bands=count_bands(counts, material.species),
        n_kpoints=scf_kpoints(meshes[0]) * scf.get("nspin", 1),
        ecutwfc_Ry=scf["ecutwfc_Ry"],
        ecutrho_Ry=scf["ecutrho_Ry"],
        digits=-math.log10(scf["conv_thr_per_atom_Ry"]),
    )
    absorption = dataclasses.replace(
        pw,
        engine="xspectra",
        kind="",
        n_kpoints=math.prod(meshes[1]) * scf.get("nspin", 1),
        n_polarisations=N_POLARISATIONS,
        digits=-math.log10(xspectra["xerror"]),
        gamma_eV=xspectra["gamma_eV"],
    )
    return Part(
        label=label,
        n_atoms=len(atoms),
        n_sites=counts[material.absorber] if n_sites is None else n_sites,
        meshes=meshes,
        before=(*before, pw, dataclasses.replace(pw, engine="bader", kind="", n_kpoints=0, digits=0.0)),
        site=(dataclasses.replace(pw, kind="hole"), absorption),
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

    :param starting: ``crystal`` and ``density_g_cm3`` of the starting cell, and the ``material``.
    :param parameters: of the melt-quench, as in protocols/melt_quench.yaml.
    """
    atoms = starting_cell(
        formula, starting["density_g_cm3"], seed, starting["crystal"], load_material(starting["material"])
    )
    steps = stage_plan(parameters)[-1].last
    melt = JobSize(
        "lmp",
        n_atoms=len(atoms),
        volume_A3=float(atoms.get_volume()),
        iterations=steps,
        n_records=round(steps * parameters["timestep_fs"] / 1000 / parameters["thermo_interval_ps"]),
    )
    return targets_part(configuration_label(formula, seed), atoms, settings, before=[melt])


def calibration_part(supercell: Sequence[int], settings: Mapping[str, Any]) -> Part:
    """Return the jobs of the calibration: one site of the crystal of the material.

    :param supercell: how often its cell is repeated.
    """
    material = load_material(settings["material"])
    crystal = reference_crystal(material, material.calibration.crystal, supercell)
    return targets_part(CALIBRATION, crystal, settings, n_sites=1)


def default_settings() -> dict[str, Any]:
    """Return the settings of the default protocol, for processes that do not tell theirs."""
    return StructureTargetsWorkChain.settings_from(StructureTargetsWorkChain.get_protocol_inputs(), None)


def study_parts(inputs: Mapping[str, Any]) -> list[Part]:
    """Return the configurations of a study, the calibration last unless it is given.

    :param inputs: of StudyWorkChain, from a builder or the links of a stored node, nested; settings and parameters that
        are missing are those of the default protocol.
    """
    settings = inputs["settings"].get_dict() if "settings" in inputs else default_settings()
    protocol = MeltQuenchWorkChain.get_protocol_inputs(
        None, {"material": inputs["material"].get_dict()} if "material" in inputs else None
    )
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


def plan_study(inputs: Mapping[str, Any], model: CostModel | None = None) -> Plan:
    """Return what a study costs.

    :param inputs: of StudyWorkChain, from a builder or the links of a stored node, nested.
    :param model: that of the package when None.
    """
    parts = study_parts(inputs)
    by_label = {part.label: part for part in parts}
    lanes = study_lanes(
        inputs["configurations"].get_list(),
        "calibration" not in inputs,
        inputs["max_concurrent"].value,
        load_material(inputs["material"].get_dict() if "material" in inputs else "siox"),
    )
    return Plan(
        parts=parts,
        lanes=[
            (budget, [by_label[item[0] if len(item) == 1 else configuration_label(*item)] for item in items])
            for budget, items in lanes
        ],
        atomic="atomic_data" not in inputs,
        clean_scratch=inputs.get("clean_scratch", True),
        model=model or load_cost_model(),
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
    model: CostModel | None = None,
) -> Plan:
    """Return what one structure costs.

    :param sites: absorbers; all of their element when None.
    :param inputs: as in protocols/structure_targets.yaml.
    :param calibrate: whether the calibration is computed after it.
    :param atomic: whether the atomic data are made first.
    :param model: that of the package when None.
    """
    settings = StructureTargetsWorkChain.settings_from(inputs, protocol)
    parts = [targets_part(label, structure.get_ase(), settings, None if sites is None else len(sites))]
    if calibrate:
        calibration = CalibrationWorkChain.get_protocol_inputs(protocol, {"material": inputs["material"]})
        supercell = calibration["supercell"]
        parts.append(calibration_part(supercell, settings))
    lanes = [(int(inputs["max_concurrent"]), parts)]
    return Plan(parts, lanes, atomic, inputs["clean_scratch"], model or load_cost_model())

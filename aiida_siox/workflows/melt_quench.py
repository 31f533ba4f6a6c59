"""From a formula and a seed to an amorphous cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import (
    BaseRestartWorkChain,
    ExitCode,
    ProcessBuilder,
    ProcessHandlerReport,
    ProcessSpec,
    process_handler,
    while_,
)

from aiida_siox.calculations.melt_quench import (
    MeltQuenchCalculation,
    restart_step,
    sorted_restart_files,
    validate_parameters,
    validate_potential,
    validate_seed,
)
from aiida_siox.calculations.structures import assess_structure, join_thermo, make_starting_cell
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.cells import starting_cell
from aiida_siox.science.composition import composition_x, validate_melt_formula
from aiida_siox.science.melt_quench import quench_time
from aiida_siox.science.potentials import find_tersoff_potential
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.utils import clean_scratch, job_metadata

QUALITY_KEYS = {
    "cutoff_si_o_angstrom",
    "cutoff_si_si_angstrom",
    "cutoff_o_o_angstrom",
    "expected_density_g_cm3",
    "density_tolerance",
    "coordination_min",
    "coordination_max",
    "max_odd_fraction",
    "distinct_tolerance",
}


def expected_density(densities: list[list[float]], x: float) -> float:
    """Return the density in g/cm³ at a composition, linear between the given points ``[x, density]``.

    :raises ValueError: if the points are not pairs with rising x.
    """
    points = np.asarray(densities, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or (np.diff(points[:, 0]) <= 0).any():
        raise ValueError(f"`densities` must be pairs [x, density in g/cm³] with rising x, got {densities}.")
    return float(np.interp(x, points[:, 0], points[:, 1]))


def load_potential(name: str) -> orm.SinglefileData:
    """Return the potential file of the LAMMPS installation, the stored node if there is one with this content.

    :raises FileNotFoundError: if no installation has the file.
    """
    path = find_tersoff_potential(name)
    node = orm.SinglefileData(path)
    query = orm.QueryBuilder().append(orm.SinglefileData, filters={"attributes.filename": path.name})
    for (stored,) in query.all():
        if stored.get_content(mode="rb") == node.get_content(mode="rb"):
            return stored
    return node


def validate_formula(node: orm.Str | None, _: Any) -> str | None:
    """Return what is wrong with the formula, or None."""
    if node is None:
        return None
    try:
        validate_melt_formula(node.value)
    except ValueError as exception:
        return str(exception)
    return None


def validate_quality(node: orm.Dict | None, _: Any) -> str | None:
    """Return what is wrong with the parameters of the quality, or None."""
    if node is None:
        return None
    missing, unknown = sorted(QUALITY_KEYS - set(node.get_dict())), sorted(set(node.get_dict()) - QUALITY_KEYS)
    if missing or unknown:
        return f"`quality` needs exactly {', '.join(sorted(QUALITY_KEYS))}; missing: {missing}, unknown: {unknown}."
    return None


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Return what is wrong with formula, seed and starting cell taken together, or None."""
    if not all(key in inputs for key in ("formula", "seed", "starting_cell")):
        return None
    values = inputs["starting_cell"].get_dict()
    if set(values) != {"crystal", "density_g_cm3"}:
        return f"`starting_cell` needs exactly `crystal` and `density_g_cm3`, got {sorted(values)}."
    try:
        starting_cell(inputs["formula"].value, values["density_g_cm3"], inputs["seed"].value, values["crystal"])
    except (ValueError, TypeError) as exception:
        return str(exception)
    return None


class MeltQuenchWorkChain(SioxProtocolMixin, BaseRestartWorkChain):
    """Random starting cell → melt → quench → relaxed amorphous cell with its quality; goes on after a walltime."""

    _protocol_name = "melt_quench"
    _process_class = MeltQuenchCalculation

    defaults = AttributeDict(
        {
            "timestep_factor": 0.5,  # when the dynamics blew up
            "min_timestep_fs": 0.1,
            "max_fresh_starts": 1,  # when an interrupted job left no restart file
        }
    )

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:  # type: ignore[override]
        """Define inputs, outputs, outline and exit codes."""
        super().define(spec)
        spec.input("code", valid_type=orm.AbstractCode, help="Code of LAMMPS.")
        spec.input("formula", valid_type=orm.Str, validator=validate_formula, help="Counts of the cell: `Si8O4`.")
        spec.input("seed", valid_type=orm.Int, validator=validate_seed, help="Of starting cell and velocities.")
        spec.input(
            "potential",
            valid_type=orm.SinglefileData,
            validator=validate_potential,
            help="Tersoff potential of Si and O in the format of LAMMPS.",
        )
        spec.input("starting_cell", valid_type=orm.Dict, help="`crystal` and `density_g_cm3` of the starting cell.")
        spec.input(
            "parameters", valid_type=orm.Dict, validator=validate_parameters, help="Stages and numbers of the dynamics."
        )
        spec.input(
            "quality", valid_type=orm.Dict, validator=validate_quality, help="Cutoffs and tolerances of the assessment."
        )
        spec.input("options", valid_type=dict, non_db=True, default=dict, help="Scheduler options of the jobs.")
        spec.inputs.validator = validate_inputs
        spec.output("structure", valid_type=orm.StructureData, help="The amorphous cell; kinds Si and O.")
        spec.output("quality", valid_type=orm.Dict, help="Density, coordination histograms, distances, flags.")
        spec.output("thermo", valid_type=orm.ArrayData, help="Thermodynamic series of the whole run.")
        spec.output("starting_structure", valid_type=orm.StructureData, help="The random starting cell.")
        spec.output_namespace(
            "trajectories", valid_type=orm.TrajectoryData, dynamic=True, help="Of each job that reached its end."
        )
        spec.outline(  # type: ignore[attr-defined]
            cls.setup,
            cls.make_starting_cell,
            while_(cls.should_run_process)(  # type: ignore[arg-type]
                cls.run_process,  # type: ignore[arg-type]
                cls.inspect_process,  # type: ignore[arg-type]
            ),
            cls.results,
        )
        spec.exit_code(
            410,
            "ERROR_UNSTABLE_DYNAMICS",
            message="The dynamics blew up, also with a time step of {timestep} fs.",
        )
        spec.exit_code(
            420,
            "ERROR_NO_RESTART_FILE",
            message="The job was interrupted before it wrote a usable restart file: give it more wall time or a "
            "shorter restart_interval_ps.",
        )
        spec.exit_code(
            421,
            "ERROR_NO_PROGRESS",
            message="The job was interrupted again before it got past the restart file it had started from: give it "
            "more wall time or a shorter restart_interval_ps.",
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        formula: str | orm.Str,
        seed: int | orm.Int,
        protocol: str | None = None,
        overrides: Any = None,
        options: Mapping[str, Any] | None = None,
        potential: orm.SinglefileData | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: of LAMMPS.
        :param formula: counts of the cell, such as ``Si8O4``.
        :param seed: of starting cell and velocities.
        :param protocol: ``fast``, ``balanced`` or ``paper``; the default of the yaml file when None.
        :param overrides: nested mapping over the protocol's inputs, or the path of a yaml file with one.
        :param options: scheduler options of the jobs.
        :param potential: file of the potential; found in the LAMMPS installation of this machine when None.
        :raises ValueError: for an impossible formula, an unknown protocol or a wrong override.
        :raises FileNotFoundError: if the potential is not found.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        formula = formula if isinstance(formula, orm.Str) else orm.Str(formula)
        expected = expected_density(inputs["densities"], composition_x(validate_melt_formula(formula.value)))
        parameters = dict(inputs["parameters"])
        if inputs["quench_rate_K_per_s"] is not None:
            parameters["quench_time_ps"] = quench_time(inputs["quench_rate_K_per_s"], parameters)
        cell = dict(inputs["starting_cell"])
        if cell["density_g_cm3"] is None:
            cell["density_g_cm3"] = expected
        builder = cls.get_builder()
        builder.code = code
        builder.formula = formula
        builder.seed = seed if isinstance(seed, orm.Int) else orm.Int(seed)
        builder.potential = potential or load_potential(inputs["potential"])
        builder.starting_cell = orm.Dict(cell)
        builder.parameters = orm.Dict(parameters)
        builder.quality = orm.Dict({**inputs["quality"], "expected_density_g_cm3": cell["density_g_cm3"]})
        builder.max_iterations = orm.Int(inputs["max_iterations"])
        builder.clean_workdir = orm.Bool(inputs["clean_workdir"])
        builder.options = dict(options or {})
        return builder

    def setup(self) -> None:
        """Initialise the context and the inputs of the first job."""
        super().setup()
        self.ctx.fresh_starts = 0
        self.ctx.unreadable = []
        self.ctx.parts = []
        label = f"melt-quench {self.inputs.formula.value} seed {self.inputs.seed.value}"
        self.ctx.inputs = AttributeDict(
            {
                "code": self.inputs.code,
                "potential": self.inputs.potential,
                "parameters": self.inputs.parameters,
                "seed": self.inputs.seed,
                "metadata": job_metadata(self.inputs.options, label),
            }
        )

    def make_starting_cell(self) -> None:
        """Make the starting cell."""
        self.ctx.inputs.structure = make_starting_cell(
            self.inputs.formula,
            self.inputs.seed,
            self.inputs.starting_cell,
            orm.Int(SCIENCE_VERSION),
            metadata={"call_link_label": "starting_cell"},  # type: ignore[call-arg]
        )
        self.out("starting_structure", self.ctx.inputs.structure)

    def results(self) -> ExitCode | None:
        """Assess the final cell, join the series of restarted runs, and attach the outputs."""
        calculation = self.ctx.children[self.ctx.iteration - 1]
        self.out("structure", calculation.outputs.structure)
        quality = assess_structure(
            calculation.outputs.structure,
            self.inputs.quality,
            orm.Int(SCIENCE_VERSION),
            calculation.outputs.results,
            metadata={"call_link_label": "assess"},  # type: ignore[call-arg]
        )
        self.out("quality", quality)
        parts = [*self.ctx.parts, calculation]
        series = [part.outputs.thermo for part in parts if "thermo" in part.outputs]
        if len(series) == 1:
            self.out("thermo", series[0])
        else:
            named: dict[str, Any] = {f"part_{number:02d}": node for number, node in enumerate(series)}
            self.out("thermo", join_thermo(**named, **{"metadata": {"call_link_label": "join_thermo"}}))
        if "trajectory" in calculation.outputs:
            self.out(f"trajectories.iteration_{self.ctx.iteration:02d}", calculation.outputs.trajectory)
        flags = quality["flags"]
        self.report(
            f"{quality['formula']}: {quality['density_g_cm3']:.3f} g/cm³ after {self.ctx.iteration} job(s), "
            f"flags: {', '.join(flags) if flags else 'none'}"
        )
        return None

    def on_terminated(self) -> None:
        """Clean the scratch when asked, except that of cached jobs, which belongs to the runs they were taken from."""
        super(BaseRestartWorkChain, self).on_terminated()
        if self.inputs.clean_workdir.value:
            cleaned = clean_scratch(self.node)
            self.report(f"cleaned remote folders of calculations: {' '.join(map(str, cleaned))}")

    def _start_afresh(self) -> None:
        """Let the next job start from the starting cell."""
        self.ctx.inputs.pop("parent_folder", None)
        self.ctx.inputs.pop("restart_file", None)
        self.ctx.parts = []

    def _restart_files(self, remote: orm.RemoteData) -> list[str]:
        """Return the restart files of a remote folder, last first, without those that could not be read."""
        try:
            names = remote.listdir()
        except OSError as exception:
            self.report(f"the folder of the interrupted job cannot be listed: {exception}")
            return []
        return [name for name in sorted_restart_files(names) if [remote.uuid, name] not in self.ctx.unreadable]

    @process_handler(priority=500, exit_codes=[MeltQuenchCalculation.exit_codes.ERROR_INTERRUPTED])
    def handle_interrupted(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from the last restart file of an interrupted job."""
        files = self._restart_files(calculation.outputs.remote_folder)
        start = restart_step(self.ctx.inputs.restart_file.value) if "restart_file" in self.ctx.inputs else None
        if files and start is not None and (restart_step(files[0]) or 0) <= start:
            files = []
        if files:
            self.ctx.parts.append(calculation)
            self.ctx.inputs.parent_folder = calculation.outputs.remote_folder
            self.ctx.inputs.restart_file = orm.Str(files[0])
            self.report(f"{calculation.process_label}<{calculation.pk}> was interrupted: going on from {files[0]}")
            return ProcessHandlerReport(True)
        if "parent_folder" in self.ctx.inputs:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS)
        if self.ctx.fresh_starts >= self.defaults.max_fresh_starts:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_RESTART_FILE)
        self.ctx.fresh_starts += 1
        self._start_afresh()
        self.report(
            f"{calculation.process_label}<{calculation.pk}> was interrupted before its first restart file: "
            "starting once more from the beginning"
        )
        return ProcessHandlerReport(True)

    @process_handler(priority=490, exit_codes=[MeltQuenchCalculation.exit_codes.ERROR_RESTART_UNREADABLE])
    def handle_restart_unreadable(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Take the restart file before one that cannot be read: the job was killed while it wrote it."""
        remote = self.ctx.inputs.parent_folder
        self.ctx.unreadable.append([remote.uuid, self.ctx.inputs.restart_file.value])
        files = self._restart_files(remote)
        if files:
            self.ctx.inputs.restart_file = orm.Str(files[0])
            self.report(f"{self.ctx.unreadable[-1][1]} cannot be read: going on from {files[0]}")
            return ProcessHandlerReport(True)
        if self.ctx.fresh_starts >= self.defaults.max_fresh_starts:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_RESTART_FILE)
        self.ctx.fresh_starts += 1
        self._start_afresh()
        self.report("no restart file can be read: starting once more from the beginning")
        return ProcessHandlerReport(True)

    @process_handler(priority=480, exit_codes=[MeltQuenchCalculation.exit_codes.ERROR_UNSTABLE_DYNAMICS])
    def handle_unstable_dynamics(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Start again from the starting cell with a shorter time step."""
        parameters = self.ctx.inputs.parameters.get_dict()
        timestep = parameters["timestep_fs"] * self.defaults.timestep_factor
        if timestep < self.defaults.min_timestep_fs:
            return ProcessHandlerReport(
                True, self.exit_codes.ERROR_UNSTABLE_DYNAMICS.format(timestep=parameters["timestep_fs"])
            )
        parameters["timestep_fs"] = timestep
        self.ctx.inputs.parameters = orm.Dict(parameters)
        self._start_afresh()
        self.report(f"the dynamics blew up: starting again with a time step of {timestep:g} fs")
        return ProcessHandlerReport(True)

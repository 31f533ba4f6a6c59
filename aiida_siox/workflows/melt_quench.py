"""From a formula and a seed to an amorphous cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    define_potential,
    potential_of,
    restart_step,
    sorted_restart_files,
    validate_seed,
)
from aiida_siox.calculations.structures import assess_structure, join_thermo, make_starting_cell
from aiida_siox.checked import validated
from aiida_siox.materials import load_material
from aiida_siox.science import SCIENCE_VERSION, quality
from aiida_siox.science.cells import starting_cell
from aiida_siox.science.composition import at_composition, validate_melt_formula
from aiida_siox.science.melt_quench import FREE_BELOW, Dynamics, quench_time
from aiida_siox.workflows.diffraction import DiffractionProtocol
from aiida_siox.workflows.potential import load_potential, resolve_potential
from aiida_siox.workflows.protocol import SioxProtocolMixin, read_overrides
from aiida_siox.workflows.utils import clean_scratch, job_metadata, validate_job_options


def density_at(inputs: Mapping[str, Any], key: str, x: float) -> float:
    """Return the density in g/cm³ at a composition from points of a protocol, or of its material.

    :param key: ``densities`` or ``expected_densities``.
    :raises ValueError: naming the key, if the points are not pairs with rising x or a density is not positive.
    """
    try:
        points = load_material(inputs["material"]).melting.plain()[key] if inputs[key] is None else inputs[key]
        density = at_composition(points, x, "density in g/cm³")
    except ValueError as exception:
        raise ValueError(f"`{key}`: {exception}") from None
    if density <= 0:
        raise ValueError(f"`{key}`: the density at x = {x:g} is {density:g} g/cm³, it must be positive.")
    return density


def validate_melting(node: orm.Dict | None, _: Any = None) -> str | None:
    """Port validator of the material of a melt-quench."""
    if node is None:
        return None
    try:
        _ = load_material(node.get_dict()).melting
    except ValueError as exception:
        return f"`material`: {exception}"
    return None


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Return what is wrong with formula, seed, potential and starting cell taken together, or None."""
    if not all(key in inputs for key in ("formula", "material")):
        return None
    material = load_material(inputs["material"].get_dict())
    try:
        counts = validate_melt_formula(inputs["formula"].value, material)
    except ValueError as exception:
        return f"`formula`: {exception}"
    if "definition" in inputs.get("potential", {}):
        try:
            potential_of(inputs["potential"]).check_species([symbol for symbol, n in counts.items() if n])
        except ValueError as exception:
            return f"`potential`: {exception}"
    if not all(key in inputs for key in ("seed", "starting_cell")):
        return None
    values = inputs["starting_cell"].get_dict()
    if set(values) != {"crystal", "density_g_cm3"}:
        return f"`starting_cell` needs exactly `crystal` and `density_g_cm3`, got {sorted(values)}."
    try:
        starting_cell(
            inputs["formula"].value, values["density_g_cm3"], inputs["seed"].value, values["crystal"], material
        )
    except (ValueError, TypeError) as exception:
        return str(exception)
    return None


class MeltQuenchWorkChain(SioxProtocolMixin, BaseRestartWorkChain):
    """Random starting cell → melt → quench → relaxed amorphous cell with its quality; goes on after a walltime."""

    _protocol_name = "melt_quench"
    _protocol_open_keys = ("potential",)
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
        spec.input("formula", valid_type=orm.Str, help="Counts of the cell: `Si8O4`.")
        spec.input(
            "material", valid_type=orm.Dict, validator=validate_melting, help="What is melted (materials/*.yaml)."
        )
        spec.input("seed", valid_type=orm.Int, validator=validate_seed, help="Of starting cell and velocities.")
        define_potential(spec)
        spec.input("starting_cell", valid_type=orm.Dict, help="`crystal` and `density_g_cm3` of the starting cell.")
        spec.input(
            "parameters",
            valid_type=orm.Dict,
            validator=validated(Dynamics, "parameters"),
            help="Stages and numbers of the dynamics.",
        )
        spec.input(
            "quality",
            valid_type=orm.Dict,
            validator=validated(quality.Parameters, "quality"),
            help="Rules and tolerances of the assessment.",
        )
        spec.input(
            "options",
            valid_type=dict,
            non_db=True,
            default=dict,
            validator=validate_job_options,
            help="Scheduler options of the jobs.",
        )
        spec.inputs.validator = validate_inputs
        spec.output("structure", valid_type=orm.StructureData, help="The amorphous cell.")
        spec.output(
            "quality", valid_type=orm.Dict, help="Density, coordination, bonds, rings, voids, first peaks, flags."
        )
        spec.output("profiles", valid_type=orm.ArrayData, help="Partial g(r), angles and structure factors.")
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
            message="The dynamics blew up, also with a time step of {timestep} fs. A potential without a repulsive "
            "core does not take a random start, or 5000 K: give it one, or begin at a lower density or temperature.",
        )
        spec.exit_code(
            309,
            "ERROR_LAMMPS",
            message="LAMMPS refused its input or stopped: {message} If it does not know the pair style, take another "
            "code (--code); `lmp -h` lists its styles.",
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
    def get_protocol_inputs(cls, protocol: str | None = None, overrides: Any = None) -> dict[str, Any]:
        """Return the inputs of a protocol; ``potential`` is a name, or the mapping that defines it.

        :raises ValueError: for a material without a melt, an unknown protocol, potential, key or value, and for
            overrides that contradict each other or have no effect.
        """
        overrides = read_overrides(overrides)
        inputs = super().get_protocol_inputs(protocol, overrides)
        for key in ("max_attempts", "max_concurrent", "max_iterations"):
            if isinstance(inputs[key], bool) or not isinstance(inputs[key], int) or inputs[key] < 1:
                raise ValueError(f"`{key}` must be an integer from 1 on, got {inputs[key]!r}.")
        if inputs["quench_rate_K_per_s"] is not None and "quench_time_ps" in overrides.get("parameters", {}):
            raise ValueError(
                f"`parameters.quench_time_ps` {overrides['parameters']['quench_time_ps']} and `quench_rate_K_per_s` "
                f"{inputs['quench_rate_K_per_s']} both say how fast the quench is: give one of them "
                "(`quench_rate_K_per_s: null` takes the rate of the protocol away)."
            )
        if inputs["parameters"]["fixed_volume"] and FREE_BELOW in overrides.get("parameters", {}):
            raise ValueError(
                f"`parameters.{FREE_BELOW}` {overrides['parameters'][FREE_BELOW]} has no effect, since "
                "`parameters.fixed_volume` is true: set that to false, too, or leave it out."
            )
        material = load_material(inputs["material"])
        if inputs["potential"] is None:
            inputs["potential"] = material.melting.potential
        if inputs["starting_cell"]["crystal"] is None:
            inputs["starting_cell"]["crystal"] = material.melting.crystal
        resolve_potential(inputs["potential"])
        return inputs

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        formula: str | orm.Str,
        seed: int | orm.Int,
        protocol: str | None = None,
        overrides: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: of LAMMPS.
        :param formula: counts of the cell, such as ``Si8O4``.
        :param seed: of starting cell and velocities.
        :param protocol: ``fast``, ``balanced``, ``shortened`` or ``paper``; the default of the yaml file when None.
        :param overrides: nested mapping over the protocol's inputs, or the path of a yaml file with one; ``potential``
            is the name of one of ``protocols/potentials.yaml``, or a mapping that defines another.
        :param options: scheduler options of the jobs.
        :raises ValueError: for an impossible formula, an unknown protocol or a wrong override.
        :raises FileNotFoundError: if a file of the potential is not found.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        formula = formula if isinstance(formula, orm.Str) else orm.Str(formula)
        material = load_material(inputs["material"])
        x = material.x(validate_melt_formula(formula.value, material))
        parameters = dict(inputs["parameters"])
        if inputs["quench_rate_K_per_s"] is not None:
            parameters["quench_time_ps"] = quench_time(inputs["quench_rate_K_per_s"], parameters)
        if parameters["fixed_volume"]:
            parameters.pop(FREE_BELOW)
        cell = dict(inputs["starting_cell"])
        if cell["density_g_cm3"] is None:
            cell["density_g_cm3"] = density_at(inputs, "densities", x)
        if isinstance(cell["density_g_cm3"], bool) or not isinstance(cell["density_g_cm3"], int | float):
            raise ValueError(f"`starting_cell.density_g_cm3` must be a number of g/cm³, got {cell['density_g_cm3']!r}.")
        # refused here, not as another input
        starting_cell(formula.value, cell["density_g_cm3"], 0, cell["crystal"], material)
        by_composition = density_at(inputs, "expected_densities", x)
        expected = cell["density_g_cm3"] if parameters["fixed_volume"] else by_composition
        builder = cls.get_builder()
        builder.code = code
        builder.formula = formula
        builder.material = orm.Dict(inputs["material"])
        builder.seed = seed if isinstance(seed, orm.Int) else orm.Int(seed)
        builder.potential = load_potential(inputs["potential"])
        builder.starting_cell = orm.Dict(cell)
        builder.parameters = orm.Dict(parameters)
        diffraction = DiffractionProtocol.get_parameters(inputs["quality"]["diffraction"])
        builder.quality = orm.Dict(
            {**inputs["quality"], "diffraction": diffraction, "expected_density_g_cm3": expected}
        )
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
            self.inputs.material,
            orm.Int(SCIENCE_VERSION),
            metadata={"call_link_label": "starting_cell"},  # type: ignore[call-arg]
        )
        self.out("starting_structure", self.ctx.inputs.structure)

    def results(self) -> ExitCode | None:
        """Assess the final cell, join the series of restarted runs, and attach the outputs."""
        calculation = self.ctx.children[self.ctx.iteration - 1]
        self.out("structure", calculation.outputs.structure)
        assessment = assess_structure(
            calculation.outputs.structure,
            self.inputs.quality,
            self.inputs.material,
            orm.Int(SCIENCE_VERSION),
            calculation.outputs.results,
            metadata={"call_link_label": "assess"},  # type: ignore[call-arg]
        )
        found: Any = assessment["quality"]
        self.out("quality", found)
        self.out("profiles", assessment["profiles"])
        parts = [*self.ctx.parts, calculation]
        series = [part.outputs.thermo for part in parts if "thermo" in part.outputs]
        if len(series) == 1:
            self.out("thermo", series[0])
        else:
            named: dict[str, Any] = {f"part_{number:02d}": node for number, node in enumerate(series)}
            self.out("thermo", join_thermo(**named, **{"metadata": {"call_link_label": "join_thermo"}}))
        if "trajectory" in calculation.outputs:
            self.out(f"trajectories.iteration_{self.ctx.iteration:02d}", calculation.outputs.trajectory)
        flags = found["flags"]
        self.report(
            f"{found['formula']}: {found['density_g_cm3']:.3f} g/cm³ after {self.ctx.iteration} job(s), "
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

    @process_handler(priority=485, exit_codes=[MeltQuenchCalculation.exit_codes.ERROR_PARSER_DETECTED_LAMMPS_RUN_ERROR])
    def handle_lammps_error(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """End with what LAMMPS said: the same input would fail again."""
        message = (calculation.exit_message or "no message").splitlines()[0]
        return ProcessHandlerReport(True, self.exit_codes.ERROR_LAMMPS.format(message=message))

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

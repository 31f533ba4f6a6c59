"""StudyWorkChain: compositions × seeds → site tables → data set → two networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, append_, if_

from aiida_siox.calculations.acceptance import count_acceptance
from aiida_siox.calculations.analysis import ANALYSIS_VERSION, analyse_part
from aiida_siox.calculations.melt_quench import validate_seed
from aiida_siox.calculations.tables import assemble
from aiida_siox.checked import validated
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.materials import Material, load_material
from aiida_siox.materials.material import Window
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.cells import reference_crystal
from aiida_siox.science.composition import parse_formula
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, atomic_data_of
from aiida_siox.workflows.calibration import CalibrationWorkChain, calibration_inputs
from aiida_siox.workflows.configuration import (
    BY_FORMULA,
    formulas_of,
    keep_cell,
    stride_of,
    validate_melts,
    without_cell,
)
from aiida_siox.workflows.configuration_lane import (
    CALIBRATION,
    NAMESPACES,
    ConfigurationLaneWorkChain,
    configuration_label,
    ended_children,
    melt_label,
    targets_label,
)
from aiida_siox.workflows.lanes import deal, divide, failure_node
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.protocol import SioxProtocolMixin, read_overrides
from aiida_siox.workflows.site_spectrum import failure_message
from aiida_siox.workflows.structure_targets import JOBS, StructureTargetsWorkChain
from aiida_siox.workflows.training import TrainingProtocol, job_builder
from aiida_siox.workflows.utils import output_namespace, validate_options

ENGINES = ("lmp", "ld1", "pw", "pp", "xspectra", "bader")
#: The engine that is not needed: its code trains as a job.
TRAIN = "analysis"
#: Cost of a site against the atoms of its cell (engine_facts.md); only the order of the work uses it.
COST_EXPONENT = 1.9


def validate_items(node: orm.List, _: Any = None) -> str | None:
    """Port validator: a list of [formula, seed] without repetition."""
    items = node.get_list()
    if not items:
        return "`configurations` is empty: give at least one [formula, seed]."
    seen = set()
    for item in items:
        if not (
            isinstance(item, list | tuple)
            and len(item) == 2
            and isinstance(item[1], int)
            and not isinstance(item[1], bool)
        ):
            return f"`configurations` must hold [formula, seed] pairs, got {item!r}."
        if message := validate_seed(orm.Int(item[1]), None):
            return f"`configurations`: {message}"
        label = configuration_label(*item)
        if label in seen:
            return f"`configurations` holds {label} twice."
        seen.add(label)
    return None


def validate_inputs(inputs: Mapping[str, Any], _: Any = None) -> str | None:
    """Refuse what the parts would refuse later: what cannot be melted, a data set wider than its spectra."""
    if message := validate_melts(inputs):
        return message
    if all(key in inputs for key in ("material", "settings")):
        melted = load_material(inputs["material"].get_dict())
        if melted.spectral() != load_material(inputs["settings"]["material"]).spectral():
            return f"`settings.material` is not the `material` that is melted ({melted.name}): give the same to both."
    if not all(key in inputs for key in ("window", "settings")):
        return None
    window = Window.parse(inputs["window"].get_dict(), "window")
    widest = load_material(inputs["settings"]["material"]).window
    if window.energy_min_eV < widest.energy_min_eV or window.energy_max_eV > widest.energy_max_eV:
        return (
            f"`window` is {window.energy_min_eV:g} to {window.energy_max_eV:g} eV, but spectra are computed for "
            f"{widest.energy_min_eV:g} to {widest.energy_max_eV:g} eV, the window of the material: take a part, "
            "or a material with a wider window."
        )
    return None


def study_lanes(
    configurations: Sequence[Sequence[Any]], calibrate: bool, max_concurrent: int, material: Material
) -> list[tuple[int, list[list[Any]]]]:
    """Return for each lane how many engine jobs it may run at one time and its configurations.

    :param configurations: [formula, seed] of each cell.
    :param calibrate: whether the calibration, [`calibration`], is one of the items.
    """
    items: list[list[Any]] = [list(item) for item in configurations]
    weights = []
    for formula, _ in items:
        counts = parse_formula(formula, material)
        weights.append(counts[material.absorber] * sum(counts.values()) ** COST_EXPONENT)
    if calibrate:
        items.append([CALIBRATION])
        weights.append(float(len(reference_crystal(material, material.calibration.crystal)) ** COST_EXPONENT))
    budgets = divide(max_concurrent, len(items))
    return list(zip(budgets, deal(items, weights, len(budgets)), strict=True))


class StudyWorkChain(SioxProtocolMixin, WorkChain):
    """The whole study, in one provenance graph."""

    _protocol_name = "study"
    _protocol_children = {
        "atomic_data": AtomicDataWorkChain,
        "melt_quench": MeltQuenchWorkChain,
        "structure_targets": StructureTargetsWorkChain,
        "calibration": CalibrationWorkChain,
        "training": TrainingProtocol,
    }

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.input(
            "configurations", valid_type=orm.List, validator=validate_items, help="[formula, seed] of each cell."
        )
        spec.expose_inputs(ConfigurationLaneWorkChain, exclude=("configurations", "atomic_data", "codes", "options"))
        spec.input_namespace("codes", help="Codes by engine.")
        for engine in ENGINES:
            spec.input(f"codes.{engine}", valid_type=orm.AbstractCode, help=f"Code of {engine}.")
        spec.input(
            f"codes.{TRAIN}",
            valid_type=orm.AbstractCode,
            required=False,
            help="Code of siox-analyse: the training runs as a job of it. Without it a worker of the daemon trains, "
            "and does nothing else meanwhile, which is long for thousands of sites.",
        )
        spec.input(
            "options",
            valid_type=dict,
            non_db=True,
            default=dict,
            validator=lambda value, _: validate_options(value, ("lmp", "ld1", *JOBS, TRAIN)),
            help="Scheduler options by engine.",
        )
        spec.input("atomic_parameters", valid_type=orm.Dict, help="Parameters of AtomicDataWorkChain.")
        spec.expose_inputs(
            StructureTargetsWorkChain,
            include=("atomic_data",),
            namespace_options={"required": False, "populate_defaults": False},
        )
        spec.inputs["atomic_data"].required = False
        spec.inputs["atomic_data"].populate_defaults = False
        spec.input("calibration", valid_type=CalibrationData, required=False, help="Reused when given.")
        spec.input(
            "window",
            valid_type=orm.Dict,
            validator=validated(Window, "window"),
            help="Grid of the data set, calibrated axis.",
        )
        spec.input(
            "training",
            valid_type=orm.Dict,
            required=False,
            help="Parameters of the part `model` of the analysis; without them no training.",
        )
        spec.inputs.validator = validate_inputs
        spec.outline(
            if_(cls.lacks_atomic_data)(cls.run_atomic_data, cls.inspect_atomic_data),
            cls.run_lanes,
            cls.gather,
            cls.assemble,
            if_(cls.should_train)(cls.run_training, cls.inspect_training),
            cls.results,
        )
        for name, (kind, words) in NAMESPACES.items():
            spec.output_namespace(name, valid_type=kind, dynamic=True, help=words)
        spec.output("acceptance", valid_type=orm.Dict, help="Requested and accepted cells, attempts, by formula.")
        spec.output("calibration", valid_type=CalibrationData, required=False)
        spec.output("calibration_table", valid_type=SiteTableData, required=False, help="The site of its crystal.")
        spec.output("dataset", valid_type=DatasetData, required=False)
        spec.output_namespace("models", valid_type=ModelData, dynamic=True, help="Networks by property.")
        spec.exit_code(301, "ERROR_ATOMIC_DATA_FAILED", message="The atomic data failed: {message}")
        spec.exit_code(302, "ERROR_CALIBRATION_FAILED", message="The calibration failed, no data set: {message}")
        spec.exit_code(303, "ERROR_NO_SITES", message="No configuration gave a site table; see `failures`.")
        spec.exit_code(304, "ERROR_ASSEMBLY_FAILED", message="The data set could not be put together: {message}")
        spec.exit_code(305, "ERROR_TRAINING_FAILED", message="The training failed: {message}")
        spec.exit_code(
            401,
            "WARNING_INCOMPLETE",
            message="{n_sites} sites and {n_configurations} configurations failed; the rest is in the data set."
            "{missing}",
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode],
        protocol: str | None = None,
        overrides: Any = None,
        *,
        compositions: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
        max_concurrent: int | None = None,
        options: Mapping[str, Any] | None = None,
        train: bool | None = None,
        atomic_data: Mapping[str, Any] | None = None,
        calibration: CalibrationData | None = None,
    ) -> Any:
        """Return a builder with the inputs of a protocol.

        :param codes: ``lmp``, ``ld1``, ``pw``, ``pp``, ``xspectra`` and ``bader``; ``analysis`` too, if the training
            shall be a job.
        :param overrides: mapping or yaml file with the keys of ``protocols/study.yaml`` and, under ``melt_quench``,
            ``structure_targets``, ``calibration``, ``training`` and ``atomic_data``, those of the parts.
        :param compositions: formulas; those of the protocol by default.
        :param seeds: one configuration a formula and seed; those of the protocol by default.
        :param max_concurrent: engine jobs of the whole study at one time.
        :param options: scheduler options by engine.
        :param train: whether to train the networks.
        :param atomic_data: outputs of AtomicDataWorkChain to reuse.
        :param calibration: to reuse; it must have been computed with the same settings.
        :raises ValueError: for an unknown protocol or override key, a formula that is not possible, or a setting out
            of range.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        melt, targets = inputs["melt_quench"], inputs["structure_targets"]
        material = load_material(inputs["material"])
        formulas = formulas_of(material, compositions or inputs["compositions"] or melt["formulas"])
        seeds = seeds or inputs["seeds"] or melt["seeds"]
        builder = cls.get_builder()
        builder.configurations = orm.List([[formula, int(seed)] for formula in formulas for seed in seeds])
        should_train = inputs["train"] if train is None else train
        engines = (*ENGINES, TRAIN) if should_train and TRAIN in codes else ENGINES
        builder.codes = {engine: codes[engine] for engine in engines}
        melt_quench = {}
        melt_overrides = {**read_overrides(overrides).get("melt_quench", {}), "material": inputs["material"]}
        for formula in formulas:
            child = MeltQuenchWorkChain.get_builder_from_protocol(
                codes["lmp"], formula, int(seeds[0]), protocol, melt_overrides
            )
            melt_quench[formula] = {key: child[key] for key in BY_FORMULA}
            builder.potential, builder.material = child.potential, child.material
        builder.melt_quench = melt_quench
        builder.max_attempts = orm.Int(melt["max_attempts"])
        builder.seed_stride = orm.Int(stride_of(seeds))
        for key, node in calibration_inputs(inputs["calibration"], material).items():
            builder[key] = node
        builder.settings = orm.Dict(StructureTargetsWorkChain.settings_from(targets, protocol))
        builder.clean_scratch = targets["clean_scratch"]
        builder.max_concurrent = orm.Int(inputs["max_concurrent"] if max_concurrent is None else max_concurrent)
        builder.atomic_parameters = orm.Dict(inputs["atomic_data"]["parameters"])
        if atomic_data is not None:
            builder.atomic_data = {key: atomic_data[key] for key in ("pseudos", "core_wavefunction", "energies")}
        if calibration is not None:
            builder.calibration = calibration
        builder.window = orm.Dict({**material.window.plain(), **inputs["window"]})
        if should_train:
            builder.training = orm.Dict({"targets": inputs["models"], "training": inputs["training"]})
        if options:
            builder.options = {engine: dict(options[engine]) for engine in options}
        return builder

    def lacks_atomic_data(self) -> bool:
        """Return whether the atomic data must be made."""
        if "atomic_data" in self.inputs and "energies" in self.inputs.atomic_data:
            self.ctx.atomic_data = self.inputs.atomic_data
            return False
        return True

    def run_atomic_data(self) -> ToContext:
        """Make pseudopotentials, core wavefunction and atomic energies."""
        inputs = {
            "code": self.inputs.codes.ld1,
            "parameters": self.inputs.atomic_parameters,
            "options": dict(self.inputs.options.get("ld1", {})),
            "metadata": {"call_link_label": "atomic_data"},
        }
        return ToContext(atomic=self.submit(AtomicDataWorkChain, **inputs))

    def inspect_atomic_data(self) -> ExitCode | None:
        """Nothing can be computed without them."""
        if not self.ctx.atomic.is_finished_ok:
            return self.exit_codes.ERROR_ATOMIC_DATA_FAILED.format(message=failure_message(self.ctx.atomic))
        self.ctx.atomic_data = atomic_data_of(self.ctx.atomic)
        return None

    def run_lanes(self) -> None:
        """Deal configurations, and the calibration unless it was given, to lanes."""
        lanes = study_lanes(
            self.inputs.configurations.get_list(),
            "calibration" not in self.inputs,
            self.inputs.max_concurrent.value,
            load_material(self.inputs.material.get_dict()),
        )
        for i, (budget, lane) in enumerate(lanes):
            inputs = self.exposed_inputs(ConfigurationLaneWorkChain)
            inputs.update(
                configurations=orm.List(lane),
                atomic_data=self.ctx.atomic_data,
                codes={engine: self.inputs.codes[engine] for engine in ENGINES if engine != "ld1"},
                options={engine: given for engine, given in self.inputs.options.items() if engine != TRAIN},
                max_concurrent=orm.Int(budget),
                metadata={"call_link_label": f"lane_{i}"},
            )
            self.to_context(lanes=append_(self.submit(ConfigurationLaneWorkChain, **inputs)))

    def gather(self) -> ExitCode | None:
        """Attach everything the lanes have made, before anything can go wrong with it."""
        self.ctx.calibration = self.inputs.get("calibration")
        for name in NAMESPACES:
            self.ctx[name] = {}
            for lane in self.ctx.lanes:
                self.ctx[name].update(output_namespace(lane, name))
        for lane in self.ctx.lanes:
            if not lane.is_finished_ok:  # it has attached nothing, of what it made neither
                self.gather_stopped(lane)
            elif "calibration" in lane.outputs:
                self.take_calibration(lane.outputs.calibration, lane.outputs.calibration_table)
        for name in NAMESPACES:
            if self.ctx[name]:
                self.out(name, self.ctx[name])
        items = self.inputs.configurations
        self.ctx.acceptance = count_acceptance(
            configurations=items, material=self.inputs.material, version=orm.Int(SCIENCE_VERSION), **self.ctx.attempts
        )
        self.out("acceptance", self.ctx.acceptance)
        if not self.ctx.site_tables:
            return self.exit_codes.ERROR_NO_SITES
        if self.ctx.calibration is None:
            failure = self.ctx.failures.get(CALIBRATION)
            reason = failure["reason"] if failure is not None else "the lane that held it stopped"
            return self.exit_codes.ERROR_CALIBRATION_FAILED.format(message=reason)
        self.out("calibration", self.ctx.calibration)
        return None

    def gather_stopped(self, lane: orm.ProcessNode) -> None:
        """Add what the children of a lane gave that excepted or was killed, and why there is nothing else."""
        children = ended_children(lane)
        for item in lane.inputs.configurations.get_list():
            label = CALIBRATION if item[0] == CALIBRATION else configuration_label(*item)
            first = children.get(label if label == CALIBRATION else melt_label(label), lane)
            targets = children.get(targets_label(label), lane)
            if label != CALIBRATION and first is not lane:
                keep_cell(self.ctx, label, first)
            if label == CALIBRATION and first.is_finished_ok:
                self.take_calibration(first.outputs.calibration, first.outputs.site_table)
            elif "site_table" in targets.outputs:
                self.ctx.site_tables[label] = targets.outputs.site_table
            elif label not in self.ctx.failures:
                self.ctx.failures[label] = failure_node(-1, targets if first.is_finished_ok else first)

    def take_calibration(self, calibration: CalibrationData, table: SiteTableData) -> None:
        """Keep the calibration for the data set, and attach the table of its site."""
        self.ctx.calibration = calibration
        self.out("calibration_table", table)

    def assemble(self) -> ExitCode | None:
        """Stack the tables on the calibrated grid."""
        try:
            self.ctx.dataset = assemble(
                calibration=self.ctx.calibration,
                window=self.inputs.window,
                version=orm.Int(SCIENCE_VERSION),
                tables=self.ctx.site_tables,
            )
        except ValueError as exception:
            return self.exit_codes.ERROR_ASSEMBLY_FAILED.format(message=str(exception))
        self.out("dataset", self.ctx.dataset)
        return None

    def should_train(self) -> bool:
        """Return whether networks are asked for."""
        return "training" in self.inputs

    def run_training(self) -> ToContext | None:
        """Train the networks, in a job where there is a code for it, else in the worker."""
        dataset, parameters = self.ctx.dataset, self.inputs.training
        if TRAIN not in self.inputs.codes:
            inputs = (dataset, orm.Str("model"), parameters, orm.Int(ANALYSIS_VERSION))
            self.ctx.training = analyse_part.run_get_node(*inputs)[1]
            return None
        options = self.inputs.options.get(TRAIN)
        builder = job_builder(self.inputs.codes[TRAIN], dataset, "model", parameters.get_dict(), options)
        builder.metadata.call_link_label = "training"
        return ToContext(training=self.submit(builder))

    def inspect_training(self) -> ExitCode | None:
        """Attach the networks."""
        training = self.ctx.training
        if not training.is_finished_ok:
            return self.exit_codes.ERROR_TRAINING_FAILED.format(message=failure_message(training))
        for name in training.outputs.models:
            self.out(f"models.{name}", training.outputs.models[name])
        return None

    def results(self) -> ExitCode | None:
        """Say what is missing."""
        attributes = [table.base.attributes for table in self.ctx.site_tables.values()]
        n_sites = sum(entry.get("n_requested") - entry.get("n_done") for entry in attributes)
        n_configurations = len(self.inputs.configurations.get_list()) - len(attributes)
        if n_sites or n_configurations:
            counted = self.ctx.acceptance
            none = [formula for formula in counted["order"] if not counted[formula]["accepted"]]
            words = without_cell(none, self.inputs, self.ctx.attempts)
            missing = f" No cell was accepted of {words}." if none else ""
            return self.exit_codes.WARNING_INCOMPLETE.format(
                n_sites=n_sites, n_configurations=n_configurations, missing=missing
            )
        return None

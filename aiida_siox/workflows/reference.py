"""ReferenceWorkChain: the crystals of a material, from coarse to fine, and the calibration from one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, append_, while_
from aiida_quantumespresso.workflows.protocols.utils import recursive_merge

from aiida_siox.calculations.references import compare_references
from aiida_siox.calculations.spectra import calibrate
from aiida_siox.calculations.structures import make_crystal
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.materials import load_material
from aiida_siox.registry import nearest
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.workflows.calibration import CrystalParameters, crystal_parameters, target_of, validate_target
from aiida_siox.workflows.lanes import deal, divide
from aiida_siox.workflows.protocol import SioxProtocolMixin, check_overrides, read_overrides
from aiida_siox.workflows.site_spectrum import failure_message
from aiida_siox.workflows.structure_targets import JOBS, StructureTargetsWorkChain, absorber_sites
from aiida_siox.workflows.utils import output_namespace

CASE_KEYS = ("compound", "step", "supercell", "settings")


class Case(CrystalParameters):
    """A crystal, and the step in which it is compared."""

    step: str


def validate_cases(node: orm.Dict, _: Any = None) -> str | None:
    """Port validator: named cases of known crystals, in an order that holds each of them once."""
    content = node.get_dict()
    order = content.get("order", [])
    names = [name for name in content if name != "order"]
    if not names or sorted(order) != sorted(names):
        return f"`cases.order` must hold every case once, got {order} for the cases {names}."
    for name in names:
        case = content[name]
        if not name.isidentifier():
            return f"the name of a case must be a word of letters, digits and _, got `{name}`."
        if message := Case.fault(case, f"cases.{name}"):
            return message
    return None


def validate_inputs(inputs: Mapping[str, Any], _: Any = None) -> str | None:
    """Refuse cases without settings, and settings of no case."""
    if "cases" not in inputs or "settings" not in inputs:
        return None
    names, given = set(inputs["cases"].get_dict()) - {"order"}, set(inputs["settings"])
    if names != given:
        return f"`settings` must hold the settings of every case: differs for {', '.join(sorted(names ^ given))}."
    return validate_target({**inputs, "settings": next(iter(inputs["settings"].values()))})


class ReferenceLaneWorkChain(WorkChain):
    """One site of each of several crystals, one after another; a failed one does not stop the others."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.input("cases", valid_type=orm.List, help="Names of the cases, in the order to be computed.")
        spec.input_namespace("structures", valid_type=orm.StructureData, dynamic=True, help="Crystals by case.")
        spec.input_namespace("settings", valid_type=orm.Dict, dynamic=True, help="Settings by case.")
        spec.expose_inputs(StructureTargetsWorkChain, exclude=("structure", "sites", "settings"))
        spec.inputs.validator = None
        spec.outline(cls.setup, while_(cls.has_next)(cls.run_next, cls.inspect_last), cls.results)
        spec.output_namespace("site_tables", valid_type=SiteTableData, dynamic=True, help="By case.")

    def setup(self) -> None:
        """Take the list."""
        self.ctx.todo = list(self.inputs.cases.get_list())
        self.ctx.tables = {}

    def has_next(self) -> bool:
        """Return whether a case is left."""
        return bool(self.ctx.todo)

    def run_next(self) -> ToContext:
        """Submit the next case: its first absorber, for all are equivalent."""
        self.ctx.current = name = self.ctx.todo.pop(0)
        inputs = self.exposed_inputs(StructureTargetsWorkChain)
        inputs["structure"] = self.inputs.structures[name]
        inputs["settings"] = self.inputs.settings[name]
        inputs["sites"] = orm.List(absorber_sites(inputs["structure"], inputs["settings"]["material"]["absorber"])[:1])
        inputs["metadata"] = {"call_link_label": name}
        return ToContext(last=self.submit(StructureTargetsWorkChain, **inputs))

    def inspect_last(self) -> None:
        """Keep the table, or say why there is none."""
        if self.ctx.last.is_finished_ok:
            self.ctx.tables[self.ctx.current] = self.ctx.last.outputs.site_table
        else:
            self.report(f"{self.ctx.current} failed: {failure_message(self.ctx.last)}")

    def results(self) -> None:
        """Attach what there is."""
        if self.ctx.tables:
            self.out("site_tables", self.ctx.tables)


class ReferenceWorkChain(SioxProtocolMixin, WorkChain):
    """Reference crystals on the total-energy axis: what their spectra converge to, and the shift between two."""

    _protocol_name = "reference"
    _protocol_children = {"structure_targets": StructureTargetsWorkChain}

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.input(
            "cases",
            valid_type=orm.Dict,
            validator=validate_cases,
            help="By name `compound`, `step`, `crystal` and `supercell`; `order`: the names, coarse to fine.",
        )
        spec.input_namespace("settings", valid_type=orm.Dict, dynamic=True, help="Settings by case.")
        spec.input("target", valid_type=orm.Float, help="Measured main peak of the crystal that calibrates, in eV.")
        spec.input(
            "experiment",
            valid_type=orm.Dict,
            help="`references` of the material: measured main peaks, the two that are compared, and the source.",
        )
        spec.expose_inputs(StructureTargetsWorkChain, exclude=("structure", "sites", "settings"))
        spec.inputs.validator = validate_inputs
        spec.outline(cls.setup, cls.run_lanes, cls.compare, cls.results)
        spec.output_namespace("site_tables", valid_type=SiteTableData, dynamic=True, help="One site of each case.")
        spec.output_namespace(
            "calibrations",
            valid_type=CalibrationData,
            dynamic=True,
            help="The shift from each cell of the calibration's crystal.",
        )
        spec.output("comparison", valid_type=orm.Dict, help="`rows`, `shifts`, `experiment` and `missing`.")
        spec.exit_code(301, "ERROR_ALL_FAILED", message="No reference crystal was computed: {message}")
        spec.exit_code(302, "ERROR_COMPARISON_FAILED", message="The spectra cannot be compared: {message}")
        spec.exit_code(401, "WARNING_CASES_FAILED", message="These cases failed, the others are compared: {names}")

    @classmethod
    def get_protocol_inputs(cls, protocol: str | None = None, overrides: Any = None) -> dict[str, Any]:
        """Return the inputs of a protocol; overrides of ``cases`` replace those of the protocol altogether.

        :raises ValueError: for an unknown protocol, key or value.
        """
        overrides = read_overrides(overrides)
        cases = overrides.pop("cases", None)
        inputs = super().get_protocol_inputs(protocol, overrides)
        inputs = inputs if cases is None else {**inputs, "cases": cases}
        material = load_material(inputs["material"])
        if material.references is None or not inputs["cases"]:
            raise ValueError(
                f"the material {material.name} has no reference crystals to compare: add `references` and "
                f"`protocols.{protocol or cls.get_default_protocol()}.reference.cases` to its yaml."
            )
        return inputs

    @classmethod
    def settings_of_cases(cls, inputs: Mapping[str, Any], protocol: str | None) -> dict[str, dict[str, Any]]:
        """Return the settings of every case: those of the protocol with what the case changes.

        :param inputs: of :meth:`get_protocol_inputs`.
        :raises ValueError: naming the case, for an unknown key or a setting out of range.
        """
        targets = inputs["structure_targets"]
        settings = {}
        for name, case in inputs["cases"].items():
            if missing := [key for key in ("compound", "supercell") if key not in case]:
                raise ValueError(f"case `{name}` lacks {', '.join(missing)}.")
            if wrong := [key for key in case if key not in CASE_KEYS]:
                raise ValueError(f"case `{name}` has no key `{wrong[0]}`: {nearest(wrong[0], list(CASE_KEYS))}")
            check_overrides(case.get("settings", {}), targets["settings"], f"cases.{name}.settings")
            merged = recursive_merge(targets, {"settings": case.get("settings", {})})
            try:
                settings[name] = StructureTargetsWorkChain.settings_from(merged, protocol)
            except ValueError as exception:
                raise ValueError(f"case `{name}`: {exception}") from None
        return settings

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode],
        atomic_data: Mapping[str, Any],
        protocol: str | None = None,
        overrides: Any = None,
        *,
        max_concurrent: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a builder with the inputs of a protocol.

        :param codes: ``pw``, ``pp``, ``xspectra`` and ``bader``.
        :param atomic_data: outputs of AtomicDataWorkChain.
        :param overrides: mapping or yaml file with the keys of ``protocols/reference.yaml``; ``cases`` replaces those
            of the protocol altogether, and under ``structure_targets`` stand the keys of
            ``protocols/structure_targets.yaml``; what a case sets itself stays.
        :raises ValueError: for an unknown protocol or override key, an unknown crystal, or a setting out of range.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        targets, cases = inputs["structure_targets"], inputs["cases"]
        material = load_material(inputs["material"])
        builder = cls.get_builder()
        settings, crystals = cls.settings_of_cases(inputs, protocol), {}
        for name, case in cases.items():
            try:
                parameters = crystal_parameters(material, case["compound"], case["supercell"])
            except ValueError as exception:
                raise ValueError(f"case `{name}`: {exception}") from None
            crystals[name] = {"step": case.get("step", name), **parameters}
        builder.cases = orm.Dict({**crystals, "order": list(cases)})
        builder.settings = {name: orm.Dict(values) for name, values in settings.items()}
        builder.target = orm.Float(target_of(inputs, material))
        builder.experiment = orm.Dict(material.references.plain() if material.references else {})
        builder.codes = {engine: codes[engine] for engine in ("pw", "pp", "xspectra", "bader")}
        builder.atomic_data = {key: atomic_data[key] for key in ("pseudos", "core_wavefunction", "energies")}
        builder.max_concurrent = orm.Int(targets["max_concurrent"] if max_concurrent is None else max_concurrent)
        builder.clean_scratch = targets["clean_scratch"]
        if options:
            builder.options = {engine: dict(options[engine]) for engine in options if engine in JOBS}
        return builder

    def setup(self) -> None:
        """Make the crystals."""
        self.ctx.cases = self.inputs.cases.get_dict()
        self.ctx.structures = {
            name: make_crystal(
                parameters=orm.Dict({key: value for key, value in self.ctx.cases[name].items() if key != "step"}),
                version=orm.Int(SCIENCE_VERSION),
            )
            for name in self.ctx.cases["order"]
        }

    def run_lanes(self) -> None:
        """Deal the cases to lanes, the largest cells first, and start them."""
        names = self.ctx.cases["order"]
        shares = divide(self.inputs.max_concurrent.value, len(names))
        weights = [float(len(self.ctx.structures[name].sites)) ** 2 for name in names]
        for i, (cases, share) in enumerate(zip(deal(names, weights, len(shares)), shares, strict=True)):
            inputs = self.exposed_inputs(StructureTargetsWorkChain)
            inputs["max_concurrent"] = orm.Int(share)
            inputs["cases"] = orm.List(cases)
            inputs["structures"] = {name: self.ctx.structures[name] for name in cases}
            inputs["settings"] = {name: self.inputs.settings[name] for name in cases}
            inputs["metadata"] = {"call_link_label": f"lane_{i}"}
            self.to_context(lanes=append_(self.submit(ReferenceLaneWorkChain, **inputs)))

    def compare(self) -> ExitCode | None:
        """Compare the spectra, and calibrate with every cell of the crystal for it."""
        tables: dict[str, Any] = {}
        for lane in self.ctx.lanes:
            tables.update(output_namespace(lane, "site_tables"))
        if not tables:
            reasons = "; ".join(failure_message(lane) for lane in self.ctx.lanes if not lane.is_finished_ok)
            return self.exit_codes.ERROR_ALL_FAILED.format(message=reasons or "see the reports of the lanes")
        self.ctx.tables = tables
        try:
            self.ctx.comparison = compare_references(
                cases=self.inputs.cases,
                experiment=self.inputs.experiment,
                version=orm.Int(SCIENCE_VERSION),
                tables=tables,
            )
            crystal = load_material(self.inputs.settings[next(iter(tables))]["material"]).calibration.crystal
            self.ctx.calibrations = {
                name: calibrate(site_table=table, target=self.inputs.target, version=orm.Int(SCIENCE_VERSION))
                for name, table in tables.items()
                if self.ctx.cases[name]["compound"] == crystal
            }
        except ValueError as exception:
            return self.exit_codes.ERROR_COMPARISON_FAILED.format(message=str(exception))
        return None

    def results(self) -> ExitCode | None:
        """Attach tables, shifts and comparison."""
        self.out("site_tables", self.ctx.tables)
        if self.ctx.calibrations:
            self.out("calibrations", self.ctx.calibrations)
        self.out("comparison", self.ctx.comparison)
        if missing := self.ctx.comparison["missing"]:
            return self.exit_codes.WARNING_CASES_FAILED.format(names=", ".join(missing))
        return None

"""ConfigurationLaneWorkChain: configurations of a study, one after another."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ToContext, WorkChain, if_, while_

from aiida_siox.calculations.tables import record_failure
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.materials import load_material
from aiida_siox.science.structures import validate_structure
from aiida_siox.workflows.calibration import CalibrationWorkChain
from aiida_siox.workflows.configuration import (
    ConfigurationWorkChain,
    configuration_inputs,
    define_melts,
    keep_cell,
    validate_melts,
)
from aiida_siox.workflows.lanes import failure_node
from aiida_siox.workflows.site_spectrum import failure_message
from aiida_siox.workflows.structure_targets import ENGINES as TARGET_ENGINES
from aiida_siox.workflows.structure_targets import JOBS, StructureTargetsWorkChain

CALIBRATION = "calibration"
#: Output namespaces by Si8O4_1, of a lane and of a study.
NAMESPACES: dict[str, tuple[type[orm.Data], str]] = {
    "structures": (orm.StructureData, "Accepted cells by Si8O4_1."),
    "qualities": (orm.Dict, "Their quality, by Si8O4_1."),
    "attempts": (orm.Dict, "Seeds that were tried, by Si8O4_1."),
    "site_tables": (SiteTableData, "Spectra and targets by Si8O4_1."),
    "failures": (orm.Dict, "Configurations without a table, and why."),
}
#: Inputs that calibration and targets share with the lane under the same names.
SHARED = ("settings", "max_concurrent", "clean_scratch", "atomic_data")


def configuration_label(formula: str, seed: int) -> str:
    """Return the key of a configuration in namespaces, ``Si8O4_1``."""
    return f"{formula}_{seed}"


def melt_label(label: str) -> str:
    """Return the label of the link to a configuration, ``melt_quench_Si8O4_1``."""
    return f"melt_quench_{label}"


def targets_label(label: str) -> str:
    """Return the label of the link to the spectra of a configuration, ``targets_Si8O4_1``."""
    return f"targets_{label}"


def ended_children(lane: orm.ProcessNode) -> dict[str, orm.ProcessNode]:
    """Return the children of a lane that came to an end of their own, by the label of their link.

    A lane that excepted or was killed has attached nothing of what they made.
    """
    links = lane.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    return {link.link_label: link.node for link in links if link.node.is_finished or link.node.is_excepted}


class ConfigurationLaneWorkChain(WorkChain):
    """Configurations one after another: melt-quench, then targets; the calibration may be one of the items."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.input(
            "configurations",
            valid_type=orm.List,
            help="[formula, seed] in order; [`calibration`] stands for the crystal.",
        )
        spec.input_namespace("codes", help="Codes by engine.")
        for engine in ("lmp", "pw", "pp", "xspectra", "bader"):
            spec.input(f"codes.{engine}", valid_type=orm.AbstractCode)
        define_melts(spec)
        spec.input("options", valid_type=dict, non_db=True, default=dict, help="Scheduler options by engine.")
        spec.expose_inputs(CalibrationWorkChain, exclude=("codes", "options"))
        spec.inputs.validator = validate_melts
        spec.outline(
            cls.setup,
            while_(cls.has_next)(
                cls.run_first_part,
                cls.inspect_first_part,
                if_(cls.has_valid_structure)(cls.run_targets, cls.inspect_targets),
            ),
            cls.results,
        )
        for name, (kind, words) in NAMESPACES.items():
            spec.output_namespace(name, valid_type=kind, dynamic=True, help=words)
        spec.output("calibration", valid_type=CalibrationData, required=False)
        spec.output("calibration_table", valid_type=SiteTableData, required=False)

    def setup(self) -> None:
        """Take the list."""
        self.ctx.todo = [tuple(item) for item in self.inputs.configurations.get_list()]
        for name in NAMESPACES:
            self.ctx[name] = {}
        self.ctx.calibration = None

    def has_next(self) -> bool:
        """Return whether something is left."""
        return bool(self.ctx.todo)

    def run_first_part(self) -> ToContext:
        """Submit the melt-quenches of the next configuration, or the calibration."""
        item = self.ctx.todo.pop(0)
        self.ctx.structure = None
        if item[0] == CALIBRATION:
            self.ctx.label = CALIBRATION
            inputs = {key: self.inputs[key] for key in ("target", "crystal")}
            inputs.update(self.target_inputs(CALIBRATION))
            return ToContext(first=self.submit(CalibrationWorkChain, **inputs))
        formula, seed = item
        self.ctx.label = configuration_label(formula, seed)
        inputs = {
            **configuration_inputs(formula, seed, self.inputs),
            "code": self.inputs.codes.lmp,
            "options": dict(self.inputs.options.get("lmp", {})),
            "metadata": {"call_link_label": melt_label(self.ctx.label)},
        }
        return ToContext(first=self.submit(ConfigurationWorkChain, **inputs))

    def inspect_first_part(self) -> None:
        """Keep the structure or the shift, or the reason why there is none."""
        first, label = self.ctx.first, self.ctx.label
        if label != CALIBRATION:
            keep_cell(self.ctx, label, first)
        if not first.is_finished_ok:
            self.fail(label, first)
        elif label == CALIBRATION:
            self.ctx.calibration = first
        else:
            self.ctx.structure = first.outputs.structure

    def fail(self, label: str, process: orm.ProcessNode) -> None:
        """Record why a configuration has no structure or no table."""
        self.report(f"{label} failed: {failure_message(process)}")
        self.ctx.failures[label] = failure_node(-1, process)

    def has_valid_structure(self) -> bool:
        """Return whether the current item is a configuration with a structure that can be computed.

        A cell that the melt-quench left unfit is a failed configuration, not the end of the lane.
        """
        if self.ctx.structure is None:
            return False
        try:
            validate_structure(self.ctx.structure.get_ase(), load_material(self.inputs.settings["material"]))
        except ValueError as exception:
            self.report(f"{self.ctx.label} is not computed: {exception}")
            self.ctx.failures[self.ctx.label] = record_failure(site=orm.Int(-1), reason=orm.Str(str(exception)))
            return False
        return True

    def target_inputs(self, label: str) -> dict[str, Any]:
        """Return the inputs that calibration and targets have in common."""
        inputs = {key: self.inputs[key] for key in SHARED}
        inputs["codes"] = {engine: self.inputs.codes[engine] for engine in TARGET_ENGINES}
        inputs["options"] = {key: value for key, value in self.inputs.options.items() if key in JOBS}
        inputs["metadata"] = {"call_link_label": label}
        return inputs

    def run_targets(self) -> ToContext:
        """Submit spectra and charges of the structure."""
        inputs = self.target_inputs(targets_label(self.ctx.label))
        return ToContext(targets=self.submit(StructureTargetsWorkChain, structure=self.ctx.structure, **inputs))

    def inspect_targets(self) -> None:
        """Keep the table, or the reason why there is none; a table with failed rows is kept."""
        targets = self.ctx.targets
        if "site_table" in targets.outputs:
            self.ctx.site_tables[self.ctx.label] = targets.outputs.site_table
        else:
            self.fail(self.ctx.label, targets)

    def results(self) -> None:
        """Attach what there is."""
        for name in NAMESPACES:
            if self.ctx[name]:
                self.out(name, self.ctx[name])
        if self.ctx.calibration is not None:
            self.out("calibration", self.ctx.calibration.outputs.calibration)
            self.out("calibration_table", self.ctx.calibration.outputs.site_table)

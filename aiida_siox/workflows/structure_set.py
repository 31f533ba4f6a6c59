"""StructureSetWorkChain: compositions × seeds → accepted amorphous cells, and how many were rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, append_, while_

from aiida_siox.calculations.acceptance import count_acceptance
from aiida_siox.checked import Count, validated
from aiida_siox.materials import load_material
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.composition import parse_formula
from aiida_siox.workflows.configuration import (
    BY_FORMULA,
    SHARED,
    ConfigurationWorkChain,
    configuration_inputs,
    define_melts,
    formulas_of,
    keep_cell,
    stride_of,
    validate_melts,
    without_cell,
)
from aiida_siox.workflows.configuration_lane import configuration_label, ended_children, melt_label
from aiida_siox.workflows.lanes import deal, divide, failure_node
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.site_spectrum import failure_message
from aiida_siox.workflows.study import validate_items
from aiida_siox.workflows.utils import output_namespace, validate_job_options

#: Namespaces of a lane and of the set, all by Si8O4_1.
NAMESPACES: dict[str, type[orm.Data]] = {
    "structures": orm.StructureData,
    "qualities": orm.Dict,
    "profiles": orm.ArrayData,
    "attempts": orm.Dict,
    "failures": orm.Dict,
}


def define_configurations(spec: Any) -> None:
    """Add the inputs that lane and set share."""
    spec.input("configurations", valid_type=orm.List, validator=validate_items, help="[formula, seed] of each cell.")
    spec.input("code", valid_type=orm.AbstractCode, help="Code of LAMMPS.")
    define_melts(spec)
    spec.input(
        "options",
        valid_type=dict,
        non_db=True,
        default=dict,
        validator=validate_job_options,
        help="Scheduler options of the jobs.",
    )
    spec.inputs.validator = validate_melts
    for name, kind in NAMESPACES.items():
        spec.output_namespace(name, valid_type=kind, dynamic=True, help="By Si8O4_1.")


class StructureLaneWorkChain(WorkChain):
    """Configurations one after another; one that fails does not stop the others."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        define_configurations(spec)
        spec.outline(cls.setup, while_(cls.has_next)(cls.run_next, cls.inspect_last), cls.results)

    def setup(self) -> None:
        """Take the list."""
        self.ctx.todo = [tuple(item) for item in self.inputs.configurations.get_list()]
        self.ctx.found = {name: {} for name in NAMESPACES}

    def has_next(self) -> bool:
        """Return whether a configuration is left."""
        return bool(self.ctx.todo)

    def run_next(self) -> ToContext:
        """Submit the next configuration."""
        formula, seed = self.ctx.todo.pop(0)
        self.ctx.label = configuration_label(formula, seed)
        inputs = {
            **configuration_inputs(formula, seed, self.inputs),
            "code": self.inputs.code,
            "options": dict(self.inputs.options),
            "metadata": {"call_link_label": melt_label(self.ctx.label)},
        }
        return ToContext(last=self.submit(ConfigurationWorkChain, **inputs))

    def inspect_last(self) -> None:
        """Keep the cell, or the reason why there is none."""
        node, label, found = self.ctx.last, self.ctx.label, self.ctx.found
        keep_cell(found, label, node)
        if not node.is_finished_ok:
            self.report(f"{label} failed: {failure_message(node)}")
            found["failures"][label] = failure_node(-1, node)

    def results(self) -> None:
        """Attach what there is."""
        for name, nodes in self.ctx.found.items():
            if nodes:
                self.out(name, nodes)


class StructureSetWorkChain(SioxProtocolMixin, WorkChain):
    """Amorphous cells of several compositions, each melt-quenched until one is accepted."""

    _protocol_name = "melt_quench"

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        define_configurations(spec)
        spec.input(
            "max_concurrent",
            valid_type=orm.Int,
            validator=validated(Count, "max_concurrent"),
            help="LAMMPS jobs at one time.",
        )
        spec.outline(cls.run_lanes, cls.gather, cls.results)
        spec.output("acceptance", valid_type=orm.Dict, help="Requested, accepted, attempts and reasons by formula.")
        spec.exit_code(
            310,
            "ERROR_COMPOSITION_MISSING",
            message="No cell was accepted of {formulas}; see `failures` for the reasons. {n_structures} accepted cells "
            "are attached.",
        )
        spec.exit_code(
            401, "WARNING_INCOMPLETE", message="{n} configurations have no accepted cell: {labels}; see `failures`."
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        protocol: str | None = None,
        overrides: Any = None,
        *,
        compositions: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
        max_concurrent: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a builder with the inputs of a protocol.

        :param code: of LAMMPS.
        :param overrides: mapping or yaml file with the keys of ``protocols/melt_quench.yaml``.
        :param compositions: formulas; those of the protocol by default.
        :param seeds: one configuration a formula and seed; those of the protocol by default.
        :param max_concurrent: LAMMPS jobs at one time.
        :param options: scheduler options of the jobs.
        :raises ValueError: for an unknown protocol or override key, or an impossible formula.
        :raises FileNotFoundError: if a file of the potential is not found.
        """
        inputs = MeltQuenchWorkChain.get_protocol_inputs(protocol, overrides)
        formulas = formulas_of(load_material(inputs["material"]), compositions or inputs["formulas"])
        chosen = [int(seed) for seed in seeds or inputs["seeds"]]
        builder = cls.get_builder()
        builder.code = code
        builder.configurations = orm.List([[formula, seed] for formula in formulas for seed in chosen])
        melt_quench = {}
        for formula in formulas:
            child = MeltQuenchWorkChain.get_builder_from_protocol(code, formula, chosen[0], protocol, overrides)
            melt_quench[formula] = {key: child[key] for key in BY_FORMULA}
            builder.potential, builder.material = child.potential, child.material
        builder.melt_quench = melt_quench
        builder.max_attempts = orm.Int(inputs["max_attempts"])
        builder.seed_stride = orm.Int(stride_of(chosen))
        builder.max_concurrent = orm.Int(inputs["max_concurrent"] if max_concurrent is None else max_concurrent)
        builder.options = dict(options or {})
        return builder

    def run_lanes(self) -> None:
        """Deal the configurations to lanes, the largest cells first, and start them."""
        items = self.inputs.configurations.get_list()
        n_lanes = len(divide(self.inputs.max_concurrent.value, len(items)))
        material = load_material(self.inputs.material.get_dict())
        weights = [float(sum(parse_formula(formula, material).values())) for formula, _ in items]
        for i, lane in enumerate(deal(items, weights, n_lanes)):
            inputs = {
                "configurations": orm.List(lane),
                "metadata": {"call_link_label": f"lane_{i}"},
                "melt_quench": {formula: self.inputs.melt_quench[formula] for formula, _ in lane},
                "options": dict(self.inputs.options),
                **{name: self.inputs[name] for name in ("code", *SHARED)},
            }
            self.to_context(lanes=append_(self.submit(StructureLaneWorkChain, **inputs)))

    def gather(self) -> None:
        """Attach everything the lanes have made, and count it."""
        found: dict[str, dict[str, Any]] = {
            name: {key: node for lane in self.ctx.lanes for key, node in output_namespace(lane, name).items()}
            for name in NAMESPACES
        }
        for lane in self.ctx.lanes:
            if not lane.is_finished_ok:  # it has attached nothing, of what it made neither
                self.gather_stopped(lane, found)
        for name, nodes in found.items():
            if nodes:
                self.out(name, nodes)
        self.ctx.found = found
        self.out(
            "acceptance",
            count_acceptance(
                configurations=self.inputs.configurations,
                material=self.inputs.material,
                version=orm.Int(SCIENCE_VERSION),
                **found["attempts"],
            ),
        )

    def gather_stopped(self, lane: orm.ProcessNode, found: dict[str, dict[str, Any]]) -> None:
        """Add what the configurations of a lane gave that excepted or was killed, and why there is nothing else."""
        children = ended_children(lane)
        for item in lane.inputs.configurations.get_list():
            label = configuration_label(*item)
            child = children.get(melt_label(label), lane)
            if child is not lane:
                keep_cell(found, label, child)
            if label not in found["structures"] and label not in found["failures"]:
                found["failures"][label] = failure_node(-1, child)

    def results(self) -> ExitCode | None:
        """Say what is missing."""
        items = self.inputs.configurations.get_list()
        done = {
            formula for formula, seed in items if configuration_label(formula, seed) in self.ctx.found["structures"]
        }
        if missing := [formula for formula in dict.fromkeys(formula for formula, _ in items) if formula not in done]:
            return self.exit_codes.ERROR_COMPOSITION_MISSING.format(
                formulas=without_cell(missing, self.inputs, self.ctx.found["attempts"]),
                n_structures=len(self.ctx.found["structures"]),
            )
        if failed := sorted(self.ctx.found["failures"]):
            return self.exit_codes.WARNING_INCOMPLETE.format(n=len(failed), labels=", ".join(failed))
        return None

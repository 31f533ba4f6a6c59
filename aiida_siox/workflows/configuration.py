"""ConfigurationWorkChain: cells of one formula with one seed after another, until one is accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ToContext, WorkChain, while_

from aiida_siox.calculations.acceptance import count_attempts
from aiida_siox.calculations.melt_quench import define_potential
from aiida_siox.checked import Count, validated
from aiida_siox.materials import Material, load_material
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.acceptance import DYNAMICS_BLEW_UP, none_accepted
from aiida_siox.science.composition import format_formula, parse_formula, validate_melt_formula
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain, validate_melting
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.site_spectrum import failure_message

#: Inputs of a melt-quench that depend on the formula.
BY_FORMULA = ("starting_cell", "parameters", "quality")
#: Inputs of a set or study that are those of every configuration.
SHARED = ("material", "potential", "max_attempts", "seed_stride")
#: Outputs of a configuration by the namespaces of sets and studies.
CELL = {"structures": "structure", "qualities": "quality", "profiles": "profiles"}
#: What to do when no cell was accepted.
REMEDIES = {
    "rejected": "Quench more slowly, allow more attempts (max_attempts) or change the rules (quality.rules).",
    DYNAMICS_BLEW_UP: "The dynamics of all of them blew up: look at the potential (a repulsive core?), the starting "
    "density and the temperature of the melt.",
}
#: Outputs of the melt-quench that are those of the configuration.
RESULTS = ("structure", "quality", "profiles", "thermo", "starting_structure")


def formulas_of(material: Material, formulas: Sequence[str]) -> list[str]:
    """Return formulas as they are written in keys and labels.

    :raises ValueError: for an impossible formula, or if there is none.
    """
    if not formulas:
        raise ValueError(f"the protocol has no formulas of the material {material.name}: give some.")
    return [format_formula(parse_formula(formula, material)) for formula in formulas]


def seed_label(seed: int) -> str:
    """Return the key of an attempt in namespaces, ``seed_7``."""
    return f"seed_{seed}"


def stride_of(seeds: Sequence[int]) -> int:
    """Return the step from a rejected seed to the next one, with which no two of these seeds ever meet.

    Of 1, 2, 3 the second attempts are 4, 5, 6.
    """
    return max(seeds) - min(seeds) + 1


def define_attempts(spec: Any) -> None:
    """Add the inputs that say how many cells are tried, and with which seeds."""
    spec.input(
        "max_attempts",
        valid_type=orm.Int,
        validator=validated(Count, "max_attempts"),
        help="Cells until one is accepted, at most.",
    )
    spec.input(
        "seed_stride",
        valid_type=orm.Int,
        default=lambda: orm.Int(1),
        validator=validated(Count, "seed_stride"),
        help="From the seed of a rejected cell to the next one.",
    )


def define_melts(spec: Any) -> None:
    """Add what the melt-quenches of several formulas need."""
    spec.input_namespace(
        "melt_quench",
        valid_type=orm.Dict,
        dynamic=True,
        help="By formula: `starting_cell`, `parameters` and `quality` of MeltQuenchWorkChain.",
    )
    spec.input("material", valid_type=orm.Dict, validator=validate_melting, help="What is melted.")
    define_potential(spec)
    define_attempts(spec)


def configuration_inputs(formula: str, seed: int, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a configuration, without code and options.

    :param inputs: of a set, a study, or a lane.
    """
    shared = {name: inputs[name] for name in SHARED if name in inputs}
    return {"formula": orm.Str(formula), "seed": orm.Int(seed), **shared, **inputs["melt_quench"][formula]}


def validate_melts(inputs: Mapping[str, Any], _: Any = None) -> str | None:
    """Refuse what the configurations of a set or study would refuse one by one, hours later.

    Each formula is checked with its first seed.
    """
    if not all(key in inputs for key in ("configurations", "material", "melt_quench")):
        return None
    items = [item for item in inputs["configurations"].get_list() if len(item) == 2]
    material = load_material(inputs["material"].get_dict())
    for formula in dict.fromkeys(formula for formula, _ in items):
        try:
            written = format_formula(validate_melt_formula(formula, material))
        except ValueError as exception:
            return f"`configurations`: {exception}"
        if formula != written:
            return f"`configurations`: write `{written}` for {formula!r}, as in the keys of `melt_quench`."
    if missing := sorted({formula for formula, _ in items} - set(inputs["melt_quench"])):
        return f"`melt_quench` has no parameters for {', '.join(missing)}: add them, or take these formulas out."
    ports = ConfigurationWorkChain.spec().inputs
    code = inputs["code"] if "code" in inputs else inputs["codes"]["lmp"]
    first_seeds: dict[str, int] = {}
    for formula, seed in items:
        first_seeds.setdefault(formula, seed)
    for formula, seed in first_seeds.items():
        given = {"code": code, **configuration_inputs(formula, seed, inputs)}
        if error := ports.validate(given):
            where, text = error.port.removeprefix("inputs").removeprefix("."), error.message
            named = not where or f"`{where}" in text
            return f"{formula} cannot be melted: {'' if named else f'`{where}`: '}{text}"
    return None


def keep_cell(found: Mapping[str, dict[str, orm.Data]], label: str, configuration: orm.ProcessNode) -> None:
    """Add what a configuration gave to those namespaces of a set or study that there are."""
    if "attempts" in configuration.outputs:
        found["attempts"][label] = configuration.outputs.attempts
    if configuration.is_finished_ok:
        for name, output in CELL.items():
            if name in found:
                found[name][label] = configuration.outputs[output]


def without_cell(formulas: Sequence[str], inputs: Mapping[str, Any], attempts: Mapping[str, orm.Dict]) -> str:
    """Return formulas without an accepted cell, each with what its attempts came to, in words.

    :param inputs: of the set or study.
    :param attempts: outputs of its configurations, those that there are.
    """
    requested = [formula for formula, _ in inputs["configurations"].get_list()]
    allowed = {formula: requested.count(formula) * inputs["max_attempts"].value for formula in formulas}
    tried = [node.get_dict() for node in attempts.values()]
    return ", ".join(none_accepted(formula, allowed[formula], tried) for formula in formulas)


class ConfigurationWorkChain(SioxProtocolMixin, WorkChain):
    """Melt-quenches of one formula until one passes the rules; what was rejected is kept and counted."""

    _protocol_name = "melt_quench"

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.expose_inputs(MeltQuenchWorkChain)
        spec.inputs.validator = spec.inputs.validator or MeltQuenchWorkChain.spec().inputs.validator
        define_attempts(spec)
        spec.outline(cls.setup, while_(cls.should_try)(cls.run_attempt, cls.inspect_attempt), cls.results)
        spec.expose_outputs(MeltQuenchWorkChain, include=RESULTS)
        for name in RESULTS:
            spec.outputs[name].required = False
        spec.output_namespace(
            "rejected", valid_type=orm.StructureData, dynamic=True, help="Rejected structures, `seed_7`."
        )
        spec.output_namespace(
            "rejected_qualities", valid_type=orm.Dict, dynamic=True, help="Their qualities, `seed_7`."
        )
        spec.output(
            "attempts", valid_type=orm.Dict, help="`seeds`, `accepted_seed`, and by seed what it was rejected by."
        )
        spec.exit_code(
            310,
            "ERROR_NONE_ACCEPTED",
            message="None of {n} cells of {formula} was accepted: {reasons}. {remedy}",
        )
        spec.exit_code(
            320, "ERROR_MELT_QUENCH_FAILED", message="The melt-quench of {formula}, seed {seed}, failed: {message}"
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        formula: str,
        seed: int,
        protocol: str | None = None,
        overrides: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a builder with the inputs of a protocol; arguments as those of MeltQuenchWorkChain.

        :raises ValueError: for an impossible formula, an unknown protocol or a wrong override.
        :raises FileNotFoundError: if a file of the potential is not found.
        """
        inputs = MeltQuenchWorkChain.get_protocol_inputs(protocol, overrides)
        child = MeltQuenchWorkChain.get_builder_from_protocol(code, formula, seed, protocol, overrides, options)
        builder = cls.get_builder()
        for name, value in child._inputs(prune=True).items():
            builder[name] = value
        builder.max_attempts = orm.Int(inputs["max_attempts"])
        return builder

    def setup(self) -> None:
        """Begin with the seed that was asked for."""
        self.ctx.children = {}
        self.ctx.failed = []
        self.ctx.accepted = None

    def should_try(self) -> bool:
        """Return whether another cell is needed and allowed."""
        return self.ctx.accepted is None and len(self.ctx.children) < self.inputs.max_attempts.value

    def run_attempt(self) -> ToContext:
        """Melt and quench with the next seed."""
        self.ctx.seed = self.inputs.seed.value + len(self.ctx.children) * self.inputs.seed_stride.value
        inputs = self.exposed_inputs(MeltQuenchWorkChain)
        if self.ctx.children:
            inputs["seed"] = orm.Int(self.ctx.seed)
        inputs["metadata"] = {"call_link_label": seed_label(self.ctx.seed)}
        return ToContext(attempt=self.submit(MeltQuenchWorkChain, **inputs))

    def inspect_attempt(self) -> ExitCode | None:
        """Keep the cell or go on; dynamics that blew up count as rejected, any other failure would come again."""
        node, seed = self.ctx.attempt, self.ctx.seed
        self.ctx.children[seed] = node
        if "quality" not in node.outputs:
            if node.exit_status == MeltQuenchWorkChain.exit_codes.ERROR_UNSTABLE_DYNAMICS.status:
                self.report(f"seed {seed}: {node.exit_message}")
                return None
            self.ctx.failed.append(seed)
            self.attach()
            return self.exit_codes.ERROR_MELT_QUENCH_FAILED.format(
                formula=self.inputs.formula.value, seed=seed, message=failure_message(node)
            )
        quality = node.outputs.quality
        if quality["accepted"]:
            self.ctx.accepted = seed
        else:
            self.report(f"seed {seed} is rejected: {', '.join(quality['rejected_by'])}")
        return None

    def attach(self) -> None:
        """Attach the accepted cell, the rejected ones, and the count of both."""
        children = self.ctx.children
        self.ctx.attempts = count_attempts(
            formula=self.inputs.formula,
            seeds=orm.List(list(children)),
            failed=orm.List(list(self.ctx.failed)),
            version=orm.Int(SCIENCE_VERSION),
            **{seed_label(s): node.outputs.quality for s, node in children.items() if "quality" in node.outputs},
        )
        self.out("attempts", self.ctx.attempts)
        for seed, node in children.items():
            if "quality" not in node.outputs:
                continue
            if seed == self.ctx.accepted:
                for name in RESULTS:
                    self.out(name, node.outputs[name])
            else:
                self.out(f"rejected.{seed_label(seed)}", node.outputs.structure)
                self.out(f"rejected_qualities.{seed_label(seed)}", node.outputs.quality)

    def results(self) -> ExitCode | None:
        """Attach everything, and say so if nothing was accepted."""
        self.attach()
        if self.ctx.accepted is None:
            rejected = self.ctx.attempts["rejected_by"]
            reasons = "; ".join(f"seed {seed}: {', '.join(rules)}" for seed, rules in rejected.items())
            rules = {rule for broken in rejected.values() for rule in broken}
            return self.exit_codes.ERROR_NONE_ACCEPTED.format(
                n=len(self.ctx.children),
                formula=self.inputs.formula.value,
                reasons=reasons,
                remedy=REMEDIES[DYNAMICS_BLEW_UP if rules == {DYNAMICS_BLEW_UP} else "rejected"],
            )
        return None

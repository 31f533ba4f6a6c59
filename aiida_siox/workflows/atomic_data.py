"""Pseudopotentials, core wavefunction and atomic energies: made once, found again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from aiida import orm
from aiida.common.exceptions import IntegrityError
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain, while_
from aiida_pseudo.data.pseudo.upf import UpfData
from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily
from aiida_quantumespresso.workflows.protocols.utils import recursive_merge
from ase.data import atomic_numbers
from pydantic import Field

from aiida_siox.calculations.ld1 import Ld1Calculation, Ld1Parameters, collect_energies, runs_of, split_parameters
from aiida_siox.checked import Checked, Positive
from aiida_siox.materials import Material
from aiida_siox.registry import nearest
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.digest import mapping_digest
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.utils import job_metadata, validate_job_options


class Family(Checked):
    """Names of the families of pseudopotentials, and the cutoffs written on them."""

    prefix: Annotated[str, Field(min_length=1, description="text that is not empty")]
    stringency: str
    cutoff_wfc_Ry: Positive
    cutoff_rho_Ry: Positive


def check_atomic_parameters(parameters: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the parameters of the WorkChain, or None."""
    runs = runs_of(parameters)
    if wrong := {"kinds", "family", "ground", "hole"} - set(parameters):
        return f"parameters lack {', '.join(sorted(wrong))}."
    if sorted(parameters["kinds"].values()) != sorted(runs):
        return f"`kinds` must name each of the runs {', '.join(runs)} once, got {parameters['kinds']}."
    for run in runs:
        if (message := Ld1Parameters.fault(parameters[run], run)) is not None:
            return message
    inputs = [parameters[run]["input"] for run in runs]
    if len({entry["dft"] for entry in inputs}) != 1:
        return f"the functional must be the same in all runs, got {[entry['dft'] for entry in inputs]}."
    if float(parameters["ground"]["input"]["zed"]) != float(parameters["hole"]["input"]["zed"]):
        return "`ground` and `hole` must be the same element (`input.zed`)."
    for kind, run in parameters["kinds"].items():
        if run != "hole" and atomic_numbers[kind] != parameters[run]["input"]["zed"]:
            return f"`{run}.input.zed` must be {atomic_numbers[kind]} ({kind}), got {parameters[run]['input']['zed']}."
    if parameters["ground"]["input"]["config"] == parameters["hole"]["input"]["config"]:
        return "`ground` and `hole` have the same `input.config`: there is no hole."
    names = [parameters[run]["inputp"]["file_pseudopw"] for run in runs]
    if len(set(names)) != len(names):
        return f"`inputp.file_pseudopw` must differ between the runs, got {names}: pw.x reads all from one folder."
    hole = parameters["hole"]
    if not (hole["inputp"]["lpaw"] or hole.get("gipaw_states")):
        return "`hole`: an ultrasoft set needs `gipaw_states`, or xspectra.x cannot reconstruct the wavefunctions."
    return Family.fault(parameters["family"], "family")


def _validate_parameters(node: orm.Dict | None, _: Any) -> str | None:
    return None if node is None else check_atomic_parameters(node.get_dict())


def _validate_code(code: orm.AbstractCode | None, _: Any) -> str | None:
    plugin = None if code is None else code.default_calc_job_plugin
    if plugin not in (None, "siox.ld1"):
        return f"`code` must be ld1.x, but {code} is set up for the plugin `{plugin}`."
    return None


class AtomicDataWorkChain(SioxProtocolMixin, WorkChain):
    """Data sets of a material's elements and of its absorber with the hole, core wavefunction, energies; by ld1.x."""

    _protocol_name = "atomic_data"
    _process_class = Ld1Calculation

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs, outline and exit codes."""
        super().define(spec)
        spec.input("code", valid_type=orm.AbstractCode, validator=_validate_code, help="Code of ld1.x.")
        spec.input(
            "parameters",
            valid_type=orm.Dict,
            validator=_validate_parameters,
            help="Parameters of the runs `ground`, `hole`, and other elements; run of each of the `kinds`; `family`.",
        )
        spec.input(
            "options",
            valid_type=dict,
            non_db=True,
            default=dict,
            validator=validate_job_options,
            help="Scheduler options of the jobs.",
        )
        spec.output_namespace("pseudos", valid_type=UpfData, dynamic=True, help="Pseudopotentials by kind.")
        spec.output(
            "core_wavefunction",
            valid_type=orm.SinglefileData,
            help="Core level of the ground-state atom, as xspectra.x reads it.",
        )
        spec.output("energies", valid_type=orm.Dict, help="Atomic total energies (Ry) and the core correction (eV).")
        spec.outline(cls.setup, while_(cls.has_next)(cls.run_next), cls.inspect_atoms, cls.collect, cls.store_families)
        spec.exit_code(
            301,
            "ERROR_SUB_PROCESS_FAILED",
            message="Atoms that failed: {failures}",
            invalidates_cache=True,
        )
        spec.exit_code(
            302,
            "ERROR_NO_CORE_WAVEFUNCTION",
            message="The ground-state atom has no {level} orbital: xspectra.x would have no core level.",
            invalidates_cache=True,
        )

    @classmethod
    def _of_material(
        cls, inputs: dict[str, Any], material: Material, protocol: str, overrides: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the inputs with the data sets of the material, or of the variant that is asked for."""
        inputs = super()._of_material(inputs, material, protocol, overrides)
        sets = material.data_sets(overrides.get("variant", inputs["variant"]))
        family = {"prefix": inputs["parameters"]["family"]["prefix"] or material.name}
        return recursive_merge(inputs, {"parameters": {"kinds": material.runs, **sets, "family": family}})

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode,
        protocol: str | None = None,
        overrides: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param code: code of ld1.x.
        :param protocol: ``fast``, ``balanced`` or ``paper``, which have the same atoms, or ``ultrasoft``.
        :param overrides: nested mapping of changed inputs, or the path of a yaml file with one.
        :param options: scheduler options.
        :raises ValueError: for an unknown protocol or override.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        builder = cls.get_builder()
        builder.code = code
        builder.parameters = orm.Dict(inputs["parameters"])
        builder.options = dict(options or {})
        return builder

    @classmethod
    def get_test_builder(
        cls, code: orm.AbstractCode, run: str, protocol: str | None = None, overrides: Any = None
    ) -> ProcessBuilder:
        """Return a builder of the Ld1Calculation that tests a pseudopotential of a protocol.

        :param code: code of ld1.x.
        :param run: ``ground``, ``hole`` or another element.
        :param protocol: as for :meth:`get_builder_from_protocol`.
        :param overrides: the same; the test itself has the key ``test``.
        :raises ValueError: for an unknown run, protocol or override.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        if run not in (runs := runs_of(inputs["parameters"])):
            raise ValueError(f"unknown run `{run}`: {nearest(run, runs)}")
        builder = cls._process_class.get_builder()
        builder.code = code
        builder.parameters = orm.Dict(inputs["parameters"][run])
        builder.test = orm.Dict(inputs["test"])
        builder.metadata = job_metadata(None, f"test of {run}")
        return builder

    def setup(self) -> None:
        """Take the atoms."""
        self.ctx.parameters = split_parameters(self.inputs.parameters)
        self.ctx.kinds = self.inputs.parameters["kinds"]
        self.ctx.runs = runs_of(self.inputs.parameters.get_dict())
        self.ctx.todo = list(self.ctx.runs)

    def has_next(self) -> bool:
        """Return whether an atom is left."""
        return bool(self.ctx.todo)

    def run_next(self) -> ToContext:
        """Run the next atom; one at a time, so that a study never has more engine jobs than it was allowed."""
        run = self.ctx.todo.pop(0)
        process = self.submit(
            self._process_class,
            code=self.inputs.code,
            parameters=self.ctx.parameters[run],
            metadata={**job_metadata(self.inputs.options, run), "call_link_label": run},
        )
        self.report(f"launching ld1.x<{process.pk}> for `{run}`")
        return ToContext(**{context_key(run): process})

    def inspect_atoms(self) -> ExitCode | None:
        """Stop with the reasons of all atoms that failed."""
        atoms = {run: self.ctx[context_key(run)] for run in self.ctx.runs}
        failed = {run: node for run, node in atoms.items() if not node.is_finished_ok}
        if failed:
            reasons = "; ".join(
                f"{run}<{node.pk}>: {node.exit_message or node.process_state.value}" for run, node in failed.items()
            )
            self.report(f"atoms failed: {reasons}")
            return self.exit_codes.ERROR_SUB_PROCESS_FAILED.format(failures=reasons)
        if "core_wavefunction" not in self.ctx.atom_ground.outputs:
            level = Ld1Parameters.parse(self.inputs.parameters["ground"]).core_level
            return self.exit_codes.ERROR_NO_CORE_WAVEFUNCTION.format(level=level)
        return None

    def collect(self) -> None:
        """Attach the outputs."""
        energies = collect_energies(
            ground=self.ctx.atom_ground.outputs.output_parameters,
            hole=self.ctx.atom_hole.outputs.output_parameters,
            version=orm.Int(SCIENCE_VERSION),
        )
        self.out("pseudos", self.pseudos())
        self.out("core_wavefunction", self.ctx.atom_ground.outputs.core_wavefunction)
        self.out("energies", energies)
        self.report(f"core correction {energies['core_correction_eV']:.3f} eV")

    def pseudos(self) -> dict[str, UpfData]:
        """Return the pseudopotentials by kind."""
        return {kind: self.ctx[context_key(run)].outputs.pseudo for kind, run in self.ctx.kinds.items()}

    def store_families(self) -> None:
        """Put the pseudopotentials into families that can be queried: a family holds one for an element."""
        parameters = self.inputs.parameters.get_dict()
        version = self.ctx.atom_ground.outputs.output_parameters["version"]
        by_kind = self.pseudos()
        hole = next(kind for kind, run in self.ctx.kinds.items() if run == "hole")
        families = {
            "ground": {kind: pseudo for kind, pseudo in by_kind.items() if kind != hole},
            "hole": {by_kind[hole].element: by_kind[hole]},
        }
        for name, pseudos in families.items():
            label = family_label(parameters["family"]["prefix"], parameters["ground"]["input"]["dft"], version, name)
            family = get_or_create_family(
                label,
                pseudos,
                stringency=parameters["family"]["stringency"],
                cutoff_wfc_ry=parameters["family"]["cutoff_wfc_Ry"],
                cutoff_rho_ry=parameters["family"]["cutoff_rho_Ry"],
            )
            self.report(f"pseudopotential family `{family.label}`")


def context_key(run: str) -> str:
    """Return where the context keeps the job of a run."""
    return f"atom_{run}"


def family_label(prefix: str, functional: str, version: str, name: str) -> str:
    """Return the label of a family, such as ``siox/PBE/ld1-6.7/ground``."""
    match = re.match(r"\d+(\.\d+)*", version)
    return f"{prefix}/{functional}/ld1-{match.group(0) if match else version}/{name}"


def get_or_create_family(
    label: str,
    pseudos: Mapping[str, UpfData],
    *,
    stringency: str,
    cutoff_wfc_ry: float,
    cutoff_rho_ry: float,
) -> CutoffsPseudoPotentialFamily:
    """Return the family with these pseudopotentials, made now if there is none.

    Content decides, by the md5 of the files: the same pseudopotentials made again add nothing. Where the label is
    taken by other content, the family gets the label with a digest of its content appended.

    :param label: label of the family.
    :param pseudos: element → stored pseudopotential.
    :param stringency: name of the set of recommended cutoffs.
    :param cutoff_wfc_ry: recommended cutoff of the wavefunctions in Ry.
    :param cutoff_rho_ry: recommended cutoff of the density in Ry.
    """
    content = {element: pseudo.md5 for element, pseudo in pseudos.items()}
    for candidate in (label, f"{label}-{mapping_digest(content)[:8]}"):
        family, created = _load_or_store(candidate)
        if created or not family.elements:
            family.add_nodes([pseudos[element] for element in sorted(pseudos)])
            cutoffs = {element: {"cutoff_wfc": cutoff_wfc_ry, "cutoff_rho": cutoff_rho_ry} for element in pseudos}
            family.set_cutoffs(cutoffs, stringency, unit="Ry")
            return family
        if {element: pseudo.md5 for element, pseudo in family.pseudos.items()} == content:
            return family
    raise RuntimeError(f"the families `{label}` and `{candidate}` both hold other pseudopotentials.")


def _load_or_store(label: str) -> tuple[CutoffsPseudoPotentialFamily, bool]:
    """Return a family and whether it is new; another worker may store it between the look and the leap."""
    collection = CutoffsPseudoPotentialFamily.collection
    found = collection.find(filters={"label": label})
    if found:
        return found[0], False
    try:
        return CutoffsPseudoPotentialFamily(label=label, description="Made by ld1.x, see the creators.").store(), True
    except IntegrityError:
        return collection.find(filters={"label": label})[0], False


def atomic_data_of(node: orm.WorkChainNode) -> dict[str, Any]:
    """Return the outputs of an AtomicDataWorkChain as the namespace ``atomic_data`` of other WorkChains takes them.

    :param node: a finished AtomicDataWorkChain.
    :returns: ``pseudos`` by kind, ``core_wavefunction``, ``energies``.
    """
    return {
        "pseudos": dict(node.outputs.pseudos),
        "core_wavefunction": node.outputs.core_wavefunction,
        "energies": node.outputs.energies,
    }


def find_atomic_data(
    code: orm.AbstractCode, protocol: str | None = None, overrides: Any = None
) -> dict[str, Any] | None:
    """Look for atomic data that this code has made before with the same parameters.

    :param code: code of ld1.x; a new version of the engine is a new code.
    :param protocol: as for :meth:`AtomicDataWorkChain.get_builder_from_protocol`.
    :param overrides: the same.
    :returns: the outputs of the newest such run that ended well (see :func:`atomic_data_of`), or None.
    """
    wanted = mapping_digest(AtomicDataWorkChain.get_protocol_inputs(protocol, overrides)["parameters"])
    query = orm.QueryBuilder()
    query.append(orm.AbstractCode, filters={"uuid": code.uuid}, tag="code")
    query.append(
        AtomicDataWorkChain,
        with_incoming="code",
        edge_filters={"label": "code"},
        filters={"attributes.exit_status": 0, "attributes.process_state": "finished"},
        tag="run",
        project="*",
    )
    query.append(orm.Dict, with_outgoing="run", edge_filters={"label": "parameters"}, project="attributes")
    query.order_by({"run": {"ctime": "desc"}})
    for node, parameters in query.all():
        if mapping_digest(parameters) == wanted:
            return atomic_data_of(node)
    return None

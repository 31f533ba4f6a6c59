"""Pseudopotentials, core wavefunction and atomic energies: made once, found again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common.exceptions import IntegrityError
from aiida.engine import ExitCode, ProcessBuilder, ToContext, WorkChain, while_
from aiida_pseudo.data.pseudo.upf import UpfData
from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

from aiida_siox import __version__
from aiida_siox.calculations.ld1 import RUNS, Ld1Calculation, Ld1Parameters, collect_energies, split_parameters
from aiida_siox.science.digest import mapping_digest
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.utils import job_metadata, validate_job_options

#: Kind → the run of ld1.x that makes its pseudopotential.
KINDS = {"Si": "ground", "O": "oxygen", "Sih": "hole"}
#: Family → the kind that gives each element: a family holds one pseudopotential for an element.
FAMILIES = {"ground": {"Si": "Si", "O": "O"}, "hole": {"Si": "Sih"}}
FAMILY_KEYS = ("prefix", "stringency", "cutoff_wfc_Ry", "cutoff_rho_Ry")


def check_atomic_parameters(parameters: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the parameters of the WorkChain, or None."""
    if set(parameters) != {*RUNS, "family"}:
        return f"parameters need exactly the keys {', '.join((*RUNS, 'family'))}; got {sorted(parameters)}."
    for run in RUNS:
        if (message := Ld1Parameters.fault(parameters[run], run)) is not None:
            return message
    inputs = [parameters[run]["input"] for run in RUNS]
    if len({entry["dft"] for entry in inputs}) != 1:
        return f"the functional must be the same in all runs, got {[entry['dft'] for entry in inputs]}."
    if float(parameters["ground"]["input"]["zed"]) != float(parameters["hole"]["input"]["zed"]):
        return "`ground` and `hole` must be the same element (`input.zed`)."
    if parameters["ground"]["input"]["config"] == parameters["hole"]["input"]["config"]:
        return "`ground` and `hole` have the same `input.config`: there is no hole."
    names = [parameters[run]["inputp"]["file_pseudopw"] for run in RUNS]
    if len(set(names)) != len(names):
        return (
            f"`inputp.file_pseudopw` must differ between the runs, got {names}: pw.x reads all three from one folder."
        )
    hole = parameters["hole"]
    if not (hole["inputp"]["lpaw"] or hole.get("gipaw_states")):
        return "`hole`: an ultrasoft set needs `gipaw_states`, or xspectra.x cannot reconstruct the wavefunctions."
    if set(parameters["family"]) != set(FAMILY_KEYS):
        return f"`family` needs exactly the keys {', '.join(FAMILY_KEYS)}; got {sorted(parameters['family'])}."
    return None


def _validate_parameters(node: orm.Dict | None, _: Any) -> str | None:
    return None if node is None else check_atomic_parameters(node.get_dict())


def _validate_code(code: orm.AbstractCode | None, _: Any) -> str | None:
    plugin = None if code is None else code.default_calc_job_plugin
    if plugin not in (None, "siox.ld1"):
        return f"`code` must be ld1.x, but {code} is set up for the plugin `{plugin}`."
    return None


class AtomicDataWorkChain(SioxProtocolMixin, WorkChain):
    """Data sets of Si, O and Si with a 1s hole, the 1s wavefunction, and the atomic energies, all from ld1.x."""

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
            help="Parameters of the runs `ground`, `hole` and `oxygen`, and of the `family`.",
        )
        spec.input(
            "options",
            valid_type=dict,
            non_db=True,
            default=dict,
            validator=validate_job_options,
            help="Scheduler options of the jobs.",
        )
        spec.output_namespace("pseudos", valid_type=UpfData, help="Pseudopotentials of the kinds Si, O and Sih.")
        spec.output(
            "core_wavefunction",
            valid_type=orm.SinglefileData,
            help="1s of the ground-state atom, as xspectra.x reads it.",
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
            message="The ground-state atom has no 1S orbital: xspectra.x would have no core level.",
            invalidates_cache=True,
        )

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
        :param run: ``ground``, ``hole`` or ``oxygen``.
        :param protocol: as for :meth:`get_builder_from_protocol`.
        :param overrides: the same; the test itself has the key ``test``.
        :raises ValueError: for an unknown run, protocol or override.
        """
        if run not in RUNS:
            raise ValueError(f"unknown run `{run}`. Valid: {', '.join(RUNS)}.")
        inputs = cls.get_protocol_inputs(protocol, overrides)
        builder = cls._process_class.get_builder()
        builder.code = code
        builder.parameters = orm.Dict(inputs["parameters"][run])
        builder.test = orm.Dict(inputs["test"])
        builder.metadata = job_metadata(None, f"test of {run}")
        return builder

    def setup(self) -> None:
        """Take the atoms."""
        self.ctx.parameters = split_parameters(self.inputs.parameters)
        self.ctx.todo = list(RUNS)

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
        return ToContext(**{run: process})

    def inspect_atoms(self) -> ExitCode | None:
        """Stop with the reasons of all atoms that failed."""
        failed = {run: self.ctx[run] for run in RUNS if not self.ctx[run].is_finished_ok}
        if failed:
            reasons = "; ".join(
                f"{run}<{node.pk}>: {node.exit_message or node.process_state.value}" for run, node in failed.items()
            )
            self.report(f"atoms failed: {reasons}")
            return self.exit_codes.ERROR_SUB_PROCESS_FAILED.format(failures=reasons)
        if "core_wavefunction" not in self.ctx.ground.outputs:
            return self.exit_codes.ERROR_NO_CORE_WAVEFUNCTION
        return None

    def collect(self) -> None:
        """Attach the outputs."""
        energies = collect_energies(
            ground=self.ctx.ground.outputs.output_parameters,
            hole=self.ctx.hole.outputs.output_parameters,
            version=orm.Str(__version__),
        )
        self.out("pseudos", {kind: self.ctx[run].outputs.pseudo for kind, run in KINDS.items()})
        self.out("core_wavefunction", self.ctx.ground.outputs.core_wavefunction)
        self.out("energies", energies)
        self.report(f"core correction {energies['core_correction_eV']:.3f} eV")

    def store_families(self) -> None:
        """Put the pseudopotentials into families that can be queried."""
        parameters = self.inputs.parameters.get_dict()
        version = self.ctx.ground.outputs.output_parameters["version"]
        for name, members in FAMILIES.items():
            pseudos = {element: self.ctx[KINDS[kind]].outputs.pseudo for element, kind in members.items()}
            label = family_label(parameters["family"]["prefix"], parameters["ground"]["input"]["dft"], version, name)
            family = get_or_create_family(
                label,
                pseudos,
                stringency=parameters["family"]["stringency"],
                cutoff_wfc_ry=parameters["family"]["cutoff_wfc_Ry"],
                cutoff_rho_ry=parameters["family"]["cutoff_rho_Ry"],
            )
            self.report(f"pseudopotential family `{family.label}`")


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
    :returns: ``pseudos`` {Si, O, Sih}, ``core_wavefunction``, ``energies``.
    """
    return {
        "pseudos": {kind: node.outputs.pseudos[kind] for kind in KINDS},
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

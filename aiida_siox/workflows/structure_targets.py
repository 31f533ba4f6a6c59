"""StructureTargetsWorkChain: spectra, Bader valences and RDFs of the absorbers of one configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain, append_, if_, while_
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_siox.calculations.bader import BaderCalculation
from aiida_siox.calculations.spectra import is_normalised, make_kpoints, normalise_kinds, symbols_of
from aiida_siox.calculations.tables import collect
from aiida_siox.data.site import SiteData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.materials import load_material
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.site_row import site_label
from aiida_siox.science.structures import validate_structure
from aiida_siox.science.upf import is_paw
from aiida_siox.workflows.lanes import SiteLaneWorkChain, deal, failure_node
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.settings import Settings, changed_keys, pw_parameters, validate_settings
from aiida_siox.workflows.site_spectrum import (
    define_atomic_data,
    failure_message,
    interrupted,
    may_run_again,
    missing_pseudos,
    screening_error,
    site_engines,
)
from aiida_siox.workflows.utils import clean_scratch, job_metadata, output_namespace, scratch_is_gone, validate_options

ENGINES = ("pw", "pp", "xspectra", "bader")
#: Engines that have jobs, and so options, of their own; pp.x runs inside the Bader job.
JOBS = ("pw", "xspectra", "bader")


def absorber_sites(structure: orm.StructureData, absorber: str) -> list[int]:
    """Return the indices of the atoms of an element."""
    return [i for i, symbol in enumerate(symbols_of(structure)) if symbol == absorber]


def validate_inputs(inputs: Mapping[str, Any], _: Any = None) -> str | None:
    """Refuse structures and sites that cannot be computed, before anything is submitted."""
    structure, settings = inputs.get("structure"), inputs.get("settings")
    if structure is None or settings is None:
        return None
    material = load_material(settings["material"])
    try:
        validate_structure(structure.get_ase(), material)
    except ValueError as exception:
        return f"`structure`: {exception}"
    for kind, pseudo in (inputs.get("atomic_data") or {}).get("pseudos", {}).items():
        if kind in material.elements and is_paw(pseudo.get_content()) is False:
            return (
                f"`atomic_data.pseudos.{kind}` ({pseudo.filename}) is no PAW set: pp.x has no all-electron density to "
                "find the Bader basins with. Take the PAW sets of the protocol, or SiteSpectrumWorkChain for spectra."
            )
    if message := screening_error(inputs):
        return message
    sites = inputs.get("sites")
    if sites is not None:
        valid = absorber_sites(structure, material.absorber)
        wrong = [site for site in sites.get_list() if site not in valid]
        if wrong or not sites.get_list():
            return (
                f"`sites` must name {material.absorber} atoms, the absorbers of the material {material.name}; {wrong} "
                f"do not. {material.absorber} sites of this structure: {valid}."
            )
        if len(set(sites.get_list())) < len(sites.get_list()):
            return f"`sites` names a site twice: {sites.get_list()}."
    return missing_pseudos(inputs, material)


def validate_max_concurrent(node: orm.Int, _: Any = None) -> str | None:
    """Port validator: a positive number that fits the slots of a daemon worker."""
    if not 1 <= node.value <= MAX_CONCURRENT:
        return (
            f"`max_concurrent` must be between 1 and {MAX_CONCURRENT}, got {node.value}: each of {N_LEVELS} nested "
            "WorkChains holds one of the 200 slots of a daemon worker."
        )
    return None


#: Study, lane, targets, lane, site, PwBase, Pw: what one engine job holds of the slots of a daemon worker.
N_LEVELS = 7
MAX_CONCURRENT = 200 // N_LEVELS


class StructureTargetsWorkChain(SioxProtocolMixin, WorkChain):
    """Ground state, Bader charges and the spectrum of every requested absorber of one configuration."""

    _protocol_name = "structure_targets"

    #: How often the ground state and the Bader job are tried when they were interrupted or their scratch is gone.
    defaults = AttributeDict({"max_attempts": 3})

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.input("structure", valid_type=orm.StructureData, help="Configuration of the species of the material.")
        spec.input("sites", valid_type=orm.List, required=False, help="Indices of the absorbers; default all.")
        spec.input("settings", valid_type=orm.Dict, validator=validate_settings, help="Settings (protocol file).")
        spec.input(
            "max_concurrent",
            valid_type=orm.Int,
            validator=validate_max_concurrent,
            help="Engine jobs at one time.",
        )
        spec.input("clean_scratch", valid_type=bool, non_db=True, default=True, help="Clean the scratch of sites.")
        spec.input(
            "options",
            valid_type=dict,
            non_db=True,
            default=dict,
            validator=lambda value, _: validate_options(value, JOBS),
            help="Scheduler options by engine.",
        )
        spec.input_namespace("codes")
        for engine in ENGINES:
            spec.input(f"codes.{engine}", valid_type=orm.AbstractCode, help=f"Code of {engine}.")
        define_atomic_data(spec)
        spec.inputs.validator = validate_inputs
        spec.outline(
            cls.setup,
            while_(cls.lacks_charges)(
                if_(cls.lacks_ground_state)(cls.run_ground_state, cls.inspect_ground_state),
                if_(cls.has_ground_state)(cls.run_bader, cls.inspect_bader),
            ),
            cls.run_sites,
            cls.collect,
            cls.results,
        )
        spec.output("site_table", valid_type=SiteTableData, help="All requested sites, failed ones included.")
        spec.output_namespace("sites", valid_type=SiteData, dynamic=True, help="One node a site: site_0007.")
        spec.output_namespace("spectra", valid_type=SpectrumData, dynamic=True, help="Spectra by site_0007.")
        spec.exit_code(301, "ERROR_GROUND_STATE_FAILED", message="The ground state failed: {message}")
        spec.exit_code(302, "ERROR_BADER_FAILED", message="The Bader charges failed: {message}")
        spec.exit_code(303, "ERROR_COLLECT_FAILED", message="The site table could not be put together: {message}")
        spec.exit_code(
            401,
            "WARNING_SITES_FAILED",
            message="{n_failed} of {n_requested} sites failed; their rows in the site table say why.",
        )
        spec.exit_code(
            402, "ERROR_ALL_SITES_FAILED", message="All {n_requested} sites failed; the site table says why."
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode],
        structure: orm.StructureData,
        atomic_data: Mapping[str, Any],
        protocol: str | None = None,
        overrides: Any = None,
        *,
        sites: Sequence[int] | None = None,
        max_concurrent: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return a builder with the inputs of a protocol.

        :param codes: at least ``pw``, ``pp``, ``xspectra`` and ``bader``.
        :param atomic_data: outputs of AtomicDataWorkChain (``pseudos``, ``core_wavefunction``, ``energies``).
        :param overrides: mapping or yaml file with the keys of ``protocols/structure_targets.yaml``.
        :param sites: indices of the absorbers; all of the element by default.
        :param max_concurrent: engine jobs at one time; the protocol's by default.
        :param options: scheduler options by engine.
        :raises ValueError: for an unknown protocol or override key, or a setting out of range.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        builder = cls.get_builder()
        builder.codes = {engine: codes[engine] for engine in ENGINES}
        builder.structure = structure
        builder.atomic_data = {key: atomic_data[key] for key in ("pseudos", "core_wavefunction", "energies")}
        builder.settings = orm.Dict(cls.settings_from(inputs, protocol))
        builder.max_concurrent = orm.Int(inputs["max_concurrent"] if max_concurrent is None else max_concurrent)
        builder.clean_scratch = inputs["clean_scratch"]
        if sites is not None:
            builder.sites = orm.List(list(sites))
        if options:
            builder.options = {engine: dict(options[engine]) for engine in options if engine in JOBS}
        return builder

    @classmethod
    def get_protocol_inputs(cls, protocol: str | None = None, overrides: Any = None) -> dict[str, Any]:
        """Return the inputs of a protocol; the settings have the material, as far as spectra depend on it.

        :raises ValueError: for an unknown protocol or material, or an override that does not fit.
        """
        inputs = super().get_protocol_inputs(protocol, overrides)
        inputs["settings"]["material"] = load_material(inputs["material"]).spectral()
        return inputs

    @classmethod
    def settings_from(cls, inputs: Mapping[str, Any], protocol: str | None) -> dict[str, Any]:
        """Return the settings of protocol inputs in full, with the protocol they began as and the changed keys.

        :raises ValueError: for a setting out of range, or an unknown material.
        """
        name = protocol or cls.get_default_protocol()
        default = cls.get_protocol_inputs(name, {"material": inputs["material"]})
        changed = changed_keys(default["settings"], inputs["settings"])
        return {"protocol": name, "changed": changed, **Settings.parse(inputs["settings"], "settings").plain()}

    def setup(self) -> None:
        """Normalise the kinds and take the sites."""
        structure = self.inputs.structure
        self.ctx.structure = structure if is_normalised(structure) else normalise_kinds(structure)
        if "sites" in self.inputs:
            self.ctx.sites = self.inputs.sites.get_list()
        else:
            self.ctx.sites = absorber_sites(self.ctx.structure, self.inputs.settings["material"]["absorber"])
        self.ctx.kpoints = {
            stage: make_kpoints(self.ctx.structure, self.inputs.settings, orm.Str(stage))
            for stage in ("scf", "xspectra")
        }
        self.ctx.ground = None
        self.ctx.bader = None
        self.ctx.attempt = 0
        self.ctx.disable_cache = False
        self.ctx.lanes = []

    def lacks_charges(self) -> bool:
        """Return whether the Bader charges are still missing."""
        return self.ctx.bader is None or not self.ctx.bader.is_finished_ok

    def lacks_ground_state(self) -> bool:
        """Return whether the ground state is missing or to be done again."""
        self.ctx.attempt += 1
        return self.ctx.ground is None

    def has_ground_state(self) -> bool:
        """Return whether the ground state is done."""
        return self.ctx.ground is not None

    def run_ground_state(self) -> ToContext:
        """Run pw.x for the cell without a hole."""
        structure = self.ctx.structure
        metadata = job_metadata(self.inputs.options.get("pw"), "ground state")
        if self.ctx.disable_cache:
            metadata["disable_cache"] = True
        inputs = {
            "pw": {
                "code": self.inputs.codes.pw,
                "structure": structure,
                "pseudos": {name: self.inputs.atomic_data.pseudos[name] for name in structure.get_kind_names()},
                "parameters": orm.Dict(
                    pw_parameters(
                        self.inputs.settings.get_dict(), len(structure.sites), False, structure.get_kind_names()
                    )
                ),
                "metadata": metadata,
            },
            "kpoints": self.ctx.kpoints["scf"],
            "metadata": {"call_link_label": "ground_state"},
        }
        return ToContext(ground=self.submit(PwBaseWorkChain, **inputs))

    def inspect_ground_state(self) -> ExitCode | None:
        """Give up, or run again what came from the cache or was interrupted."""
        ground = self.ctx.ground
        if ground.is_finished_ok:
            return None
        if self.ctx.attempt < self.defaults.max_attempts and may_run_again(ground):
            self.report(f"ground state <{ground.pk}> was cached or interrupted: it is run anew")
            self.ctx.disable_cache = True
            self.ctx.ground = None
            return None
        return self.exit_codes.ERROR_GROUND_STATE_FAILED.format(message=failure_message(ground))

    def run_bader(self) -> ToContext:
        """Run pp.x twice and the Bader code on the scratch of the ground state."""
        inputs = {
            "pp_code": self.inputs.codes.pp,
            "bader_code": self.inputs.codes.bader,
            "parent_folder": self.ctx.ground.outputs.remote_folder,
            "structure": self.ctx.structure,
            "method": orm.Str(self.inputs.settings["bader"]["method"]),
            "n_electrons": orm.Float(self.ctx.ground.outputs.output_parameters.get_dict()["number_of_electrons"]),
            "metadata": {
                **job_metadata(self.inputs.options.get("bader"), "Bader charges"),
                "call_link_label": "bader",
            },
        }
        return ToContext(bader=self.submit(BaderCalculation, **inputs))

    def inspect_bader(self) -> ExitCode | None:
        """Give up, or try again where that can help."""
        job = self.ctx.bader
        if job.is_finished_ok:
            return None
        if self.ctx.attempt < self.defaults.max_attempts:
            missing = job.exit_status == BaderCalculation.exit_codes.ERROR_PARENT_SCRATCH_MISSING.status
            if missing or scratch_is_gone(self.ctx.ground.outputs.remote_folder):
                self.report("the scratch of the ground state is gone: it is run anew, not from the cache")
                self.ctx.disable_cache = True
                self.ctx.ground = None
                return None
            if interrupted(job):
                self.report(f"the Bader job <{job.pk}> was interrupted: it is run again")
                return None
        return self.exit_codes.ERROR_BADER_FAILED.format(message=failure_message(job))

    def run_sites(self) -> None:
        """Deal the sites to lanes and start them."""
        if self.inputs.clean_scratch:
            clean_scratch(self.node)  # ground state and cubes: the charges are stored
        n_lanes = min(len(self.ctx.sites), self.inputs.max_concurrent.value)
        for i, sites in enumerate(deal(self.ctx.sites, [1.0] * len(self.ctx.sites), n_lanes)):
            inputs = {
                "structure": self.ctx.structure,
                "sites": orm.List(sites),
                "ground_parameters": self.ctx.ground.outputs.output_parameters,
                "settings": self.inputs.settings,
                "clean_scratch": self.inputs.clean_scratch,
                "options": self.inputs.options,
                "codes": {engine: self.inputs.codes[engine] for engine in site_engines(self.inputs.settings)},
                "kpoints": self.ctx.kpoints,
                "atomic_data": self.inputs.atomic_data,
                "metadata": {"call_link_label": f"lane_{i}"},
            }
            self.to_context(lanes=append_(self.submit(SiteLaneWorkChain, **inputs)))

    def collect(self) -> ExitCode | None:
        """Gather spectra and failures of all lanes into the table."""
        nested: dict[str, dict[str, Any]] = {"spectra": {}, "hole_charges": {}, "failures": {}}
        for lane in self.ctx.lanes:
            for name, nodes in nested.items():
                nodes.update(output_namespace(lane, name))
        spectra, failures = nested["spectra"], nested["failures"]
        for site in self.ctx.sites:
            label = site_label(site)
            if label not in spectra and label not in failures:
                lane = next(lane for lane in self.ctx.lanes if site in lane.inputs.sites.get_list())
                failures[label] = failure_node(site, lane)
        try:
            self.ctx.results = collect(
                structure=self.ctx.structure,
                settings=self.inputs.settings,
                sites=orm.List(sorted(self.ctx.sites)),
                charges=self.ctx.bader.outputs.charges,
                bader_parameters=self.ctx.bader.outputs.output_parameters,
                ground_parameters=self.ctx.ground.outputs.output_parameters,
                core_wavefunction=self.inputs.atomic_data.core_wavefunction,
                version=orm.Int(SCIENCE_VERSION),
                pseudos=dict(self.inputs.atomic_data.pseudos),
                **{name: nodes for name, nodes in nested.items() if nodes},
            )
        except ValueError as exception:
            return self.exit_codes.ERROR_COLLECT_FAILED.format(message=str(exception))
        self.ctx.spectra = spectra
        return None

    def results(self) -> ExitCode | None:
        """Attach the table and say how many sites failed."""
        self.out("site_table", self.ctx.results["site_table"])
        self.out("sites", self.ctx.results["sites"])
        if self.ctx.spectra:
            self.out("spectra", self.ctx.spectra)
        table = self.ctx.results["site_table"].base.attributes
        n_done, n_requested = table.get("n_done"), table.get("n_requested")
        if n_done == 0:
            return self.exit_codes.ERROR_ALL_SITES_FAILED.format(n_requested=n_requested)
        if n_done < n_requested:
            return self.exit_codes.WARNING_SITES_FAILED.format(n_failed=n_requested - n_done, n_requested=n_requested)
        return None

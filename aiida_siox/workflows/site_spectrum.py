"""SiteSpectrumWorkChain: the spectrum of one absorber."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain, if_, while_
from aiida_pseudo.data.pseudo.upf import UpfData
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_siox.calculations.bader import BaderCalculation
from aiida_siox.calculations.spectra import assemble_spectrum, is_normalised, make_kpoints, mark_absorber
from aiida_siox.calculations.xspectra import XspectraCalculation
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.materials import Material, load_material
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.upf import is_paw
from aiida_siox.workflows.settings import pw_parameters, validate_settings, xspectra_parameters
from aiida_siox.workflows.utils import clean_scratch, is_cached, job_metadata, scratch_is_gone, validate_options

ENGINES = ("pw", "xspectra")
#: Of the charges with the hole, which are an option.
CHARGE_ENGINES = ("pp", "bader")


def define_atomic_data(spec: Any) -> None:
    """Add the namespace of what AtomicDataWorkChain makes to the inputs of a WorkChain."""
    spec.input_namespace("atomic_data", help="Outputs of AtomicDataWorkChain.")
    spec.input_namespace("atomic_data.pseudos", valid_type=UpfData, dynamic=True, help="Pseudopotentials by kind.")
    spec.input(
        "atomic_data.core_wavefunction", valid_type=orm.SinglefileData, help="Core level of the ground-state set."
    )
    spec.input("atomic_data.energies", valid_type=orm.Dict, help="Atomic energies and the core correction.")


def site_engines(settings: orm.Dict) -> tuple[str, ...]:
    """Return the engines that a site needs with these settings."""
    return (*ENGINES, *(CHARGE_ENGINES if settings["screening_charge"] else ()))


def screening_error(inputs: Any) -> str | None:
    """Return why the screening charge cannot be computed, if it is asked for."""
    if "settings" not in inputs or not inputs["settings"]["screening_charge"]:
        return None
    for kind, pseudo in (inputs.get("atomic_data") or {}).get("pseudos", {}).items():
        if is_paw(pseudo.get_content()) is False:
            return (
                f"`settings.screening_charge` needs PAW sets: of `{pseudo.filename}` ({kind}) pp.x has no all-electron "
                "density to find the Bader basins with. Take the PAW sets of the protocol, or leave it false."
            )
    codes = inputs.get("codes") or {}  # none yet where a command checks its input before it looks for engines
    missing = [engine for engine in site_engines(inputs["settings"]) if engine not in codes]
    if codes and missing:
        return f"`settings.screening_charge` needs the codes {', '.join(missing)} as well."
    return None


def missing_pseudos(inputs: Any, material: Material) -> str | None:
    """Return which kinds of a material lack a pseudopotential, or None; also where there are no atomic data yet."""
    if "pseudos" not in (inputs.get("atomic_data") or {}):
        return None
    given = inputs["atomic_data"]["pseudos"]
    if missing := [kind for kind in material.runs if kind not in given]:
        return (
            f"`atomic_data.pseudos` lacks {', '.join(missing)} of the material {material.name}, it has "
            f"{', '.join(given)}: take the outputs of AtomicDataWorkChain for this material."
        )
    return None


def validate_site(inputs: Any, _: Any = None) -> str | None:
    """Refuse a site that cannot be the absorber."""
    if not all(key in inputs for key in ("site", "structure", "settings")):
        return None
    structure, site = inputs["structure"], inputs["site"].value
    material = load_material(inputs["settings"]["material"])
    if not is_normalised(structure):
        return (
            f"`structure` must have the kinds {' and '.join(material.elements)} (see `normalise_kinds`), got "
            f"{structure.get_kind_names()}."
        )
    valid = [i for i, entry in enumerate(structure.sites) if entry.kind_name == material.absorber]
    if site not in valid:
        return f"`site` {site} is no {material.absorber} atom. {material.absorber} sites of this structure: {valid}."
    return missing_pseudos(inputs, material) or screening_error(inputs)


class SiteSpectrumWorkChain(WorkChain):
    """Core-hole SCF and XSpectra of one site, on the total-energy axis."""

    #: Factors of the error handling.
    defaults = AttributeDict({"max_attempts": 3, "factor_xniter": 2})

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the process specification."""
        super().define(spec)
        spec.input("structure", valid_type=orm.StructureData, help="Configuration, kinds named after elements.")
        spec.input("site", valid_type=orm.Int, help="Index of the absorber in the structure.")
        spec.input("ground_parameters", valid_type=orm.Dict, help="Parsed output of the ground state's pw.x.")
        spec.input("settings", valid_type=orm.Dict, validator=validate_settings, help="Settings (protocol file).")
        spec.input("clean_scratch", valid_type=bool, non_db=True, default=True, help="Clean the scratch at the end.")
        spec.input(
            "options",
            valid_type=dict,
            non_db=True,
            default=dict,
            validator=lambda value, _: validate_options(value, (*ENGINES, "bader")),
            help="Scheduler options by engine.",
        )
        spec.input_namespace("codes")
        for engine in ENGINES:
            spec.input(f"codes.{engine}", valid_type=orm.AbstractCode, help=f"Code of {engine}.x.")
        for engine in CHARGE_ENGINES:
            words = f"Code of {engine}; needed for `settings.screening_charge`."
            spec.input(f"codes.{engine}", valid_type=orm.AbstractCode, required=False, help=words)
        spec.input_namespace("kpoints", required=False, help="Meshes; from the settings when left out.")
        for stage in ("scf", "xspectra"):
            spec.input(f"kpoints.{stage}", valid_type=orm.KpointsData, required=False, help=f"Mesh of {stage}.")
        define_atomic_data(spec)
        spec.inputs.validator = validate_site
        spec.outline(
            cls.setup,
            while_(cls.has_attempts_left)(
                cls.run_core_hole_scf,
                cls.inspect_core_hole_scf,
                cls.run_xspectra,
                cls.inspect_xspectra,
                if_(cls.lacks_charges)(cls.run_bader, cls.inspect_bader),
            ),
            cls.assemble,
            cls.results,
        )
        spec.output("spectrum", valid_type=SpectrumData, help="Spectrum with every energy of the transition.")
        spec.output("hole_charges", valid_type=orm.ArrayData, required=False, help="Bader charges with the hole.")
        spec.exit_code(
            301,
            "ERROR_SCF_FAILED",
            message="The core-hole SCF of site {site} failed: {message}",
            invalidates_cache=True,
        )
        spec.exit_code(
            302, "ERROR_XSPECTRA_FAILED", message="xspectra.x of site {site} failed: {message}", invalidates_cache=True
        )
        spec.exit_code(
            303,
            "ERROR_ASSEMBLY_FAILED",
            message="The spectrum of site {site} could not be put together: {message}",
            invalidates_cache=True,
        )

    def setup(self) -> None:
        """Mark the absorber and take the meshes."""
        self.ctx.material = self.inputs.settings["material"]
        self.ctx.hole_structure = mark_absorber(
            self.inputs.structure, self.inputs.site, orm.Str(self.ctx.material["hole_kind"])
        )
        meshes = self.inputs.get("kpoints", {})
        for stage in ("scf", "xspectra"):
            self.ctx[f"kpoints_{stage}"] = meshes.get(stage) or make_kpoints(
                self.inputs.structure, self.inputs.settings, orm.Str(stage)
            )
        self.ctx.attempt = 0
        self.ctx.disable_cache = False
        self.ctx.scf = None
        self.ctx.xspectra = None
        self.ctx.xspectra_overrides = {}
        self.ctx.bader = None
        self.ctx.wants_charges = bool(self.inputs.settings["screening_charge"])

    @property
    def site(self) -> int:
        """Index of the absorber."""
        return int(self.inputs.site.value)

    def has_attempts_left(self) -> bool:
        """Return whether something is still missing and may be tried."""
        missing = not self.has_spectrum or self.lacks_charges()
        return missing and self.ctx.attempt < self.defaults.max_attempts

    @property
    def has_spectrum(self) -> bool:
        """Whether xspectra.x has ended well."""
        return self.ctx.xspectra is not None and bool(self.ctx.xspectra.is_finished_ok)

    def lacks_charges(self) -> bool:
        """Return whether the charges with the hole are asked for, and the spectrum there, but not they."""
        done = self.ctx.bader is not None and self.ctx.bader.is_finished_ok
        return self.ctx.wants_charges and self.has_spectrum and not done

    def run_core_hole_scf(self) -> ToContext | None:
        """Run pw.x with the core hole, unless the last one is still good."""
        self.ctx.attempt += 1
        if self.ctx.scf is not None:
            return None
        structure = self.ctx.hole_structure
        settings = self.inputs.settings.get_dict()
        kinds = structure.get_kind_names()
        parameters = pw_parameters(settings, len(structure.sites), hole=True, kinds=kinds)
        pseudos = dict(self.inputs.atomic_data.pseudos)
        if settings["treatment"] == "none":
            pseudos[self.ctx.material["hole_kind"]] = pseudos[self.ctx.material["absorber"]]
        metadata = job_metadata(self.inputs.options.get("pw"), f"core-hole SCF, site {self.site}")
        if self.ctx.disable_cache:
            metadata["disable_cache"] = True
        inputs = {
            "pw": {
                "code": self.inputs.codes.pw,
                "structure": structure,
                "pseudos": {name: pseudos[name] for name in kinds},
                "parameters": orm.Dict(parameters),
                "metadata": metadata,
            },
            "kpoints": self.ctx.kpoints_scf,
            "metadata": {"call_link_label": "core_hole_scf"},
        }
        return ToContext(scf=self.submit(PwBaseWorkChain, **inputs))

    def inspect_core_hole_scf(self) -> ExitCode | None:
        """Give up, or run again what came from the cache or was interrupted."""
        scf = self.ctx.scf
        if scf.is_finished_ok:
            return None
        if self.ctx.attempt < self.defaults.max_attempts and may_run_again(scf):
            self.report(f"core-hole SCF <{scf.pk}> was cached or interrupted: it is run anew")
            self.ctx.disable_cache = True
            self.ctx.scf = None
            return None
        return self.exit_codes.ERROR_SCF_FAILED.format(site=self.site, message=failure_message(scf))

    def run_xspectra(self) -> ToContext | None:
        """Run xspectra.x for all polarisations from the scratch of the SCF."""
        if self.ctx.scf is None or self.has_spectrum:
            return None
        scf = self.ctx.scf
        parameters = xspectra_parameters(self.inputs.settings.get_dict(), self.ctx.xspectra_overrides)
        inputs = {
            "code": self.inputs.codes.xspectra,
            "parent_folder": scf.outputs.remote_folder,
            "structure": self.ctx.hole_structure,
            "absorber_kind": orm.Str(self.ctx.material["hole_kind"]),
            "core_wavefunction": self.inputs.atomic_data.core_wavefunction,
            "kpoints": self.ctx.kpoints_xspectra,
            "parameters": orm.Dict(parameters),
            "metadata": {
                **job_metadata(self.inputs.options.get("xspectra"), f"xspectra, site {self.site}"),
                "call_link_label": "xspectra",
            },
        }
        return ToContext(xspectra=self.submit(XspectraCalculation, **inputs))

    def inspect_xspectra(self) -> ExitCode | None:
        """Give up, or try again where that can help."""
        if self.ctx.scf is None or self.ctx.xspectra.is_finished_ok:
            return None
        job = self.ctx.xspectra
        codes = XspectraCalculation.exit_codes
        last = self.ctx.attempt >= self.defaults.max_attempts
        if not last and job.exit_status == codes.ERROR_LANCZOS_NOT_CONVERGED.status:
            current = xspectra_parameters(self.inputs.settings.get_dict(), self.ctx.xspectra_overrides)
            xniter = int(current["input_xspectra"]["xniter"] * self.defaults.factor_xniter)
            self.ctx.xspectra_overrides = {"xniter": xniter}
            self.report(f"xspectra <{job.pk}> ran out of Lanczos iterations: again with xniter = {xniter}")
            return None
        missing = job.exit_status == codes.ERROR_PARENT_SCRATCH_MISSING.status
        if not last and (missing or scratch_is_gone(self.ctx.scf.outputs.remote_folder)):
            self.report(f"the scratch of the SCF <{self.ctx.scf.pk}> is gone: the SCF is run anew, not from the cache")
            self.ctx.disable_cache = True
            self.ctx.scf = None
            return None
        if not last and interrupted(job):
            self.report(f"xspectra <{job.pk}> was interrupted: it is run again")
            return None
        return self.exit_codes.ERROR_XSPECTRA_FAILED.format(site=self.site, message=failure_message(job))

    def run_bader(self) -> ToContext:
        """Run pp.x and the Bader code on the scratch of the cell with the hole, as on that of the ground state."""
        structure, settings = self.ctx.hole_structure, self.inputs.settings
        pseudos = self.inputs.atomic_data.pseudos
        n_electrons = sum(pseudos[site.kind_name].z_valence for site in structure.sites)
        inputs = {
            "pp_code": self.inputs.codes.pp,
            "bader_code": self.inputs.codes.bader,
            "parent_folder": self.ctx.scf.outputs.remote_folder,
            "structure": structure,
            "method": orm.Str(settings["bader"]["method"]),
            # the hole set has one valence electron more, which a full core hole takes out of the cell
            "n_electrons": orm.Float(n_electrons - (settings["treatment"] == "fch")),
            "metadata": {
                **job_metadata(self.inputs.options.get("bader"), f"Bader charges with the hole, site {self.site}"),
                "call_link_label": "hole_bader",
            },
        }
        return ToContext(bader=self.submit(BaderCalculation, **inputs))

    def inspect_bader(self) -> None:
        """Try again where that can help, or go on without these charges: the spectrum is there."""
        job = self.ctx.bader
        if job.is_finished_ok:
            return
        last = self.ctx.attempt >= self.defaults.max_attempts
        missing = job.exit_status == BaderCalculation.exit_codes.ERROR_PARENT_SCRATCH_MISSING.status
        if not last and (missing or scratch_is_gone(self.ctx.scf.outputs.remote_folder)):
            self.report(f"the scratch of the SCF <{self.ctx.scf.pk}> is gone: the SCF is run anew, not from the cache")
            self.ctx.disable_cache = True
            self.ctx.scf = None
        elif last or not interrupted(job):
            self.report(f"no screening charge of site {self.site}: {failure_message(job)}")
            self.ctx.wants_charges = False

    def assemble(self) -> ExitCode | None:
        """Bring the spectrum to the total-energy axis."""
        if self.ctx.xspectra is None or not self.ctx.xspectra.is_finished_ok:
            job = self.ctx.xspectra or self.ctx.scf
            message = "no attempt left" if job is None else failure_message(job)
            return self.exit_codes.ERROR_XSPECTRA_FAILED.format(site=self.site, message=message)
        outputs = self.ctx.xspectra.outputs
        try:
            self.ctx.spectrum = assemble_spectrum(
                structure=self.inputs.structure,
                site=self.inputs.site,
                settings=self.inputs.settings,
                ground_parameters=self.inputs.ground_parameters,
                hole_parameters=self.ctx.scf.outputs.output_parameters,
                atomic_energies=self.inputs.atomic_data.energies,
                curves=outputs.curves,
                lanczos=outputs.lanczos,
                xspectra_parameters=outputs.output_parameters,
                bands=self.ctx.scf.outputs.output_band,
                version=orm.Int(SCIENCE_VERSION),
            )
        except ValueError as exception:
            return self.exit_codes.ERROR_ASSEMBLY_FAILED.format(site=self.site, message=str(exception))
        return None

    def results(self) -> None:
        """Attach the spectrum and clean the scratch that it no longer needs."""
        self.out("spectrum", self.ctx.spectrum)
        if self.ctx.bader is not None and self.ctx.bader.is_finished_ok:
            self.out("hole_charges", self.ctx.bader.outputs.charges)
        if self.inputs.clean_scratch and (cleaned := clean_scratch(self.node)):
            self.report(f"cleaned the scratch of {', '.join(map(str, cleaned))}")


def last_job(process: orm.ProcessNode) -> orm.CalcJobNode | None:
    """Return the newest CalcJob of a process: itself, or the last one under it."""
    if isinstance(process, orm.CalcJobNode):
        return process
    jobs = [node for node in process.called_descendants if isinstance(node, orm.CalcJobNode)]
    return max(jobs, key=lambda node: node.pk or 0, default=None)


def interrupted(job: orm.ProcessNode | None) -> bool:
    """Return whether a job ended without its engine's last words: killed, or lost with the machine.

    A killed pw.x leaves half an output and no XML file; one that stopped by itself leaves the file CRASH as well.
    """
    if job is None or job.is_excepted:
        return job is not None
    if "retrieved" in job.outputs and "CRASH" in job.outputs.retrieved.base.repository.list_object_names():
        return False
    labels = [label for label, code in job.process_class.exit_codes.items() if code.status == job.exit_status]
    words = ("INCOMPLETE", "OUTPUT_STDOUT_MISSING", "RETRIEVED", "OUTPUT_FILES")
    return any(word in label for label in labels for word in words)


def may_run_again(process: orm.ProcessNode) -> bool:
    """Return whether a failure may be the cache's or the machine's, and not the calculation's."""
    job = last_job(process)
    return process.is_excepted or job is None or is_cached(job) or interrupted(job)


def failure_message(process: orm.ProcessNode) -> str:
    """Return in one line which process failed and how it put it."""
    job = last_job(process)
    parts: list[str] = []
    for node in dict.fromkeys([process, job]):
        if node is not None and not node.is_finished_ok:
            name = f"{node.process_label}<{node.pk}>"
            if node.is_killed:
                part = f"{name} was killed"
            elif node.is_excepted:  # of a traceback what it ends with
                part = f"{name} excepted: {next(reversed((node.exception or '').strip().splitlines()), '')}"
            else:
                part = f"{name} exit status {node.exit_status}: {node.exit_message or ''}".strip()
            if not any(part in said for said in parts):  # the message of a WorkChain may hold that of its job
                parts.append(part)
    return "; ".join(parts)

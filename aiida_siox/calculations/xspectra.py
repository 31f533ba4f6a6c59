"""XspectraCalculation: the cross-section of one absorber at an edge of an s level, all polarisations in one job."""

from __future__ import annotations

import difflib
import math
from typing import Any

from aiida import orm
from aiida.common import datastructures
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.process_spec import CalcJobProcessSpec
from aiida_quantumespresso.utils.convert import convert_input_to_namelist_entry

CARTESIAN_AXES = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

REQUIRED: dict[str, dict[str, type]] = {
    "input_xspectra": {"xniter": int, "xcheck_conv": int, "xerror": float},
    "plot": {
        "xnepoint": int,
        "xgamma": float,
        "xemin": float,
        "xemax": float,
        "terminator": bool,
        "cut_occ_states": bool,
    },
    "pseudos": {},
    "cut_occ": {},
}
"""Keys that must be given: the engine's own defaults (50 iterations, 0.1 eV, 0 to 10 eV) suit nothing."""

OPTIONAL: dict[str, dict[str, type]] = {
    "input_xspectra": {"edge": str, "xcoordcrys": bool, "show_status": bool},
    "plot": {},
    "pseudos": {"r_paw": float},
    "cut_occ": {
        "cut_desmooth": float,
        "cut_ierror": float,
        "cut_stepu": float,
        "cut_stepl": float,
        "cut_startt": float,
        "cut_tinf": float,
        "cut_tsup": float,
        "cut_nmemu": int,
        "cut_nmeml": int,
    },
}

MANAGED = {
    "calculation": "is `xanes_dipole`",
    "prefix": "and",
    "outdir": "follow from `parent_folder`",
    "xiabs": "follows from `absorber_kind` and the structure",
    "xepsilon": "is the input `polarisations`",
    "x_save_file": "is named for each polarisation",
    "xanes_file": "is named for each polarisation",
    "filecore": "is the input `core_wavefunction`",
    "xonly_plot": "is false: re-plot with aiida_siox.science.lanczos",
    "xread_wf": "is not used",
    "restart_mode": "is not used",
    "time_limit": "is not used",
    "xe0": "is left to the engine, so that all polarisations share it",
    "gamma_mode": "is `constant`",
}
"""Keys that the plugin writes itself, with the reason that completes the refusal."""


def _expected(value: Any, kind: type) -> bool:
    """Say whether a value of the parameters has the type that the namelist wants."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def energy_step(plot: dict[str, Any]) -> float:
    """Return the step of the energies of a spectrum, eV."""
    return (plot["xemax"] - plot["xemin"]) / (plot["xnepoint"] - 1)


def smoothing(parameters: dict[str, Any]) -> float:
    """Return `cut_desmooth`, eV, or the engine's default."""
    return float(parameters.get("cut_occ", {}).get("cut_desmooth", 0.01))


def check_parameters(parameters: dict[str, Any]) -> str | None:
    """Return why a set of namelists cannot be run, or None.

    :param parameters: `{namelist: {key: value}}`.
    """
    for namelist, content in parameters.items():
        if namelist not in REQUIRED:
            close = difflib.get_close_matches(namelist.lower(), list(REQUIRED), n=1)
            hint = f": did you mean `{close[0]}`?" if close else f". Valid: {', '.join(REQUIRED)}."
            return f"unknown namelist `{namelist}`{hint}"
        if not isinstance(content, dict):
            return f"the namelist `{namelist}` must be a mapping of keys to values, got {content!r}."
        valid = REQUIRED[namelist] | OPTIONAL[namelist]
        for key, value in content.items():
            if key in MANAGED:
                return f"`{namelist}.{key}` cannot be set: it {MANAGED[key]}."
            if key not in valid:
                close = difflib.get_close_matches(key.lower(), list(valid), n=1)
                hint = f"did you mean `{close[0]}`? " if close else ""
                return f"unknown key `{namelist}.{key}`: {hint}Valid: {', '.join(sorted(valid))}."
            if not _expected(value, valid[key]):
                return f"`{namelist}.{key}` must be of type {valid[key].__name__}, got {value!r}."
    for namelist, keys in REQUIRED.items():
        missing = [key for key in keys if key not in parameters.get(namelist, {})]
        if missing:
            return f"`{namelist}` lacks {', '.join(missing)}."
    run, plot = parameters["input_xspectra"], parameters["plot"]
    if plot["xgamma"] <= 0:
        return f"`plot.xgamma` is a half width in eV and must be positive, got {plot['xgamma']}."
    if plot["xemin"] >= plot["xemax"] or plot["xnepoint"] < 2:
        return f"`plot` has no energies: {plot['xnepoint']} from {plot['xemin']} to {plot['xemax']} eV."
    if not 0 < run["xerror"] < 1:
        return f"`input_xspectra.xerror` must lie between 0 and 1, got {run['xerror']}."
    if run["xcheck_conv"] < 2 or run["xniter"] < run["xcheck_conv"]:
        return f"`xcheck_conv` must be at least 2 and at most `xniter`, got {run['xcheck_conv']} of {run['xniter']}."
    radius = parameters.get("pseudos", {}).get("r_paw")
    if radius is not None and not 0 < radius <= 5:
        return f"`pseudos.r_paw` is a radius in bohr between 0 and 5, got {radius}."
    step = energy_step(plot)
    if plot["cut_occ_states"] and smoothing(parameters) < step * (1 - 1e-9):
        return (
            f"`cut_occ.cut_desmooth` ({smoothing(parameters)} eV) must be at least the energy step ({step:.4f} eV) "
            "when the occupied states are cut: below it xspectra.x leaves a spike at the energy zero."
        )
    return None


def _validate_parameters(node: orm.Dict, _: Any) -> str | None:
    return check_parameters(node.get_dict())


def _validate_kpoints(node: orm.KpointsData, _: Any) -> str | None:
    try:
        _, offset = node.get_kpoints_mesh()
    except AttributeError:
        return "`kpoints` must be a mesh: xspectra.x reads no list of k points."
    if any(value not in (0.0, 0.5) for value in offset):
        return f"`kpoints` can be shifted by 0 or half a step, got {offset}."
    return None


def _validate_polarisations(node: orm.List, _: Any) -> str | None:
    vectors = node.get_list()
    if not vectors:
        return "`polarisations` must name at least one direction."
    for vector in vectors:
        if not isinstance(vector, list | tuple) or len(vector) != 3 or not all(_expected(x, float) for x in vector):
            return f"a polarisation is a list of three numbers, got {vector!r}."
        if not any(vector):
            return "a polarisation cannot be the null vector."
    return None


def absorber_index(structure: orm.StructureData, absorber_kind: str) -> int:
    """Return `xiabs`, the place of the absorber's kind (from 1) in pw.x's list of species.

    aiida-quantumespresso writes the species sorted by the name of their kind.

    :raises ValueError: unless exactly one atom has that kind and every kind has an atom.
    """
    of_sites = [site.kind_name for site in structure.sites]
    kinds = sorted(structure.get_kind_names())
    if of_sites.count(absorber_kind) != 1:
        raise ValueError(
            f"exactly one atom must have the kind `{absorber_kind}` of the absorber, but "
            f"{of_sites.count(absorber_kind)} have: the kinds are {', '.join(kinds)}."
        )
    unused = [kind for kind in kinds if kind not in of_sites]
    if unused:
        raise ValueError(f"the structure defines kinds that no atom has: {', '.join(unused)}.")
    return kinds.index(absorber_kind) + 1


def check_parent(parent_folder: orm.RemoteData, structure: orm.StructureData) -> str | None:
    """Return why the scratch of a pw.x run cannot be used, as far as the provenance tells, or None."""
    creator = parent_folder.creator
    if creator is None:
        return None
    inputs = creator.inputs
    if "settings" in inputs:
        settings = {key.lower(): value for key, value in inputs.settings.get_dict().items()}
        if settings.get("gamma_only", False):
            return (
                "the parent pw.x ran with `gamma_only`: xspectra.x would give a wrong spectrum without any error. Run "
                "it with a 1×1×1 mesh."
            )
    if "structure" in inputs:
        parent = inputs.structure
        theirs = [site.kind_name for site in parent.sites]
        ours = [site.kind_name for site in structure.sites]
        if theirs != ours:
            return f"the parent pw.x ran another structure, with the kinds {theirs} instead of {ours}."
    return None


def _validate_inputs(inputs: Any, context: Any) -> str | None:
    if "structure" in inputs and "absorber_kind" in inputs:
        try:
            absorber_index(inputs["structure"], inputs["absorber_kind"].value)
        except ValueError as exception:
            return str(exception)
    if "structure" in inputs and "parent_folder" in inputs:
        return check_parent(inputs["parent_folder"], inputs["structure"])
    return None


class XspectraCalculation(CalcJob):
    """Electric-dipole cross-section of one absorber, by xspectra.x on the scratch of a pw.x run.

    The engine runs once for each polarisation, one after another, in the same job. The polarisations are Cartesian
    unless `input_xspectra.xcoordcrys` is true.
    """

    #: Raise it whenever the same inputs shall give other files, or AiiDA's cache serves the old ones.
    CACHE_VERSION = 1

    PARENT_SAVE = "out/aiida.save"
    PREFIX = "aiida"
    CORE_FILE = "core.wfc"
    PARENT_CHECK = "parent_check.txt"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Declare inputs, outputs and exit codes."""
        super().define(spec)
        spec.input("metadata.options.parser_name", valid_type=str, default="siox.xspectra")
        spec.input("parent_folder", valid_type=orm.RemoteData, help="Scratch of the pw.x run with the core hole.")
        spec.input(
            "structure", valid_type=orm.StructureData, help="Structure of that run, the absorber with its own kind."
        )
        spec.input("absorber_kind", valid_type=orm.Str, help="Kind of the one absorbing atom.")
        spec.input(
            "core_wavefunction",
            valid_type=orm.SinglefileData,
            help="Core orbital of the ground-state atom: r and r·ψ in two columns under one header line.",
        )
        spec.input(
            "kpoints",
            valid_type=orm.KpointsData,
            validator=_validate_kpoints,
            help="Mesh on which the spectrum is summed; all its points are run.",
        )
        spec.input(
            "parameters",
            valid_type=orm.Dict,
            validator=_validate_parameters,
            help="Namelists `input_xspectra`, `plot`, `pseudos` and `cut_occ`. `r_paw` is the radius in bohr "
            "of the absorber's p projectors, 1.5 times their cutoff radius by default.",
        )
        spec.input(
            "polarisations",
            valid_type=orm.List,
            default=lambda: orm.List(CARTESIAN_AXES),
            validator=_validate_polarisations,
            help="Directions of the electric field, Cartesian; the three axes by default.",
        )
        spec.input(
            "settings",
            valid_type=orm.Dict,
            required=False,
            help="`cmdline`: list of arguments, such as pools of k points.",
        )
        spec.inputs.validator = _validate_inputs

        spec.output(
            "output_parameters",
            valid_type=orm.Dict,
            help="Version, energy zero, convergence of each polarisation, seconds.",
        )
        spec.output(
            "curves",
            valid_type=orm.ArrayData,
            required=False,
            help="Arrays `energy_eV` (n_e,) and `sigma` (n_polarisations, n_e).",
        )
        spec.output(
            "lanczos",
            valid_type=orm.ArrayData,
            required=False,
            help="`a`, `b` (n_polarisations, n_k, n_max; Ry), `norm`, `n_iterations` (n_polarisations, n_k), `weights` "
            "(n_k,), `polarisations` (n_polarisations, 3); what else a new plot needs is in the attributes.",
        )
        spec.default_output_node = "output_parameters"

        def exit_code(status: int, label: str, message: str) -> None:
            spec.exit_code(status, label, message, invalidates_cache=True)

        exit_code(
            201,
            "ERROR_PARENT_GAMMA_ONLY",
            "The parent pw.x ran with K_POINTS gamma, on which xspectra.x gives a wrong spectrum: use a 1×1×1 mesh.",
        )
        exit_code(302, "ERROR_OUTPUT_STDOUT_MISSING", "The standard output of polarisation {polarisation} is missing.")
        exit_code(303, "ERROR_COEFFICIENTS_UNREADABLE", "The Lanczos coefficients cannot be read: {reason}")
        exit_code(304, "ERROR_CORE_WAVEFUNCTION", "xspectra.x could not read the core wavefunction: {reason}")
        exit_code(305, "ERROR_ENGINE", "xspectra.x stopped with an error: {reason}")
        exit_code(306, "ERROR_SPECTRUM_UNREADABLE", "The cross-section cannot be read: {reason}")
        exit_code(307, "ERROR_ENERGY_ZEROS_DIFFER", "The polarisations have different energy zeros: {reason}")
        exit_code(
            309,
            "ERROR_SPECTRUM_INCONSISTENT",
            "The cross-section of polarisation {polarisation} does not follow from its Lanczos coefficients: they "
            "differ by {deviation:.1e} of the maximum.",
        )
        exit_code(400, "ERROR_OUTPUT_STDOUT_INCOMPLETE", "xspectra.x did not reach its end. Its last lines: {reason}")
        exit_code(
            410,
            "ERROR_PARENT_SCRATCH_MISSING",
            "The scratch of the parent pw.x is gone or incomplete, run it again: {reason}",
        )
        exit_code(
            420,
            "ERROR_LANCZOS_NOT_CONVERGED",
            "The Lanczos chain of polarisation {polarisation} did not converge in {iterations} iterations at {count} k "
            "points: raise xniter.",
        )

    @staticmethod
    def names(index: int) -> dict[str, str]:
        """Return the file names of a polarisation: `input`, `output`, `spectrum` and `coefficients`."""
        return {
            "input": f"polarisation_{index}.in",
            "output": f"polarisation_{index}.out",
            "spectrum": f"xanes_{index}.dat",
            "coefficients": f"lanczos_{index}.sav",
        }

    def input_text(self, index: int) -> str:
        """Return the input file of a polarisation."""
        parameters = self.inputs.parameters.get_dict()
        xiabs = absorber_index(self.inputs.structure, self.inputs.absorber_kind.value)
        names = self.names(index)
        namelists: dict[str, dict[str, Any]] = {key: dict(parameters.get(key, {})) for key in REQUIRED}
        namelists["input_xspectra"] = {
            "xcoordcrys": False,
            **namelists["input_xspectra"],
            "calculation": "xanes_dipole",
            "prefix": self.PREFIX,
            "outdir": "./out/",
            "xiabs": xiabs,
            "xepsilon": [float(x) for x in self.inputs.polarisations.get_list()[index]],
            "x_save_file": names["coefficients"],
            "xonly_plot": False,
        }
        namelists["plot"] |= {"gamma_mode": "constant", "xanes_file": names["spectrum"]}
        namelists["pseudos"]["filecore"] = self.CORE_FILE
        if "r_paw" in namelists["pseudos"]:
            # The index of r_paw is the angular momentum of the projector, not the species: 1 (p) for an s level.
            namelists["pseudos"]["r_paw(1)"] = float(namelists["pseudos"].pop("r_paw"))
        lines = []
        for name, content in namelists.items():
            lines.append(f"&{name}\n")
            lines += [convert_input_to_namelist_entry(key, content[key]) for key in sorted(content)]
            lines.append("/\n")
        mesh, offset = self.inputs.kpoints.get_kpoints_mesh()
        lines.append(" ".join(str(value) for value in [*mesh, *(int(2 * shift) for shift in offset)]) + "\n")
        return "".join(lines)

    def prepare_for_submission(self, folder: Folder) -> datastructures.CalcInfo:
        """Write one input file for each polarisation and link the save folder of the parent.

        Only `aiida.save` is linked: what xspectra.x writes beside it stays in the folder of this job.
        """
        settings = self.inputs.settings.get_dict() if "settings" in self.inputs else {}
        arguments = [str(argument) for argument in settings.get("cmdline", settings.get("CMDLINE", []))]
        count = len(self.inputs.polarisations.get_list())
        codes = []
        for index in range(count):
            names = self.names(index)
            with folder.open(names["input"], "w") as handle:
                handle.write(self.input_text(index))
            code = datastructures.CodeInfo()
            code.code_uuid = self.inputs.code.uuid
            code.cmdline_params = [*arguments, "-in", names["input"]]
            code.stdout_name = names["output"]
            codes.append(code)

        parent, core = self.inputs.parent_folder, self.inputs.core_wavefunction
        schema = f"{self.PARENT_SAVE}/data-file-schema.xml"
        info = datastructures.CalcInfo()
        info.uuid = str(self.uuid)
        info.codes_info = codes
        info.codes_run_mode = datastructures.CodeRunMode.SERIAL
        info.local_copy_list = [(core.uuid, core.filename, self.CORE_FILE)]
        info.remote_symlink_list = [
            (parent.computer.uuid, f"{parent.get_remote_path()}/{self.PARENT_SAVE}", self.PARENT_SAVE)
        ]
        # The provenance cannot tell of every parent whether it was gamma-only; its save folder can.
        info.prepend_text = (
            f"if grep -q '<gamma_only>true' {schema} 2>/dev/null; then\n"
            f"    echo gamma_only > {self.PARENT_CHECK}\n    exit 0\nfi"
        )
        info.retrieve_list = [self.PARENT_CHECK]
        info.retrieve_temporary_list = []
        for index in range(count):
            names = self.names(index)
            info.retrieve_list += [names["output"], names["spectrum"]]
            info.retrieve_temporary_list.append(names["coefficients"])
        return info

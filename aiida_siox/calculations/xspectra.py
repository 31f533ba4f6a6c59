"""XspectraCalculation: the cross-section of one absorber at an edge of an s level, all polarisations in one job."""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from aiida import orm
from aiida.common import datastructures
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida.engine.processes.process_spec import CalcJobProcessSpec
from aiida_quantumespresso.utils.convert import convert_input_to_namelist_entry
from pydantic import Field, model_validator

from aiida_siox.checked import Checked, Flag, Number, OneOf, Whole, validated
from aiida_siox.materials.material import CORE_LEVELS

CARTESIAN_AXES = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

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


HalfWidth = Annotated[Number, Field(gt=0, le=50, description="a half width above 0 up to 50 eV")]
EnergyCount = Annotated[Whole, Field(ge=2, le=100_000)]
Convergence = Annotated[Number, Field(gt=0, lt=1)]
CheckInterval = Annotated[Whole, Field(ge=2)]
Iterations = Annotated[Whole, Field(ge=2, le=1_000_000)]
ProjectorRadius = Annotated[Number, Field(gt=0, le=5, description="a radius above 0 up to 5 bohr")]
Smoothing = Annotated[Number, Field(gt=0, le=10)]
Limit = Annotated[Number, Field(ge=-1000, le=1000)]


def plot_error(low: float, high: float, count: int, smooth: float | None, names: tuple[str, str, str, str]) -> str:
    """Return why xspectra.x can draw no spectrum, or nothing.

    :param low: first energy, eV.
    :param high: last energy, eV.
    :param count: number of energies.
    :param smooth: width over which occupied states are cut, eV; None if they are not.
    :param names: of these four, for the message.
    """
    if low >= high:
        return f"`{names[0]}` must be below {names[1]} ({high:g} eV), got {low:g}: there are no energies"
    step = (high - low) / (count - 1)
    if smooth is not None and smooth < step * (1 - 1e-9):
        return (
            f"`{names[3]}` ({smooth:g} eV) is below the energy step ({step:.3f} eV with {names[2]} {count}), at which "
            "xspectra.x leaves a spike at the energy zero: raise one of them"
        )
    return ""


class Namelist(Checked):
    """Keys of a namelist as xspectra.x names them, without those that the plugin writes."""

    @model_validator(mode="before")
    @classmethod
    def _not_managed(cls, values: Any) -> Any:
        for key in values if isinstance(values, dict) else ():
            if key in MANAGED:
                raise ValueError(f"`{key}` cannot be set: it {MANAGED[key]}")
        return values


class InputXspectra(Namelist):
    """The Lanczos chains. What must be given has no default: those of the engine (50 iterations) suit nothing."""

    xniter: Iterations
    xcheck_conv: CheckInterval
    xerror: Convergence
    edge: Annotated[str, OneOf(CORE_LEVELS)] = "K"
    xcoordcrys: Flag = False
    show_status: Flag | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.xniter < self.xcheck_conv:
            raise ValueError(f"`xcheck_conv` must be at most xniter ({self.xniter}), got {self.xcheck_conv}")
        return self


class Plot(Namelist):
    """The curve, eV."""

    xnepoint: EnergyCount
    xgamma: HalfWidth
    xemin: Limit
    xemax: Limit
    terminator: Flag
    cut_occ_states: Flag


class Pseudos(Namelist):
    """The absorber's projectors, bohr."""

    r_paw: ProjectorRadius | None = None


class CutOcc(Namelist):
    """How occupied states are cut."""

    cut_desmooth: Smoothing = 0.01  # that of the engine
    cut_ierror: Number | None = None
    cut_stepu: Number | None = None
    cut_stepl: Number | None = None
    cut_startt: Number | None = None
    cut_tinf: Number | None = None
    cut_tsup: Number | None = None
    cut_nmemu: Whole | None = None
    cut_nmeml: Whole | None = None


class XspectraParameters(Checked):
    """Namelists of xspectra.x."""

    input_xspectra: InputXspectra
    plot: Plot
    pseudos: Pseudos = Pseudos()
    cut_occ: CutOcc = CutOcc()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        plot = self.plot
        smooth = self.cut_occ.cut_desmooth if plot.cut_occ_states else None
        names = ("plot.xemin", "plot.xemax", "plot.xnepoint", "cut_occ.cut_desmooth")
        if message := plot_error(plot.xemin, plot.xemax, plot.xnepoint, smooth, names):
            raise ValueError(message)
        return self


def _validate_kpoints(node: orm.KpointsData, _: Any) -> str | None:
    try:
        _, offset = node.get_kpoints_mesh()
    except AttributeError:
        return "`kpoints` must be a mesh: xspectra.x reads no list of k points."
    if any(value not in (0.0, 0.5) for value in offset):
        return f"`kpoints` can be shifted by 0 or half a step, got {offset}."
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _validate_polarisations(node: orm.List, _: Any) -> str | None:
    vectors = node.get_list()
    if not vectors:
        return "`polarisations` must name at least one direction."
    for vector in vectors:
        if not isinstance(vector, list | tuple) or len(vector) != 3 or not all(map(_is_number, vector)):
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


EXIT_CODES = (
    (
        201,
        "ERROR_PARENT_GAMMA_ONLY",
        "The parent pw.x ran with K_POINTS gamma, on which xspectra.x gives a wrong spectrum: use a 1×1×1 mesh.",
    ),
    (302, "ERROR_OUTPUT_STDOUT_MISSING", "The standard output of polarisation {polarisation} is missing."),
    (303, "ERROR_COEFFICIENTS_UNREADABLE", "The Lanczos coefficients cannot be read: {reason}"),
    (304, "ERROR_CORE_WAVEFUNCTION", "xspectra.x could not read the core wavefunction: {reason}"),
    (305, "ERROR_ENGINE", "xspectra.x stopped with an error: {reason}"),
    (306, "ERROR_SPECTRUM_UNREADABLE", "The cross-section cannot be read: {reason}"),
    (307, "ERROR_ENERGY_ZEROS_DIFFER", "The polarisations have different energy zeros: {reason}"),
    (
        309,
        "ERROR_SPECTRUM_INCONSISTENT",
        "The cross-section of polarisation {polarisation} does not follow from its Lanczos coefficients: they "
        "differ by {deviation:.1e} of the maximum.",
    ),
    (400, "ERROR_OUTPUT_STDOUT_INCOMPLETE", "xspectra.x did not reach its end. Its last lines: {reason}"),
    (
        410,
        "ERROR_PARENT_SCRATCH_MISSING",
        "The scratch of the parent pw.x is gone or incomplete, run it again: {reason}",
    ),
    (
        420,
        "ERROR_LANCZOS_NOT_CONVERGED",
        "The Lanczos chain of polarisation {polarisation} did not converge in {iterations} iterations at {count} k "
        "points: raise xniter.",
    ),
)


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
            validator=validated(XspectraParameters, ""),
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

        for status, label, message in EXIT_CODES:
            spec.exit_code(status, label, message, invalidates_cache=True)

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
        parameters = XspectraParameters.parse(self.inputs.parameters.get_dict())
        xiabs = absorber_index(self.inputs.structure, self.inputs.absorber_kind.value)
        names = self.names(index)
        namelists: dict[str, dict[str, Any]] = parameters.model_dump(exclude_none=True)
        namelists["input_xspectra"] = {
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
            namelists["pseudos"]["r_paw(1)"] = namelists["pseudos"].pop("r_paw")
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

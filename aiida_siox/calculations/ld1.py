"""ld1.x: one free atom, and the PAW data set made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from aiida import orm
from aiida.common import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec, calcfunction
from aiida_pseudo.data.pseudo.upf import UpfData
from pydantic import BeforeValidator, ConfigDict, Field, Strict, model_validator

from aiida_siox.checked import Checked, Flag, Number, Positive, Whole, validated
from aiida_siox.materials.material import CORE_LEVELS
from aiida_siox.science.energies import core_correction
from aiida_siox.science.logarithmic_derivatives import compare, ghost_levels
from aiida_siox.science.upf import quantum_numbers

NAMELISTS = ("input", "inputp")
#: Keys of the test of a pseudopotential, as ld1.x names them: number, radius (bohr) and energies (Ry) of the
#: logarithmic derivatives; cutoffs (Ry) and radius (bohr) of the basis of spherical Bessel functions.
TEST_DERIVATIVES = ("nld", "rlderiv", "eminld", "emaxld", "deld")
TEST_BASIS = ("ecutmin", "ecutmax", "decut", "rm")
#: Columns of a row of `states`: label, n and l of the pseudo-atom, occupation, energy (Ry), r_cut and r_cut of the
#: ultrasoft part (bohr), j.
STATE_COLUMNS = 8
#: Columns of a row of `gipaw_states`: those of `states` without j.
GIPAW_COLUMNS = STATE_COLUMNS - 1


def runs_of(parameters: Mapping[str, Any]) -> list[str]:
    """Return the runs of AtomicDataWorkChain: ``ground``, ``hole``, and the other elements."""
    return [key for key in parameters if key not in ("kinds", "family")]


def fortran_literal(value: Any) -> str:
    """Return a value as a Fortran namelist writes it.

    :raises ValueError: for anything but bool, int, float and text without quotes.
    """
    if isinstance(value, bool):
        return f".{str(value).lower()}."
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str) and "'" not in value and "\n" not in value:
        return f"'{value}'"
    raise ValueError(f"{value!r} cannot be written into a namelist.")


def ld1_input(parameters: Mapping[str, Any], test: Mapping[str, Any] | None = None) -> str:
    """Return the input file of ld1.x.

    :param parameters: namelists ``input`` and ``inputp`` (keyword → value) and ``states``, a list of rows (label, n, l,
        occupation, energy in Ry, r_cut in bohr, ultrasoft r_cut in bohr, j); for ultrasoft sets that xspectra.x shall
        read also ``gipaw_states``, the same without j: the partial waves written for the reconstruction.
    :param test: keys of ``TEST_DERIVATIVES`` and ``TEST_BASIS`` where the pseudopotential is to be tested. The file
        that ld1.x writes then differs from the one without, for it holds its own input.
    """
    namelists = {name: dict(parameters[name]) for name in NAMELISTS}
    if test is not None:
        namelists["input"] |= {key: test[key] for key in TEST_DERIVATIVES}
        namelists["inputp"].pop("lgipaw_reconstruction", None)
    lines = []
    for name, namelist in namelists.items():
        lines.append(f"&{name}")
        lines += [f"  {key} = {fortran_literal(value)}" for key, value in namelist.items()]
        lines.append("/")
    states: Sequence[Sequence[Any]] = parameters["states"]
    lines.append(str(len(states)))
    for *row, j in states:
        lines.append(f"{_row(*row)} {j:4.1f}")
    if test is not None:
        lines += ["&test", "  nconf = 1", f"  configts(1) = {fortran_literal(configuration_of(states))}"]
        lines += [f"  {key} = {fortran_literal(test[key])}" for key in TEST_BASIS]
        lines.append("/")
    elif gipaw := parameters.get("gipaw_states"):
        lines += ["&test", "  nconf = 1", "/", str(len(gipaw))]
        lines += [_row(*row) for row in gipaw]
    return "\n".join(lines) + "\n"


def _row(label: str, n: int, l: int, *numbers: float) -> str:  # noqa: E741
    occupation, energy, r_cut, r_cut_us = numbers
    return f"{label} {int(n):2d} {int(l):2d} {occupation:7.3f} {energy:8.3f} {r_cut:7.3f} {r_cut_us:7.3f}"


def configuration_of(states: Sequence[Sequence[Any]]) -> str:
    """Return the configuration in which a pseudopotential is tested: its own, with every channel that has a state.

    An empty channel (the local one, as a rule) is named too, or ld1.x does not diagonalise its Hamiltonian.
    """
    occupations: dict[str, float] = {}
    for label, _, _, occupation, *_ in states:
        occupations.setdefault(label.lower(), max(0.0, occupation))
    return " ".join(f"{label}{occupation:g}" for label, occupation in occupations.items())


def _literal(value: Any) -> Any:
    fortran_literal(value)
    return value


Literals = Annotated[Any, BeforeValidator(_literal)]
PlainName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.UPF$", description="a plain file name that ends with `.UPF`")
]
Row = Annotated[
    tuple[str, Whole, Whole, Number, Number, Number, Number, Number],
    Field(description=f"a row with a label and {STATE_COLUMNS - 1} numbers, of which n and l are integers"),
]
GipawRow = Annotated[
    tuple[str, Whole, Whole, Number, Number, Number, Number],
    Field(description=f"a row with a label and {GIPAW_COLUMNS - 1} numbers, of which n and l are integers"),
]


class Input(Checked):
    """Namelist `input`: these keys, and any other that ld1.x knows."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Literals]

    zed: Positive
    config: str
    dft: str
    iswitch: Annotated[Literal[3], Field(description="3: a pseudopotential is generated")]

    @model_validator(mode="before")
    @classmethod
    def _no_names(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "prefix" in values:
            raise ValueError("file names are set by the plugin, remove `prefix`")
        return values


class InputP(Checked):
    """Namelist `inputp`, likewise."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Literals]

    lpaw: Annotated[bool, Strict(), Field(description="true (PAW) or false (ultrasoft)")]
    pseudotype: Annotated[Literal[3], Field(description="3")]
    file_pseudopw: PlainName
    lgipaw_reconstruction: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _no_names(cls, values: Any) -> Any:
        owned = [key for key in values if key.startswith("file_") and key != "file_pseudopw"]
        if owned:
            raise ValueError(f"file names are set by the plugin, remove {', '.join(owned)}")
        return values


class Ld1Parameters(Checked):
    """Parameters of one run."""

    input: Input
    inputp: InputP
    states: Annotated[list[Row], Field(min_length=1)]
    gipaw_states: list[GipawRow] = []
    core_level: Annotated[str, Field(pattern="^[1-7][SPDF]$", description="a level such as 1S")] = CORE_LEVELS["K"]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        asked = self.inputp.lgipaw_reconstruction
        if bool(self.gipaw_states) != asked or (self.gipaw_states and self.inputp.lpaw):
            raise ValueError(
                "`gipaw_states` and `inputp.lgipaw_reconstruction` belong together and to ultrasoft sets: PAW data "
                "hold their own partial waves"
            )
        return self


class Ld1Test(Checked):
    """The test of a pseudopotential, as ld1.x names it: radii in bohr, energies in Ry."""

    nld: Annotated[Whole, Field(ge=1, le=4)]
    rlderiv: Positive
    eminld: Number
    emaxld: Number
    deld: Positive
    ecutmin: Positive
    ecutmax: Positive
    decut: Positive
    rm: Positive

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for lower, upper in (("eminld", "emaxld"), ("ecutmin", "ecutmax"), ("rlderiv", "rm")):
            low, high = getattr(self, lower), getattr(self, upper)
            if low >= high:
                raise ValueError(f"`{lower}` ({low}) must be below `{upper}` ({high})")
        return self


class Ld1Calculation(CalcJob):
    """One free atom with ld1.x: all-electron energies, a PAW data set that pw.x reads, the core wavefunction.

    With the input ``test`` it gives logarithmic derivatives and the levels of the pseudo-atom in place of the data set.
    """

    #: Raise it whenever the same inputs shall give other files, or AiiDA's cache serves the old ones.
    CACHE_VERSION = 1

    ORBITALS_FILE = "ld1.wfc"
    #: Logarithmic derivatives of the all-electron and of the pseudo-atom.
    DERIVATIVES_FILES = ("ld1.dlog", "ld1ps.dlog")

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input(
            "parameters",
            valid_type=orm.Dict,
            validator=validated(Ld1Parameters, "parameters"),
            help="Namelists `input` and `inputp` and the list `states`, as ld1.x names them; `core_level`, such as 1S.",
        )
        spec.input(
            "test",
            valid_type=orm.Dict,
            required=False,
            validator=validated(Ld1Test, "test"),
            help="Test the pseudopotential of these parameters: keys of `TEST_DERIVATIVES` and `TEST_BASIS`.",
        )
        defaults: dict[str, Any] = {
            "parser_name": "siox.ld1",
            "input_filename": "aiida.in",
            "output_filename": "aiida.out",
            "withmpi": False,
            "resources": lambda: {"num_machines": 1, "num_mpiprocs_per_machine": 1},
        }
        for name, default in defaults.items():
            spec.inputs["metadata"]["options"][name].default = default  # type: ignore[index]

        spec.output(
            "pseudo",
            valid_type=UpfData,
            required=False,
            help="The data set, repaired so that pw.x and xspectra.x read it; not of a test.",
        )
        spec.output(
            "core_wavefunction",
            valid_type=orm.SinglefileData,
            required=False,
            help="r and r·ψ of the all-electron core level, as xspectra.x reads it; of the ground state, not the hole.",
        )
        spec.output(
            "output_parameters",
            valid_type=orm.Dict,
            help="all_electron_Ry, pseudo_Ry, eigenvalues, largest eigenvalue error, version, warnings.",
        )
        spec.output(
            "logarithmic_derivatives",
            valid_type=orm.ArrayData,
            required=False,
            help="Of a test: `energies` (Ry), `all_electron` and `pseudo` (1/bohr) in columns s, p, d, f.",
        )
        spec.default_output_node = "output_parameters"

        for status, label, message in (
            (302, "ERROR_OUTPUT_STDOUT_MISSING", "ld1.x left no standard output."),
            (310, "ERROR_ENGINE_STOPPED", "ld1.x stopped with an error: {message}"),
            (
                312,
                "ERROR_OUTPUT_INCOMPLETE",
                "The output of ld1.x does not reach its end ({message}). Last lines:\n{tail}",
            ),
            (320, "ERROR_UPF_MISSING", "ld1.x ended but wrote no UPF file. Last lines:\n{tail}"),
            (321, "ERROR_ORBITALS_MISSING", "ld1.x ended but wrote no all-electron orbitals. Last lines:\n{tail}"),
            (322, "ERROR_UPF_INVALID", "The files of ld1.x cannot be made into a PAW data set: {message}"),
            (323, "ERROR_DERIVATIVES_INVALID", "The logarithmic derivatives cannot be used: {message}"),
            (330, "ERROR_SCF_NOT_CONVERGED", "The free atom did not converge: {message}"),
            (
                331,
                "ERROR_EIGENVALUES_NOT_REPRODUCED",
                "The pseudo-atom misses its reference eigenvalues by {error:.1e} Ry, more than {tolerance:.1e} Ry.",
            ),
        ):
            spec.exit_code(status, label, message=message, invalidates_cache=True)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input file; ld1.x reads it from its standard input and runs serially."""
        parameters = self.inputs.parameters.get_dict()
        options = self.inputs.metadata.options
        with folder.open(options.input_filename, "w") as handle:
            handle.write(ld1_input(parameters, self.inputs.test.get_dict() if "test" in self.inputs else None))

        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        codeinfo.stdin_name = options.input_filename
        codeinfo.stdout_name = options.output_filename
        codeinfo.join_files = True

        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        calcinfo.retrieve_list = [options.output_filename]
        # The raw UPF file (1 MB) and the orbitals live on in the outputs: they need not be kept twice.
        calcinfo.retrieve_temporary_list = (
            list(self.DERIVATIVES_FILES)
            if "test" in self.inputs
            else [parameters["inputp"]["file_pseudopw"], self.ORBITALS_FILE]
        )
        return calcinfo


@calcfunction
def split_parameters(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Give each run of ld1.x its own parameters.

    :param parameters: of AtomicDataWorkChain.
    :returns: one Dict for each of them.
    """
    content = parameters.get_dict()
    return {run: orm.Dict(content[run]) for run in runs_of(content)}


@calcfunction
def collect_energies(ground: orm.Dict, hole: orm.Dict, version: orm.Int) -> orm.Dict:
    """Bring the energies of the absorber's atom together.

    :param ground: ``output_parameters`` of the ground-state run.
    :param hole: ``output_parameters`` of the run with the core hole.
    :param version: ``SCIENCE_VERSION``: the cache knows nothing of changes in ``science``.
    :returns: the four total energies in Ry, the core correction in eV, engine and version.
    """
    result: dict[str, Any] = {
        "ground_all_electron_Ry": ground["all_electron_Ry"],
        "ground_pseudo_Ry": ground["pseudo_Ry"],
        "hole_all_electron_Ry": hole["all_electron_Ry"],
        "hole_pseudo_Ry": hole["pseudo_Ry"],
    }
    result["core_correction_eV"] = core_correction(*result.values())
    result["engine"] = "ld1.x"
    result["version"] = ground["version"]
    return orm.Dict(result)


@calcfunction
def assess_pseudopotential(
    logarithmic_derivatives: orm.ArrayData, output_parameters: orm.Dict, version: orm.Int
) -> orm.Dict:
    """Measure how well a pseudopotential scatters, and look for ghosts.

    :param logarithmic_derivatives: of a test with ld1.x.
    :param output_parameters: of the same run.
    :param version: ``SCIENCE_VERSION``: the cache knows nothing of changes in ``science``.
    :returns: ``channels`` (see :func:`aiida_siox.science.logarithmic_derivatives.compare`), ``ghosts`` below the
        energies of the derivatives or the valence, ``has_ghost``.
    """
    energies, reference, pseudo = (
        logarithmic_derivatives.get_array(name) for name in ("energies", "all_electron", "pseudo")
    )
    parsed = output_parameters.get_dict()
    valence: dict[int, float] = {}
    for row in parsed["test"]:
        if row["occupation"] > 0:
            l = quantum_numbers(row["label"])[1]  # noqa: E741
            valence[l] = min(valence.get(l, 0.0), row["all_electron_Ry"])
    channels = compare(energies, reference, pseudo)
    levels = {int(channel): found for channel, found in parsed["levels_Ry"].items()}
    ghosts = ghost_levels(levels, valence, float(energies[0]))
    has_ghost = bool(ghosts) or any(channel["extra_states"] > 0 for channel in channels)
    return orm.Dict({"channels": channels, "ghosts": ghosts, "has_ghost": has_ghost})

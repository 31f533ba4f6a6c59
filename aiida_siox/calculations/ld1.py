"""ld1.x: one free atom, and the PAW data set made from it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec, calcfunction
from aiida_pseudo.data.pseudo.upf import UpfData

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
#: What ``core_level`` is where it is not given.
CORE_LEVEL = "1S"

_PLAIN_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*\.UPF$")


def core_level_of(parameters: Mapping[str, Any]) -> str:
    """Return the level whose wavefunction a run gives, as ld1.x names it."""
    return str(parameters.get("core_level", CORE_LEVEL))


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
    for label, n, l, occupation, energy, r_cut, r_cut_us, j in states:  # noqa: E741
        lines.append(f"{label} {n:2d} {l:2d} {occupation:7.3f} {energy:8.3f} {r_cut:7.3f} {r_cut_us:7.3f} {j:4.1f}")
    if test is not None:
        lines += ["&test", "  nconf = 1", f"  configts(1) = {fortran_literal(configuration_of(states))}"]
        lines += [f"  {key} = {fortran_literal(test[key])}" for key in TEST_BASIS]
        lines.append("/")
    elif gipaw := parameters.get("gipaw_states"):
        lines += ["&test", "  nconf = 1", "/", str(len(gipaw))]
        for label, n, l, occupation, energy, r_cut, r_cut_us in gipaw:  # noqa: E741
            lines.append(f"{label} {n:2d} {l:2d} {occupation:7.3f} {energy:8.3f} {r_cut:7.3f} {r_cut_us:7.3f}")
    return "\n".join(lines) + "\n"


def configuration_of(states: Sequence[Sequence[Any]]) -> str:
    """Return the configuration in which a pseudopotential is tested: its own, with every channel that has a state.

    An empty channel (the local one, as a rule) is named too, or ld1.x does not diagonalise its Hamiltonian.
    """
    occupations: dict[str, float] = {}
    for label, _, _, occupation, *_ in states:
        occupations.setdefault(label.lower(), max(0.0, occupation))
    return " ".join(f"{label}{occupation:g}" for label, occupation in occupations.items())


def check_parameters(parameters: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the parameters of one run, or None."""
    expected = {*NAMELISTS, "states"}
    if set(parameters) - {"gipaw_states", "core_level"} != expected:
        return f"parameters of ld1.x need exactly the keys {', '.join(sorted(expected))}; got {sorted(parameters)}."
    for name in NAMELISTS:
        for key, value in parameters[name].items():
            try:
                fortran_literal(value)
            except ValueError as exception:
                return f"`{name}.{key}`: {exception}"
    for key in ("zed", "config", "dft"):
        if key not in parameters["input"]:
            return f"`input.{key}` is missing."
    if parameters["input"].get("iswitch") != 3:
        return "`input.iswitch` must be 3: a pseudopotential is generated."
    inputp = parameters["inputp"]
    if not isinstance(inputp.get("lpaw"), bool) or inputp.get("pseudotype") != 3:
        return "`inputp.lpaw` must be true (PAW) or false (ultrasoft) and `inputp.pseudotype` 3."
    if not _PLAIN_NAME.match(str(inputp.get("file_pseudopw", ""))):
        return "`inputp.file_pseudopw` must be a plain file name that ends with `.UPF`."
    owned = [key for key in inputp if key.startswith("file_") and key != "file_pseudopw"]
    if owned or "prefix" in parameters["input"]:
        return f"file names are set by the plugin, remove {', '.join(owned) or '`input.prefix`'}."
    if not parameters["states"]:
        return "`states` is empty: no projector would be made."
    gipaw = parameters.get("gipaw_states", [])
    if bool(gipaw) != bool(inputp.get("lgipaw_reconstruction", False)) or (gipaw and inputp["lpaw"]):
        return (
            "`gipaw_states` and `inputp.lgipaw_reconstruction` belong together and to ultrasoft sets: "
            "PAW data hold their own partial waves."
        )
    for name, rows, columns in (
        ("states", parameters["states"], STATE_COLUMNS),
        ("gipaw_states", gipaw, GIPAW_COLUMNS),
    ):
        for row in rows:
            numbers = [value for value in row[1:] if isinstance(value, int | float) and not isinstance(value, bool)]
            if len(row) != columns or not isinstance(row[0], str) or len(numbers) != columns - 1:
                return f"a row of `{name}` needs a label and {columns - 1} numbers, got {row!r}."
            if any(value != int(value) for value in numbers[:2]):
                return f"n and l of a row of `{name}` must be integers, got {row!r}."
    return None


def check_test(test: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the settings of a test, or None."""
    keys = {*TEST_DERIVATIVES, *TEST_BASIS}
    if set(test) != keys:
        return f"`test` needs exactly the keys {', '.join(sorted(keys))}; got {sorted(test)}."
    wrong = {key: value for key, value in test.items() if isinstance(value, bool) or not isinstance(value, int | float)}
    if wrong:
        return f"`test` takes numbers, got {wrong}."
    for lower, upper, step in (("eminld", "emaxld", "deld"), ("ecutmin", "ecutmax", "decut")):
        if not (test[lower] < test[upper] and test[step] > 0):
            return f"`test` needs {lower} < {upper} and a positive {step}, got {test}."
    if not (1 <= test["nld"] <= 4 and test["rlderiv"] > 0 and test["rm"] > test["rlderiv"]):
        return f"`test` needs 1 to 4 channels (nld) and radii 0 < rlderiv < rm, got {test}."
    return None


def _validate_test(node: orm.Dict | None, _: Any) -> str | None:
    return None if node is None else check_test(node.get_dict())


def _validate_parameters(node: orm.Dict | None, _: Any) -> str | None:
    return None if node is None else check_parameters(node.get_dict())


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
            validator=_validate_parameters,
            help="Namelists `input` and `inputp` and the list `states`, as ld1.x names them; `core_level`, such as 1S.",
        )
        spec.input(
            "test",
            valid_type=orm.Dict,
            required=False,
            validator=_validate_test,
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

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

NAMELISTS = ("input", "inputp")
#: Columns of a row of `states`: label, n and l of the pseudo-atom, occupation, energy (Ry), r_cut and r_cut of the
#: ultrasoft part (bohr), j.
STATE_COLUMNS = 8
#: Runs of ld1.x that make up the atomic data of silicon suboxides.
RUNS = ("ground", "hole", "oxygen")

_PLAIN_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*\.UPF$")


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


def ld1_input(parameters: Mapping[str, Any]) -> str:
    """Return the input file of ld1.x.

    :param parameters: namelists ``input`` and ``inputp`` (keyword → value) and ``states``, a list of rows (label, n, l,
        occupation, energy in Ry, r_cut in bohr, ultrasoft r_cut in bohr, j).
    """
    lines = []
    for name in NAMELISTS:
        lines.append(f"&{name}")
        lines += [f"  {key} = {fortran_literal(value)}" for key, value in parameters[name].items()]
        lines.append("/")
    states: Sequence[Sequence[Any]] = parameters["states"]
    lines.append(str(len(states)))
    for label, n, l, occupation, energy, r_cut, r_cut_us, j in states:  # noqa: E741
        lines.append(f"{label} {n:2d} {l:2d} {occupation:7.3f} {energy:8.3f} {r_cut:7.3f} {r_cut_us:7.3f} {j:4.1f}")
    return "\n".join(lines) + "\n"


def check_parameters(parameters: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the parameters of one run, or None."""
    expected = {*NAMELISTS, "states"}
    if set(parameters) != expected:
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
    if inputp.get("lpaw") is not True or inputp.get("pseudotype") != 3:
        return "`inputp.lpaw` must be true and `inputp.pseudotype` 3: PAW data are needed."
    if not _PLAIN_NAME.match(str(inputp.get("file_pseudopw", ""))):
        return "`inputp.file_pseudopw` must be a plain file name that ends with `.UPF`."
    owned = [key for key in inputp if key.startswith("file_") and key != "file_pseudopw"]
    if owned or "prefix" in parameters["input"]:
        return f"file names are set by the plugin, remove {', '.join(owned) or '`input.prefix`'}."
    if not parameters["states"]:
        return "`states` is empty: no projector would be made."
    for row in parameters["states"]:
        if len(row) != STATE_COLUMNS or not isinstance(row[0], str):
            return f"a row of `states` needs a label and {STATE_COLUMNS - 1} numbers, got {row!r}."
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in row[1:]):
            return f"a row of `states` needs a label and {STATE_COLUMNS - 1} numbers, got {row!r}."
        if any(value != int(value) for value in row[1:3]):
            return f"n and l of a row of `states` must be integers, got {row!r}."
    return None


def _validate_parameters(node: orm.Dict | None, _: Any) -> str | None:
    return None if node is None else check_parameters(node.get_dict())


class Ld1Calculation(CalcJob):
    """One free atom with ld1.x: all-electron energies, a PAW data set that pw.x reads, the core wavefunction."""

    #: Raise it whenever the same inputs shall give other files, or AiiDA's cache serves the old ones.
    CACHE_VERSION = 1

    ORBITALS_FILE = "ld1.wfc"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input(
            "parameters",
            valid_type=orm.Dict,
            validator=_validate_parameters,
            help="Namelists `input` and `inputp` and the list `states`, as ld1.x names them.",
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
            "pseudo", valid_type=UpfData, help="The PAW data set, repaired so that pw.x and xspectra.x read it."
        )
        spec.output(
            "core_wavefunction",
            valid_type=orm.SinglefileData,
            required=False,
            help="r and r·ψ of the all-electron 1S orbital, as xspectra.x reads it; of the ground state, not the hole.",
        )
        spec.output(
            "output_parameters",
            valid_type=orm.Dict,
            help="all_electron_Ry, pseudo_Ry, eigenvalues, largest eigenvalue error, version, warnings.",
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
            handle.write(ld1_input(parameters))

        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        codeinfo.stdin_name = options.input_filename
        codeinfo.stdout_name = options.output_filename
        codeinfo.join_files = True

        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        calcinfo.retrieve_list = [options.output_filename]
        # The raw UPF file (1 MB) and the orbitals live on in the outputs: they need not be kept twice.
        calcinfo.retrieve_temporary_list = [parameters["inputp"]["file_pseudopw"], self.ORBITALS_FILE]
        return calcinfo


@calcfunction
def split_parameters(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Give each run of ld1.x its own parameters.

    :param parameters: Dict with the parameters of each run under ``ground``, ``hole`` and ``oxygen``.
    :returns: one Dict for each of them.
    """
    content = parameters.get_dict()
    return {run: orm.Dict(content[run]) for run in RUNS}


@calcfunction
def collect_energies(ground: orm.Dict, hole: orm.Dict, version: orm.Str) -> orm.Dict:
    """Bring the energies of the silicon atom together.

    :param ground: ``output_parameters`` of the ground-state run.
    :param hole: ``output_parameters`` of the run with a hole in 1s.
    :param version: version of aiida_siox: the cache knows nothing of changes in ``science``.
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

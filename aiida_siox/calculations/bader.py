"""Bader charges of a ground state of pw.x: pp.x twice and a Bader code, in one job beside the scratch."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

from aiida import orm
from aiida.common import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job
from aiida_quantumespresso.calculations.pw import PwCalculation

from aiida_siox.checked import OneOf, validated
from aiida_siox.science.bader import METHODS


def _validate_inputs(inputs: Mapping[str, Any], context: Any) -> str | None:
    """Return what is wrong with the inputs, or None."""
    if "pp_code" not in inputs or "bader_code" not in inputs or "remote_folder" in inputs:
        return None  # a missing port is reported by that port; an import runs nothing
    pp_code = inputs["pp_code"]
    problem = validate_calc_job({**inputs, "code": pp_code}, context)
    if problem is not None:
        return str(problem)
    computer = pp_code.computer or inputs.get("metadata", {}).get("computer")
    others = {"bader_code": inputs["bader_code"].computer, "parent_folder": inputs["parent_folder"].computer}
    for port, other in others.items():
        if other is not None and other.uuid != computer.uuid:
            return f"`{port}` is on computer `{other.label}`, `pp_code` on `{computer.label}`: they must share one."
    options = inputs.get("metadata", {}).get("options", {})
    resources = computer.get_scheduler().create_job_resource(**options["resources"])
    if options.get("withmpi", False) and resources.get_tot_num_mpiprocs() != 1:
        return "Bader charges are a serial job: ask for one process in `metadata.options.resources`."
    return None


def _code_info(code: orm.AbstractCode, arguments: list[str], stdout_name: str) -> CodeInfo:
    """Return how one program of the job is called; its standard error goes to its standard output."""
    codeinfo = CodeInfo()
    codeinfo.code_uuid = code.uuid
    codeinfo.cmdline_params = arguments
    codeinfo.stdout_name = stdout_name
    codeinfo.join_files = True
    return codeinfo


class BaderCalculation(CalcJob):
    """Electrons of each atom: valence density in the basins of the all-electron density.

    pp.x writes both densities from the scratch of a ground state of pw.x as cube files, then ``siox-bader`` (or
    Henkelman's ``bader``) partitions them. The cube files stay on the computer and are deleted at the end of the job.
    """

    #: Raise it whenever the same inputs shall run differently, or AiiDA's cache serves the old results.
    CACHE_VERSION = 203

    #: (name, plot_num of pp.x): the density that is counted and the density that has the basins.
    DENSITIES = (("charge", 0), ("reference", 21))
    SCRATCH_FILE = "scratch.txt"
    BADER_STDOUT = "bader.out"
    BADER_JSON = "bader.json"
    BADER_ACF = "ACF.dat"

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        del spec.inputs["code"]
        spec.inputs.validator = _validate_inputs
        spec.input("pp_code", valid_type=orm.AbstractCode, help="pp.x.")
        spec.input(
            "bader_code",
            valid_type=orm.AbstractCode,
            help="`siox-bader`, or Henkelman's `bader`, on the same computer.",
        )
        spec.input(
            "parent_folder",
            valid_type=orm.RemoteData,
            help="`remote_folder` of the ground state of pw.x (PAW data sets).",
        )
        spec.input("structure", valid_type=orm.StructureData, help="Structure of the ground state; orders the charges.")
        spec.input(
            "n_electrons",
            valid_type=orm.Float,
            required=False,
            help="Expected number of electrons; when absent, what pw.x wrote into the scratch.",
        )
        spec.input(
            "method",
            valid_type=orm.Str,
            required=False,
            serializer=orm.to_aiida_type,
            validator=validated(Annotated[str, OneOf(METHODS)], "method"),
            help=f"Way to divide the grid: {', '.join(METHODS)}; when absent, the default of the Bader code "
            "(`weight` for siox-bader, `neargrid` for Henkelman's).",
        )
        defaults: dict[str, Any] = {
            "parser_name": "siox.bader",
            "withmpi": False,
            "resources": lambda: {"num_machines": 1, "num_mpiprocs_per_machine": 1},
        }
        for name, default in defaults.items():
            spec.inputs["metadata"]["options"][name].default = default  # type: ignore[index]

        spec.output(
            "charges",
            valid_type=orm.ArrayData,
            help="Arrays `electrons` (e) and `volumes_A3` (Å³), (n_atoms,), in the order of the structure; from "
            "siox-bader also `n_basins` and `basin_distances_A` (nucleus to the nearest of its maxima, Å).",
        )
        spec.output(
            "output_parameters",
            valid_type=orm.Dict,
            help="program, version, method, pp_version, n_electrons (also expected, unassigned, non_nuclear), "
            "sum_electrons of the atoms, n_basins, atoms_with_more_basins, largest_basin_distance_A, times, memory.",
        )
        spec.default_output_node = "output_parameters"

        for status, label, message in (
            (302, "ERROR_OUTPUT_STDOUT_MISSING", "The job left no `{name}`: it ended before this step."),
            (311, "ERROR_PP_STOPPED", "pp.x did not finish the {density} density ({message}). Last lines:\n{tail}"),
            (320, "ERROR_BADER_INCOMPLETE", "The Bader code gave no charges ({message}). Last lines:\n{tail}"),
            (330, "ERROR_ATOMS_DIFFER", "The charges are not of the atoms of the structure: {message}"),
            (331, "ERROR_ELECTRON_COUNT", "{found:.4f} electrons where {expected:.4f} are expected: {message}"),
            (332, "ERROR_ATOM_WITHOUT_BASIN", "Atoms without a basin of their own: {atoms}."),
            (
                410,
                "ERROR_PARENT_SCRATCH_MISSING",
                "The scratch of the ground state is gone or incomplete ({message}): run the ground state again.",
            ),
        ):
            spec.exit_code(status, label, message=message, invalidates_cache=True)

    def _setup_metadata(self, metadata: dict) -> None:
        """Take the computer from pp.x: the base class knows only the input `code`."""
        if metadata.get("computer") is None:
            metadata["computer"] = self.inputs.pp_code.computer
        super()._setup_metadata(metadata)

    @classmethod
    def cube_name(cls, density: str) -> str:
        """Return the name of the cube file of ``charge`` or ``reference``."""
        return f"{density}.cube"

    @classmethod
    def pp_stdout(cls, density: str) -> str:
        """Return the name of the standard output of pp.x for ``charge`` or ``reference``."""
        return f"pp_{density}.out"

    @classmethod
    def pp_input(cls, density: str, plot_num: int) -> str:
        """Return the input file of pp.x for one density as a cube file."""
        return "\n".join(
            (
                "&INPUTPP",
                f"  prefix = '{PwCalculation._PREFIX}'",
                f"  outdir = '{PwCalculation._OUTPUT_SUBFOLDER}'",
                f"  plot_num = {plot_num}",
                f"  filplot = '{density}.filplot'",
                "/",
                "&PLOT",
                "  iflag = 3",
                "  output_format = 6",
                f"  fileout = '{cls.cube_name(density)}'",
                "/\n",
            )
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the two inputs of pp.x; link the scratch of the ground state; line up the three programs."""
        codes_info = []
        for density, plot_num in self.DENSITIES:
            input_name = f"pp_{density}.in"
            with folder.open(input_name, "w") as handle:
                handle.write(self.pp_input(density, plot_num))
            codes_info.append(_code_info(self.inputs.pp_code, ["-in", input_name], self.pp_stdout(density)))
        charge, reference = (self.cube_name(density) for density, _ in self.DENSITIES)
        method = ["-b", self.inputs.method.value] if "method" in self.inputs else []
        codes_info.append(_code_info(self.inputs.bader_code, [charge, "-ref", reference, *method], self.BADER_STDOUT))
        subfolder = PwCalculation._OUTPUT_SUBFOLDER.strip("./")
        save = f"{subfolder}/{PwCalculation._PREFIX}.save"
        parent = self.inputs.parent_folder
        leftovers = " ".join(f"{density}.cube {density}.filplot" for density, _ in self.DENSITIES)

        calcinfo = CalcInfo()
        calcinfo.codes_info = codes_info
        calcinfo.remote_symlink_list = [
            (parent.computer.uuid, str(pathlib.PurePosixPath(parent.get_remote_path()) / subfolder), subfolder)
        ]
        # Whether the scratch is there, and how many electrons it holds, is written down before anything runs.
        calcinfo.prepend_text = (
            f"(ls {save}; grep '<nelec>' {save}/data-file-schema.xml) > {self.SCRATCH_FILE} 2>&1 || true"
        )
        # The link goes too: nothing that cleans this folder shall follow it.
        calcinfo.append_text = f"rm -f {leftovers} {subfolder}"
        calcinfo.retrieve_list = [
            self.SCRATCH_FILE,
            *(self.pp_stdout(density) for density, _ in self.DENSITIES),
            self.BADER_STDOUT,
            # patterns, because one of the two is never there and AiiDA would warn
            *((f"{name[:-1]}[{name[-1]}]", ".", 0) for name in (self.BADER_JSON, self.BADER_ACF)),
        ]
        return calcinfo

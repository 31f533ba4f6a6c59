"""One LAMMPS job that melts and quenches a cell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec, ProcessSpec
from aiida_lammps.calculations.raw import LammpsRawCalculation
from pydantic import Field

from aiida_siox.checked import Whole, validated
from aiida_siox.science import melt_quench as science
from aiida_siox.science.potentials import Potential, species_of_tersoff

validate_seed = validated(Annotated[Whole, Field(ge=0)], "seed")


def potential_of(namespace: Mapping[str, Any]) -> Potential:
    """Return the potential of the input namespace ``potential``.

    :raises ValueError: if its definition is wrong, or its files are not those that the definition names.
    """
    potential = Potential.parse(namespace["definition"].get_dict())
    nodes = dict(namespace.get("files", {}))
    given = sorted(node.filename for node in nodes.values())
    if given != sorted(potential.files):
        raise ValueError(f"the definition names the files {sorted(potential.files)}, but given are {given}.")
    if potential.pair_style.split()[0] == "tersoff":
        for node in nodes.values():
            try:
                known = species_of_tersoff(node.get_content(mode="r"))
            except UnicodeDecodeError:
                known = set()
            if not set(potential.species) <= known:
                raise ValueError(
                    f"{node.filename} has no Tersoff parameters of {' and '.join(potential.species)}: give the file "
                    "SiO.tersoff of a LAMMPS installation."
                )
    return potential


def validate_potential(value: Any, _: Any) -> str | None:
    """Return what is wrong with the namespace of a potential, or None."""
    if not value or "definition" not in value:
        return None  # said by the port itself
    try:
        potential_of(value)
    except ValueError as exception:
        return f"`potential`: {exception}"
    return None


def define_potential(spec: ProcessSpec) -> None:
    """Add the input namespace of a potential to a specification."""
    spec.input_namespace("potential", validator=validate_potential, help="Interatomic potential.")
    spec.input(
        "potential.definition",
        valid_type=orm.Dict,
        help="Pair style, coefficients, species, charges and names of files, see `science.potentials.Potential`.",
    )
    spec.input_namespace(
        "potential.files",
        valid_type=orm.SinglefileData,
        dynamic=True,
        required=False,
        help="Its files, each under a name of your choice.",
    )


def restart_step(name: str) -> int | None:
    """Return the step in the name of a restart file, None for any other file."""
    pattern = f"{re.escape(science.RESTART_PREFIX)}(\\d+){re.escape(science.RESTART_SUFFIX)}"
    match = re.fullmatch(pattern, name)
    return int(match.group(1)) if match else None


def sorted_restart_files(names: list[str]) -> list[str]:
    """Return the restart files among file names, the last step first."""
    steps = {name: step for name in names if (step := restart_step(name)) is not None}
    return sorted(steps, key=lambda name: steps[name], reverse=True)


class MeltQuenchCalculation(LammpsRawCalculation):
    """LAMMPS job that writes its own script and data file from a starting cell, and can go on from a restart file.

    On top of the raw calculation of aiida-lammps, which takes a ready script and has neither structure nor parent
    folder.
    """

    #: Raise it whenever the same inputs shall run differently, or AiiDA's cache serves the old results.
    CACHE_VERSION = 3

    _walltime_fraction: ClassVar[float] = 0.95
    """Part of max_wallclock_seconds after which LAMMPS stops by itself and writes a restart file."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        for name in ("script", "files", "filenames"):
            del spec.inputs[name]
        spec.inputs.validator = cls.validate_all
        options: Any = spec.inputs["metadata"]["options"]  # type: ignore[index]
        options["parser_name"].default = "siox.melt_quench"
        options["withmpi"].default = False
        options["resources"].default = lambda: {
            "num_machines": 1,
            "num_mpiprocs_per_machine": 1,
        }
        spec.input("structure", valid_type=orm.StructureData, help="Starting cell, rectangular; kinds Si and O.")
        define_potential(spec)
        spec.input(
            "parameters",
            valid_type=orm.Dict,
            validator=validated(science.Dynamics, "parameters"),
            help="Stages and numbers of the dynamics; the protocol lists them all.",
        )
        spec.input("seed", valid_type=orm.Int, validator=validate_seed, help="Seed of the velocities.")
        spec.input(
            "parent_folder",
            valid_type=orm.RemoteData,
            required=False,
            help="Folder of an interrupted job of the same inputs, to go on from.",
        )
        spec.input(
            "restart_file",
            valid_type=orm.Str,
            required=False,
            help="Name of the restart file in `parent_folder`.",
        )
        spec.output("structure", valid_type=orm.StructureData, help="Quenched and minimised cell.")
        spec.output(
            "thermo",
            valid_type=orm.ArrayData,
            help="Thermodynamic series, one array for each quantity; units and names of the stages as attributes.",
        )
        spec.output("trajectory", valid_type=orm.TrajectoryData, required=False, help="Only when asked for.")
        spec.default_output_node = "results"
        spec.exit_code(
            309,
            "ERROR_PARSER_DETECTED_LAMMPS_RUN_ERROR",
            message="LAMMPS stopped with an error: {error}",
            invalidates_cache=True,
        )
        spec.exit_code(
            311,
            "ERROR_FINAL_STRUCTURE",
            message="LAMMPS reached its end but the final cell cannot be read: {error}",
            invalidates_cache=True,
        )
        spec.exit_code(
            400,
            "ERROR_INTERRUPTED",
            message="The run stopped early, at step {step} of {n_steps} (stage {stage}); its last lines: {lines}",
            invalidates_cache=True,
        )
        spec.exit_code(
            410,
            "ERROR_UNSTABLE_DYNAMICS",
            message="Atoms were lost or values are not numbers at step {step} (stage {stage}): {error}",
            invalidates_cache=True,
        )
        spec.exit_code(
            420,
            "ERROR_RESTART_UNREADABLE",
            message="The restart file cannot be read: {error}",
            invalidates_cache=True,
        )

    @classmethod
    def validate_all(cls, value: Any, _: Any) -> str | None:
        """Return what is wrong with the inputs taken together, or None."""
        if "structure" in value:
            structure = value["structure"]
            try:
                if "definition" in value.get("potential", {}):
                    potential_of(value["potential"]).check_species(sorted(structure.get_symbols_set()))
            except ValueError as exception:
                return f"`potential`: {exception}"
            try:
                science.data_file(structure.get_ase())
            except ValueError as exception:
                return f"`structure`: {exception}"
        if ("parent_folder" in value) != ("restart_file" in value):
            return "`parent_folder` and `restart_file` go together: give both to go on from a restart file, or none."
        if "restart_file" in value and restart_step(value["restart_file"].value) is None:
            return (
                f"`restart_file` is `{value['restart_file'].value}`: it must be one of the files "
                f"{science.RESTART_PREFIX}<step>{science.RESTART_SUFFIX} in `parent_folder`."
            )
        return None

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write script, data file and potential.

        :param folder: temporary folder on the local file system.
        :returns: what to copy, run and retrieve.
        """
        atoms = self.inputs.structure.get_ase()
        parameters = self.inputs.parameters.get_dict()
        potential = potential_of(self.inputs.potential)
        options = self.inputs.metadata.options
        restart = "parent_folder" in self.inputs
        limit = options.get("max_wallclock_seconds")
        script = science.melt_quench_script(
            science.species_of(atoms),
            potential,
            parameters,
            self.inputs.seed.value,
            restart=restart,
            walltime_s=None if limit is None else int(self._walltime_fraction * limit),
        )
        with folder.open(options.input_filename, "w") as handle:
            handle.write(script)
        for node in self.inputs.potential.get("files", {}).values():
            with folder.open(node.filename, "wb") as handle:
                handle.write(node.get_content(mode="rb"))
        if not restart:
            with folder.open(science.DATA_FILE, "w") as handle:
                handle.write(science.data_file(atoms, potential.charges))

        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        codeinfo.cmdline_params = ["-in", options.input_filename, "-log", "none"]
        codeinfo.stdout_name = options.output_filename

        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        calcinfo.provenance_exclude_list = list(potential.files)
        calcinfo.retrieve_list = [options.output_filename, science.FINAL_FILE]
        if "settings" in self.inputs:
            calcinfo.retrieve_list += self.inputs.settings.get_dict().get("additional_retrieve_list", [])
        calcinfo.retrieve_temporary_list = []
        if parameters["trajectory_interval_ps"] > 0:
            calcinfo.retrieve_temporary_list.append(science.TRAJECTORY_FILE)
        calcinfo.remote_copy_list = []
        if restart:
            parent = self.inputs.parent_folder
            source = f"{parent.get_remote_path()}/{self.inputs.restart_file.value}"
            calcinfo.remote_copy_list.append((parent.computer.uuid, source, science.START_RESTART_FILE))
        return calcinfo

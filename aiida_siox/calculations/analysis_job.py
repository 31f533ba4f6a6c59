"""One part of the analysis as a job, with the code `siox-analyse`: for training that takes longer than one waits."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from aiida.engine.processes.calcjobs.calcjob import validate_calc_job

from aiida_siox.calculations.analysis import ERROR_INVALID_PARAMETERS, ERROR_UNSUITABLE_DATASET
from aiida_siox.data.analysis import AnalysisData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.learning.analysis.parameters import PARAMETERS, check_request
from aiida_siox.learning.analysis.results import MODEL_PATTERN


def _validate_inputs(inputs: Mapping[str, Any], context: Any) -> str | None:
    """Return what is wrong with the inputs, or None."""
    problem = validate_calc_job(inputs, context)
    if problem is not None:
        return str(problem)
    if "part" in inputs and "parameters" in inputs:
        try:
            check_request(inputs["part"].value, inputs["parameters"].get_dict())
        except ValueError as exception:
            return str(exception)
    return None


class AnalysisCalculation(CalcJob):
    """One part of the analysis of a data set, run by the console script ``siox-analyse`` where the code is.

    Inputs and outputs are those of the calcfunction ``analyse_part``.
    """

    #: Raise it whenever the same inputs shall run differently, or AiiDA's cache serves the old results.
    CACHE_VERSION = 1

    SITES_FILE = "sites.npz"
    PARAMETERS_FILE = "parameters.json"
    OUTPUT_FILE = "siox-analyse.out"

    #: Part of max_wallclock_seconds after which the script stops by itself and says how far it was.
    WALLTIME_FRACTION = 0.95

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.inputs.validator = _validate_inputs
        spec.input("dataset", valid_type=DatasetData, help="Sites of many configurations on one calibrated grid.")
        spec.input(
            "part",
            valid_type=orm.Str,
            serializer=orm.to_aiida_type,
            help=f"Part of the analysis: {', '.join(PARAMETERS)}.",
        )
        spec.input(
            "parameters",
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            help="What the part is told; AnalysisProtocol.get_parameters lists it. `training.threads` are the threads.",
        )
        spec.input(
            "version",
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            help="ANALYSIS_VERSION of aiida_siox.calculations.analysis.",
        )
        defaults: dict[str, Any] = {
            "parser_name": "siox.analysis",
            "withmpi": False,
            "output_filename": cls.OUTPUT_FILE,
            "resources": lambda: {"num_machines": 1, "num_mpiprocs_per_machine": 1},
        }
        for name, default in defaults.items():
            spec.inputs["metadata"]["options"][name].default = default  # type: ignore[index]

        spec.output("analysis", valid_type=AnalysisData, required=False, help="Arrays, scores and other attributes.")
        spec.output_namespace(
            "models", valid_type=ModelData, dynamic=True, required=False, help="Of the part `model`, by property."
        )
        spec.output(
            "output_parameters", valid_type=orm.Dict, help="Versions of the script and of torch, times, memory."
        )
        spec.default_output_node = "output_parameters"

        for status, label, message in (
            (ERROR_INVALID_PARAMETERS, "ERROR_INVALID_PARAMETERS", "{message}"),
            (ERROR_UNSUITABLE_DATASET, "ERROR_UNSUITABLE_DATASET", "{message}"),
            (302, "ERROR_OUTPUT_MISSING", "The script left no {name}. Its last lines:\n{tail}"),
            (310, "ERROR_OUTPUT_UNREADABLE", "The results cannot be read ({message}). Last lines:\n{tail}"),
            (
                400,
                "ERROR_OUT_OF_WALLTIME",
                "Out of time: {message}. Ask for more max_wallclock_seconds, or for fewer seeds in the overrides.",
            ),
        ):
            spec.exit_code(status, label, message=message, invalidates_cache=True)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the sites and the parameters."""
        self.inputs.dataset.site_set().to_npz(pathlib.Path(folder.get_abs_path(self.SITES_FILE)))
        parameters = self.inputs.parameters.get_dict()
        request = {"part": self.inputs.part.value, "parameters": parameters, "version": self.inputs.version.value}
        with folder.open(self.PARAMETERS_FILE, "w") as handle:
            json.dump(request, handle, indent=1)
        arguments = [self.SITES_FILE, self.PARAMETERS_FILE]
        limit = self.inputs.metadata.options.get("max_wallclock_seconds")
        if limit is not None:
            arguments += ["--max-seconds", str(int(self.WALLTIME_FRACTION * limit))]

        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        codeinfo.cmdline_params = arguments
        codeinfo.stdout_name = self.inputs.metadata.options.output_filename
        codeinfo.join_files = True

        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        # comes after the text of the code, which says one thread as for all engines
        calcinfo.prepend_text = f"export OMP_NUM_THREADS={int(parameters['training']['threads'])}"
        calcinfo.provenance_exclude_list = [self.SITES_FILE]  # it is the input `dataset`
        calcinfo.retrieve_list = [
            codeinfo.stdout_name,
            # patterns, because of a run that failed they are not there and AiiDA would warn
            ("result.*", ".", 0),
            (MODEL_PATTERN.format(name="*"), ".", 0),
        ]
        return calcinfo

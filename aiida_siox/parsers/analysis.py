"""Parser of AnalysisCalculation."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_siox.calculations.analysis import result_nodes
from aiida_siox.learning.analysis.results import MODEL_PATTERN, RESULT_JSON, RESULT_NPZ
from aiida_siox.parsers.raw.analysis import parse_arrays, parse_progress, parse_result
from aiida_siox.parsers.raw.bader import last_lines

#: What the run says of itself.
RUN_KEYS = ("program", "version", "torch_version", "wall_s", "cpu_s", "max_rss_MB")


class AnalysisParser(Parser):
    """The nodes that the calcfunction ``analyse_part`` gives, from the files of ``siox-analyse``."""

    #: Raise it whenever the same files shall give other outputs.
    CACHE_VERSION = 1

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Parse the retrieved files."""
        codes = self.exit_codes
        inputs = self.node.inputs
        stdout = (self._content(str(self.node.get_option("output_filename"))) or b"").decode(errors="replace")
        tail = last_lines(stdout) or "(nothing)"
        text = self._content(RESULT_JSON)
        if text is None:
            # killed by the scheduler before it could stop by itself: what the scheduler said stands
            scheduler = codes.ERROR_SCHEDULER_OUT_OF_WALLTIME.status
            if self.node.exit_status == scheduler:
                found = parse_progress(stdout)
                reached = "nothing was done yet" if found is None else f"killed at {found[0]:.0%} ({found[1]})"
                return codes.ERROR_OUT_OF_WALLTIME.format(message=reached)
            return codes.ERROR_OUTPUT_MISSING.format(name=RESULT_JSON, tail=tail)
        try:
            result = parse_result(text.decode())
        except ValueError as exception:
            return codes.ERROR_OUTPUT_UNREADABLE.format(message=str(exception), tail=tail)
        self.out("output_parameters", orm.Dict({key: result.get(key) for key in RUN_KEYS}))
        if "error" in result:
            kinds = {
                "parameters": codes.ERROR_INVALID_PARAMETERS,
                "sites": codes.ERROR_UNSUITABLE_DATASET,
                "walltime": codes.ERROR_OUT_OF_WALLTIME,
            }
            code = kinds.get(result["error"].get("kind"), codes.ERROR_OUTPUT_UNREADABLE)
            return code.format(message=result["error"].get("message"), tail=tail)

        contents = {name: self._content(MODEL_PATTERN.format(name=name)) for name in result["models"]}
        files = {RESULT_NPZ: self._content(RESULT_NPZ)}
        files |= {MODEL_PATTERN.format(name=name): content for name, content in contents.items()}
        for name, content in files.items():
            if content is None:
                return codes.ERROR_OUTPUT_MISSING.format(name=name, tail=tail)
        try:
            if result["part"] != inputs.part.value or result["part_version"] != inputs.version.value:
                raise ValueError(f"they are of the part {result['part']}, version {result['part_version']}")
            nodes = result_nodes(
                inputs.dataset,
                inputs.part.value,
                inputs.parameters.get_dict(),
                inputs.version.value,
                parse_arrays(files[RESULT_NPZ] or b""),
                result["attributes"],
                {name: content or b"" for name, content in contents.items()},
            )
        except ValueError as exception:
            return codes.ERROR_OUTPUT_UNREADABLE.format(message=str(exception), tail=tail)
        self.out("analysis", nodes["analysis"])
        for name, model in nodes.get("models", {}).items():
            self.out(f"models.{name}", model)
        return None

    def _content(self, name: str) -> bytes | None:
        """Return the content of a retrieved file, or None if it is not there."""
        try:
            return bytes(self.retrieved.base.repository.get_object_content(name, "rb"))
        except FileNotFoundError:
            return None

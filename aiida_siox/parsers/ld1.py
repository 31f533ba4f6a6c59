"""Parser of ld1.x."""

from __future__ import annotations

import io
import pathlib
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser
from aiida_pseudo.data.pseudo.upf import UpfData

from aiida_siox.calculations.ld1 import Ld1Calculation, Ld1Parameters
from aiida_siox.parsers.raw.ld1 import last_lines, parse_derivatives, parse_ld1
from aiida_siox.science import upf

REQUIRED = ("version", "all_electron_Ry", "pseudo_Ry", "eigenvalue_error_Ry")


class Ld1Parser(Parser):
    """Energies, a repaired UPF file and the core wavefunction from the files of ld1.x."""

    #: Raise it whenever the same files shall give other outputs.
    CACHE_VERSION = 1

    defaults: ClassVar[dict[str, float]] = {
        # the pseudo-atom reproduces its own reference configuration to 1e-5 Ry; more than this is a broken generation
        "eigenvalue_tolerance_Ry": 1e-3,
    }

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Parse the retrieved files; nothing is an output unless everything is right."""
        codes = self.exit_codes
        try:
            text = self.retrieved.base.repository.get_object_content(str(self.node.get_option("output_filename")), "r")
        except FileNotFoundError:
            return codes.ERROR_OUTPUT_STDOUT_MISSING
        tail = last_lines(text)
        parsed = parse_ld1(text)
        for warning in parsed["warnings"]:
            self.logger.warning(warning)
        # an atom that does not converge also stops the engine later: name the cause
        if (not_converged := parsed.pop("not_converged")) is not None:
            return codes.ERROR_SCF_NOT_CONVERGED.format(message=not_converged)
        if (error := parsed.pop("error")) is not None:
            return codes.ERROR_ENGINE_STOPPED.format(message=error)
        missing = [key for key in REQUIRED if key not in parsed]
        if not parsed.pop("finished") or missing:
            message = f"no {', '.join(missing)}" if missing else "no end of the pseudopotential test"
            return codes.ERROR_OUTPUT_INCOMPLETE.format(message=message, tail=tail)
        tolerance = self.defaults["eigenvalue_tolerance_Ry"]
        if parsed["eigenvalue_error_Ry"] > tolerance:
            return codes.ERROR_EIGENVALUES_NOT_REPRODUCED.format(
                error=parsed["eigenvalue_error_Ry"], tolerance=tolerance
            )

        folder = pathlib.Path(kwargs["retrieved_temporary_folder"])
        if "test" in self.node.inputs:
            return self.parse_test(folder, parsed, tail)
        parameters = Ld1Parameters.parse(self.node.inputs.parameters.get_dict())
        name = parameters.inputp.file_pseudopw
        upf_path, orbitals_path = folder / name, folder / Ld1Calculation.ORBITALS_FILE
        if not upf_path.is_file():
            return codes.ERROR_UPF_MISSING.format(tail=tail)
        if not orbitals_path.is_file():
            return codes.ERROR_ORBITALS_MISSING.format(tail=tail)
        try:
            orbitals = upf.read_orbitals(orbitals_path.read_text())
            repaired = upf.repair(upf_path.read_text(), orbitals)
            pseudo = UpfData(io.BytesIO(repaired.encode()), filename=name)
        except (ValueError, KeyError, UnicodeDecodeError) as exception:
            return codes.ERROR_UPF_INVALID.format(message=str(exception))

        self.out("pseudo", pseudo)
        core = upf.core_wavefunction(orbitals, parameters.core_level)
        if core is not None:
            self.out(
                "core_wavefunction",
                orm.SinglefileData(io.BytesIO(core.encode()), filename=f"{pathlib.Path(name).stem}.wfc"),
            )
        self.out("output_parameters", orm.Dict(parsed))
        return None

    def parse_test(self, folder: pathlib.Path, parsed: dict[str, Any], tail: str) -> ExitCode | None:
        """Attach the logarithmic derivatives of a test.

        :param folder: where ld1.x's tables are.
        :param parsed: what its standard output says.
        :param tail: the end of it.
        """
        codes = self.exit_codes
        if "levels_Ry" not in parsed:
            return codes.ERROR_OUTPUT_INCOMPLETE.format(message="no levels in Bessel functions", tail=tail)
        try:
            reference, pseudo = (
                parse_derivatives((folder / name).read_text()) for name in Ld1Calculation.DERIVATIVES_FILES
            )
        except (OSError, ValueError) as exception:
            return codes.ERROR_DERIVATIVES_INVALID.format(message=str(exception))
        if reference.shape != pseudo.shape:
            return codes.ERROR_DERIVATIVES_INVALID.format(message=f"shapes {reference.shape} and {pseudo.shape}.")
        arrays = orm.ArrayData()
        for name, values in (
            ("energies", reference[:, 0]),
            ("all_electron", reference[:, 1:]),
            ("pseudo", pseudo[:, 1:]),
        ):
            arrays.set_array(name, values)
        self.out("logarithmic_derivatives", arrays)
        self.out("output_parameters", orm.Dict(parsed))
        return None

"""Parser of XspectraCalculation: believes a spectrum only when everything about it fits."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.exceptions import NotExistent
from aiida.engine import ExitCode
from aiida.parsers import Parser
from numpy.typing import NDArray

from aiida_siox.calculations.xspectra import CutOcc, XspectraCalculation
from aiida_siox.parsers.raw import xspectra as raw
from aiida_siox.science.lanczos import LanczosCoefficients, spectrum_from_coefficients


class XspectraParser(Parser):
    """Read standard output, cross-section and Lanczos coefficients of every polarisation.

    xspectra.x ends with exit status 0 after most of its failures, so a spectrum counts only if END JOB was reached,
    nothing was complained of, every Lanczos chain converged, the file has the energies that were asked for and finite
    values, the energy zero is the same for all polarisations, and the coefficients give the same spectrum again.
    """

    #: Raise it whenever other outputs are accepted, or AiiDA's cache serves old verdicts.
    CACHE_VERSION = 1

    replot_tolerance = 1e-3
    """Largest difference between the engine's spectrum and ours from its coefficients, relative to the maximum."""
    cut_tolerance = 1e-2
    """The same close to the energy zero: where a level lies on it, the cut takes a part of it that depends on how the
    integral is done (silicon without a hole, whose zero is the top of its valence band: 3e-3)."""
    cut_range_eV = 2.0
    energy_zero_tolerance_eV = 1e-3
    """The engine prints the energy zero with four decimals."""
    energy_tolerance_eV = 1e-6

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Parse the retrieved files; `retrieved_temporary_folder` holds the coefficients."""
        summary: dict[str, Any] = {}
        failure = self.read(summary, kwargs.get("retrieved_temporary_folder"))
        if summary:
            self.out("output_parameters", orm.Dict(summary))
        return failure

    def read(self, summary: dict[str, Any], folder: str | None) -> ExitCode | None:
        """Read everything, emit `curves` and `lanczos`, and return why that was not possible, or None.

        :param summary: filled with what `output_parameters` says, as far as it is known.
        :param folder: the temporary folder with the coefficients.
        """
        files = self.retrieved.base.repository.list_object_names()
        codes = self.exit_codes
        if XspectraCalculation.PARENT_CHECK in files:
            return codes.ERROR_PARENT_GAMMA_ONLY
        n_polarisations = len(self.node.inputs.polarisations.get_list())
        stdouts: list[dict[str, Any]] = []
        for index in range(n_polarisations):
            name = XspectraCalculation.names(index)["output"]
            if name not in files:
                return codes.ERROR_OUTPUT_STDOUT_MISSING.format(polarisation=index)
            text = self.retrieved.base.repository.get_object_content(name, "r")
            stdouts.append(raw.parse_stdout(text) | {"last_lines": raw.last_lines(text)})
        summary.update(self.summarise(stdouts))
        failure = self.check_stdouts(stdouts)
        if failure is not None:
            return failure

        try:
            energy, sigma = self.read_spectra(n_polarisations)
        except (OSError, ValueError) as exception:
            return codes.ERROR_SPECTRUM_UNREADABLE.format(reason=str(exception))
        if folder is None:
            return codes.ERROR_COEFFICIENTS_UNREADABLE.format(reason="the temporary folder was not kept.")
        try:
            saved = [
                raw.parse_save_file((pathlib.Path(folder) / XspectraCalculation.names(i)["coefficients"]).read_text())
                for i in range(n_polarisations)
            ]
            lanczos = self.stack(saved, stdouts)
        except (OSError, ValueError) as exception:
            return codes.ERROR_COEFFICIENTS_UNREADABLE.format(reason=str(exception))

        zero = float(lanczos.base.attributes.get("energy_zero_eV"))
        summary["energy_zero_eV"] = zero
        deviations, failed = [], []
        close = np.abs(energy) < self.cut_range_eV
        for index in range(n_polarisations):
            again = spectrum_from_coefficients(
                LanczosCoefficients.from_arrays(self.arrays(lanczos), lanczos.base.attributes.all, index),
                energy,
                zero,
                cut_occupied=lanczos.base.attributes.get("cut_occ_states"),
                smooth_eV=lanczos.base.attributes.get("smooth_eV"),
                use_terminator=lanczos.base.attributes.get("terminator"),
            )
            difference = np.abs(again - sigma[index]) / np.abs(sigma[index]).max()
            deviations.append(float(difference.max()))
            allowed = np.where(close, self.cut_tolerance, self.replot_tolerance)
            failed.append(not (difference < allowed).all())
        summary["replot_deviation"] = deviations
        if any(failed):
            worst = int(np.argmax(np.where(failed, deviations, -1.0)))
            return codes.ERROR_SPECTRUM_INCONSISTENT.format(polarisation=worst, deviation=deviations[worst])
        curves = orm.ArrayData()
        curves.set_array("energy_eV", energy)
        curves.set_array("sigma", sigma)
        self.out("curves", curves)
        self.out("lanczos", lanczos)
        return None

    @staticmethod
    def arrays(node: orm.ArrayData) -> dict[str, Any]:
        """Return the arrays of a node by name."""
        return {name: node.get_array(name) for name in node.get_arraynames()}

    def scheduler_stderr(self) -> str:
        """Return the standard error of the job: the Fortran runtime writes there."""
        try:
            return str(self.node.get_scheduler_stderr() or "")
        except (NotExistent, OSError):
            return ""

    def summarise(self, stdouts: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what `output_parameters` says; lists have one entry for each polarisation."""
        first = stdouts[0]

        def largest(values: list[Any]) -> Any:
            return max(values) if values else None

        def total(key: str) -> float | None:
            values = [out[key] for out in stdouts]
            return None if None in values else float(sum(values))

        return {
            "version": first["version"],
            "energy_zero_eV": first["energy_zero_eV"],
            "fermi_energy_eV": first["fermi_energy_eV"],
            "xgamma_eV": float(self.node.inputs.parameters.get_dict()["plot"]["xgamma"]),
            "n_k_points": len(first["weights"]),
            "n_iterations": [largest(out["iterations"] + out["exhausted"]) for out in stdouts],
            "error": [largest(out["errors"]) for out in stdouts],
            "converged": [out["finished"] and not out["exhausted"] and bool(out["iterations"]) for out in stdouts],
            "hilbert_saturated": any(out["hilbert_saturated"] for out in stdouts),
            "cpu_s": total("cpu_s"),
            "wall_s": total("wall_s"),
        }

    def check_stdouts(self, stdouts: list[dict[str, Any]]) -> ExitCode | None:
        """Return the exit code of the first polarisation that failed, or None."""
        codes = self.exit_codes
        for index, out in enumerate(stdouts):
            if out["scratch_missing"]:
                return codes.ERROR_PARENT_SCRATCH_MISSING.format(reason=out["last_lines"])
            if out["error"] is not None and "core wavefunction" in out["error"]:
                return codes.ERROR_CORE_WAVEFUNCTION.format(reason=out["error"])
            if out["error"] is not None:
                return codes.ERROR_ENGINE.format(reason=out["error"])
            if not out["finished"]:
                stderr = self.scheduler_stderr()
                if "runtime error" in stderr and "core wavefunction" in out["last_lines"].lower():
                    return codes.ERROR_CORE_WAVEFUNCTION.format(reason=raw.last_lines(stderr.split("Backtrace")[0]))
                if "runtime error" in stderr:
                    return codes.ERROR_ENGINE.format(reason=raw.last_lines(stderr.split("Backtrace")[0]))
                return codes.ERROR_OUTPUT_STDOUT_INCOMPLETE.format(reason=out["last_lines"])
            if out["exhausted"] or len(out["iterations"]) != len(out["weights"]):
                return codes.ERROR_LANCZOS_NOT_CONVERGED.format(
                    polarisation=index,
                    iterations=max(out["exhausted"], default=0),
                    count=len(out["weights"]) - len(out["iterations"]),
                )
        zeros = [out["energy_zero_eV"] for out in stdouts]
        if None in zeros or max(zeros) - min(zeros) > self.energy_zero_tolerance_eV:
            return codes.ERROR_ENERGY_ZEROS_DIFFER.format(reason=", ".join(f"{zero} eV" for zero in zeros))
        return None

    def read_spectra(self, n_polarisations: int) -> tuple[raw.Array, raw.Array]:
        """Return the common energies and the cross-sections.

        :raises ValueError: if a file does not hold what was asked for.
        :raises OSError: if one is missing.
        """
        plot = self.node.inputs.parameters.get_dict()["plot"]
        energy = np.linspace(plot["xemin"], plot["xemax"], plot["xnepoint"])
        sigma = []
        for index in range(n_polarisations):
            name = XspectraCalculation.names(index)["spectrum"]
            found, values = raw.parse_spectrum(self.retrieved.base.repository.get_object_content(name, "r"))
            if found.shape != energy.shape:
                raise ValueError(f"{name} has {found.size} points instead of {energy.size}.")
            if np.abs(found - energy).max() > self.energy_tolerance_eV:
                raise ValueError(f"{name} has other energies than {plot['xemin']} to {plot['xemax']} eV.")
            if not np.all(np.isfinite(values)) or values.max() <= 0:
                raise ValueError(f"{name} has values that are not finite, or none above zero.")
            sigma.append(values)
        return energy, np.array(sigma)

    def stack(self, saved: list[dict[str, Any]], stdouts: list[dict[str, Any]]) -> orm.ArrayData:
        """Return the coefficients of all polarisations as one node, padded with zeros to the longest chain.

        :raises ValueError: if files and outputs do not fit together.
        """
        parameters = self.node.inputs.parameters.get_dict()
        weights = raw.normalised_weights(stdouts[0]["weights"])
        n_k, n_max = weights.size, max(one["a"].shape[1] for one in saved)
        if any(one["norm"].size != n_k for one in saved):
            raise ValueError(f"the files hold {[one['norm'].size for one in saved]} k points, the outputs {n_k}.")
        zeros = {round(one["fermi_energy_eV"], 9) for one in saved}
        printed = stdouts[0]["energy_zero_eV"]
        if any(abs(zero - printed) > self.energy_zero_tolerance_eV for zero in zeros):
            raise ValueError(f"the files hold the energy zeros {sorted(zeros)} eV, the output says {printed} eV.")

        def padded(key: str) -> NDArray[np.float32]:
            # half the size in every archive, for 2e-6 of the maximum of the spectrum
            rows = [np.pad(one[key], ((0, 0), (0, n_max - one[key].shape[1]))) for one in saved]
            return np.array(rows, dtype=np.float32)

        node = orm.ArrayData()
        node.set_array("a", padded("a"))
        node.set_array("b", padded("b"))
        node.set_array("norm", np.array([one["norm"] for one in saved]))
        node.set_array("n_iterations", np.array([one["n_iterations"] for one in saved]))
        node.set_array("weights", weights)
        node.set_array("polarisations", np.array([one["polarisation"] for one in saved]))
        node.base.attributes.set_many(
            {
                "energy_zero_eV": saved[0]["fermi_energy_eV"],
                "core_energy_eV": saved[0]["core_energy_eV"],
                "check_interval": parameters["input_xspectra"]["xcheck_conv"],
                "gamma_eV": float(parameters["plot"]["xgamma"]),
                "terminator": parameters["plot"]["terminator"],
                "cut_occ_states": parameters["plot"]["cut_occ_states"],
                "smooth_eV": CutOcc.parse(parameters.get("cut_occ", {})).cut_desmooth,
            }
        )
        return node

"""Parser of BaderCalculation."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aiida_siox.calculations.bader import BaderCalculation
from aiida_siox.parsers.raw.bader import (
    last_lines,
    parse_acf,
    parse_bader_json,
    parse_bader_stdout,
    parse_pp,
    parse_scratch,
)
from aiida_siox.science.bader import NUCLEAR_RADIUS_A


class BaderParser(Parser):
    """Charges in the order of the structure; each of the three programs of the job is checked by itself."""

    #: Raise it whenever the same files shall give other outputs.
    CACHE_VERSION = 2

    defaults: ClassVar[dict[str, float]] = {
        # cube files hold five digits: pp.x and siox-bader miss the electrons of 24 atoms by 1e-5 of them
        "electron_tolerance": 1e-3,
        # positions in ACF.dat and cube files have four to six digits
        "position_tolerance_A": 0.01,
    }

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Parse the retrieved files; charges that fail a check are kept as outputs, so that one can look at them."""
        codes = self.exit_codes
        names = (
            BaderCalculation.SCRATCH_FILE,
            *(BaderCalculation.pp_stdout(density) for density, _ in BaderCalculation.DENSITIES),
            BaderCalculation.BADER_STDOUT,
        )
        texts: dict[str, str] = {}
        for name in names:
            text = self._text(name)
            if text is None:
                return codes.ERROR_OUTPUT_STDOUT_MISSING.format(name=name)
            texts[name] = text

        scratch = parse_scratch(texts[BaderCalculation.SCRATCH_FILE])
        if scratch["missing"]:
            folder = self.node.inputs.parent_folder.get_remote_path()
            return codes.ERROR_PARENT_SCRATCH_MISSING.format(
                message=f"no {' and no '.join(scratch['missing'])} under {folder}"
            )
        pp_runs = []
        for density, _ in BaderCalculation.DENSITIES:
            text = texts[BaderCalculation.pp_stdout(density)]
            run = parse_pp(text)
            if run["scratch_missing"]:
                return codes.ERROR_PARENT_SCRATCH_MISSING.format(message=run["error"])
            if run["error"] is not None or not run["finished"]:
                return codes.ERROR_PP_STOPPED.format(
                    density=density, message=run["error"] or "no JOB DONE", tail=last_lines(text)
                )
            pp_runs.append(run)

        try:
            result = self._bader(texts[BaderCalculation.BADER_STDOUT])
        except ValueError as exception:
            return codes.ERROR_BADER_INCOMPLETE.format(
                message=str(exception), tail=last_lines(texts[BaderCalculation.BADER_STDOUT])
            )
        problem = self._compare_atoms(result)
        if problem is not None:
            return codes.ERROR_ATOMS_DIFFER.format(message=problem)

        if "n_electrons" in self.node.inputs:
            expected = self.node.inputs.n_electrons.value
        else:
            expected = scratch["n_electrons"]
        self._write_outputs(result, pp_runs, expected)
        return self._check_electrons(result, expected) or self._check_basins(result)

    def _text(self, name: str) -> str | None:
        """Return the content of a retrieved file, or None if it is not there."""
        try:
            return str(self.retrieved.base.repository.get_object_content(name, "r"))
        except FileNotFoundError:
            return None

    def _bader(self, stdout: str) -> dict[str, Any]:
        """Return the charges from whichever file the Bader code wrote.

        :raises ValueError: if there is none, or it is incomplete.
        """
        text = self._text(BaderCalculation.BADER_JSON)
        if text is not None:
            return parse_bader_json(text)
        text = self._text(BaderCalculation.BADER_ACF)
        if text is not None:
            volume = self.node.inputs.structure.get_cell_volume()
            return {"program": "bader", **parse_bader_stdout(stdout), **parse_acf(text, volume)}
        raise ValueError(f"neither {BaderCalculation.BADER_JSON} nor {BaderCalculation.BADER_ACF}")

    def _compare_atoms(self, result: dict[str, Any]) -> str | None:
        """Return how the atoms of the density differ from those of the structure, or None."""
        structure = self.node.inputs.structure
        positions = np.array([site.position for site in structure.sites])
        if len(result["electrons"]) != len(positions):
            return f"{len(result['electrons'])} atoms instead of {len(positions)}."
        if "numbers" in result:
            symbols = [structure.get_kind(site.kind_name).symbol for site in structure.sites]
            numbers = np.array([atomic_numbers[symbol] for symbol in symbols])
            if not np.array_equal(numbers, result["numbers"]):
                index = int(np.flatnonzero(numbers != result["numbers"])[0])
                return f"atom {index} has the atomic number {result['numbers'][index]} instead of {numbers[index]}."
        cell = np.array(structure.cell)
        offset = (result["positions_A"] - positions) @ np.linalg.inv(cell)
        distance = np.linalg.norm((offset - np.round(offset)) @ cell, axis=1)
        worst = int(distance.argmax())
        if distance[worst] > self.defaults["position_tolerance_A"]:
            return f"atom {worst} lies {distance[worst]:.3f} Å from where it is in the structure."
        return None

    def _write_outputs(self, result: dict[str, Any], pp_runs: list[dict[str, Any]], expected: float | None) -> None:
        """Attach the two outputs."""
        charges = orm.ArrayData()
        charges.set_array("electrons", np.asarray(result["electrons"], dtype=float))
        charges.set_array("volumes_A3", np.asarray(result["volumes_A3"], dtype=float))
        for key in ("basin_distances_A", "n_basins"):  # Henkelman's program does not tell them
            if key in result:
                charges.set_array(key, np.asarray(result[key]))
        asked = self.node.inputs.method.value if "method" in self.node.inputs else "neargrid"  # of Henkelman's program
        parameters: dict[str, Any] = {
            "program": result["program"],
            "method": result.get("method", asked),
            "n_electrons": result["n_electrons"],
            "n_electrons_unassigned": result["n_electrons_unassigned"],
            "sum_electrons": float(np.sum(result["electrons"])),
            "pp_version": pp_runs[0].get("version"),
        }
        if expected is not None:
            parameters["n_electrons_expected"] = expected
        for key in ("version", "baderkit_version", "grid", "n_electrons_non_nuclear", "has_reference"):
            if key in result:
                parameters[key] = result[key]
        if "basin_distances_A" in result:
            finite = result["basin_distances_A"][np.isfinite(result["basin_distances_A"])]
            parameters["largest_basin_distance_A"] = float(finite.max()) if len(finite) else None
        if "n_basins" in result:
            parameters["n_basins"] = int(np.sum(result["n_basins"]))
            parameters["atoms_with_more_basins"] = np.flatnonzero(result["n_basins"] > 1).tolist()
        if "max_rss_MB" in result:
            parameters["bader_max_rss_MB"] = result["max_rss_MB"]
        for key in ("cpu_s", "wall_s"):
            if all(key in run for run in pp_runs):
                parameters[f"pp_{key}"] = sum(run[key] for run in pp_runs)
            if key in result:
                parameters[f"bader_{key}"] = result[key]
        self.out("charges", charges)
        self.out("output_parameters", orm.Dict(parameters))

    def _check_electrons(self, result: dict[str, Any], expected: float | None) -> ExitCode | None:
        """Compare the electrons of the density with those expected, and those of the atoms with the density."""
        found = float(np.sum(result["electrons"])) + result["n_electrons_unassigned"]
        comparisons = [(result["n_electrons"], "sum over the atoms against the integral of the density.")]
        if expected is not None:
            comparisons.append((expected, "sum over the atoms against the electrons of the calculation."))
        for number, message in comparisons:
            if not abs(found - number) <= self.defaults["electron_tolerance"] * abs(number):
                return self.exit_codes.ERROR_ELECTRON_COUNT.format(found=found, expected=number, message=message)
        return None

    def _check_basins(self, result: dict[str, Any]) -> ExitCode | None:
        """Demand a basin for every atom, with its maximum at the nucleus where the program tells where it is."""
        without: NDArray[np.bool_] = ~(np.asarray(result["volumes_A3"]) > 0.0)
        if "basin_distances_A" in result:
            without |= result["basin_distances_A"] > NUCLEAR_RADIUS_A
        if not without.any():
            return None
        return self.exit_codes.ERROR_ATOM_WITHOUT_BASIN.format(atoms=", ".join(str(i) for i in np.flatnonzero(without)))

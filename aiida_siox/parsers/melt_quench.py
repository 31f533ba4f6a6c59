"""Parser of MeltQuenchCalculation."""

from __future__ import annotations

import pathlib
from collections import Counter
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers.parser import Parser

from aiida_siox.parsers.raw import lammps
from aiida_siox.science import melt_quench as science
from aiida_siox.science.composition import format_formula

NOT_CONVERGED = ("max iterations", "max force evaluations")


class MeltQuenchParser(Parser):
    """Final cell, thermodynamic series and results of a melt-quench; demands the normal end."""

    CACHE_VERSION = 3

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Parse the retrieved files.

        :returns: the exit code of what went wrong, with the engine's last lines in its message.
        """
        parameters = self.node.inputs.parameters.get_dict()
        filename = self.node.get_option("output_filename")
        try:
            text = self.retrieved.base.repository.get_object_content(str(filename), mode="r")
        except FileNotFoundError:
            return self.exit_codes.ERROR_OUTFILE_MISSING
        log = lammps.parse_log(text)
        if log["series"]["step"]:
            self.out("thermo", thermo_node(log, parameters))
        where = {"step": log["last_step"], "stage": log["stages"][-1] if log["stages"] else "none"}
        error = "; ".join(log["errors"]) or "no message"

        if log["unstable"]:
            return self.exit_codes.ERROR_UNSTABLE_DYNAMICS.format(error=error, **where)
        if log["errors"]:
            if "parent_folder" in self.node.inputs and not log["stages"] and "restart" in text.rsplit("ERROR", 1)[-1]:
                return self.exit_codes.ERROR_RESTART_UNREADABLE.format(error=error)
            return self.exit_codes.ERROR_PARSER_DETECTED_LAMMPS_RUN_ERROR.format(
                error=f"{error}; its last lines: {log['last_lines']}"
            )
        if not log["finished"]:
            n_steps = science.stage_plan(parameters)[-1].last
            return self.exit_codes.ERROR_INTERRUPTED.format(n_steps=n_steps, lines=log["last_lines"], **where)

        try:
            dump = self.retrieved.base.repository.get_object_content(science.FINAL_FILE, mode="r")
            frame = lammps.parse_dump(dump)[-1]
            symbols = self._symbols(frame["types"])
        except (FileNotFoundError, ValueError) as exception:
            return self.exit_codes.ERROR_FINAL_STRUCTURE.format(error=exception)
        structure = orm.StructureData(cell=np.diag(frame["lengths"]).tolist(), pbc=(True, True, True))
        for symbol, position in zip(symbols, frame["positions"], strict=True):
            structure.append_atom(symbols=symbol, position=position.tolist(), name=symbol)
        structure.label = format_formula(Counter(symbols))
        self.out("structure", structure)

        last = log["minimisations"][-1]
        self.out(
            "results",
            orm.Dict(
                {
                    "version": log["version"],
                    "n_steps": log["last_step"],
                    "first_step": log["series"]["step"][0],
                    "restarted": "parent_folder" in self.node.inputs,
                    "energy_eV": log["series"]["potential_energy_eV"][-1],
                    "pressure_bar": log["series"]["pressure_bar"][-1],
                    "converged": last["criterion"] not in NOT_CONVERGED,
                    "stopping_criterion": last["criterion"],
                    "max_force_eV_per_angstrom": last["final_force"],
                    "wall_time_s": log["wall_time_s"],
                    "warnings": log["warnings"],
                }
            ),
        )
        if parameters["trajectory_interval_ps"] > 0:
            path = pathlib.Path(kwargs["retrieved_temporary_folder"]) / science.TRAJECTORY_FILE
            try:
                frames = lammps.parse_dump(path.read_text())
            except (FileNotFoundError, ValueError) as exception:
                self.logger.warning(f"no trajectory although it was asked for: {exception}")
            else:
                self.out("trajectory", trajectory_node(frames, symbols, parameters["timestep_fs"] / 1000))
        return None

    def _symbols(self, types: np.ndarray) -> list[str]:
        """Return the symbols of LAMMPS types, and check them against the starting cell, atom by atom.

        :raises ValueError: if the atoms are not those of the starting cell.
        """
        atoms = self.node.inputs.structure.get_ase()
        species = science.species_of(atoms)
        symbols = [species[number - 1] for number in types if 0 < number <= len(species)]
        if symbols != atoms.get_chemical_symbols():
            raise ValueError(f"its {len(types)} atoms are not the {len(atoms)} atoms of the starting cell")
        return symbols


def thermo_node(log: dict[str, Any], parameters: dict[str, Any]) -> orm.ArrayData:
    """Return the series of a parsed log as arrays, with units and stage names as attributes.

    ``time_ps`` is the time of the dynamics: minimisations stand at the time of the stage before them.
    """
    series = log["series"]
    stages = ["start", *(stage.name for stage in science.stage_plan(parameters)), "relax", "minimise"]
    end = science.stage_plan(parameters)[-1].last
    names = np.array(series["stage"])
    steps = np.array(series["step"], dtype=np.int64)
    time = np.where(names == "start", 0, np.minimum(steps, end)) * parameters["timestep_fs"] / 1000
    node = orm.ArrayData()
    for name, values in series.items():
        if name not in ("stage", "step"):
            node.set_array(name, np.array(values, dtype=float))
    node.set_array("step", steps)
    node.set_array("time_ps", time)
    node.set_array("stage", np.array([stages.index(name) for name in series["stage"]], dtype=np.int64))
    node.base.attributes.set("units", lammps.UNITS)
    node.base.attributes.set("stages", stages)
    return node


def trajectory_node(frames: list[dict[str, Any]], symbols: list[str], timestep_ps: float) -> orm.TrajectoryData:
    """Return the frames of a dump as TrajectoryData."""
    node = orm.TrajectoryData()
    steps = np.array([frame["step"] for frame in frames])
    node.set_trajectory(
        symbols=symbols,
        positions=np.array([frame["positions"] for frame in frames]),
        stepids=steps,
        cells=np.array([np.diag(frame["lengths"]) for frame in frames]),
        times=steps * timestep_ps,
    )
    return node

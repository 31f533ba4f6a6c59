"""Text of a LAMMPS melt-quench → dictionaries."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from aiida_siox.science.melt_quench import END_MARK, STAGE_MARK, STOP_MARK

COLUMNS = {
    "Step": "step",
    "Temp": "temperature_K",
    "Press": "pressure_bar",
    "Volume": "volume_A3",
    "Density": "density_g_cm3",
    "PotEng": "potential_energy_eV",
    "TotEng": "total_energy_eV",
}
"""Thermodynamic columns of LAMMPS by the name in the header, and ours with their units."""

UNITS = {
    "step": "1",
    "time_ps": "ps",
    "temperature_K": "K",
    "pressure_bar": "bar",
    "volume_A3": "Å³",
    "density_g_cm3": "g/cm³",
    "potential_energy_eV": "eV",
    "total_energy_eV": "eV",
    "stage": "index into stages",
}

UNSTABLE = ("Lost atoms", "Non-numeric", "Out of range atoms", "Atoms have moved too far", "Too many neighbor bins")
"""Beginnings of the engine's errors when the dynamics has blown up."""


def parse_log(text: str, n_last_lines: int = 8) -> dict[str, Any]:
    """Read the screen output of a melt-quench.

    :param text: complete or cut anywhere.
    :returns: ``version``; ``series`` (column → list, ``stage`` with the name of each row); ``stages`` in order;
        ``finished`` (the end mark is there and no minimisation ran out of wall time); ``stopped_stage`` (the script
        stopped itself there, at its time limit); ``errors``; ``warnings``; ``unstable`` (lost atoms or a value that is
        not a number); ``minimisations`` (stage, criterion, final_force in eV/Å); ``last_step``;
        ``wall_time_s``; ``last_lines``.
    """
    lines = text.splitlines()
    complete = lines if text.endswith("\n") else lines[:-1]
    version = re.search(r"^LAMMPS \((.+)\)", text, re.MULTILINE)
    series: dict[str, list[Any]] = {name: [] for name in (*COLUMNS.values(), "stage")}
    stages: list[str] = []
    minimisations: list[dict[str, Any]] = []
    header: list[str] | None = None
    stopped = None
    for line in complete:
        words = line.split()
        if line.startswith(STAGE_MARK):
            stages.append(words[1])
        elif line.startswith(STOP_MARK):
            stopped = words[1]
        elif words[:2] == ["Step", "Temp"]:
            header = words
        elif line.startswith(("Loop time", "ERROR")):
            header = None
        elif header is not None and len(words) == len(header):
            try:
                row = dict(zip(header, map(float, words), strict=True))
            except ValueError:
                continue
            for column, name in COLUMNS.items():
                series[name].append(int(row[column]) if column == "Step" else row[column])
            series["stage"].append(stages[-1] if stages else "")
        elif "Stopping criterion" in line:
            minimisations.append(
                {"stage": stages[-1] if stages else "", "criterion": line.split("=", 1)[1].strip(), "final_force": None}
            )
        elif "Force max component initial, final" in line and minimisations:
            minimisations[-1]["final_force"] = float(words[-1])
    errors = [line.strip() for line in lines if line.startswith("ERROR")]
    values = [value for name in COLUMNS.values() if name != "step" for value in series[name]]
    wall = re.search(r"^Total wall time: (\d+):(\d+):(\d+)", text, re.MULTILINE)
    out_of_time = any("walltime" in item["criterion"] for item in minimisations)
    return {
        "version": version.group(1) if version else None,
        "series": series,
        "stages": stages,
        "finished": any(line.startswith(END_MARK) for line in complete) and not out_of_time,
        "stopped_stage": stopped,
        "errors": errors,
        "warnings": [line.strip() for line in lines if line.startswith("WARNING")],
        "unstable": any(not math.isfinite(value) for value in values)
        or any(sign in error for error in errors for sign in UNSTABLE),
        "minimisations": minimisations,
        "last_step": series["step"][-1] if series["step"] else None,
        "wall_time_s": int(wall[1]) * 3600 + int(wall[2]) * 60 + int(wall[3]) if wall else None,
        "last_lines": "\n".join([line for line in lines if line.strip()][-n_last_lines:]),
    }


def parse_dump(text: str) -> list[dict[str, Any]]:
    """Read the frames of a LAMMPS dump file with the columns ``id type x y z`` in a rectangular box.

    :returns: for each complete frame ``step``, ``lengths`` (Å, ``[3]``), ``types[n]`` and ``positions[n, 3]`` (Å, from
        the corner of the box), in the order of the atom ids.
    :raises ValueError: if the text is no such file or a frame but the last is cut.
    """
    frames: list[dict[str, Any]] = []
    chunks = text.split("ITEM: TIMESTEP\n")[1:]
    for number, chunk in enumerate(chunks):
        lines = chunk.splitlines()
        try:
            n_atoms = int(lines[2])
            bounds = np.array([line.split() for line in lines[4:7]], dtype=float)
            header = lines[7].split()[2:]
            rows = np.array([line.split() for line in lines[8 : 8 + n_atoms]], dtype=float)
            if bounds.shape != (3, 2) or rows.shape != (n_atoms, len(header)) or not chunk.endswith("\n"):
                raise ValueError("a frame is not complete")
            columns = {name: rows[:, index] for index, name in enumerate(header)}
            order = np.argsort(columns["id"])
            frames.append(
                {
                    "step": int(lines[0]),
                    "lengths": bounds[:, 1] - bounds[:, 0],
                    "types": columns["type"][order].astype(int),
                    "positions": np.stack([columns[axis] for axis in "xyz"], axis=1)[order] - bounds[:, 0],
                }
            )
        except (ValueError, IndexError, KeyError) as exception:
            if number == len(chunks) - 1 and frames:
                break
            raise ValueError(f"the dump file cannot be read: {exception}") from exception
    if not frames:
        raise ValueError("the dump file has no frame.")
    return frames

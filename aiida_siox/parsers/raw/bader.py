"""Text of pp.x, of ``siox-bader`` and of Henkelman's ``bader`` → dictionaries."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from aiida_siox.science.constants import BOHR_ANGSTROM

SCHEMA = 1
"""Version of the JSON file of ``siox-bader`` that is understood here."""

SCRATCH_FILES = ("data-file-schema.xml", "charge-density")
"""What pp.x needs of the ground state, as the beginnings of file names (the density may be .dat or .hdf5)."""

_VERSION = re.compile(r"Program POST-PROC v\.(\S+)")
_ERROR = re.compile(r"^\s*Error in routine\s+(\S+).*:\s*\n(.*)$", re.MULTILINE)
_TIME = re.compile(r"^\s*POST-PROC\s*:\s*(.+?)\s*CPU\s+(.+?)\s*WALL", re.MULTILINE)
_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_NELEC = re.compile(r"<nelec>\s*(\S+?)\s*</nelec>")
_SCRATCH_ROUTINES = frozenset({"read_xml_file", "read_rhog", "qexsd_readschema", "readschema", "read_file"})
_VACUUM_CHARGE = re.compile(r"VACUUM CHARGE:\s*(\S+)")
_VACUUM_VOLUME = re.compile(r"VACUUM VOLUME:\s*(\S+)")
_N_ELECTRONS = re.compile(r"NUMBER OF ELECTRONS:\s*(\S+)")
_ACF_COLUMNS = ("#", "X", "Y", "Z", "CHARGE", "MIN DIST", "ATOMIC VOL")
_HENKELMAN_VERSION = re.compile(r"GRID BASED BADER ANALYSIS\s+\(Version\s+([^)]+?)\s*\)")


def last_lines(text: str, count: int = 8) -> str:
    """Return the last lines that are not empty: what the engine said at the end."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:])


def seconds(text: str) -> float:
    """Return a time as Quantum ESPRESSO prints it (``1.34s``, ``2m 3.10s``, ``1h12m``) in seconds."""
    return sum(float(value) * _UNIT_SECONDS[unit] for value, unit in re.findall(r"([\d.]+)\s*([dhms])", text))


def parse_pp(text: str) -> dict[str, Any]:
    """Read the standard output of pp.x.

    :param text: standard output.
    :returns: ``finished`` (the engine says ``JOB DONE``), ``error`` (its own message, or None), ``scratch_missing``
        (that error comes from reading the files of the ground state), and where the text has them ``version``,
        ``cpu_s``, ``wall_s``.
    """
    result: dict[str, Any] = {"finished": "JOB DONE" in text, "error": None, "scratch_missing": False}
    if version := _VERSION.search(text):
        result["version"] = version.group(1)
    if error := _ERROR.search(text):
        result["error"] = f"{error.group(1)}: {error.group(2).strip()}"
        result["scratch_missing"] = error.group(1) in _SCRATCH_ROUTINES
    if time := _TIME.search(text):
        result["cpu_s"], result["wall_s"] = seconds(time.group(1)), seconds(time.group(2))
    return result


def parse_scratch(text: str) -> dict[str, Any]:
    """Read the list of files of the ground state that the job made before anything ran.

    :param text: names of the files in the ground state's ``.save`` folder, and the line of its XML file with the number
        of electrons.
    :returns: ``missing``: which of ``SCRATCH_FILES`` are not there; ``n_electrons``: float or None.
    """
    lines = [line.strip() for line in text.splitlines()]
    nelec = _NELEC.search(text)
    return {
        "missing": [name for name in SCRATCH_FILES if not any(line.startswith(name) for line in lines)],
        "n_electrons": float(nelec.group(1)) if nelec else None,
    }


def parse_bader_json(text: str) -> dict[str, Any]:
    """Read the JSON file of ``siox-bader``.

    :param text: content of the file.
    :returns: that content, with lists of atoms as arrays; ``basin_distances_A`` is inf for an atom without a maximum.
    :raises ValueError: if it is not such a file, or of another schema.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise ValueError(f"schema {found!r} of the JSON file is not {SCHEMA}: use the siox-bader of this aiida_siox.")
    try:
        n_atoms = len(content["numbers"])
        content["basin_distances_A"] = [np.inf if x is None else x for x in content["basin_distances_A"]]
        for key in ("numbers", "electrons", "volumes_A3", "basin_distances_A", "n_basins"):
            content[key] = np.array(content[key])
            if content[key].shape != (n_atoms,):
                raise ValueError(f"`{key}` has not one value for each of the {n_atoms} atoms.")
        content["positions_A"] = np.array(content["positions_A"], dtype=float).reshape(n_atoms, 3)
        for key in ("n_electrons", "n_electrons_unassigned", "n_electrons_non_nuclear"):
            content[key] = float(content[key])
    except KeyError as exception:
        raise ValueError(f"the JSON file has no {exception}.") from exception
    return content


def parse_acf(text: str, cell_volume_A3: float) -> dict[str, Any]:
    """Read ACF.dat of Henkelman's ``bader``.

    Its lengths are those of the density file: bohr for a cube file, Å for a CHGCAR. Which of the two follows from the
    sum of the volumes.

    :param text: content of the file.
    :param cell_volume_A3: volume of the cell in Å³.
    :returns: arrays ``positions_A`` (n_atoms, 3), ``electrons``, ``volumes_A3`` and the numbers ``n_electrons`` (sum
        over atoms and vacuum), ``n_electrons_unassigned`` (vacuum).
    :raises ValueError: if the file is incomplete, or its volumes do not add up to the cell.
    """
    lines = text.splitlines()
    header = next((line for line in lines if line.lstrip().startswith("#")), None)
    if header is None or re.split(r"\s{2,}", header.strip()) != list(_ACF_COLUMNS):
        raise ValueError(f"the columns of ACF.dat are not {' '.join(_ACF_COLUMNS)}.")
    rows = [line.split() for line in lines if re.match(r"\s*\d+\s", line)]
    total = _N_ELECTRONS.search(text)
    if not rows or total is None:
        raise ValueError("ACF.dat is incomplete: it has no atoms or no NUMBER OF ELECTRONS.")
    try:
        table = np.array(rows, dtype=float)
        vacuum_charge = float(match.group(1)) if (match := _VACUUM_CHARGE.search(text)) else 0.0
        vacuum_volume = float(match.group(1)) if (match := _VACUUM_VOLUME.search(text)) else 0.0
        n_electrons = float(total.group(1))
    except ValueError as exception:
        raise ValueError(f"ACF.dat holds something that is not a number: {exception}") from exception
    if table.shape[1] != len(_ACF_COLUMNS) or not np.array_equal(table[:, 0], np.arange(1, len(table) + 1)):
        raise ValueError("the rows of ACF.dat are incomplete.")
    volume = table[:, 6].sum() + vacuum_volume
    for unit in (BOHR_ANGSTROM, 1.0):
        if abs(volume * unit**3 / cell_volume_A3 - 1.0) < 0.02:
            break
    else:
        raise ValueError(
            f"the volumes of ACF.dat add up to {volume:.3f}, which neither in bohr³ nor in Å³ is the volume of the "
            f"cell ({cell_volume_A3:.3f} Å³)."
        )
    return {
        "positions_A": table[:, 1:4] * unit,
        "electrons": table[:, 4],
        "volumes_A3": table[:, 6] * unit**3,
        "n_electrons": n_electrons,
        "n_electrons_unassigned": vacuum_charge,
    }


def parse_bader_stdout(text: str) -> dict[str, Any]:
    """Read the version of Henkelman's ``bader`` from its standard output, where there is one."""
    version = _HENKELMAN_VERSION.search(text)
    return {"version": version.group(1)} if version else {}

"""Text files of xspectra.x (Quantum ESPRESSO 5.2 to 7) → dictionaries and arrays."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_NUMBER = r"([-+]?\d+(?:\.\d*)?(?:[EeDd][-+]?\d+)?)"
_VERSION = re.compile(r"Program XSpectra v\.(\S+)")
_ZERO = re.compile(rf"energy-zero of the spectrum \[eV\]:\s*{_NUMBER}")
_FERMI = re.compile(rf"^\s*ef\s+\[eV\]:\s*{_NUMBER}", re.MULTILINE)
_GAMMA = re.compile(rf"constant broadening parameter \[eV\]:\s*{_NUMBER}")
_K_POINT = re.compile(rf"! k-point #\s*\d+:\s*\(.*?\),\s*{_NUMBER}\s*,\s*(\d)")
_CONVERGED = re.compile(rf"=> CONVERGED at iter\s+(\d+) with error=\s*{_NUMBER}")
_EXHAUSTED = re.compile(r"XANES not converged after\s+(\d+)\s*iterations")
_CLOCK = re.compile(r"^\s*xanes\s*:(.*?)CPU(.*?)WALL", re.MULTILINE)
_ENGINE_ERROR = re.compile(r"Error in routine\s+(.+?)\s*:\s*\n\s*(.*)")
_FORTRAN_ERROR = re.compile(r"Fortran runtime error:\s*(.*)")
_OWN_ERROR = re.compile(r"^\s*(ERROR.*)$", re.MULTILINE)
_SCRATCH = re.compile(r"data-file-schema\.xml not found|cannot open restart file|read_rhog|\(no xml\)|wfc\S* not found")


def seconds(clock: str) -> float:
    """Return the seconds of a time written as QE's clocks do, such as ``1h 2m``, ``5m 3.21s`` or ``22.64s``.

    :raises ValueError: when no time is found.
    """
    parts = re.findall(r"(\d+(?:\.\d*)?)\s*([dhms])", clock)
    if not parts:
        raise ValueError(f"`{clock}` is not a time.")
    factor = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(value) * factor[unit] for value, unit in parts)


def last_lines(text: str, n_lines: int = 4) -> str:
    """Return the last lines that say something, joined by ``|``."""
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if re.search(r"[A-Za-z]", line) and "stopping" not in line]
    return " | ".join(telling[-n_lines:])


def parse_stdout(text: str) -> dict[str, Any]:
    """Read the standard output of one run.

    :param text: the whole output.
    :returns: `finished` (END JOB was reached), `version`, `energy_zero_eV` (what the energies of the spectrum are
        relative to), `fermi_energy_eV` (xspectra's own `ef`, which since 6.x is the highest occupied level),
        `gamma_eV`, `weights` (of the k points, as printed), `n_spins`, `iterations` and `errors` (for each converged
        k point), `exhausted` (iterations of each k point that did not converge), `hilbert_saturated`, `cpu_s`,
        `wall_s`, `error` (what the engine complained of, or None) and `scratch_missing`. What was not found is None.
    """

    def number(pattern: re.Pattern[str]) -> float | None:
        found = pattern.findall(text)
        return float(found[-1].replace("D", "e").replace("d", "e")) if found else None

    k_points = _K_POINT.findall(text)
    converged = _CONVERGED.findall(text)
    clock = _CLOCK.search(text)
    version = _VERSION.search(text)
    complaints = [f"{routine}: {what.strip()}" for routine, what in _ENGINE_ERROR.findall(text)]
    complaints += _FORTRAN_ERROR.findall(text) + [line.strip() for line in _OWN_ERROR.findall(text)]
    return {
        "finished": "END JOB" in text,
        "version": version.group(1) if version else None,
        "energy_zero_eV": number(_ZERO),
        "fermi_energy_eV": number(_FERMI),
        "gamma_eV": number(_GAMMA),
        "weights": [float(weight) for weight, _ in k_points],
        "n_spins": max((int(spin) for _, spin in k_points), default=1),
        "iterations": [int(count) for count, _ in converged],
        "errors": [float(error) for _, error in converged],
        "exhausted": [int(count) for count in _EXHAUSTED.findall(text)],
        "hilbert_saturated": "Hilbert space is saturated" in text,
        "cpu_s": seconds(clock.group(1)) if clock else None,
        "wall_s": seconds(clock.group(2)) if clock else None,
        "error": "; ".join(complaints) if complaints else None,
        "scratch_missing": bool(complaints) and bool(_SCRATCH.search(text)),
    }


def parse_spectrum(text: str) -> tuple[Array, Array]:
    """Read the file of the cross-section (`xanes_file`).

    The columns are found by their names in the header: `Energy (eV)` and `sigma`, or `sigma_tot` with spin.

    :returns: energies relative to the energy zero, eV, shape (n,), and the cross-section, shape (n,).
    :raises ValueError: for a file without these columns or with rows that are not numbers.
    """
    comments = [line.lstrip("# ").rstrip() for line in text.splitlines() if line.startswith("#")]
    header = next((line for line in comments if line.startswith("Energy (eV)")), None)
    if header is None:
        raise ValueError("the spectrum has no header `Energy (eV)   sigma`.")
    names = header.replace("Energy (eV)", "energy_eV").split()
    column = "sigma_tot" if "sigma_tot" in names else "sigma"
    if column not in names:
        raise ValueError(f"the spectrum has the columns {names}, not `sigma`.")
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        table = np.array(rows, dtype=float).reshape(-1, len(names))
    except ValueError:
        raise ValueError("the spectrum has rows that are not numbers, or too few of them.")
    return table[:, names.index("energy_eV")], table[:, names.index(column)]


def parse_save_file(text: str) -> dict[str, Any]:
    """Read the Lanczos coefficients (`x_save_file`, version 2) of a dipole K edge.

    :returns: `kind`, `n_spins`, `core_energy_eV`, `fermi_energy_eV` (the energy zero in full precision),
        `polarisation` (Cartesian, shape (3,)), `norm` (n_k,), `n_iterations` (n_k,), `a` and `b` (n_k, n_max; Ry).
    :raises ValueError: for an unfinished, truncated or unknown file.
    """
    header: dict[str, str] = {}
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        if line.startswith("#") and sign:
            header[name.lstrip("# ").rstrip()] = value.strip()
    kind = header.get("save_file_kind", "")
    if header.get("save_file_version") != "2" or header.get("number of lanczos stored") != "1":
        raise ValueError(f"not a save file of version 2 with one Lanczos chain: {header}.")
    if kind != "xanes_dipole":
        raise ValueError(f"the save file holds `{kind}`, not a finished `xanes_dipole`.")
    words = iter(" ".join(line for line in text.splitlines() if not line.startswith("#")).split())

    def take(count: int) -> list[str]:
        taken = [word for _, word in zip(range(count), words, strict=False)]
        if len(taken) != count:
            raise ValueError("the save file is truncated.")
        return taken

    _, n_spins = take(2)
    n_k = int(take(3)[1])
    n_max = int(take(1)[0])
    core_energy, fermi_energy = take(2)
    take(3)
    polarisation = np.array(take(3), dtype=float)
    norm = np.array(take(n_k), dtype=float)
    n_iterations = np.array(take(n_k), dtype=np.int64)
    a = np.array(take(n_k * n_max), dtype=float).reshape(n_k, n_max)
    b = np.array(take(n_k * n_max), dtype=float).reshape(n_k, n_max)
    return {
        "kind": kind,
        "n_spins": int(n_spins),
        "core_energy_eV": float(core_energy),
        "fermi_energy_eV": float(fermi_energy),
        "polarisation": polarisation,
        "norm": norm,
        "n_iterations": n_iterations,
        "a": a,
        "b": b,
    }


def normalised_weights(printed: list[float]) -> Array:
    """Return weights of the k points that sum to 2; exact when all are alike, as in the meshes that xspectra makes.

    :param printed: weights with the four decimals of the output.
    :raises ValueError: without any.
    """
    if not printed:
        raise ValueError("the output names no k points.")
    weights = np.array(printed)
    if np.ptp(weights) < 2e-4:
        weights = np.ones_like(weights)
    return np.asarray(2.0 * weights / weights.sum())

"""Text of ld1.x → dictionary."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

END_OF_TEST = "End of pseudopotential test"

_VERSION = re.compile(r"Program LD1 v\.(\S+)")
_ALL_ELECTRON = re.compile(r"^\s*Etot\s*=\s*(-?\d+\.\d+) Ry", re.MULTILINE)
_PSEUDO = re.compile(r"^\s*Etotps\s*=\s*(-?\d+\.\d+) Ry", re.MULTILINE)
_ERROR = re.compile(r"^\s*Error in routine\s+(.+?)\s*:\s*\n(.*)$", re.MULTILINE)
_SCF = re.compile(r"final scf error:\s*(\S+)\s+reached in\s+(\d+) iterations")
_TEST_ROW = re.compile(
    r"^\s*\d\s+\d\s+(\d[SPDF])\s+\d+\(\s*(-?\d+\.\d+)\)\s+(-?\d+\.\d+)\s+(-?\d+\.\d+)\s+(-?\d+\.\d+)\s*$", re.MULTILINE
)
_LEVEL = re.compile(
    r"^\s*\d\s+\d\s+(\d[SPDF])\s+\d+\(\s*(-?\d+\.\d+)\)\s+(-?\d+\.\d+)\s+-?\d+\.\d+\s+-?\d+\.\d+\s*$", re.M
)
_MESSAGE = re.compile(r"^\s*Message from routine\s+(.+?)\s*:\s*\n(.*)$", re.MULTILINE)
_WARNING = re.compile(r"^.*(?:\bwarning\s*:|ghost).*$", re.MULTILINE | re.IGNORECASE)
_NOT_CONVERGED = re.compile(r"^.*(?:not achieved|not converged|did not converge).*$", re.MULTILINE | re.IGNORECASE)
_BASIS = "Test with a basis set of Bessel functions"
_BASIS_CUTOFF = re.compile(r"^\s*Cutoff \(Ry\)\s*:\s*(\S+)\s*$", re.MULTILINE)
_BASIS_LEVELS = re.compile(r"^\s*E\(L=(\d)\)\s*=(.*)$", re.MULTILINE)
_CUTOFF = re.compile(r"Estimated cut-off energy=\s*(\d+\.\d+) Ry")


def last_lines(text: str, count: int = 8) -> str:
    """Return the last lines that are not empty: what the engine said at the end."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:])


def _numbers(row: str) -> list[float]:
    """Return the energies of a row such as ``-0.7947 Ry    0.0313 Ry``."""
    return [float(value) for value in re.findall(r"(-?\d+\.\d+) Ry", row)]


def parse_ld1(text: str) -> dict[str, Any]:
    """Read the standard output of a run that generates and tests a pseudopotential (``iswitch = 3``).

    :param text: standard output.
    :returns: what the text holds of:

        * ``version``;
        * ``finished``: whether the test of the pseudopotential was reached and ended;
        * ``error``: the engine's own message when it stopped, else None;
        * ``not_converged``: the line that says so, else None;
        * ``all_electron_Ry``, ``pseudo_Ry``: total energies of the atom, of the test at the end;
        * ``eigenvalues_Ry``: all-electron levels by label; ``test``: rows with ``label``, ``occupation``,
          ``all_electron_Ry``, ``pseudo_Ry``; ``eigenvalue_error_Ry``: the largest difference between these two;
        * ``scf_error``, ``scf_iterations`` of the all-electron run;
        * ``estimated_cutoff_Ry``: the largest that ld1.x estimates for a pseudo-wavefunction;
        * ``levels_Ry``: of a test in spherical Bessel functions, the lowest levels by l (as text), with the largest
          cutoff, ``levels_change_Ry``: the largest difference to the cutoff before;
        * ``warnings``: what the engine warns of.
    """
    result: dict[str, Any] = {"finished": END_OF_TEST in text, "error": None, "not_converged": None}
    if version := _VERSION.search(text):
        result["version"] = version.group(1)
    if error := _ERROR.search(text):
        result["error"] = f"{error.group(1).strip()}: {error.group(2).strip()}"
    if not_converged := _NOT_CONVERGED.search(text):
        result["not_converged"] = not_converged.group(0).strip()
    if scf := _SCF.search(text):
        result["scf_error"] = float(scf.group(1))
        result["scf_iterations"] = int(scf.group(2))
    if cutoffs := _CUTOFF.findall(text):
        result["estimated_cutoff_Ry"] = max(map(float, cutoffs))
    atom, start, test = text.partition("Testing the pseudopotential")
    if levels := _LEVEL.findall(atom):
        result["eigenvalues_Ry"] = {label: float(value) for label, _, value in levels}
    if start:
        found = _TEST_ROW.findall(test)
        if found:
            result["test"] = [
                {"label": label, "occupation": float(occupation), "all_electron_Ry": float(ae), "pseudo_Ry": float(ps)}
                for label, occupation, ae, ps, _ in found
            ]
            result["eigenvalue_error_Ry"] = max(abs(float(row[4])) for row in found)
        if energy := _ALL_ELECTRON.search(test):
            result["all_electron_Ry"] = float(energy.group(1))
        if energy := _PSEUDO.search(test):
            result["pseudo_Ry"] = float(energy.group(1))
    if _BASIS in test:
        blocks = _BASIS_CUTOFF.split(test.partition(_BASIS)[2])[2::2]
        tables = [{channel: _numbers(row) for channel, row in _BASIS_LEVELS.findall(block)} for block in blocks]
        if tables and tables[-1]:
            result["levels_Ry"] = tables[-1]
        if len(tables) > 1:
            changes = [
                abs(level - former)
                for channel, levels in tables[-1].items()
                for level, former in zip(levels, tables[-2].get(channel, []), strict=False)
            ]
            result["levels_change_Ry"] = max(changes)
    messages = [f"{routine}: {message.strip()}" for routine, message in _MESSAGE.findall(text)]
    lines = [line.strip() for line in _WARNING.findall(text)]
    result["warnings"] = messages + [line for line in lines if not any(line in message for message in messages)]
    return result


def parse_derivatives(text: str) -> NDArray[np.float64]:
    """Read a table of logarithmic derivatives (``ld1.dlog``, ``ld1ps.dlog``).

    :param text: rows of an energy in Ry and the logarithmic derivatives of the channels s, p, d, f in 1/bohr.
    :returns: shape (n_energies, 1 + n_channels).
    :raises ValueError: if the table is empty, torn or holds what is no number.
    """
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not rows or len({len(row) for row in rows}) != 1:
        raise ValueError(f"the table of logarithmic derivatives is empty or torn ({len(rows)} rows).")
    table = np.array(rows, dtype=float)
    if not np.all(np.isfinite(table)):
        raise ValueError("the table of logarithmic derivatives holds values that are not finite.")
    return table

"""The energies of a transition as a column that adds up: from the total energies to the white line."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

from aiida_siox.science.constants import RYDBERG_AIIDA_EV

TERM, SUM, PART = "term", "sum", "part"
"""Kinds of lines: added up; the sum of all terms so far; contained in a term, for information."""


@dataclasses.dataclass(frozen=True)
class EnergyTerm:
    """One line.

    :param label: what it is.
    :param value_eV: in eV, with the sign with which it is added.
    :param kind: :data:`TERM`, :data:`SUM` or :data:`PART`.
    """

    label: str
    value_eV: float
    kind: str = TERM

    @property
    def value_Ry(self) -> float:
        """The same in Ry."""
        return self.value_eV / RYDBERG_AIIDA_EV


def energy_terms(
    treatment: str,
    energies: Mapping[str, float],
    atomic: Mapping[str, float] | None = None,
    peak_eV: float | None = None,
    shift_eV: float | None = None,
) -> list[EnergyTerm]:
    """Return the lines that lead from the total energies to the axis, and to the white line on it.

    Every sum is the sum of the terms above it, computed from them and not read from ``energies``.

    :param treatment: ``fch``, ``xch`` or ``none``.
    :param energies: ``ground_Ry``, ``hole_Ry``, ``core_correction_eV``, ``energy_zero_eV``, ``fermi_eV``, for ``none``
        ``transition_eV``, and, where known, ``ground_smearing_Ry`` and ``hole_smearing_Ry`` (-TS).
    :param atomic: the four total energies of the free atom from ld1.x (``ground_all_electron_Ry``, ...).
    :param peak_eV: white line on xspectra's own axis.
    :param shift_eV: of the calibration.
    """
    lines: list[EnergyTerm] = []

    def add(label: str, value: float, kind: str = TERM) -> None:
        lines.append(EnergyTerm(label, value, kind))

    def add_sum(label: str) -> None:
        add(label, sum(line.value_eV for line in lines if line.kind == TERM), SUM)

    if treatment == "none":
        add("E_AE(hole) - E_AE(ground) of the free atom", energies["transition_eV"])
    else:
        for name, sign in (("hole", 1.0), ("ground", -1.0)):
            word = "" if sign > 0 else "-"
            add(f"{word}E({name})", sign * energies[f"{name}_Ry"] * RYDBERG_AIIDA_EV)
            if f"{name}_smearing_Ry" in energies:
                add(f"  of it {word}(-TS)", sign * energies[f"{name}_smearing_Ry"] * RYDBERG_AIIDA_EV, PART)
        add("ΔE_core", energies["core_correction_eV"])
        for name, kind in itertools.product(("hole", "ground"), ("all_electron", "pseudo")):
            if atomic:
                sign = 1.0 if (name == "hole") == (kind == "all_electron") else -1.0
                symbol = f"{'' if sign > 0 else '-'}E_{'AE' if kind == 'all_electron' else 'PS'}({name})"
                add(f"  of it {symbol} of the atom", sign * atomic[f"{name}_{kind}_Ry"] * RYDBERG_AIIDA_EV, PART)
    add_sum("transition energy")
    add("energy zero of xspectra.x", energies["energy_zero_eV"])
    if treatment != "fch":
        add("-Fermi energy of the cell", -energies["fermi_eV"])
    add_sum("zero of xspectra.x on the total-energy axis")
    if peak_eV is not None:
        add("white line on xspectra's axis", peak_eV)
        add_sum("white line, total energy")
    if shift_eV is not None:
        add("calibration", shift_eV)
        add_sum("white line, calibrated" if peak_eV is not None else "zero of xspectra.x on the calibrated axis")
    return lines

"""What the spectra of reference crystals say about each other: convergence, and the shift from one to the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.science import spectra as sp

#: Energies relative to the half height between which spectra are compared (L1), eV: the windows of the networks.
COMPARED_EV = (-5.0, 45.0)


@dataclasses.dataclass(frozen=True)
class ReferenceSpectrum:
    """One crystal computed in one way.

    :param name: of the case.
    :param compound: such as ``quartz``.
    :param step: of the convergence, such as ``large``; compounds with the same step are compared.
    :param energy: total energies, eV, shape (n,).
    :param spectrum: polarisation mean, shape (n,).
    :param values: what else is known of the case, copied into the rows.
    """

    name: str
    compound: str
    step: str
    energy: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    values: dict[str, Any]


def convergence(cases: Sequence[ReferenceSpectrum]) -> list[dict[str, Any]]:
    """Compare every case with the last one of its compound.

    :param cases: coarse to fine.
    :returns: for each case its ``values``, ``white_line_eV``, ``half_height_eV``, their differences to the last case
        of the compound (``d_white_line_eV``, ``d_half_height_eV``) and ``l1`` against its spectrum, on one axis and
        from 5 eV below to 45 eV above its half height.
    :raises ValueError: if the axes of a compound's cases do not overlap so far.
    """
    finest = {case.compound: case for case in cases}
    rows = []
    for case in cases:
        last = finest[case.compound]
        edge = sp.half_height_position(last.energy, last.spectrum)
        low, high = edge + COMPARED_EV[0], edge + COMPARED_EV[1]
        grid = last.energy[(last.energy >= low) & (last.energy <= high)]
        white_line = sp.maximum_position(case.energy, case.spectrum)
        half_height = sp.half_height_position(case.energy, case.spectrum)
        rows.append(
            {
                "name": case.name,
                "compound": case.compound,
                "step": case.step,
                **case.values,
                "white_line_eV": white_line,
                "half_height_eV": half_height,
                "d_white_line_eV": white_line - sp.maximum_position(last.energy, last.spectrum),
                "d_half_height_eV": half_height - edge,
                "l1": sp.l1_distance(
                    grid, sp.interpolate(case.energy, case.spectrum, grid), last.spectrum[np.isin(last.energy, grid)]
                ),
            }
        )
    return rows


def edge_shifts(rows: Sequence[dict[str, Any]], shift: Sequence[str]) -> list[dict[str, Any]]:
    """Return for every step in which both compounds were computed how far the second lies above the first.

    :param rows: of :func:`convergence`; of several cases with one compound and step the last counts.
    :param shift: the two compounds, such as silicon and quartz.
    :returns: ``step``, ``white_line_eV`` and ``half_height_eV`` (differences second − first).
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["step"], {})[row["compound"]] = row
    shifts = []
    for step, compounds in found.items():
        if all(compound in compounds for compound in shift):
            low, high = (compounds[compound] for compound in shift)
            shifts.append({"step": step, **{key: high[key] - low[key] for key in ("white_line_eV", "half_height_eV")}})
    return shifts

"""Energies of a core-level transition, and the axes a spectrum is given on.

Three axes are told apart (see ``docs/topics``): the *eigenvalue axis* ``E_xs + energy_zero``, the *total-energy axis*,
and the *calibrated axis*, which is the second plus one constant for all sites. Source of the total-energy alignment:
T. Mizoguchi et al., J. Phys.: Condens. Matter 21, 104204 (2009).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_siox.science.constants import RYDBERG_AIIDA_EV

#: Part of a full level above which xspectra.x (6.7) counts it as occupied when it looks for its energy zero.
OCCUPIED = 1e-3
#: Least energy of the cut above the highest occupied level, eV: nearer to its pole the spectrum depends on the place.
LEAST_CUT_EV = 0.05
#: Gap in eV below which the cut goes through what smearing fills and what it does not.
SMALL_GAP_EV = 0.2

TREATMENTS = ("fch", "xch", "none")
"""Full core hole (charged cell), excited electron in the cell, and no hole at all."""


def core_correction(
    ground_all_electron_ry: float, ground_pseudo_ry: float, hole_all_electron_ry: float, hole_pseudo_ry: float
) -> float:
    """Return the energy in eV that the frozen core hides from a pseudopotential total-energy difference.

    ΔE_core = [E_AE − E_PS](hole) − [E_AE − E_PS](ground), for one isolated atom; all arguments in Ry, from ld1.x.
    """
    hole = hole_all_electron_ry - hole_pseudo_ry
    ground = ground_all_electron_ry - ground_pseudo_ry
    return (hole - ground) * RYDBERG_AIIDA_EV


def transition_energy(ground_ry: float, hole_ry: float, core_correction_ev: float) -> float:
    """Return [E(hole) − E(ground)] + ΔE_core in eV from the total energies (Ry) of the two cells."""
    return (hole_ry - ground_ry) * RYDBERG_AIIDA_EV + core_correction_ev


def free_atom_transition(ground_all_electron_ry: float, hole_all_electron_ry: float) -> float:
    """Return in eV what it costs to take the 1s electron from the free atom: E_AE(hole) − E_AE(ground).

    The treatment ``none`` has no total-energy difference. It gets this constant for every site, so that its spectra
    come to lie near the edge, but it knows nothing of the core-level shift from site to site.
    """
    return (hole_all_electron_ry - ground_all_electron_ry) * RYDBERG_AIIDA_EV


def total_energy_offset(treatment: str, transition_ev: float, energy_zero_ev: float, fermi_ev: float) -> float:
    """Return what is added to xspectra's energies to bring them to the total-energy axis, in eV.

    :param treatment: ``fch`` (full core hole, charged cell), ``xch`` (excited electron in the cell) or ``none``.
    :param transition_ev: see :func:`transition_energy`, for ``none`` :func:`free_atom_transition`.
    :param energy_zero_ev: xspectra's own zero on the eigenvalue axis.
    :param fermi_ev: Fermi energy of the hole cell from pw.x; used for ``xch`` and ``none``.
    :raises ValueError: for another treatment.
    """
    if treatment == "fch":
        return energy_zero_ev + transition_ev
    if treatment in ("xch", "none"):
        return energy_zero_ev - fermi_ev + transition_ev
    raise ValueError(f"unknown treatment of the core hole {treatment!r}: choose one of {', '.join(TREATMENTS)}.")


def band_edges(energies_ev: NDArray[np.float64], occupations: NDArray[np.float64]) -> tuple[float, float]:
    """Return the highest occupied and the lowest empty level of a calculation, over all k points and spins, in eV.

    The first is the energy zero that xspectra.x takes (to 1e-6 eV in the 257 sites of the reference data set).

    :param energies_ev: of the bands, any shape.
    :param occupations: parts of a full level, from 0 to 1, same shape.
    :raises ValueError: if no level is empty, or none is occupied.
    """
    occupied = np.asarray(occupations) > OCCUPIED
    if occupied.all() or not occupied.any():
        raise ValueError(
            f"{'all' if occupied.all() else 'none'} of the {occupied.size} levels are occupied: the occupied states "
            "cannot be cut. Compute more bands (`nbnd`)."
        )
    return float(energies_ev[occupied].max()), float(energies_ev[~occupied].min())


def occupied_cut(highest_occupied_ev: float, lowest_empty_ev: float) -> float:
    """Return where the occupied states are cut, in eV: half way to the lowest empty level, 0.05 eV up at least.

    The spectrum of a finite mesh is a sum of poles, one of them the highest occupied level itself; xspectra.x cuts
    through that pole, and what is left of it depends on its place to a hundredth of the width.
    """
    return max((highest_occupied_ev + lowest_empty_ev) / 2, highest_occupied_ev + LEAST_CUT_EV)

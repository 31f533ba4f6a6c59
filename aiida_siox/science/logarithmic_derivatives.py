"""Transferability of a pseudopotential: logarithmic derivatives of the free atom, and ghost states.

The phase of a channel l at the energy E is arctan(u'/u) at a radius R outside of all cutoff radii, u being the regular
solution of the radial equation. In the all-electron atom it falls with E, by π for every state that is passed; a state
of the pseudo-atom that the atom has not, a ghost (X. Gonze, R. Stumpf, M. Scheffler, Phys. Rev. B 44, 8503 (1991)), is
a step that only the pseudo-atom makes. The error of a pseudopotential is measured by this phase and not by the
logarithmic derivative, which has poles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS = "spdf"


def phases(derivatives: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the continuous phase of logarithmic derivatives, in units of π.

    :param derivatives: u'/u in 1/bohr on steadily rising energies, shape (n_energies, ...).
    :returns: the same shape; falls by 1 for every state, and begins between -1/2 and 1/2.
    """
    return np.asarray(np.unwrap(np.arctan(derivatives), axis=0, period=np.pi) / np.pi)


def compare(
    energies: NDArray[np.float64], all_electron: NDArray[np.float64], pseudo: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Compare the logarithmic derivatives of the all-electron and of the pseudo-atom.

    :param energies: in Ry, rising, shape (n_energies,).
    :param all_electron: logarithmic derivatives in 1/bohr, shape (n_energies, n_channels).
    :param pseudo: the same of the pseudo-atom.
    :returns: for each channel ``max_error`` and ``rms_error`` of the phase in units of π, ``energy_of_max_Ry``, and
        ``extra_states``: how many more states the pseudo-atom has within the energies (negative: fewer).
    :raises ValueError: if the shapes differ, the energies do not rise, or a value is not finite.
    """
    if all_electron.shape != pseudo.shape or all_electron.shape[:1] != energies.shape:
        raise ValueError(
            f"energies {energies.shape}, all-electron {all_electron.shape} and pseudo {pseudo.shape} do not fit."
        )
    if energies.size < 2 or not np.all(np.diff(energies) > 0):
        raise ValueError("the energies of logarithmic derivatives must rise.")
    if not (np.all(np.isfinite(all_electron)) and np.all(np.isfinite(pseudo))):
        raise ValueError("logarithmic derivatives that are not finite: the engine could not integrate the atom.")
    reference, phase = phases(all_electron), phases(pseudo)
    result = []
    for channel in range(reference.shape[1]):
        difference = phase[:, channel] - reference[:, channel]
        # both phases are known up to whole multiples of π: near the lowest energy there is no state to tell apart
        difference = difference - np.round(difference[0])
        worst = int(np.argmax(np.abs(difference)))
        result.append(
            {
                "l": channel,
                "max_error": float(np.abs(difference[worst])),
                "energy_of_max_Ry": float(energies[worst]),
                "rms_error": float(np.sqrt(np.mean(difference**2))),
                "extra_states": -int(np.round(difference[-1])),
            }
        )
    return result


def ghost_levels(
    levels: Mapping[int, Sequence[float]],
    valence: Mapping[int, float],
    lowest_energy: float,
    tolerance: float = 0.02,
) -> list[dict[str, float]]:
    """Return the levels of the separable Hamiltonian that the atom has not.

    The Hamiltonian of the pseudo-atom is diagonalised in spherical Bessel functions, which finds states however deep.
    Its lowest level must be the lowest valence level of the channel; a channel without valence electrons must have none
    below the energies where the phases are compared, which see ghosts above.

    :param levels: the lowest levels in Ry of each l, from a converged basis.
    :param valence: the lowest all-electron valence level in Ry of each l that is occupied.
    :param lowest_energy: lower end of the logarithmic derivatives in Ry.
    :param tolerance: how far a level may lie below its reference, in Ry: the basis and the box are finite.
    """
    ghosts = []
    for channel, found in levels.items():
        floor = valence[channel] - tolerance if channel in valence else lowest_energy
        ghosts += [{"l": channel, "energy_Ry": float(level)} for level in found if level < floor]
    return ghosts

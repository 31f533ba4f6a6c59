"""A spectrum from anywhere brought onto the grid of a network, or refused with the reason; its normalisation."""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.science.spectra import interpolate

#: A window of a model that begins above this many eV is not covered by energies all below it unless these are keV.
_LOWEST_PLAUSIBLE_EV = 100.0


class Normalisation(enum.StrEnum):
    """What the network divides a spectrum by before it reads it."""

    NONE = "none"
    POST_EDGE = "post_edge"


class SpectrumKind(enum.StrEnum):
    """What a spectrum is of."""

    SITE = "site"
    AVERAGE = "average"


def onto_grid(energy: ArrayLike, values: ArrayLike, grid: ArrayLike, max_step: float) -> NDArray[np.float64]:
    """Interpolate a spectrum onto the energies of a network, never beyond what it covers.

    :param energy: increasing energies in eV on the calibrated axis, shape (n,).
    :param values: absorption, shape (n,).
    :param grid: energies of the network in eV, shape (m,).
    :param max_step: largest step in eV between energies inside the window.
    :returns: absorption on the grid, shape (m,).
    :raises ValueError: with the reason and the remedy.
    """
    energy, values, grid = (np.asarray(a, dtype=float) for a in (energy, values, grid))
    low, high = float(grid[0]), float(grid[-1])
    if energy.ndim != 1 or energy.shape != values.shape:
        raise ValueError(
            f"energies {energy.shape} and absorption {values.shape} must be two lists of equal length: one spectrum."
        )
    if energy.size < 4:
        raise ValueError(f"the spectrum has {energy.size} points: it must cover {low:.2f} to {high:.2f} eV.")
    for name, array in (("energy", energy), ("absorption", values)):
        bad = np.flatnonzero(~np.isfinite(array))
        if bad.size:
            raise ValueError(f"the {name} of point {bad[0] + 1} is {array[bad[0]]}: remove such points.")
    falling = np.flatnonzero(np.diff(energy) <= 0)
    if falling.size:
        i = int(falling[0])
        raise ValueError(
            f"the energies do not increase: point {i + 2} ({energy[i + 1]:g} eV) follows {energy[i]:g} eV. "
            "Sort the points by energy, average repeated ones, and give one scan only."
        )
    if energy[0] > low + 1e-6 or energy[-1] < high - 1e-6:
        remedy = "measure or compute the missing part, or use a model with a narrower window."
        if energy[-1] < _LOWEST_PLAUSIBLE_EV:
            remedy = "the energies look like keV, give them in eV."
        raise ValueError(
            f"the spectrum covers {energy[0]:.2f} to {energy[-1]:.2f} eV, but the model reads {low:.2f} to {high:.2f} "
            f"eV (calibrated axis) and does not guess what is outside: {remedy}"
        )
    inside = energy[max(0, np.searchsorted(energy, low, "right") - 1) : np.searchsorted(energy, high, "left") + 1]
    step = float(np.diff(inside).max())
    if step > max_step:
        raise ValueError(
            f"the spectrum has a step of {step:.2f} eV inside {low:.2f} to {high:.2f} eV, more than the {max_step:g} "
            "eV over which the model accepts interpolation: give a finer spectrum."
        )
    return interpolate(energy, values, np.clip(grid, energy[0], energy[-1]))


def post_edge_weights(energy: ArrayLike, window: tuple[float, float]) -> NDArray[np.float64]:
    """Return the weights whose product with a spectrum is its post-edge mean, shape (n_e,).

    :param energy: increasing energies in eV, shape (n_e,).
    :param window: lowest and highest energy of the mean in eV.
    :raises ValueError: if the window is not inside the energies.
    """
    energy = np.asarray(energy, dtype=float)
    low, high = window
    inside = (energy >= low) & (energy <= high)
    if low < energy[0] or high > energy[-1] or not inside.any():
        raise ValueError(
            f"the post-edge window {low:g} to {high:g} eV is not inside the spectra, which cover {energy[0]:.2f} to "
            f"{energy[-1]:.2f} eV: change `post_edge_window_eV`."
        )
    return np.asarray(inside / inside.sum())


def check_post_edge(mean: ArrayLike) -> None:
    """Refuse post-edge means by which nothing can be divided.

    :raises ValueError: if one is not positive.
    """
    if (np.asarray(mean) <= 0).any():
        raise ValueError(
            "the mean of a spectrum over the post-edge window is not positive: subtract no more than the pre-edge."
        )

"""Three numbers that an eye reads from a Si K edge: white-line intensity, its integral, edge position."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.science.spectra import half_heights, maxima

Array = NDArray[np.float64]

#: What the columns of :func:`descriptors` are.
NAMES = ("white_line_intensity", "integrated_white_line", "edge_position_eV")


def descriptors(energy: ArrayLike, spectra: ArrayLike, window: tuple[float, float]) -> Array:
    """Return the descriptors of the linear regression of the paper's Fig. S4.

    :param energy: increasing energies in eV, shape (n_e,).
    :param spectra: unnormalised spectra, shape (n, n_e).
    :param window: limits of the integral in eV relative to the edge position.
    :returns: shape (n, 3): height of the highest point (unit of the spectra), integral over the window (that unit
        times eV), energy of the half height of the rise (eV).
    :raises ValueError: if a spectrum has no rise, or the window around its edge leaves the energies.
    """
    energy, spectra = np.asarray(energy, dtype=float), np.asarray(spectra, dtype=float)
    if spectra.ndim != 2 or spectra.shape[1:] != energy.shape:
        raise ValueError(f"spectra must have the shape (n, {energy.size}) of their energies, got {spectra.shape}.")
    edge = half_heights(energy, spectra)
    low, high = edge + window[0], edge + window[1]
    outside = np.flatnonzero((low < energy[0]) | (high > energy[-1]))
    if outside.size:
        raise ValueError(
            f"the edge of row {outside[0]} is at {edge[outside[0]]:.2f} eV, and its white line is integrated from "
            f"{low[outside[0]]:.2f} to {high[outside[0]]:.2f} eV, but the spectra cover {energy[0]:.2f} to "
            f"{energy[-1]:.2f} eV: give wider spectra."
        )
    integral = _antiderivative(energy, spectra, high) - _antiderivative(energy, spectra, low)
    return np.column_stack([maxima(energy, spectra)[1], integral, edge])


def _antiderivative(energy: Array, spectra: Array, limit: Array) -> Array:
    """Return the integral of each broken line from the first energy to its own limit, shape (n,)."""
    rows = np.arange(len(spectra))
    areas = np.diff(energy) * (spectra[:, 1:] + spectra[:, :-1]) / 2
    total = np.concatenate([np.zeros((len(spectra), 1)), np.cumsum(areas, axis=1)], axis=1)
    i = np.clip(np.searchsorted(energy, limit, side="right") - 1, 0, len(energy) - 2)
    step = limit - energy[i]
    slope = (spectra[rows, i + 1] - spectra[rows, i]) / (energy[i + 1] - energy[i])
    return np.asarray(total[rows, i] + step * (spectra[rows, i] + slope * step / 2))

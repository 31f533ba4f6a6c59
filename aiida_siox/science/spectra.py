"""Measures and operations on spectra given as arrays: interpolation, averages, white line, onset, L1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

Array = NDArray[np.float64]

#: Least fraction of the silicon sites that an averaged spectrum must contain (docs, "Averaged spectra").
MINIMUM_COVERAGE = 0.95


def interpolate(energy: ArrayLike, values: ArrayLike, grid: ArrayLike) -> Array:
    """Interpolate spectra onto another grid, never beyond the energies they cover.

    :param energy: increasing energies in eV, shape (n,).
    :param values: spectra, shape (..., n).
    :param grid: energies asked for in eV, shape (m,).
    :returns: shape (..., m), by cubic splines.
    :raises ValueError: if the grid leaves the range of ``energy``, or ``energy`` does not increase.
    """
    energy, values, grid = (np.asarray(a, dtype=float) for a in (energy, values, grid))
    if energy.ndim != 1 or energy.size < 4 or np.any(np.diff(energy) <= 0):
        raise ValueError("the energies of a spectrum must be at least four increasing numbers.")
    tolerance = 1e-9 * max(1.0, float(np.abs(energy).max()))
    if grid.min() < energy[0] - tolerance or grid.max() > energy[-1] + tolerance:
        raise ValueError(
            f"the spectrum covers {energy[0]:.2f} to {energy[-1]:.2f} eV, but {grid.min():.2f} to {grid.max():.2f} eV "
            "are asked for: widen the range of the spectrum (xemin and xemax of xspectra.x) or narrow the window."
        )
    return np.asarray(CubicSpline(energy, values, axis=-1)(np.clip(grid, energy[0], energy[-1])))


def energy_grid(minimum: float, maximum: float, step: float) -> Array:
    """Return energies from minimum to maximum (eV, both included) in equal steps nearest to ``step``.

    :raises ValueError: if the range is empty or the step is not positive.
    """
    if not (maximum > minimum and step > 0):
        raise ValueError(f"no energy grid from {minimum} to {maximum} eV in steps of {step} eV.")
    return np.linspace(minimum, maximum, round((maximum - minimum) / step) + 1)


def maximum_position(energy: ArrayLike, values: ArrayLike) -> float:
    """Return the energy of the highest point (the white line), refined by a parabola through three points."""
    energy, values = np.asarray(energy, dtype=float), np.asarray(values, dtype=float)
    i = int(np.argmax(values))
    if i in (0, len(values) - 1):
        return float(energy[i])
    a, b, c = np.polyfit(energy[i - 1 : i + 2] - energy[i], values[i - 1 : i + 2], 2)
    del c
    return float(energy[i] - b / (2 * a)) if a < 0 else float(energy[i])


def half_height_position(energy: ArrayLike, values: ArrayLike) -> float:
    """Return the energy below the highest point at which the spectrum last passes half of that height.

    :raises ValueError: if the spectrum starts above half height.
    """
    energy, values = np.asarray(energy, dtype=float), np.asarray(values, dtype=float)
    top = int(np.argmax(values))
    half = values[top] / 2
    below = np.flatnonzero(values[:top] < half)
    if below.size == 0:
        raise ValueError("the spectrum never falls below half of its maximum before the maximum.")
    i = int(below[-1])
    return float(energy[i] + (half - values[i]) / (values[i + 1] - values[i]) * (energy[i + 1] - energy[i]))


def l1_distance(energy: ArrayLike, a: ArrayLike, b: ArrayLike) -> float:
    """Return ∫|a − b| dE / ∫ b dE, with b the reference, on a common axis."""
    energy, a, b = (np.asarray(array, dtype=float) for array in (energy, a, b))
    return float(np.trapezoid(np.abs(a - b), energy) / np.trapezoid(b, energy))


def average(spectra: ArrayLike, n_requested: int) -> Array:
    """Return the mean over absorbers of unnormalised cross-sections on one axis.

    No per-site scaling: a site that absorbs more weighs more, as in an experiment.

    :param spectra: the finished sites, shape (n_done, n_energies).
    :param n_requested: silicon sites of the configuration.
    :raises ValueError: if fewer than 95 % of the sites are there.
    """
    spectra = np.atleast_2d(np.asarray(spectra, dtype=float))
    n_done = spectra.shape[0] if spectra.size else 0
    if n_requested < 1 or n_done < MINIMUM_COVERAGE * n_requested:
        raise ValueError(
            f"an averaged spectrum needs {MINIMUM_COVERAGE:.0%} of the sites, but only {n_done} of {n_requested} are "
            "done: run the failed sites again."
        )
    return np.asarray(spectra.mean(axis=0))

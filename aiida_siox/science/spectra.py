"""Measures and operations on spectra given as arrays: interpolation, averages, white line, onset, L1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator
from scipy.interpolate import CubicSpline

from aiida_siox.checked import Checked, Number, Positive

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


class Grid(Checked):
    """Total energies from the first to the last, both included, in equal steps nearest to the step."""

    energy_min_eV: Positive
    energy_max_eV: Positive
    step_eV: Annotated[Number, Field(ge=0.001, le=10)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.energy_max_eV - self.energy_min_eV < self.step_eV:
            raise ValueError(
                f"is empty: energy_max_eV ({self.energy_max_eV:g}) must be above energy_min_eV "
                f"({self.energy_min_eV:g}) by a step ({self.step_eV:g}) at least"
            )
        return self

    def energies(self) -> Array:
        """Return the energies in eV."""
        count = round((self.energy_max_eV - self.energy_min_eV) / self.step_eV) + 1
        return np.linspace(self.energy_min_eV, self.energy_max_eV, count)


def common_energies(ranges: Sequence[tuple[float, float]], step: float) -> Array:
    """Return the multiples of a step that lie in every one of some ranges, all eV.

    :raises ValueError: if the ranges have no such energies in common.
    """
    low, high = max(one[0] for one in ranges), min(one[1] for one in ranges)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    if last - first < 4:
        raise ValueError(f"the spectra have no energies in common: all start below {low:.2f} and end at {high:.2f} eV.")
    return np.asarray(np.arange(first, last + 1) * step, dtype=np.float64)


def maxima(energy: ArrayLike, spectra: ArrayLike) -> tuple[Array, Array]:
    """Return energy and height of the highest point of each spectrum, refined by the parabola through three points.

    :param energy: increasing energies in eV, shape (n_e,).
    :param spectra: shape (n, n_e).
    :returns: energies in eV and heights in the unit of the spectra, each of shape (n,). A maximum at an end of the
        energies is not refined.
    """
    energy, spectra = np.asarray(energy, dtype=float), np.asarray(spectra, dtype=float)
    rows, top = np.arange(len(spectra)), np.argmax(spectra, axis=1)
    i = np.clip(top, 1, len(energy) - 2)
    left, right = energy[i - 1] - energy[i], energy[i + 1] - energy[i]
    here = spectra[rows, i]
    slope_left, slope_right = (spectra[rows, i - 1] - here) / left, (spectra[rows, i + 1] - here) / right
    curvature = (slope_right - slope_left) / (right - left)
    slope = slope_left - curvature * left
    inside = (top == i) & (curvature < 0)
    step = np.where(inside, -slope / np.where(inside, 2 * curvature, 1.0), 0.0)
    height = np.where(inside, here + slope * step / 2, spectra[rows, top])
    return np.where(inside, energy[i] + step, energy[top]), height


def half_heights(energy: ArrayLike, spectra: ArrayLike) -> Array:
    """Return the energy below the highest point at which each spectrum last passes half of that height, shape (n,).

    :param energy: increasing energies in eV, shape (n_e,).
    :param spectra: shape (n, n_e).
    :raises ValueError: if a spectrum starts above half height.
    """
    energy, spectra = np.asarray(energy, dtype=float), np.asarray(spectra, dtype=float)
    rows, top = np.arange(len(spectra)), np.argmax(spectra, axis=1)
    half = spectra[rows, top] / 2
    below = (spectra < half[:, None]) & (np.arange(len(energy)) < top[:, None])
    without = np.flatnonzero(~below.any(axis=1))
    if without.size:
        raise ValueError(
            f"the spectrum of row {without[0]} never falls below half of its maximum before the maximum: start it "
            "below the edge."
        )
    i = len(energy) - 1 - np.argmax(below[:, ::-1], axis=1)
    low, high = spectra[rows, i], spectra[rows, i + 1]
    return np.asarray(energy[i] + (half - low) / (high - low) * (energy[i + 1] - energy[i]))


def maximum_position(energy: ArrayLike, values: ArrayLike) -> float:
    """Return the energy of the highest point (the white line) of one spectrum (see :func:`maxima`)."""
    return float(maxima(energy, np.asarray(values, dtype=float)[None])[0][0])


def half_height_position(energy: ArrayLike, values: ArrayLike) -> float:
    """Return the energy of half height of the rise of one spectrum (see :func:`half_heights`).

    :raises ValueError: if the spectrum starts above half height.
    """
    return float(half_heights(energy, np.asarray(values, dtype=float)[None])[0])


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

"""Structure factors of a cell as neutrons and X-rays see them, and how far they are from measured ones.

Partial structure factors are those of Faber and Ziman, Philos. Mag. 11 (1965) 153: each tends to one at large q. They
are summed over vectors of the reciprocal lattice of the cell, without a pair distribution that would have to be cut off
at half its length. Bound coherent scattering lengths and form factors of free atoms (Cromer and Mann) are those of
periodictable.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Self

import numpy as np
import periodictable
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray
from periodictable.cromermann import fxrayatq
from pydantic import Field, model_validator

from aiida_siox.checked import Checked, Number

Array = NDArray[np.float64]

_SHELL = 0.02
"""Thickness in Å⁻¹ of the shells of the reciprocal lattice of which at most so many vectors are summed."""
_PER_SHELL = 60
_CHUNK = 2**20
_TAILS = 7
"""Widths after which a Gaussian is zero, beyond the nearest vector."""


@dataclasses.dataclass(frozen=True)
class StructureFactors:
    """Structure factors on common q.

    :param q: Å⁻¹, shape (n_q,).
    :param partial: Faber–Ziman partials by pair (``Si-Si``, ``Si-O``, ``O-O``, those that are there), shape (n_q,).
    :param neutron: total, weighted with scattering lengths, shape (n_q,).
    :param xray: total, weighted with form factors, shape (n_q,).
    """

    q: Array
    partial: dict[str, Array]
    neutron: Array
    xray: Array


ScatteringVector = Annotated[Number, Field(gt=0, le=60)]
QStep = Annotated[Number, Field(gt=0, le=1)]
FirstPeak = Annotated[
    tuple[ScatteringVector, ScatteringVector],
    Field(description="the lowest and highest q in Å⁻¹ such as [1.0, 2.2]"),
]


class Scattering(Checked):
    """Structure factors, Å⁻¹."""

    q_max: ScatteringVector
    q_step: QStep
    q_width: QStep
    first_peak: FirstPeak

    @model_validator(mode="after")
    def _fits(self) -> Self:
        window = list(self.first_peak)
        if window[0] >= window[1]:
            raise ValueError(f"`first_peak` must have its lowest q first, got {window}")
        if window[1] > self.q_max:
            raise ValueError(f"`first_peak` {window} ends above `q_max` {self.q_max}: lower it, or raise q_max")
        return self


def reciprocal_vectors(cell: ArrayLike, q_max: float) -> tuple[Array, Array]:
    """Return vectors of the reciprocal lattice, one of each pair ±q; of a shell with many a fixed random choice.

    :param cell: vectors as rows, Å.
    :param q_max: greatest length, Å⁻¹.
    :returns: the vectors, shape (n, 3), Å⁻¹, without zero, by increasing length; and for how many of its shell each
        stands, shape (n,).
    """
    vectors = np.asarray(cell, dtype=float)
    basis = 2 * np.pi * np.linalg.inv(vectors).T
    limits = np.floor(q_max * np.linalg.norm(vectors, axis=1) / (2 * np.pi)).astype(int)
    others = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in limits[1:]), indexing="ij"), axis=-1).reshape(-1, 2)
    generator, found = np.random.default_rng(0), []
    for first in range(limits[0] + 1):
        indices = np.column_stack([np.full(len(others), first), others])
        if first == 0:
            indices = indices[(others[:, 0] > 0) | ((others[:, 0] == 0) & (others[:, 1] > 0))]
        plane = indices @ basis
        found.append(plane[np.einsum("ij,ij->i", plane, plane) <= q_max**2])
    points = np.concatenate(found)
    points = points[generator.permutation(len(points))]
    shell = np.floor(np.linalg.norm(points, axis=1) / _SHELL).astype(int)
    order = np.argsort(shell, kind="stable")
    place_in_shell = np.arange(len(order)) - np.searchsorted(shell[order], shell[order])
    size = np.bincount(shell)
    chosen = order[place_in_shell < _PER_SHELL]
    points, shell = points[chosen], shell[chosen]
    by_length = np.argsort(np.linalg.norm(points, axis=1), kind="stable")
    stands_for = size[shell] / np.minimum(size[shell], _PER_SHELL)
    return np.asarray(points[by_length]), np.asarray(stands_for[by_length])


def structure_factors(atoms: Atoms, q_max: float, q_step: float, width: float) -> StructureFactors:
    """Return the structure factors of a cell, averaged over directions.

    The vectors of the reciprocal lattice are a fifth of an Å⁻¹ and more apart at small q: each counts with a Gaussian
    of the given width around its length, and with 1/q², since their number grows with q²: an average over directions
    gives every q the same weight (without it peaks move down, by 0.006 Å⁻¹ at 1.5). The first q is that of the shortest
    vector.

    :param atoms: a cell that is periodic in three directions.
    :param q_max: Å⁻¹.
    :param q_step: Å⁻¹.
    :param width: standard deviation in Å⁻¹.
    :raises ValueError: if a number is not positive, or q_max is not beyond the shortest vector of the lattice.
    """
    for name, value in (("q_max", q_max), ("q_step", q_step), ("width", width)):
        if not value > 0:
            raise ValueError(f"{name} {value} must be positive, in Å⁻¹.")
    points, stands_for = reciprocal_vectors(atoms.cell.array, q_max + 4 * width)
    lengths = np.linalg.norm(points, axis=1)
    solid_angle = stands_for / lengths**2
    if not len(points) or lengths[0] >= q_max:
        raise ValueError(f"q_max {q_max} Å⁻¹ is less than the shortest vector of the reciprocal lattice of the cell.")
    numbers = sorted(set(atoms.numbers.tolist()), reverse=True)
    amplitudes = {n: _amplitudes(points, atoms.positions[atoms.numbers == n]) for n in numbers}
    q = np.arange(math.ceil(lengths[0] / q_step), math.floor(q_max / q_step) + 1) * q_step
    parts = {n: float((atoms.numbers == n).mean()) for n in numbers}
    symbols = {n: chemical_symbols[n] for n in numbers}
    partial: dict[str, Array] = {}
    neutron, xray = np.ones_like(q), np.ones_like(q)
    lengths_fm = {n: float(periodictable.elements[n].neutron.b_c or math.nan) for n in numbers}
    factors = {n: np.asarray(fxrayatq(symbols[n], q)) for n in numbers}
    mean_length = sum(parts[n] * lengths_fm[n] for n in numbers)
    mean_factor = sum(parts[n] * factors[n] for n in numbers)
    pairs = [(a, b) for i, a in enumerate(numbers) for b in numbers[i:]]
    products = [
        (amplitudes[a] * amplitudes[b].conj()).real / (len(atoms) * parts[a] * parts[b]) - (a == b) / parts[a]
        for a, b in pairs
    ]
    for (a, b), values in zip(pairs, 1 + _smoothed(q, lengths, solid_angle, np.array(products), width), strict=True):
        partial[f"{symbols[a]}-{symbols[b]}"] = values
        share = (1 if a == b else 2) * parts[a] * parts[b]
        neutron += share * lengths_fm[a] * lengths_fm[b] / mean_length**2 * (values - 1)
        xray += share * factors[a] * factors[b] / mean_factor**2 * (values - 1)
    return StructureFactors(q, partial, neutron, xray)


def mean_structure_factors(cells: Sequence[StructureFactors]) -> StructureFactors:
    """Return the mean over cells of one composition on the q that all of them have.

    :raises ValueError: if they have other pairs or steps than the first.
    """
    first = cells[0]
    low = max(float(each.q[0]) for each in cells)
    step = first.q[1] - first.q[0]
    if any(set(each.partial) != set(first.partial) or not np.isclose(each.q[1] - each.q[0], step) for each in cells):
        raise ValueError("structure factors of cells with other species or on other q have no mean.")
    kept = [each.q > low - step / 2 for each in cells]

    def mean(values: Sequence[Array]) -> Array:
        return np.asarray(np.mean([value[keep] for value, keep in zip(values, kept, strict=True)], axis=0))

    return StructureFactors(
        first.q[kept[0]],
        {name: mean([each.partial[name] for each in cells]) for name in first.partial},
        mean([each.neutron for each in cells]),
        mean([each.xray for each in cells]),
    )


def shortest_reciprocal_vector(cell: ArrayLike) -> float:
    """Return the length in Å⁻¹ of the shortest vector of the reciprocal lattice, the least q of a periodic cell."""
    basis = 2 * np.pi * np.linalg.inv(np.asarray(cell, dtype=float)).T
    longest = float(np.linalg.norm(basis, axis=1).min())
    return float(np.linalg.norm(reciprocal_vectors(cell, longest * (1 + 1e-9))[0][0]))


def _amplitudes(points: Array, positions: Array) -> NDArray[np.complex128]:
    """Return Σ exp(i q·r) for each q."""
    result = np.empty(len(points), dtype=np.complex128)
    step = max(1, _CHUNK // len(positions))
    for start in range(0, len(points), step):
        phases = points[start : start + step] @ positions.T
        result[start : start + step] = np.cos(phases).sum(axis=1) + 1j * np.sin(phases).sum(axis=1)
    return result


def _smoothed(q: Array, lengths: Array, weight: Array, values: Array, width: float) -> Array:
    """Return the mean of values around each q, with Gaussian weights times those given.

    :param lengths: where the values are, increasing, shape (n,).
    :param weight: of each value, shape (n,).
    :param values: shape (n_series, n).
    :returns: shape (n_series, n_q).
    """
    after = np.clip(np.searchsorted(lengths, q), 1, max(1, len(lengths) - 1))
    nearest = np.minimum(abs(q - lengths[after - 1]), abs(q - lengths[np.minimum(after, len(lengths) - 1)]))
    low = np.searchsorted(lengths, q - nearest - _TAILS * width)
    high = np.searchsorted(lengths, q + nearest + _TAILS * width, side="right")
    result = np.empty((len(values), len(q)))
    for i in range(len(q)):
        around = slice(low[i], high[i])
        weights = weight[around] * np.exp(-0.5 * ((lengths[around] - q[i]) ** 2 - nearest[i] ** 2) / width**2)
        result[:, i] = values[:, around] @ (weights / weights.sum())
    return result


def first_sharp_peak(q: Array, values: Array, window: Sequence[float]) -> float | None:
    """Return the position in Å⁻¹ of the highest peak inside a window, by a parabola through three points.

    In a cell of a few Å there is no vector of the reciprocal lattice on long intervals of q, and S(q) goes in steps: of
    a highest step it is the middle. Below some 10 Å of edge the position says little.

    :param window: lowest and highest q in Å⁻¹.
    :returns: None when the highest point is at an end of the window: there is no peak.
    """
    inside = np.flatnonzero((q >= window[0]) & (q <= window[1]))
    if len(inside) < 3:
        return None
    highest = values[inside].max()
    level = np.flatnonzero(values[inside] >= highest - 1e-6 * max(1.0, abs(highest)))
    if level[0] == 0 or level[-1] == len(inside) - 1:
        return None
    if len(level) > 3:
        return float(q[inside[level]].mean())
    top = int(inside[np.argmax(values[inside])])
    a, b, c = values[top - 1 : top + 2]
    curvature = a - 2 * b + c
    return float(q[top] + (0.5 * (a - c) / curvature * (q[1] - q[0]) if curvature else 0.0))


KINDS: Mapping[str, str] = {"S": "S(q), one at large q", "i": "S(q) − 1", "F": "q [S(q) − 1]"}
"""Forms in which measured structure factors are tabulated."""


def as_structure_factor(q: ArrayLike, values: ArrayLike, kind: str) -> Array:
    """Return S(q) from one of the forms of :data:`KINDS`.

    :raises ValueError: for an unknown form, q that is not positive or does not increase.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown form `{kind}`. Valid: " + ", ".join(f"{k} ({v})" for k, v in KINDS.items()) + ".")
    x, y = np.asarray(q, dtype=float), np.asarray(values, dtype=float)
    if len(x) < 2 or (np.diff(x) <= 0).any() or x[0] <= 0:
        raise ValueError("q must be positive and increase from line to line, in Å⁻¹.")
    return {"S": y, "i": y + 1, "F": y / x + 1}[kind]


@dataclasses.dataclass(frozen=True)
class Misfit:
    """How far a computed structure factor is from a measured one.

    :param q: measured q inside the common range, Å⁻¹, shape (n,).
    :param measured: shape (n,).
    :param computed: shape (n,).
    :param rms: of the differences.
    :param relative: rms over that of S = 1: zero is agreement, one no better than an ideal gas.
    :param uncertainty: standard uncertainties of the measured points, shape (n,); None where there are none.
    :param chi_squared: mean of the squared differences over squared uncertainties; None without uncertainties.
    """

    q: Array
    measured: Array
    computed: Array
    rms: float
    relative: float
    uncertainty: Array | None = None
    chi_squared: float | None = None


def doubts(q: ArrayLike, measured: ArrayLike, computed: tuple[float, float]) -> list[str]:
    """Return what speaks against a measured curve being an S(q) in Å⁻¹, as sentences.

    :param q: Å⁻¹, shape (n,).
    :param measured: shape (n,).
    :param computed: lowest and highest q of the computed S(q), Å⁻¹.
    """
    x, values = np.asarray(q, dtype=float), np.asarray(measured, dtype=float)
    n_inside = int(((x >= computed[0]) & (x <= computed[1])).sum())
    found = []
    if n_inside < 0.5 * len(values):
        found.append(
            f"only {n_inside} of {len(values)} points lie where S(q) was computed. Is q in Å⁻¹ (not in nm⁻¹, and not "
            "an angle)?"
        )
    tail = float(np.mean(values[-max(3, len(values) // 5) :]))
    if not 0.8 < tail < 1.2:
        found.append(f"its last fifth has a mean of {tail:.3g}, where S(q) is 1. Is --form right, is it normalised?")
    if values.min() < -0.1:
        found.append(f"its least value is {values.min():.3g}, but S(q) is not negative. Is --form right?")
    return found


def misfit(
    q: ArrayLike,
    measured: ArrayLike,
    q_computed: ArrayLike,
    computed: ArrayLike,
    window: tuple[float, float] | None,
    uncertainty: ArrayLike | None = None,
) -> Misfit:
    """Compare a measured S(q) with a computed one on the measured points.

    :param window: lowest and highest q in Å⁻¹ that count; the common range when None.
    :param uncertainty: standard uncertainties of the measured points.
    :raises ValueError: if fewer than ten measured points are in it, or an uncertainty is not positive.
    """
    x, y = np.asarray(q, dtype=float), np.asarray(measured, dtype=float)
    grid = np.asarray(q_computed, dtype=float)
    low, high = (grid[0], grid[-1]) if window is None else (max(window[0], grid[0]), min(window[1], grid[-1]))
    inside = (x >= low) & (x <= high)
    if inside.sum() < 10:
        raise ValueError(
            f"{inside.sum()} of the measured points are between {low:.2f} and {high:.2f} Å⁻¹, at least 10 are needed. "
            "Is q in Å⁻¹ (not in nm⁻¹, and not an angle)?"
        )
    model = np.interp(x[inside], grid, np.asarray(computed, dtype=float))
    difference = model - y[inside]
    rms = float(np.sqrt(np.mean(difference**2)))
    relative = rms / float(np.sqrt(np.mean((y[inside] - 1) ** 2)))
    if uncertainty is None:
        return Misfit(x[inside], y[inside], model, rms, relative)
    sigma = np.asarray(uncertainty, dtype=float)[inside]
    if (sigma <= 0).any():
        first = int(np.flatnonzero(sigma <= 0)[0])
        raise ValueError(
            f"the uncertainty in the third column is {sigma[first]:g} at q = {x[inside][first]:g}: it must be "
            "positive. Leave the column out if it is something else."
        )
    chi_squared = float(np.mean((difference / sigma) ** 2))
    return Misfit(x[inside], y[inside], model, rms, relative, sigma, chi_squared)

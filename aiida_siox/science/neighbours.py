"""Neighbours in periodic cells of any size, and the coordination of Si and O."""

from __future__ import annotations

import numpy as np
import vesin
from ase import Atoms
from numpy.typing import NDArray
from scipy.special import ndtr

_TAILS = 6


def neighbour_pairs(atoms: Atoms, cutoff: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return all pairs closer than a cutoff, in both directions, periodic images and self-images included.

    The cutoff may exceed the cell.

    :param atoms: a cell that is periodic in three directions.
    :param cutoff: in Å.
    :returns: index of the first atom, index of the second, distance in Å, each ``[n_pairs]``, sorted by the first.
    """
    calculator = vesin.NeighborList(cutoff=float(cutoff), full_list=True, sorted=True, n_threads=1)
    first, second, distance = calculator.compute(
        points=np.asarray(atoms.get_positions(wrap=True)),
        box=np.asarray(atoms.cell.array),
        periodic=True,
        quantities="ijd",
    )
    return first.astype(np.int64), second.astype(np.int64), np.asarray(distance, dtype=np.float64)


def neighbour_vectors(atoms: Atoms, cutoff: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the pairs of :func:`neighbour_pairs` with the vectors from first to second in Å, ``[n_pairs, 3]``."""
    calculator = vesin.NeighborList(cutoff=float(cutoff), full_list=True, sorted=True, n_threads=1)
    first, second, vector = calculator.compute(
        points=np.asarray(atoms.get_positions(wrap=True)),
        box=np.asarray(atoms.cell.array),
        periodic=True,
        quantities="ijD",
    )
    return first.astype(np.int64), second.astype(np.int64), np.asarray(vector, dtype=np.float64)


def coordination(
    atoms: Atoms, cutoff_si_o: float, cutoff_si_si: float, cutoff_o_o: float | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the O and the Si neighbours of every atom.

    :param cutoff_si_o: longest Si–O bond in Å.
    :param cutoff_si_si: longest Si–Si bond in Å.
    :param cutoff_o_o: longest O–O bond in Å; O–O neighbours are not counted when None.
    :returns: ``n_oxygen[n_atoms]`` and ``n_silicon[n_atoms]``.
    """
    cutoffs = {(14, 14): cutoff_si_si, (14, 8): cutoff_si_o, (8, 14): cutoff_si_o, (8, 8): cutoff_o_o or 0.0}
    numbers = atoms.numbers
    first, second, distance = neighbour_pairs(atoms, max(cutoffs.values()))
    n_oxygen = np.zeros(len(atoms), dtype=np.int64)
    n_silicon = np.zeros(len(atoms), dtype=np.int64)
    for (centre, neighbour), cutoff in cutoffs.items():
        bonded = (numbers[first] == centre) & (numbers[second] == neighbour) & (distance <= cutoff)
        target = n_oxygen if neighbour == 8 else n_silicon
        target += np.bincount(first[bonded], minlength=len(atoms))
    return n_oxygen, n_silicon


def coordination_histogram(
    atoms: Atoms, cutoff_si_o: float, cutoff_si_si: float
) -> tuple[dict[str, int], dict[str, int]]:
    """Count the Si atoms by their O neighbours, and by all their neighbours.

    :returns: ``{'0': .., '1': .., '4': ..}``, the [SiSi₄₋ₙOₙ] units keyed by n (0 to 4 always there), and the same for
        the total coordination; keys are text, as AiiDA stores them.
    """
    n_oxygen, n_silicon = coordination(atoms, cutoff_si_o, cutoff_si_si)
    silicon = atoms.numbers == 14
    by_oxygen = np.bincount(n_oxygen[silicon], minlength=5)
    total = np.bincount((n_oxygen + n_silicon)[silicon], minlength=5)
    return (
        {str(n): int(count) for n, count in enumerate(by_oxygen)},
        {str(n): int(count) for n, count in enumerate(total)},
    )


def shortest_distances(atoms: Atoms, cutoff: float) -> dict[str, float | None]:
    """Return the shortest distance of each kind of pair in Å, None where there is none below the cutoff."""
    first, second, distance = neighbour_pairs(atoms, cutoff)
    numbers = atoms.numbers
    shortest: dict[str, float | None] = {}
    for label, (a, b) in {"Si-Si": (14, 14), "Si-O": (14, 8), "O-O": (8, 8)}.items():
        chosen = distance[(numbers[first] == a) & (numbers[second] == b)]
        shortest[label] = float(chosen.min()) if len(chosen) else None
    return shortest


def count_oxygen_bonds(atoms: Atoms, cutoff_o_o: float) -> int:
    """Return how many O–O pairs are closer than a cutoff in Å: peroxide or O₂, which no good SiOₓ has."""
    first, second, distance = neighbour_pairs(atoms, cutoff_o_o)
    bonded = (atoms.numbers[first] == 8) & (atoms.numbers[second] == 8) & (distance <= cutoff_o_o)
    return int(np.count_nonzero(bonded)) // 2


def pair_distributions(
    atoms: Atoms, r_max: float, n_bins: int, sigma: float
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Return the partial pair distribution functions g_ab(r) = (dN_ab/dr) / (4π r² ρ_b), each one at large r.

    dN_ab/dr are the b atoms at r around an a atom, periodic images and self-images included, so that r_max may exceed
    the cell. Each pair is a Gaussian in r, integrated over every bin.

    :param r_max: in Å.
    :param sigma: broadening in Å; 0 gives the histogram.
    :returns: ``r[n_bins]``, the middle of each bin in Å, and ``g[n_bins]`` by pair (``Si-Si``, ``Si-O``, ``O-O``, those
        that are there) and for ``total``, all atoms around all atoms.
    :raises ValueError: for values that make no histogram.
    """
    if r_max <= 0 or n_bins < 1 or sigma < 0:
        raise ValueError(
            f"r_max {r_max}, n_bins {n_bins}, sigma {sigma}: the first two are positive, sigma not below 0."
        )
    first, second, distance = neighbour_pairs(atoms, r_max + _TAILS * sigma)
    width = r_max / n_bins
    r = np.asarray((np.arange(n_bins) + 0.5) * width)
    chosen = {"total": (np.ones(len(atoms), dtype=bool),) * 2}
    silicon, oxygen = atoms.numbers == 14, atoms.numbers == 8
    for name, one, other in (("Si-Si", silicon, silicon), ("Si-O", silicon, oxygen), ("O-O", oxygen, oxygen)):
        if one.any() and other.any():
            chosen[name] = (one, other)
    found: dict[str, NDArray[np.float64]] = {}
    for name, (one, other) in chosen.items():
        counts = _broadened_counts(distance[one[first] & other[second]], width, n_bins, sigma)
        expected = 4 * np.pi * r**2 * width * one.sum() * other.sum() / atoms.get_volume()
        found[name] = np.asarray(counts / expected)
    return r, found


def _broadened_counts(distance: NDArray[np.float64], width: float, n_bins: int, sigma: float) -> NDArray[np.float64]:
    """Return the histogram of Gaussians around distances, in bins from zero on."""
    if sigma == 0:
        return np.histogram(distance, bins=n_bins, range=(0.0, n_bins * width))[0].astype(float)
    start = np.floor((distance - _TAILS * sigma) / width).astype(int)
    n_edges = int(np.ceil(2 * _TAILS * sigma / width)) + 2
    counts = np.zeros(n_bins)
    left = ndtr((start * width - distance) / sigma)
    for step in range(n_edges):
        right = ndtr(((start + step + 1) * width - distance) / sigma)
        inside = (start + step >= 0) & (start + step < n_bins)
        counts += np.bincount((start + step)[inside], weights=(right - left)[inside], minlength=n_bins)
        left = right
    return counts

"""Neighbours in periodic cells of any size, and the coordination of their atoms."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import vesin
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray
from scipy.special import ndtr

from aiida_siox.materials import Material

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


def longest_bonds(cutoffs: Mapping[tuple[str, str], float]) -> NDArray[np.float64]:
    """Return the longest bond in Å by two atomic numbers, 0 where there is none, shape (n, n)."""
    longest = np.zeros((len(chemical_symbols),) * 2)
    for (one, other), cutoff in cutoffs.items():
        longest[atomic_numbers[one], atomic_numbers[other]] = cutoff
    return longest


def elements_of(cutoffs: Mapping[tuple[str, str], float]) -> list[str]:
    """Return the elements that have bonds, in their order."""
    return list(dict.fromkeys(element for pair in cutoffs for element in pair))


def pairs_of(elements: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return every pair of elements once by its name: ``Si-Si``, ``Si-O``, ``O-O``."""
    pairs = itertools.combinations_with_replacement(elements, 2)
    return {f"{one}-{other}": (one, other) for one, other in pairs}


def coordination(atoms: Atoms, cutoffs: Mapping[tuple[str, str], float]) -> dict[str, NDArray[np.int64]]:
    """Count the neighbours of every atom by their element.

    :param cutoffs: longest bond in Å of two elements, both ways round; others have none (``Material.cutoffs``).
    :returns: counts by element of the neighbour, each of shape (n_atoms,).
    """
    first, second, distance = neighbour_pairs(atoms, max(cutoffs.values()))
    numbers = atoms.numbers
    bonded = distance <= longest_bonds(cutoffs)[numbers[first], numbers[second]]
    first, neighbour = first[bonded], numbers[second[bonded]]
    return {
        element: np.bincount(first[neighbour == atomic_numbers[element]], minlength=len(atoms)).astype(np.int64)
        for element in elements_of(cutoffs)
    }


def coordination_histogram(atoms: Atoms, material: Material) -> tuple[dict[str, int], dict[str, int]]:
    """Count the absorbers by their ligands, and by all their neighbours.

    :returns: ``{'0': .., '1': .., '4': ..}`` (0 to 4 always there), in SiOₓ the [SiSi₄₋ₙOₙ] units keyed by n, and the
        same for the total coordination; keys are text, as AiiDA stores them.
    """
    neighbours = coordination(atoms, material.cutoffs)
    absorbers = atoms.numbers == atomic_numbers[material.absorber]
    counted = (np.sum([neighbours[element] for element in kind], axis=0) for kind in (material.ligands, neighbours))
    by_ligands, total = (np.bincount(n[absorbers], minlength=material.max_ligands + 1) for n in counted)
    return (
        {str(n): int(count) for n, count in enumerate(by_ligands)},
        {str(n): int(count) for n, count in enumerate(total)},
    )


def shortest_distances(atoms: Atoms, elements: Sequence[str], cutoff: float) -> dict[str, float | None]:
    """Return the shortest distance of each pair of elements in Å, None where there is none below the cutoff."""
    first, second, distance = neighbour_pairs(atoms, cutoff)
    numbers = atoms.numbers
    shortest: dict[str, float | None] = {}
    for name, (one, other) in pairs_of(elements).items():
        chosen = distance[(numbers[first] == atomic_numbers[one]) & (numbers[second] == atomic_numbers[other])]
        shortest[name] = float(chosen.min()) if len(chosen) else None
    return shortest


def count_bonds(atoms: Atoms, element: str, cutoff: float) -> int:
    """Return how many pairs of one element are closer than a cutoff in Å: O–O is peroxide or O₂."""
    first, second, distance = neighbour_pairs(atoms, cutoff)
    number = atomic_numbers[element]
    bonded = (atoms.numbers[first] == number) & (atoms.numbers[second] == number) & (distance <= cutoff)
    return int(np.count_nonzero(bonded)) // 2


def pair_distributions(
    atoms: Atoms, elements: Sequence[str], r_max: float, n_bins: int, sigma: float
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Return the partial pair distribution functions g_ab(r) = (dN_ab/dr) / (4π r² ρ_b), each one at large r.

    dN_ab/dr are the b atoms at r around an a atom, periodic images and self-images included, so that r_max may exceed
    the cell. Each pair is a Gaussian in r, integrated over every bin.

    :param elements: whose pairs are told apart, in this order.
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
    for name, pair in pairs_of(elements).items():
        one, other = (atoms.numbers == atomic_numbers[element] for element in pair)
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

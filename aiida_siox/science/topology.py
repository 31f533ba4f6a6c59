"""The network of a cell: bonds, angles, rings, voids."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import vesin
from ase import Atoms
from matscipy.rings import ring_statistics
from numpy.typing import NDArray
from scipy.spatial import Voronoi, cKDTree

Array = NDArray[np.float64]

_SYMBOLS = {14: "Si", 8: "O"}


def bonds(atoms: Atoms, cutoffs: Mapping[str, float]) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Return the bonds of a cell, each in both directions.

    :param cutoffs: longest bond in Å by pair: ``Si-O``, ``Si-Si``, ``O-O``.
    :returns: first and second atom, the vector from first to second in Å ``[n, 3]``.
    """
    calculator = vesin.NeighborList(cutoff=float(max(cutoffs.values())), full_list=True, sorted=True, n_threads=1)
    first, second, distance, vector = calculator.compute(
        points=np.asarray(atoms.get_positions(wrap=True)),
        box=np.asarray(atoms.cell.array),
        periodic=True,
        quantities="ijdD",
    )
    first, second = first.astype(np.int64), second.astype(np.int64)
    limits = {(14, 8): cutoffs["Si-O"], (8, 14): cutoffs["Si-O"], (14, 14): cutoffs["Si-Si"], (8, 8): cutoffs["O-O"]}
    longest = np.zeros((15, 15))
    for (a, b), limit in limits.items():
        longest[a, b] = limit
    bonded = np.asarray(distance) <= longest[atoms.numbers[first], atoms.numbers[second]]
    return first[bonded], second[bonded], np.asarray(vector)[bonded]


def bond_lengths(atoms: Atoms, cutoffs: Mapping[str, float]) -> dict[str, Array]:
    """Return the lengths of the bonds in Å by pair (``Si-O``, ``Si-Si``, ``O-O``), each bond once."""
    first, second, vector = bonds(atoms, cutoffs)
    lengths = np.linalg.norm(vector, axis=1)
    numbers = atoms.numbers
    found = {}
    for name, (a, b) in {"Si-O": (14, 8), "Si-Si": (14, 14), "O-O": (8, 8)}.items():
        chosen = np.sort(lengths[(numbers[first] == a) & (numbers[second] == b)])
        found[name] = chosen if a != b else chosen[::2]
    return found


def bond_angles(atoms: Atoms, cutoffs: Mapping[str, float]) -> dict[str, Array]:
    """Return the angles between bonds in degrees by triple (``O-Si-O``, ``Si-O-Si``, …, the centre in the middle)."""
    first, second, vector = bonds(atoms, cutoffs)
    unit = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    starts = np.searchsorted(first, np.arange(len(atoms) + 1))
    found: dict[str, list[float]] = {}
    for centre in range(len(atoms)):
        mine = slice(starts[centre], starts[centre + 1])
        ends, directions = atoms.numbers[second[mine]], unit[mine]
        i, j = np.triu_indices(len(ends), 1)
        angles = np.degrees(np.arccos(np.clip(np.einsum("ij,ij->i", directions[i], directions[j]), -1, 1)))
        for a, b, angle in zip(ends[i], ends[j], angles, strict=True):
            high, low = max(a, b), min(a, b)
            name = f"{_SYMBOLS[high]}-{_SYMBOLS[atoms.numbers[centre]]}-{_SYMBOLS[low]}"
            found.setdefault(name, []).append(float(angle))
    return {name: np.sort(values) for name, values in sorted(found.items())}


def rings(atoms: Atoms, cutoffs: Mapping[str, float], longest: int) -> dict[int, float]:
    """Count the shortest-path rings (Franzblau, Phys. Rev. B 44 (1991) 4925) by their number of atoms, per Si.

    A cell that a ring could go around is repeated before.

    :param longest: number of atoms of the longest ring that is looked for.
    :returns: number of rings per Si atom by number of atoms, without those that do not occur.
    """
    span = 0.5 * longest * max(cutoffs["Si-O"], cutoffs["Si-Si"]) * 0.8
    heights = 1 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    repeated = atoms.repeat([max(1, math.ceil(span / height)) for height in heights])
    limits = {("Si", "O"): cutoffs["Si-O"], ("Si", "Si"): cutoffs["Si-Si"], ("O", "O"): cutoffs["O-O"]}
    counts = ring_statistics(repeated, limits, maxlength=longest)
    n_silicon = int((repeated.numbers == 14).sum())
    return {n: float(count) / n_silicon for n, count in enumerate(counts) if count}


def largest_void(atoms: Atoms) -> float:
    """Return the radius in Å of the largest sphere between the centres of atoms that holds none.

    Its centre is a corner of the Voronoi cells of the atoms and their periodic images.
    """
    lengths = np.linalg.norm(atoms.cell.array, axis=1)
    repeats = [3 if length > 6 else 5 for length in lengths]
    images = atoms.copy()
    images.wrap()
    images = images.repeat(repeats)
    corners = Voronoi(images.positions)
    fractional = corners.vertices @ np.linalg.inv(atoms.cell.array)
    middle = np.array([n // 2 for n in repeats])
    inside = np.all((fractional >= middle - 1e-9) & (fractional < middle + 1 - 1e-9), axis=1)
    return float(cKDTree(images.positions).query(corners.vertices[inside])[0].max())

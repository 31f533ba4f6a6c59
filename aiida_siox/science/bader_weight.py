"""Bader charges by the weight method: a grid point on a border is shared among the basins that its gradient flows to.

M. Yu and D. R. Trinkle, J. Chem. Phys. 134, 064111 (2011). The weight of a basin at a point is the flux-weighted mean
of its weights at the higher neighbours, w(X) = Σ J(X→X') w(X') / Σ J(X→X') with J(X→X') = a (ρ' − ρ)⁺ / l, where a is
the facet of the Voronoi cell between the two and l their distance. Instead of storing weights, as baderkit's kernel
does, the electrons are handed on from the lowest point to the highest by the same fluxes: what arrives at a maximum is
Σ_X w(X) q(X), the same sum in another order, with no memory beyond four numbers a point.
"""

from __future__ import annotations

import itertools

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import Voronoi

ALL_NEIGHBOURS = np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)], dtype=np.int64)
"""Steps to the 26 points around a point of a grid."""


def voronoi_neighbours(voxel: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the neighbours of a lattice point that share a facet of its Voronoi cell.

    :param voxel: vectors between points of the grid as rows, (3, 3), Å.
    :returns: steps, (n, 3), and area of the facet over the distance, (n,), Å.
    :raises ValueError: if the voxel is so oblique that a neighbour lies more than two steps away.
    """
    steps = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)), dtype=np.int64)
    centre = len(steps) // 2
    points = steps @ voxel
    diagram = Voronoi(points)
    found, ratios = [], []
    for pair, ridge in zip(diagram.ridge_points, diagram.ridge_vertices, strict=True):
        if centre not in pair or -1 in ridge:
            continue
        other = pair[0] if pair[1] == centre else pair[1]
        corners = diagram.vertices[ridge]  # in order around the facet
        fan = np.cross(corners[1:-1] - corners[0], corners[2:] - corners[0])
        found.append(steps[other])
        ratios.append(np.linalg.norm(fan, axis=1).sum() / 2 / np.linalg.norm(points[other]))
    neighbours, ratio = np.array(found), np.array(ratios)
    distances = np.linalg.norm(neighbours @ voxel, axis=1)
    # pyramids over the facets fill the cell: volume = Σ (area · distance / 2) / 3
    if not np.isclose((ratio * distances**2).sum() / 6, abs(np.linalg.det(voxel)), rtol=1e-6):
        raise ValueError("the cell is too oblique for the weight method: reduce it (Niggli) first, or take neargrid.")
    return neighbours, ratio


@njit(cache=True)
def _flow(
    reference: NDArray[np.float64],
    order: NDArray[np.int64],
    steps: NDArray[np.int64],
    ratios: NDArray[np.float64],
    all_steps: NDArray[np.int64],
    all_distances: NDArray[np.float64],
    electrons: NDArray[np.float64],
    points: NDArray[np.float64],
) -> None:
    """Hand ``electrons`` and ``points`` (flat, changed in place) on to the maxima, in ascending ``order``."""
    n_x, n_y, n_z = reference.shape
    field = reference.ravel()
    targets = np.empty(len(all_steps), np.int64)
    fluxes = np.empty(len(all_steps))
    for index in order:
        i, j, k = index // (n_y * n_z), (index // n_z) % n_y, index % n_z
        total = 0.0
        for s in range(len(steps)):
            target = (((i + steps[s, 0]) % n_x) * n_y + (j + steps[s, 1]) % n_y) * n_z + (k + steps[s, 2]) % n_z
            rise = field[target] - field[index]
            targets[s] = target
            fluxes[s] = rise * ratios[s] if rise > 0.0 else 0.0
            total += fluxes[s]
        if total > 0.0:
            for s in range(len(steps)):
                if fluxes[s] > 0.0:
                    electrons[targets[s]] += electrons[index] * fluxes[s] / total
                    points[targets[s]] += points[index] * fluxes[s] / total
        else:  # no maximum if one of the 26 around is higher, across an edge or a corner of the Voronoi cell
            for s in range(len(all_steps)):
                target = (((i + all_steps[s, 0]) % n_x) * n_y + (j + all_steps[s, 1]) % n_y) * n_z + (
                    k + all_steps[s, 2]
                ) % n_z
                slope = (field[target] - field[index]) / all_distances[s]
                targets[s] = target
                fluxes[s] = slope if slope > 0.0 else 0.0
                total += fluxes[s]
            if total == 0.0:
                continue
            for s in range(len(all_steps)):  # shared: on the middle of a bond of a crystal the two sides are equal
                if fluxes[s] > 0.0:
                    electrons[targets[s]] += electrons[index] * fluxes[s] / total
                    points[targets[s]] += points[index] * fluxes[s] / total
        electrons[index] = 0.0
        points[index] = 0.0


def partition(
    reference: NDArray[np.float64], charge: NDArray[np.float64], cell: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Integrate a charge over the basins of a reference.

    :param reference: field whose maxima have the basins, (n_x, n_y, n_z).
    :param charge: density to integrate, same shape.
    :param cell: lattice vectors as rows, Å.
    :returns: grid indices of the maxima, (n_maxima, 3); sum of the charge over the points of each basin, (n_maxima,);
        number of points of each, not whole, (n_maxima,).
    :raises ValueError: if the cell is too oblique.
    """
    voxel = cell / np.array(reference.shape)[:, None]
    steps, ratios = voronoi_neighbours(voxel)
    field = np.ascontiguousarray(reference, dtype=np.float64)
    electrons = np.array(charge, dtype=np.float64).ravel()
    points = np.ones(field.size)
    order = np.argsort(field, axis=None, kind="stable")
    distances = np.linalg.norm(ALL_NEIGHBOURS @ voxel, axis=1)
    _flow(field, order, steps, ratios, ALL_NEIGHBOURS, distances, electrons, points)
    maxima = np.flatnonzero(points)
    return np.argwhere(points.reshape(field.shape) > 0), electrons[maxima], points[maxima]

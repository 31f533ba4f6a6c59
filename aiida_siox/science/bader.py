"""Bader charges: basins of a reference density, electrons of the charge density in each of them.

Methods, by the names of Henkelman's program: ``weight`` (:mod:`aiida_siox.science.bader_weight`), the default because
it does not depend on where the atoms lie on the grid (docs/topics/bader.md); ``neargrid``, W. Tang, E. Sanville and
G. Henkelman, J. Phys.: Condens. Matter 21, 084204 (2009); ``ongrid``, G. Henkelman, A. Arnaldsson and H. Jónsson,
Comput. Mater. Sci. 36, 354 (2006). The last two use the compiled kernels of baderkit. baderkit's own driver also merges
maxima by persistence and searches saddle points, which nothing here needs and which takes two and a half minutes to
compile instead of twenty seconds. As in Henkelman's program every maximum belongs to the nearest atom and no region
counts as vacuum.

numba and baderkit (pandas, pymatgen) are imported only when something is computed. Set ``NUMBA_NUM_THREADS`` before
that: ``siox-bader`` sets it to 1.
"""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cube import Cube

METHODS = ("weight", "neargrid", "ongrid")
"""Ways to divide the grid; the first is the default."""

NUCLEAR_RADIUS_A = 0.5
"""A maximum farther than this (Å) from every nucleus is a non-nuclear attractor, as some Si–Si bonds have."""


class BaderError(ValueError):
    """Densities that cannot be partitioned."""


@dataclass(frozen=True)
class BaderCharges:
    """Electrons and volumes of the atoms, in the order of the atoms of the cube.

    :param electrons: electrons in the basins of each atom, (n_atoms,).
    :param volumes_A3: volume of these basins, (n_atoms,), Å³.
    :param basin_distances_A: from each nucleus to the nearest of its maxima, (n_atoms,), Å; inf if it has none.
    :param n_basins: number of maxima of each atom, (n_atoms,); adjacent points of equal height are one.
    :param n_electrons: integral of the charge density over the cell.
    :param n_electrons_non_nuclear: electrons in basins whose maximum is farther than ``NUCLEAR_RADIUS_A`` from every
        nucleus; they are counted in ``electrons`` of the nearest atom.
    """

    electrons: NDArray[np.float64]
    volumes_A3: NDArray[np.float64]
    basin_distances_A: NDArray[np.float64]
    n_basins: NDArray[np.int64]
    n_electrons: float
    n_electrons_non_nuclear: float

    @property
    def n_electrons_unassigned(self) -> float:
        """Return the electrons that no atom got."""
        return self.n_electrons - float(self.electrons.sum())


def baderkit_version() -> str:
    """Return the version of the installed baderkit, without importing it."""
    return importlib.metadata.version("baderkit")


def _kernels() -> Any:
    """Return the modules of baderkit that hold the compiled loops.

    :raises BaderError: if baderkit is not there or has moved them.
    """
    try:
        from baderkit.bader.methods.neargrid import neargrid_numba
        from baderkit.bader.methods.ongrid import ongrid_numba
        from baderkit.global_numba import basins
    except ImportError as exception:
        raise BaderError(f"baderkit >=0.10.2,<0.11 is needed for this method: {exception}") from exception
    return neargrid_numba, ongrid_numba, basins


def _label(reference: NDArray[np.float64], cell: NDArray[np.float64], method: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Follow the gradient from every point of the grid to its maximum.

    :param reference: field, (n_x, n_y, n_z).
    :param cell: lattice vectors as rows, Å.
    :param method: ``neargrid`` or ``ongrid``.
    :returns: grid indices of the maxima, (n_maxima, 3), and for every point the number of its maximum, same shape as
        the field.
    """
    neargrid, ongrid, basins = _kernels()
    shape = reference.shape
    field = np.ascontiguousarray(reference, dtype=np.float64)
    neighbours = np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)], dtype=np.int64)
    voxel = cell / np.array(shape)[:, None]
    distances = np.linalg.norm(neighbours @ voxel, axis=1)
    to_grid = np.linalg.inv(voxel.T)
    no_vacuum = np.zeros(shape, dtype=np.bool_)

    is_maximum = basins.get_extrema(data=field, neighbor_transforms=neighbours, vacuum_mask=no_vacuum, use_minima=False)
    maxima = np.flatnonzero(is_maximum)
    # 64-bit labels whatever the size of the grid: one signature, so one compilation, for all grids.
    pointers = np.full(field.size, -1, dtype=np.int64)
    pointers[maxima] = maxima
    common = {
        "data": field,
        "neighbor_dists": distances,
        "neighbor_transforms": neighbours,
        "extrema_mask": is_maximum,
        "use_minima": False,
    }
    start = {"labels": pointers, "images": np.zeros((field.size, 3), dtype=np.int8), "vacuum_mask": no_vacuum}
    if method == "ongrid":
        pointers, images = ongrid.get_steepest_pointers(**common, **start)
    else:
        pointers, images, gradients = neargrid.get_gradient_pointers_simple(
            **common, **start, dir2lat=to_grid @ to_grid.T
        )
    while True:  # each round doubles the length of the path that a pointer jumps over
        images = images + images[pointers]
        further = pointers[pointers]
        if np.array_equal(further, pointers):
            break
        pointers = further
    if method == "ongrid":
        return np.argwhere(is_maximum), np.searchsorted(maxima, pointers).reshape(shape)
    # The kernels want labels from 1, and a label that no point has for the vacuum.
    labels = (np.searchsorted(maxima, pointers) + 1).reshape(shape)
    no_label = len(maxima) + 1
    to_refine = basins.get_edges_w_flat_images(
        labeled_array=labels, images=images, neighbor_transforms=neighbours, vacuum_label=no_label
    )
    to_refine[is_maximum] = False
    labels, _ = neargrid.refine_fast_neargrid(
        **common, labels=labels, images=images, refinement_mask=to_refine, gradients=gradients, vacuum_label=-no_label
    )
    return np.argwhere(is_maximum), np.abs(labels) - 1


def nearest_atoms(
    points: NDArray[np.float64], positions: NDArray[np.float64], cell: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the atom nearest to each point of a periodic cell.

    :param points: Cartesian, (n, 3), Å.
    :param positions: atoms, Cartesian, (n_atoms, 3), Å.
    :param cell: lattice vectors as rows, Å; in cells so oblique that the nearest image lies more than one cell away,
        reduce the cell first.
    :returns: index of the atom and its distance in Å, both (n,).
    """
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ cell
    inverse = np.linalg.inv(cell)
    nearest = np.zeros(len(points), dtype=np.int64)
    distances = np.full(len(points), np.inf)
    for index, position in enumerate(positions):
        fractional = (points - position) @ inverse
        wrapped = (fractional - np.round(fractional)) @ cell
        distance = np.linalg.norm(wrapped[:, None, :] + shifts[None, :, :], axis=2).min(axis=1)
        closer = distance < distances
        nearest[closer] = index
        distances[closer] = distance[closer]
    return nearest, distances


def _adjacent(maxima: NDArray[np.int64], atoms: NDArray[np.int64], shape: Sequence[int]) -> NDArray[np.int64]:
    """Return to which group of adjacent points each maximum belongs, (n_maxima,).

    A nucleus midway between points of the grid has several equal ones around it, which are one maximum.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    pairs = cKDTree(maxima, boxsize=shape).query_pairs(1.5, p=np.inf, output_type="ndarray")
    pairs = pairs[atoms[pairs[:, 0]] == atoms[pairs[:, 1]]]
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(maxima), len(maxima)))
    groups: NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return groups


def bader_charges(charge: Cube, reference: Cube | None = None, method: str = METHODS[0]) -> BaderCharges:
    """Partition a charge density among the atoms.

    :param charge: density whose electrons are counted (for pw.x the valence density, ``plot_num=0``).
    :param reference: density whose basins are used (the all-electron density, ``plot_num=21``); the charge itself when
        None, which for a valence density is wrong: Si of α-quartz then has +3.88 instead of +3.17.
    :param method: one of ``METHODS``.
    :returns: electrons and volumes of the atoms.
    :raises BaderError: if there are no atoms, the two densities are not on the same grid, the method is unknown or
        cannot take the cell.
    """
    if method not in METHODS:
        raise BaderError(f"unknown method `{method}`. Valid: {', '.join(METHODS)}.")
    if len(charge.numbers) == 0:
        raise BaderError("the charge density comes without atoms.")
    if reference is None:
        reference = charge
    elif not charge.same_grid(reference):
        raise BaderError(
            f"charge ({charge.values.shape}, {len(charge.numbers)} atoms) and reference ({reference.values.shape}, "
            f"{len(reference.numbers)} atoms) must have the same cell, atoms and grid."
        )
    if method == "weight":
        from .bader_weight import partition

        try:
            maxima, sums, sizes = partition(reference.values, charge.values, reference.cell)
        except ValueError as exception:
            raise BaderError(str(exception)) from exception
    else:
        maxima, labels = _label(reference.values, reference.cell, method)
        flat = labels.ravel()
        sums = np.bincount(flat, weights=charge.values.ravel(), minlength=len(maxima)).astype(np.float64)
        sizes = np.bincount(flat, minlength=len(maxima)).astype(np.float64)
    basin_electrons, basin_volumes = sums * charge.voxel_volume, sizes * charge.voxel_volume
    points = maxima / np.array(reference.values.shape) @ reference.cell
    atoms, distances = nearest_atoms(points, reference.positions, reference.cell)
    _, first = np.unique(_adjacent(maxima, atoms, reference.values.shape), return_index=True)
    n_atoms = len(charge.numbers)

    def per_atom(values: NDArray[Any]) -> NDArray[np.float64]:
        total = np.zeros(n_atoms)
        np.add.at(total, atoms, values)
        return total

    closest = np.full(n_atoms, np.inf)
    np.minimum.at(closest, atoms, distances)
    return BaderCharges(
        electrons=per_atom(basin_electrons),
        volumes_A3=per_atom(basin_volumes),
        basin_distances_A=closest,
        n_basins=np.bincount(atoms[first], minlength=n_atoms),
        n_electrons=charge.integral,
        n_electrons_non_nuclear=float(basin_electrons[distances > NUCLEAR_RADIUS_A].sum()),
    )


def gaussian_density(
    cell: NDArray[np.float64],
    fractional: NDArray[np.float64],
    electrons: NDArray[np.float64],
    widths_A: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> NDArray[np.float64]:
    """Return a sum of periodic Gaussians on a grid: a density whose integral is known.

    :param cell: lattice vectors as rows, Å.
    :param fractional: centres, (n, 3).
    :param electrons: integral of each, (n,).
    :param widths_A: standard deviation of each, (n,), Å; small against the cell (images of one cell around are summed).
    :param shape: numbers of grid points.
    :returns: electrons per Å³, of the given shape.
    """
    grid = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), axis=-1)
    density = np.zeros(shape)
    for centre, count, width in zip(fractional, electrons, widths_A, strict=True):
        offset = grid - centre
        offset = offset - np.round(offset)
        for image in itertools.product((-1, 0, 1), repeat=3):
            square = (((offset + np.array(image)) @ cell) ** 2).sum(axis=-1)
            density += count * np.exp(-square / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5
    return density


def warm_up(method: str = METHODS[0]) -> BaderCharges:
    """Compile the loops, on a grid of a few thousand points; numba keeps the result on disk for later processes.

    :param method: whose loops.

    :returns: the charges of the model density that was partitioned.
    """
    cell = np.diag([4.0, 4.5, 5.0])
    fractional = np.array([[0.25, 0.25, 0.25], [0.75, 0.7, 0.65]])
    values = gaussian_density(cell, fractional, np.array([1.0, 2.0]), np.array([0.5, 0.6]), (12, 14, 16))
    return bader_charges(Cube(cell, np.array([14, 8]), fractional @ cell, values), method=method)

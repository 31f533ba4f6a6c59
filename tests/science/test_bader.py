"""Partition of model densities whose electrons are known."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.science.bader import METHODS, BaderError, bader_charges, gaussian_density, nearest_atoms
from aiida_siox.science.bader_weight import voronoi_neighbours
from aiida_siox.science.cube import Cube

CELL = np.array([[4.9, 0.3, 0.1], [-2.2, 5.6, 0.4], [0.5, -0.3, 7.0]])
FRACTIONAL = np.array([[0.1, 0.2, 0.3], [0.6, 0.7, 0.25], [0.35, 0.4, 0.8]])
ELECTRONS = np.array([3.0, 5.0, 7.0])
WIDTHS = np.array([0.45, 0.5, 0.55])
SHAPE = (24, 30, 40)


def model(electrons=ELECTRONS, widths=WIDTHS, fractional=FRACTIONAL, cell=CELL, shape=SHAPE) -> Cube:
    """Return Gaussians on a triclinic cell with three different numbers of points, atoms outside the cell included."""
    values = gaussian_density(cell, fractional, np.asarray(electrons), np.asarray(widths), shape)
    shifts = np.arange(3 * len(fractional)).reshape(-1, 3) % 3 - 1
    return Cube(cell, np.full(len(fractional), 14), (fractional + shifts) @ cell, values)


@pytest.fixture(scope="module", params=METHODS)
def method(request):
    """Return each of the methods in turn."""
    return request.param


@pytest.fixture(scope="module")
def charges(method):
    """Return the charges of the model."""
    return bader_charges(model(), method=method)


def test_model_density_integrates_to_its_electrons():
    assert model().integral == pytest.approx(ELECTRONS.sum(), rel=1e-6)


def test_separate_gaussians_keep_their_electrons(charges):
    """Their order is that of the atoms, not of the maxima; a grid with its axes exchanged is far off."""
    np.testing.assert_allclose(charges.electrons, ELECTRONS, rtol=0.01)
    assert charges.n_basins.tolist() == [1, 1, 1]
    assert (charges.basin_distances_A < 0.2).all()


def test_nothing_is_lost(charges):
    assert charges.n_electrons == pytest.approx(ELECTRONS.sum(), rel=1e-6)
    assert abs(charges.n_electrons_unassigned) < 1e-9
    assert charges.volumes_A3.sum() == pytest.approx(abs(np.linalg.det(CELL)))
    assert charges.n_electrons_non_nuclear == 0.0


def test_order_of_the_atoms_is_kept(method):
    order = [2, 0, 1]
    permuted = bader_charges(model(ELECTRONS[order], WIDTHS[order], FRACTIONAL[order]), method=method)
    np.testing.assert_allclose(permuted.electrons, ELECTRONS[order], rtol=0.01)


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1)])
def test_axes_can_be_exchanged(method, charges, axes):
    """The same density with its lattice vectors in another order gives the same charges."""
    cube = model()
    turned = Cube(cube.cell[list(axes)], cube.numbers, cube.positions, np.transpose(cube.values, axes))
    np.testing.assert_allclose(bader_charges(turned, method=method).electrons, charges.electrons, rtol=2e-3)


def test_equivalent_atoms_are_equal(method):
    """Four atoms on a face-centred lattice of an orthorhombic cell."""
    fractional = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) + 0.05
    cube = model(np.ones(4), np.full(4, 0.6), fractional, np.diag([5.0, 6.0, 7.0]), (20, 24, 32))
    electrons = bader_charges(cube, method=method).electrons
    np.testing.assert_allclose(electrons, 1.0, atol=0.02)


def test_silicon_with_its_bonds_on_the_grid():
    """Atoms and bond centres fall on points of the grid: a centre belongs to both atoms, not to the first one.

    Bonds of crystalline silicon run along the diagonals of the cubic voxels, where the Voronoi cell has corners only.
    """
    diamond = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]]) / 4
    bonds = (diamond[4:, None] + np.array([[-1, -1, -1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) / 8).reshape(-1, 3) % 1
    cell, shape = 5.43 * np.eye(3), (48, 48, 48)
    values = gaussian_density(cell, diamond, np.full(8, 12.0), np.full(8, 0.35), shape)
    values += gaussian_density(cell, bonds, np.full(16, 1.0), np.full(16, 0.7), shape)
    charges = bader_charges(Cube(cell, np.full(8, 14), diamond @ cell, values), method="weight")
    np.testing.assert_allclose(charges.electrons, 14.0, atol=2e-3)


def two_gaussians(shift: float, n_points: int) -> Cube:
    """Return two unequal Gaussians in a cubic cell of 4 Å, shifted along x by a part of the grid step."""
    fractional = np.array([[0.25, 0.5, 0.5], [0.75, 0.5, 0.5]]) + np.array([shift / n_points, 0, 0])
    cell = 4.0 * np.eye(3)
    values = gaussian_density(cell, fractional, np.array([1.0, 4.0]), np.full(2, 0.6), (n_points,) * 3)
    return Cube(cell, np.array([14, 8]), fractional @ cell, values)


def two_gaussians_exact() -> float:
    """Return the electrons of the lighter one by quadrature: by symmetry its borders are planes across x.

    The density is a product f(x) h(y, z), so the gradient along x vanishes where f' does.
    """
    x = (np.arange(400_000) + 0.5) / 100_000
    density = sum(
        count * np.exp(-((x - centre + 4.0 * image) ** 2) / (2 * 0.6**2)) / (0.6 * np.sqrt(2 * np.pi))
        for count, centre in ((1.0, 1.0), (4.0, 3.0))
        for image in range(-3, 4)
    )
    minima = np.flatnonzero((density[1:-1] < density[:-2]) & (density[1:-1] < density[2:])) + 1
    inside = (x > x[minima[0]]) & (x < x[minima[-1]])
    return float(density[inside if inside[100_000] else ~inside].sum() / 100_000)


@pytest.mark.parametrize(("n_points", "tolerance"), [(24, 0.025), (48, 0.006)])
@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5, 0.8])
def test_weight_does_not_depend_on_the_place_on_the_grid(shift, n_points, tolerance):
    """Layers of points on the border are shared, with an error of second order; neargrid jumps by 0.05 to 0.1 e."""
    result = bader_charges(two_gaussians(shift, n_points), method="weight")
    assert result.electrons[0] == pytest.approx(two_gaussians_exact(), abs=tolerance)
    assert result.n_electrons == pytest.approx(5.0, abs=1e-6)


def test_weight_agrees_with_baderkit():
    """The same weights as the kernel of baderkit, which stores them instead of handing the electrons on."""
    from baderkit.bader.methods.weight.weight_numba import get_weight_assignments

    cube = model(widths=2 * WIDTHS)  # so that the borders hold much of the density
    values = np.ascontiguousarray(cube.values)
    voxel = cube.cell / np.array(SHAPE)[:, None]
    steps, ratios = voronoi_neighbours(voxel)
    is_maximum = np.zeros(SHAPE, dtype=bool)
    for centre in FRACTIONAL:
        middle = np.round(centre * SHAPE).astype(int)
        around = [tuple((middle + np.array(step) - 2) % SHAPE) for step in np.ndindex(5, 5, 5)]
        is_maximum[max(around, key=lambda point: values[point])] = True
    maxima = np.flatnonzero(is_maximum)
    labels = np.full(values.size, np.iinfo(np.uint32).max, dtype=np.uint32)
    labels[maxima] = maxima
    neighbours = np.array([step for step in np.ndindex(3, 3, 3) if step != (1, 1, 1)]) - 1
    _, _, electrons, _ = get_weight_assignments(
        values,
        labels,
        np.zeros((values.size, 3), dtype=np.int8),
        values,
        np.flip(np.argsort(values, axis=None, kind="stable")),
        steps,
        ratios,
        neighbours,
        np.linalg.norm(neighbours @ voxel, axis=1),
        is_maximum,
        maxima.astype(np.uint32),
    )
    ours = bader_charges(cube, method="weight").electrons
    np.testing.assert_allclose(np.sort(electrons) * cube.voxel_volume, np.sort(ours), atol=1e-4)


def test_facets_of_the_voronoi_cell():
    """A cube has six of ratio 1; the rhombic dodecahedron of the face-centred lattice twelve."""
    steps, ratios = voronoi_neighbours(np.eye(3))
    assert sorted(np.abs(steps).sum(axis=1)[ratios > 1e-9]) == [1] * 6
    np.testing.assert_allclose(ratios[ratios > 1e-9], 1.0)
    _, ratios = voronoi_neighbours(np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]))
    assert (ratios > 1e-9).sum() == 12
    np.testing.assert_allclose(ratios[ratios > 1e-9], np.sqrt(2) / 8 / np.sqrt(0.5))


def test_oblique_cells_are_refused_by_the_weight_method():
    cube = model()
    cell = cube.cell.copy()
    cell[2] += 9 * cell[0]
    oblique = Cube(cell, cube.numbers, cube.positions, cube.values)
    with pytest.raises(BaderError, match="too oblique"):
        bader_charges(oblique, method="weight")


def test_a_nucleus_between_the_points_is_one_basin(method):
    """Eight equal points around it."""
    fractional = np.array([[0.5, 0.5, 0.5], [1 / 16, 1 / 16, 1 / 16]]) + 0.5 / 16
    cell = 4.0 * np.eye(3)
    values = gaussian_density(cell, fractional, np.array([1.0, 2.0]), np.array([0.5, 0.5]), (16, 16, 16))
    result = bader_charges(Cube(cell, np.array([14, 8]), fractional @ cell, values.round(5)), method=method)
    assert result.n_basins.tolist() == [1, 1]
    assert result.electrons.sum() == pytest.approx(result.n_electrons)


def test_unknown_method():
    with pytest.raises(BaderError, match=r"unknown method `voronoi`\. Valid: weight, neargrid, ongrid"):
        bader_charges(model(), method="voronoi")


def test_reference_decides_where_the_electrons_belong():
    """Electrons that lie entirely off their nucleus are counted by the basins of the reference."""
    reference = model()
    moved = FRACTIONAL.copy()
    moved[0] += np.array([0.7, 0.0, 0.0]) @ np.linalg.inv(CELL)
    charge = Cube(
        reference.cell,
        reference.numbers,
        reference.positions,
        gaussian_density(CELL, moved, ELECTRONS, np.full(3, 0.2), SHAPE),
    )
    np.testing.assert_allclose(bader_charges(charge, reference).electrons, ELECTRONS, rtol=0.01)
    alone = bader_charges(charge)
    assert alone.basin_distances_A[0] == pytest.approx(0.7, abs=0.2)
    assert alone.n_electrons_non_nuclear == pytest.approx(ELECTRONS[0], rel=0.02)


def test_atom_without_a_maximum_is_told():
    cube = model()
    positions = np.vstack([cube.positions, np.array([[0.85, 0.95, 0.55]]) @ CELL])
    result = bader_charges(Cube(cube.cell, np.full(4, 14), positions, cube.values))
    assert result.n_basins[3] == 0
    assert result.electrons[3] == 0.0
    assert np.isinf(result.basin_distances_A[3])


def test_different_grids_are_refused():
    with pytest.raises(BaderError, match="same cell, atoms and grid"):
        bader_charges(model(), model(shape=(24, 30, 36)))


def test_no_atoms():
    cube = model()
    with pytest.raises(BaderError, match="without atoms"):
        bader_charges(Cube(cube.cell, cube.numbers[:0], cube.positions[:0], cube.values))


def test_nearest_atom_across_the_boundary():
    cell = np.array([[3.0, 0.0, 0.0], [-2.9, 3.0, 0.0], [0.0, 0.0, 10.0]])  # oblique: rounding is not enough
    positions = np.array([[0.1, 0.1, 0.1], [0.0, 1.5, 5.0]])
    points = np.array([[0.1, 0.1, 9.9], [0.0, 1.5, 6.0], [0.1, 0.1, 0.1]] @ np.eye(3)) + cell[1] - 2 * cell[2]
    index, distance = nearest_atoms(points, positions, cell)
    assert index.tolist() == [0, 1, 0]
    np.testing.assert_allclose(distance, [0.2, 1.0, 0.0], atol=1e-9)

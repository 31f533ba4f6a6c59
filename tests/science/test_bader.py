"""Partition of model densities whose electrons are known."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.science.bader import BaderError, bader_charges, gaussian_density, nearest_atoms
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


@pytest.fixture(scope="module")
def charges():
    """Return the charges of the model."""
    return bader_charges(model())


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


def test_order_of_the_atoms_is_kept():
    order = [2, 0, 1]
    permuted = bader_charges(model(ELECTRONS[order], WIDTHS[order], FRACTIONAL[order]))
    np.testing.assert_allclose(permuted.electrons, ELECTRONS[order], rtol=0.01)


@pytest.mark.parametrize("axes", [(1, 2, 0), (2, 0, 1)])
def test_axes_can_be_exchanged(charges, axes):
    """The same density with its lattice vectors in another order gives the same charges."""
    cube = model()
    turned = Cube(cube.cell[list(axes)], cube.numbers, cube.positions, np.transpose(cube.values, axes))
    np.testing.assert_allclose(bader_charges(turned).electrons, charges.electrons, rtol=2e-3)


def test_equivalent_atoms_are_equal():
    """Four atoms on a face-centred lattice of an orthorhombic cell."""
    fractional = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) + 0.05
    cube = model(np.ones(4), np.full(4, 0.6), fractional, np.diag([5.0, 6.0, 7.0]), (20, 24, 32))
    electrons = bader_charges(cube).electrons
    np.testing.assert_allclose(electrons, 1.0, atol=0.02)


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

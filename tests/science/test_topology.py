"""Bonds, angles, rings and voids of crystals, where they are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from matscipy.ffi import distances_on_graph, find_sp_rings

from aiida_siox.science.topology import (
    bond_angles,
    bond_lengths,
    bonds,
    largest_void,
    rings,
    rings_of_absorbers,
    void_fraction,
)
from tests import crystals
from tests.crystals import SIOX, with_bonds

CUTOFFS = SIOX.cutoffs
TETRAHEDRAL = np.degrees(np.arccos(-1 / 3))


def test_diamond():
    silicon = crystals.diamond_silicon()
    lengths = bond_lengths(silicon, CUTOFFS)
    np.testing.assert_allclose(lengths["Si-Si"], [5.431 * np.sqrt(3) / 4] * 16)
    assert len(lengths["Si-O"]) == len(lengths["O-O"]) == 0
    angles = bond_angles(silicon, CUTOFFS)
    np.testing.assert_allclose(angles["Si-Si-Si"], [TETRAHEDRAL] * 8 * 6)
    assert rings(silicon, SIOX, 10) == {6: 2.0}, "each atom is in twelve of six"
    # the tetrahedral interstice is as far from its neighbours as a bond is long
    assert largest_void(silicon) == pytest.approx(5.431 * np.sqrt(3) / 4)


def test_silica_crystals():
    cristobalite, quartz = crystals.beta_cristobalite(), crystals.alpha_quartz()
    angles = bond_angles(cristobalite, CUTOFFS)
    np.testing.assert_allclose(angles["Si-O-Si"], [180] * 16)
    np.testing.assert_allclose(angles["O-Si-O"], [TETRAHEDRAL] * 48)
    assert rings(cristobalite, SIOX, 14) == {12: 2.0}, "six silicon atoms each"
    # known of quartz: 6 rings of six and 40 of eight silicon go through each
    assert rings(quartz, SIOX, 16) == {12: 1.0, 16: 5.0}
    assert rings(quartz, SIOX, 15) == {12: 1.0}
    assert rings_of_absorbers(quartz, SIOX, 8) == {6: 1.0, 8: 5.0}
    assert rings_of_absorbers(cristobalite, SIOX, 8) == {6: 2.0}
    lengths = bond_lengths(quartz, CUTOFFS)["Si-O"]
    assert len(lengths) == 12
    assert lengths.mean() == pytest.approx(1.609, abs=0.003)
    assert bond_angles(quartz, CUTOFFS)["Si-O-Si"].mean() == pytest.approx(143.7, abs=0.5)


def test_void_of_a_vacancy():
    """A missing atom leaves a sphere that reaches its neighbours."""
    silicon = crystals.diamond_silicon().repeat(2)
    del silicon[0]
    assert largest_void(silicon) == pytest.approx(2.352, abs=0.6)
    assert largest_void(silicon) >= 5.431 * np.sqrt(3) / 4 - 1e-6
    hollow = crystals.beta_cristobalite().repeat(2)
    centre = hollow.cell.array.sum(axis=0) / 2
    keep = np.linalg.norm(hollow.positions - centre, axis=1) > 5.0
    assert largest_void(hollow[keep]) > 5.0


def test_the_choice_of_the_cell_does_not_matter():
    quartz = crystals.alpha_quartz()
    large = quartz.repeat([2, 1, 2])
    assert largest_void(quartz) == pytest.approx(largest_void(large))
    for count in (rings, rings_of_absorbers):
        small, big = (count(atoms, SIOX, 16) for atoms in (quartz, large))
        assert small == pytest.approx(big)


def disordered(n_si: int, n_o: int, seed: int, edge: float) -> Atoms:
    """Return atoms that keep 1.5 Å of distance, at random places."""
    generator, kept = np.random.default_rng(seed), np.zeros((0, 3))
    while len(kept) < n_si + n_o:
        point = generator.uniform(0, edge, 3)
        apart = kept - point
        if (np.linalg.norm(apart - edge * np.round(apart / edge), axis=1) > 1.5).all():
            kept = np.vstack([kept, point])
    return Atoms(["Si"] * n_si + ["O"] * n_o, positions=kept, cell=[edge] * 3, pbc=True)


@pytest.mark.parametrize(("n_si", "n_o"), [(24, 0), (12, 20), (4, 30)])
@pytest.mark.parametrize("longest", [3, 4, 5, 8, 9, 12])
def test_rings_agree_with_matscipy_in_disorder(n_si, n_o, longest):
    """matscipy searches a cell so often repeated that no ring goes around it, and stops before the length given."""
    atoms = disordered(n_si, n_o, longest, 9.5)
    repeated = atoms.repeat(4)
    first, second, vector = bonds(repeated, CUTOFFS)
    distances = distances_on_graph(first.astype(np.int32), second.astype(np.int32))
    counts = find_sp_rings(first.astype(np.int32), second.astype(np.int32), vector, distances, longest + 1)
    expected = {n: count / (64 * n_si) for n, count in enumerate(counts) if count and n <= longest}
    assert rings(atoms, SIOX, longest) == pytest.approx(expected)
    assert expected or n_o


def molecule(symbols: str, positions: list[list[float]]) -> Atoms:
    return Atoms(symbols, positions=positions, cell=[20] * 3, pbc=True)


def test_small_rings_by_hand():
    square = molecule("SiOSiO", [[0, 0, 0], [1.6, 0, 0], [1.6, 1.6, 0], [0, 1.6, 0]])
    shorter = with_bonds(SiSi=2.2)
    assert rings(square, shorter, 8) == {4: 0.5}
    assert rings_of_absorbers(square, shorter, 4) == {2: 0.5}, "two tetrahedra that share an edge"
    # a bond under an oxygen bridge: one ring of three atoms, two of the silicon
    assert rings(square, with_bonds(SiSi=2.4), 8) == {3: 1.0}
    star = molecule("OSi3", [[0, 0, 0], [1.7, 0, 0], [-0.85, 1.47, 0], [-0.85, -1.47, 0]])
    assert rings(star, SIOX, 8) == rings_of_absorbers(star, SIOX, 8) == {}
    assert rings(molecule("Si2", [[0, 0, 0], [5, 5, 5]]), SIOX, 16) == {}
    # a chain that closes through the boundary of the cell is no ring
    chain = Atoms("Si2", positions=[[0, 0, 0], [2.4, 0, 0]], cell=[4.8, 20, 20], pbc=True)
    assert rings(chain, SIOX, 16) == {}
    with pytest.raises(ValueError, match="no Si"):
        rings(molecule("O2", [[0, 0, 0], [1.2, 0, 0]]), SIOX, 8)


@pytest.mark.parametrize("distance", [0.8, 1.1])
def test_void_fraction_of_a_simple_cell(distance):
    """One atom in a cube, spheres that do not overlap: 1 − 4π d³/3 / a³; in a larger cell the same."""
    cell = Atoms("Si", positions=[[0.4, 1.0, 2.0]], cell=[2.4] * 3, pbc=True)
    expected = 1 - 4 / 3 * np.pi * distance**3 / 2.4**3
    assert void_fraction(cell, distance) == pytest.approx(expected, abs=0.03)
    assert void_fraction(cell.repeat((4, 3, 5)), distance) == pytest.approx(expected, abs=0.02)


def test_void_fraction_does_not_depend_on_the_vectors_of_the_cell():
    """Nor on where the origin is; far beyond the cell's own length it is none."""
    atoms = crystals.alpha_quartz()
    skewed = atoms.copy()
    skewed.set_cell([atoms.cell[0], atoms.cell[1] + 2 * atoms.cell[0], atoms.cell[2]])
    moved = atoms.copy()
    moved.translate([0.37, 0.11, 0.23])
    found = [void_fraction(each.repeat((2, 2, 2)), 1.7) for each in (atoms, skewed, moved)]
    assert found == pytest.approx([found[0]] * 3, rel=0.03)
    assert 0 < found[0] < 1
    assert void_fraction(atoms, largest_void(atoms) + 0.01) == 0
    assert void_fraction(atoms, largest_void(atoms) - 0.3) > 0

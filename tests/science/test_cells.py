"""Crystals and random starting cells."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.science import cells
from aiida_siox.science.cells import density_g_cm3
from aiida_siox.science.composition import parse_formula
from aiida_siox.science.neighbours import coordination, neighbour_pairs
from tests import crystals
from tests.crystals import SIOX, alpha_quartz, beta_cristobalite, diamond_silicon

PAPER = ["Si160", "Si180O45", "Si150O75", "Si120O90", "Si100O100", "Si100O125", "Si96O144", "Si80O140", "Si72O144"]
#: Of which starting cells can be made.
RECTANGULAR = ["beta-cristobalite", "rectangular-quartz"]


def starting_cell(formula, density, seed, crystal="beta-cristobalite"):
    return cells.starting_cell(formula, density, seed, crystal, SIOX)


def test_alpha_quartz():
    quartz = alpha_quartz()
    assert quartz.get_chemical_symbols() == ["Si"] * 3 + ["O"] * 6
    np.testing.assert_allclose(quartz.cell.cellpar(), [4.9134, 4.9134, 5.4052, 90, 90, 120])
    np.testing.assert_allclose(quartz.get_scaled_positions()[0], [0.4697, 0, 2 / 3], atol=1e-9)
    assert density_g_cm3(quartz) == pytest.approx(2.649, abs=1e-3)
    _, _, distance = neighbour_pairs(quartz, 1.8)
    np.testing.assert_allclose(np.unique(distance.round(4)), [1.6039, 1.6132], atol=1e-4)


def test_diamond_and_cristobalite():
    silicon = diamond_silicon()
    assert len(silicon) == 8
    assert density_g_cm3(silicon) == pytest.approx(2.329, abs=1e-3)
    cristobalite = beta_cristobalite()
    assert cristobalite.get_chemical_symbols().count("Si") == 8
    assert len(cristobalite) == 24


@pytest.mark.parametrize("name", RECTANGULAR)
def test_crystals_are_rectangular_silica(name):
    atoms = cells.reference_crystal(SIOX, name)
    np.testing.assert_allclose(atoms.cell.array, np.diag(np.diag(atoms.cell.array)), atol=1e-9)
    neighbours = coordination(atoms, SIOX.cutoffs)
    silicon = atoms.numbers == 14
    assert set(neighbours["O"][silicon]) == {4}
    assert set(neighbours["Si"][~silicon]) == {2}


@pytest.mark.parametrize("formula", [*PAPER, "Si14", "Si8O4", "Si4O8"])
@pytest.mark.parametrize("crystal", RECTANGULAR)
def test_starting_cell_has_formula_and_density(formula, crystal):
    atoms = starting_cell(formula, 2.3, seed=1, crystal=crystal)
    counts = parse_formula(formula, SIOX)
    assert atoms.get_chemical_symbols() == ["Si"] * counts["Si"] + ["O"] * counts["O"]
    assert density_g_cm3(atoms) == pytest.approx(2.3, rel=1e-9)
    assert atoms.pbc.all()
    assert neighbour_pairs(atoms, 5.0)[2].min() > 0.5


def test_the_seed_decides():
    first, again, other = (starting_cell("Si8O4", 2.4, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.positions, again.positions)
    assert not np.allclose(first.positions, other.positions)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Si8O-4", 2.4, 1), "count -4"),
        (("Si4O9", 2.4, 1), "at most Si4O8"),
        (("Si8O4", 24.0, 1), "density 24"),
        (("Si8O4", float("nan"), 1), "density nan"),
        (("Si8O4", -1.0, 1), "density -1"),
        (("Si8O4", 2.4, -1), "seed -1"),
        (
            ("Si8O4", 2.4, 1, "stishovite"),
            "siox has no crystal `stishovite`: .*Valid: beta-crist.*, silicon",
        ),
        (("Si8O4", 2.4, 1, "quartz"), "`quartz` is not rectangular"),
        (("Si8O4", 2.4, 1, "silicon"), "`silicon` has no O"),
    ],
)
def test_starting_cell_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        starting_cell(*arguments)


class TestReferenceCrystals:
    @pytest.mark.parametrize(
        ("compound", "supercell", "count"), [("quartz", [2, 2, 2], 72), ("silicon", [2, 2, 2], 64)]
    )
    def test_supercells(self, compound, supercell, count):
        assert len(cells.reference_crystal(SIOX, compound, supercell)) == count

    def test_unknown_compound(self):
        with pytest.raises(ValueError, match=r"siox has no crystal `glass`: .*Valid: .*quartz"):
            cells.reference_crystal(SIOX, "glass")

    @pytest.mark.parametrize("supercell", [[1, 1], [0, 1, 1], [1.0, 1, 1], [True, 1, 1]])
    def test_impossible_supercell(self, supercell):
        with pytest.raises(ValueError, match="three positive integers"):
            cells.reference_crystal(SIOX, "quartz", supercell)


class TestTransform:
    def test_nothing(self):
        quartz = crystals.alpha_quartz()
        assert cells.transform(quartz) == quartz

    def test_a_shift_changes_no_distance(self):
        quartz = crystals.alpha_quartz()
        moved = cells.transform(quartz, shift_angstrom=[1.3, -0.4, 7.0])
        np.testing.assert_allclose(moved.get_all_distances(mic=True), quartz.get_all_distances(mic=True), atol=1e-10)
        assert np.all(moved.get_scaled_positions(wrap=False) < 1)

    def test_order(self):
        quartz = crystals.alpha_quartz()
        order = list(range(8, -1, -1))
        np.testing.assert_array_equal(cells.transform(quartz, order=order).positions, quartz.positions[::-1])
        with pytest.raises(ValueError, match="each of the 9 atoms once"):
            cells.transform(quartz, order=[0] * 9)

    def test_a_vacancy_in_a_supercell(self):
        left = cells.transform(crystals.alpha_quartz(), supercell=[1, 1, 2], remove=[17])
        assert left.get_chemical_symbols().count("O") == 11
        with pytest.raises(ValueError, match=r"names the atoms \[18\], but the cell has 18"):
            cells.transform(crystals.alpha_quartz(), supercell=[1, 1, 2], remove=[18])


def test_mesh_from_distance_is_that_of_aiida():
    from aiida.orm import KpointsData

    for atoms in (crystals.alpha_quartz(), crystals.diamond_silicon(), crystals.alpha_quartz().repeat((2, 1, 3))):
        for distance in (0.21, 0.48, 0.8, 1.5):
            kpoints = KpointsData()
            kpoints.set_cell(atoms.cell.array)
            kpoints.set_kpoints_mesh_from_density(distance=distance)
            assert list(cells.mesh_from_distance(atoms.cell, distance)) == kpoints.get_kpoints_mesh()[0]


def test_a_starting_cell_is_never_the_crystal():
    """Si8O16 would take every site of the cell of β-cristobalite: no seed would change anything."""
    first, second = (starting_cell("Si8O16", 2.2, seed) for seed in (1, 2))
    assert np.abs(first.positions - second.positions).max() > 0.5

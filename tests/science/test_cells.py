"""Crystals and random starting cells."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.science.cells import (
    CRYSTALS,
    alpha_quartz,
    beta_cristobalite,
    density_g_cm3,
    diamond_silicon,
    starting_cell,
)
from aiida_siox.science.composition import parse_formula
from aiida_siox.science.neighbours import coordination, neighbour_pairs

PAPER = ["Si160", "Si180O45", "Si150O75", "Si120O90", "Si100O100", "Si100O125", "Si96O144", "Si80O140", "Si72O144"]


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


@pytest.mark.parametrize("name", CRYSTALS)
def test_crystals_are_rectangular_silica(name):
    atoms = CRYSTALS[name]()
    np.testing.assert_allclose(atoms.cell.array, np.diag(np.diag(atoms.cell.array)), atol=1e-9)
    n_oxygen, n_silicon = coordination(atoms, 2.0, 2.8)
    silicon = atoms.numbers == 14
    assert set(n_oxygen[silicon]) == {4}
    assert set(n_silicon[~silicon]) == {2}


@pytest.mark.parametrize("formula", [*PAPER, "Si14", "Si8O4", "Si4O8"])
@pytest.mark.parametrize("crystal", CRYSTALS)
def test_starting_cell_has_formula_and_density(formula, crystal):
    atoms = starting_cell(formula, 2.3, seed=1, crystal=crystal)
    counts = parse_formula(formula)
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
        (("Si8O4", 2.4, 1, "stishovite"), "unknown crystal `stishovite`. Valid: alpha-quartz, beta-cristobalite"),
    ],
)
def test_starting_cell_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        starting_cell(*arguments)

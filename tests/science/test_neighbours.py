"""Neighbours and coordination."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from aiida_siox.science.neighbours import (
    coordination,
    coordination_histogram,
    count_bonds,
    neighbour_pairs,
    pair_distributions,
    shortest_distances,
)
from tests.crystals import SIOX, alpha_quartz, beta_cristobalite, diamond_silicon


@pytest.mark.parametrize("seed", range(10))
def test_pairs_agree_with_ase_in_tiny_skewed_cells(seed):
    """The cutoff of 6 Å is larger than the cell, and atoms lie outside of it."""
    generator = np.random.default_rng(seed)
    n_atoms = int(generator.integers(1, 6))
    cell = np.eye(3) * 2.8 + generator.normal(0, 0.5, (3, 3))
    atoms = Atoms("Si" * n_atoms, positions=generator.uniform(-8, 8, (n_atoms, 3)), cell=cell, pbc=True)
    first, second, distance = neighbour_pairs(atoms, 6.0)
    reference = neighbor_list("ijd", atoms, 6.0)
    assert sorted(zip(first, second, distance.round(6), strict=True)) == sorted(
        zip(*reference[:2], reference[2].round(6), strict=True)
    )
    assert (np.diff(first) >= 0).all()


def test_self_images_count():
    atoms = Atoms("Si", cell=[2.5, 2.5, 2.5], pbc=True)
    _, _, distance = neighbour_pairs(atoms, 3.6)
    np.testing.assert_allclose(np.sort(distance), [2.5] * 6 + [2.5 * np.sqrt(2)] * 12)


def test_coordination_of_crystals():
    quartz = alpha_quartz()
    neighbours = coordination(quartz, SIOX.cutoffs)
    assert list(neighbours) == ["Si", "O"]
    np.testing.assert_array_equal(neighbours["O"], [4] * 3 + [0] * 6)
    np.testing.assert_array_equal(neighbours["Si"], [0] * 3 + [2] * 6)
    by_oxygen, total = coordination_histogram(diamond_silicon(), SIOX)
    assert by_oxygen == {"0": 8, "1": 0, "2": 0, "3": 0, "4": 0}
    assert total["4"] == 8


def test_mixed_coordination():
    """One Si with one Si and one O neighbour, in a large cell."""
    atoms = Atoms("Si2O", positions=[[0, 0, 0], [2.4, 0, 0], [0, 1.65, 0]], cell=[15] * 3, pbc=True)
    neighbours = coordination(atoms, SIOX.cutoffs)
    np.testing.assert_array_equal(neighbours["O"], [1, 0, 0])
    np.testing.assert_array_equal(neighbours["Si"], [1, 1, 1])
    by_oxygen, total = coordination_histogram(atoms, SIOX)
    assert by_oxygen == {"0": 1, "1": 1, "2": 0, "3": 0, "4": 0}
    assert total == {"0": 0, "1": 1, "2": 1, "3": 0, "4": 0}


def test_oxygen_bonds():
    atoms = Atoms("SiO2", positions=[[0, 0, 0], [5, 5, 5], [5, 5, 6.2]], cell=[15] * 3, pbc=True)
    assert count_bonds(atoms, "O", 1.8) == 1
    assert count_bonds(beta_cristobalite(), "O", 1.8) == 0
    np.testing.assert_array_equal(coordination(atoms, SIOX.cutoffs)["O"], [0, 1, 1])
    cutoffs = {pair: longest for pair, longest in SIOX.cutoffs.items() if pair != ("O", "O")}
    np.testing.assert_array_equal(coordination(atoms, cutoffs)["O"], [0, 0, 0])


def test_shortest_distances():
    shortest = shortest_distances(alpha_quartz(), SIOX.elements, 3.5)
    assert shortest["Si-O"] == pytest.approx(1.604, abs=1e-3)
    assert shortest["O-O"] == pytest.approx(2.611, abs=1e-3)
    assert shortest_distances(diamond_silicon(), SIOX.elements, 3.5)["O-O"] is None


def test_pair_distributions_of_a_random_gas_are_one():
    """In a cell of 12 Å up to 9 Å, beyond half its length."""
    positions = np.random.default_rng(3).uniform(0, 12, (600, 3))
    gas = Atoms("Si200O400", positions=positions, cell=[12] * 3, pbc=True)
    r, found = pair_distributions(gas, SIOX.elements, 9.0, 90, 0.1)
    assert list(found) == ["total", "Si-Si", "Si-O", "O-O"]
    for name, values in found.items():
        assert values[r > 2].mean() == pytest.approx(1, abs=0.02), name
    assert r[0] == pytest.approx(0.05)


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.2])
def test_pair_distributions_count_neighbours(sigma):
    """The integral of 4πr²ρ_O g_SiO is the number of O around Si, and of Si around Si with ρ_Si."""
    quartz = alpha_quartz()
    r, found = pair_distributions(quartz, SIOX.elements, 3.5, 700, sigma)
    shell = 4 * np.pi * r**2 * (r[1] - r[0]) / quartz.get_volume()
    assert (shell * 6 * found["Si-O"])[r < 2.6].sum() == pytest.approx(4, rel=2e-3)
    assert (shell * 3 * found["Si-Si"]).sum() == pytest.approx(4, rel=0.05)
    peak = r[np.argmax((r**2 * found["Si-O"])[r < 2.6])]
    assert peak == pytest.approx(1.61, abs=0.01)


def test_broadening_is_a_gaussian():
    pair = Atoms("SiO", positions=[[0, 0, 0], [3, 0, 0]], cell=[30] * 3, pbc=True)
    r, found = pair_distributions(pair, SIOX.elements, 6.0, 600, 0.2)
    counts = found["Si-O"] * 4 * np.pi * r**2 / 30**3
    np.testing.assert_allclose(counts, np.exp(-0.5 * ((r - 3) / 0.2) ** 2) / (0.2 * np.sqrt(2 * np.pi)), atol=1e-3)
    cut = pair_distributions(pair, SIOX.elements, 3.0, 300, 0.2)[1]["Si-O"]
    np.testing.assert_allclose(cut, found["Si-O"][:300], rtol=1e-9, atol=1e-12)
    assert list(pair_distributions(diamond_silicon(), SIOX.elements, 3.0, 30, 0.1)[1]) == ["total", "Si-Si"]


@pytest.mark.parametrize("arguments", [(0.0, 10, 0.1), (5.0, 0, 0.1), (5.0, 10, -0.1)])
def test_impossible_histograms(arguments):
    with pytest.raises(ValueError, match="positive"):
        pair_distributions(alpha_quartz(), SIOX.elements, *arguments)

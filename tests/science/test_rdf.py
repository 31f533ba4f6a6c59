"""The radial distribution function seen from one atom, against what can be known without the code."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from aiida_siox.science.cells import alpha_quartz, diamond_silicon
from aiida_siox.science.rdf import bin_centres, site_rdf


def neighbours_below(r, g, density):
    """Return ∫ 4π r² ρ g dr over all bins: the number of neighbours."""
    return np.sum(4 * np.pi * r**2 * density * g, axis=-1) * (r[1] - r[0])


def test_bins():
    r = bin_centres(5.0, 256)
    assert r[0] == pytest.approx(0.5 * 5 / 256)
    assert r[-1] == pytest.approx(255.5 * 5 / 256)


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.15])
def test_shells_of_silicon(sigma):
    """4 neighbours at a√3/4, 12 at a/√2, 12 at a√11/4; the next shell lies at a."""
    silicon = diamond_silicon()
    density = 8 / silicon.get_volume()
    r, g = site_rdf(silicon, range(8), r_max=4.9, n_bins=490, sigma=sigma)
    counts = 4 * np.pi * r**2 * density * g * 0.01
    shells = [(2.3517, 4), (3.8403, 12), (4.5032, 12)]
    for radius, number in shells[:1] if sigma == 0.15 else shells:  # the others overlap
        near = np.abs(r - radius) < max(0.3, 4.5 * sigma)
        assert counts[0, near].sum() == pytest.approx(number, abs=0.01)
        assert r[near][np.argmax(counts[0, near])] == pytest.approx(radius, abs=0.011)
    np.testing.assert_allclose(g, np.broadcast_to(g[0], g.shape), atol=1e-9)


def test_integral_counts_neighbours():
    quartz = alpha_quartz()
    density = 9 / quartz.get_volume()
    r, g = site_rdf(quartz, [0, 1, 2], r_max=2.1, n_bins=200, sigma=0.05)
    np.testing.assert_allclose(neighbours_below(r, g, density), 4, atol=1e-3)


def test_tails_come_in_from_behind_r_max():
    """Silicon has 16 neighbours in two shells to 4 Å; a Gaussian at 4.503 Å reaches below 4.4 Å."""
    silicon = diamond_silicon()
    r, g = site_rdf(silicon, [0], r_max=4.4, n_bins=440, sigma=0.15)
    density = 8 / silicon.get_volume()
    behind = 12 * 0.2457  # Φ((4.4 − 4.5032) / 0.15)
    assert neighbours_below(r, g, density)[0] == pytest.approx(16 + behind, abs=0.05)


@pytest.mark.parametrize("repeat", [1, 2])
def test_tiny_cells_count_self_images(repeat):
    """A primitive cell, smaller than r_max, gives what its supercell gives."""
    quartz = alpha_quartz()
    _, small = site_rdf(quartz, [0, 4])
    supercell = quartz.repeat(repeat)
    _, large = site_rdf(supercell, [0, 4])
    np.testing.assert_allclose(small, large, atol=1e-9)
    single = Atoms("Si", cell=[2.5] * 3, pbc=True)
    r, g = site_rdf(single, [0], r_max=3.0, n_bins=300, sigma=0.05)
    assert neighbours_below(r, g, 1 / 2.5**3)[0] == pytest.approx(6, abs=0.01)


def test_random_gas_goes_to_one():
    generator = np.random.default_rng(7)
    atoms = Atoms("Si1000O1000", positions=generator.uniform(0, 30, (2000, 3)), cell=[30] * 3, pbc=True)
    r, g = site_rdf(atoms, range(2000))
    mean = g.mean(axis=0)
    assert mean[(r > 1)].mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(mean[r > 2], 1, atol=0.05)
    _, oxygen = site_rdf(atoms, range(2000), pair="Si-O")
    assert oxygen.mean(axis=0)[r > 2].mean() == pytest.approx(0.5, abs=0.01)


def test_pairs_add_up():
    quartz = alpha_quartz()
    parts = [site_rdf(quartz, [0, 1], pair=pair)[1] for pair in ("total", "Si-O", "Si-Si")]
    np.testing.assert_allclose(parts[0], parts[1] + parts[2], atol=1e-12)
    assert parts[1].max() > 1
    assert parts[2].max() > 1


def test_broadening_goes_to_the_histogram():
    quartz = alpha_quartz()
    _, histogram = site_rdf(quartz, [0], sigma=0.0, n_bins=25)
    _, narrow = site_rdf(quartz, [0], sigma=1e-4, n_bins=25)
    np.testing.assert_allclose(narrow, histogram, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pair": "O-O"}, "unknown pair `O-O`"),
        ({"indices": [9]}, "site 9 is not in a cell of 9 atoms"),
        ({"indices": [-1]}, "site -1 is not"),
        ({"sigma": -0.1}, "sigma -0.1"),
        ({"n_bins": 0}, "n_bins 0"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        site_rdf(alpha_quartz(), **{"indices": [0], **arguments})

"""The radial distribution function seen from one atom, against what can be known without the code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from scipy.special import ndtr

from aiida_siox.science import rdf
from aiida_siox.science.rdf import bin_centres
from tests.crystals import alpha_quartz, diamond_silicon

PAIRS = {"total": (14, 8), "Si-O": (8,), "Si-Si": (14,)}


def site_rdf(atoms, indices, **changes):
    return rdf.site_rdf(atoms, indices, **{"r_max": 5.0, "n_bins": 256, "sigma": 0.15, **changes})


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


def brute_force(atoms, site, r_max, n_bins, numbers):
    """Return the counts of the neighbours of an atom in every bin, over so many images that none is missed."""
    cell = atoms.cell.array
    # planes of the lattice are volume / |a × b| apart: that many cells, and one for atoms that lie outside theirs
    widths = atoms.get_volume() / np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    ranges = [range(-int(np.ceil(r_max / w)) - 2, int(np.ceil(r_max / w)) + 3) for w in widths]
    images = np.array(list(itertools.product(*ranges))) @ cell
    scaled = atoms.get_scaled_positions(wrap=True) @ cell
    offsets = scaled[None, :, :] + images[:, None, :] - scaled[site]
    distances = np.linalg.norm(offsets, axis=2)[:, np.isin(atoms.numbers, numbers)].ravel()
    return np.histogram(distances[distances > 1e-9], bins=np.linspace(0, r_max, n_bins + 1))[0]


def skewed(seed):
    """Return Si and O at random in a skewed cell with edges of 2.5 to 4 Å, some of the atoms outside of it."""
    generator = np.random.default_rng(seed)
    cell = np.diag(generator.uniform(2.5, 4.0, 3)) + np.tril(generator.uniform(-1.5, 1.5, (3, 3)), -1)
    n_silicon, n_oxygen = generator.integers(1, 3), generator.integers(1, 4)
    positions = generator.uniform(-6, 6, (n_silicon + n_oxygen, 3))
    return Atoms(f"Si{n_silicon}O{n_oxygen}", positions=positions, cell=cell, pbc=True)


@pytest.mark.parametrize("pair", list(PAIRS))
@pytest.mark.parametrize("seed", range(5))
def test_histogram_is_what_brute_force_counts(seed, pair):
    """Cells far below 5 Å: every image, of the atom itself too, and for each pair the density of all atoms."""
    atoms = skewed(seed)
    r, g = site_rdf(atoms, range(len(atoms)), sigma=0.0, pair=pair)
    density = len(atoms) / atoms.get_volume()
    counts = 4 * np.pi * r**2 * density * g * (5.0 / 256)
    for site in range(len(atoms)):
        expected = brute_force(atoms, site, 5.0, 256, PAIRS[pair])
        assert expected.sum() > 5
        np.testing.assert_allclose(counts[site], expected, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.05, 0.15, 0.4])
def test_broadened_is_the_sum_of_the_gaussians_of_all_pairs(sigma):
    """Against pairs far beyond r_max + 4 σ: what is cut off there is less than one count in ten thousand."""
    atoms = skewed(3)
    r, g = site_rdf(atoms, [0], sigma=sigma)
    fine = brute_force(atoms, 0, 5.0 + 7 * sigma, 40_000, (14, 8))
    distances = np.repeat((np.arange(40_000) + 0.5) * (5.0 + 7 * sigma) / 40_000, fine)
    edges = np.linspace(0, 5, 257)
    expected = np.diff(ndtr((edges[:, None] - distances[None]) / sigma).sum(axis=1))
    density = len(atoms) / atoms.get_volume()
    counts = 4 * np.pi * r**2 * density * g[0] * (5.0 / 256)
    np.testing.assert_allclose(counts, expected, atol=1e-3 * expected.max())
    assert counts.sum() == pytest.approx(expected.sum(), rel=1e-4)


def test_shells_of_silicon_are_broadened_counts():
    """Neighbours up to R are Σ shells · Φ((R − r) / σ), with shells known to 6.65 Å, tails behind R included."""
    silicon = diamond_silicon()
    a, sigma, r_max = 5.431, 0.15, 5.0
    shells = {3: 4, 8: 12, 11: 12, 16: 6, 19: 12, 24: 24}  # (4 r / a)²: neighbours
    _, g = site_rdf(silicon, [0], sigma=sigma)
    r = bin_centres(r_max, 256)
    below = np.cumsum(4 * np.pi * r**2 * (8 / a**3) * g[0] * (r_max / 256))
    edges = np.arange(1, 257) * (r_max / 256)
    expected = sum(count * ndtr((edges - a / 4 * np.sqrt(n)) / sigma) for n, count in shells.items())
    np.testing.assert_allclose(below, expected, atol=2e-3)


def test_normalised_by_all_atoms_whatever_the_pair():
    """Oxygen that is put into a cell of silicon raises ρ and so lowers Si–Si, though no Si has moved."""
    silicon = diamond_silicon()
    with_oxygen = silicon + Atoms("O4", positions=np.random.default_rng(0).uniform(0, 5, (4, 3)))
    _, alone = site_rdf(silicon, [0], pair="Si-Si")
    _, mixed = site_rdf(with_oxygen, [0], pair="Si-Si")
    np.testing.assert_allclose(mixed, alone * 8 / 12, atol=1e-12)


def test_random_gases_go_to_one():
    """The mean over seeds lies within five of its standard errors in every bin of a histogram."""
    n_gases, n_atoms, n_bins, edge = 20, 400, 10, 12.0
    means = []
    for seed in range(n_gases):
        positions = np.random.default_rng(seed).uniform(0, edge, (n_atoms, 3))
        atoms = Atoms(f"Si{n_atoms // 2}O{n_atoms // 2}", positions=positions, cell=[edge] * 3, pbc=True)
        means.append(site_rdf(atoms, range(n_atoms), n_bins=n_bins, sigma=0.0)[1].mean(axis=0))
    # an atom sees the n − 1 others, and bins count shells, 1 + 1 / (12 (i + ½)²) of 4π r² Δr
    expected = (1 - 1 / n_atoms) * (1 + 1 / (12 * (np.arange(n_bins) + 0.5) ** 2))
    error = np.std(means, axis=0, ddof=1) / np.sqrt(n_gases)
    assert (np.abs(np.mean(means, axis=0) - expected) < 5 * error).all()
    assert error[4:].max() < 0.01


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
        ({"pair": "Si-Q"}, "unknown pair `Si-Q`"),
        ({"indices": [9]}, "site 9 is not in a cell of 9 atoms"),
        ({"indices": [-1]}, "site -1 is not"),
        ({"sigma": -0.1}, "sigma -0.1"),
        ({"n_bins": 0}, "n_bins 0"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        site_rdf(alpha_quartz(), **{"indices": [0], **arguments})

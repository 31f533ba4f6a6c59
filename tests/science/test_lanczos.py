"""Spectra from Lanczos coefficients: exact chains, the cut of the occupied states, and xspectra's own files."""

from __future__ import annotations

import dataclasses
import gzip

import numpy as np
import pytest
from scipy.integrate import quad

from aiida_siox.parsers.raw.xspectra import parse_save_file, parse_spectrum
from aiida_siox.science.constants import RYDBERG_QE_EV
from aiida_siox.science.lanczos import (
    INVERSE_FINE_STRUCTURE,
    LanczosCoefficients,
    graded_log_nodes,
    green_function,
    spectrum_from_coefficients,
    terminator,
)
from aiida_siox.science.spectra import l1_distance


@pytest.fixture(scope="module")
def engine(fixtures_path):
    """Return coefficients, energies, cross-section and energy zero of a real run of xspectra.x 6.7."""
    folder = fixtures_path / "xspectra" / "c_axis"
    saved = parse_save_file(gzip.decompress((folder / "lanczos_0.sav.gz").read_bytes()).decode())
    energy, sigma = parse_spectrum(gzip.decompress((folder / "xanes_0.dat.gz").read_bytes()).decode())
    coefficients = LanczosCoefficients(
        **{key: saved[key] for key in ("a", "b", "norm", "n_iterations", "core_energy_eV")},
        weights=np.array([2.0]),
        check_interval=50,
        gamma_eV=0.8,
    )
    return coefficients, energy, sigma, saved["fermi_energy_eV"]


def chain(n: int = 400, a: float = 1.0, b: float = 0.5) -> LanczosCoefficients:
    """Return a chain of constant coefficients, whose spectrum is a half circle of radius 2b around a."""
    return LanczosCoefficients(
        a=np.full((1, n), a),
        b=np.full((1, n), b),
        norm=np.ones(1),
        n_iterations=np.array([n]),
        weights=np.array([2.0]),
        core_energy_eV=1839.0,
        check_interval=10,
        gamma_eV=0.01,
    )


def half_circle(x, a=1.0, b=0.5):
    """Return π times the density of states of the endless chain."""
    return np.sqrt(np.maximum(4 * b * b - (x - a) ** 2, 0.0)) / (2 * b * b)


def prefactor(energy_Ry):
    return 2 * 4 * np.pi / INVERSE_FINE_STRUCTURE * (energy_Ry + 1839.0 / RYDBERG_QE_EV)


def test_engine_spectrum_is_reproduced(engine):
    """Same cut, same normalisation: the rest is the eight decimals of the file."""
    coefficients, energy, sigma, zero = engine
    ours = spectrum_from_coefficients(coefficients, energy, zero, smooth_eV=0.1)
    assert np.abs(ours - sigma).max() < 5e-6 * sigma.max()


def test_cut_matters(engine):
    """Without the cut, the valence band is there."""
    coefficients, energy, sigma, zero = engine
    ours = spectrum_from_coefficients(coefficients, energy, zero, cut_occupied=False)
    occupied = energy < -1
    assert ours[occupied].max() > 5 * sigma[occupied].max()
    assert np.abs(ours - sigma)[energy > 40].max() < 0.02 * sigma.max()


def test_grid_does_not_matter(engine):
    """The cross-section at an energy does not depend on the other energies that are asked for."""
    coefficients, energy, _, zero = engine
    full = spectrum_from_coefficients(coefficients, energy, zero, smooth_eV=0.1)
    part = spectrum_from_coefficients(coefficients, energy[150:200], zero, smooth_eV=0.1)
    np.testing.assert_allclose(part, full[150:200], rtol=1e-12)


def test_smoothing_only_bridges(engine):
    """The exact function is continuous at the energy zero: a narrower bridge changes next to nothing."""
    coefficients, _, sigma, zero = engine
    energy = np.linspace(-2, 2, 81)
    wide, narrow = (spectrum_from_coefficients(coefficients, energy, zero, smooth_eV=s) for s in (0.1, 0.02))
    assert np.abs(wide - narrow).max() < 1e-4 * sigma.max()


def test_endless_chain_is_a_half_circle():
    energy = np.linspace(0.2, 1.8, 33)
    sigma = spectrum_from_coefficients(chain(), energy * RYDBERG_QE_EV, 0.0, gamma_eV=0.01, cut_occupied=False)
    np.testing.assert_allclose(sigma, prefactor(energy) * half_circle(energy), rtol=5e-3)


def test_cut_is_the_convolution_of_what_lies_above():
    """Against the definition: the Lorentzian convolution of the half circle above the energy zero, by quadrature."""
    zero, gamma = 0.8, 0.06
    energy = np.array([-0.5, -0.2, 0.1, 0.4, 0.9, 1.5])
    sigma = spectrum_from_coefficients(
        chain(), energy * RYDBERG_QE_EV, zero * RYDBERG_QE_EV, gamma_eV=gamma * RYDBERG_QE_EV, smooth_eV=1e-3
    )
    expected = [
        quad(lambda x, e=e: half_circle(x) * gamma / np.pi / ((zero + e - x) ** 2 + gamma**2), zero, 2.0, limit=400)[0]
        for e in energy
    ]
    np.testing.assert_allclose(sigma, prefactor(zero + energy) * np.array(expected), rtol=2e-6)


def states(energies, strengths, zero=7.0):
    """Return coefficients of separate levels, eV above a zero: each is a k point whose chain ends at once."""
    n = len(energies)
    a = np.zeros((n, 4))
    a[:, 0] = (np.asarray(energies) + zero) / RYDBERG_QE_EV
    return LanczosCoefficients(
        a=a, b=np.zeros((n, 4)), norm=np.sqrt(strengths), n_iterations=np.full(n, 4), weights=np.full(n, 2 / n),
        core_energy_eV=1839.0, check_interval=2, gamma_eV=0.8,
    )  # fmt: skip


@pytest.mark.parametrize("cut", [0.3, 0.1, 0.45])
def test_cut_in_the_gap_leaves_every_empty_state_whole(cut):
    """Wherever it lies: the sum of the Lorentzians of the empty states, whatever the occupied ones are."""
    energy = np.linspace(-10.0, 20.0, 301)
    empty, strengths = np.array([0.6, 2.0, 9.0]), np.array([1.0, 3.0, 2.0])
    both = states([-3.0, 0.0, *empty], [5.0, 1.0, *strengths])
    found = spectrum_from_coefficients(both, energy, 7.0, cut_eV=cut, smooth_eV=0.02, use_terminator=False)
    lorentzians = 0.8 / ((energy[:, None] - empty) ** 2 + 0.64) * RYDBERG_QE_EV
    prefactor = 4 * np.pi / 137.04 * (energy + 7.0 + 1839.0) / RYDBERG_QE_EV
    expected = prefactor * (lorentzians @ strengths) * 2 / 5
    away = np.abs(energy - cut) > 0.03
    np.testing.assert_allclose(found[away], expected[away], rtol=2e-3, atol=1e-4 * expected.max())


def test_place_of_the_cut_matters_at_a_level_and_not_between():
    """0.03 eV, as a highest level may be off, at a level of a tenth of the white line, and in a gap of 0.6 eV."""
    energy = np.linspace(-10.0, 20.0, 301)
    coefficients = states([0.0, 0.6, 2.0, 3.0, 4.0, 6.0], [0.3, 0.5, 3.0, 3.0, 2.0, 1.0])

    def cut(place):
        return spectrum_from_coefficients(coefficients, energy, 7.0, cut_eV=place, smooth_eV=0.01, use_terminator=False)

    assert l1_distance(energy, cut(0.03), cut(0.0)) > 0.006
    assert l1_distance(energy, cut(0.315), cut(0.3)) < 1e-4


def test_green_function_of_a_matrix():
    """Without terminator the chain is a tridiagonal matrix, and G its resolvent."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=12), rng.uniform(0.3, 0.9, size=12)
    z = np.array([0.3 + 0.2j, -1.0 + 0.05j])
    matrix = np.diag(a[:11]) + np.diag(b[:10], 1) + np.diag(b[:10], -1)
    expected = [np.linalg.inv(matrix - value * np.eye(11))[0, 0] for value in z]
    np.testing.assert_allclose(green_function(a, b, z, 4, use_terminator=False), expected, rtol=1e-12)


def test_terminator_is_self_consistent_and_absorbs():
    z = np.linspace(-2, 4, 61) + 0.05j
    tail = terminator(1.0, 0.5, z)
    np.testing.assert_allclose(tail, 1.0 - z - 0.25 / tail, rtol=1e-12)
    assert np.all(tail.imag < 0)


def test_graded_nodes_integrate_a_peak():
    gamma, near = 0.05, 1e-3
    t, weights = graded_log_nodes(gamma, near)
    peak = (weights * near / ((t - gamma) ** 2 + near**2)).sum()
    assert peak == pytest.approx(np.pi / 2 + np.arctan(gamma / near), rel=1e-5)


def test_finer_broadening_than_converged_is_refused(engine):
    coefficients, energy, _, zero = engine
    with pytest.raises(ValueError, match=r"half width of 0\.8 eV"):
        spectrum_from_coefficients(coefficients, energy, zero, gamma_eV=0.79)


@pytest.mark.parametrize("energy", [np.array([1.0]), np.array([1.0, 0.5]), np.ones((2, 2))])
def test_unordered_energies_are_refused(engine, energy):
    coefficients, _, _, zero = engine
    with pytest.raises(ValueError, match="ascending"):
        spectrum_from_coefficients(coefficients, energy, zero)


def test_polarisation_from_stacked_arrays(engine):
    """What the parser stacks comes apart again, with zeros behind a shorter chain."""
    one = engine[0]
    arrays = {
        "a": np.array([np.pad(one.a, ((0, 0), (0, 7))), np.zeros((1, one.a.shape[1] + 7))]),
        "b": np.array([np.pad(one.b, ((0, 0), (0, 7))), np.zeros((1, one.b.shape[1] + 7))]),
        "norm": np.array([one.norm, one.norm]),
        "n_iterations": np.array([one.n_iterations, one.n_iterations]),
        "weights": one.weights,
    }
    attributes = {"core_energy_eV": 1839.0, "check_interval": 50, "gamma_eV": 0.8}
    again = LanczosCoefficients.from_arrays(arrays, attributes, 0)
    energy = np.linspace(-5, 30, 50)
    np.testing.assert_array_equal(
        spectrum_from_coefficients(again, energy, 2.5), spectrum_from_coefficients(one, energy, 2.5)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.ones(3)}, "one weight for each k point"),
        ({"n_iterations": np.array([4000])}, "4000 iterations are stated"),
        ({"n_iterations": np.array([20])}, "too few for a terminator"),
        ({"b": np.zeros((1, 3))}, "do not fit together"),
    ],
)
def test_inconsistent_coefficients_are_refused(engine, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(engine[0], **change)


def test_terminator_averages_the_coefficients_before_the_last():
    """Of 8 levels and check_interval 4, levels 0 to 5 enter, and the mean of 4 and 5 goes on for ever."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=8), rng.uniform(0.3, 0.9, size=8)
    z = np.array([0.3 + 0.2j])
    tail = z * 0 + 1.0
    for _ in range(400):
        tail = a[4:6].mean() - z - b[4:6].mean() ** 2 / tail
    for level in range(5, -1, -1):
        tail = a[level] - z - b[level] ** 2 / tail
    np.testing.assert_allclose(green_function(a, b, z, 4), 1 / tail, rtol=1e-10)

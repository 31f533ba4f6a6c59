"""Operations on spectra against analytic curves."""

import numpy as np
import pytest

from aiida_siox.science import spectra as sp

ENERGY = np.linspace(0, 40, 401)


def lorentzian(centre: float, width: float = 0.8) -> np.ndarray:
    return width / np.pi / ((ENERGY - centre) ** 2 + width**2)


def test_interpolation_is_exact_on_cubics_and_refuses_to_extrapolate():
    cubic = 0.01 * ENERGY**3 - ENERGY
    grid = np.linspace(0.05, 39.95, 77)
    np.testing.assert_allclose(sp.interpolate(ENERGY, cubic, grid), 0.01 * grid**3 - grid, atol=1e-9)
    with pytest.raises(ValueError, match=r"covers 0.00 to 40.00 eV, but 39.00 to 41.00 eV"):
        sp.interpolate(ENERGY, cubic, [39.0, 41.0])
    with pytest.raises(ValueError, match="increasing"):
        sp.interpolate(ENERGY[::-1], cubic, grid)


def test_maximum_is_found_between_grid_points():
    assert sp.maximum_position(ENERGY, lorentzian(17.234)) == pytest.approx(17.234, abs=1e-3)


def test_half_height_of_a_lorentzian_lies_one_half_width_below():
    assert sp.half_height_position(ENERGY, lorentzian(17.0)) == pytest.approx(16.2, abs=5e-3)
    with pytest.raises(ValueError, match="never falls below half"):
        sp.half_height_position([0.0, 1.0, 2.0], [0.9, 1.0, 0.2])


def test_l1_of_scaled_spectra():
    assert sp.l1_distance(ENERGY, 1.03 * lorentzian(17), lorentzian(17)) == pytest.approx(0.03)


def test_two_peaks_shifted_by_3_ev_stay_two_peaks_in_the_average():
    mean = sp.average([lorentzian(15.0), lorentzian(18.0)], n_requested=2)
    maxima = ENERGY[1:-1][(mean[1:-1] > mean[:-2]) & (mean[1:-1] > mean[2:])]
    np.testing.assert_allclose(maxima, [15.0, 18.0], atol=0.15)


def test_average_is_not_normalised_site_by_site():
    mean = sp.average([lorentzian(15.0), 3 * lorentzian(15.0)], n_requested=2)
    np.testing.assert_allclose(mean, 2 * lorentzian(15.0))


@pytest.mark.parametrize(
    ("n_done", "n_requested", "fine"), [(19, 20, True), (18, 20, False), (7, 8, False), (8, 8, True)]
)
def test_average_needs_95_percent(n_done, n_requested, fine):
    spectra = np.ones((n_done, 5))
    if fine:
        np.testing.assert_allclose(sp.average(spectra, n_requested), 1)
    else:
        with pytest.raises(ValueError, match=f"only {n_done} of {n_requested}"):
            sp.average(spectra, n_requested)


def test_energy_grid_includes_both_ends():
    grid = sp.Grid(energy_min_eV=1838, energy_max_eV=1898, step_eV=0.1).energies()
    assert (grid[0], grid[-1], len(grid)) == (1838, 1898, 601)
    with pytest.raises(ValueError, match=r"`grid`: is empty: energy_max_eV \(1\)"):
        sp.Grid.parse({"energy_min_eV": 2, "energy_max_eV": 1, "step_eV": 0.1}, "grid")


def test_energies_in_common():
    found = sp.common_energies([(1826.33, 1911.34), (1825.97, 1910.0)], 0.1)
    np.testing.assert_allclose([found[0], found[-1]], [1826.4, 1910.0], atol=1e-9)
    np.testing.assert_allclose(np.diff(found), 0.1)
    with pytest.raises(ValueError, match="no energies in common"):
        sp.common_energies([(0.0, 1.0), (2.0, 3.0)], 0.1)

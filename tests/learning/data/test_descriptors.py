"""White-line intensity, its integral and the edge position, on shapes whose numbers follow by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.data.descriptors import NAMES, descriptors
from aiida_siox.science.spectra import half_height_position, maximum_position

#: Synthetic: up from 0 at 1840 to 4 at 1848 eV and down again.
ENERGY = np.linspace(1830.0, 1880.0, 501)
WINDOW = (-1.5, 3.5)
RAMP = np.clip(4.0 - np.abs(ENERGY - 1848.0) / 2, 0.0, None)


def lorentzian(centre: float, height: float, half_width: float = 0.8) -> np.ndarray:
    return height / (1 + ((ENERGY - centre) / half_width) ** 2)


def test_a_ramp_by_hand():
    values = descriptors(ENERGY, RAMP[None], window=(-1.0, 1.5))
    assert values.shape == (1, len(NAMES))
    # half of 4 at 1844; ∫ (E − 1840)/2 dE from 1843 to 1845.5 = (5.5² − 3²)/4
    assert values[0] == pytest.approx([4.0, 5.3125, 1844.0], abs=1e-9)


def test_limits_between_grid_points_are_exact_on_a_broken_line():
    coarse = np.linspace(1830.0, 1880.0, 101)
    ramp = np.interp(coarse, ENERGY, RAMP)
    values = descriptors(coarse, ramp[None], window=(-1.23, 1.57))
    assert values[0, 1] == pytest.approx((5.57**2 - 2.77**2) / 4, abs=1e-9)


def test_lorentzians():
    centres, heights = np.array([1845.03, 1846.8, 1842.37]), np.array([1.0, 3.0, 0.5])
    spectra = np.array([lorentzian(c, h) for c, h in zip(centres, heights, strict=True)])
    low, high = -1.5, 3.5
    values = descriptors(ENERGY, spectra, (low, high))
    np.testing.assert_allclose(values[:, 0], heights, rtol=1e-3)
    np.testing.assert_allclose(values[:, 2], centres - 0.8, atol=0.01)
    analytic = 0.8 * heights * (np.arctan((high - 0.8) / 0.8) - np.arctan((low - 0.8) / 0.8))
    np.testing.assert_allclose(values[:, 1], analytic, rtol=5e-3)


def test_rows_are_what_one_spectrum_alone_gives():
    rng = np.random.default_rng(3)
    spectra = np.array([lorentzian(c, 2.0) for c in rng.uniform(1838, 1850, 7)]) + rng.uniform(0, 0.1, (7, 501))
    values = descriptors(ENERGY, spectra, WINDOW)
    for row, spectrum in zip(values, spectra, strict=True):
        assert row == pytest.approx(descriptors(ENERGY, spectrum[None], WINDOW)[0])
        assert row[2] == half_height_position(ENERGY, spectrum)
        top = maximum_position(ENERGY, spectrum)
        assert abs(top - ENERGY[np.argmax(spectrum)]) <= 0.05 + 1e-9
        assert row[0] >= spectrum.max()


@pytest.mark.parametrize(
    ("spectra", "message"),
    [
        (RAMP, r"shape \(n, 501\)"),
        (RAMP[None, 5:], r"shape \(n, 501\)"),
        (np.stack([RAMP, RAMP + 10]), "row 1 never falls below half"),
        (np.stack([RAMP, lorentzian(1831.5, 1.0)]), "edge of row 1 is at 1830.70 eV.*cover 1830.00"),
        (np.stack([lorentzian(1878.0, 1.0)]), "edge of row 0 is at 1877.20 eV.*to 1880.70"),
    ],
)
def test_refused(spectra, message):
    with pytest.raises(ValueError, match=message):
        descriptors(ENERGY, spectra, WINDOW)

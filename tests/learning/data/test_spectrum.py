"""Spectra brought onto the grid of a network, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.data.spectrum import onto_grid

GRID = np.linspace(1830.0, 1880.0, 256)


def line(energy):
    return np.exp(-(((energy - 1846) / 3) ** 2)) + 0.01 * (energy - 1800)


def test_interpolates_inside():
    energy = np.arange(1820.0, 1890.0, 0.3)
    assert np.allclose(onto_grid(energy, line(energy), GRID, 2.0), line(GRID), atol=1e-3)
    assert np.allclose(onto_grid(GRID, line(GRID), GRID, 2.0), line(GRID), atol=1e-12)


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        (np.linspace(1835, 1890, 200), "covers 1835.00 to 1890.00 eV, but the model reads 1830.00 to 1880.00 eV"),
        (np.linspace(1820, 1879.9, 200), "measure or compute the missing part"),
        (np.linspace(1.82, 1.89, 200), "look like keV"),
        (np.linspace(1890, 1820, 200), "do not increase: point 2"),
        (np.repeat(np.linspace(1820, 1890, 100), 2), "average repeated ones"),
        (np.linspace(1820, 1890, 20), "has a step of 3.68 eV"),
        (np.array([]), "0 points"),
        (np.r_[np.linspace(1820, 1890, 99), np.nan], "the energy of point 100 is nan"),
    ],
)
def test_refused(energy, message):
    with pytest.raises(ValueError, match=message):
        onto_grid(energy, np.ones(len(energy)), GRID, 2.0)


def test_refuses_nan_absorption_and_shapes():
    energy = np.linspace(1820, 1890, 200)
    values = np.ones(200)
    values[7] = np.nan
    with pytest.raises(ValueError, match="the absorption of point 8 is nan"):
        onto_grid(energy, values, GRID, 2.0)
    with pytest.raises(ValueError, match="equal length"):
        onto_grid(energy, np.ones(10), GRID, 2.0)
    with pytest.raises(ValueError, match="equal length"):
        onto_grid(energy, np.ones((2, 200)), GRID, 2.0)


def test_coarse_steps_outside_the_window_do_not_matter():
    energy = np.r_[1000.0, 1500.0, np.linspace(1829, 1881, 300), 2500.0]
    assert np.isfinite(onto_grid(energy, np.ones(len(energy)), GRID, 2.0)).all()

"""Convergence and edge shift of synthetic spectra whose peaks are known."""

import numpy as np
import pytest

from aiida_siox.science.references import ReferenceSpectrum, convergence, edge_shifts

ENERGY = np.arange(1830.0, 1920.0, 0.1)


def case(name, compound, step, peak, width=1.0):
    spectrum = np.exp(-(((ENERGY - peak) / width) ** 2))
    return ReferenceSpectrum(name, compound, step, ENERGY, spectrum, {"n_atoms": 9})


def test_differences_are_against_the_last_of_the_compound():
    rows = convergence(
        [
            case("a", "quartz", "small", 1850.3),
            case("b", "silicon", "small", 1844.0),
            case("c", "quartz", "large", 1850.0),
        ]
    )
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert rows[0]["d_white_line_eV"] == pytest.approx(0.3, abs=1e-3)
    assert rows[0]["d_half_height_eV"] == pytest.approx(0.3, abs=5e-3)
    # two Gaussians a small step d apart: ∫|f(E) − f(E − d)| dE = 2 d max f; ∫ f = √π
    assert rows[0]["l1"] == pytest.approx(0.6 / np.sqrt(np.pi), rel=0.02)
    assert (rows[1]["l1"], rows[2]["l1"]) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    assert rows[0]["n_atoms"] == 9


def test_shifts_of_steps_with_both_compounds():
    rows = convergence(
        [
            case("a", "quartz", "small", 1850.3),
            case("b", "silicon", "small", 1844.0),
            case("c", "quartz", "large", 1850.0),
        ]
    )
    (shift,) = edge_shifts(rows, ("silicon", "quartz"))
    assert shift["step"] == "small"
    assert shift["white_line_eV"] == pytest.approx(6.3, abs=1e-3)
    assert shift["half_height_eV"] == pytest.approx(6.3, abs=5e-3)

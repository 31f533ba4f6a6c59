"""Bonds, angles, rings and voids of crystals, where they are known."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.science import cells
from aiida_siox.science.topology import bond_angles, bond_lengths, largest_void, rings

CUTOFFS = {"Si-O": 2.0, "Si-Si": 2.8, "O-O": 1.8}
TETRAHEDRAL = np.degrees(np.arccos(-1 / 3))


def test_diamond():
    silicon = cells.diamond_silicon()
    lengths = bond_lengths(silicon, CUTOFFS)
    np.testing.assert_allclose(lengths["Si-Si"], [5.431 * np.sqrt(3) / 4] * 16)
    assert len(lengths["Si-O"]) == len(lengths["O-O"]) == 0
    angles = bond_angles(silicon, CUTOFFS)
    np.testing.assert_allclose(angles["Si-Si-Si"], [TETRAHEDRAL] * 8 * 6)
    assert rings(silicon, CUTOFFS, 10) == {6: 2.0}, "each atom is in twelve of six"
    # the tetrahedral interstice is as far from its neighbours as a bond is long
    assert largest_void(silicon) == pytest.approx(5.431 * np.sqrt(3) / 4)


def test_silica_crystals():
    cristobalite, quartz = cells.beta_cristobalite(), cells.alpha_quartz()
    angles = bond_angles(cristobalite, CUTOFFS)
    np.testing.assert_allclose(angles["Si-O-Si"], [180] * 16)
    np.testing.assert_allclose(angles["O-Si-O"], [TETRAHEDRAL] * 48)
    assert rings(cristobalite, CUTOFFS, 14) == {12: 2.0}, "six silicon atoms each"
    # Rivier 1993, Marians and Hobbs 1990: rings of six and of eight silicon atoms
    assert set(rings(quartz, CUTOFFS, 18)) == {12, 16}
    lengths = bond_lengths(quartz, CUTOFFS)["Si-O"]
    assert len(lengths) == 12
    assert lengths.mean() == pytest.approx(1.609, abs=0.003)
    assert bond_angles(quartz, CUTOFFS)["Si-O-Si"].mean() == pytest.approx(143.7, abs=0.5)


def test_void_of_a_vacancy():
    """A missing atom leaves a sphere that reaches its neighbours."""
    silicon = cells.diamond_silicon().repeat(2)
    del silicon[0]
    assert largest_void(silicon) == pytest.approx(2.352, abs=0.6)
    assert largest_void(silicon) >= 5.431 * np.sqrt(3) / 4 - 1e-6
    hollow = cells.beta_cristobalite().repeat(2)
    centre = hollow.cell.array.sum(axis=0) / 2
    keep = np.linalg.norm(hollow.positions - centre, axis=1) > 5.0
    assert largest_void(hollow[keep]) > 5.0


def test_the_choice_of_the_cell_does_not_matter():
    quartz = cells.alpha_quartz()
    large = quartz.repeat([2, 1, 2])
    assert largest_void(quartz) == pytest.approx(largest_void(large))
    small, big = (rings(atoms, CUTOFFS, 16) for atoms in (quartz, large))
    assert small == pytest.approx(big)

"""What is a structure."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from aiida_siox.science.structures import validate_structure
from tests.crystals import SIOX, alpha_quartz, diamond_silicon


@pytest.mark.parametrize("atoms", [alpha_quartz(), diamond_silicon(), Atoms("Si", cell=[2.5] * 3, pbc=True)])
def test_good_structures_pass(atoms):
    validate_structure(atoms, SIOX)


def overlapping() -> Atoms:
    atoms = alpha_quartz()
    atoms.positions[5] = atoms.positions[1] + [0.3, 0, 0]
    return atoms


def not_a_number() -> Atoms:
    atoms = alpha_quartz()
    atoms.positions[2, 1] = np.nan
    return atoms


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (Atoms(cell=[5] * 3, pbc=True), "no atoms"),
        (Atoms("O2", positions=[[0, 0, 0], [2, 2, 2]], cell=[5] * 3, pbc=True), "no Si"),
        (Atoms("SiN", positions=[[0, 0, 0], [2, 2, 2]], cell=[5] * 3, pbc=True), "has N: only Si and O"),
        (Atoms("SiO", positions=[[0, 0, 0], [2, 2, 2]]), "no three-dimensional cell"),
        (Atoms("SiO", positions=[[0, 0, 0], [2, 2, 2]], cell=[5, 5, 0], pbc=True), "no three-dimensional cell"),
        (Atoms("SiO", positions=[[0, 0, 0], [2, 2, 2]], cell=[5] * 3, pbc=[1, 1, 0]), "along 2 of 3"),
        (overlapping(), r"Si \(index 1\) and O \(index 5\) are 0\.30 Å apart"),
        (Atoms("Si", cell=[1.0, 5, 5], pbc=True), r"Si \(index 0\) and its own periodic image are 1\.00 Å"),
        (not_a_number(), "finite"),
    ],
)
def test_bad_structures_are_refused(atoms, words):
    with pytest.raises(ValueError, match=words):
        validate_structure(atoms, SIOX)


def test_without_a_material_any_species_will_do():
    atoms = Atoms("GeN", positions=[[0, 0, 0], [2, 2, 2]], cell=[5] * 3, pbc=True)
    validate_structure(atoms)

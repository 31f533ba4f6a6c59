"""What is a structure, and how good is one."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from aiida_siox.science.cells import alpha_quartz, diamond_silicon
from aiida_siox.science.structures import assess, count_distinct_sites, validate_structure

PARAMETERS = {
    "cutoff_si_o_angstrom": 2.0,
    "cutoff_si_si_angstrom": 2.8,
    "cutoff_o_o_angstrom": 1.8,
    "expected_density_g_cm3": 2.65,
    "density_tolerance": 0.15,
    "coordination_min": 3,
    "coordination_max": 5,
    "max_odd_fraction": 0.1,
    "distinct_tolerance": 0.05,
}


@pytest.mark.parametrize("atoms", [alpha_quartz(), diamond_silicon(), Atoms("Si", cell=[2.5] * 3, pbc=True)])
def test_good_structures_pass(atoms):
    validate_structure(atoms)


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
        validate_structure(atoms)


def test_distinct_sites():
    assert count_distinct_sites(alpha_quartz().repeat((2, 1, 1)), 0.05) == 1
    atoms = alpha_quartz()
    atoms.rattle(0.1, seed=3)
    assert count_distinct_sites(atoms, 0.05) == 3


def test_quality_of_quartz():
    quality = assess(alpha_quartz(), PARAMETERS, {"pressure_bar": 5.0, "energy_eV": -60.0, "converged": True})
    assert quality["formula"] == "Si3O6"
    assert quality["x"] == 2
    assert quality["coordination_oxygen"]["4"] == 3
    assert quality["mean_n_oxygen"] == 4
    assert quality["density_g_cm3"] == pytest.approx(2.649, abs=1e-3)
    assert quality["energy_per_atom_eV"] == pytest.approx(-60 / 9)
    assert quality["pressure_bar"] == 5.0
    assert quality["flags"] == []


def test_flags():
    assert "identical_sites" in assess(diamond_silicon(), PARAMETERS)["flags"]
    assert "density" in assess(alpha_quartz(), {**PARAMETERS, "expected_density_g_cm3": 2.0})["flags"]
    assert (
        "not_relaxed"
        in assess(alpha_quartz(), PARAMETERS, {"pressure_bar": 0.0, "energy_eV": 0.0, "converged": False})["flags"]
    )
    gas = Atoms("Si4O2", positions=np.arange(18).reshape(6, 3) * 1.0, cell=[40] * 3, pbc=True)
    gas.positions[5] = gas.positions[4] + [1.2, 0, 0]
    flags = assess(gas, PARAMETERS)["flags"]
    assert {"oxygen_bond", "coordination", "density"} <= set(flags)

"""The energies of a transition as a column that adds up."""

import pytest

from aiida_siox.science.energies import total_energy_offset
from aiida_siox.science.energy_terms import PART, SUM, TERM, energy_terms

#: Quartz (docs/develop/engine_facts.md): total energies, core correction, energy zero and Fermi energy.
QUARTZ = {
    "ground_Ry": -391.10607781,
    "hole_Ry": -388.22426609,
    "core_correction_eV": 1809.516,
    "energy_zero_eV": 2.6065,
    "fermi_eV": 3.6867,
    "ground_smearing_Ry": -1e-6,
    "hole_smearing_Ry": -3e-6,
}
ATOM = {
    "ground_all_electron_Ry": -579.674871,
    "ground_pseudo_Ry": -46.329006,
    "hole_all_electron_Ry": -442.845440,
    "hole_pseudo_Ry": -42.496530,
}


def by_label(lines):
    return {line.label: line for line in lines}


def test_fch_of_quartz():
    lines = energy_terms("fch", QUARTZ, ATOM, peak_eV=8.25, shift_eV=-12.78)
    found = by_label(lines)
    assert found["transition energy"].value_eV == pytest.approx(1848.725, abs=2e-3)
    zero = found["zero of xspectra.x on the total-energy axis"].value_eV
    assert zero == pytest.approx(total_energy_offset("fch", 1848.725, 2.6065, 3.6867), abs=2e-3)
    assert found["white line, total energy"].value_eV == pytest.approx(1859.58, abs=5e-3)
    assert found["white line, calibrated"].value_eV == pytest.approx(1846.80, abs=5e-3)
    assert lines[-1].label == "white line, calibrated"
    assert found["E(hole)"].value_Ry == pytest.approx(-388.22426609, abs=1e-8)
    assert found["-E(ground)"].value_Ry == pytest.approx(391.10607781, abs=1e-8)
    assert not any("Fermi" in label for label in found)


@pytest.mark.parametrize("treatment", ["fch", "xch", "none"])
def test_every_sum_is_that_of_the_terms_above(treatment):
    lines = energy_terms(treatment, {**QUARTZ, "transition_eV": 1861.7}, ATOM, peak_eV=8.25, shift_eV=-12.78)
    total, n_sums = 0.0, 0
    for line in lines:
        if line.kind == TERM:
            total += line.value_eV
        elif line.kind == SUM:
            n_sums += 1
            assert line.value_eV == pytest.approx(total, abs=1e-9)
    assert n_sums == 4


def test_parts_of_the_core_correction_add_up_to_it():
    lines = energy_terms("fch", QUARTZ, ATOM)
    parts = [line.value_eV for line in lines if line.kind == PART and "E_" in line.label]
    assert len(parts) == 4
    assert sum(parts) == pytest.approx(1809.516, abs=2e-3)
    smearing = [line.value_Ry for line in lines if line.kind == PART and "TS" in line.label]
    assert smearing == pytest.approx([-3e-6, 1e-6])


def test_xch_leaves_the_fermi_energy_out():
    found = by_label(energy_terms("xch", QUARTZ))
    assert found["-Fermi energy of the cell"].value_eV == -3.6867
    zero = found["zero of xspectra.x on the total-energy axis"].value_eV
    assert zero == pytest.approx(1848.725 + 2.6065 - 3.6867, abs=2e-3)


def test_no_hole_has_the_free_atom_only():
    found = by_label(energy_terms("none", {**QUARTZ, "transition_eV": 1861.7}, ATOM, shift_eV=-10.0))
    assert "E(hole)" not in found
    assert found["zero of xspectra.x on the calibrated axis"].value_eV == pytest.approx(1861.7 + 2.6065 - 3.6867 - 10)


def test_without_the_optional_energies():
    bare = {key: value for key, value in QUARTZ.items() if "smearing" not in key}
    assert not any(line.kind == PART for line in energy_terms("fch", bare))

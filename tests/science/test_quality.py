"""How good a cell is: crystals whose numbers are known, every rule hit and not hit, and what is refused."""

from __future__ import annotations

import copy
import functools
import json
import time
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from aiida_siox.science import quality as science
from aiida_siox.science.diffraction import structure_factors
from aiida_siox.science.quality import ACTIONS, Parameters, units_of
from tests.crystals import SIOX, alpha_quartz, beta_cristobalite, diamond_silicon, with_bonds

PARAMETERS: dict[str, Any] = {
    "distinct_tolerance": 0.05,
    "void_distance_angstrom": 2.5,
    "longest_ring": 16,
    "rdf": {"r_max_angstrom": 8.0, "n_bins": 400, "sigma_angstrom": 0.05},
    "angles": {"n_bins": 90},
    "diffraction": {"q_max": 20.0, "q_step": 0.02, "q_width": 0.06, "first_peak": [1.0, 2.2]},
    "expected_density_g_cm3": None,
    "rules": {
        "oxygen_bond": {"action": "reject", "max_bonds": 0},
        "density": {"action": "reject", "tolerance": 0.15},
        "coordination": {"action": "reject", "lowest": 3, "highest": 5, "max_fraction": 0.1},
        "dangling_bonds": {"action": "flag", "max_fraction": 0.35},
        "oxygen_coordination": {"action": "flag", "max_fraction": 0.25},
        "void": {"action": "reject", "max_radius_angstrom": 4.5, "max_fraction": [[0.0, 0.02], [2.0, 0.2]]},
        "identical_sites": {"action": "reject"},
        "silica_network": {"action": "flag", "min_fraction": 0.75},
        "not_relaxed": {"action": "reject"},
    },
}
analyse, assess, profiles, count_distinct_sites = (
    functools.partial(function, material=SIOX)
    for function in (science.analyse, science.assess, science.profiles, science.count_distinct_sites)
)
RESULTS = {"pressure_bar": 5.0, "energy_eV": -60.0, "converged": True}
TETRAHEDRAL = float(np.degrees(np.arccos(-1 / 3)))


def with_value(path: str, value: Any) -> dict[str, Any]:
    """Return the parameters with one value changed."""
    changed = copy.deepcopy(PARAMETERS)
    *folders, last = path.split(".")
    place = changed
    for folder in folders:
        place = place[folder]
    place[last] = value
    return changed


def rattled(atoms: Atoms, amplitude: float = 0.05) -> Atoms:
    """Return atoms moved at random, so that no sites are alike."""
    atoms.rattle(amplitude, seed=3)
    return atoms


def test_distinct_sites():
    assert count_distinct_sites(alpha_quartz().repeat((2, 1, 1)), 0.05) == 1
    assert count_distinct_sites(rattled(alpha_quartz(), 0.1), 0.05) == 3
    assert count_distinct_sites(rattled(alpha_quartz(), 0.1), 10.0) == 1


def test_quartz():
    quality = assess(alpha_quartz(), {**PARAMETERS, "expected_density_g_cm3": 2.65}, results=RESULTS)
    assert (quality["formula"], quality["x"], quality["n_atoms"], quality["n_silicon"]) == ("Si3O6", 2, 9, 3)
    assert quality["density_g_cm3"] == pytest.approx(2.649, abs=1e-3)
    assert quality["expected_density_g_cm3"] == 2.65
    assert quality["density_deviations"] == pytest.approx({"paper": 0.152, "Brückner 1970": 0.204}, abs=1e-3)
    assert quality["volume_A3"] == pytest.approx(113.0, abs=0.1)
    assert quality["coordination_oxygen"] == quality["coordination_total"] == {"0": 0, "1": 0, "2": 0, "3": 0, "4": 3}
    assert quality["n_silicon_of_oxygen"] == {"0": 0, "1": 0, "2": 6, "3": 0}
    assert quality["mean_n_oxygen"] == 4
    assert (quality["n_oxygen_bonds"], quality["n_distinct_sites"]) == (0, 1)
    assert quality["shortest_angstrom"]["Si-O"] == pytest.approx(1.605, abs=0.003)
    bond = quality["bond_lengths"]["Si-O"]
    assert (bond["mean"], bond["count"]) == (pytest.approx(1.61, abs=0.003), 12)
    assert 0 < bond["std"] < 0.01
    assert quality["bond_lengths"]["O-O"] == {"mean": None, "std": None, "count": 0}
    assert quality["bond_angles"]["Si-O-Si"]["mean"] == pytest.approx(143.7, abs=0.2)
    assert quality["bond_angles"]["O-Si-O"]["mean"] == pytest.approx(109.5, abs=0.05)
    assert quality["bond_angles"]["O-Si-O"]["count"] == 3 * 6
    assert quality["rings_by_atoms"] == {"12": 1.0, "16": 5.0}
    assert quality["rings_by_silicon"] == {"6": 1.0, "8": 5.0}
    shorter = assess(alpha_quartz(), with_value("longest_ring", 14))
    assert (shorter["rings_by_atoms"], shorter["rings_by_silicon"]) == ({"12": 1.0}, {"6": 1.0})
    assert quality["q_min_per_angstrom"] == pytest.approx(2 * np.pi / 5.4052)
    assert quality["energy_per_atom_eV"] == pytest.approx(-60 / 9)
    assert quality["pressure_bar"] == 5.0
    assert (quality["flags"], quality["rejected_by"], quality["accepted"]) == ([], [], True)


def test_silicon():
    quality = assess(diamond_silicon(), PARAMETERS)
    bond = quality["bond_lengths"]["Si-Si"]
    assert (bond["mean"], bond["count"]) == (pytest.approx(2.352, abs=1e-3), 16)
    assert bond["std"] == pytest.approx(0, abs=1e-6)
    assert quality["bond_angles"]["Si-Si-Si"]["mean"] == pytest.approx(TETRAHEDRAL)
    assert quality["rings_by_atoms"] == quality["rings_by_silicon"] == {"6": 2.0}
    assert quality["largest_void_angstrom"] == pytest.approx(2.352, abs=1e-3)
    assert quality["n_silicon_of_oxygen"] == {"0": 0, "1": 0, "2": 0, "3": 0}
    assert quality["bond_lengths"]["Si-O"]["count"] == 0
    assert "pressure_bar" not in quality


def test_first_peak_is_that_of_the_structure_factor():
    """Quartz in a cell of 216 atoms: (101) and (011) at 1.88 Å⁻¹ are the strongest lines below 2.2 Å⁻¹."""
    quality, curves = analyse(rattled(alpha_quartz().repeat((3, 4, 2))), PARAMETERS)
    assert quality["first_peak_neutron_per_angstrom"] == pytest.approx(1.88, abs=0.02)
    assert quality["first_peak_xray_per_angstrom"] == pytest.approx(1.88, abs=0.02)
    near = abs(curves["q"] - quality["first_peak_neutron_per_angstrom"]) < 0.02
    inside = (curves["q"] > 1.0) & (curves["q"] < 2.2)
    assert curves["S_neutron"][near].max() == curves["S_neutron"][inside].max()
    none = assess(alpha_quartz(), with_value("diffraction.first_peak", [0.2, 0.5]))
    assert none["first_peak_neutron_per_angstrom"] is none["first_peak_xray_per_angstrom"] is None


def test_plain_values():
    """JSON holds it as it is, without NaN; the three functions agree."""
    atoms = rattled(beta_cristobalite())
    quality, curves = analyse(atoms, PARAMETERS, results=RESULTS)
    assert json.loads(json.dumps(quality, allow_nan=False)) == quality
    assert assess(atoms, PARAMETERS, results=RESULTS) == quality
    alone = profiles(atoms, PARAMETERS)
    assert list(alone) == list(curves)
    for name, values in alone.items():
        np.testing.assert_array_equal(values, curves[name])
        assert np.isfinite(values).all(), name


def test_profiles_of_quartz():
    quartz = alpha_quartz()
    curves = profiles(quartz, PARAMETERS)
    assert set(curves) == {
        "r", "g_total", "g_Si_Si", "g_Si_O", "g_O_O", "q", "S_neutron", "S_xray", "S_Si_Si", "S_Si_O", "S_O_O",
        "angle", "p_O_Si_O", "p_Si_O_Si",
    }  # fmt: skip
    r = curves["r"]
    assert (len(r), r[-1]) == (400, pytest.approx(7.99))
    shell = 4 * np.pi * r**2 * 0.02 * 6 / quartz.get_volume()
    assert (shell * curves["g_Si_O"])[r < 2.2].sum() == pytest.approx(4, rel=1e-3)
    width = curves["angle"][1] - curves["angle"][0]
    assert (curves["angle"][0], width) == (1.0, 2.0)
    for name, mean in (("p_O_Si_O", 109.5), ("p_Si_O_Si", 143.7)):
        assert curves[name].sum() * width == pytest.approx(1)
        assert (curves["angle"] * curves[name]).sum() * width == pytest.approx(mean, abs=1.0)
    factors = structure_factors(quartz, 20.0, 0.02, 0.06)
    np.testing.assert_array_equal(curves["S_Si_O"], factors.partial["Si-O"])
    np.testing.assert_array_equal(curves["S_neutron"], factors.neutron)
    np.testing.assert_array_equal(curves["S_xray"], factors.xray)
    units = units_of(curves)
    assert {units[name] for name in curves} == {"angstrom", "1/angstrom", "degree", "1/degree", "1"}
    assert (units["q"], units["angle"], units["p_O_Si_O"]) == ("1/angstrom", "degree", "1/degree")
    assert set(profiles(diamond_silicon(), PARAMETERS)) >= {"g_Si_Si", "S_Si_Si", "p_Si_Si_Si"}
    assert "g_Si_O" not in profiles(diamond_silicon(), PARAMETERS)


# --- rules -----------------------------------------------------------------------------------------------------------


def peroxide() -> Atoms:
    """Return cristobalite with two O that are 1.4 Å apart."""
    atoms = rattled(beta_cristobalite())
    oxygen = np.flatnonzero(atoms.numbers == 8)
    atoms.positions[oxygen[1]] = atoms.positions[oxygen[0]] + [1.4, 0, 0]
    return atoms


def with_vacancies(*species: tuple[str, int]) -> Atoms:
    """Return silica with that many atoms of each species taken away."""
    atoms = rattled(beta_cristobalite())
    for symbol, number in species:
        chosen = [i for i, name in enumerate(atoms.get_chemical_symbols()) if name == symbol][:number]
        del atoms[chosen]
    return atoms


def silica() -> Atoms:
    return rattled(beta_cristobalite())


def hollow() -> Atoms:
    """Return cristobalite with a hole of 5 Å radius, and no other defect than that of its walls."""
    atoms = rattled(beta_cristobalite().repeat(2))
    centre = atoms.cell.array.sum(axis=0) / 2
    return atoms[np.linalg.norm(atoms.positions - centre, axis=1) > 5.0]


DENSITY = 2.174  # of this cristobalite, 8 SiO2 in (7.16 Å)³


@pytest.mark.parametrize(
    ("rule", "atoms", "parameters", "results", "good_atoms", "good_parameters", "good_results"),
    [
        ("oxygen_bond", peroxide(), {}, None, silica(), {}, None),
        ("oxygen_bond", peroxide(), {}, None, peroxide(), {"rules.oxygen_bond.max_bonds": 1}, None),
        ("density", silica(), {"expected_density_g_cm3": DENSITY / 1.16}, None,
         silica(), {"expected_density_g_cm3": DENSITY / 1.14}, None),
        ("density", silica(), {"expected_density_g_cm3": DENSITY / 0.84}, None,
         silica(), {"expected_density_g_cm3": None}, None),
        # every Si of eight with four neighbours but those beside the vacancies
        ("coordination", silica(), {"rules.coordination.lowest": 5}, None, silica(), {}, None),
        ("coordination", silica(), {"rules.coordination.highest": 3}, None,
         silica(), {"rules.coordination.lowest": 4, "rules.coordination.highest": 4}, None),
        ("dangling_bonds", with_vacancies(("O", 2)), {}, None,
         with_vacancies(("O", 2)), {"rules.dangling_bonds.max_fraction": 0.5}, None),
        ("dangling_bonds", with_vacancies(("O", 2)), {}, None, with_vacancies(("O", 1)), {}, None),
        ("void", hollow(), {"rules.void.max_fraction": [[0, 1.0]]}, None, silica(), {}, None),
        ("void", silica(), {"rules.void.max_fraction": [[1.5, 0.5], [2, 0.01]]}, None,
         silica(), {"rules.void.max_fraction": [[1.5, 0.01], [2, 0.2]]}, None),
        ("oxygen_coordination", with_vacancies(("Si", 1)), {"rules.oxygen_coordination.max_fraction": 0.2}, None,
         with_vacancies(("Si", 1)), {}, None),  # four O of sixteen lose an Si
        ("identical_sites", diamond_silicon(), {}, None, rattled(diamond_silicon()), {}, None),
        ("identical_sites", diamond_silicon(), {}, None, alpha_quartz(), {}, None),  # three Si may be alike
        ("silica_network", silica(), {"Si-O": 1.5}, None, silica(), {}, None),
        ("silica_network", silica(), {"Si-O": 1.5}, None,
         with_vacancies(("O", 1)), {"Si-O": 1.5}, None),  # asked at x = 2 only
        ("not_relaxed", silica(), {}, {**RESULTS, "converged": False}, silica(), {}, RESULTS),
        ("not_relaxed", silica(), {}, {**RESULTS, "converged": False}, silica(), {}, None),
    ],
)  # fmt: skip
def test_rules(rule, atoms, parameters, results, good_atoms, good_parameters, good_results):
    """Each rule is broken by one cell and kept by another, and its action decides what follows."""

    def judged(cell: Atoms, changes: dict[str, Any], of_run: Any, action: str) -> dict[str, Any]:
        settings, material = cheap(), SIOX
        for path, value in {**changes, f"rules.{rule}.action": action}.items():
            if path == "Si-O":
                material = with_bonds(SiO=value)
                continue
            *folders, last = path.split(".")
            place = settings
            for folder in folders:
                place = place[folder]
            place[last] = value
        return science.assess(cell, settings, material, of_run)

    assert rule not in judged(good_atoms, good_parameters, good_results, "reject")["flags"]
    for action in ACTIONS:
        quality = judged(atoms, parameters, results, action)
        assert (rule in quality["flags"]) == (action != "ignore")
        assert (rule in quality["rejected_by"]) == (action == "reject")
        assert quality["accepted"] == (not quality["rejected_by"])


def cheap() -> dict[str, Any]:
    """Return parameters without the costly parts, every rule flagging."""
    settings = copy.deepcopy(PARAMETERS)
    settings["longest_ring"] = 6
    settings["diffraction"].update(q_max=3.0)
    for rule in settings["rules"].values():
        rule["action"] = "flag"
    return settings


def test_a_gas_is_refused_by_many_rules():
    gas = Atoms("Si4O2", positions=np.arange(18).reshape(6, 3) * 1.0, cell=[40] * 3, pbc=True)
    gas.positions[5] = gas.positions[4] + [1.2, 0, 0]
    quality = assess(gas, {**PARAMETERS, "expected_density_g_cm3": 2.3, "diffraction": cheap()["diffraction"]})
    assert set(quality["flags"]) == {
        "oxygen_bond",
        "density",
        "coordination",
        "dangling_bonds",
        "void",
        "oxygen_coordination",
    }
    assert set(quality["rejected_by"]) == {"oxygen_bond", "density", "coordination", "void"}
    assert quality["accepted"] is False
    assert quality["bond_angles"] == {}
    assert quality["rings_by_atoms"] == quality["rings_by_silicon"] == {}
    json.dumps(quality, allow_nan=False)


def test_flagged_is_accepted():
    """A rule that only flags does not reject."""
    quality = assess(with_vacancies(("O", 2)), PARAMETERS)
    assert (quality["flags"], quality["rejected_by"], quality["accepted"]) == (["dangling_bonds"], [], True)


# --- parameters ------------------------------------------------------------------------------------------------------


def without(path: str) -> dict[str, Any]:
    changed = copy.deepcopy(PARAMETERS)
    *folders, last = path.split(".")
    place = changed
    for folder in folders:
        place = place[folder]
    del place[last]
    return changed


def test_valid_parameters():
    Parameters.parse(PARAMETERS)
    Parameters.parse({**PARAMETERS, "expected_density_g_cm3": 2})
    Parameters.parse(with_value("diffraction.first_peak", (1, 2)))
    Parameters.parse(with_value("rdf.sigma_angstrom", 0))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (without("longest_ring"), "the input lacks `longest_ring`: take them from a protocol"),
        (without("rdf.n_bins"), r"`rdf` lacks `n_bins`"),
        (without("rules.void.action"), r"`rules\.void` lacks `action`"),
        (without("rules.void"), r"`rules` lacks `void`"),
        (with_value("longest_rings", 5), r"unknown key `longest_rings` \(value 5\): did you mean `longest_ring`\?"),
        (with_value("rules.voids", {}), r"unknown key `rules\.voids` .* did you mean `void`\?"),
        (with_value("rdf.xyzzy", 1), r"unknown key `rdf\.xyzzy` \(value 1\): Valid: n_bins, r_max_angstrom, sigma"),
        (with_value("rdf", 3), r"`rdf` must be a mapping with r_max_angstrom, .* got 3"),
        ([], "the input must be a mapping with distinct_tolerance, .* got \\[\\]"),
        (with_value("longest_ring", 8.5), r"`longest_ring` must be an integer from 3 up to 24, got 8\.5"),
        (
            with_value("rules.oxygen_bond.max_bonds", True),
            r"`rules\.oxygen_bond\.max_bonds` must be an integer .* True",
        ),
        (with_value("longest_ring", 2), r"`longest_ring` must be an integer from 3"),
        (
            with_value("distinct_tolerance", "5e-2"),
            r"`distinct_tolerance` .* got '5e-2'\. Write 1\.0e-8, with a dot: yaml",
        ),
        (with_value("rules.void.action", "rejct"), r"`rules\.void\.action` must be one of .* Did you mean `reject`\?"),
        (with_value("rules.void.action", ["flag"]), r"`rules\.void\.action` must be one of reject, flag, ignore, got"),
        (with_value("rules.coordination.max_fraction", 10), r"`rules\.coordination\.max_fraction` .* from 0 up to 1"),
        (with_value("rules.coordination.lowest", 6), r"lowest` 6 is above `highest` 5"),
        (with_value("diffraction.first_peak", [2.2, 1.0]), r"`diffraction\.first_peak` must have its lowest q first"),
        (with_value("diffraction.first_peak", [1.0]), r"`diffraction\.first_peak` must be the lowest and highest q"),
        (
            with_value("diffraction.first_peak", ["a", 2]),
            r"`diffraction\.first_peak\.0` must be a number above 0 up to 60",
        ),
        (with_value("diffraction.q_max", 2.0), r"first_peak` \[1\.0, 2\.2\] ends above `q_max` 2\.0"),
        (with_value("rules.void.max_fraction", 0.1), r"`rules\.void\.max_fraction`: it must be pairs \[x, part of"),
        (with_value("rules.void.max_fraction", [[2, 0.1], [1, 0.1]]), r"with rising x, got \[\[2, 0\.1\]"),
        (with_value("expected_density_g_cm3", 2300.0), r"`expected_density_g_cm3` must be a number from 0\.1 to 10"),
        (with_value("expected_density_g_cm3", "2.3"), r"`expected_density_g_cm3` .* null when there is none"),
    ],
)
def test_refused_parameters(parameters, words):
    with pytest.raises(ValueError, match=words):
        Parameters.parse(parameters)


def test_every_function_checks_its_parameters():
    for function in (assess, profiles, analyse):
        with pytest.raises(ValueError, match="did you mean `longest_ring`"):
            function(alpha_quartz(), with_value("longest_rin", 5))


def test_small_cells_take_no_time():
    """Ten atoms, a cell that the tests of the workflows assess many times: 0.2 s alone, ten times that when loaded."""
    begin = time.process_time()
    assess(rattled(diamond_silicon()), PARAMETERS)
    assert time.process_time() - begin < 2.0

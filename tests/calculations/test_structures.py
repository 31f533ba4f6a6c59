"""Calcfunctions that make and judge structures."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.manage.caching import enable_caching

from aiida_siox.calculations.structures import assess_structure, join_thermo, make_crystal, make_starting_cell
from aiida_siox.science import SCIENCE_VERSION
from tests.crystals import SIOX
from tests.science.test_quality import PARAMETERS

CELL = {"crystal": "beta-cristobalite", "density_g_cm3": 2.4}


def melted():
    return orm.Dict(SIOX.plain())


def crystal(name, supercell):
    return orm.Dict({"compound": name, "crystal": SIOX.crystals[name].plain(), "supercell": supercell})


def starting_cell(seed=1, version=SCIENCE_VERSION):
    return make_starting_cell(orm.Str("Si8O4"), orm.Int(seed), orm.Dict(CELL), melted(), orm.Int(version))


def test_starting_cell(aiida_profile):
    structure = starting_cell()
    assert structure.is_stored
    assert sorted(kind.name for kind in structure.kinds) == ["O", "Si"]
    assert structure.label == "Si8O4"
    assert structure.creator.inputs.version.value == SCIENCE_VERSION
    again, other = starting_cell(), starting_cell(2)
    np.testing.assert_array_equal(structure.get_ase().positions, again.get_ase().positions)
    assert not np.allclose(structure.get_ase().positions, other.get_ase().positions)


def test_another_version_of_the_science_is_not_served_from_the_cache(aiida_profile):
    with enable_caching():
        first, again = starting_cell(5), starting_cell(5)
        other = starting_cell(5, SCIENCE_VERSION + 1)
    assert again.creator.base.caching.is_created_from_cache
    assert first.uuid != again.uuid
    assert not other.creator.base.caching.is_created_from_cache


def test_quartz(aiida_profile):
    structure = make_crystal(crystal("quartz", [2, 1, 1]), orm.Int(SCIENCE_VERSION))
    assert len(structure.sites) == 18
    assert structure.get_formula() == "O12Si6"
    with pytest.raises(ValueError, match="three positive integers"):
        make_crystal(crystal("quartz", [0, 1, 1]), orm.Int(SCIENCE_VERSION))


def test_assess(aiida_profile):
    quartz = make_crystal(crystal("quartz", [1, 1, 1]), orm.Int(SCIENCE_VERSION))
    parameters = {**PARAMETERS, "expected_density_g_cm3": 2.65}
    results = orm.Dict({"pressure_bar": 1.0, "energy_eV": -59.4, "converged": True})
    outputs = assess_structure(quartz, orm.Dict(parameters), melted(), orm.Int(SCIENCE_VERSION), results)
    quality, profiles = outputs["quality"], outputs["profiles"]
    assert quality["coordination_oxygen"] == {"0": 0, "1": 0, "2": 0, "3": 0, "4": 3}
    assert quality["energy_per_atom_eV"] == pytest.approx(-6.6)
    assert (quality["flags"], quality["rejected_by"], quality["accepted"]) == ([], [], True)
    assert quality.is_stored
    units = profiles.base.attributes.get("units")
    assert set(units) == set(profiles.get_arraynames())
    assert (units["g_Si_O"], units["r"], units["q"], units["p_Si_O_Si"]) == ("1", "angstrom", "1/angstrom", "1/degree")
    assert len(profiles.get_array("S_neutron")) == len(profiles.get_array("q"))


def test_assess_without_results(aiida_profile):
    """Neither pressure nor energy, and nothing that says that the cell is not relaxed."""
    silicon = make_crystal(crystal("silicon", [1, 1, 1]), orm.Int(SCIENCE_VERSION))
    alone = assess_structure(silicon, orm.Dict(PARAMETERS), melted(), orm.Int(SCIENCE_VERSION))["quality"].get_dict()
    assert "pressure_bar" not in alone
    assert alone["rejected_by"] == ["identical_sites"]
    with pytest.raises(ValueError, match=r"unknown key `quality\.longest`"):
        assess_structure(silicon, orm.Dict({**PARAMETERS, "longest": 3}), melted(), orm.Int(SCIENCE_VERSION))


def series(steps, stages, value):
    node = orm.ArrayData()
    node.set_array("step", np.array(steps))
    node.set_array("stage", np.array(stages))
    node.set_array("temperature_K", np.full(len(steps), float(value)))
    node.base.attributes.set("units", {"temperature_K": "K"})
    node.base.attributes.set("stages", ["start", "settle", "melt"])
    return node


def test_join_thermo_lets_the_restart_count(aiida_profile):
    """The first part minimised for 90 steps, then ran to 40; the second went on from 20, the third from 30."""
    joined = join_thermo(
        part_00=series([0, 90, 0, 10, 20, 30, 40], [0, 0, 1, 1, 2, 2, 2], 0),
        part_01=series([20, 30, 40], [2, 2, 2], 1),
        part_02=series([30, 40, 50], [2, 2, 2], 2),
    )
    np.testing.assert_array_equal(joined.get_array("step"), [0, 90, 0, 10, 20, 30, 40, 50])
    np.testing.assert_array_equal(joined.get_array("temperature_K"), [0, 0, 0, 0, 1, 2, 2, 2])
    assert joined.base.attributes.get("stages") == ["start", "settle", "melt"]

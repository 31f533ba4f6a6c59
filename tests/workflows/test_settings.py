"""Settings are refused before anything is submitted, and turned into the namelists the energies rely on."""

import copy

import pytest

from aiida_siox.workflows.settings import pw_parameters, settings_error, xspectra_parameters
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain


@pytest.fixture
def settings():
    return StructureTargetsWorkChain.get_protocol_inputs("fast")["settings"]


@pytest.mark.parametrize("protocol", ["fast", "balanced", "paper"])
def test_protocols_are_valid(protocol):
    assert settings_error(StructureTargetsWorkChain.get_protocol_inputs(protocol)["settings"]) is None


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        (None, "treatment", "half", r"treatment.*fch, xch"),
        ("scf", "ecutwfc_Ry", -50.0, "must be positive"),
        ("scf", "ecutrho_Ry", 150.0, "at least 200"),
        ("scf", "kpoints_mesh", [2, 2], "three positive integers"),
        ("scf", "kpoints_distance", 0.0, "must be positive"),
        ("xspectra", "energy_max_eV", 40.0, "leaves out a part"),
        ("xspectra", "energy_min_eV", -5.0, "leaves out a part"),
        ("xspectra", "gamma_eV", 0.0, "must be positive"),
        ("xspectra", "n_points", 200, "below the energy step"),
        ("rdf", "sigma_angstrom", -0.1, "must not be negative"),
        ("rdf", "pair", "O-O", "total, Si-O or Si-Si"),
        ("bader", "method", "voronoi", "weight, neargrid, ongrid"),
        ("grid", "energy_max_eV", 1800.0, "is empty"),
    ],
)
def test_settings_out_of_range(settings, section, key, value, message):
    import re

    (settings if section is None else settings[section])[key] = value
    error = settings_error(settings)
    assert error is not None
    assert re.search(message, error)


def test_a_missing_setting_is_named(settings):
    del settings["scf"]["degauss_Ry"]
    assert "scf.degauss_Ry" in settings_error(settings)


def test_ground_state_and_hole_differ_in_the_charge_only(settings):
    ground, hole = (pw_parameters(settings, 9, hole=hole, kinds=["Si", "O"]) for hole in (False, True))
    assert (ground["SYSTEM"].pop("tot_charge"), hole["SYSTEM"].pop("tot_charge")) == (0.0, 1.0)
    assert ground == hole
    assert ground["SYSTEM"]["smearing"] == "gaussian"
    assert ground["ELECTRONS"]["conv_thr"] == pytest.approx(9e-7)


def test_xch_is_neutral(settings):
    settings = copy.deepcopy(settings)
    settings["treatment"] = "xch"
    assert pw_parameters(settings, 9, hole=True, kinds=["Si"])["SYSTEM"]["tot_charge"] == 0.0


def test_a_handler_can_raise_the_iterations(settings):
    assert xspectra_parameters(settings, {"xniter": 9000})["input_xspectra"]["xniter"] == 9000


def test_spin_polarised_cells_start_magnetised(settings):
    """With nspin 2 every kind of silicon gets the starting magnetisation, oxygen none."""
    settings["scf"]["nspin"] = 2
    system = pw_parameters(settings, 9, hole=True, kinds=["O", "Si", "Sih"])["SYSTEM"]
    assert system["nspin"] == 2
    assert system["starting_magnetization"] == {"Si": 0.2, "Sih": 0.2}
    settings["scf"]["starting_magnetization"] = 0
    assert "starting_magnetization" in settings_error(settings)

"""Settings are refused before anything is submitted, and turned into the namelists the energies rely on."""

import copy

import pytest
from aiida import orm

from aiida_siox.materials import load_material
from aiida_siox.materials.material import Window
from aiida_siox.workflows.settings import Settings, pw_parameters, validate_settings, xspectra_parameters
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain


@pytest.fixture
def settings():
    return StructureTargetsWorkChain.get_protocol_inputs("fast")["settings"]


@pytest.mark.parametrize("protocol", ["fast", "balanced", "paper"])
def test_protocols_are_valid(protocol):
    inputs = StructureTargetsWorkChain.get_protocol_inputs(protocol)
    assert Settings.fault(inputs["settings"]) is None
    assert validate_settings(orm.Dict(StructureTargetsWorkChain.settings_from(inputs, protocol))) is None


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        (None, "treatment", "half", r"treatment.*fch, xch"),
        ("scf", "ecutwfc_Ry", -50.0, "`settings.scf.ecutwfc_Ry` must be a number above 0 up to 1000, got -50.0"),
        ("scf", "ecutwfc_Ry", float("nan"), "up to 1000, got nan"),
        ("scf", "ecutwfc_Ry", "1e2", r"got '1e2'\. Write 1\.0e-8, with a dot"),
        ("scf", "ecutwfc_Ry", True, "must be a number"),
        ("scf", "electron_maxstep", 1.5, "an integer from 1 up to 10000, got 1.5"),
        ("scf", "nspin", 3, "must be one of 1, 2, got 3"),
        ("scf", "ecutrho_Ry", 150.0, "at least 200"),
        ("scf", "kpoints_mesh", [2, 2], r"three positive integers such as \[2, 2, 2\] or null, got \[2, 2\]"),
        ("scf", "kpoints_mesh", [2, 2, 0], r"kpoints_mesh\.2` must be an integer from 1 up to 100, got 0"),
        ("scf", "kpoints_distance", 0.0, r"from 0\.02 up to 10 \(1/Å\), got 0.0"),
        ("xspectra", "margin_eV", [25.0, -1.0], r"margin_eV\.1` must be a number from 0 up to 200, got -1.0"),
        ("xspectra", "step_eV", 0.2, r"`settings\.xspectra\.cut_desmooth_eV` \(0\.1\) is below the energy step"),
        ("xspectra", "gamma_eV", 0.0, "a half width above 0 up to 50 eV, got 0.0"),
        ("xspectra", "gamma_eV", float("nan"), "a half width above 0 up to 50 eV, got nan"),
        ("xspectra", "xcheck_conv", 5000, r"`settings.xspectra.xcheck_conv` must be at most xniter \(3000\), got 5000"),
        ("xspectra", "xerror", 2.0, "a number above 0 below 1, got 2.0"),
        ("xspectra", "r_paw_bohr", 9.0, "a radius above 0 up to 5 bohr, got 9.0"),
        ("rdf", "sigma_angstrom", -0.1, "a number from 0 up to 2, got -0.1"),
        ("rdf", "n_bins", 256.5, "an integer from 1 up to 100000, got 256.5"),
        ("rdf", "n_bins", 2_000_000_000, "up to 100000"),
        ("rdf", "pair", "O-O", "`settings.rdf.pair` must be one of total, Si-Si, Si-O, got 'O-O'"),
        ("bader", "method", "voronoi", "weight, neargrid, ongrid"),
        ("bader", "method", "wait", r"got 'wait'\. Did you mean `weight`\?"),
        (None, "material", "sixo", "unknown material `sixo`: did you mean `siox`"),
        (None, "bader", None, "`settings.bader` must be a mapping with method, got None"),
        (None, "colour", "red", "unknown key `settings.colour`"),
        (None, "gamma_eV", 0.5, "it stands elsewhere, did you mean `settings.xspectra.gamma_eV`"),
    ],
)
def test_settings_out_of_range(settings, section, key, value, message):
    import re

    (settings if section is None else settings[section])[key] = value
    error = Settings.fault(settings, "settings")
    assert error is not None
    assert re.search(message, error), error


def test_a_missing_setting_is_named(settings):
    del settings["scf"]["degauss_Ry"]
    message = "`settings.scf` lacks `degauss_Ry`: begin with get_builder_from_protocol, which fills them."
    assert Settings.fault(settings, "settings") == message


@pytest.mark.parametrize(("key", "value", "taken"), [("xniter", 3.0e3, 3000)])
def test_whole_numbers_may_have_a_dot(settings, key, value, taken):
    settings["xspectra"][key] = value
    found = Settings.parse(settings).plain()["xspectra"][key]
    assert found == taken
    assert isinstance(found, int)
    assert isinstance(xspectra_parameters(settings)["input_xspectra"]["xniter"], int)


def test_what_stands_open_is_taken_from_the_material(settings):
    """The node holds the material and its values, so that digests cover them; a node with gaps is refused."""
    assert settings["xspectra"]["r_paw_bohr"] is None
    full = Settings.parse(settings).plain()
    assert full["xspectra"]["r_paw_bohr"] == 1.8
    assert full["material"]["bonds_angstrom"]["Si-O"] == 2.0
    assert validate_settings(orm.Dict(full)) is None
    message = validate_settings(orm.Dict(settings))
    assert message.startswith("settings leave xspectra.r_paw_bohr open")
    settings["xspectra"]["r_paw_bohr"] = 2.7
    assert Settings.parse(settings).xspectra.r_paw_bohr == 2.7


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
    assert "`settings.scf.starting_magnetization` must not be 0" in Settings.fault(settings, "settings")


@pytest.mark.parametrize(("material", "high"), [("siox", 60.0), ("narrow", 30.0)])
def test_the_run_covers_the_window_of_the_material(settings, material, high):
    """From zeros 25 eV above its lower end to those 10 eV below it, in steps of 0.1 eV."""
    if material == "narrow":
        settings["material"] = (
            load_material("siox")
            .model_copy(update={"window": Window(energy_min_eV=1835.0, energy_max_eV=1855.0, n_points=64)})
            .plain()
        )
    plot = xspectra_parameters(settings)["plot"]
    assert (plot["xemin"], plot["xemax"], plot["xnepoint"]) == (-25.0, high, round(10 * (high + 25)) + 1)

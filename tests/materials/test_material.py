"""A material: what its yaml holds, what is refused, and that a material from outside runs through the protocols."""

from __future__ import annotations

import copy

import pytest
import yaml

from aiida_siox.materials import MATERIALS, load_material
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, check_atomic_parameters
from aiida_siox.workflows.calibration import CalibrationWorkChain
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain
from aiida_siox.workflows.study import StudyWorkChain
from tests.crystals import SIOX

#: SiOₓ at the O K edge, as far as its yaml differs from siox.yaml.
OXYGEN = {
    "name": "oxides",
    "title": "SiOₓ, O K edge",
    "absorber": "O",
    "ligands": ["Si"],
    "max_ligands": 3,
    "species": {"O": 6, "Si": 4},
    "hole_kind": "Oh",
    "r_paw_bohr": 1.3,
    "calibration": {"crystal": "quartz", "white_line_eV": 538.0, "plausible_eV": [530.0, 545.0]},
    "window": {"energy_min_eV": 521.2, "energy_max_eV": 571.2, "n_points": 256},
    "melt": None,
    "references": None,
    "atomic_variants": {},
    "protocols": {
        "default": {
            "structure_targets": {
                "settings": {
                    "scf": {"ecutwfc_Ry": 60.0, "ecutrho_Ry": 400.0},
                    "xspectra": {"gamma_eV": 0.4},
                }
            }
        },
        "fast": {"calibration": {"supercell": [1, 1, 2]}},
    },
}


def oxygen() -> dict:
    """Return the values of a material whose sites are the oxygen atoms of SiOₓ."""
    sets = copy.deepcopy(SIOX.atomic_data)
    hole = copy.deepcopy(sets["O"])
    hole["input"]["config"], hole["inputp"]["file_pseudopw"] = "1s1 2s2 2p4 3d-2", "O.pbe-1s-kjpaw.UPF"
    return {**SIOX.plain(), **OXYGEN, "atomic_data": {"ground": sets["O"], "hole": hole, "Si": sets["ground"]}}


@pytest.mark.parametrize("name", MATERIALS)
def test_shipped_materials(name):
    """Every one gives settings, data sets and a calibration for each protocol."""
    material = load_material(name)
    assert load_material(material.plain()) == material
    for protocol in ("fast", "balanced", "paper"):
        inputs = StructureTargetsWorkChain.get_protocol_inputs(protocol, {"material": name})
        settings = StructureTargetsWorkChain.settings_from(inputs, protocol)
        assert settings["material"]["absorber"] == material.absorber
        assert settings["changed"] == []
        parameters = AtomicDataWorkChain.get_protocol_inputs(protocol, {"material": name})["parameters"]
        assert check_atomic_parameters(parameters) is None
        assert CalibrationWorkChain.get_protocol_inputs(protocol, {"material": name})["supercell"]


def test_siox():
    assert SIOX.elements == ["Si", "O"]
    assert SIOX.runs == {"Si": "ground", "O": "O", "Sih": "hole"}
    assert SIOX.cutoffs == {("Si", "Si"): 2.8, ("Si", "O"): 2.0, ("O", "Si"): 2.0, ("O", "O"): 1.8}
    assert SIOX.edge_name == "Si K edge"
    counts = SIOX.count(["O", "Si", "O"])
    assert counts == {"Si": 1, "O": 2}
    assert list(counts) == ["Si", "O"]
    assert SIOX.x(counts) == 2
    with pytest.raises(ValueError, match="without Si has no x"):
        SIOX.x({"O": 2})
    assert SIOX.element_of("Sih") == "Si"


def test_roles_follow_the_absorber():
    material = load_material(oxygen())
    assert material.elements == ["O", "Si"]
    assert material.x({"O": 6, "Si": 3}) == 0.5
    assert material.runs == {"O": "ground", "Si": "Si", "Oh": "hole"}


def test_what_spectra_depend_on_knows_nothing_of_the_melt():
    """A table does not change its digest when densities do."""
    other = load_material({**SIOX.plain(), "melt": None, "references": None, "protocols": {}})
    assert other != SIOX
    assert other.spectral() == SIOX.spectral()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"absorber": "Ge"}, "absorber Ge not among the species Si, O"),
        ({"species": {"O": 6, "Si": 4}}, "species must begin with the absorber Si, got O, Si"),
        ({"species": {"Si": 4, "O": 6, "Qu": 1}}, "species Qu: no chemical element"),
        ({"core_level": "2S"}, r"edge K with core_level 2S: possible are K \(1S\), L1 \(2S\)"),
        ({"edge": "L3", "core_level": "2P"}, "edge L3 with core_level 2P"),
        ({"bonds_angstrom": {"Si-N": 2.0}}, "`Si-N`: write two of the species, such as Si-O"),
        ({"hole_kind": "Sn"}, "hole_kind Sn: pw.x wants the symbol of the absorber"),
        ({"hole_kind": "Silicon"}, "hole_kind Silicon"),
        ({"calibration": {**SIOX.calibration.plain(), "crystal": "quarz"}}, "did you mean `quartz`"),
        ({"calibration": {**SIOX.calibration.plain(), "white_line_eV": 184.6}}, "between 1830 and 1860 eV, got 184.6"),
        ({"window": {"energy_min_eV": 1.0, "energy_max_eV": 1.0, "n_points": 3}}, "is empty"),
        ({"atomic_data": {"ground": {}, "hole": {}}}, "atomic_data needs exactly O, ground, hole"),
        ({"colour": "red"}, r"unknown key `material.colour` \(value 'red'\): did you mean `colours`"),
    ],
)
def test_refused(change, words):
    with pytest.raises(ValueError, match=words):
        load_material({**SIOX.plain(), **change})


def test_unknown_names_and_files(tmp_path):
    with pytest.raises(ValueError, match="unknown material `sixo`: did you mean `siox`"):
        load_material("sixo")
    with pytest.raises(ValueError, match=r"none\.yaml cannot be read"):
        load_material(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match="must hold a mapping"):
        load_material(str(tmp_path / "list.yaml"))


def test_a_file_is_named_after_itself(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in oxygen().items() if key != "name"}))
    assert load_material(str(path)).name == "mine"


class TestProtocols:
    """What a material changes in the protocols, between their values and the user's."""

    @pytest.fixture
    def material(self, tmp_path):
        path = tmp_path / "oxides.yaml"
        path.write_text(yaml.safe_dump(oxygen()))
        return str(path)

    def test_settings(self, material):
        inputs = StructureTargetsWorkChain.get_protocol_inputs("paper", {"material": material})
        settings = StructureTargetsWorkChain.settings_from(inputs, "paper")
        assert (settings["scf"]["ecutwfc_Ry"], settings["xspectra"]["r_paw_bohr"]) == (60.0, 1.3)
        given = {"material": material, "settings": {"scf": {"ecutwfc_Ry": 70.0}}}
        inputs = StructureTargetsWorkChain.get_protocol_inputs("paper", given)
        settings = StructureTargetsWorkChain.settings_from(inputs, "paper")
        assert settings["scf"]["ecutwfc_Ry"] == 70.0
        assert settings["changed"] == ["scf.ecutwfc_Ry"]

    def test_calibration(self, material):
        assert CalibrationWorkChain.get_protocol_inputs("fast", {"material": material})["supercell"] == [1, 1, 2]
        assert CalibrationWorkChain.get_protocol_inputs("balanced", {"material": material})["supercell"] == [2, 1, 1]
        given = {"material": material, "supercell": [3, 1, 1]}
        assert CalibrationWorkChain.get_protocol_inputs("fast", given)["supercell"] == [3, 1, 1]

    def test_data_sets(self, material):
        parameters = AtomicDataWorkChain.get_protocol_inputs("fast", {"material": material})["parameters"]
        assert parameters["kinds"] == {"O": "ground", "Si": "Si", "Oh": "hole"}
        assert parameters["ground"]["core_level"] == "1S"
        assert parameters["family"]["prefix"] == "oxides"
        with pytest.raises(ValueError, match="oxides has no data sets `ultrasoft`: it has none"):
            AtomicDataWorkChain.get_protocol_inputs("ultrasoft", {"material": material})

    def test_a_melt_is_refused_by_name(self, material):
        for chain in (MeltQuenchWorkChain, StudyWorkChain):
            with pytest.raises(ValueError, match="the material oxides has no potential for a melt"):
                chain.get_protocol_inputs("fast", {"material": material})

    def test_the_material_stands_once(self):
        with pytest.raises(ValueError, match=r"`structure_targets\.material`: the material stands once, at the top"):
            StudyWorkChain.get_protocol_inputs("fast", {"structure_targets": {"material": "siox"}})

    def test_a_material_that_changes_what_is_not_there(self):
        wrong = {**oxygen(), "protocols": {"default": {"structure_targets": {"settings": {"gamma": 1}}}}}
        with pytest.raises(ValueError, match=r"oxides: protocols\.default\.structure_targets\.settings\.gamma"):
            StructureTargetsWorkChain.get_protocol_inputs("fast", {"material": wrong})

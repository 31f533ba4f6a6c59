"""Protocols: every key and type of an override is checked."""

import pytest

from aiida_siox.workflows.protocol import check_overrides, read_overrides
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain
from aiida_siox.workflows.study import StudyWorkChain


@pytest.mark.parametrize("protocol", ["fast", "balanced", "paper"])
def test_overrides_reach_the_inputs_and_nothing_else(protocol):
    plain = StructureTargetsWorkChain.get_protocol_inputs(protocol)
    changed = StructureTargetsWorkChain.get_protocol_inputs(protocol, {"settings": {"scf": {"ecutwfc_Ry": 61}}})
    assert changed["settings"]["scf"].pop("ecutwfc_Ry") == 61
    plain["settings"]["scf"].pop("ecutwfc_Ry")
    assert changed == plain


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"setings": {}}, r"`setings`: did you mean `settings`\?"),
        ({"settings": {"scf": {"ecutwfc": 50}}}, r"`settings.scf.ecutwfc`: did you mean `ecutwfc_Ry`\?"),
        ({"settings": {"scf": {"conv_thr_per_atom_Ry": "1e-8"}}}, "must be a number.*with a dot"),
        ({"ecutwfc_Ry": 50}, r"`ecutwfc_Ry`: it stands elsewhere, did you mean `settings.scf.ecutwfc_Ry`\?"),
        ({"settings": {"clean_scratch": True}}, r"`settings.clean_scratch`.* did you mean `clean_scratch`\?"),
        ({"structure_targets": {"settings": {"scf": {}}}}, r"what it holds \(settings\) stands without it at the top"),
        ({"settings": {"scf": 3}}, "at `settings.scf` must be a mapping"),
        ({"clean_scratch": 1}, "must be true or false"),
    ],
)
def test_wrong_overrides_are_refused_with_the_nearest_key(overrides, message):
    with pytest.raises(ValueError, match=message):
        StructureTargetsWorkChain.get_protocol_inputs("fast", overrides)


def test_unknown_protocol_names_the_nearest():
    with pytest.raises(ValueError, match=r"`fats`: did you mean `fast`\?"):
        StructureTargetsWorkChain.get_protocol_inputs("fats")


def test_a_study_checks_the_overrides_of_its_parts():
    inputs = StudyWorkChain.get_protocol_inputs("fast", {"structure_targets": {"settings": {"treatment": "xch"}}})
    assert inputs["structure_targets"]["settings"]["treatment"] == "xch"
    with pytest.raises(ValueError, match=r"`structure_targets.settings.treatmant`: did you mean `treatment`\?"):
        StudyWorkChain.get_protocol_inputs("fast", {"structure_targets": {"settings": {"treatmant": "xch"}}})


@pytest.mark.parametrize("potential", ["vashishta", {"name": "mine", "charges": {"Si": 2.4, "O": -1.2}}])
def test_a_study_takes_another_potential_by_name_or_definition(potential):
    inputs = StudyWorkChain.get_protocol_inputs("fast", {"melt_quench": {"potential": potential}})
    assert inputs["melt_quench"]["potential"] == potential
    with pytest.raises(ValueError, match=r"`melt_quench.potentail`: did you mean `potential`\?"):
        StudyWorkChain.get_protocol_inputs("fast", {"melt_quench": {"potentail": potential}})


def test_free_form_mappings_accept_any_key_and_none_accepts_any_value():
    check_overrides({"free": {"anything": 1}, "open": [1, 2]}, {"free": {}, "open": None})
    with pytest.raises(ValueError, match="`free` must be a mapping"):
        check_overrides({"free": 1}, {"free": {}})
    with pytest.raises(ValueError, match=r"`pairs` must be a list such as \[\[0\.0, 0\.02\]\], got 0\.05"):
        check_overrides({"pairs": 0.05}, {"pairs": [[0.0, 0.02]]})


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    path = tmp_path / "overrides.yaml"
    path.write_text("- 1\n- 2\n")
    with pytest.raises(ValueError, match="must hold a mapping"):
        read_overrides(path)
    path.write_text("a: [1,\n")
    with pytest.raises(ValueError, match="not a readable yaml"):
        read_overrides(path)

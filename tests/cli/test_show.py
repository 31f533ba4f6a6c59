"""``aiida-siox show``: its JSON, key by key, and the tables for reading."""

from __future__ import annotations

import functools

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.calculations.tables import collect
from aiida_siox.science.acceptance import attempts_of, count_acceptance
from tests.calculations import test_tables
from tests.cli.conftest import SHIFT
from tests.crystals import SIOX
from tests.factories import ENERGIES, make_calibration
from tests.quartz import quartz_spectrum

#: Energies of the free silicon atom in Ry (docs/develop/engine_facts.md).
ATOM = {
    "ground_all_electron_Ry": -579.674871,
    "ground_pseudo_Ry": -46.329006,
    "hole_all_electron_Ry": -442.845440,
    "hole_pseudo_Ry": -42.496530,
}

TABLE_KEYS = {
    *("type", "formula", "structure_uuid", "protocol", "treatment", "calibration", "axis", "energy_eV"),
    *("axes", "sigma_angstrom", "sites"),
}
SITE_KEYS = {"site_index", "status", "reason", "oxidation", "coordination", "valence", "bridge_angle"} | {
    *("energies", "spectrum", "rdf"),
}
ENERGY_KEYS = {*ENERGIES, "offset_eV", "ground_smearing_Ry", "hole_smearing_Ry"}
MODEL_KEYS = {
    *("type", "target", "dataset_uuid", "n_train", "rmse", "r2", "rmse_no_skill", "seed", "window_eV"),
}


def test_site_table_json(run_cli, hand_made_study):
    table = hand_made_study.tables["Si4O4_1"]
    calibration = hand_made_study.calibration
    shown = run_cli("show", table.pk, "--calibration", calibration.pk, "--json").json
    assert set(shown) >= TABLE_KEYS
    assert shown["type"] == "site_table"
    assert shown["structure_uuid"] == hand_made_study.structures["Si4O4_1"].uuid
    assert shown["calibration"] == {"uuid": calibration.uuid, "shift_eV": pytest.approx(SHIFT)}
    assert shown["axis"] == "calibrated"
    assert shown["energy_eV"][0] == pytest.approx(table.energy[0] + SHIFT)
    assert [site["site_index"] for site in shown["sites"]] == [0, 1, 2, 3]
    for site in shown["sites"]:
        assert set(site) >= SITE_KEYS
        assert len(site["rdf"]) == len(shown["axes"]["rdf"]["values"])
    good, failed = shown["sites"][0], shown["sites"][2]
    assert good["status"] == "done"
    assert good["reason"] is None
    assert len(good["spectrum"]) == len(shown["energy_eV"])
    assert failed["status"] == "failed"
    assert "not converged" in failed["reason"]
    assert failed["spectrum"] is None
    assert (set(good["energies"]), failed["energies"]) == (ENERGY_KEYS, None)


def test_site_table_without_calibration(run_cli, hand_made_study):
    """Total energies, whatever calibrations there are; one of other settings is refused."""
    table = hand_made_study.tables["Si4O4_1"]
    shown = run_cli("show", table.uuid, "--json").json
    assert shown["calibration"] is None
    assert shown["axis"] == "total energy"
    assert shown["energy_eV"][0] == pytest.approx(table.energy[0])
    other = make_calibration(settings_digest="other").store()
    message = run_cli("show", table.pk, "--calibration", other.pk, fails=True).stderr
    assert "name a calibration of the same treatment" in message
    message = run_cli("show", hand_made_study.dataset.pk, "--calibration", other.pk, fails=True).stderr
    assert "--calibration is for tables and spectra" in message


def test_site_table_text(run_cli, hand_made_study):
    text = run_cli("show", hand_made_study.tables["Si4O4_1"].pk).stdout
    assert "protocol fast" in text
    assert "white line" in text
    assert "Site 2 failed: xspectra.x" in text
    assert "core_correction_eV" not in text
    with_energies = run_cli(
        "show", hand_made_study.tables["Si4O4_1"].pk, "--energies", "--calibration", hand_made_study.calibration.pk
    ).stdout
    assert "core_correction_eV" in with_energies
    assert "1809.516" in with_energies
    assert "white line = offset_eV + peak_eV (of xspectra.x) + calibration (-12.800 eV)" in with_energies
    assert "hole_Ry and ground_Ry are F = E - TS; -TS is at most 0.0000 eV" in with_energies


def shown_energies(study):
    """Return the arguments that show the energies of a table on the measured axis."""
    return "show", study.tables["Si4O4_1"].pk, "--energies", "--calibration", study.calibration.pk


def numbers_of(text, heading):
    """Return the rows of the printed table under a heading as lists of cells."""
    lines = text[text.index(heading) :].splitlines()
    rows = [[cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines if "│" in line]
    return [row for row in rows if len(row) > 2]


def test_energies_of_a_table_add_up(run_cli, hand_made_study):
    """Row by row, as they are printed: what is read is what is added."""
    text = run_cli(
        "show", hand_made_study.tables["Si4O4_1"].pk, "--energies", "--calibration", hand_made_study.calibration.pk
    ).stdout
    rows = numbers_of(text, "Energies\n")
    assert [row[0] for row in rows] == ["0", "1", "2", "3"]
    assert set(rows[2][1:]) == {"-"}
    for row in (rows[0], rows[1], rows[3]):
        hole, ground, difference, core, transition, zero, offset, peak, white_line = map(float, row[1:])
        assert difference == pytest.approx((hole - ground) * 13.605692, abs=1e-3)
        # the energies of this table are made up: only the sums of what is printed are tested
        assert core == 1809.516
        assert offset == pytest.approx(transition + zero, abs=2e-3)
        assert white_line == pytest.approx(offset + peak + SHIFT, abs=3e-3)


@pytest.mark.parametrize("treatment", ["fch", "xch"])
def test_energies_of_a_spectrum_and_a_site_add_up(run_cli, aiida_profile, monkeypatch, treatment):
    free_energy = {"quantity": "F = E - TS", "smearing": "gaussian", "degauss_eV": 0.0680285}
    of = functools.partial(test_tables.quartz_at, atomic_energies=ATOM, free_energy=free_energy)
    monkeypatch.setattr(test_tables, "spectrum_of", of)
    results = test_tables.collect_sites(failed=(3,), settings={"treatment": treatment}, run=collect)
    table = results["site_table"]
    calibration = make_calibration(-12.75, table.settings_digest).store()
    spectrum = table.site_spectra["site_0001"]
    for node in (spectrum, results["sites"]["site_0001"]):
        text = run_cli("show", node.pk, "--calibration", calibration.pk).stdout
        assert f"Energies, {treatment}: lines with = are the sum of those above; E is F = E - TS, gaussian" in text
        assert "smearing of 0.005 Ry" in text
        total, sums, parts = 0.0, [], []
        for label, value, rydberg, part in numbers_of(text, "Energies, "):
            if label.startswith("+"):
                total += float(value)
                assert float(rydberg) * 13.605692 == pytest.approx(float(value), abs=1e-3)
            elif label.startswith("="):
                sums.append(label)
                assert float(value) == pytest.approx(total, abs=5e-3)
            elif part:
                parts.append(float(part))
        assert sums[-1] == "= white line, calibrated"
        assert total == pytest.approx(spectrum.white_line - 12.75, abs=5e-3)
        assert sum(parts) == pytest.approx(1809.516, abs=5e-3)  # the smearing is not in these energies
        assert ("-Fermi energy" in text) == (treatment == "xch")
    assert "Energies, " not in run_cli("show", results["sites"]["site_0003"].pk).stdout


def test_energies_of_a_spectrum_without_a_table(run_cli, aiida_profile):
    text = run_cli("show", quartz_spectrum().store().pk).stdout
    assert "= white line, total energy" in text
    assert "calibration" not in text


@pytest.mark.parametrize("target", ["valence", "rdf"])
def test_model_json(run_cli, hand_made_study, target):
    shown = run_cli("show", hand_made_study.models[target].pk, "--json").json
    assert set(shown) >= MODEL_KEYS
    assert shown["type"] == "model"
    assert shown["target"] == target
    assert shown["dataset_uuid"] == hand_made_study.dataset.uuid
    assert shown["n_train"] == 19, "the model that is kept has seen all sites"
    scores = shown["scores"]["random"]
    assert scores["n_train"] + scores["n_test"] == 19
    assert shown["window_eV"] == [1830.0, 1880.0]
    assert "rmse" in run_cli("show", hand_made_study.models[target].pk).stdout


def test_study_json(run_cli, hand_made_study):
    shown = run_cli("show", hand_made_study.study.pk, "--json").json
    assert shown["type"] == "study"
    assert shown["state"] == "finished"
    assert shown["exit_status"] == 401
    assert shown["protocol"] == "fast"
    assert shown["tables"] == {label: table.pk for label, table in hand_made_study.tables.items()}
    assert shown["dataset"] == hand_made_study.dataset.pk
    assert shown["models"] == {
        "valence": hand_made_study.models["valence"].pk,
        "rdf": hand_made_study.models["rdf"].pk,
    }
    assert isinstance(shown["timings"], list)
    assert any("Si4O4_1" in failure["where"] for failure in shown["failures"])


def test_study_text(run_cli, hand_made_study):
    text = run_cli("show", hand_made_study.study.pk).stdout
    assert "3/4" in text
    assert "Failures" in text


def test_acceptance_of_a_study(run_cli, aiida_profile):
    """As that of a set; a study that has not counted yet has none."""
    study = orm.WorkChainNode(process_type="aiida.workflows:siox.study")
    study.set_process_label("StudyWorkChain")
    study.base.links.add_incoming(orm.List([["Si8O4", 1]]).store(), LinkType.INPUT_WORK, "configurations")
    study.store()
    assert run_cli("show", study.pk, "--json").json["acceptance"] == {"order": []}
    assert "Acceptance" not in run_cli("show", study.pk).stdout
    rejected = {"accepted": False, "rejected_by": ["void"]}
    attempts = attempts_of("Si8O4", [1, 2, 3], {1: rejected, 2: rejected}, failed=[3])
    counted = count_acceptance(["Si8O4"], [attempts], SIOX)
    orm.Dict(counted).store().base.links.add_incoming(study, LinkType.RETURN, "acceptance")
    assert run_cli("show", study.pk, "--json").json["acceptance"] == counted
    (row,) = numbers_of(run_cli("show", study.pk).stdout, "Acceptance")
    assert row == ["Si8O4", "0.5", "1", "0", "3", "0%", "void (2), job failed (1)"]


@pytest.mark.parametrize("name", ["calibration", "dataset"])
def test_other_nodes(run_cli, hand_made_study, name):
    node = getattr(hand_made_study, name)
    assert run_cli("show", node.pk, "--json").json["type"] == name
    assert run_cli("show", node.pk).stdout


def test_structure(run_cli, hand_made_study):
    shown = run_cli("show", hand_made_study.structures["Si4O4_1"].pk, "--json").json
    assert shown["type"] == "structure"
    assert shown["formula"] == "Si4O4"
    assert len(shown["positions_angstrom"]) == 8


def test_process(run_cli, hand_made_study):
    shown = run_cli("show", hand_made_study.dataset.creator.pk, "--json").json
    assert shown["type"] == "process"
    assert shown["exit_status"] == 0
    assert shown["outputs"] == {"result": hand_made_study.dataset.pk}


@pytest.mark.parametrize("identifier", ["999999", "not-a-node", "00000000-0000-0000-0000-000000000000"])
def test_unknown_node(run_cli, hand_made_study, identifier):
    assert "there is no node" in run_cli("show", identifier, fails=True).stderr


def test_node_of_another_kind(run_cli, hand_made_study):
    node = orm.Int(3).store()
    assert "`show` knows" in run_cli("show", node.pk, fails=True).stderr

"""``aiida-siox train``."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from aiida import orm

from tests.factories import make_dataset, make_properties, stack_properties


@pytest.fixture
def short(tmp_path):
    """Return a file of overrides that make the training short."""
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump({"epochs": 10}))
    return path


def test_targets_of_the_protocol_json(run_cli, hand_made_study, short):
    shown = run_cli("train", hand_made_study.dataset.pk, "--overrides", short, "--seed", 7, "--json").json
    assert shown["exit_status"] == 0
    assert set(shown["outputs"]["models"]) == {"valence", "rdf", "oxidation"}
    model = orm.load_node(shown["outputs"]["models"]["valence"])
    assert model.creator.pk == shown["process"]
    assert model.target == "valence"
    assert model.base.attributes.get("seed") == 7
    parameters = model.creator.inputs.parameters.get_dict()["training"]
    assert parameters["epochs"] == model.base.attributes.get("card")["training"]["epochs"] == 10
    # the protocol that the data set was computed with decides what the overrides do not say
    assert parameters["patience"] == 60
    assert "rmse" in shown["scores"]["valence"]["random"]


def test_one_target_text(run_cli, hand_made_study, short):
    text = run_cli("train", hand_made_study.dataset.uuid, "--target", "rdf", "--overrides", short).stdout
    assert "rdf: model" in text
    assert "rmse_no_skill" in text
    assert "grouped" in text
    assert "valence: model" not in text


def test_wrong_override_key(run_cli, hand_made_study, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("epoch: 10\n")
    message = run_cli("train", hand_made_study.dataset.pk, "--overrides", path, fails=True).stderr
    assert "did you mean `epochs`?" in message


def test_wrong_protocol_and_node(run_cli, hand_made_study):
    assert "`fast`" in run_cli("train", hand_made_study.dataset.pk, "--protocol", "fats", fails=True).stderr
    message = run_cli("train", hand_made_study.calibration.pk, fails=True).stderr
    assert "is a CalibrationData, but a DatasetData is needed" in message


def test_data_set_too_small(run_cli, hand_made_study):
    properties = stack_properties([make_properties()])
    dataset = make_dataset(np.arange(3), np.ones((1, 3)), properties, [0], [{"formula": "Si", "x": 0.0}]).store()
    outcome = run_cli("train", dataset.pk, "--target", "valence", "--json", fails=True)
    assert outcome.exit_code == 3
    assert outcome.json["exit_status"] == 202
    assert outcome.json["outputs"] == {"models": {}}
    assert "1 sites are too few" in outcome.stderr

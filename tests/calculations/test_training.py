"""The calcfunction `train` on a data set of synthetic spectra, and what its provenance says."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_siox.calculations.training import TRAINING_VERSION, train
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.workflows.training import TrainingProtocol
from tests.calculations.synthetic import synthetic_dataset


def run(dataset, target="valence", overrides=None):
    """Run `train` with the fast protocol and small networks."""
    shape = {"hidden": [32, 32], "activation": "relu"}
    small = {"epochs": 60, "n_folds": 3, "networks": dict.fromkeys(("valence", "rdf", "oxidation"), shape)}
    parameters = TrainingProtocol.get_parameters("fast", {**small, **(overrides or {})})
    return train.run_get_node(dataset, orm.Str(target), orm.Dict(parameters), orm.Int(TRAINING_VERSION))


@pytest.mark.usefixtures("aiida_profile")
def test_valence_model_is_stored_and_queryable():
    dataset = synthetic_dataset(digest="contents").store()
    model, node = run(dataset)
    assert node.is_finished_ok, node.exit_message
    assert isinstance(model, ModelData)
    query = orm.QueryBuilder().append(DatasetData, filters={"uuid": dataset.uuid}, tag="dataset")
    query.append(orm.CalcFunctionNode, with_incoming="dataset", tag="train")
    query.append(
        ModelData,
        with_incoming="train",
        filters={"attributes.target": "valence", "attributes.scores.grouped.skill": {">": 0.5}},
        project=["uuid", "attributes.rmse", "attributes.rmse_no_skill", "attributes.scores.grouped.rmse"],
    )
    ((uuid, rmse, no_skill, grouped_rmse),) = query.all()
    assert uuid == model.uuid
    assert rmse == grouped_rmse < no_skill

    summary = model.summary()
    assert summary["type"] == "model"
    assert summary["dataset_uuid"] == dataset.uuid
    assert summary["dataset_digest"] == "contents"
    assert summary["n_train"] == summary["card"]["data"]["n_sites"] == 48
    assert summary["seed"] == 2026
    assert summary["window_eV"] == [1830.0, 1880.0]
    assert summary["normalisation"] == "none: cross-section per absorber"
    assert (summary["protocol"], summary["treatment"], summary["shift_eV"]) == ("fast", "fch", -12.8)
    assert set(summary["scores"]) == {"random", "grouped"}


@pytest.mark.usefixtures("aiida_profile")
def test_rdf_model_predicts_what_its_parity_says():
    dataset = synthetic_dataset().store()
    model, node = run(dataset, "rdf", {"epochs": 20})
    assert node.is_finished_ok, node.exit_message
    assert model.base.attributes.get("split") == "grouped"
    parity = model.parity()
    assert parity.reference.shape == parity.predicted.shape == (48, 256)
    assert model.predict_on_grid(dataset.spectra).shape == parity.predicted.shape
    assert not set(parity.structure_digest[parity.test]) & set(parity.structure_digest[~parity.test])
    rmse = np.sqrt((parity.rmse_per_site[parity.test] ** 2).mean())
    assert rmse == pytest.approx(model.base.attributes.get("rmse"), rel=1e-4)
    assert np.array_equal(parity.site_index, dataset.get_array("site_index"))


@pytest.mark.usefixtures("aiida_profile")
def test_same_inputs_same_model():
    dataset = synthetic_dataset().store()
    first, again = run(dataset, overrides={"epochs": 5})[0], run(dataset, overrides={"epochs": 5})[0]
    assert first.uuid != again.uuid
    assert first.base.attributes.get("network_sha256") == again.base.attributes.get("network_sha256")
    assert first.base.attributes.all == again.base.attributes.all


@pytest.mark.usefixtures("aiida_profile")
def test_equal_structures_are_one_group():
    dataset = synthetic_dataset()
    entries = dataset.configurations
    for entry in entries:
        entry["structure_digest"] = "the same"
    dataset.base.attributes.set("configurations", entries)
    model, _ = run(dataset, overrides={"epochs": 3})
    assert model.base.attributes.get("split") == "out_of_fold"
    assert "one configuration" in model.base.attributes.get("scores_unavailable")["grouped"]
    with pytest.raises(ValueError, match="no parity for the split `grouped`: all sites belong to one configuration"):
        model.parity("grouped")


@pytest.mark.usefixtures("aiida_profile")
@pytest.mark.parametrize(
    ("n", "target", "overrides", "status", "message"),
    [
        (48, "charge", {}, 201, "'charge' is not a valid Target"),
        (
            48,
            "valence",
            {"post_edge_window_eV": [1870.0, 1890.0], "normalisation": "post_edge"},
            202,
            "post-edge window",
        ),
        (3, "valence", {}, 202, "3 sites are too few"),
    ],
)
def test_refused_with_an_exit_message(n, target, overrides, status, message):
    result, node = run(synthetic_dataset(n, 3), target, overrides)
    assert not result
    assert node.exit_status == status
    assert message in node.exit_message


@pytest.mark.usefixtures("aiida_profile")
def test_bad_parameters_are_refused():
    _, node = train.run_get_node(synthetic_dataset(), orm.Str("valence"), orm.Dict({"seed": 1}), orm.Int(1))
    assert node.exit_status == 201
    assert "start from a protocol" in node.exit_message

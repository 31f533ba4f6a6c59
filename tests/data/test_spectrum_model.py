"""ModelData with intervals: what `analyse` stores of a model of synthetic spectra."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import orm

from aiida_siox.data.model import ModelData
from aiida_siox.learning.model import SpectrumModel
from aiida_siox.learning.training.cross_validation import Task, fit_ensembles
from tests.learning.toy import toy_hyper, toy_sites

DESCRIPTION = {
    "treatment": "fch",
    "gamma_eV": 0.8,
    "shift_eV": -12.8,
    "protocol": "fast",
    "dataset_digest": "synthetic",
}
TARGETS = ("valence", "rdf", "oxidation")
SCORES = {"grouped": {"rmse": {"mean": 0.2, "low": 0.19, "high": 0.21}}}


@pytest.fixture(scope="module")
def models() -> dict[str, SpectrumModel]:
    """Return small models of all targets."""
    sites = toy_sites(48, 6)
    shape = {"hidden": [8, 8, 8]}
    hyper = toy_hyper(epochs=4, n_folds=3, networks={"valence": shape, "rdf": shape, "oxidation": shape})
    found = {}
    for target in TARGETS:
        task = Task(np.arange(len(sites)), seed=1)
        (trained,) = fit_ensembles(sites.examples(target), [task], hyper)
        found[target] = SpectrumModel.from_trained(sites, target, hyper, trained, scores=SCORES)
    return found


def store(model: SpectrumModel) -> ModelData:
    """Return a stored node, loaded again."""
    node = orm.load_node(ModelData.from_spectrum_model(model.to_bytes(), DESCRIPTION).store().pk)
    assert isinstance(node, ModelData)
    return node


@pytest.mark.usefixtures("aiida_profile")
@pytest.mark.parametrize("target", TARGETS)
def test_node_predicts_as_the_model_does(models, target):
    model, node = models[target], store(models[target])
    sites = toy_sites(48, 6)
    assert node.target == target
    np.testing.assert_array_equal(node.predict_on_grid(sites.spectra), model.predict_on_grid(sites.spectra))
    ours, theirs = node.predict((sites.energy, sites.spectra[0])), model.predict(sites.energy, sites.spectra[0])
    for key in ("value", "low", "high", "novelty", "rmse"):
        np.testing.assert_array_equal(getattr(ours, key), getattr(theirs, key), err_msg=key)
    assert ours.notes[-len(theirs.notes) or len(ours.notes) :] == theirs.notes
    assert "measured axis" in ours.notes[0]
    assert node.quantity == model.quantity


@pytest.mark.usefixtures("aiida_profile")
def test_card_is_queryable_and_complete(models):
    node = store(models["valence"])
    attributes = node.base.attributes
    assert attributes.get("card")["range"]["treatment"] == "fch"
    assert attributes.get("card")["data"]["dataset_digest"] == "synthetic"
    assert (attributes.get("split"), attributes.get("rmse"), attributes.get("n_train")) == ("grouped", 0.2, 48)
    query = orm.QueryBuilder().append(
        ModelData, filters={"id": node.pk, "attributes.card.scores.grouped.rmse.mean": {"<": 0.25}}
    )
    assert query.count() == 1
    summary = json.loads(json.dumps(node.summary(), allow_nan=False))
    assert summary["card"]["data"]["n_sites"] == 48
    assert node.base.repository.list_object_names() == ["model.pt"]


@pytest.mark.usefixtures("aiida_profile")
def test_one_file_that_learning_alone_reads(models, tmp_path):
    store(models["rdf"]).spectrum_model.save(tmp_path / "rdf.pt")
    read = SpectrumModel.load(tmp_path / "rdf.pt")
    sites = toy_sites(48, 6)
    np.testing.assert_array_equal(read.predict_on_grid(sites.spectra), models["rdf"].predict_on_grid(sites.spectra))
    assert read.card["range"]["shift_eV"] == -12.8


@pytest.mark.usefixtures("aiida_profile")
def test_what_is_refused(models):
    node = store(models["valence"])
    sites = toy_sites(48, 6)
    with pytest.raises(ValueError, match="normalised, or in other units"):
        node.predict((sites.energy, 100 * sites.spectra[0]))
    with pytest.raises(ValueError, match="does not guess what is outside"):
        node.predict((sites.energy[50:], sites.spectra[0, 50:]))
    with pytest.raises(ValueError, match="not a readable torch file"):
        ModelData.from_spectrum_model(b"nothing", DESCRIPTION)
    damaged = ModelData.from_spectrum_model(models["valence"].to_bytes(), DESCRIPTION)
    damaged.base.repository.put_object_from_bytes(models["rdf"].to_bytes(), ModelData.MODEL_FILE)
    with pytest.raises(ValueError, match=r"model.pt of ModelData.* is corrupted: its sha256"):
        damaged.store()

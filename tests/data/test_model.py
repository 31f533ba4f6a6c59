"""ModelData: predictions, refusals, parity, damage, archives. On synthetic spectra."""

from __future__ import annotations

import io
import pathlib
import runpy

import numpy as np
import pytest
from aiida import orm

from aiida_siox.data.model import ModelData
from aiida_siox.learning.analysis.model import train_model
from aiida_siox.learning.data.spectrum import Normalisation
from tests.factories import make_spectrum, pole_coefficients
from tests.learning.toy import ENERGY, toy_arrays, toy_hyper, toy_sites

DESCRIPTION = {
    "protocol": "fast",
    "treatment": "fch",
    "sigma_angstrom": 0.15,
    "gamma_eV": 0.8,
    "settings_digest": "settings",
    "shift_eV": -12.5,
    "dataset_digest": "contents",
}


SITES = toy_sites(60, 12)


def make_model(target: str = "valence", **overrides) -> ModelData:
    """Return an unstored model of synthetic sites."""
    small = {"epochs": 40, "n_folds": 3, "networks": {target: {"hidden": [16, 16], "activation": "leaky_relu"}}}
    model = train_model(SITES, target, toy_hyper(**{**small, **overrides}))
    return ModelData.from_spectrum_model(model, DESCRIPTION)


@pytest.fixture(scope="module")
def valence_model(aiida_profile):
    return make_model()


@pytest.fixture(scope="module")
def rdf_model(aiida_profile):
    return make_model("rdf", epochs=4)


def test_predicts_a_measured_spectrum(valence_model):
    arrays = toy_arrays(1, 1, seed=9)
    fine = np.linspace(1825, 1885, 900)
    prediction = valence_model.predict((fine, np.interp(fine, ENERGY, arrays["spectra"][0])))
    assert prediction.value == pytest.approx(arrays["valence"][0], abs=0.5)
    assert (prediction.quantity.unit, prediction.kind, prediction.split) == ("e", "average", "averages")
    assert prediction.rmse == valence_model.base.attributes.get("card")["scores"]["averages"]["rmse"]
    assert any("unnormalised cross-section per absorber" in note for note in prediction.notes)
    assert any("computed energies are shifted by -12.50 eV" in note for note in prediction.notes)
    assert prediction.to_dict()["notes"] == list(prediction.notes)


def test_predicts_a_computed_spectrum_on_its_own_axis(valence_model):
    states = np.arange(8.0, 80.0, 0.4)  # each 0.4 eV wide: an edge of height 1 at 1847 eV
    node = make_spectrum(
        coefficients=pole_coefficients([states] * 3, np.full((3, len(states)), 0.5 / np.pi)),
        energy=ENERGY + 12.5 - 1840.0,
        energies={"transition_eV": 1838.0, "energy_zero_eV": 2.0},
        run={"gamma_eV": 0.4},
    )
    assert np.allclose(node.energy, ENERGY + 12.5)
    prediction = valence_model.predict(node)
    assert prediction.low < prediction.value < prediction.high < np.inf
    assert (prediction.kind, prediction.split) == ("site", "grouped")
    assert prediction.rmse == valence_model.base.attributes.get("rmse") == valence_model.scores["grouped"]["rmse"]
    assert prediction.value == pytest.approx(valence_model.predict((ENERGY, node.mean)).value, abs=1e-6)
    assert prediction.notes[0] == "gamma_eV of the spectrum is 0.4, the model was trained with 0.8."


def test_attributes_come_from_the_card(valence_model, aiida_profile):
    again = ModelData.from_spectrum_model(valence_model.content)
    assert again.base.attributes.all == valence_model.base.attributes.all
    assert again.base.attributes.get("shift_eV") == -12.5
    model = train_model(toy_sites(12), "valence", toy_hyper(epochs=1, n_folds=2))
    without = ModelData.from_spectrum_model(model, {"protocol": "fast"})
    assert without.base.attributes.get("shift_eV", None) is None
    with pytest.raises(ValueError, match="does not say by how much it shifted"):
        without.predict(make_spectrum())


@pytest.mark.parametrize(
    ("spectrum", "message"),
    [
        ((ENERGY[10:], np.ones(246)), "the model reads 1830.00 to 1880.00 eV"),
        ((ENERGY[::-1], np.ones(256)), "do not increase"),
        (([], []), "0 points"),
        ((ENERGY, np.full(256, np.nan)), "absorption of point 1 is nan"),
        ((ENERGY, np.full(256, 50.0)), "the mean absorption is 50"),
        (np.ones(256), "cannot read a spectrum from ndarray"),
    ],
)
def test_refuses(valence_model, spectrum, message):
    with pytest.raises(ValueError, match=message):
        valence_model.predict(spectrum)


def test_refuses_what_the_caller_says_is_normalised(valence_model):
    with pytest.raises(ValueError, match=r"is normalised \(post_edge\)"):
        valence_model.predict((ENERGY, toy_arrays(1, 1)["spectra"][0]), Normalisation.POST_EDGE)


def test_parity(valence_model):
    for split in ("grouped", "random"):
        parity = valence_model.parity(split)
        assert (parity.split, parity.quantity.unit) == (split, "e")
        assert parity.reference.shape == parity.predicted.shape == (60,)
        assert parity.test.sum() == valence_model.scores[split]["n_test"]
        rmse = np.sqrt((parity.rmse_per_site[parity.test] ** 2).mean())
        assert rmse == pytest.approx(valence_model.scores[split]["rmse"], rel=1e-4)
        assert np.array_equal(parity.n_ligands, SITES.n_ligands)
    assert valence_model.parity("grouped").test.all()
    assert set(valence_model.parity("random").part) == {"train", "test"}
    assert np.isfinite(valence_model.parity("random").predicted).all()
    assert set(parity.group) == set(SITES.groups)
    with pytest.raises(ValueError, match="no parity for the split `sorted`: there is random, grouped"):
        valence_model.parity("sorted")


def test_card_is_an_attribute_and_a_text(valence_model):
    attributes = valence_model.base.attributes
    assert attributes.get("card")["data"]["dataset_digest"] == "contents"
    assert attributes.get("card")["scores"]["grouped"]["rmse"]["mean"] == attributes.get("rmse")
    assert "dataset digest: contents" in valence_model.card_text()
    summary = valence_model.summary()
    assert (summary["type"], summary["protocol"], summary["n_train"]) == ("model", "fast", 60)


def _replace(model: ModelData, content: bytes) -> ModelData:
    model.base.repository.put_object_from_filelike(io.BytesIO(content), "model.pt")
    return model


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_corrupted_file(valence_model, damage):
    content = valence_model.content
    middle = len(content) // 2
    damaged = {
        "cut": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "text": b"not a network",
        "empty": b"",
    }[damage]
    model = _replace(ModelData.from_spectrum_model(content, DESCRIPTION), damaged)
    with pytest.raises(ValueError, match=rf"model.pt of ModelData<unstored> \({model.uuid}\) is corrupted.*train the"):
        model.predict((ENERGY, np.ones(256)))
    with pytest.raises(ValueError, match="is corrupted"):
        model.store()


def test_unreadable_file_with_the_right_sum_and_missing_file(valence_model):
    import hashlib

    model = _replace(ModelData.from_spectrum_model(valence_model.content, DESCRIPTION), b"not a network")
    model.base.attributes.set("network_sha256", hashlib.sha256(b"not a network").hexdigest())
    with pytest.raises(ValueError, match="is corrupted: not a readable torch file"):
        _ = model.spectrum_model
    model.base.repository.delete_object("model.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        _ = model.spectrum_model


def test_an_empty_model_is_not_stored(aiida_profile):
    with pytest.raises(ValueError, match=r"comes from ModelData\.from_spectrum_model"):
        ModelData().store()


@pytest.mark.usefixtures("aiida_profile")
def test_archive_round_trip(tmp_path, rdf_model):
    from aiida.tools import delete_nodes
    from aiida.tools.archive import create_archive, import_archive

    model = ModelData.from_spectrum_model(rdf_model.content, DESCRIPTION).store()
    spectra = toy_arrays(3, 1)["spectra"]
    expected, uuid = model.predict_on_grid(spectra), model.uuid
    create_archive([model], filename=tmp_path / "model.aiida")
    delete_nodes([model.pk], dry_run=False)
    import_archive(tmp_path / "model.aiida")
    imported = orm.load_node(uuid)
    assert isinstance(imported, ModelData)
    assert np.array_equal(imported.predict_on_grid(spectra), expected)
    assert imported.dataset_uuid is None
    assert imported.summary()["dataset_uuid"] is None


@pytest.mark.parametrize("target", ["valence", "rdf"])
def test_example(request, target, tmp_path, monkeypatch, capsys):
    model = ModelData.from_spectrum_model(request.getfixturevalue(f"{target}_model").content, DESCRIPTION).store()
    path = tmp_path / "spectrum.txt"
    np.savetxt(path, np.column_stack([ENERGY, toy_arrays(1, 1)["spectra"][0]]), fmt="%.12f")
    monkeypatch.setattr("sys.argv", ["predict.py", str(model.pk), str(path)])
    example = pathlib.Path(__file__).parents[2] / "examples" / "predict.py"
    runpy.run_path(str(example))
    output = capsys.readouterr().out
    assert output.startswith("Bader valence" if target == "valence" else "g(R) σ 0.15 Å")
    assert ("90% interval" in output) == (target == "valence")
    assert "RMSE of averaged spectra that training left out" in output
    path.write_text("1840 1\n")
    with pytest.raises(SystemExit, match="Refused: the spectrum has 1 points"):
        runpy.run_path(str(example))

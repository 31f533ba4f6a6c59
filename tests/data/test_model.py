"""ModelData: predictions, refusals, damage, archives."""

from __future__ import annotations

import io
import pathlib
import runpy

import numpy as np
import pytest
from aiida import orm

from aiida_siox.data.model import ModelData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.learning.evaluation import train_and_score
from aiida_siox.learning.parameters import Target
from tests.learning.toy import ENERGY, R, toy_arrays, toy_data, toy_hyper

DESCRIPTION = {
    "protocol": "fast",
    "treatment": "fch",
    "sigma_angstrom": 0.15,
    "gamma_eV": 0.8,
    "settings_digest": "settings",
    "shift_eV": -12.5,
    "dataset_digest": "contents",
    "r_angstrom": R.tolist(),
    "configurations": [{"formula": "Si8O8", "x": 1.0, "structure_digest": f"digest-{i}"} for i in range(6)],
}


def make_model(target: str = "valence", **overrides) -> ModelData:
    """Return an unstored model trained on synthetic spectra."""
    data, arrays, hyper = toy_data(target=target), toy_arrays(60, 6), toy_hyper(**{"epochs": 80, **overrides})
    outcome = train_and_score(data, Target(target), hyper)
    identity = {key: arrays[key] for key in ("site_index", "n_oxygen", "configuration")}
    return ModelData.from_training(data, Target(target), hyper, outcome, identity, DESCRIPTION)


@pytest.fixture(scope="module")
def valence_model(aiida_profile):
    return make_model()


@pytest.fixture(scope="module")
def rdf_model(aiida_profile):
    return make_model("rdf")


def test_predicts_a_measured_spectrum(valence_model):
    arrays = toy_arrays(1, 1, seed=9)
    fine = np.linspace(1825, 1885, 900)
    prediction = valence_model.predict((fine, np.interp(fine, ENERGY, arrays["spectra"][0])))
    assert prediction.value == pytest.approx(arrays["valence"][0], abs=0.5)
    assert isinstance(prediction.value, float)
    assert (prediction.unit, prediction.split) == ("e", "random")
    assert prediction.rmse == valence_model.base.attributes.get("rmse")
    assert any("unnormalised cross-section per absorber" in note for note in prediction.notes)
    assert not any("WARNING" in note for note in prediction.notes)
    assert prediction.to_dict()["notes"] == list(prediction.notes)


def test_arbitrary_units_are_remarked_on(valence_model):
    prediction = valence_model.predict((ENERGY, 50 * toy_arrays(1, 1)["spectra"][0]))
    assert any("WARNING: the mean absorption" in note for note in prediction.notes)


def test_post_edge_model_takes_arbitrary_units():
    model = make_model(normalisation="post_edge")
    spectrum = toy_arrays(1, 1, seed=9)["spectra"][0]
    first, second = model.predict((ENERGY, spectrum)), model.predict((ENERGY, 50 * spectrum))
    assert first.value == pytest.approx(second.value, abs=1e-5)
    assert first.normalisation == "divided by the mean from 1865 to 1880 eV"
    assert not any("WARNING" in note for note in second.notes)


def test_predicts_an_rdf(rdf_model):
    prediction = rdf_model.predict((ENERGY, toy_arrays(1, 1)["spectra"][0]))
    assert prediction.value.shape == prediction.r_angstrom.shape == (256,)
    assert prediction.sigma_angstrom == 0.15
    assert isinstance(prediction.to_dict()["value"], list)


def test_predicts_a_computed_spectrum_on_its_own_axis(valence_model):
    node = SpectrumData()
    spectrum = toy_arrays(1, 1, seed=9)["spectra"][0]
    node.set_array("energy_xspectra", ENERGY + 12.5 - 1840.0)
    node.set_array("sigma", np.tile(spectrum, (3, 1)))
    node.base.attributes.set_many(
        {
            "treatment": "fch",
            "gamma_eV": 0.4,
            "site_index": 0,
            "energies": {"transition_eV": 1838.0, "energy_zero_eV": 2.0, "fermi_eV": 3.0},
        }
    )
    assert np.allclose(node.energy, ENERGY + 12.5)
    prediction = valence_model.predict(node)
    assert prediction.value == pytest.approx(valence_model.predict((ENERGY, spectrum)).value, abs=1e-6)
    assert prediction.notes == ("gamma_eV of the spectrum is 0.4, the model was trained with 0.8.",)


@pytest.mark.parametrize(
    ("spectrum", "message"),
    [
        ((ENERGY[10:], np.ones(246)), "the model reads 1830.00 to 1880.00 eV"),
        ((ENERGY[::-1], np.ones(256)), "do not increase"),
        (([], []), "0 points"),
        ((ENERGY, np.full(256, np.nan)), "absorption of point 1 is nan"),
        (np.ones(256), "cannot read a spectrum from ndarray"),
    ],
)
def test_refuses(valence_model, spectrum, message):
    with pytest.raises(ValueError, match=message):
        valence_model.predict(spectrum)


def test_predict_on_grid_refuses(valence_model):
    with pytest.raises(ValueError, match=r"shape \(n, 256\)"):
        valence_model.predict_on_grid(np.ones((2, 10)))
    with pytest.raises(ValueError, match="not finite"):
        valence_model.predict_on_grid(np.full((2, 256), np.inf))


def test_parity(valence_model):
    parity = valence_model.parity("grouped")
    assert (parity.split, parity.unit) == ("grouped", "e")
    assert parity.reference.shape == parity.predicted.shape == (60,)
    assert set(parity.part) == {"fit", "validation", "test"}
    assert parity.test.sum() == valence_model.scores["grouped"]["n_test"]
    rmse = np.sqrt((parity.rmse_per_site[parity.test] ** 2).mean())
    assert rmse == pytest.approx(valence_model.scores["grouped"]["rmse"], rel=1e-4)
    assert valence_model.history("grouped").shape == (valence_model.scores["grouped"]["epochs"], 2)
    with pytest.raises(ValueError, match="no parity for the split `sorted`"):
        valence_model.parity("sorted")
    with pytest.raises(ValueError, match="no history for the split `sorted`"):
        valence_model.history("sorted")


def _replace(model: ModelData, name: str, content: bytes) -> ModelData:
    model.base.repository.put_object_from_filelike(io.BytesIO(content), name)
    return model


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty"])
def test_corrupted_network(aiida_profile, damage):
    model = make_model(epochs=1)
    content = model.base.repository.get_object_content("network.pt", mode="rb")
    middle = len(content) // 2
    damaged = {
        "cut": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "text": b"not a network",
        "empty": b"",
    }[damage]
    _replace(model, "network.pt", damaged)
    with pytest.raises(
        ValueError, match=rf"network.pt of ModelData<unstored> \({model.uuid}\) is corrupted.*train the"
    ):
        model.predict((ENERGY, np.ones(256)))
    with pytest.raises(ValueError, match="is corrupted"):
        model.store()


def test_unreadable_torch_file_with_the_right_sum(aiida_profile):
    import hashlib

    model = _replace(make_model(epochs=1), "network.pt", b"not a network")
    model.base.attributes.set("network_sha256", hashlib.sha256(b"not a network").hexdigest())
    with pytest.raises(ValueError, match="is corrupted: not a readable torch file"):
        _ = model.network


def test_missing_and_corrupted_files(aiida_profile):
    model = _replace(make_model(epochs=1), "evaluation.npz", b"PK\x03\x04 nonsense")
    with pytest.raises(ValueError, match=r"evaluation.npz of ModelData.* is corrupted"):
        model.parity()
    model.base.repository.delete_object("network.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        _ = model.network


def test_an_empty_model_is_not_stored(aiida_profile):
    with pytest.raises(ValueError, match=r"comes from ModelData\.from_training"):
        ModelData().store()


@pytest.mark.usefixtures("aiida_profile")
def test_archive_round_trip(tmp_path, aiida_profile):
    from aiida.tools import delete_nodes
    from aiida.tools.archive import create_archive, import_archive

    model = make_model("rdf", epochs=2).store()
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
def test_example(aiida_profile, target, tmp_path, monkeypatch, capsys):
    model = make_model(target, epochs=2).store()
    path = tmp_path / "spectrum.txt"
    np.savetxt(path, np.column_stack([ENERGY, toy_arrays(1, 1)["spectra"][0]]), fmt="%.12f")
    monkeypatch.setattr("sys.argv", ["predict.py", str(model.pk), str(path)])
    example = pathlib.Path(__file__).parents[2] / "examples" / "predict.py"
    runpy.run_path(str(example))
    output = capsys.readouterr().out
    assert output.startswith("valence" if target == "valence" else "g(R), broadened by 0.15")
    assert "RMSE on test sites (random split)" in output
    path.write_text("1840 1\n")
    with pytest.raises(SystemExit, match="Refused: the spectrum has 1 points"):
        runpy.run_path(str(example))

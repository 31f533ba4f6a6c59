"""A model as one file: predictions with intervals, refusals, damage, card; no AiiDA. On synthetic spectra."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from aiida_siox.learning.data.sites import Configuration
from aiida_siox.learning.data.spectrum import Normalisation, SpectrumKind
from aiida_siox.learning.model import SpectrumModel
from aiida_siox.learning.training.cross_validation import Task, fit_ensembles
from aiida_siox.learning.uncertainty.calibrator import CALIBRATORS, CvPlus
from tests.learning.toy import ENERGY, QUANTITIES, toy_arrays, toy_hyper, toy_sites

SMALL = {"hidden": [16, 16], "activation": "leaky_relu"}


def make_model(target: str = "valence", n: int = 120, n_configurations: int = 12, **overrides) -> SpectrumModel:
    """Return a model of synthetic sites."""
    sites = toy_sites(n, n_configurations)
    examples = sites.examples(target)
    hyper = toy_hyper(**{"epochs": 60, "networks": {target: SMALL}, **overrides})
    task = Task(np.arange(len(examples)), seed=1, mixtures=overrides.get("n_mixtures", 0))
    (trained,) = fit_ensembles(examples, [task], hyper)
    return SpectrumModel.from_trained(sites, target, hyper, trained)


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def post_edge_model():
    return make_model(normalisation="post_edge")


def fresh(n: int = 1, seed: int = 9):
    return toy_arrays(n, 1, seed)


def test_value_interval_and_novelty(model):
    fine = np.linspace(1825, 1885, 900)
    spectrum = fresh()["spectra"][0]
    prediction = model.predict(fine, np.interp(fine, ENERGY, spectrum), kind=SpectrumKind.SITE)
    assert isinstance(prediction.value, float)
    assert prediction.kind == "site"
    assert prediction.low < prediction.value < prediction.high
    assert (prediction.quantity.unit, prediction.coverage, prediction.split) == ("e", 0.9, "out_of_fold")
    assert prediction.rmse == model.card["scores"]["out_of_fold"]["rmse"]
    assert not prediction.flagged
    assert prediction.notes == ()
    assert json.loads(json.dumps(prediction.to_dict()))["high"] == prediction.high


def test_intervals_hold_most_new_sites(model):
    arrays = toy_arrays(600, 6, seed=21)
    low, high = model.intervals_on_grid(arrays["spectra"])
    inside = (low <= arrays["valence"]) & (arrays["valence"] <= high)
    assert inside.mean() >= 0.85
    assert low.shape == model.predict_on_grid(arrays["spectra"]).shape == (600,)


def test_averages_have_intervals_and_scores_of_their_own():
    model = make_model(n=200, n_configurations=25, n_mixtures=50)
    spectrum = toy_sites(200, 25).mean_spectra()[0][3]
    site, average = (model.predict(ENERGY, spectrum, kind=kind) for kind in SpectrumKind)
    assert site.value == average.value
    members = model.ensemble.member_predictions(spectrum[None])
    for kind, shown in ((SpectrumKind.SITE, site), (SpectrumKind.AVERAGE, average)):
        ends = model.intervals[kind].interval(members, spectrum[None], 0.9)
        assert (shown.low, shown.high) == (ends[0].item(), ends[1].item())
    assert site.high != average.high
    assert (average.kind, average.split) == ("average", "averages")
    assert average.rmse == model.card["scores"]["averages"]["rmse"]
    assert model.predict(ENERGY, spectrum) == average, "numbers are an average, as measured spectra are"


@pytest.mark.parametrize("target", ["rdf", "oxidation", "coordination", "bridge_angle"])
def test_any_property(target):
    model, quantity = make_model(target, epochs=10), QUANTITIES[target]
    prediction = model.predict(ENERGY, fresh()["spectra"][0], kind=SpectrumKind.SITE)
    assert prediction.quantity == quantity
    shape = () if quantity.is_scalar else (len(quantity.axis.values),)
    assert np.shape(prediction.value) == np.shape(prediction.low) == np.shape(prediction.high) == shape
    least, most = quantity.limits
    assert (np.asarray(prediction.low) >= least).all()
    assert (np.asarray(prediction.high) <= most).all()
    if target == "oxidation":
        assert prediction.value.sum() == pytest.approx(1.0)
    values = json.loads(json.dumps(prediction.to_dict()))
    assert (values["target"], values["unit"], values["note"]) == (target, quantity.unit, quantity.note)
    assert values["axis"] == (None if quantity.axis is None else {**values["axis"], "name": quantity.axis.name})


def test_new_spectra_are_flagged_with_a_warning(model):
    spectrum = np.random.default_rng(0).uniform(0.5, 1.5, 256)
    prediction = model.predict(ENERGY, spectrum)
    assert prediction.flagged
    assert prediction.novelty > prediction.novelty_threshold
    assert "WARNING: the spectrum is unlike those of training" in prediction.notes[0]


def test_too_few_sites_for_an_interval():
    model = make_model(n=24, coverage=0.95, epochs=2)
    prediction = model.predict(ENERGY, fresh()["spectra"][0], kind=SpectrumKind.SITE)
    assert (prediction.low, prediction.high) == (-np.inf, np.inf)
    assert "No interval: 12 configurations that training left out are too few for 95%" in prediction.notes[-1]
    assert "No interval: 12 conf" in model.predict(ENERGY, fresh()["spectra"][0]).notes[-1]
    assert prediction.to_dict()["low"] is None


@pytest.mark.parametrize(
    ("energy", "scale", "normalisation", "message"),
    [
        (ENERGY[10:], 1.0, None, "the model reads 1830.00 to 1880.00 eV"),
        (ENERGY[::-1], 1.0, None, "do not increase"),
        (np.linspace(1825, 1885, 20), 1.0, None, "has a step of"),
        (ENERGY, 50.0, None, "the mean absorption is .* in training: the spectrum is normalised, or in other units"),
        (ENERGY, 0.02, Normalisation.NONE, "the mean absorption is"),
        (ENERGY, 1.0, Normalisation.POST_EDGE, r"is normalised \(post_edge\), but the model reads unnormalised"),
    ],
)
def test_refused_with_the_reason(model, energy, scale, normalisation, message):
    values = scale * np.interp(np.sort(energy), ENERGY, fresh()["spectra"][0])
    with pytest.raises(ValueError, match=message):
        model.predict(energy, values, normalisation)


def test_post_edge_model_takes_any_scale(post_edge_model):
    spectrum = fresh()["spectra"][0]
    first = post_edge_model.predict(ENERGY, spectrum)
    second = post_edge_model.predict(ENERGY, 50 * spectrum, Normalisation.POST_EDGE)
    assert first.value == pytest.approx(second.value, abs=1e-5)
    assert first.novelty == pytest.approx(second.novelty, rel=1e-6)
    assert first.normalisation == "divided by the mean from 1865 to 1880 eV"
    with pytest.raises(ValueError, match="post-edge window is not positive"):
        post_edge_model.predict(ENERGY, -spectrum)


def test_predict_on_grid_refuses(model):
    with pytest.raises(ValueError, match=r"shape \(n, 256\)"):
        model.predict_on_grid(np.ones((2, 10)))
    with pytest.raises(ValueError, match="not finite"):
        model.predict_on_grid(np.full((2, 256), np.inf))


def test_file_gives_the_same_model_without_aiida(model, tmp_path):
    path = tmp_path / "model.pt"
    model.save(path)
    assert path.read_bytes() == model.to_bytes()
    spectrum = fresh()["spectra"][0]
    np.save(tmp_path / "spectrum.npy", np.stack([ENERGY, spectrum]))
    code = (
        "import sys, json, numpy as np\n"
        "sys.modules['aiida'] = None\n"
        "from aiida_siox.learning.model import SpectrumModel\n"
        f"model = SpectrumModel.load({str(path)!r})\n"
        f"energy, spectrum = np.load({str(tmp_path / 'spectrum.npy')!r})\n"
        "print(json.dumps(model.predict(energy, spectrum).to_dict()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(model.predict(ENERGY, spectrum).to_dict()))
    assert SpectrumModel.load(path).card == json.loads(json.dumps(model.card))


def altered(model: SpectrumModel, tmp_path, change) -> bytes:
    """Return the file with one change to its content."""
    path = tmp_path / "altered.pt"
    model.save(path)
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(format="other"), "not the file of a spectrum model"),
        (lambda content: content.update(version=99), "version 99, but this aiida_siox reads version 4"),
        (lambda content: content.pop("intervals"), "damaged .*intervals"),
        (lambda content: content.update(calibrator="mine"), "of the calibrator `mine`, which is not here: install the"),
        (lambda content: content["ensemble"].pop("networks"), "damaged .*not the state of an ensemble"),
        (lambda content: content["novelty"].pop("units"), "damaged .*not the state of a novelty score"),
        (lambda content: content.update(card="{}"), "damaged"),
        (lambda content: content["intervals"]["site"].update(fold=torch.zeros(2)), "do not fit"),
        (lambda content: content["intervals"]["average"]["residuals"].fill_(torch.nan), "folds and groups do not fit"),
        (lambda content: content["intervals"].pop("average"), "damaged"),
    ],
)
def test_damaged_content(model, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        SpectrumModel.from_bytes(altered(model, tmp_path, change))


@pytest.mark.parametrize("content", [b"", b"not a model", "cut"])
def test_damaged_bytes(model, content):
    whole = model.to_bytes()
    with pytest.raises(ValueError, match="not a readable torch file"):
        SpectrumModel.from_bytes(whole[: len(whole) // 2] if content == "cut" else content)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"absent.pt cannot be read: No such file"):
        SpectrumModel.load(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ValueError, match=r"text.pt: not a readable torch file"):
        SpectrumModel.load(tmp_path / "text.pt")


def test_card(model):
    card = model.card
    assert card["data"]["n_sites"] == 120
    assert (card["data"]["n_configurations"], card["data"]["n_compositions"]) == (12, 3)
    assert sum(card["data"]["sites_by_composition"].values()) == 120
    assert card["training"]["folds"] == "of configurations"
    assert card["range"]["window_eV"] == [1830.0, 1880.0]
    assert card["range"]["x"] == pytest.approx([0.8, 1.0])
    scores = card["scores"]["out_of_fold"]
    assert scores["rmse"] < 0.5 * scores["rmse_no_skill"]
    assert card["intervals"]["mean_width"]["site"] > 2 * scores["rmse"]
    assert card["intervals"]["mean_width"]["average"] < card["intervals"]["mean_width"]["site"]
    assert card["scores"]["averages"]["n"] == 12
    grouped = {"grouped": {"rmse": {"mean": 0.21, "low": 0.2, "high": 0.22}}}
    said = {"dataset_digest": "abc", "treatment": "fch", "gamma_eV": 0.8, "shift_eV": -12.8, "scores": grouped}
    fuller = model.described(said)
    assert fuller.card["data"]["dataset_digest"] == "abc"
    assert fuller.card["range"]["shift_eV"] == -12.8
    assert "dataset_digest" not in model.card["data"]
    prediction = fuller.predict(ENERGY, fresh()["spectra"][0], kind=SpectrumKind.SITE)
    assert (prediction.split, prediction.rmse) == ("grouped", 0.21)
    text = fuller.card_text()
    for part in (
        "# Model of valence: Bader valence (e)",
        "dataset digest: abc",
        "treatment: fch",
        "mean 0.21",
        "## Limits",
        "torch: 2",
    ):
        assert part in text, part
    assert "{" not in text


def test_card_says_when_folds_are_of_sites(model):
    cells = [Configuration("Si8O8", 1.0, "same") for _ in range(6)]
    sites, hyper = toy_sites(20, configurations=cells), toy_hyper(epochs=2, networks={"valence": SMALL})
    (trained,) = fit_ensembles(sites.examples("valence"), [Task(np.arange(20), seed=1)], hyper)
    single = SpectrumModel.from_trained(sites, "valence", hyper, trained)
    assert single.card["training"]["folds"] == "of sites"
    assert any("Too few configurations" in text for text in single.card["limits"])
    assert not any("Too few configurations" in text for text in model.card["limits"])


def test_a_model_predicts_without_the_registry_of_properties(model):
    """What it says of its property stands in its file."""
    name = "aiida_siox.science.properties"
    code = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "import numpy as np; from aiida_siox.learning.model import SpectrumModel\n"
        "model = SpectrumModel.from_bytes(sys.stdin.buffer.read())\n"
        "print(model.quantity.title, model.quantity.unit, model.predict_on_grid(np.ones((2, 256))).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=model.to_bytes(), capture_output=True, check=False)
    assert done.stdout.decode() == "Bader valence e (2,)\n", done.stderr.decode()


class Wide(CvPlus):
    """A calibrator of another package: intervals of one width."""

    def interval(self, members, spectra, coverage):
        """Return ends 1 below and above the mean."""
        return members.mean(axis=0) - 1, members.mean(axis=0) + 1


def test_a_calibrator_of_another_package(monkeypatch):
    monkeypatch.setitem(CALIBRATORS._items, "wide", Wide)
    wide = make_model(epochs=2, uncertainty={"calibrator": "wide"})
    again = SpectrumModel.from_bytes(wide.to_bytes())
    prediction = again.predict(ENERGY, fresh()["spectra"][0])
    assert (prediction.high - prediction.low) == pytest.approx(2.0)
    assert again.card["intervals"]["method"]["calibrator"] == "wide"

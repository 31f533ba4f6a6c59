"""Parts of the analysis on synthetic spectra: which arrays they give, what is in them, and what they refuse."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pytest

from aiida_siox.learning.analysis.parts import PARTS, run_part
from aiida_siox.learning.analysis.windows import energy_columns
from aiida_siox.learning.data.sites import Configuration
from aiida_siox.science.quantity import Kind
from aiida_siox.workflows.analysis import AnalysisProtocol
from tests.learning.toy import ENERGY, toy_sites

N = 48
SMALL = {
    "training": {
        "epochs": 12,
        "n_folds": 3,
        "n_test_folds": 3,
        "n_mixtures": 20,
        "networks": {kind: {"hidden": [32, 32]} for kind in Kind},
    },
    "windows": {"names": ["b", "c"], "windows_eV": [[1836.25, 1842.5], [1842.5, 1848.75]]},
    "uncertainty": {"n_noise": 5, "n_bootstrap": 100},
    "learning_curve": {"fractions": [0.3, 0.6, 0.8, 1.0], "n_repeats": 2},
}


@pytest.fixture(scope="module")
def sites():
    return toy_sites(n=N, n_configurations=12)


@pytest.fixture(scope="module")
def results(sites):
    """Return every part but the model, run once."""
    parameters = AnalysisProtocol.get_parameters("fast", copy.deepcopy(SMALL))
    said: dict[str, list[float]] = {}

    def run(name):
        said[name] = []
        return run_part(name, sites, parameters[name], lambda part, text: said[name].append(part))

    found = {name: run(name) for name in PARTS if name != "model"}
    for name, parts in said.items():
        assert parts == sorted(parts), f"the progress of {name} goes back"
        assert 0 <= parts[0] <= parts[-1] <= 1
    return found


def test_splits(sites, results):
    arrays, scores = results["splits"].arrays, results["splits"].attributes["scores"]
    for target, shape in (("valence", (N,)), ("rdf", (N, 256)), ("oxidation", (N, 5))):
        for kind in ("random", "grouped", "composition"):
            predicted = arrays[f"{target}_{kind}_predicted"]
            assert predicted.shape == shape
            tested = np.isfinite(predicted.reshape(N, -1)).all(axis=1)
            assert tested.sum() == (10 if kind == "random" else N)
            assert np.array_equal(np.isfinite(arrays[f"{target}_{kind}_site_rmse"][0]), tested)
            entry = scores[target][kind]
            assert {"composition_mean", "kernel_ridge"} <= set(entry["baselines"])
            assert entry["rmse"]["low"] <= entry["rmse"]["mean"] <= entry["rmse"]["high"]
    predicted = arrays["valence_grouped_predicted"]
    error = float(np.sqrt(((predicted - sites.values("valence")) ** 2).mean()))
    assert scores["valence"]["grouped"]["rmse"]["seeds"][0] == pytest.approx(error, rel=1e-5)
    assert "descriptors" in scores["valence"]["random"]["baselines"]
    assert "descriptors" not in scores["rdf"]["random"]["baselines"]
    shuffled = scores["valence"]["grouped"]["baselines"]["shuffled"]
    assert shuffled["rmse"]["mean"] > 0.8 * shuffled["rmse_no_skill"]["mean"]
    fitted, predicted = arrays["valence_random_fitted"], arrays["valence_random_predicted"]
    assert (np.isfinite(fitted) ^ np.isfinite(predicted)).all()


def test_windows(results):
    arrays, scores = results["windows"].arrays, results["windows"].attributes["scores"]
    assert arrays["window_names"].tolist() == ["b", "c", "full"]
    assert arrays["windows_eV"].tolist() == [[1836.25, 1842.5], [1842.5, 1848.75], [1830.0, 1880.0]]
    assert arrays["valence_window_predicted"].shape == (3, N)
    assert arrays["rdf_window_site_rmse"].shape == (3, N)
    tested = np.isfinite(arrays["valence_window_predicted"])
    assert (tested == tested[0]).all(), "all windows have the same split"
    assert scores["valence"]["c"]["rmse"]["mean"] < scores["valence"]["b"]["rmse"]["mean"], "the line is at 1846 eV"


def test_averages(sites, results):
    arrays, scores = results["averages"].arrays, results["averages"].attributes["scores"]
    assert arrays["valence_configuration"].tolist() == list(range(12))
    means = [sites.values("valence")[sites.configuration == i].mean() for i in range(12)]
    np.testing.assert_allclose(arrays["valence_reference"], means, rtol=1e-6)
    for variant in ("sites", "mixtures"):
        assert np.isfinite(arrays[f"valence_{variant}_predicted"]).all()
        assert (arrays[f"valence_{variant}_low"] < arrays[f"valence_{variant}_high"]).all()
        error = arrays[f"valence_{variant}_predicted"] - arrays["valence_reference"]
        assert scores["valence"][variant]["bias"] == pytest.approx(float(error.mean()), abs=1e-5)
        np.testing.assert_allclose(arrays[f"oxidation_{variant}_predicted"].sum(axis=1), 1, rtol=1e-5)
        assert 0 <= scores["oxidation"][variant]["total_variation"]["mean"] <= 1
    assert [x for x, _ in scores["valence"]["sites"]["bias_by_x"]] == sorted(set(sites.x))


def test_uncertainty(sites, results):
    result = results["uncertainty"]
    low, high = result.arrays["valence_low"], result.arrays["valence_high"]
    assert low.shape == (2, N)
    inside = ((low <= sites.values("valence")) & (sites.values("valence") <= high)).mean()
    found = result.attributes["coverage"]["valence"]
    assert found["coverage"] == pytest.approx(inside)
    assert found["low"] <= found["coverage"] <= found["high"]
    assert found["coverage"] >= 0.75
    assert result.attributes["false_alarms"] == pytest.approx((result.arrays["novelty"] > 1).mean())
    assert {entry["name"] for entry in result.attributes["probes"]} >= {"white noise, 5 draws"}


def test_learning_curve(results):
    arrays = results["learning_curve"].arrays
    assert arrays["valence_n_sites"].shape == arrays["valence_rmse"].shape == (4, 2)
    assert (np.diff(arrays["valence_n_sites"], axis=0) > 0).all()
    wanted = results["learning_curve"].attributes["sites_needed"]["valence"]
    half = arrays["valence_rmse_linear"][-1].mean() / 2
    assert sorted(map(float, wanted)) == pytest.approx(sorted([0.11, 0.155, half]), abs=1e-3)


def test_what_every_part_says(sites, results):
    for result in results.values():
        assert result.attributes["n_sites"] == N
        assert result.attributes["n_configurations"] == 12
        assert result.attributes["quantities"]["rdf"]["note"] == "σ 0.15 Å"
        assert (result.attributes["coverage_asked"], result.attributes["confidence"]) == (0.9, 0.9)
        assert not any(np.asarray(array).dtype == object for array in result.arrays.values())


def test_columns_of_windows_cover_the_energies_once():
    edges = np.arange(1830.0, 1881.0, 6.25)
    parts = [energy_columns(ENERGY, low, high) for low, high in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), np.arange(256))
    with pytest.raises(ValueError, match="holds 0 energies of the spectra, which cover 1830"):
        energy_columns(ENERGY, 1900, 1906)


def test_no_complete_configuration_no_averages():
    cells = [Configuration("Si8O8", 1.0, f"cell{i}", complete=False) for i in range(4)]
    few = toy_sites(n=20, n_configurations=4, configurations=cells)
    parameters = AnalysisProtocol.get_parameters("fast", copy.deepcopy(SMALL))["averages"]
    with pytest.raises(ValueError, match="no configuration has `valence` at all its sites"):
        run_part("averages", few, parameters, lambda part, text: None)


def test_post_edge_takes_the_scale_out_of_everything(sites):
    """Networks, windows, baselines and novelty score see normalised spectra only."""
    small = copy.deepcopy(SMALL)
    small["training"] = {**small["training"], "normalisation": "post_edge"}
    small["splits"] = {"targets": ["valence"], "kinds": ["random"], "baselines": ["descriptors", "kernel_ridge"]}
    for part in ("windows", "uncertainty"):
        small[part] = {**small.get(part, {}), "targets": ["valence"]}
    parameters = AnalysisProtocol.get_parameters("fast", small)
    factors = np.random.default_rng(1).uniform(0.1, 10, (len(sites), 1))
    scaled = dataclasses.replace(sites, spectra=sites.spectra * factors)
    for name in ("splits", "windows", "uncertainty"):
        ours, theirs = (run_part(name, each, parameters[name], lambda *_: None).arrays for each in (sites, scaled))
        assert ours.keys() == theirs.keys()
        for key, values in ours.items():
            if values.dtype.kind == "f":
                np.testing.assert_allclose(values, theirs[key], rtol=1e-3, atol=1e-3, err_msg=f"{name}: {key}")


@pytest.mark.parametrize("target", ["bridge_angle", "coordination"])
def test_any_property_goes_through_every_part(sites, target):
    """Also one that some sites have not, and one that no yaml names."""
    parameters = AnalysisProtocol.get_parameters("fast", copy.deepcopy(SMALL), (target,))
    has = np.isfinite(sites.properties[target]).all(axis=1)
    shape = sites.values(target).shape
    for name in PARTS:
        if name == "averages" and not has.all():
            continue  # every configuration has a site without
        result = run_part(name, sites, parameters[name], lambda part, text: None)
        assert list(result.attributes["quantities"]) == [target]
        if name == "splits":
            predicted = result.arrays[f"{target}_grouped_predicted"]
            assert predicted.shape == shape
            np.testing.assert_array_equal(np.isfinite(predicted.reshape(N, -1)).all(axis=1), has)
            assert np.isfinite(result.attributes["scores"][target]["grouped"]["rmse"]["mean"])
        if name == "model":
            model = result.models[target]
            assert model.card["data"]["n_sites"] == has.sum()
            assert model.predict_on_grid(sites.spectra).shape == shape

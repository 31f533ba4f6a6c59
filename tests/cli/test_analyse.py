"""``aiida-siox analyse`` on a data set of synthetic spectra."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import yaml
from aiida import orm
from aiida.manage.caching import enable_caching

from aiida_siox.calculations import analysis as calculation
from aiida_siox.cli.analyse_text import interval, mean_of, print_analysis
from aiida_siox.data.analysis import AnalysisData, analysis_of
from aiida_siox.data.model import ModelData
from aiida_siox.learning.analysis.results import PartResult
from tests.calculations.synthetic import run_mean_part, synthetic_dataset


@pytest.fixture
def dataset(aiida_profile, monkeypatch, request):
    """Return a stored data set of its own; every part is the one whose numbers are known."""
    monkeypatch.setattr(calculation, "run_part", run_mean_part)
    return synthetic_dataset(digest=f"{abs(hash(request.node.name)):016x}").store()


def test_every_part_is_stored_and_found_again(run_cli, dataset):
    outcome = run_cli("analyse", dataset.pk, "--protocol", "fast", "--no-report", "--json")
    shown = outcome.json
    parts, models = analysis_of(dataset)
    assert set(parts) == {"splits", "windows", "averages", "uncertainty", "learning_curve", "model"}
    assert models == {}
    assert shown["exit_status"] == 0
    assert shown["failures"] == {}
    assert shown["report"] is None
    assert {part: node.pk for part, node in parts.items()} == {
        key: value for key, value in shown["outputs"].items() if key != "models"
    }
    assert shown["scores"]["splits"]["valence"]["grouped"]["rmse"]["mean"] == pytest.approx(
        dataset.properties["valence"].std()
    )
    for part, node in parts.items():
        assert node.creator.pk == shown["process"][part]
        assert node.creator.inputs.dataset.uuid == dataset.uuid
    assert "half of it" not in outcome.stdout
    shown = run_cli("show", dataset.pk, "--json").json
    assert shown["analysis"] == {part: node.pk for part, node in parts.items()}


def test_text_has_the_scores_and_the_next_steps(run_cli, dataset):
    text = run_cli("analyse", dataset.pk, "--protocol", "fast", "--parts", "splits", "--no-report").stdout
    assert "48 sites, 6 configurations, g(R): σ 0.15 Å), 3 seeds" in text.replace("\n", " ")
    assert "grouped" in text
    assert f"{dataset.properties['valence'].std():.3f}" in text
    assert "siox/analysis/" in text


def test_second_call_computes_nothing(run_cli, dataset):
    options = ("analyse", dataset.pk, "--protocol", "fast", "--parts", "windows,splits", "--no-report", "--json")
    first = run_cli(*options).json
    with enable_caching():
        outcome = run_cli(*options)
    again = outcome.json
    assert outcome.stderr.count("from the cache") == 2
    for part in ("splits", "windows"):
        node = orm.load_node(again["process"][part])
        assert node.base.caching.get_cache_source() == orm.load_node(first["process"][part]).uuid
    group = orm.Group.collection.get(label=f"siox/analysis/{dataset.base.attributes.get('digest')[:16]}")
    assert {node.pk for node in group.nodes} == {again["outputs"][part] for part in ("splits", "windows")}


def test_a_part_that_fails_leaves_the_others(run_cli, dataset, monkeypatch):
    def run_part(name, sites, parameters, progress) -> PartResult:
        if name == "splits":
            raise ValueError("the sites cannot be divided so")
        if name == "windows":
            raise RuntimeError("torch ran into something")
        return run_mean_part(name, sites, parameters, progress)

    monkeypatch.setattr(calculation, "run_part", run_part)
    outcome = run_cli(
        *("analyse", dataset.pk, "--protocol", "fast", "--parts", "splits,windows,averages", "--no-report", "--json"),
        fails=True,
    )
    assert outcome.exit_code == 3
    shown = outcome.json
    assert shown["exit_status"] == 202
    assert set(shown["outputs"]) == {"averages", "models"}
    assert "the sites cannot be divided so" in shown["failures"]["splits"]
    assert "torch ran into something" in shown["failures"]["windows"]
    assert "Without a result: splits, windows" in outcome.stderr
    assert orm.load_node(shown["process"]["windows"]).is_excepted
    assert set(analysis_of(dataset)[0]) == {"averages"}


def test_ctrl_c_ends_the_part_and_keeps_the_others(run_cli, dataset, monkeypatch):
    reached = []

    def run_part(name, sites, parameters, progress) -> PartResult:
        if name == "windows":
            progress(0.1, "before")
            os.kill(os.getpid(), signal.SIGINT)
            np.linalg.svd(np.eye(3))
            reached.append(name)
        return run_mean_part(name, sites, parameters, progress)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(calculation, "run_part", run_part)
    outcome = run_cli(
        *("analyse", dataset.pk, "--protocol", "fast", "--parts", "splits,windows,averages", "--no-report", "--json"),
        fails=True,
    )
    shown = outcome.json
    assert outcome.exit_code == 3
    assert not reached
    assert set(shown["process"]) == {"splits", "windows"}
    node = orm.load_node(shown["process"]["windows"])
    assert node.is_killed
    assert node.is_sealed
    assert not node.base.caching.is_valid_cache
    assert set(analysis_of(dataset)[0]) == {"splits"}
    assert "Without a result: windows, averages" in outcome.stderr
    assert signal.getsignal(signal.SIGINT) is before


def test_overrides_reach_their_part(run_cli, dataset, tmp_path):
    path = tmp_path / "more.yaml"
    path.write_text(yaml.safe_dump({"splits": {"n_seeds": {"valence": {"random": 9}}}, "training": {"epochs": 7}}))
    options = ("analyse", dataset.pk, "--protocol", "fast", "--parts", "splits", "--no-report", "--overrides", path)
    shown = run_cli(*options, "--json").json
    parameters = orm.load_node(shown["outputs"]["splits"]).base.attributes.get("parameters")
    assert (parameters["n_seeds"]["valence"]["random"], parameters["training"]["epochs"]) == (9, 7)


def test_what_is_refused(run_cli, dataset, tmp_path):
    message = run_cli("analyse", dataset.pk, "--parts", "split", fails=True).stderr
    assert "did you mean `splits`?" in message
    message = run_cli("analyse", dataset.pk, "--submit", fails=True).stderr
    assert "--code" in message
    message = run_cli("analyse", dataset.pk, "--protocol", "quick", fails=True).stderr
    assert "unknown protocol `quick`" in message
    path = tmp_path / "wrong.yaml"
    path.write_text("splits: {n_seed: 2}\n")
    message = run_cli("analyse", dataset.pk, "--overrides", path, fails=True).stderr
    assert "did you mean `n_seeds`?" in message
    message = run_cli("analyse", dataset.pk, "--code", "nothing@nowhere", fails=True).stderr
    assert "nothing@nowhere" in message
    nameless = synthetic_dataset(digest="").store()
    assert "no `digest`" in run_cli("analyse", nameless.pk, fails=True).stderr
    table = orm.Dict({}).store()
    assert "a DatasetData is needed" in run_cli("analyse", table.pk, fails=True).stderr


def test_report_gets_all_parts_of_the_data_set(run_cli, dataset, monkeypatch, tmp_path):
    calls = []

    def write(*arguments):
        calls.append(arguments)
        return arguments[0] / "report.html"

    monkeypatch.setattr("aiida_siox.cli.analyse.write_analysis_report", write)
    options = ("analyse", dataset.pk, "--protocol", "fast")
    run_cli(*options, "--parts", "splits", "--no-report")
    text = run_cli(*options, "--parts", "windows", "--report", tmp_path / "folder").stdout
    ((folder, node, parts, models),) = calls
    assert (folder, node.uuid) == (tmp_path / "folder", dataset.uuid)
    assert set(parts) == {"splits", "windows"}
    assert all(isinstance(part, AnalysisData) for part in parts.values())
    assert models == {}
    assert str(tmp_path / "folder" / "report.html") in text.replace("\n", "")


def test_scores_as_text():
    assert mean_of({"mean": 0.12345}) == mean_of(0.12345) == mean_of({"rmse": {"mean": 0.12345}}) == "0.123"
    assert mean_of(None) == mean_of({}) == mean_of({"mean": None}) == "-"
    assert mean_of(7) == "7"
    assert interval({"mean": 0.11, "low": 0.105, "high": 0.115}) == "0.110 (0.105 to 0.115)"
    assert interval({"mean": 0.11, "low": None, "high": None}) == "0.110"
    assert interval({"coverage": 0.9, "low": 0.88, "high": 0.92}, "coverage") == "0.900 (0.880 to 0.920)"


def test_every_table(aiida_profile, capsys):
    """Each part prints the numbers that its attributes hold."""
    rmse = {"mean": 0.11, "low": 0.105, "high": 0.115}
    parts = {
        "splits": {
            "n_seeds": 5,
            "scores": {
                "valence": {
                    "random": {
                        "rmse": rmse,
                        "r2": {"mean": 0.991},
                        "rmse_no_skill": {"mean": 1.234},
                        "rmse_single": {"mean": 0.133},
                        "baselines": {"descriptors": {"rmse": {"mean": 0.311}}, "shuffled": {"rmse": {"mean": 1.211}}},
                        "n_train": 200,
                        "n_test": 50,
                    }
                }
            },
        },
        "windows": {
            "n_seeds": 5,
            "parameters": {"names": ["a"], "windows_eV": [[1830.0, 1836.25]]},
            "scores": {"rdf": {"a": {"rmse": rmse}, "full": {"rmse": {"mean": 0.09}}}},
        },
        "averages": {
            "scores": {
                "valence": {"mixtures": {"rmse": rmse, "bias": 0.021, "bias_by_x": [[0.75, 0.031], [1.0, -0.02]]}}
            }
        },
        "uncertainty": {
            "coverage": {"valence": {"coverage": 0.901, "low": 0.88, "high": 0.92, "mean_width": 0.4}},
            "false_alarms": 0.062,
            "probes": [{"name": "SiO2 +3 eV", "score": 9.5, "flagged": True}, {"name": "Si -3 eV", "flagged": False}],
        },
        "learning_curve": {
            "fit": {"valence": {"a": 1.5, "b": 0.5, "c": 0.1}, "rdf": {}},
            "sites_needed": {"valence": {"0.11": 410, "0.05": None}},
        },
        "model": {},
    }
    print_analysis(synthetic_dataset().store(), parts)
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "0.110 (0.105 to 0.115)", "0.991", "1.234", "0.133", "0.311", "1.211", "200/50", "1830 to 1836.25", "0.090",
        "valence, bias of mixtures by x: 0.75: +0.031, 1: -0.020", "0.901 (0.880 to 0.920)", "0.400", "0.062",
        "SiO2 +3 eV: flagged (score 9.500)", "Si -3 eV: NOT flagged", "a 1.500, b 0.500, c 0.100", "no fit",
        "0.11: 410", "0.05: out of reach",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.engine
def test_parts_as_jobs(run_cli, aiida_profile, engine_code, tmp_path):
    """With --code the part runs as a job of the real siox-analyse, and its results are found as those of a function."""
    from tests.engines.test_analysis import SMALL

    dataset = synthetic_dataset(digest="synthetic-for-jobs").store()
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    code = engine_code("analysis")
    options = ("analyse", dataset.pk, "--protocol", "fast", "--overrides", path, "--parts", "splits", "--no-report")
    outcome = run_cli(*options, "--code", code.full_label, "--json")
    node = orm.load_node(outcome.json["process"]["splits"])
    assert node.process_type == "aiida.calculations:siox.analysis"
    assert node.get_option("resources")["num_cores_per_mpiproc"] == 1
    parts, _ = analysis_of(dataset)
    assert parts["splits"].creator.uuid == node.uuid


def test_prediction_of_a_model_with_intervals(run_cli, aiida_profile, tmp_path):
    """`predict` prints the interval, and the fractions of a model of the oxidation states."""
    from aiida_siox.learning.model import SpectrumModel
    from aiida_siox.learning.training.cross_validation import Task, fit_ensembles
    from tests.learning.toy import toy_hyper, toy_sites

    sites = toy_sites(48, 12)
    path = tmp_path / "spectrum.txt"
    np.savetxt(path, np.column_stack([sites.energy, sites.spectra[0]]))
    shape = {"hidden": [8, 8, 8]}
    hyper = toy_hyper(epochs=4, n_folds=3, networks={"valence": shape, "oxidation": shape})
    for target in ("valence", "oxidation"):
        (trained,) = fit_ensembles(sites.examples(target), [Task(np.arange(48), 1)], hyper)
        model = SpectrumModel.from_trained(sites, target, hyper, trained)
        node = ModelData.from_spectrum_model(model.to_bytes(), {"protocol": "fast", "shift_eV": 0.0}).store()
        text = run_cli("predict", node.pk, path, "--site").stdout
        shown = run_cli("predict", node.pk, path, "--site", "--json").json
        assert shown["rmse_by_split"] == {}, "it was not scored on a split"
        assert shown["split"] == "out_of_fold"
        assert "(RMSE on sites of left-out folds)" in text
        assert shown["rmse"] == pytest.approx(node.base.attributes.get("rmse"))
        assert shown["low"] is not None
        if target == "valence":
            assert f"90% interval: {shown['low']:+.3f} to {shown['high']:+.3f} e" in text
        else:
            assert f"0 {shown['value'][0]:.8g}" in text
            assert sum(shown["value"]) == pytest.approx(1)

"""``siox-analyse``: files in, files out, and what it says when it cannot."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from aiida_siox.learning.analysis import parts
from aiida_siox.learning.analysis.results import PartResult
from aiida_siox.learning.script import DONE, OutOfTime, main, progress_printer
from aiida_siox.workflows.analysis import AnalysisProtocol
from tests.learning.toy import toy_sites


class SyntheticModel:
    """Something that becomes a file."""

    card: dict = {}

    def to_bytes(self) -> bytes:
        """Return anything."""
        return b"model"


def synthetic_part(name, sites, parameters, progress) -> PartResult:
    """Stand in for ``run_part``."""
    if parameters["targets"] == ["fail"]:
        raise ValueError("the sites cannot be divided so")
    progress(0.25, "first\n quarter")
    return PartResult(
        {"mean": np.array([sites.values("valence").mean()], dtype=np.float32)},
        {"n": np.int64(len(sites)), "low": float("nan"), "part_seen": name},
        {"valence": SyntheticModel()} if name == "model" else {},
    )


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Return a function that runs the script on synthetic sites, and gives status and ``result.json``."""
    monkeypatch.setattr(parts, "run_part", synthetic_part)
    monkeypatch.chdir(tmp_path)
    toy_sites(12, 3).to_npz(tmp_path / "sites.npz")

    def run(part="splits", *options, **changes):
        protocol = AnalysisProtocol.get_parameters("fast")
        request = {"part": part, "parameters": {**protocol.get(part, protocol["splits"]), **changes}}
        (tmp_path / "parameters.json").write_text(json.dumps({**request, "version": 4}))
        status = main(["sites.npz", "parameters.json", *options])
        return status, json.loads((tmp_path / "result.json").read_text())

    return run


def test_result_files(call, capsys):
    status, result = call()
    assert status == 0
    out = capsys.readouterr().out.splitlines()
    assert out == ["progress 0.250 first quarter", DONE]
    assert (result["part"], result["part_version"], result["models"]) == ("splits", 4, [])
    assert result["attributes"] == {"n": 12, "low": None, "part_seen": "splits"}
    assert result["parameters"]["training"]["batch_size"] == 128
    assert result["wall_s"] > 0
    with np.load("result.npz", allow_pickle=False) as arrays:
        assert arrays["mean"].dtype == np.float32
        assert arrays["mean"][0] == pytest.approx(toy_sites(12, 3).values("valence").mean())


def test_models_are_files_of_their_own(call):
    _, result = call("model")
    assert result["models"] == ["valence"]
    assert pathlib.Path("model_valence.pt").read_bytes() == b"model"


@pytest.mark.parametrize(
    ("part", "changes", "kind", "message"),
    [
        ("split", {}, "parameters", "there is no part `split`"),
        ("splits", {"training": {"seed": 1}}, "parameters", "`training` lacks `test_fraction`"),
        ("splits", {"targets": ["fail"]}, "sites", "the sites cannot be divided so"),
    ],
)
def test_why_it_stopped_is_written(call, capsys, part, changes, kind, message):
    status, result = call(part, **changes)
    assert status == 1
    assert result["error"]["kind"] == kind
    assert message in result["error"]["message"]
    assert message in capsys.readouterr().err
    assert not pathlib.Path("result.npz").exists()


def test_stops_by_itself_when_its_time_is_over(call):
    status, result = call("splits", "--max-seconds", "0")
    assert status == 1
    assert result["error"]["kind"] == "walltime"
    assert "at 25% (first quarter)" in result["error"]["message"]


def test_clock_of_the_limit(capsys):
    seconds = iter([100.0, 109.0, 111.0])
    progress = progress_printer(10.0, lambda: next(seconds))
    progress(0.5, "in time")
    with pytest.raises(OutOfTime, match=r"11 s are over at 90% \(late\)"):
        progress(0.9, "late")
    assert capsys.readouterr().out == "progress 0.500 in time\nprogress 0.900 late\n"


def test_files_that_are_none(call, tmp_path):
    call()
    (tmp_path / "sites.npz").write_bytes(b"nothing")
    assert call()[0] == 1
    (tmp_path / "parameters.json").write_text("[]")
    assert main(["sites.npz", "parameters.json"]) == 1
    error = json.loads((tmp_path / "result.json").read_text())["error"]
    assert error["kind"] == "parameters"
    assert "must hold `part`, `parameters` and `version`" in error["message"]

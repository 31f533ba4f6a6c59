"""``aiida-siox plan``: what it prints, what it refuses as `run` does, and the fit."""

from __future__ import annotations

import dataclasses
import json
import re

import ase.io
import pytest
import yaml
from aiida import orm

from aiida_siox.cli import plan_fit
from aiida_siox.science.cost import CostModel
from aiida_siox.workflows.plan import load_cost_model
from tests.crystals import alpha_quartz
from tests.science.test_cost import synthetic

ENGINES = ("lmp", "ld1", "pw", "pp", "xspectra", "bader")


@pytest.fixture
def codes(engine_code):
    """Register the codes of all engines as ``aiida-siox setup`` does."""
    found = {name: engine_code(name) for name in ENGINES}
    for name, code in found.items():
        code.base.extras.set_many({"siox_engine": name, "siox_registered": 0.0})
    return found


@pytest.fixture
def quartz_file(tmp_path):
    """Return a file with α-quartz."""
    path = tmp_path / "quartz.xyz"
    ase.io.write(path, alpha_quartz())
    return path


def test_plan_of_the_demo(run_cli, codes):
    """The word `study` may be left out; nothing is stored."""
    before = orm.QueryBuilder().append(orm.Node).count()
    shown = run_cli("plan", "--json").json
    assert orm.QueryBuilder().append(orm.Node).count() == before
    assert shown["jobs"] == 48
    assert shown["engines"]["xspectra"]["jobs"] == 17
    assert shown["core_hours_low"] < shown["core_hours"] < shown["core_hours_high"]
    assert shown["core_hours"] == pytest.approx(sum(entry["core_hours"] for entry in shown["engines"].values()))
    assert [entry["n_atoms"] for entry in shown["configurations"]] == [12, 10, 12, 9]
    assert shown["measured"]["date"] == load_cost_model().about["date"]
    assert run_cli("plan", "study", "--json", "--submit").json == shown


def test_plan_as_text(run_cli, codes):
    out = run_cli("plan", "--formula", "Si72O144", "--seeds", "1,2", "--max-concurrent", 4).stdout
    assert "Si72O144" in out
    assert "extrapolated" in out
    assert "Extrapolated      xspectra.x: 216 atoms" in out
    assert "with 4 jobs at one time" in out
    assert "cleaned as it goes" in out
    assert "Repository" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--formula", "Si8O40"),
        ("--formula", "Si8O4", "--compositions", "Si8O4"),
        ("--protocol", "slow"),
        ("--max-concurrent", 500),
        ("--seeds", "1,1"),
        ("--wrong", 1),
    ],
)
def test_refuses_what_run_refuses(run_cli, codes, arguments):
    """The same options, the same message."""
    messages = [run_cli(command, "study", *arguments, fails=True).stderr for command in ("plan", "run")]
    last = [message.strip().splitlines()[-1] for message in messages]
    assert last[0] == last[1]


def test_refuses_unknown_overrides(run_cli, codes, tmp_path, quartz_file):
    path = tmp_path / "overrides.yaml"
    path.write_text(yaml.safe_dump({"settings": {"scf": {"ecutwfc": 40.0}}}))
    message = run_cli("plan", "structure", quartz_file, "--overrides", path, fails=True).stderr
    assert "unknown override key `settings.scf.ecutwfc`" in message
    assert "--sites" in run_cli("plan", "structure", quartz_file, "--sites", "x", fails=True).stderr
    assert "silicon" in run_cli("plan", "structure", quartz_file, "--sites", "8", fails=True).stderr


def test_plan_of_a_structure(run_cli, codes, quartz_file, tmp_path, monkeypatch):
    monkeypatch.setattr("aiida_siox.workflows.atomic_data.find_atomic_data", lambda *_: {})
    shown = run_cli("plan", "structure", quartz_file, "--sites", "0,1", "--json").json
    assert {engine: entry["jobs"] for engine, entry in shown["engines"].items()} == {"pw": 3, "bader": 1, "xspectra": 2}
    assert shown["clean_scratch"]
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text(yaml.safe_dump({"clean_scratch": False}))
    kept = run_cli("plan", "structure", quartz_file, "--overrides", overrides, "--calibrate", "--json").json
    assert not kept["clean_scratch"]
    assert kept["engines"]["xspectra"]["jobs"] == 3 + 1
    assert kept["scratch_bytes"] > shown["scratch_bytes"]
    text = run_cli("plan", "structure", quartz_file, "--overrides", overrides).stdout
    assert "all of it kept" in text


def test_several_cores_are_told(run_cli, codes, tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump({"pw": {"resources": {"num_machines": 1, "num_mpiprocs_per_machine": 4}}}))
    assert "run pw on several cores" in run_cli("plan", "--options", path).stderr


def test_run_tells_the_cost(run_cli, codes, monkeypatch):
    monkeypatch.setattr("aiida_siox.cli.run.launch", lambda builder, submit: None)
    message = run_cli("run", "study", "--formula", "Si4O8").stderr
    assert "engine jobs, about" in message
    assert "core hours" in message
    assert "aiida-siox plan" in message


@pytest.fixture
def points_file(tmp_path):
    """Return a file of measured jobs that follow known coefficients."""
    jobs = [dataclasses.asdict(point) for point in synthetic()]
    storage = {"profile": {"job_bytes": 1.0e6, "stored_bytes": 1.5e6}}
    path = tmp_path / "points.json"
    path.write_text(plan_fit.format_points({"machine": {"cpu": "some", "blas": "X"}, "storage": storage, "jobs": jobs}))
    return path


def test_fit_writes_the_model(run_cli, points_file, tmp_path):
    output = tmp_path / "cost.yaml"
    out = run_cli("plan", "fit", "--points", points_file, "--no-profile", "--output", output).stdout
    assert "xspectra.x" in out
    model = CostModel.from_dict(yaml.safe_load(output.read_text()))
    assert model.seconds["lmp"].coefficients["atom_steps"] == pytest.approx(1.5e-6, rel=1e-3)
    assert model.storage_factor == 1.5
    assert model.about["cpu"] == "some"
    assert output.read_text().startswith("# Written by `aiida-siox plan fit`")
    assert json.loads(points_file.read_text())["machine"]["blas"] == "X"


def test_fit_refuses(run_cli, tmp_path):
    output = tmp_path / "cost.yaml"
    assert "--points" in run_cli("plan", "fit", "--no-profile", "--output", output, fails=True).stderr
    wrong = tmp_path / "wrong.json"
    for text, message in (("{", "no JSON"), ("{}", "no file of measured jobs")):
        wrong.write_text(text)
        assert (
            message in run_cli("plan", "fit", "--points", wrong, "--no-profile", "--output", output, fails=True).stderr
        )
    row = {"uuid": "a", "size": {"engine": "vasp"}, "cpu_s": 1.0, "wall_s": 1.0, "overhead_s": 1.0}
    wrong.write_text(json.dumps({"machine": {}, "storage": {}, "jobs": [row]}))
    message = run_cli("plan", "fit", "--points", wrong, "--no-profile", "--output", output, fails=True).stderr
    assert "vasp" in message
    row = {"uuid": "a", "size": {"engine": "lmp", "volume": 1.0}, "cpu_s": 1.0, "wall_s": 1.0, "overhead_s": 1.0}
    for jobs, text in (([row], "cannot be read .*volume"), ([], "no profile with a spectrum")):
        wrong.write_text(json.dumps({"machine": {}, "storage": {}, "jobs": jobs}))
        message = run_cli("plan", "fit", "--points", wrong, "--no-profile", "--output", output, fails=True).stderr
        assert re.search(text, " ".join(message.split()))
    assert not output.exists()


@pytest.mark.engine
def test_jobs_of_a_profile_become_points(mock_study, run_cli, tmp_path):
    """The mock engines print their times as the real ones do; fitting them again adds nothing twice."""
    data = {"machine": {}, "storage": {}, "jobs": []}
    plan_fit.add_profile(data)
    sizes = [plan_fit.read_point(row).size for row in data["jobs"]]
    assert {size.engine for size in sizes} == {"lmp", "ld1", "pw", "bader", "xspectra"}
    assert {size.kind for size in sizes if size.engine == "pw"} == {"ground", "hole"}
    assert all(size.n_polarisations == 3 and size.iterations > 0 for size in sizes if size.engine == "xspectra")
    assert all(row["repository_bytes"] > 0 for row in data["jobs"])
    count = len(data["jobs"])
    plan_fit.add_profile(data)
    assert len(data["jobs"]) == count

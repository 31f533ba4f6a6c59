"""``aiida-siox plan``: what it prints and what it refuses as `run` does."""

from __future__ import annotations

import ase.io
import pytest
import yaml
from aiida import orm

from aiida_siox.workflows.plan import load_costs
from tests.crystals import alpha_quartz

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
    assert shown["core_hours"] == pytest.approx(sum(entry["core_hours"] for entry in shown["engines"].values()))
    assert [entry["n_atoms"] for entry in shown["configurations"]] == [12, 10, 12, 9]
    assert shown["measured"]["date"] == load_costs().about["date"]
    assert run_cli("plan", "study", "--json").json == shown


def test_plan_has_nothing_to_submit(run_cli):
    for command in ("study", "structure"):
        assert "No such option: --submit" in run_cli("plan", command, "--submit", fails=True).stderr


def test_plan_as_text(run_cli, codes):
    out = run_cli("plan", "--formula", "Si72O144", "--seeds", "1,2", "--max-concurrent", 4).stdout
    assert "Si72O144" in out
    assert "extrapolated" in out
    assert "Extrapolated      xspectra.x: 216 atoms, measured up to 72" in out
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
    message = run_cli("plan", "structure", quartz_file, "--sites", "8", fails=True).stderr
    assert "[8] do not. Si sites of this structure: [0, 1, 2]." in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("xspectra: {xcheck_conv: 5000}", "`settings.xspectra.xcheck_conv` must be at most xniter (3000), got 5000"),
        ("xspectra: {xerror: 2.0}", "`settings.xspectra.xerror` must be a number above 0 below 1, got 2.0"),
        (
            "xspectra: {r_paw_bohr: 9.0}",
            "`settings.xspectra.r_paw_bohr` must be a radius above 0 up to 5 bohr, got 9.0",
        ),
        (
            "xspectra: {gamma_eV: .nan}",
            "`settings.xspectra.gamma_eV` must be a half width above 0 up to 50 eV, got nan",
        ),
        (
            "scf: {electron_maxstep: 1.5}",
            "`settings.scf.electron_maxstep` must be an integer from 1 up to 10000, got 1.5",
        ),
        ("rdf: {n_bins: 256.5}", "`settings.rdf.n_bins` must be an integer from 1 up to 100000, got 256.5"),
        ("xspectra: {margin_eV: [1000.0, 0.0]}", "`settings.xspectra.margin_eV"),
        ("xspectra: {step_eV: 1.0e-6}", "`settings.xspectra.step_eV` must be a number from 0.001 up to 10, got 1e-06"),
    ],
)
def test_refuses_settings_that_a_job_would_refuse(run_cli, codes, tmp_path, quartz_file, overrides, message):
    path = tmp_path / "overrides.yaml"
    path.write_text(f"settings:\n  {overrides}\n")
    for command in ("plan", "run"):
        assert message in run_cli(command, "structure", quartz_file, "--overrides", path, fails=True).stderr
    path.write_text(f"structure_targets:\n  settings:\n    {overrides}\n")
    assert message in run_cli("plan", "study", "--overrides", path, fails=True).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "pw: {resources: {num_cores: 4}}",
            "`options.pw.resources.num_cores` (value 4): did you mean `num_cores_per_m",
        ),
        ("pw: {max_wallclock_seconds: '01:00:00'}", "`options.pw.max_wallclock_seconds` must be an integer"),
        ("xspectra: {npool: 2}", "unknown key `options.xspectra.npool` (value 2)"),
    ],
)
def test_refuses_options_that_no_job_takes(run_cli, codes, tmp_path, quartz_file, options, message):
    path = tmp_path / "options.yaml"
    path.write_text(options)
    before = orm.QueryBuilder().append(orm.Node).count()
    for command in (("plan", "structure", quartz_file), ("run", "structure", quartz_file), ("run", "study")):
        assert message in run_cli(*command, "--options", path, fails=True).stderr
    assert orm.QueryBuilder().append(orm.Node).count() == before


def test_plan_of_a_structure(run_cli, codes, quartz_file, tmp_path, monkeypatch):
    monkeypatch.setattr("aiida_siox.cli.plan.find_atomic_data", lambda *_: {})
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

"""``aiida-siox demo``: attach, detach, what it says at the end. The study itself is tested elsewhere."""

from __future__ import annotations

import uuid

import pytest
from aiida import orm

from aiida_siox.cli import demo as module


def make_study(state: str = "waiting", status: int = 0, label: str | None = None) -> orm.WorkChainNode:
    """Return a stored study without anything under it."""
    node = orm.WorkChainNode()
    node.process_type = "aiida.workflows:siox.study"
    node.label = module.LABEL if label is None else label
    node.set_process_state(state)
    if state == "finished":
        node.set_exit_status(status)
    return node.store()


@pytest.fixture
def without_engines(aiida_profile, monkeypatch):
    """Leave out what needs engines and a daemon; return the list of studies that were submitted."""
    monkeypatch.setattr(module, "LABEL", f"demo of a test {uuid.uuid4().hex}")
    submitted = []

    def submit(codes, workers, formulas, seeds):
        study = make_study()
        submitted.append((study, formulas, seeds))
        return study

    monkeypatch.setattr(module, "study_codes", dict)
    monkeypatch.setattr(module, "ensure_daemon", lambda workers: "running")
    monkeypatch.setattr(module, "start_warm_up", lambda: None)
    monkeypatch.setattr(module, "submit_study", submit)
    monkeypatch.setattr(module, "stop_idle_daemon", lambda: None)
    monkeypatch.setattr(module, "watch", lambda study, workers: None)
    monkeypatch.setattr(module, "write_report", lambda study, path: path.write_text("report"))
    return submitted


def test_ctrl_c_detaches(without_engines, run_cli, monkeypatch):
    """Ctrl-C is not an error, and leaves the study alone."""

    def interrupted(study, workers):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "watch", interrupted)
    monkeypatch.delenv("MAKELEVEL", raising=False)
    out = run_cli("demo").stdout
    assert "Detached" in out
    assert "`aiida-siox demo`" in out
    assert not without_engines[0][0].is_terminated


def test_attaches_to_the_running_study(without_engines, run_cli, tmp_path):
    """A study that goes on is shown; one of the user's own, or one that has ended, is not taken for it."""
    make_study("finished")
    running = make_study()
    make_study(label="of somebody else")
    out = run_cli("demo", "--report", tmp_path / "report.html", fails=True).stdout
    assert f"study {running.pk}: goes on where it was" in out
    assert without_engines == []


def test_finished_study_is_submitted_again(without_engines, run_cli, monkeypatch, tmp_path):
    """The end names the report, the cores and three commands; success is exit status 0."""
    make_study("finished")

    def ends(study, workers):
        study.set_process_state("finished")
        study.set_exit_status(0)

    monkeypatch.setattr(module, "watch", ends)
    path = tmp_path / "report.html"
    out = run_cli("demo", "--formula", "Si4O8", "--seed", "3", "--report", path).stdout
    study, formulas, seeds = without_engines[0]
    assert (formulas, seeds) == (("Si4O8",), (3,))
    assert f"report: {path}" in out
    assert path.read_text() == "report"
    assert "CPU utilisation" in out
    assert f"aiida-siox show {study.pk}" in out


def test_a_study_that_broke_off_has_no_report(without_engines, run_cli, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "watch", lambda study, workers: study.set_process_state("excepted"))
    path = tmp_path / "report.html"
    out = run_cli("demo", "--report", path, fails=True).stdout
    assert "verdi process report" in out
    assert not path.exists()


def test_an_incomplete_study_has_a_report_and_an_exit_status(without_engines, run_cli, monkeypatch, tmp_path):
    def ends(study, workers):
        study.set_process_state("finished")
        study.set_exit_status(401)
        study.set_exit_message("2 sites failed")

    monkeypatch.setattr(module, "watch", ends)
    out = run_cli("demo", "--report", tmp_path / "report.html", fails=True).stdout
    assert "2 sites failed" in out
    assert (tmp_path / "report.html").exists()


def test_watch_prints_lines_and_ends(aiida_profile, capsys):
    """Without a terminal each look is a line."""
    module.watch(make_study("finished"), 1)
    assert "finished" in capsys.readouterr().out


def test_missing_engines_are_named_before_anything_is_submitted(run_cli, monkeypatch):
    monkeypatch.setattr("aiida_siox.cli.codes.find_code", lambda name, computer: None)
    monkeypatch.setattr(module, "ensure_daemon", lambda workers: pytest.fail("a daemon was started"))
    error = run_cli("demo", fails=True).stderr
    assert "no code for pw.x is registered" in error
    assert "aiida-siox setup" in error

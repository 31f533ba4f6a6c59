"""``aiida-siox report``."""

from __future__ import annotations

import pathlib


def test_report(run_cli, hand_made_study, tmp_path):
    path = tmp_path / "study.html"
    assert str(path) in run_cli("report", hand_made_study.study.pk, "--output", path).stdout
    text = path.read_text()
    assert "<svg" in text or "data:image" in text
    assert "fast" in text


def test_report_default_name(run_cli, hand_made_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_cli("report", hand_made_study.study.uuid)
    assert pathlib.Path(f"siox-report-{hand_made_study.study.pk}.html").is_file()


def test_report_of_something_else(run_cli, hand_made_study, tmp_path):
    message = run_cli("report", hand_made_study.dataset.pk, fails=True).stderr
    assert "is a DatasetData" in message
    outcome = run_cli("report", hand_made_study.study.pk, "--output", tmp_path / "absent" / "a.html", fails=True)
    assert "there is no folder" in outcome.stderr

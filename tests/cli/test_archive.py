"""``aiida-siox export`` and ``import``: a study into an empty profile, without engines, and damaged files."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from aiida import orm


def call(folder: pathlib.Path, *arguments: object) -> subprocess.CompletedProcess:
    """Call ``aiida-siox`` in a process of its own, with its own AIIDA_PATH and no engine on the PATH."""
    environment = {**os.environ, "AIIDA_PATH": str(folder), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    code = "from aiida_siox.cli import main; main(prog_name='aiida-siox')"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_round_trip_into_an_empty_profile(run_cli, hand_made_study, tmp_path):
    archive = tmp_path / "study.aiida"
    assert "MB" in run_cli("export", hand_made_study.study.pk, archive).stdout
    model, table = hand_made_study.models["valence"], hand_made_study.tables["Si4O4_1"]
    energy = np.linspace(1826.0, 1884.0, 300)
    spectrum = tmp_path / "spectrum.txt"
    values = np.interp(energy, hand_made_study.dataset.energy, hand_made_study.dataset.spectra[3])
    np.savetxt(spectrum, np.column_stack([energy, values]))
    expected = run_cli("predict", model.pk, spectrum, "--json").json["value"]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    imported = call(elsewhere, "import", archive, "--json")
    assert imported.returncode == 0, imported.stderr
    found = json.loads(imported.stdout)["imported"]
    assert len(found["study"]) == 1
    assert len(found["model"]) == 2
    assert len(found["site_table"]) == 5
    assert "without engines" in imported.stderr

    shown = call(elsewhere, "show", table.uuid, "--json")
    assert shown.returncode == 0, shown.stderr
    there, here = json.loads(shown.stdout), run_cli("show", table.pk, "--json").json
    assert there == here
    assert call(elsewhere, "show", found["study"][0]).returncode == 0
    predicted = call(elsewhere, "predict", model.uuid, spectrum, "--json")
    assert json.loads(predicted.stdout)["value"] == pytest.approx(expected)
    report = tmp_path / "report.html"
    reported = call(elsewhere, "report", found["study"][0], "--output", report)
    assert reported.returncode == 0, reported.stderr
    assert report.stat().st_size > 1000
    again = call(elsewhere, "import", archive, "--json")
    assert json.loads(again.stdout)["imported"] == found


def test_import_of_a_packed_archive(run_cli, hand_made_study, tmp_path):
    """As docs/structures/set.aiida.xz; a damaged one is named."""
    import lzma

    archive, packed = tmp_path / "study.aiida", tmp_path / "study.aiida.xz"
    run_cli("export", hand_made_study.study.pk, archive)
    packed.write_bytes(lzma.compress(archive.read_bytes()))
    plain = run_cli("import", archive, "--json").json["imported"]
    assert run_cli("import", packed, "--json").json["imported"] == plain
    assert plain["study"]
    packed.write_bytes(packed.read_bytes()[:-40])
    assert f"{packed} cannot be unpacked" in run_cli("import", packed, fails=True).stderr


def test_import_prints_what_to_do_next(run_cli, hand_made_study, tmp_path):
    archive = tmp_path / "model.aiida"
    run_cli("export", hand_made_study.models["rdf"].pk, archive)
    text = run_cli("import", archive).stdout
    assert re.search(rf"model: .*\b{hand_made_study.models['rdf'].pk} \(rdf\)", text)
    assert "aiida-siox predict" in text
    # the provenance of a model is there, the study that called its makers is not
    assert "site_table: " in text
    assert "study: " not in text


def test_export_refuses(run_cli, hand_made_study, tmp_path):
    archive = tmp_path / "study.aiida"
    archive.write_text("mine")
    assert "--force" in run_cli("export", hand_made_study.study.pk, archive, fails=True).stderr
    assert archive.read_text() == "mine"
    run_cli("export", hand_made_study.calibration.pk, archive, "--force")
    missing = tmp_path / "absent" / "study.aiida"
    assert "there is no folder" in run_cli("export", hand_made_study.calibration.pk, missing, fails=True).stderr
    running = orm.WorkChainNode().store()
    message = run_cli("export", running.pk, tmp_path / "running.aiida", fails=True).stderr
    assert "has not ended" in message
    assert not (tmp_path / "running.aiida").exists()
    running.seal()


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "overwritten", "zip"])
def test_import_refuses_damaged_files(run_cli, hand_made_study, tmp_path, damage):
    archive = tmp_path / "study.aiida"
    if damage == "zip":
        import zipfile

        with zipfile.ZipFile(archive, "w") as other:
            other.writestr("readme.txt", "not an archive of AiiDA")
    elif damage in ("truncated", "overwritten"):
        run_cli("export", hand_made_study.calibration.pk, archive)
        content = archive.read_bytes()
        half = len(content) // 2
        archive.write_bytes(
            content[:-2000] if damage == "truncated" else content[:half] + bytes(200) + content[half + 200 :]
        )
    else:
        archive.write_bytes(b"" if damage == "empty" else b"some text\n" * 50)
    assert "not an AiiDA archive, or damaged" in run_cli("import", archive, fails=True).stderr


def test_damaged_file_makes_no_profile(tmp_path):
    archive = tmp_path / "bad.aiida"
    archive.write_text("some text")
    outcome = call(tmp_path, "import", archive)
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    assert (
        not (tmp_path / ".aiida" / "config.json").exists()
        or "siox" not in (tmp_path / ".aiida" / "config.json").read_text()
    )


def test_missing_file(run_cli, tmp_path):
    assert "there is no file" in run_cli("import", tmp_path / "absent.aiida", fails=True).stderr

"""The validation page: its cases can be run, and what is committed is what the archive gives."""

from __future__ import annotations

import csv
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, check_atomic_parameters
from aiida_siox.workflows.protocol import check_overrides
from aiida_siox.workflows.settings import Settings
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain

FOLDER = pathlib.Path(__file__).parent.parent / "docs" / "validation"
RECIPES = yaml.safe_load((FOLDER / "cases.yaml").read_text())
ARCHIVE = FOLDER / "validation.aiida"


@pytest.mark.parametrize("name", RECIPES["cases"])
def test_cases_can_be_run(name):
    case = RECIPES["cases"][name]
    assert set(case) <= {"structure", "sites", "settings", "atomic_data", "spectrum_only"}
    assert case["structure"] in RECIPES["structures"]
    assert case.get("atomic_data", "default") in {
        *RECIPES["atomic_data"],
        *AtomicDataWorkChain.get_available_protocols(),
    }
    assert not case.get("spectrum_only") or len(case.get("sites", [0])) == 1
    inputs = StructureTargetsWorkChain.get_protocol_inputs("fast", {"settings": RECIPES["settings"]})
    overrides = case.get("settings", {})
    check_overrides(overrides, inputs["settings"])
    settings = {
        key: {**value, **overrides.get(key, {})} if isinstance(value, dict) else overrides.get(key, value)
        for key, value in inputs["settings"].items()
    }
    assert Settings.fault(settings, "settings") is None


@pytest.mark.parametrize("name", RECIPES["structures"])
def test_structures_can_be_made(name):
    recipe = RECIPES["structures"][name]
    assert len({"crystal", "melt_quench", "transform"} & set(recipe)) == 1
    assert recipe.get("parent", name) in RECIPES["structures"]


@pytest.mark.parametrize("name", RECIPES["atomic_data"])
def test_atomic_data_can_be_made(name):
    inputs = AtomicDataWorkChain.get_protocol_inputs("fast", RECIPES["atomic_data"][name])
    assert check_atomic_parameters(inputs["parameters"]) is None


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Draw everything from the committed archive, in a folder of its own."""
    folder = tmp_path_factory.mktemp("validation")
    result = subprocess.run(
        [sys.executable, FOLDER / "draw.py", "--archive", ARCHIVE, "--output", folder],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_archive_holds_what_the_page_shows(drawn):
    """Tables that are drawn anew are those in the repository, number by number."""
    names = sorted(path.name for path in (drawn / "data").glob("*.csv"))
    assert names
    for name in names:
        found, committed = (
            list(csv.reader((folder / "data" / name).read_text().splitlines())) for folder in (drawn, FOLDER)
        )
        assert len(found) == len(committed), name
        for one, other in zip(found, committed, strict=True):
            for a, b in zip(one, other, strict=True):
                try:
                    assert float(a) == pytest.approx(float(b), rel=1e-3, abs=2e-5), (name, one, other)
                except ValueError:
                    assert a == b, (name, one, other)


def test_every_figure_is_drawn(drawn):
    page = (FOLDER.parent / "topics" / "validation.md").read_text()
    for path in (drawn / "figures").glob("*.png"):
        assert f"figures/{path.name}" in page
        assert path.stat().st_size > 10_000


def test_tables_of_bader_are_those_of_the_data(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("validation_bader", FOLDER / "bader.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "TABLES", tmp_path)
    script.tables()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in (FOLDER / "tables").glob("bader_*.md"))
    for name in names:
        assert (tmp_path / name).read_text() == (FOLDER / "tables" / name).read_text()

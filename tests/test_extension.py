"""A package outside of aiida_siox adds a property, a material, a calibrator and a reader, each in one file."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SOURCE = ROOT / "tests" / "extension"


@pytest.fixture
def installed(tmp_path) -> pathlib.Path:
    """Return a folder with the package installed as pip does, without pip: the package and what it declares."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    shutil.copytree(
        SOURCE / "siox_extension", tmp_path / "siox_extension", ignore=shutil.ignore_patterns("__pycache__")
    )
    info = tmp_path / f"siox_extension-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_extension(installed):
    """From table to prediction, in a process of its own: registries are searched once."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/extension/inside.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_each_is_one_file():
    """The four files, and nothing else but what makes them a package."""
    names = {path.name for path in (SOURCE / "siox_extension").iterdir() if path.is_file()}
    assert names == {"__init__.py", "nearest_ligand.py", "sis2.yaml", "gaussian.py", "json_curve.py"}

"""The recipes of the documentation, applied to a copy of the package: they touch the files that they say, and work."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
BLOCK = re.compile(r"```\{code-block\} \w+\n:caption: (\S+?)(, at the end)?\n\n(.*?)```", re.DOTALL)


@pytest.fixture
def apply(tmp_path):
    """Return a function that applies a recipe to a copy of the package and runs code there; it returns the files."""
    shutil.copytree(ROOT / "aiida_siox", tmp_path / "aiida_siox", ignore=shutil.ignore_patterns("__pycache__"))

    def inner(page: str, *command: str) -> list[str]:
        files = []
        for name, at_the_end, code in BLOCK.findall((ROOT / "docs" / "develop" / page).read_text()):
            path = tmp_path / name
            assert path.exists() == bool(at_the_end), f"{page}: {name} is there, or is not"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(f"\n\n{code}" if at_the_end else code)
            files.append(name)
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return files

    return inner


def test_property(apply):
    """A property and its test: two files."""
    files = apply("add_property.md", "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "tests/science")
    assert files == ["aiida_siox/science/properties.py", "tests/science/test_bond_length.py"]


READER = """
import pathlib
from aiida_siox.science.readers import read_spectrum_file

path = pathlib.Path("a.xdi")
head = "# XDI/1.0\\n# Column.1: energy eV\\n# Column.2: i0\\n# Column.3: mutrans\\n#---\\n"
path.write_text(head + "1830 9 0.1\\n1831 9 0.2\\n")
energy, mu = read_spectrum_file(path)
assert energy.tolist() == [1830, 1831], energy
assert mu.tolist() == [0.1, 0.2], mu
path.write_text("# XDI/1.0\\n# Column.1: angle\\n# Column.2: i0\\n1830 9\\n")
try:
    read_spectrum_file(path)
except ValueError as exception:
    assert "names no columns energy" in str(exception), exception
else:
    raise AssertionError("not refused")
"""


def test_reader(apply):
    assert apply("add_reader.md", "-c", READER) == ["aiida_siox/science/readers.py"]


MATERIAL = """
from aiida_siox.materials import MATERIALS, load_material
from aiida_siox.science.cells import build_crystal
from aiida_siox.science.structure_file import doubts, told_back

assert "nitride" in MATERIALS
material = load_material("nitride")
atoms = build_crystal(material.crystals["beta-nitride"])
assert atoms.symbols.formula.format("hill") == "N8Si6", atoms
assert "6 Si beside 4 N" in told_back(atoms, material), told_back(atoms, material)
assert not doubts(atoms, material), doubts(atoms, material)
"""


def test_material(apply):
    assert apply("add_material.md", "-c", MATERIAL) == ["aiida_siox/materials/nitride.yaml"]


CALIBRATOR = """
import numpy as np
from aiida_siox.learning.uncertainty.calibrator import CALIBRATORS
from aiida_siox.learning.uncertainty.left_out import LeftOut

errors = np.arange(1.0, 20.0)[:, None]
zeros, number = np.zeros_like(errors), np.arange(19)
left_out = LeftOut(zeros, number % 5, errors, zeros, zeros, number)
calibrator = CALIBRATORS["quantile"].fit(left_out, None)
calibrator = type(calibrator).from_state(calibrator.state())
low, high = calibrator.interval(np.full((5, 2, 1), 100.0), np.zeros((2, 3)), 0.9)
# the 18th of 19 errors, since 0.9 (19 + 1) = 18
assert low.tolist() == [[82.0], [82.0]], low
assert high.tolist() == [[118.0], [118.0]], high
assert not calibrator.suffice(0.99)
"""


def test_calibrator(apply):
    assert apply("add_calibrator.md", "-c", CALIBRATOR) == ["aiida_siox/learning/uncertainty/calibrator.py"]

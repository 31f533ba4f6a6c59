"""Cube files: what is written is read, and what is damaged is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aiida_siox.science.constants import BOHR_ANGSTROM
from aiida_siox.science.cube import Cube, CubeError, read_cube, write_cube

CELL = np.array([[4.1, 0.2, 0.1], [-1.3, 5.2, 0.4], [0.5, -0.3, 6.3]])
SHAPE = (3, 5, 7)


@pytest.fixture
def cube():
    """Return a cube on a low-symmetry cell with three different numbers of points."""
    values = np.random.default_rng(5).random(SHAPE)
    positions = np.array([[0.1, 0.2, 0.3], [-1.0, 2.0, 7.5]])
    return Cube(CELL, np.array([14, 8]), positions, values)


@pytest.fixture
def file(cube, tmp_path):
    """Return the file of this cube."""
    path = tmp_path / "density.cube"
    write_cube(path, cube)
    return path


def test_round_trip(cube, file):
    read = read_cube(file)
    assert read.values.shape == SHAPE
    np.testing.assert_allclose(read.values, cube.values, rtol=1e-7)
    np.testing.assert_allclose(read.cell, CELL, atol=1e-6)
    np.testing.assert_allclose(read.positions, cube.positions, atol=1e-6)
    assert read.numbers.tolist() == [14, 8]
    assert read.same_grid(cube)
    assert read.integral == pytest.approx(cube.values.mean() * abs(np.linalg.det(CELL)), rel=1e-6)


def test_third_index_runs_fastest_and_units_are_bohr(tmp_path):
    """A file written by hand: 10·x + z on a 2×1×3 grid of steps 1, 2 and 3 bohr, with an origin."""
    values = [10 * x + z for x, _, z in itertools.product(range(2), range(1), range(3))]
    path = tmp_path / "hand.cube"
    path.write_text(
        "title\ncomment\n    1    0.5 0.0 0.0\n    2 1.0 0.0 0.0\n    1 0.0 2.0 0.0\n    3 0.0 0.0 3.0\n"
        "   14   14.0  1.5 0.0 3.0\n" + "  ".join(f"{value:.5E}" for value in values) + "\n"
    )
    cube = read_cube(path)
    np.testing.assert_allclose(np.diag(cube.cell), np.array([2, 2, 9]) * BOHR_ANGSTROM)
    np.testing.assert_allclose(cube.positions, [[BOHR_ANGSTROM, 0, 3 * BOHR_ANGSTROM]])
    assert cube.values[1, 0, 2] * BOHR_ANGSTROM**3 == pytest.approx(12)
    assert cube.integral == pytest.approx(sum(values) * 6.0), "voxels of 6 bohr³"


def test_negative_numbers_of_points_mean_angstrom(cube, file):
    lines = file.read_text().splitlines()
    for index in (3, 4, 5):
        lines[index] = "-" + lines[index].strip()
    file.write_text("\n".join(lines))
    np.testing.assert_allclose(read_cube(file).cell * BOHR_ANGSTROM, CELL, atol=1e-6)


def test_exponents_without_their_letter(cube, file):
    words = file.read_text().split("\n")
    words[8] = words[8].replace(words[8].split()[0], "0.12345-103", 1)
    file.write_text("\n".join(words))
    assert read_cube(file).values[0, 0, 0] * BOHR_ANGSTROM**3 == pytest.approx(0.12345e-103)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[: len(text) // 2], "incomplete"),
        (lambda text: text + " 1.0", "incomplete or damaged"),
        (lambda text: text[:60], "not a readable cube file"),
        (lambda text: "", "not a readable cube file"),
        (lambda text: text.replace(text.split()[-1], "********"), "cannot be read"),
        (lambda text: text.replace(text.split()[-1], "NaN"), "not finite"),
        (lambda text: text.replace("    2 ", "   -2 ", 1), "orbitals"),
        (lambda text: text.replace("    3 ", "    0 ", 1), "numbers of points"),
        (lambda text: text.replace("    3 ", "   -3 ", 1), "numbers of points"),
    ],
)
def test_damaged_files_are_refused(file, change, words):
    text = file.read_text()
    changed = change(text)
    assert changed != text
    file.write_text(changed)
    with pytest.raises(CubeError, match=words):
        read_cube(file)


def test_missing_file(tmp_path):
    with pytest.raises(CubeError, match="cannot be read"):
        read_cube(tmp_path / "nothing.cube")


def test_flat_cell_is_refused(tmp_path):
    path = tmp_path / "flat.cube"
    path.write_text("a\nb\n0 0 0 0\n1 1 0 0\n1 1 0 0\n1 0 0 1\n1.0\n")
    with pytest.raises(CubeError, match="volume"):
        read_cube(path)


@pytest.mark.parametrize("other", ["cell", "numbers", "positions", "values"])
def test_same_grid(cube, other):
    changed = {
        "cell": CELL * 1.001,
        "numbers": np.array([14, 14]),
        "positions": cube.positions + 0.01,
        "values": cube.values[:, :, :-1],
    }
    fields = {name: getattr(cube, name) for name in changed}
    assert not cube.same_grid(Cube(**{**fields, other: changed[other]}))

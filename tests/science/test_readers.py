"""Readers of measured curves, and which of them a file is read with."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from aiida_siox.science.readers import READERS, Reader, read_curve, read_spectrum_file


@pytest.fixture
def others(monkeypatch):
    """Return the readers of this process, to which a test may add."""
    monkeypatch.setattr(READERS, "_items", dict(READERS))
    return READERS


def write(path, content: str):
    path.write_text(content)
    return path


def test_columns_come_first():
    assert next(iter(READERS)) == "columns"


def test_spectrum(tmp_path):
    energy, values = read_spectrum_file(write(tmp_path / "s.dat", "# eV mu\n1830 0.1\n1831.5 0.2\n"))
    assert energy.tolist() == [1830, 1831.5]
    assert values.tolist() == [0.1, 0.2]


def test_comment_in_latin_1():
    """A synthetic spectrum from 1825 to 1898 eV whose comment has a micro sign, as programs at beamlines write."""
    energy, values = read_spectrum_file(pathlib.Path(__file__).parent.parent / "fixtures" / "latin1_mu.txt")
    assert energy[0] == 1825
    assert np.allclose(np.diff(energy), 0.4)
    assert values[0] == 0.014088


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1830 0.1 3\n", "three columns in the file. Expected are two columns: energy in eV and absorption. Keep"),
        ("1830\n", "one column in the file"),
        ("1 2 3 4 5\n", "5 columns in the file"),
        ("1830 0.1\nabc def\n", "s.txt: line 2, `abc def`, is not numbers. Expected are two columns"),
        ("1830 1\n1831 nan\n", "point 2 is not finite"),
    ],
)
def test_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_spectrum_file(write(tmp_path / "s.txt", content))


def test_what_is_expected_is_said(tmp_path):
    path = write(tmp_path / "s.txt", "1 2 3 4\n")
    with pytest.raises(ValueError, match=r"two columns or three columns: q in Å⁻¹ and S\(q\)"):
        read_curve(path, "q in Å⁻¹ and S(q)", (2, 3))


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        read_spectrum_file(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="cannot be read"):
        read_spectrum_file(tmp_path)


def test_a_reader_by_suffix_and_first_bytes(others, tmp_path):
    """A file goes to the reader whose suffix and first bytes it has; all others are text with columns."""
    others.register(
        "reversed",
        Reader("reversed columns", lambda path: np.loadtxt(path)[:, ::-1], (".rev",), lambda head: head[:1] == b"#"),
    )
    assert read_spectrum_file(write(tmp_path / "a.REV", "# reversed\n1 2\n3 4\n"))[0].tolist() == [2, 4]
    assert read_spectrum_file(write(tmp_path / "b.rev", "1 2\n3 4\n"))[0].tolist() == [1, 3]
    assert read_spectrum_file(write(tmp_path / "c.txt", "# reversed\n1 2\n3 4\n"))[0].tolist() == [1, 3]


def test_columns_of_other_readers_are_checked(others, tmp_path):
    others.register("wrong", Reader("a wrong one", lambda path: np.ones(3), (".wrong",)))
    with pytest.raises(ValueError, match="columns in the file"):
        read_spectrum_file(write(tmp_path / "a.wrong", ""))

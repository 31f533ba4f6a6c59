"""Reader of files of two or three columns."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.science.columns_file import read_columns, read_spectrum_file, read_table


@pytest.mark.parametrize(
    "text",
    [
        "1830 0.1\n1831.5 2e-1\n",
        "# a comment\n\n! another\nenergy mu\n1830,0.1\n1831.5, 0.2\n",
        "\ufeff% bom\r\n1830;0.1\r\n1831.5;\t0.2\r\n",
    ],
)
def test_reads(tmp_path, text):
    path = tmp_path / "s.txt"
    path.write_text(text, encoding="utf-8", newline="")
    energy, values = read_spectrum_file(path)
    assert np.array_equal(energy, [1830, 1831.5])
    assert np.array_equal(values, [0.1, 0.2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no numbers"),
        (b"# only\n", "holds no numbers"),
        (b"1830 0.1 3\n", "line 1: 3 columns where two are expected"),
        (b"1830\n", "line 1: 1 columns"),
        (b"1830,5 0,1\n", "decimal sign"),
        (b"1830 0.1\nabc def\n", "line 2: `abc def` is not two numbers"),
        (b"title\nmore text\n", "line 2: `more text` is not two numbers"),
        (b"1830 nan\n", "line 1: `1830 nan` is not finite"),
        (b"\xff\xfe\x00\x01", "not a text file"),
    ],
)
def test_refused(tmp_path, content, message):
    path = tmp_path / "s.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_spectrum_file(path)


def test_what_is_expected_is_said(tmp_path):
    path = tmp_path / "s.txt"
    path.write_text("1.0 2.0 3.0")
    with pytest.raises(ValueError, match="two are expected, q in Å⁻¹ and S"):
        read_columns(path, "q in Å⁻¹ and S(q)")


@pytest.mark.parametrize("text", ["1 2 0.1\n2 3 0.2\n", "q S dS\n1,2,.1\n2, 3, 0.2\n", "1;2;0.1\n2;3;0.2\n"])
def test_a_third_column(tmp_path, text):
    path = tmp_path / "s.txt"
    path.write_text(text)
    assert read_table(path, "", (2, 3)).tolist() == [[1, 2, 0.1], [2, 3, 0.2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n2 3 0.2\n", "line 2: 3 columns, but 2 in the lines before"),
        ("1 2 3 4\n", "4 columns where two or three are expected"),
        ("1,5 2,3\n", "decimal sign"),
        ("1,5 2\n", "decimal sign"),
        ("1,5 2,3 0,1\n", "decimal sign"),
    ],
)
def test_a_third_column_refused(tmp_path, text, message):
    path = tmp_path / "s.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_table(path, "q", (2, 3))


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        read_spectrum_file(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="cannot be read"):
        read_spectrum_file(tmp_path)

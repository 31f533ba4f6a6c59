"""Text files with columns."""

from __future__ import annotations

import codecs

import pytest

from aiida_siox.science.columns_file import read_table


@pytest.fixture
def read(tmp_path):
    def inner(content: bytes):
        (tmp_path / "s.txt").write_bytes(content)
        return read_table(tmp_path / "s.txt").tolist()

    return inner


@pytest.mark.parametrize(
    "text",
    [
        "1830 0.1\n1831.5 2e-1\n",
        "# a comment\n\n! another\nenergy mu\n1830,0.1\n1831.5, 0.2\n",
        "% bom\r\n1830;0.1\r\n1831.5;\t0.2\r\n",
        "// Energie (eV)\tµ(E)\n1830\t0.1\n1831.5\t0.2\n",
        "Energie µ\n1830 0.1\n1831.5 0.2\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_reads(read, text, encoding):
    """The same numbers in whatever encoding, with a mark of the order of bytes or without."""
    assert read(text.encode(encoding)) == [[1830, 0.1], [1831.5, 0.2]]


def test_big_endian_with_mark(read):
    assert read(codecs.BOM_UTF16_BE + "1 2\n".encode("utf-16-be")) == [[1, 2]]


@pytest.mark.parametrize("text", ["1 2 0.1\n2 3 0.2\n", "q S dS\n1,2,.1\n2, 3, 0.2\n", "1;2;0.1\n2;3;0.2\n"])
def test_three_columns(read, text):
    assert read(text.encode()) == [[1, 2, 0.1], [2, 3, 0.2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no numbers"),
        (b"# only\n", "no numbers"),
        (b"1830,5 0,1\n", "line 1, `1830,5 0,1`: if the comma is meant as decimal sign"),
        (b"1,5 2\n", "decimal sign"),
        (b"1,5 2,3 0,1\n", "decimal sign"),
        (b"1830 0.1\nabc def\n", "line 2, `abc def`, is not numbers"),
        (b"title\nmore text\n", "line 2, `more text`, is not numbers"),
        (b"1 2\n2 3 0.2\n", "line 2 has 3 columns, but 2 in the lines before"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not a text file"),
        (b"\xff\xfe\x00\xd8", "not a text file"),
        (b"\x80\x02}q\x00X\x05", "not a text file"),
    ],
)
def test_refused(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)

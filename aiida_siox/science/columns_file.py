"""Text files with columns of numbers, in the encodings that programs at beamlines and spreadsheets write."""

from __future__ import annotations

import codecs
import pathlib
import re

import numpy as np
from numpy.typing import NDArray

_COMMENTS = ("#", "!", "%", "//")
_DECIMAL_COMMA = re.compile(r"\d,\d")
#: Bytes that no text of one byte a character has.
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def read_table(path: str | pathlib.Path) -> NDArray[np.float64]:
    """Read columns of numbers.

    They are separated by blanks, tabs, commas or semicolons. Empty lines, lines that begin with ``#``, ``!``, ``%`` or
    ``//``, and one line of column titles before the numbers are skipped.

    :returns: shape (n, width), lines in the file's order.
    :raises ValueError: for what is no text, or a line that is not as many numbers as the others, naming the line.
    """
    rows: list[list[float]] = []
    title_seen = False
    for number, raw in enumerate(decode(pathlib.Path(path).read_bytes()).splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(_COMMENTS):
            continue
        words = [word for word in re.split(r"[\s,;]+", line) if word]
        try:
            values = [float(word) for word in words]
        except ValueError:
            if not rows and not title_seen:
                title_seen = True
                continue
            raise ValueError(f"line {number}, `{line[:60]}`, is not numbers.") from None
        if _DECIMAL_COMMA.search(line) and len(re.split(r"[\s;]+", line)) > 1 and not re.search(r",\s", line):
            raise ValueError(f"line {number}, `{line[:60]}`: if the comma is meant as decimal sign, write a point.")
        if rows and len(values) != len(rows[0]):
            raise ValueError(
                f"line {number} has {len(values)} columns, but {len(rows[0])} in the lines before: give the same."
            )
        rows.append(values)
    if not rows:
        raise ValueError("there are no numbers in the file.")
    return np.array(rows)


def decode(content: bytes) -> str:
    """Return the text of a file: UTF-8, UTF-16 (spreadsheets), or else Latin-1, in which comments may be.

    :raises ValueError: if it is no text.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif content[1:2] == b"\0":
        encoding = "utf-16-le"
    elif content[:1] == b"\0":
        encoding = "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        text = content.decode(encoding)
        if "\0" not in text:
            return text
    except UnicodeDecodeError:
        if encoding == "utf-8-sig" and not _NO_TEXT.search(content):
            return content.decode("latin-1")
    raise ValueError("it is not a text file: export columns as text.")

"""Reader of measured curves in text files of two columns, or three with uncertainties."""

from __future__ import annotations

import pathlib
import re

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_COMMENTS = ("#", "!", "%", "//")
_DECIMAL_COMMA = re.compile(r"\d,\d")


def read_spectrum_file(path: str | pathlib.Path) -> tuple[Array, Array]:
    """Read energies in eV and absorption from a text file, see :func:`read_columns`."""
    return read_columns(path, "energy in eV and absorption")


def read_columns(path: str | pathlib.Path, what: str) -> tuple[Array, Array]:
    """Read a text file with two columns, see :func:`read_table`.

    :returns: the columns, each of shape (n,), in the file's order.
    """
    table = read_table(path, what)
    return table[:, 0], table[:, 1]


def read_table(path: str | pathlib.Path, what: str, widths: tuple[int, ...] = (2,)) -> Array:
    """Read a text file of columns of numbers.

    Columns are separated by blanks, tabs, commas or semicolons. Empty lines, lines that begin with ``#``, ``!``,
    ``%`` or ``//``, and one line of column titles before the numbers are skipped. The numbers come as they stand:
    whether they suit their use is for others to say.

    :param path: the file.
    :param what: what the columns are, for messages: ``energy in eV and absorption``.
    :param widths: how many columns there may be, the same in all lines.
    :returns: shape (n, width), lines in the file's order.
    :raises ValueError: if the file cannot be read so, naming the line and the remedy.
    """
    path = pathlib.Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file: export columns, {what}.") from None
    except OSError as exception:
        raise ValueError(f"{path} cannot be read: {exception.strerror}.") from None
    count = " or ".join({2: "two", 3: "three"}[width] for width in widths)
    rows: list[list[float]] = []
    title_seen = False
    for number, raw in enumerate(text.splitlines(), start=1):
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
            raise ValueError(f"{path}, line {number}: `{line[:60]}` is not {count} numbers.") from None
        decimal = ""
        if _DECIMAL_COMMA.search(line) and len(re.split(r"[\s;]+", line)) > 1 and not re.search(r",\s", line):
            decimal = " If the comma is meant as decimal sign, write a point."
        if len(values) not in widths or decimal:
            raise ValueError(
                f"{path}, line {number}: {len(values)} columns where {count} are expected, {what}. "
                f"Keep only those.{decimal}"
            )
        if rows and len(values) != len(rows[0]):
            raise ValueError(
                f"{path}, line {number}: {len(values)} columns, but {len(rows[0])} in the lines before. "
                "Give the same columns in every line."
            )
        if not np.isfinite(values).all():
            raise ValueError(f"{path}, line {number}: `{line[:60]}` is not finite: remove such points.")
        rows.append(values)
    if not rows:
        raise ValueError(f"{path} holds no numbers: {count} columns are expected, {what}.")
    return np.array(rows)

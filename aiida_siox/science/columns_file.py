"""Reader of measured curves in two-column text files."""

from __future__ import annotations

import pathlib
import re

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_COMMENTS = ("#", "!", "%", "//")


def read_spectrum_file(path: str | pathlib.Path) -> tuple[Array, Array]:
    """Read energies in eV and absorption from a text file, see :func:`read_columns`."""
    return read_columns(path, "energy in eV and absorption")


def read_columns(path: str | pathlib.Path, what: str) -> tuple[Array, Array]:
    """Read a text file with two columns.

    Columns are separated by blanks, tabs, commas or semicolons. Empty lines, lines that begin with ``#``, ``!``,
    ``%`` or ``//``, and one line of column titles before the numbers are skipped. The numbers come as they stand:
    whether they suit their use is for others to say.

    :param path: the file.
    :param what: what the columns are, for messages: ``energy in eV and absorption``.
    :returns: the columns, each of shape (n,), in the file's order.
    :raises ValueError: if the file cannot be read so, naming the line and the remedy.
    """
    path = pathlib.Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file: export two columns, {what}.") from None
    except OSError as exception:
        raise ValueError(f"{path} cannot be read: {exception.strerror}.") from None
    rows: list[tuple[float, float]] = []
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
            raise ValueError(f"{path}, line {number}: `{line[:60]}` is not two numbers.") from None
        if len(values) != 2:
            hint = ""
            if len(values) in (3, 4) and len(re.split(r"[\s;]+", line)) == 2:
                hint = " If the comma is meant as decimal sign, write a point."
            raise ValueError(
                f"{path}, line {number}: {len(values)} columns where two are expected, {what}. "
                f"Keep only those two.{hint}"
            )
        if not np.isfinite(values).all():
            raise ValueError(f"{path}, line {number}: `{line[:60]}` is not finite: remove such points.")
        rows.append((values[0], values[1]))
    if not rows:
        raise ValueError(f"{path} holds no numbers: two columns are expected, {what}.")
    table = np.array(rows)
    return table[:, 0], table[:, 1]

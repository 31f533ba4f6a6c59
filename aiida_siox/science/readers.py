"""Readers of measured curves: one for each kind of file, found by the name of the file or its first bytes."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aiida_siox.registry import Registry
from aiida_siox.science.columns_file import read_table

Array = NDArray[np.float64]

#: Bytes of a file that a reader may look at before it says whether the file is its own.
HEAD = 4096
NUMBERS = {1: "one column", 2: "two columns", 3: "three columns"}


@dataclasses.dataclass(frozen=True)
class Reader:
    """How one kind of file is read.

    :param title: what it reads, for people.
    :param read: returns columns of shape (n, width) in the units that commands ask for, and raises ValueError or
        OSError for what it cannot read.
    :param suffixes: of its files, in lower case with the point; any when there are none.
    :param sniff: whether the first bytes are those of such a file.
    """

    title: str
    read: Callable[[pathlib.Path], Array]
    suffixes: tuple[str, ...] = ()
    sniff: Callable[[bytes], bool] = lambda head: True

    def reads(self, path: pathlib.Path, head: bytes) -> bool:
        """Return whether a file that begins with some bytes is one of these."""
        return (not self.suffixes or path.suffix.lower() in self.suffixes) and self.sniff(head)


READERS: Registry[Reader] = Registry("reader", "aiida_siox.readers")
COLUMNS = READERS.register("columns", Reader("text with columns of numbers", read_table))


def read_curve(path: str | pathlib.Path, what: str, widths: tuple[int, ...] = (2,)) -> Array:
    """Read a measured curve with the first reader whose file it is, with :data:`COLUMNS` where no other claims it.

    :param what: what the columns are, for messages: ``energy in eV and absorption``.
    :param widths: how many columns there may be.
    :returns: shape (n, width), in the file's order. Whether the numbers suit their use is for others to say.
    :raises ValueError: if the file cannot be read, has other columns, or values that are not finite.
    """
    path = pathlib.Path(path)
    expected = f"Expected are {' or '.join(NUMBERS[width] for width in widths)}: {what}."
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        own = (reader for reader in READERS.values() if reader is not COLUMNS and reader.reads(path, head))
        table = np.asarray(next(own, COLUMNS).read(path), dtype=np.float64)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}.") from None
    except OSError as exception:
        raise ValueError(f"{path} cannot be read: {exception.strerror or exception}.") from None
    except ValueError as exception:
        raise ValueError(f"{path}: {exception} {expected}") from None
    if table.ndim != 2 or table.shape[1] not in widths:
        found = NUMBERS.get(table.shape[-1], f"{table.shape[-1]} columns")
        raise ValueError(f"{path}: {found} in the file. {expected} Keep only those.")
    if not np.isfinite(table).all():
        point = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0]) + 1
        raise ValueError(f"{path}: point {point} is not finite: remove such points.")
    return table


def read_spectrum_file(path: str | pathlib.Path) -> tuple[Array, Array]:
    """Read energies in eV and absorption, each of shape (n,), see :func:`read_curve`."""
    table = read_curve(path, "energy in eV and absorption")
    return table[:, 0], table[:, 1]

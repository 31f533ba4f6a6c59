"""Figures of an analysis as files: PNG and PDF, with the numbers beside them as CSV."""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.analysis_common import Drawing

PNG_DPI = 200


@dataclasses.dataclass(frozen=True)
class Written:
    """The files of a figure.

    :param png: pixels.
    :param pdf: vectors.
    :param csv: tables with the numbers, one or more.
    """

    png: pathlib.Path
    pdf: pathlib.Path
    csv: tuple[pathlib.Path, ...]


def write_drawing(drawing: Drawing, folder: pathlib.Path, name: str, title: str) -> Written:
    """Write a figure as ``<name>.png`` and ``<name>.pdf``, and each of its tables as ``<name><end>.csv``.

    :param folder: that exists.
    :param title: for the metadata of the files, which also say where the numbers come from.
    """
    png, pdf = folder / f"{name}.png", folder / f"{name}.pdf"
    with st.style():
        said = {"Title": title, "Description": drawing.note, "Software": None}
        drawing.figure.savefig(png, dpi=PNG_DPI, metadata=said)
        # no date: the same figure is the same file
        drawing.figure.savefig(pdf, metadata={"Title": title, "Subject": drawing.note, "CreationDate": None})
    tables = []
    for end, columns in drawing.tables.items():
        tables.append(folder / f"{name}{end}.csv")
        write_table(columns, tables[-1])
    return Written(png, pdf, tuple(tables))


def write_table(columns: Mapping[str, Sequence[Any] | np.ndarray], path: pathlib.Path) -> None:
    """Write columns under their headings; what is not known is an empty cell.

    :raises ValueError: if the columns differ in length.
    """
    lengths = {heading: len(column) for heading, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of {path.name} differ in length: {lengths}.")
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))


def _cell(value: Any) -> Any:
    """Return a number with the digits that single precision has, an empty text where it is not known."""
    if isinstance(value, float | np.floating):
        return f"{float(value):.7g}" if np.isfinite(value) else ""
    return value

"""A figure with the numbers in it: on a page, and as files."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aiida_siox.report.figures import style as st

PNG_DPI = 200
#: Bytes from which what is inside a page is larger than it is worth: an SVG becomes a PNG, a table no link.
LARGEST = 900_000

Columns = Mapping[str, Sequence[Any] | np.ndarray]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure, the numbers in it, and what is said of it.

    :param figure: drawn inside :func:`~aiida_siox.report.figures.style.style`.
    :param tables: columns by their heading (with the unit), each of one length; by the end of the file's name.
    :param note: where the numbers come from; stands in the figure and under it.
    :param name: of its files.
    :param title: a line; also what it is called where it cannot be seen.
    :param explanation: what it shows, for somebody who measures spectra and does not train networks.
    :param paper: the figure of the paper that it repeats, or nothing.
    """

    figure: Figure
    tables: Mapping[str, Columns]
    note: str
    name: str = ""
    title: str = ""
    explanation: str = ""
    paper: str = ""

    def described(self, name: str, title: str, explanation: str = "", paper: str = "") -> Drawing:
        """Return it with its words."""
        return dataclasses.replace(self, name=name, title=title, explanation=explanation, paper=paper)

    def embedded(self) -> tuple[str, list[tuple[str, str]]]:
        """Return the image and links to its tables, all as ``data:`` addresses that need no file."""
        links = []
        for end, columns in self.tables.items():
            content = csv_text(columns).encode()
            if len(content) <= LARGEST:
                links.append((table_name(self, end), data_uri(content, "text/csv")))
        buffer = io.BytesIO()
        with st.style():
            self.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
            if buffer.tell() <= LARGEST:
                return data_uri(buffer.getvalue(), "image/svg+xml"), links
            return data_uri(png_bytes(self.figure), "image/png"), links

    def written(self, folder: pathlib.Path) -> tuple[str, list[tuple[str, str]]]:
        """Write PNG, PDF and CSV; return the image as a ``data:`` address, and the names of the files.

        :param folder: that exists.
        """
        png, pdf = folder / f"{self.name}.png", folder / f"{self.name}.pdf"
        with st.style():
            said = {"Title": self.title, "Description": self.note, "Software": None}
            self.figure.savefig(png, dpi=PNG_DPI, metadata=said)
            # no date: the same figure is the same file
            self.figure.savefig(pdf, metadata={"Title": self.title, "Subject": self.note, "CreationDate": None})
        links = [("PNG", png.name), ("PDF", pdf.name)]
        for end, columns in self.tables.items():
            path = folder / f"{self.name}{end}.csv"
            path.write_text(csv_text(columns), encoding="utf-8")
            links.append((table_name(self, end), path.name))
        return data_uri(png.read_bytes(), "image/png"), links


def table_name(drawing: Drawing, end: str) -> str:
    """Return what the link to a table says."""
    return "CSV" if len(drawing.tables) == 1 else f"CSV {end.strip('_')}"


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return buffer.getvalue()


def data_uri(content: bytes, mime: str) -> str:
    """Return bytes as a ``data:`` address."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def csv_text(columns: Columns) -> str:
    """Return columns under their headings as CSV; what is not known is an empty cell.

    :raises ValueError: if the columns differ in length.
    """
    lengths = {heading: len(column) for heading, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns of a table differ in length: {lengths}.")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return a number with the digits that single precision has, an empty text where it is not known."""
    if isinstance(value, float | np.floating):
        return f"{float(value):.7g}" if np.isfinite(value) else ""
    return value

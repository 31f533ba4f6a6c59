"""A page of a report: a head with the most important numbers, and sections of figures, tables and words."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import jinja2
import markupsafe

from aiida_siox import __version__
from aiida_siox.report.drawing import Drawing

#: Facts that are set in the type of machines.
MACHINE = ("UUID", "Settings digest", "Data set digest")


@dataclasses.dataclass(frozen=True)
class Tile:
    """A headline number.

    :param value: with its unit.
    :param words: what it is.
    :param beside: what stands beside it, such as no skill.
    """

    value: str
    words: str
    beside: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts.

    :param head: names of the columns; none for pairs of name and value.
    :param rows: a text a cell.
    :param words: under it: what it shows, of what.
    :param left: columns that are words and stand to the left; the others are numbers.
    :param kind: class of the table for the style sheet, such as ``total`` when the last row is a sum.
    :param title: a line above it.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: str
    left: int = 1
    kind: str = ""
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Undrawn:
    """A figure that cannot be drawn.

    :param title: of the figure.
    :param reason: why.
    """

    title: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Absent:
    """What is not available, in words."""

    what: str


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """Words.

    :param kind: class of the paragraph: ``note`` stands out.
    """

    text: str
    kind: str = ""


@dataclasses.dataclass(frozen=True)
class Card:
    """A small picture with a few facts.

    :param uri: the picture as a ``data:`` address.
    :param name: what it shows.
    :param beside: said behind the name.
    :param lines: under it.
    :param colour: of its border, for CSS.
    :param flags: what looks suspicious.
    """

    uri: str
    name: str
    beside: str
    lines: Sequence[str]
    colour: str
    flags: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Cards:
    """Small pictures side by side.

    :param key: colours and what they stand for.
    """

    cards: Sequence[Card]
    key: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Steps:
    """Commands to try, each with what it does."""

    steps: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Graph:
    """A drawing of nodes, or the same as text where there is none.

    :param uri: the drawing as a ``data:`` address.
    :param text: the same as text.
    :param words: under it.
    """

    uri: str | None
    text: str
    words: str


Block = Drawing | Table | Undrawn | Absent | Paragraph | Cards | Steps | Graph


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a page.

    :param key: address within the page.
    :param title: of the section.
    :param blocks: from top to bottom.
    :param badge: whether the protocol stands beside the title.
    """

    key: str
    title: str
    blocks: Sequence[Block]
    badge: bool = True


@dataclasses.dataclass(frozen=True)
class Page:
    """A report.

    :param title: of the window.
    :param heading: above everything.
    :param lead: a paragraph under it.
    :param protocol: of every number on the page.
    :param tiles: headline numbers.
    :param facts: names and values.
    :param sections: in their order.
    :param missing: what there should be and is not.
    :param missing_words: before them.
    """

    title: str
    heading: str
    lead: str
    protocol: str
    tiles: Sequence[Tile]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    missing: Sequence[str] = ()
    missing_words: str = "Not in this report:"


def write_page(page: Page, path: pathlib.Path, figures: pathlib.Path | None = None) -> pathlib.Path:
    """Write a page into one HTML file that needs no network.

    :param path: of the file; its folder is made when it is not there.
    :param figures: folder below that of the file for every figure as PNG, PDF and CSV; with None, the page holds the
        images and small tables itself.
    :returns: the absolute path.
    """
    path = path.expanduser().resolve()
    (path.parent if figures is None else figures).mkdir(parents=True, exist_ok=True)
    text = render(page, path.parent, figures)
    path.write_text(text, encoding="utf-8")
    return path


def render(page: Page, folder: pathlib.Path | None = None, figures: pathlib.Path | None = None) -> str:
    """Return the text of a page; see :func:`write_page`."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("aiida_siox.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters["pretty"] = pretty

    def image(drawing: Drawing) -> tuple[str, list[tuple[str, str]]]:
        if figures is None or folder is None:
            return drawing.embedded()
        uri, files = drawing.written(figures)
        return uri, [(name, os.fspath((figures / file).relative_to(folder))) for name, file in files]

    context: dict[str, Any] = {"page": page, "protocol": page.protocol, "image": image, "kind_of": kind_of}
    with_files = figures is not None
    template = templates.get_template("page.html.j2")
    return template.render(**context, version=__version__, machine=MACHINE, with_files=with_files)


def kind_of(block: Block) -> str:
    """Return the name of the class of a block, which is that of its macro in the template."""
    return type(block).__name__


def number(value: float | None, digits: int) -> str:
    """Return a number with a fixed count of decimals, a dash where there is none."""
    return "–" if value is None else f"{float(value):.{digits}f}".replace("-", "−")


def signed(value: float, digits: int) -> str:
    """Return a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def pretty(text: str) -> markupsafe.Markup:
    """Return text with a number of ligands, ``n_O``, set as the symbol it is."""
    return markupsafe.Markup(re.sub(r"\bn_([A-Z]\w*)", r"<i>n</i><sub>\1</sub>", str(markupsafe.escape(text))))


def badges(words: Sequence[str]) -> str:
    """Return words of warning as a cell of a table."""
    if not words:
        return markupsafe.Markup('<span class="none">none</span>')
    return markupsafe.Markup(" ").join(
        markupsafe.Markup('<span class="badge warn">{}</span>').format(word) for word in words
    )


def duration(seconds: float) -> str:
    """Return seconds in the unit that reads best."""
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.1f} s"


def css(colour: tuple[float, ...]) -> str:
    """Return a colour of matplotlib as text for CSS."""
    red, green, blue = (round(255 * value) for value in colour[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"

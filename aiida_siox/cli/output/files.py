"""Files that commands write: columns, figures, and any file that appears when it is whole."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from aiida_siox.report.figures import style

FIGURES = (".png", ".svg", ".pdf")
#: Dots for each inch of a figure.
DPI = 190


@contextlib.contextmanager
def writing(path: pathlib.Path) -> Iterator[None]:
    """Turn what the disk refuses into a message.

    :raises click.ClickException: if the file cannot be written.
    """
    try:
        yield
    except OSError as exception:
        raise click.ClickException(f"{path} cannot be written: {exception.strerror or exception}.") from exception


@contextlib.contextmanager
def new_file(path: pathlib.Path, force: bool) -> Iterator[pathlib.Path]:
    """Give a path to write to, whose file takes its place when it is whole.

    :param force: whether a file that exists may be written over.
    :raises click.ClickException: if the file exists, its folder does not, or it cannot be written.
    """
    if path.exists() and not force:
        raise click.ClickException(f"{path} exists: give another name, or --force to write over it.")
    if not path.parent.is_dir():
        raise click.ClickException(f"there is no folder {path.parent}.")
    partial = path.with_name(f".{path.name}.part")
    try:
        with writing(path):
            yield partial
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def columns_text(columns: Mapping[str, Sequence[float | str] | Any], separator: str = " ", note: str = "") -> str:
    """Return columns as text under their titles; comments begin with ``#``, but not where commas separate.

    :param columns: numbers or words by title, shape (n,) each.
    :param note: first line, left out where commas separate.
    """
    mark = "" if separator == "," else "# "
    lines = [f"# {note}"] if note and mark else []
    lines.append(mark + separator.join(columns))
    for row in zip(*columns.values(), strict=True):
        lines.append(separator.join(value if isinstance(value, str) else f"{value:.8g}" for value in row))
    return "\n".join(lines)


def write_columns(path: pathlib.Path, columns: Mapping[str, Sequence[float | str] | Any], note: str = "") -> None:
    """Write columns into a text file, with commas between them if its name ends in ``.csv``.

    :raises click.ClickException: if the file cannot be written.
    """
    separator = "," if path.suffix.lower() == ".csv" else " "
    with writing(path):
        path.write_text(columns_text(columns, separator, note) + "\n")


def write_figure(path: pathlib.Path, draw: Callable[[], Any]) -> None:
    """Draw into a file whose ending is one of :data:`FIGURES`.

    :param draw: returns the figure of matplotlib.
    :raises click.ClickException: if the file cannot be written.
    """
    with writing(path), style.style():
        draw().savefig(path, dpi=DPI)


def is_figure(path: pathlib.Path) -> bool:
    """Return whether a file of this name is drawn."""
    return path.suffix.lower() in FIGURES

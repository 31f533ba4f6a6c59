"""Tables and JSON on stdout."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from aiida_siox.science.plain import plain


def emit_json(value: Any) -> None:
    """Write a value as one line of JSON on stdout."""
    click.echo(json.dumps(plain(value), allow_nan=False, ensure_ascii=False))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table on stdout; numbers are right-aligned."""
    table = Table(header_style="bold")
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[i]) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # a pipe or a file has no width: what is read by a program is not to be folded
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    console.print(title, style="bold", soft_wrap=True)
    console.print(table)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "-")
    return True

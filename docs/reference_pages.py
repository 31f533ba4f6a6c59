"""Sphinx extension: the reference of commands from their options, and of the code from its docstrings."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import click

import aiida_siox

PACKAGE = pathlib.Path(aiida_siox.__file__).parent


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Give a command and those below it with their full names."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from commands(found, f"{name} {child}")


def command_section(name: str, command: click.Command) -> str:
    """Return the section of one command: usage, text, arguments and options."""
    context = click.Context(command, info_name=name)
    formatter = click.HelpFormatter(width=110)
    command.format_usage(context, formatter)
    lines = [f"{'#' * (1 + len(name.split()))} `{name}`", "", "```text", formatter.getvalue().strip(), "```", ""]
    lines += [" ".join(paragraph.split()) + "\n" for paragraph in (command.help or "").split("\n\n")]
    records = [record for parameter in command.params if (record := parameter.get_help_record(context)) is not None]
    if records:
        lines += ["| Option | Meaning |", "| --- | --- |"]
        lines += [f"| `{_cell(option)}` | {_cell(text)} |" for option, text in records]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return text that fits into a cell of a table."""
    return " ".join(text.split()).replace("|", "/")


def command_page() -> str:
    """Return the page of all commands."""
    from aiida_siox.cli import main

    sections = [command_section(name, command) for name, command in commands(main, "aiida-siox")]
    return "# Commands\n\nWritten from the commands when this documentation is built.\n\n" + "\n".join(sections)


def modules() -> dict[str, list[str]]:
    """Return the modules of the package by the folder they are in, those at the top under the name of the package."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        folder = parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else "aiida_siox"
        found.setdefault(folder, []).append(".".join(parts))
    return found


def module_page(folder: str, names: list[str]) -> str:
    """Return the page of the modules of a folder."""
    lines = [f"# {folder}", ""]
    for name in names:
        lines += [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}", "   :members:", "```", ""]
    return "\n".join(lines)


def write_pages(app: Any) -> None:
    """Write the pages before Sphinx reads its sources."""
    root = pathlib.Path(app.srcdir) / "reference"
    pages = {"commands.md": command_page()}
    folders = modules()
    pages |= {f"api/{folder}.md": module_page(folder, names) for folder, names in folders.items()}
    pages["api/index.md"] = (
        "# Code\n\nFrom the docstrings, by the folders of the package; what each is for says\n"
        "[Architecture](../../develop/architecture.md).\n\n"
        "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(folders) + "\n```\n"
    )
    for path in (root / "api").glob("*.md"):
        if f"api/{path.name}" not in pages:
            path.unlink()  # of a folder that is gone
    for name, text in pages.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def escape_bars(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep absolute values in docstrings from being taken for substitutions."""
    lines[:] = [line.replace("|", "\\|") for line in lines]


def setup(app: Any) -> dict[str, Any]:
    """Register the extension."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", escape_bars)
    return {"parallel_read_safe": True}

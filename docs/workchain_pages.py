"""Sphinx extension: one page for each WorkChain and CalcJob of the package, written from its specification."""

from __future__ import annotations

import importlib.metadata
import inspect
import pathlib
from collections.abc import Iterator
from typing import Any

GROUPS = {"aiida.workflows": "workchains", "aiida.calculations": "calcjobs"}


def type_names(port: Any) -> str:
    """Return the types that a port takes."""
    valid = port.valid_type
    if valid is None:
        return "any"
    types = valid if isinstance(valid, tuple) else (valid,)
    return ", ".join(sorted(f"`{item.__name__}`" for item in types if item is not type(None)))


def cell(text: Any) -> str:
    """Return text that fits into a cell of a table."""
    return " ".join(str(text or "").split()).replace("|", "\\|")


def default_of(port: Any) -> str:
    """Return the default of a port, empty without one."""
    if not port.has_default():
        return ""
    default = port.default
    if inspect.isfunction(default) or inspect.isclass(default):
        return ""
    return f"`{default!r}`" if len(repr(default)) < 40 else ""


def walk(namespace: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give all ports of a namespace with their dotted names; a dynamic namespace appears itself."""
    for name, port in namespace.items():
        full = f"{prefix}{name}"
        if hasattr(port, "items"):
            if name == "metadata":
                continue
            if port.dynamic or not len(port):
                yield f"{full}.*", port
            yield from walk(port, f"{full}.")
        else:
            yield full, port


def table(namespace: Any, inputs: bool) -> list[str]:
    """Return the table of a namespace of inputs or outputs."""
    header = ["Name", "Type", "Required", "Default", "Meaning"] if inputs else ["Name", "Type", "Required", "Meaning"]
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    for name, port in walk(namespace):
        row = [f"`{name}`", type_names(port), "yes" if port.required else "no"]
        if inputs:
            row.append(default_of(port) if not hasattr(port, "items") else "")
        lines.append("| " + " | ".join([*row, cell(port.help)]) + " |")
    return lines if len(lines) > 2 else ["None."]


def outline(description: Any, depth: int = 0) -> list[str]:
    """Return the outline of a WorkChain as nested list items."""
    indent = "  " * depth
    if isinstance(description, str):
        # plumpy gives `step(first line of its docstring)`
        step, _, meaning = description.partition("(")
        return [f"{indent}- `{step}`" + (f": {meaning.removesuffix(')')}" if meaning else "")]
    if isinstance(description, dict):
        lines = []
        for key, value in description.items():
            lines.append(f"{indent}- {key}")
            lines += outline(value, depth + 1)
        return lines
    return [line for item in description for line in outline(item, depth)]


def page(name: str, process: Any) -> str:
    """Return the page of a process class as markdown."""
    spec = process.spec()
    lines = [f"# {process.__name__}", "", inspect.cleandoc(process.__doc__ or ""), ""]
    lines += [f"Entry point `{name}`, class `{process.__module__}.{process.__qualname__}`.", ""]
    lines += ["## Inputs", "", *table(spec.inputs, True), ""]
    lines += ["## Outputs", "", *table(spec.outputs, False), ""]
    if hasattr(spec, "get_outline"):
        lines += ["## Outline", "", *outline(spec.get_outline().get_description()), ""]
    lines += ["## Exit codes", "", "| Status | Name | Message |", "| --- | --- | --- |"]
    lines += [
        f"| {code.status} | `{label}` | {cell(code.message)} |"
        for label, code in sorted(spec.exit_codes.items(), key=lambda item: item[1].status)
        if code.status >= 100
    ]
    return "\n".join(lines) + "\n"


def write_pages(app: Any) -> None:
    """Write the pages and their lists before Sphinx reads its sources."""
    root = pathlib.Path(app.srcdir) / "reference"
    entry_points = importlib.metadata.distribution("aiida-siox").entry_points
    for group, folder in GROUPS.items():
        target = root / folder
        target.mkdir(parents=True, exist_ok=True)
        names = []
        for entry_point in sorted(entry_points.select(group=group), key=lambda item: item.name):
            path = target / f"{entry_point.name}.md"
            text = page(entry_point.name, entry_point.load())
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
            names.append(entry_point.name)
        for path in target.glob("*.md"):
            if path.stem not in (*names, "index"):
                path.unlink()  # of an entry point that is gone
        title = "WorkChains" if folder == "workchains" else "CalcJobs"
        (target / "index.md").write_text(
            f"# {title}\n\nWritten from the specifications when this documentation is built.\n\n"
            "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(names) + "\n```\n"
        )


def setup(app: Any) -> dict[str, Any]:
    """Register the extension."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}

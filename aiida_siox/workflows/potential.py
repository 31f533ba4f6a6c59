"""The potential of a melt-quench: by name, or as a mapping; with its files as nodes."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import yaml
from aiida import orm

from aiida_siox.registry import nearest
from aiida_siox.science.potentials import Potential, find_potential_file
from aiida_siox.workflows.protocol import PROTOCOL_FOLDER


def resolve_potential(choice: Any) -> dict[str, Any]:
    """Return the mapping that defines a potential.

    :param choice: the name of one of ``protocols/potentials.yaml``, or the mapping itself.
    :raises ValueError: for an unknown name or a wrong definition.
    """
    if isinstance(choice, str):
        known: dict[str, Any] = yaml.safe_load((PROTOCOL_FOLDER / "potentials.yaml").read_text())
        if choice not in known:
            raise ValueError(f"unknown potential `{choice}`: {nearest(choice, list(known))}")
        choice = known[choice]
    if not isinstance(choice, Mapping):
        raise ValueError(f"`potential` must be a name or a mapping that defines a potential, got {choice!r}.")
    names = [pathlib.PurePath(str(name)).name for name in choice.get("files") or []]
    Potential.parse({**choice, "files": names}, "potential")
    return dict(choice)


def load_potential(choice: Any) -> dict[str, Any]:
    """Return the input namespace of a potential, with stored files where there are some of the same content.

    :param choice: see :func:`resolve_potential`; files are names in the LAMMPS installation, or paths.
    :raises ValueError: for an unknown name, or a wrong definition.
    :raises FileNotFoundError: if a file is not found.
    """
    content = resolve_potential(choice)
    paths = [find_potential_file(name) for name in content.get("files") or []]
    potential = Potential.parse({**content, "files": [path.name for path in paths]}, "potential")
    files = {f"file_{number}": stored_file(path) for number, path in enumerate(paths)}
    return {"definition": orm.Dict(potential.plain()), **({"files": files} if files else {})}


def stored_file(path: pathlib.Path) -> orm.SinglefileData:
    """Return a node of a file, the stored one if there is one with this name and content."""
    node = orm.SinglefileData(path)
    query = orm.QueryBuilder().append(orm.SinglefileData, filters={"attributes.filename": path.name}, project="*")
    for stored in query.all(flat=True):
        if stored.get_content(mode="rb") == node.get_content(mode="rb"):
            return stored
    return node

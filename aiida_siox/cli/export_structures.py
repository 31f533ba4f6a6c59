"""``aiida-siox structures``: the cells of processes as files, and how commands find them."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ase.io
import click
from aiida import orm
from aiida.common.links import LinkType
from ase.formula import Formula

from aiida_siox.cli.common import describe, json_option, load_node, with_profile
from aiida_siox.cli.output.files import writing
from aiida_siox.cli.output.tables import emit_json
from aiida_siox.science.composition import formula_of_cell

#: Formats of ASE, the ending of their files, and what else ASE is told.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "extxyz": (".extxyz", {}),
    "cif": (".cif", {}),
    "vasp": (".vasp", {"sort": True}),
    "lammps-data": (".data", {"masses": True}),
}
#: Endings of a file that holds all structures.
MANY = (".extxyz", ".xyz")


@click.command()
@click.argument("identifiers", metavar="PK...", nargs=-1, required=True)
@click.option(
    "--formula",
    "formulas",
    multiple=True,
    metavar="FORMULA",
    help="Only cells of it (Si8O4, or SiO2 for all with x = 2); may be repeated.",
)
@click.option(
    "--output",
    type=click.Path(path_type=pathlib.Path),
    required=True,
    help="Folder for one file each, or a file .extxyz for all of them.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(list(FORMATS)),
    default="extxyz",
    show_default=True,
    help="Of a folder.",
)
@json_option
@with_profile
def structures(
    identifiers: tuple[str, ...], formulas: tuple[str, ...], output: pathlib.Path, file_format: str, as_json: bool
) -> None:
    """Write structures into files: PK is a structure, or a melt-quench, structure set or study that made some.

    Files in the extended xyz format keep the UUID of the node beside the cell.
    """
    found = chosen_structures(identifiers, formulas)
    endings = {ending: name for name, (ending, _) in FORMATS.items()}
    ending = output.suffix.lower()
    if ending in endings and ending not in MANY and not output.is_dir():
        raise click.ClickException(
            f"`--output` {output}: give a folder for {endings[ending]} files (`--format {endings[ending]}`), or one "
            f"file that ends in {' or '.join(MANY)}."
        )
    cells = {label: node.get_ase() for label, node in found.items()}
    for label, atoms in cells.items():
        atoms.info |= {"label": label, "uuid": found[label].uuid}
    with writing(output):
        if output.suffix.lower() in MANY:
            output.parent.mkdir(parents=True, exist_ok=True)
            ase.io.write(output, list(cells.values()), format="extxyz")
            paths = [output]
        else:
            ending, more = FORMATS[file_format]
            output.mkdir(parents=True, exist_ok=True)
            paths = [output / f"{label}{ending}" for label in cells]
            for path, atoms in zip(paths, cells.values(), strict=True):
                ase.io.write(path, atoms, format=file_format, **more)
    if as_json:
        emit_json({"structures": {label: node.pk for label, node in found.items()}, "files": list(map(str, paths))})
        return
    click.echo(f"Written: {len(cells)} structure{'s' * (len(cells) > 1)} in {output}")


def chosen_structures(identifiers: Iterable[str], formulas: Sequence[str] = ()) -> dict[str, orm.StructureData]:
    """Return the structures that nodes are or made, by label.

    :param formulas: those that are wanted; all when there are none.
    :raises click.ClickException: for a node without structures, or a formula that none of them has.
    """
    found: dict[str, orm.StructureData] = {}
    for identifier in identifiers:
        for label, structure in structures_of(load_node(identifier, orm.Node)).items():
            if any(is_same(structure, node) for node in found.values()):
                continue  # chosen twice, or another node of the same cell, taken from the cache
            found[label if label not in found else f"{label}_{structure.pk}"] = structure
    if not formulas:
        return found
    names = {label: formula_of(structure) for label, structure in found.items()}
    chosen: set[str] = set()
    for formula in formulas:
        if not (matching := {name for name in names.values() if is_of(name, formula)}):
            raise click.ClickException(
                f"`--formula` {formula}: there is no structure of it. Valid: {', '.join(sorted(set(names.values())))}."
            )
        chosen |= matching
    return {label: structure for label, structure in found.items() if names[label] in chosen}


def is_same(one: orm.StructureData, other: orm.StructureData) -> bool:
    """Return whether two structures have the same cell and atoms."""
    return one.uuid == other.uuid or bool(one.get_ase() == other.get_ase())


def is_of(name: str, formula: str) -> bool:
    """Return whether the counts of a cell are a formula, in any order, or a multiple of it (``SiO2``)."""
    try:
        cell, wanted = Formula(name), Formula(formula)
        reduced = cell.reduce()[0].count()
    except ValueError:
        return name == formula
    return wanted.count() in (cell.count(), reduced)


def formula_of(structure: orm.StructureData) -> str:
    """Return the counts of a cell, ``Si8O4``."""
    return formula_of_cell(structure.get_ase().get_chemical_symbols())


def structures_of(node: orm.Node) -> dict[str, orm.StructureData]:
    """Return a structure, or those that a process made, by label (``Si8O4_1``).

    :raises click.ClickException: if the node is neither.
    """
    if isinstance(node, orm.StructureData):
        return {f"{formula_of(node)}_{node.pk}": node}
    found: dict[str, orm.StructureData] = {}
    outputs: Mapping[str, Any] = {}
    if isinstance(node, orm.ProcessNode):
        outputs = node.base.links.get_outgoing(link_type=(LinkType.RETURN, LinkType.CREATE)).nested()
        named = outputs.get("structures", {})
        if isinstance(named, Mapping):
            found = {label: each for label, each in named.items() if isinstance(each, orm.StructureData)}
        single = outputs.get("structure")
        if isinstance(single, orm.StructureData):
            seed = outputs["attempts"]["accepted_seed"] if "attempts" in outputs else seed_of(node)
            found[f"{formula_of(single)}_{single.pk if seed is None else seed}"] = single
    if not found and isinstance(node, orm.ProcessNode) and (rejected := outputs.get("rejected")):
        pks = ", ".join(str(each.pk) for each in rejected.values())
        raise click.ClickException(
            f"node {node.pk} ({describe(node)}) has rejected cells only: give their own PKs, {pks}, to take them."
        )
    if not found:
        raise click.ClickException(
            f"node {node.pk} ({describe(node)}) is no structure and made none: give a structure, or a melt-quench, "
            "structure set or study that has one."
        )
    return found


def seed_of(process: orm.ProcessNode) -> int | None:
    """Return the seed of a melt-quench; None of other processes."""
    return process.inputs.seed.value if "seed" in process.inputs else None

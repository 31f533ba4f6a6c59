"""Calcfunctions that make and judge structures: thin shells around ``science``."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from ase import Atoms

from aiida_siox.materials import Crystal, load_material
from aiida_siox.science import cells, quality


def structure_from_atoms(atoms: Atoms, label: str = "") -> orm.StructureData:
    """Return an unstored StructureData whose kinds are exactly the species."""
    node = orm.StructureData(cell=atoms.cell.array.tolist(), pbc=tuple(bool(flag) for flag in atoms.pbc))
    for symbol, position in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True):
        node.append_atom(symbols=symbol, position=position.tolist(), name=symbol)
    node.label = label
    return node


@calcfunction
def make_starting_cell(
    formula: orm.Str, seed: orm.Int, parameters: orm.Dict, material: orm.Dict, version: orm.Int
) -> orm.StructureData:
    """Return the random starting cell of a melt-quench.

    :param parameters: ``crystal`` and ``density_g_cm3``.
    :param version: SCIENCE_VERSION, so that the cache notices when science/ changed.
    """
    values = parameters.get_dict()
    atoms = cells.starting_cell(
        formula.value, values["density_g_cm3"], seed.value, values["crystal"], load_material(material.get_dict())
    )
    return structure_from_atoms(atoms, label=atoms.info["formula"])


@calcfunction
def make_crystal(parameters: orm.Dict, version: orm.Int) -> orm.StructureData:
    """Return a reference crystal.

    :param parameters: ``compound``, its name; ``crystal``, as in the yaml of the material; and ``supercell``, three
        positive integers.
    :raises ValueError: for an impossible crystal or supercell.
    """
    values = parameters.get_dict()
    atoms = cells.build_crystal(Crystal.parse(values["crystal"], "crystal"), values["supercell"])
    return structure_from_atoms(atoms, label=values["compound"])


@calcfunction
def transform_structure(structure: orm.StructureData, parameters: orm.Dict, version: orm.Int) -> orm.StructureData:
    """Return a structure after ``supercell``, ``remove``, ``shift_angstrom`` and ``order``, those given, in this order.

    :param parameters: see :func:`aiida_siox.science.cells.transform`.
    :raises ValueError: for an index that is not there, or an order that is no permutation.
    """
    atoms = cells.transform(structure.get_ase(), **parameters.get_dict())
    return structure_from_atoms(atoms, label=structure.label)


@calcfunction
def assess_structure(
    structure: orm.StructureData,
    parameters: orm.Dict,
    material: orm.Dict,
    version: orm.Int,
    results: orm.Dict | None = None,
) -> dict[str, orm.Dict | orm.ArrayData]:
    """Return what describes a configuration: ``quality``, its numbers and flags, and ``profiles``, its curves.

    :param parameters: grids and rules, see :class:`aiida_siox.science.quality.Parameters`.
    :param results: of the melt-quench, for pressure, energy and convergence.
    :raises ValueError: for impossible parameters.
    """
    numbers, curves = quality.analyse(
        structure.get_ase(),
        parameters.get_dict(),
        load_material(material.get_dict()),
        results.get_dict() if isinstance(results, orm.Dict) else None,
    )
    profiles = orm.ArrayData(curves)
    profiles.base.attributes.set("units", quality.units_of(curves))
    return {"quality": orm.Dict(numbers), "profiles": profiles}


@calcfunction
def join_thermo(**parts: orm.ArrayData) -> orm.ArrayData:
    """Join the thermodynamic series of a run and its restarts, ``part_00``, ``part_01`` and so on.

    Where a restart repeats steps that the interrupted part had gone through, the restart counts.
    """
    ordered = [parts[name] for name in sorted(parts)]
    stages = ordered[0].base.attributes.get("stages")
    dynamic = stages.index("start") + 1
    rows = []
    for number, part in enumerate(ordered):
        keep = np.ones(len(part.get_array("step")), dtype=bool)
        for later in ordered[number + 1 :]:
            stage, step = part.get_array("stage"), part.get_array("step")
            keep &= (step < later.get_array("step")[0]) | (stage < dynamic)
        rows.append(keep)
    node = orm.ArrayData()
    for name in ordered[0].get_arraynames():
        node.set_array(
            name, np.concatenate([part.get_array(name)[keep] for part, keep in zip(ordered, rows, strict=True)])
        )
    node.base.attributes.set("units", ordered[0].base.attributes.get("units"))
    node.base.attributes.set("stages", stages)
    return node

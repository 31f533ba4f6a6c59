"""Calcfunction of structure factors: a thin shell around ``science.diffraction``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_siox.science import diffraction
from aiida_siox.science.structures import validate_structure


def structure_factors_of(structure: orm.StructureData, parameters: Mapping[str, Any]) -> diffraction.StructureFactors:
    """Return the structure factors of a stored cell.

    :param parameters: ``q_max``, ``q_step`` and ``q_width`` in Å⁻¹.
    :raises ValueError: for a structure without meaning, or impossible numbers.
    """
    atoms = structure.get_ase()
    validate_structure(atoms)
    return diffraction.structure_factors(
        atoms, float(parameters["q_max"]), float(parameters["q_step"]), float(parameters["q_width"])
    )


@calcfunction
def diffract(structure: orm.StructureData, parameters: orm.Dict, version: orm.Int) -> orm.ArrayData:
    """Return the structure factors of a cell as arrays ``q``, ``neutron``, ``xray`` and one for each partial.

    :param parameters: of :class:`~aiida_siox.workflows.diffraction.DiffractionProtocol`.
    :param version: of ``science``; a calcfunction does not notice when that changes.
    """
    del version
    values = parameters.get_dict()
    found = structure_factors_of(structure, values)
    node = orm.ArrayData()
    for name, array in (("q", found.q), ("neutron", found.neutron), ("xray", found.xray)):
        node.set_array(name, array)
    for name, array in found.partial.items():
        node.set_array(name.replace("-", "_"), array)
    window = values["first_peak"]
    node.base.attributes.set_many(
        {
            "units": {"q": "1/angstrom"},
            "first_peak_neutron": diffraction.first_sharp_peak(found.q, found.neutron, window),
            "first_peak_xray": diffraction.first_sharp_peak(found.q, found.xray, window),
        }
    )
    return node

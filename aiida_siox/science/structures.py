"""Is a structure one that the workflows can take?"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii

from aiida_siox.materials import Material

from .neighbours import neighbour_pairs

OVERLAP_FRACTION = 0.6
"""Atoms closer than this part of the sum of their covalent radii overlap (Si–O 1.06 Å, Si–Si 1.33 Å, O–O 0.79 Å)."""


def validate_structure(atoms: Atoms, material: Material | None = None) -> None:
    """Refuse a structure that has no meaning, or none for spectra of a material if there is one.

    :raises ValueError: naming what is wrong and the remedy: no atoms, no absorber, another species, a cell that is not
        periodic in three directions or has no volume, positions that are not numbers, overlapping atoms.
    """
    if len(atoms) == 0:
        raise ValueError("the structure has no atoms.")
    if material is not None:
        _check_species(set(atoms.get_chemical_symbols()), material)
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ValueError("the structure has positions or cell vectors that are not finite numbers.")
    if abs(np.linalg.det(atoms.cell.array)) < 1e-3:
        raise ValueError("the structure has no three-dimensional cell: give a periodic cell with three vectors.")
    if not atoms.pbc.all():
        raise ValueError(
            f"the structure is periodic along {int(atoms.pbc.sum())} of 3 directions: give a crystal or a cell "
            "with periodic boundaries in all three (in ASE `atoms.pbc = True`)."
        )
    radii = covalent_radii[atoms.numbers]
    first, second, distance = neighbour_pairs(atoms, OVERLAP_FRACTION * 2 * radii.max())
    ratio = distance / (radii[first] + radii[second])
    if len(ratio) and ratio.min() < OVERLAP_FRACTION:
        worst = int(np.argmin(ratio))
        i, j = int(first[worst]), int(second[worst])
        names = [f"{chemical_symbols[atoms.numbers[k]]} (index {k})" for k in (i, j)]
        where = f"{names[0]} and its own periodic image" if i == j else f"{names[0]} and {names[1]}"
        raise ValueError(
            f"atoms overlap: {where} are {distance[worst]:.2f} Å apart. "
            "Check the cell and the units of the positions (Å), or remove the double atom."
        )


def _check_species(symbols: set[str], material: Material) -> None:
    if others := sorted(symbols - set(material.elements)):
        raise ValueError(
            f"the structure has {', '.join(others)}: only {' and '.join(material.elements)} are possible with the "
            f"material {material.name}. Remove or replace them, or take another material (--material)."
        )
    if material.absorber not in symbols:
        raise ValueError(
            f"the structure has no {material.absorber}: there would be no absorber for the {material.edge_name}."
        )

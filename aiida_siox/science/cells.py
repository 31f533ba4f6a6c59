"""Crystals, and random starting cells cut from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.data import atomic_masses_legacy, atomic_numbers
from ase.spacegroup import crystal as ase_crystal
from ase.units import _Nav
from numpy.typing import ArrayLike

from aiida_siox.materials import Crystal, Material
from aiida_siox.registry import nearest

from .composition import format_formula, validate_melt_formula


def build_crystal(crystal: Crystal, supercell: Sequence[int] = (1, 1, 1)) -> Atoms:
    """Return a supercell of a crystal.

    :param supercell: repeats of the cell along its three vectors.
    :raises ValueError: for an impossible supercell.
    """
    repeats = _repeats(supercell)
    atoms = ase_crystal(
        [element for element, *_ in crystal.basis],
        basis=[position for _, *position in crystal.basis],
        spacegroup=crystal.spacegroup,
        setting=crystal.setting,
        cellpar=crystal.cell,
    )
    return (atoms if crystal.supercell is None else make_supercell(atoms, crystal.supercell)).repeat(repeats)


def reference_crystal(material: Material, name: str, supercell: Sequence[int] = (1, 1, 1)) -> Atoms:
    """Return a supercell of a crystal of a material.

    :param supercell: see :func:`build_crystal`.
    :raises ValueError: for an unknown crystal or an impossible supercell.
    """
    if name not in material.crystals:
        raise ValueError(f"the material {material.name} has no crystal `{name}`: {nearest(name, material.crystals)}")
    return build_crystal(material.crystals[name], supercell)


def _repeats(supercell: Sequence[int]) -> tuple[int, int, int]:
    repeats = list(supercell) if isinstance(supercell, Sequence) else []
    if len(repeats) != 3 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in repeats):
        raise ValueError(f"supercell {supercell!r} must be three positive integers such as [1, 1, 1].")
    return repeats[0], repeats[1], repeats[2]


def transform(
    atoms: Atoms,
    supercell: Sequence[int] = (1, 1, 1),
    remove: Sequence[int] = (),
    shift_angstrom: Sequence[float] = (0.0, 0.0, 0.0),
    order: Sequence[int] | None = None,
) -> Atoms:
    """Return the atoms repeated, with vacancies, shifted and renumbered, in this order of steps.

    :param supercell: repeats along the three cell vectors.
    :param remove: indices (in the supercell) of atoms that leave a vacancy.
    :param shift_angstrom: added to every position; atoms are wrapped back into the cell.
    :param order: new order of the atoms, as indices into what is left; unchanged when None.
    :raises ValueError: for an index that is not there, or an order that is no permutation.
    """
    result = atoms.repeat(_repeats(supercell))
    if wrong := [index for index in remove if not 0 <= index < len(result)]:
        raise ValueError(f"`remove` names the atoms {wrong}, but the cell has {len(result)}.")
    result = result[[index for index in range(len(result)) if index not in set(remove)]]
    if np.any(np.asarray(shift_angstrom) != 0):
        result.positions += np.asarray(shift_angstrom, dtype=float)
        result.wrap()
    if order is not None:
        if sorted(order) != list(range(len(result))):
            raise ValueError(f"`order` must name each of the {len(result)} atoms once, got {list(order)}.")
        result = result[list(order)]
    return result


def mesh_from_distance(cell: ArrayLike, distance: float) -> tuple[int, int, int]:
    """Return the mesh whose k points lie at most so far apart, rounded as AiiDA's KpointsData does.

    :param cell: rows are the cell vectors, Å, shape (3, 3).
    :param distance: 1/Å, 2π included.
    """
    reciprocal = 2 * np.pi * np.linalg.inv(np.asarray(cell, dtype=float)).T
    a, b, c = (max(1, int(np.ceil(round(length / distance, 5)))) for length in np.linalg.norm(reciprocal, axis=1))
    return a, b, c


def mass_g_mol(element: str) -> float:
    """Return the mass of an element in g/mol (the standard weights of 1969 that ASE keeps: Si 28.0855, O 15.9994)."""
    return float(atomic_masses_legacy[atomic_numbers[element]])


def mass_g(counts: Mapping[str, int]) -> float:
    """Return the mass of a cell in g."""
    return sum(mass_g_mol(element) * number for element, number in counts.items()) / _Nav


def density_g_cm3(atoms: Atoms) -> float:
    """Return the mass density of a cell in g/cm³."""
    return float(mass_g(Counter(atoms.get_chemical_symbols())) / (atoms.get_volume() * 1e-24))


def starting_cell(formula: str, density_g_cm3: float, seed: int, crystal: str, material: Material) -> Atoms:
    """Return a random cell: sites of a supercell of a crystal kept to the formula, scaled to the density.

    The supercell is the smallest n × n × n that holds the formula and has a site to spare: of β-cristobalite
    n = 1 for Si8O4, n = 2 for Si8O16, n = 3 (216 Si + 432 O) for the cells of the paper. Atoms may lie close to each
    other, and are to be minimised before any dynamics.

    :param formula: counts of the cell, 0 ≤ x ≤ 2.
    :param density_g_cm3: mass density of the cell in g/cm³.
    :param seed: of the random choice; the same seed gives the same cell.
    :param crystal: of the material, with a rectangular cell.
    :returns: rectangular periodic cell, absorbers first.
    :raises ValueError: for an impossible formula, density or seed, or an unknown crystal.
    """
    counts = validate_melt_formula(formula, material)
    if not np.isfinite(density_g_cm3) or not 0.1 <= density_g_cm3 <= 10:
        raise ValueError(f"density {density_g_cm3} g/cm³ is impossible: {_densities(material)}.")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative: take 0 or a positive integer.")
    unit = reference_crystal(material, crystal)
    if not np.allclose(unit.cell.array, np.diag(unit.cell.lengths()), atol=1e-9):
        raise ValueError(f"the cell of the crystal `{crystal}` is not rectangular: LAMMPS starts from one that is.")
    available = {symbol: unit.get_chemical_symbols().count(symbol) for symbol in counts}
    if absent := [symbol for symbol, number in counts.items() if number and not available[symbol]]:
        raise ValueError(
            f"the crystal `{crystal}` has no {absent[0]}: the sites of `{formula}` cannot be drawn from it."
        )
    n = 1
    while any(available[symbol] * n**3 < number for symbol, number in counts.items()):
        n += 1
    if all(available[symbol] * n**3 == number for symbol, number in counts.items()):
        n += 1  # all sites taken would be the crystal itself, which 20 ps at 5000 K do not melt
    supercell = unit.repeat((n, n, n))
    symbols = np.array(supercell.get_chemical_symbols())
    generator = np.random.default_rng(seed)
    kept = []
    for symbol, number in counts.items():
        sites = np.flatnonzero(symbols == symbol)
        kept.append(np.sort(generator.choice(sites, size=number, replace=False)))
    atoms = supercell[np.concatenate(kept)]
    volume = mass_g(counts) / density_g_cm3 * 1e24
    scale = (volume / atoms.get_volume()) ** (1 / 3)
    atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
    cell = Atoms(atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell, pbc=True)
    cell.info["formula"] = format_formula(counts)
    return cell


def _densities(material: Material) -> str:
    values = [density for _, density in material.melting.expected_densities]
    return f"{material.title} is expected between {min(values):g} and {max(values):g} g/cm³"

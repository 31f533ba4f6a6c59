"""Crystals, and random starting cells cut from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.spacegroup import crystal as ase_crystal
from ase.units import _Nav
from numpy.typing import ArrayLike

from .composition import format_formula, validate_melt_formula

MASSES_G_MOL = {"Si": 28.0855, "O": 15.9994}


def alpha_quartz() -> Atoms:
    """Return α-quartz, 9 atoms, P3₂21 (154), a = 4.9134 Å, c = 5.4052 Å: the cell of the regression values."""
    return ase_crystal(
        ("Si", "O"),
        basis=[(0.4697, 0.0, 2 / 3), (0.4135, 0.2669, 0.7857667)],
        spacegroup=154,
        cellpar=[4.9134, 4.9134, 5.4052, 90, 90, 120],
    )


def diamond_silicon() -> Atoms:
    """Return the conventional cell of silicon, 8 atoms, a = 5.431 Å (experiment, room temperature)."""
    return ase_crystal(("Si",), basis=[(0, 0, 0)], spacegroup=227, setting=1, cellpar=[5.431] * 3 + [90] * 3)


def beta_cristobalite() -> Atoms:
    """Return the ideal cubic cell of β-cristobalite, 8 SiO₂, Fd-3m, a = 7.16 Å, O midway between its Si."""
    return ase_crystal(
        ("Si", "O"),
        basis=[(0, 0, 0), (1 / 8, 1 / 8, 1 / 8)],
        spacegroup=227,
        setting=1,
        cellpar=[7.16] * 3 + [90] * 3,
    )


def rectangular_quartz() -> Atoms:
    """Return α-quartz in a rectangular, nearly cubic cell, 24 SiO₂."""
    return make_supercell(alpha_quartz(), [[2, 0, 0], [1, 2, 0], [0, 0, 2]])


CRYSTALS: dict[str, Callable[[], Atoms]] = {
    "beta-cristobalite": beta_cristobalite,
    "alpha-quartz": rectangular_quartz,
}
"""SiO₂ crystals with a rectangular cell, from whose sites starting cells are drawn."""


REFERENCES: dict[str, Callable[[], Atoms]] = {"quartz": alpha_quartz, "silicon": diamond_silicon}
"""Crystals whose spectra are known from experiment, by the name of the compound."""


def reference_crystal(compound: str, supercell: Sequence[int]) -> Atoms:
    """Return a supercell of a reference crystal.

    :param compound: key of :data:`REFERENCES`.
    :param supercell: repeats of the cell along its three vectors.
    :raises ValueError: for an unknown compound or an impossible supercell.
    """
    if compound not in REFERENCES:
        raise ValueError(f"unknown compound `{compound}`. Valid: {', '.join(sorted(REFERENCES))}.")
    return REFERENCES[compound]().repeat(_repeats(supercell))


def _repeats(supercell: Sequence[int]) -> tuple[int, int, int]:
    repeats = list(supercell)
    if len(repeats) != 3 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in repeats):
        raise ValueError(f"supercell {repeats} must be three positive integers such as [1, 1, 1].")
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


def density_g_cm3(atoms: Atoms) -> float:
    """Return the mass density of a cell of Si and O in g/cm³."""
    mass = sum(MASSES_G_MOL[symbol] for symbol in atoms.get_chemical_symbols()) / _Nav
    return float(mass / (atoms.get_volume() * 1e-24))


def starting_cell(formula: str, density_g_cm3: float, seed: int, crystal: str = "beta-cristobalite") -> Atoms:
    """Return a random cell: Si and O sites of an SiO₂ supercell kept to the formula, scaled to the density.

    The supercell is the smallest n × n × n that holds the formula and has a site to spare: n = 1 for Si8O4, n = 2
    for Si8O16, n = 3 (216 Si + 432 O) for the cells of the paper. Atoms may lie close to each other, and are to be
    minimised before any dynamics.

    :param formula: counts of the cell, 0 ≤ x ≤ 2.
    :param density_g_cm3: mass density of the cell in g/cm³.
    :param seed: of the random choice; the same seed gives the same cell.
    :param crystal: key of :data:`CRYSTALS`.
    :returns: rectangular periodic cell, Si first, then O.
    :raises ValueError: for an impossible formula, density or seed, or an unknown crystal.
    """
    counts = validate_melt_formula(formula)
    if not np.isfinite(density_g_cm3) or not 0.1 <= density_g_cm3 <= 10:
        raise ValueError(f"density {density_g_cm3} g/cm³ is impossible: amorphous SiOₓ has 1.8 to 2.7 g/cm³.")
    if seed < 0:
        raise ValueError(f"seed {seed} is negative: take 0 or a positive integer.")
    if crystal not in CRYSTALS:
        raise ValueError(f"unknown crystal `{crystal}`. Valid: {', '.join(sorted(CRYSTALS))}.")
    unit = CRYSTALS[crystal]()
    available = {symbol: unit.get_chemical_symbols().count(symbol) for symbol in counts}
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
    mass = sum(MASSES_G_MOL[symbol] * number for symbol, number in counts.items()) / _Nav
    volume = mass / density_g_cm3 * 1e24
    scale = (volume / atoms.get_volume()) ** (1 / 3)
    atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
    cell = Atoms(atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell, pbc=True)
    cell.info["formula"] = format_formula(counts)
    return cell

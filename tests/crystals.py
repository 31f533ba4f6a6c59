"""The crystals of SiOₓ that tests look at."""

from __future__ import annotations

import re

from ase import Atoms

from aiida_siox.materials import Material, load_material
from aiida_siox.science import cells

SIOX = load_material("siox")
#: As settings hold it.
MATERIAL = SIOX.spectral()


def with_bonds(**bonds_angstrom: float) -> Material:
    """Return SiOₓ with other longest bonds: ``with_bonds(SiO=1.5)``."""
    changed = {"-".join(re.findall("[A-Z][a-z]?", pair)): value for pair, value in bonds_angstrom.items()}
    return load_material({**SIOX.plain(), "bonds_angstrom": {**SIOX.bonds_angstrom, **changed}})


def starting_cell(formula: str, density_g_cm3: float, seed: int) -> Atoms:
    """Return the random starting cell of a melt-quench."""
    return cells.starting_cell(formula, density_g_cm3, seed, SIOX.melting.crystal, SIOX)


def alpha_quartz() -> Atoms:
    """Return α-quartz, 9 atoms."""
    return cells.reference_crystal(SIOX, "quartz")


def rectangular_quartz() -> Atoms:
    """Return α-quartz in a rectangular cell, 72 atoms."""
    return cells.reference_crystal(SIOX, "rectangular-quartz")


def diamond_silicon() -> Atoms:
    """Return silicon, 8 atoms."""
    return cells.reference_crystal(SIOX, "silicon")


def beta_cristobalite() -> Atoms:
    """Return β-cristobalite, 24 atoms."""
    return cells.reference_crystal(SIOX, "beta-cristobalite")

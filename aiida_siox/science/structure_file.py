"""Structure files: read so that nothing is lost without a word, told back in words, and doubted where absurd."""

from __future__ import annotations

import dataclasses
import pathlib
from collections import Counter

import ase.io
import ase.units
import numpy as np
from ase import Atoms
from ase.io.formats import UnknownFileTypeError, filetype, ioformats

from aiida_siox.materials import Material
from aiida_siox.registry import nearest
from aiida_siox.science.cells import density_g_cm3
from aiida_siox.science.cif import WHOLE, read_cif
from aiida_siox.science.neighbours import coordination, shortest_distances

REMEDY = "Give extended xyz (.xyz), cif (.cif) or a POSCAR, or name the format with --format."
#: Kinds of neighbours that are told apart; the others are counted together.
COMMON = 6
#: Arrays in which readers of ASE keep occupancies.
OCCUPANCIES = ("occupancy", "occupancies", "occ")


@dataclasses.dataclass(frozen=True)
class StructureFile:
    """What a file held.

    :param atoms: the cell, elements and positions alone.
    :param remarks: what had to be taken for granted, whole sentences.
    """

    atoms: Atoms
    remarks: list[str]


def read_structure_file(path: str | pathlib.Path, file_format: str | None = None) -> StructureFile:
    """Read a structure; of several, the last.

    :param file_format: name of the format in ASE, where the name of the file does not tell it.
    :raises ValueError: if it cannot be read, or not without doubt: see :func:`aiida_siox.science.cif.read_cif`; or if
        sites are partly occupied.
    """
    if file_format is not None and file_format not in ioformats:
        raise ValueError(f"unknown format `{file_format}`: {nearest(file_format, list(ioformats))}")
    try:
        kind = file_format or filetype(str(path))
        frames, remarks = read_cif(path) if kind == "cif" else (_read_with_ase(path, kind), [])
    except UnknownFileTypeError:
        raise ValueError(f"ASE does not know this type of file. {REMEDY}") from None
    if len(frames) > 1:
        remarks.append(f"the file holds {len(frames)} structures: the last one is taken.")
    atoms = frames[-1]
    if kind == "vasp":
        remarks += _vasp_remarks(path, atoms)
    # tags, charges and magnetic moments would make kinds of their own
    clean = Atoms(atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    return StructureFile(clean, remarks)


def _read_with_ase(path: str | pathlib.Path, kind: str) -> list[Atoms]:
    try:
        frames = ase.io.read(path, index=":", format=kind)
    except UnknownFileTypeError:
        raise
    except Exception as exception:
        # the readers of ASE raise whatever their parsing ran into: IndexError, StopIteration, AssertionError, ...
        raise ValueError(f"ASE cannot read it ({type(exception).__name__}: {exception}). {REMEDY}") from None
    frames = frames if isinstance(frames, list) else [frames]
    if not frames or not isinstance(frames[-1], Atoms):
        raise ValueError(f"the file holds no structure. {REMEDY}")
    for name in OCCUPANCIES:
        values = frames[-1].arrays.get(name)
        if values is None or values.dtype.kind not in "if":
            continue
        for index in np.flatnonzero(np.abs(values - 1) > 1 - WHOLE):
            raise ValueError(
                f"site {index} ({frames[-1].symbols[index]}) has the {name} {values[index]:g}: choose one ordered "
                "configuration and write it with whole atoms."
            )
    return list(frames)


def _vasp_remarks(path: str | pathlib.Path, atoms: Atoms) -> list[str]:
    """Say from where the elements are if the file does not name them (VASP 4)."""
    lines = pathlib.Path(path).read_text(encoding="latin-1").splitlines()
    if len(lines) > 5 and lines[5].split() and lines[5].split()[0].isdigit():
        return [
            f"the file does not name its elements (VASP 4): it is read as {atoms.symbols.formula}, from its title "
            f"`{lines[0].strip()}` or from a POTCAR or OUTCAR beside it. Better write the elements above their numbers."
        ]
    return []


def told_back(atoms: Atoms, material: Material) -> str:
    """Return in one line what a structure is: formula, density, neighbours of the absorbers, shortest distances."""
    counts = coordination(atoms, material.cutoffs)
    around = Counter(
        " + ".join(f"{counts[element][index]} {element}" for element in material.species if counts[element][index])
        or "nothing"
        for index in np.flatnonzero(atoms.symbols == material.absorber)
    )
    total = sum(around.values())
    common = around.most_common(COMMON)
    told = [f"{number} {material.absorber} beside {words}" for words, number in common]
    if rest := total - sum(number for _, number in common):
        told.append(f"{rest} otherwise")
    shortest = shortest_distances(atoms, list(material.species), 2 * max(material.cutoffs.values()))
    distances = [f"{pair.replace('-', '–')} {value:.2f}" for pair, value in shortest.items() if value is not None]
    return (
        f"{atoms.symbols.formula}, {density_g_cm3(atoms):.2f} g/cm³; {', '.join(told)}; "
        f"shortest distances in Å: {', '.join(distances) or 'none'}."
    )


def doubts(atoms: Atoms, material: Material) -> list[str]:
    """Return what a structure of a material can hardly be, in whole sentences; nothing if all is well."""
    found = _absurdities(atoms, material)
    if found:
        smaller = atoms.copy()
        smaller.set_cell(atoms.cell * ase.units.Bohr, scale_atoms=True)
        if not _absurdities(smaller, material):
            found.append(
                f"with lengths in bohr it would be well ({density_g_cm3(smaller):.2f} g/cm³): they must be in Å."
            )
    return found


def _absurdities(atoms: Atoms, material: Material) -> list[str]:
    counts = coordination(atoms, material.cutoffs)
    total = sum(counts.values(), start=np.zeros(len(atoms), dtype=np.int64))
    found = []
    if material.plausible is not None:
        low, high = material.plausible.density_g_cm3
        if not low <= density_g_cm3(atoms) <= high:
            found.append(
                f"{density_g_cm3(atoms):.2f} g/cm³ is outside {low:g} to {high:g} g/cm³ of {material.title}: are atoms "
                "missing (the asymmetric unit alone) or double, is there a vacuum, is the cell in other units?"
            )
        for element, (fewest, most) in material.plausible.neighbours.items():
            chosen = atoms.symbols == element
            odd = chosen & ((total < fewest) | (total > most))
            if odd.any():
                numbers = ", ".join(str(number) if number else "no" for number in sorted(set(total[odd].tolist())))
                found.append(
                    f"{odd.sum()} of {chosen.sum()} {element} have {numbers} neighbours; it has {fewest} to {most}."
                )
    elif lonely := int((total == 0).sum()):
        found.append(f"{lonely} of {len(atoms)} atoms have no neighbour within {max(material.cutoffs.values()):g} Å.")
    absorbers = atoms.symbols == material.absorber
    ligands = sum((counts[element] for element in material.ligands), start=np.zeros(len(atoms), dtype=np.int64))
    if (many := absorbers & (ligands > material.max_ligands)).any():
        found.append(
            f"{many.sum()} of {absorbers.sum()} {material.absorber} have more than {material.max_ligands} "
            f"{'/'.join(material.ligands)} beside them, the most that {material.title} counts."
        )
    for element in material.ligands:
        if bonded := int(((atoms.symbols == element) & (counts[element] > 0)).sum()):
            found.append(f"{bonded} {element} are bonded to {element}.")
    return found

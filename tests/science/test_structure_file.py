"""Structure files: what is told of them, and what is doubted."""

from __future__ import annotations

import pathlib
import re

import ase.build
import ase.io
import ase.units
import numpy as np
import pytest

from aiida_siox.materials import MATERIALS, load_material
from aiida_siox.science.cells import reference_crystal
from aiida_siox.science.structure_file import doubts, read_structure_file, told_back
from tests.crystals import SIOX, alpha_quartz

FILES = pathlib.Path(__file__).parent.parent / "fixtures" / "structures"


def doubted(atoms) -> str:
    return " ".join(doubts(atoms, SIOX))


def test_quartz_is_told_back(tmp_path):
    """Density and distances of the crystal; Si–O 1.60 and 1.61 Å, every Si between four O."""
    ase.io.write(tmp_path / "quartz.xyz", alpha_quartz())
    found = read_structure_file(tmp_path / "quartz.xyz")
    assert not found.remarks
    assert told_back(found.atoms, SIOX) == (
        "Si3O6, 2.65 g/cm³; 3 Si beside 4 O; shortest distances in Å: Si–Si 3.06, Si–O 1.60, O–O 2.61."
    )
    assert not doubted(found.atoms)


def test_neighbours_are_told_by_kind():
    atoms = alpha_quartz()
    del atoms[3]
    text = told_back(atoms, SIOX)
    assert "2 Si beside 3 O" in text
    assert "1 Si beside 4 O" in text


@pytest.mark.parametrize(
    ("material", "crystal"), [(name, crystal) for name in MATERIALS for crystal in load_material(name).crystals]
)
def test_crystals_are_not_doubted(material, crystal):
    """Those of every material that is shipped."""
    found = load_material(material)
    assert found.plausible is not None
    assert not doubts(reference_crystal(found, crystal), found)


def test_bohr():
    """All distances too large by 1/0.529: nothing has a neighbour, and the reason is named."""
    atoms = read_structure_file(FILES / "bohr.extxyz").atoms
    assert "0.39 g/cm³" in told_back(atoms, SIOX)
    assert "3 Si beside nothing" in told_back(atoms, SIOX)
    assert "3 of 3 Si have no neighbours" in doubted(atoms)
    assert "in bohr it would be well (2.65 g/cm³)" in doubted(atoms)


def test_asymmetric_unit_alone():
    found = read_structure_file(FILES / "no_symmetry.cif")
    assert "SiO, 0.65 g/cm³" in told_back(found.atoms, SIOX)
    assert "0.65 g/cm³ is outside 1.7 to 3.3" in doubted(found.atoms)
    assert "bohr" not in doubted(found.atoms)


def test_atoms_off_their_special_positions():
    atoms = read_structure_file(FILES / "quartz_z0.cif").atoms
    assert "Si6O6, 3.89 g/cm³" in told_back(atoms, SIOX)
    assert "6 of 6 Si have 6 neighbours; it has 3 to 5" in doubted(atoms)
    assert "6 O are bonded to O" in doubted(atoms)


def poscar(title: str, *names: str) -> str:
    """Return quartz as VASP writes it, Si first, with or without a line of elements."""
    atoms = alpha_quartz()
    rows = [" ".join(f"{value:.8f}" for value in row) for row in (*atoms.cell.array, *atoms.get_scaled_positions())]
    return "\n".join([title, "1.0", *rows[:3], *names, "3 6", "Direct", *rows[3:]]) + "\n"


@pytest.mark.parametrize(
    ("title", "formula", "doubt"),
    [("Si O quartz", "Si3O6", ""), ("O Si swapped", "O3Si6", "3 of 3 O have 4 neighbours")],
)
def test_elements_from_the_title(tmp_path, title, formula, doubt):
    """A POSCAR of VASP 4 says so, and one in the wrong order is doubted."""
    path = tmp_path / "POSCAR"
    path.write_text(poscar(title))
    found = read_structure_file(path)
    assert "does not name its elements (VASP 4)" in found.remarks[0]
    assert f"`{title}`" in found.remarks[0]
    assert found.atoms.symbols.formula.format() == formula
    assert doubt in doubted(found.atoms)
    assert bool(doubt) == bool(doubted(found.atoms))


def test_elements_that_are_named(tmp_path):
    path = tmp_path / "POSCAR"
    path.write_text(poscar("O Si in the title", "Si O"))
    found = read_structure_file(path)
    assert found.atoms.symbols.formula.format() == "Si3O6"
    assert not found.remarks


@pytest.mark.parametrize("name", ["cell.extxyz", "cell.pdb"])
def test_occupancy_in_other_formats(tmp_path, name):
    atoms = alpha_quartz()
    atoms.arrays["occupancy"] = np.array([1.0, 1.0, 1.0, 0.5, 1, 1, 1, 1, 1])
    ase.io.write(tmp_path / name, atoms)
    with pytest.raises(ValueError, match=r"site 3 \(O\) has the occupancy 0.5: choose one ordered"):
        read_structure_file(tmp_path / name)


def test_the_last_of_several(tmp_path):
    ase.io.write(tmp_path / "many.xyz", [ase.build.bulk("Si"), alpha_quartz()])
    found = read_structure_file(tmp_path / "many.xyz")
    assert len(found.atoms) == 9
    assert "2 structures: the last one is taken" in found.remarks[0]


def test_kinds_are_elements(tmp_path):
    atoms = alpha_quartz()
    atoms.set_tags(range(9))
    ase.io.write(tmp_path / "tags.xyz", atoms)
    assert not read_structure_file(tmp_path / "tags.xyz").atoms.get_tags().any()


def test_a_material_without_plausible_values():
    """The least is doubted of any material: atoms alone, and more ligands than it counts."""
    plain = SIOX.model_copy(update={"plausible": None})
    atoms = read_structure_file(FILES / "bohr.extxyz").atoms
    assert "9 of 9 atoms have no neighbour within 2.8 Å" in " ".join(doubts(atoms, plain))


@pytest.mark.parametrize(
    ("name", "file_format", "message"),
    [
        ("quartz.docx", None, "ASE does not know this type of file"),
        ("quartz.xyz", "extxy", "did you mean `extxyz`?"),
        ("quartz.xyz", None, "ASE cannot read it"),
        ("quartz.cif", None, "no CIF file"),
    ],
)
def test_refused(tmp_path, name, file_format, message):
    path = tmp_path / name
    path.write_text("this is no structure\n" * 3)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_structure_file(path, file_format)

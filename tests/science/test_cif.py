"""CIF files: all atoms of the cell, in the setting that the file is in, or a refusal that says why."""

from __future__ import annotations

import pathlib

import gemmi
import numpy as np
import pytest
from ase.spacegroup import crystal

from aiida_siox.science.cif import is_same_crystal, read_cif
from aiida_siox.science.neighbours import neighbour_pairs

FILES = pathlib.Path(__file__).parent.parent / "fixtures" / "structures"
CUBIC = (7.16, 7.16, 7.16, 90, 90, 90)
QUARTZ = (4.9134, 4.9134, 5.4052, 90, 90, 120)
QUARTZ_SITES = "Si1 Si 0.4697 0.0 0.66667\nO1 O 0.4135 0.2669 0.7857667\n"
QUARTZ_OPERATIONS = ("x,y,z", "-y,x-y,z+2/3", "-x+y,-x,z+1/3", "y,x,-z", "x-y,-y,-z+1/3", "-x,-x+y,-z+2/3")
CHOICE_ONE = [operation.triplet() for operation in gemmi.SpaceGroup("F d -3 m:1").operations()]
ONE = "Si1 Si 0 0 0\nO1 O 0.125 0.125 0.125\n"
TWO = "Si1 Si 0.125 0.125 0.125\nO1 O 0 0 0\n"
SYMBOL = "_space_group_name_H-M_alt '{}'\n"


def cif(symmetry: str = "", sites: str = QUARTZ_SITES, cell=QUARTZ, columns: str = "", more: str = "") -> str:
    """Return a CIF file; further columns of the sites by name."""
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    head = "".join(f"_cell_{name} {value}\n" for name, value in zip(names, cell, strict=True))
    loop = "".join(f"_atom_site_{name}\n" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z"))
    loop += "".join(f"_atom_site_{name}\n" for name in columns.split())
    return f"data_test\n{head}{symmetry}{more}loop_\n{loop}{sites}"


def operations(texts, tag: str = "_space_group_symop_operation_xyz") -> str:
    return f"loop_\n{tag}\n" + "".join(f"'{text}'\n" for text in texts)


@pytest.fixture
def read(tmp_path):
    """Read the last crystal of a text, and what was remarked."""

    def inner(text: str | bytes):
        path = tmp_path / "test.cif"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        crystals, remarks = read_cif(path)
        return crystals[-1], remarks

    return inner


@pytest.fixture
def refused(read):
    """Return why a text is refused."""

    def inner(text: str) -> str:
        with pytest.raises(ValueError, match=None) as caught:  # noqa: PT011
            read(text)
        return str(caught.value)

    return inner


def test_quartz(read):
    """Nine atoms with the bonds of the crystal, on its special positions to the last digit."""
    atoms, remarks = read(cif(SYMBOL.format("P 32 2 1")))
    assert atoms.symbols.formula.format() == "Si3O6"
    assert is_same_crystal(
        atoms, crystal(["Si", "O"], [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.7857667)], spacegroup=154, cellpar=QUARTZ)
    )
    assert np.allclose(sorted(atoms.get_scaled_positions()[:3, 2]), [0, 1 / 3, 2 / 3], atol=1e-12)
    assert atoms.pbc.all()
    assert not remarks


@pytest.mark.parametrize(
    "symmetry",
    [
        SYMBOL.format("P3221"),
        SYMBOL.format("P 32 2 1") + "_space_group_IT_number 154\n",
        "_symmetry_space_group_name_H-M 'P 32 2 1'\n",
        "_space_group.name_H-M_alt 'P 32 2 1'\n",
        "_symmetry_Int_Tables_number 154\n",
        "_space_group_name_Hall 'P 32 2\"'\n",
        operations(QUARTZ_OPERATIONS),
        operations(QUARTZ_OPERATIONS, "_symmetry_equiv_pos_as_xyz") + SYMBOL.format("P 32 2 1"),
        operations(QUARTZ_OPERATIONS) + SYMBOL.format("a symbol of old"),
        SYMBOL.format("P 32 2 1 S"),
        operations([text.replace("1/3", "0.3333").replace("2/3", "0.6667") for text in QUARTZ_OPERATIONS]),
    ],
)
def test_every_way_to_state_the_symmetry(read, symmetry):
    atoms, remarks = read(cif(symmetry))
    assert is_same_crystal(atoms, read(cif(SYMBOL.format("P 32 2 1")))[0])
    assert not remarks


@pytest.mark.parametrize(("sites", "choice"), [(ONE, 1), (TWO, 2)])
@pytest.mark.parametrize(
    "symmetry",
    [
        SYMBOL.format("F d -3 m :{}"),
        SYMBOL.format("F d -3 m:{}"),
        SYMBOL.format("Fd-3m (origin choice {})"),
        SYMBOL.format("F d -3 m") + "_space_group_IT_coordinate_system_code {}\n",
        "_space_group_IT_number 227\n_space_group_IT_coordinate_system_code {}\n",
        "_space_group_IT_number 227\n_symmetry_space_group_setting {}\n",
    ],
)
def test_origin_choices(read, symmetry, sites, choice):
    """Ideal β-cristobalite: 8 Si between 4 O each at a·√3/8, whatever the origin."""
    atoms, _ = read(cif(symmetry.format(choice), sites, CUBIC))
    assert atoms.symbols.formula.format() == "Si8O16"
    first, second, distance = neighbour_pairs(atoms, 2.0)
    assert distance == pytest.approx(7.16 * 3**0.5 / 8)
    assert (np.bincount(first)[:8] == 4).all()
    assert set(atoms.symbols[second[first < 8]]) == {"O"}


TWO_SETTINGS = [
    group
    for group in gemmi.spacegroup_table_itb()
    if group.ext in ("1", "2", "H", "R") and group.hm == gemmi.get_spacegroup_reference_setting(group.number).hm
]


@pytest.mark.parametrize("group", TWO_SETTINGS, ids=lambda group: group.xhm())
def test_settings_are_those_of_ase(read, group):
    """Both origins, or both axes, of every group that has two: the crystals are those of ase.spacegroup."""
    cells = {
        "orthorhombic": (8, 9, 10, 90, 90, 90),
        "tetragonal": (8, 8, 10, 90, 90, 90),
        "cubic": (9, 9, 9, 90, 90, 90),
    }
    axes = {"H": (8, 8, 10, 90, 90, 120), "R": (9, 9, 9, 70, 70, 70)}
    cell = axes.get(group.ext) or cells[group.crystal_system_str()]
    sites = [(0.11, 0.27, 0.37), (0.0, 0.0, 0.0)]
    setting = 2 if group.ext in ("2", "R") else 1
    expected = crystal(["Si", "O"], sites, spacegroup=group.number, setting=setting, cellpar=cell)
    found, _ = read(cif(SYMBOL.format(group.xhm()), "Si1 Si 0.11 0.27 0.37\nO1 O 0 0 0\n", cell))
    assert is_same_crystal(found, expected)


@pytest.mark.parametrize(("letter", "sites"), [("S", ONE), ("Z", TWO)])
@pytest.mark.parametrize("symbol", ["F d -3 m {}", "F d -3 m{}", "Fd-3m{}", "F d -3 m :{}"])
def test_origin_choices_of_the_icsd(read, symbol, letter, sites):
    atoms, _ = read(cif(SYMBOL.format(symbol.format(letter)) + "_space_group_IT_number 227\n", sites, CUBIC))
    assert atoms.symbols.formula.format() == "Si8O16"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            (FILES / "bcrist_o2_bare.cif").read_text(),
            "F d -3 m:1 would be Si16O8 of 2.61 g/cm³, F d -3 m:2 would be Si8O16",
        ),
        (cif("_space_group_IT_number 227\n", "Si1 Si 0.125 0.125 0.125\n", (5.431,) * 3 + (90,) * 3), "Si8 of 2.33"),
        (cif("_space_group_IT_number 15\n", "Si1 Si 0.1 0.2 0.3\n", (7.1, 12.4, 7.2, 90, 120.4, 90)), "which setting"),
    ],
)
def test_setting_that_is_not_said(refused, text, words):
    message = refused(text)
    assert words in message
    assert "which setting (origin choice, axes)" in message
    assert "`F d -3 m :2`" in message


@pytest.mark.parametrize(
    "more",
    [
        "_chemical_formula_sum 'O2 Si'\n",
        "_chemical_formula_sum 'Si O2'\n_cell_formula_units_Z 8\n",
        "_exptl_crystal_density_diffrn 2.17\n",
    ],
)
def test_setting_from_what_the_file_says(read, more):
    """Where formula or density allow one setting alone, it is taken, and said."""
    atoms, remarks = read(cif(SYMBOL.format("F d -3 m"), TWO, CUBIC, more=more))
    assert atoms.symbols.formula.format() == "Si8O16"
    assert "F d -3 m:2 is taken" in remarks[0]


def test_settings_that_make_no_difference(read):
    """An atom at the origin is the same crystal, whichever of three right angles the axis of P 2/m is along."""
    atoms, remarks = read(cif("_space_group_IT_number 10\n", "Si1 Si 0 0 0\n", (5, 6, 7, 90, 90, 90)))
    assert len(atoms) == 1
    assert not remarks


def test_axes_of_rhombohedral_groups(read):
    """The cell says whether axes are hexagonal or rhombohedral: three times the atoms in three times the volume."""
    hexagonal, _ = read(cif(SYMBOL.format("R -3 m"), "Si1 Si 0 0 0\nO1 O 0 0 0.2\n", (4.0, 4.0, 15.0, 90, 90, 120)))
    a = (4.0**2 / 3 + 25.0) ** 0.5
    angle = 2 * np.degrees(np.arcsin(2.0 / a))
    rhombic, _ = read(cif(SYMBOL.format("R -3 m"), "Si1 Si 0 0 0\nO1 O 0.2 0.2 0.2\n", (a, a, a, angle, angle, angle)))
    assert (len(hexagonal), len(rhombic)) == (9, 3)
    assert hexagonal.get_volume() == pytest.approx(3 * rhombic.get_volume())
    shortest = [np.sort(neighbour_pairs(atoms, 4.0)[2])[0] for atoms in (hexagonal, rhombic)]
    assert shortest[0] == pytest.approx(shortest[1])


@pytest.mark.parametrize(("symbol", "angle"), [("C 2/c", 120.4), ("I 2/a", 118.0), ("C 1 2/c 1", 120.4)])
def test_cells_of_monoclinic_groups(read, symbol, angle):
    atoms, _ = read(cif(SYMBOL.format(symbol), "Si1 Si 0.14 0.108 0.07\n", (7.1, 12.4, 7.2, 90, angle, 90)))
    assert len(atoms) == 8


def test_setting_that_no_table_has(read):
    """Operations stand for themselves: quartz with its origin moved by a quarter of c."""
    moved = [text.replace("-z", "-z+1/2") for text in QUARTZ_OPERATIONS]
    sites = "Si1 Si 0.4697 0.0 0.9166667\nO1 O 0.4135 0.2669 0.0357667\n"
    atoms, _ = read(cif(operations(moved) + "_space_group_IT_number 154\n", sites))
    assert is_same_crystal(atoms, read(cif(SYMBOL.format("P 32 2 1")))[0])


@pytest.mark.parametrize(
    ("symmetry", "words"),
    [
        (SYMBOL.format("P 32 2 9"), "not known"),
        (SYMBOL.format("P 32 2 1 Z"), "not known, or contradicts"),
        (SYMBOL.format("P 32 2 1") + "_space_group_IT_number 152\n", "contradicts itself"),
        (SYMBOL.format("F d -3 m :2") + operations(CHOICE_ONE), "are not those of"),
        (SYMBOL.format("P 32 2 1") + operations(["x,y,z"]), "the operations of the file (1) are not those of"),
        (operations(QUARTZ_OPERATIONS[:4]), "some are missing"),
        (operations(["-x,-y,-z"]), "some are missing"),
        (operations(["x,y"]), "cannot be read"),
        (operations(["x+1/5,y,z", "x,y,z"]), "cannot be read"),
        ("_space_group_name_Hall 'rubbish'\n", "Hall symbol `rubbish`"),
        (SYMBOL.format("P 4 2 2"), "does not have the symmetry"),
        (SYMBOL.format("P 32 2 1") + "_space_group_transform_Pp_abc 'a,b,c;0,0,1/3'\n", "is not read"),
    ],
)
def test_symmetry_refused(refused, symmetry, words):
    assert words in refused(cif(symmetry))


@pytest.mark.parametrize("text", ["1", "1.0", "1.", ".", "?", "1.000(3)"])
def test_whole_atoms(read, text):
    sites = "".join(f"{line} {text}\n" for line in QUARTZ_SITES.splitlines())
    assert len(read(cif(SYMBOL.format("P 32 2 1"), sites, columns="occupancy"))[0]) == 9


@pytest.mark.parametrize("text", ["0.5", "0", "0.99", ".25(3)", "1.5", "0.5000", "-1"])
def test_partial_occupancy(refused, text):
    first, second = QUARTZ_SITES.splitlines()
    message = refused(cif(SYMBOL.format("P 32 2 1"), f"{first} 1\n{second} {text}\n", columns="occupancy"))
    assert f"site O1 has the occupancy {text}" in message
    assert "one ordered configuration" in message


@pytest.mark.parametrize(
    ("name", "site"), [("occ_split.cif", "site Si3 has the occupancy 0.60"), ("occ_shared_al.cif", "site Al3")]
)
def test_files_with_partial_occupancy(name, site):
    with pytest.raises(ValueError, match=site):
        read_cif(FILES / name)


@pytest.mark.parametrize(
    ("sites", "columns", "words"),
    [
        (QUARTZ_SITES + "Al1 Al 0.4697 0.0 0.66667\n", "", "sites Si1 and Al1 are at one place"),
        (QUARTZ_SITES + "O2 O -0.2669 0.1466 0.4524333\n", "", "sites O1 and O2 are at one place"),
        ("Si1 Si 0.4697 0 0.66667 1\nO1 O 0.4135 0.2669 0.78 1\nO2 O 0.4 0.3 0.7 2\n", "disorder_group", "groups 1, 2"),
        ("Si1 Si 0.4697 0 0.66667 0\nO1 O 0.4135 0.2669 0.78 1\n", "attached_hydrogens", "1 hydrogen atoms"),
        ("Si1 Si 0.4697 0 ?\n", "", "site Si1 has the coordinates 0.4697, 0, "),
        ("Si1 OH 0.4697 0 0.1\n", "", "no known element, `OH`"),
    ],
)
def test_sites_refused(refused, sites, columns, words):
    assert words in refused(cif(SYMBOL.format("P 32 2 1"), sites, columns=columns))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("_chemical_formula_sum 'O4 Si2'\n", "Si3O6, no multiple of its formula O4 Si2"),
        ("_chemical_formula_sum 'H2 O5 Si2'\n", "no multiple of its formula H2 O5 Si2"),
        ("_chemical_formula_sum 'Si O'\n", "no multiple"),
        ("_chemical_formula_sum 'Si O1.95'\n", "no multiple"),
        ("_chemical_formula_sum 'Si O2'\n_cell_formula_units_Z 6\n", "3 times its formula Si O2, where Z is 6"),
        ("_exptl_crystal_density_diffrn 5.3\n", "2.649 g/cm³, where _exptl_crystal_density_diffrn is 5.3"),
        ("_cell_volume 226.0\n", "113 Å³, where _cell_volume is 226"),
    ],
)
def test_contradictions(refused, more, words):
    message = refused(cif(SYMBOL.format("P 32 2 1"), more=more))
    assert "contradicts itself" in message
    assert words in message


def test_multiplicity_of_a_site(refused):
    """Si at z = 0 is no special position of P 32 2 1 in the setting of the tables: six atoms, not three."""
    sites = "Si1 Si 0.47 0.0 0.0 3\nO1 O 0.414 0.267 0.119 6\n"
    message = refused(cif(SYMBOL.format("P 32 2 1"), sites, columns="site_symmetry_multiplicity"))
    assert "site Si1 makes 6 atoms, where its multiplicity is 3" in message


def test_formula_of_the_cell(read):
    """pymatgen writes the sum of the cell, and Z of the reduced formula."""
    more = "_chemical_formula_structural SiO2\n_chemical_formula_sum 'Si3 O6'\n_cell_formula_units_Z 3\n"
    assert len(read(cif(operations(QUARTZ_OPERATIONS), more=more))[0]) == 9


@pytest.mark.parametrize("formula", ["Si O2", "O2 Si", "O2 Si1", "Si1.0 O2.0", "?"])
def test_formula_that_agrees(read, formula):
    more = f"_chemical_formula_sum '{formula}'\n_cell_formula_units_Z 3\n_cell_volume 113.01(2)\n"
    assert len(read(cif(SYMBOL.format("P 32 2 1"), more=more))[0]) == 9


def test_other_ways_to_write(read):
    """Names of authors in Latin-1, charges behind elements, labels alone, tags in capitals, comments."""
    text = cif(SYMBOL.format("P 32 2 1"), QUARTZ_SITES.replace(" Si ", " Si4+ ").replace(" O ", " O2- "))
    text = "# Müller\n" + text.replace("_atom_site_fract_x", "_ATOM_SITE_FRACT_X")
    assert read(text.encode("latin-1"))[0].symbols.formula.format() == "Si3O6"
    alone = cif(SYMBOL.format("P 32 2 1"), QUARTZ_SITES.replace(" Si ", " ").replace(" O ", " "))
    assert read(alone.replace("_atom_site_type_symbol\n", ""))[0].symbols.formula.format() == "Si3O6"


def test_several_blocks(tmp_path):
    path = tmp_path / "two.cif"
    symmetry = SYMBOL.format("F d -3 m :1")
    path.write_text(
        "data_global\n_journal_year 2000\n"
        + cif(symmetry, ONE, CUBIC).replace("data_test", "data_one")
        + cif(SYMBOL.format("P 32 2 1"))
    )
    assert [atoms.symbols.formula.format() for atoms in read_cif(path)[0]] == ["Si8O16", "Si3O6"]


def test_no_symmetry_is_said(read):
    atoms, remarks = read((FILES / "no_symmetry.cif").read_text())
    assert atoms.symbols.formula.format() == "SiO"
    assert "nothing of symmetry" in remarks[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("this is no structure\n", "no CIF file"),
        ("data_a\n_cell_length_a 4\n", "lists no atoms"),
        (cif(SYMBOL.format("P 32 2 1")).replace("_cell_angle_gamma 120", ""), "_cell_angle_gamma missing"),
        (cif(SYMBOL.format("P 32 2 1")).replace("_cell_length_c 5.4052", "_cell_length_c ?"), "_cell_length_c missing"),
        (cif(SYMBOL.format("P 32 2 1")).replace("_fract_", "_Cartn_"), "no fractional coordinates"),
        (cif("_space_group_name_H-M_alt P 32 2 1\n"), "line 8"),
    ],
)
def test_refused(refused, text, words):
    assert words in refused(text)

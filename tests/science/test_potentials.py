"""What defines a potential, and where LAMMPS keeps its files."""

from __future__ import annotations

import pytest

from aiida_siox.science import potentials

TEXT = (
    "# a comment with Si Si Si\nSi Si Si " + "1.0 " * 14 + "\nO O O 3.0 1.0\n" + "2.0 " * 12 + "\nSi O O " + "0 " * 14
)


def test_environment_comes_first(tmp_path, monkeypatch):
    (tmp_path / "SiO.tersoff").write_text(TEXT)
    monkeypatch.setenv("LAMMPS_POTENTIALS", f"/nowhere:{tmp_path}")
    assert potentials.find_potential_file("SiO.tersoff") == tmp_path / "SiO.tersoff"


def test_conda_prefix(tmp_path, monkeypatch):
    folder = tmp_path / "share" / "lammps" / "potentials"
    folder.mkdir(parents=True)
    (folder / "SiO.tersoff").write_text(TEXT)
    monkeypatch.delenv("LAMMPS_POTENTIALS", raising=False)
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path))
    assert potentials.find_potential_file("SiO.tersoff") == folder / "SiO.tersoff"


def test_missing_file_names_folders_and_remedy(monkeypatch):
    monkeypatch.setenv("LAMMPS_POTENTIALS", "/nowhere")
    with pytest.raises(
        FileNotFoundError, match=r"No\.tersoff was not found in .*/nowhere.*lammps-data.*LAMMPS_POTENTIALS"
    ):
        potentials.find_potential_file("No.tersoff")


def test_species():
    assert potentials.species_of_tersoff(TEXT) == {"Si", "O"}
    assert potentials.species_of_tersoff("nothing of the kind") == set()


def test_a_path_is_taken_as_it_is(tmp_path):
    path = tmp_path / "my.tersoff"
    path.write_text(TEXT)
    assert potentials.find_potential_file(path) == path
    with pytest.raises(FileNotFoundError, match=r"other\.tersoff was not found"):
        potentials.find_potential_file(tmp_path / "other.tersoff")


#: Of van Beest, Kramer and van Santen, Phys. Rev. Lett. 64 (1990) 1955.
BKS = {
    "name": "BKS",
    "source": "Phys. Rev. Lett. 64 (1990) 1955",
    "species": ["Si", "O"],
    "pair_style": "buck/coul/long 10.0",
    "pair_coeff": [
        "{Si} {Si} 0.0 1.0 0.0",
        "{Si} {O} 18003.7572 0.205205 133.5381",
        "{O} {O} 1388.7730 0.362319 175.0",
    ],
    "charges": {"Si": 2.4, "O": -1.2},
    "commands": ["kspace_style pppm 1.0e-4"],
}
TERSOFF = {
    "name": "T",
    "source": "a paper",
    "species": ["Si", "O"],
    "pair_style": "tersoff",
    "pair_coeff": ["* * SiO.tersoff {species}"],
    "files": ["SiO.tersoff"],
}


def test_commands():
    tersoff = potentials.Potential.parse(TERSOFF)
    assert tersoff.commands_for(["Si", "O"]) == ["pair_style tersoff", "pair_coeff * * SiO.tersoff Si O"]
    assert tersoff.commands_for(["Si"])[1] == "pair_coeff * * SiO.tersoff Si"
    assert tersoff.atom_style == "atomic"
    bks = potentials.Potential.parse(BKS)
    assert bks.atom_style == "charge"
    assert bks.commands_for(["Si", "O"]) == [
        "pair_style buck/coul/long 10.0",
        "pair_coeff 1 1 0.0 1.0 0.0",
        "pair_coeff 1 2 18003.7572 0.205205 133.5381",
        "pair_coeff 2 2 1388.7730 0.362319 175.0",
        "kspace_style pppm 1.0e-4",
    ]
    # lines of a type that is not there are left out
    assert bks.commands_for(["Si"]) == [
        *("pair_style buck/coul/long 10.0", "pair_coeff 1 1 0.0 1.0 0.0", "kspace_style pppm 1.0e-4")
    ]


#: Of QUIP: the xml file names the sparse points that lie beside it, LAMMPS does not.
GAP = {
    **TERSOFF,
    "pair_style": "quip",
    "pair_coeff": ['* * gap.xml "Potential xml_label=GAP_2017.6" 14 8'],
    "files": ["gap.xml", "gap.xml.sparseX.GAP1"],
}
MLIAP = {
    **TERSOFF,
    "pair_style": "mliap model linear X.mliap.model descriptor sna X.mliap.descriptor",
    "pair_coeff": ["* * {species}"],
    "files": ["X.mliap.model", "X.mliap.descriptor"],
}


def test_files_beside_a_named_one():
    assert potentials.Potential.parse(GAP).files == ("gap.xml", "gap.xml.sparseX.GAP1")
    with pytest.raises(ValueError, match=r"GAP1 of the potential stands in none .* begins with that name, as gap\.xml"):
        potentials.Potential.parse({**GAP, "files": ["gap.xml", "other.xml.sparseX.GAP1"]})
    with pytest.raises(ValueError, match=r"gap\.xml of the potential stands in none"):
        potentials.Potential.parse({**MLIAP, "files": [*MLIAP["files"], "gap.xml", "gap.xml.sparseX.GAP1"]})


def test_files_in_the_pair_style():
    assert potentials.Potential.parse(MLIAP).files == ("X.mliap.model", "X.mliap.descriptor")


def test_what_has_a_point_and_is_no_file():
    commands = [
        "kspace_style pppm 1.0e-4",
        "special_bonds lj/coul 0.0 .5 1.",
        "variable cut equal 2.0*PI*exp(-1.5)",
        "variable eps equal 1.5/2.0",
    ]
    content = {**BKS, "pair_style": "hybrid/overlay buck/coul/long 10.0 zbl 1.2 +2.0E+0", "commands": commands}
    assert potentials.Potential.parse(content).commands == tuple(commands)


def test_round_trip():
    for content in (BKS, TERSOFF, GAP, MLIAP):
        potential = potentials.Potential.parse(content)
        assert potentials.Potential.parse(potential.plain()) == potential


def test_species_that_a_potential_does_not_know():
    silicon = potentials.Potential.parse({**TERSOFF, "species": ["Si"]})
    with pytest.raises(ValueError, match="knows Si only, the cell has O"):
        silicon.commands_for(["Si", "O"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pair_styl": "x"}, "unknown key `pair_styl`"),
        ({"pair_coeff": []}, "`pair_coeff` must be a list, one or more, each text that is not empty, got"),
        ({"pair_style": 3}, "`pair_style` must be text that is not empty, got 3"),
        ({"pair_coeff": "* *"}, "`pair_coeff` must be a list, .*, got"),
        ({"species": ["Qu"]}, "names Qu: it must name chemical elements"),
        ({"charges": {"Si": 2.4}}, "must be given for all of its species"),
        ({"charges": {"Si": "2", "O": -1.2}}, "`charges.Si` must be a number, got '2'"),
        ({"files": []}, "`SiO.tersoff` in .* looks like a file: add it to `files`"),
        ({"files": ["SiO.tersoff", "b.sw"]}, "b.sw of the potential stands in none of its lines"),
        ({"pair_coeff": ["* * SiO.tersoff {elements}"]}, r"`\{elements\}` in .* stands for nothing"),
        ({"commands": ["run 1\nshell rm"]}, "must be one command of LAMMPS"),
        ({"pair_style": "tersoff\nshell rm"}, r"must be one command of LAMMPS, got 'tersoff\\nshell rm'"),
        ({"pair_style": "tersoff &"}, "must be one command of LAMMPS"),
        ({"pair_style": "mliap model linear X.mliap.model"}, "`X.mliap.model` in `mliap .*` looks like a file"),
        ({"pair_coeff": ["* * 'a.yace' SiO.tersoff"]}, "`a.yace` in .* looks like a file: add it to `files`"),
        ({"commands": ["include more.in"]}, "`more.in` in `include more.in` looks like a file.* without a point"),
    ],
)
def test_wrong_definitions(changes, words):
    with pytest.raises(ValueError, match=words):
        potentials.Potential.parse({**TERSOFF, **changes})

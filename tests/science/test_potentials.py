"""Where LAMMPS keeps its potentials."""

from __future__ import annotations

import pytest

from aiida_siox.science import potentials

TEXT = (
    "# a comment with Si Si Si\nSi Si Si " + "1.0 " * 14 + "\nO O O 3.0 1.0\n" + "2.0 " * 12 + "\nSi O O " + "0 " * 14
)


def test_environment_comes_first(tmp_path, monkeypatch):
    (tmp_path / "SiO.tersoff").write_text(TEXT)
    monkeypatch.setenv("LAMMPS_POTENTIALS", f"/nowhere:{tmp_path}")
    assert potentials.find_tersoff_potential() == tmp_path / "SiO.tersoff"


def test_conda_prefix(tmp_path, monkeypatch):
    folder = tmp_path / "share" / "lammps" / "potentials"
    folder.mkdir(parents=True)
    (folder / "SiO.tersoff").write_text(TEXT)
    monkeypatch.delenv("LAMMPS_POTENTIALS", raising=False)
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path))
    assert potentials.find_tersoff_potential() == folder / "SiO.tersoff"


def test_missing_file_names_folders_and_remedy(monkeypatch):
    monkeypatch.setenv("LAMMPS_POTENTIALS", "/nowhere")
    with pytest.raises(
        FileNotFoundError, match=r"No\.tersoff was not found in /nowhere.*lammps-data.*LAMMPS_POTENTIALS"
    ):
        potentials.find_tersoff_potential("No.tersoff")


def test_species():
    assert potentials.species_of_potential(TEXT) == {"Si", "O"}
    assert potentials.species_of_potential("nothing of the kind") == set()

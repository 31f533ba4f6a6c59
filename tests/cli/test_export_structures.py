"""``aiida-siox structures``: what is written can be read again, and belongs to the node."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.calculations.structures import structure_from_atoms
from aiida_siox.cli.export_structures import FORMATS
from tests.crystals import alpha_quartz, diamond_silicon


@pytest.fixture
def found(aiida_profile):
    return {
        "Si3O6_1": structure_from_atoms(alpha_quartz()).store(),
        "Si8_2": structure_from_atoms(diamond_silicon()).store(),
    }


@pytest.fixture
def structure_set(found):
    node = orm.WorkChainNode(process_type="aiida.workflows:siox.structure_set").store()
    for label, output in found.items():
        output.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=f"structures__{label}")
    return node


def distances(atoms, symbol):
    """Return all distances from atoms of an element, sorted: the same in any order of atoms and turn of the cell."""
    rows = [i for i, each in enumerate(atoms.get_chemical_symbols()) if each == symbol]
    return np.sort(atoms.get_all_distances(mic=True)[rows].ravel())


@pytest.mark.parametrize("name", FORMATS)
def test_files_of_a_set(run_cli, structure_set, found, tmp_path, name):
    folder = tmp_path / "new" / "cells"
    shown = run_cli("structures", structure_set.pk, "--output", folder, "--format", name, "--json").json
    assert shown["structures"] == {label: node.pk for label, node in found.items()}
    for path, (label, node) in zip(shown["files"], found.items(), strict=True):
        assert path == str(folder / f"{label}{FORMATS[name][0]}")
        atoms, same = ase.io.read(path, format=name), node.get_ase()
        assert atoms.get_chemical_formula() == same.get_chemical_formula()
        np.testing.assert_allclose(distances(atoms, "Si"), distances(same, "Si"), atol=1e-3)


def test_all_in_one_file(run_cli, structure_set, found, tmp_path):
    path = tmp_path / "set.extxyz"
    assert "2 structures" in run_cli("structures", structure_set.pk, "--output", path).stdout
    frames = ase.io.read(path, index=":")
    assert {atoms.info["label"]: atoms.info["uuid"] for atoms in frames} == {k: v.uuid for k, v in found.items()}
    run_cli("structures", structure_set.pk, "--formula", "Si8", "--output", path)
    assert [atoms.info["label"] for atoms in ase.io.read(path, index=":")] == ["Si8_2"]


def test_structures_and_melts(run_cli, found, tmp_path):
    quartz = found["Si3O6_1"]
    melt = orm.WorkChainNode(process_type="aiida.workflows:siox.melt_quench")
    melt.base.links.add_incoming(orm.Int(7).store(), link_type=LinkType.INPUT_WORK, link_label="seed")
    melt.store()
    quartz.base.links.add_incoming(melt, link_type=LinkType.RETURN, link_label="structure")
    run_cli("structures", melt.pk, found["Si8_2"].pk, "--output", tmp_path, "--format", "cif")
    assert {path.name for path in tmp_path.glob("*.cif")} == {"Si3O6_7.cif", f"Si8_{found['Si8_2'].pk}.cif"}
    shown = run_cli("structures", melt.pk, quartz.pk, "--output", tmp_path, "--json").json
    assert len(shown["structures"]) == 1, "the same structure twice"


def test_refused(run_cli, structure_set, tmp_path):
    assert "made none" in run_cli("structures", orm.Int(1).store().pk, "--output", tmp_path, fails=True).stderr
    error = run_cli("structures", structure_set.pk, "--formula", "Si4", "--output", tmp_path, fails=True).stderr
    assert "`--formula` Si4: there is no structure of it. Valid: Si3O6, Si8." in error
    file = tmp_path / "file"
    file.write_text("")
    assert "cannot be written" in run_cli("structures", structure_set.pk, "--output", file, fails=True).stderr
    error = run_cli("structures", structure_set.pk, "--output", tmp_path / "a.cif", fails=True).stderr
    assert "give a folder for cif files (`--format cif`)" in error
    rejected = orm.WorkChainNode(process_type="aiida.workflows:siox.configuration").store()
    cell = structure_from_atoms(alpha_quartz()).store()
    cell.base.links.add_incoming(rejected, link_type=LinkType.RETURN, link_label="rejected__seed_1")
    error = run_cli("structures", rejected.pk, "--output", tmp_path, fails=True).stderr
    assert f"has rejected cells only: give their own PKs, {cell.pk}" in error


def test_formulas_and_copies(run_cli, structure_set, tmp_path):
    """A copy of a cell (from the cache) counts once; SiO2 is every cell with x = 2."""
    copy = structure_from_atoms(alpha_quartz()).store()
    for formula, expected in (("SiO2", {"Si3O6_1"}), ("O2Si", {"Si3O6_1"}), ("O6Si3", {"Si3O6_1"}), ("Si", {"Si8_2"})):
        shown = run_cli(
            "structures", structure_set.pk, copy.pk, "--formula", formula, "--output", tmp_path, "--json"
        ).json
        assert set(shown["structures"]) == expected

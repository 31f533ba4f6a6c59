"""The command ``siox-bader``."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from aiida_siox.science.bader import METHODS
from aiida_siox.science.bader_script import DONE, SCHEMA, main
from aiida_siox.science.cube import write_cube

from .test_bader import ELECTRONS, model

KEYS = {
    "schema",
    "program",
    "version",
    "baderkit_version",
    "method",
    "has_reference",
    "grid",
    "cell_A",
    "numbers",
    "positions_A",
    "electrons",
    "volumes_A3",
    "basin_distances_A",
    "n_basins",
    "n_electrons",
    "n_electrons_unassigned",
    "n_electrons_non_nuclear",
    "n_threads",
    "cpu_s",
    "wall_s",
    "max_rss_MB",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a work directory with the model density as charge and as reference."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    cube = model()
    write_cube(tmp_path / "charge.cube", cube)
    write_cube(tmp_path / "reference.cube", cube)
    return tmp_path


def test_command_line_of_henkelmans_program(folder, capsys):
    assert main(["charge.cube", "-ref", "reference.cube"]) == 0
    content = json.loads((folder / "bader.json").read_text())
    assert set(content) == KEYS
    assert content["schema"] == SCHEMA
    assert content["has_reference"] is True
    assert content["method"] == METHODS[0]
    assert content["max_rss_MB"] > 10
    assert content["grid"] == [24, 30, 40]
    np.testing.assert_allclose(content["electrons"], ELECTRONS, rtol=0.01)
    assert capsys.readouterr().out.splitlines()[-1] == DONE


def test_without_reference_and_with_another_output(folder):
    assert main(["charge.cube", "-b", "neargrid", "-o", "other.json"]) == 0
    content = json.loads((folder / "other.json").read_text())
    assert content["has_reference"] is False
    assert content["method"] == "neargrid"
    assert not (folder / "bader.json").exists()


def test_atom_without_a_maximum_is_null(folder):
    cube = model()
    positions = np.vstack([cube.positions, [[0.0, 0.0, 0.0]]])
    extended = type(cube)(cube.cell, np.full(4, 14), positions, cube.values)
    write_cube(folder / "charge.cube", extended)
    assert main(["charge.cube"]) == 0
    content = json.loads((folder / "bader.json").read_text())
    assert content["basin_distances_A"][3] is None
    assert content["n_basins"][3] == 0


@pytest.mark.parametrize("arguments", [["nothing.cube"], ["charge.cube", "-ref", "nothing.cube"]])
def test_missing_file_is_an_error_with_its_reason(folder, capsys, arguments):
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "siox-bader: error: nothing.cube cannot be read" in captured.err
    assert DONE not in captured.out
    assert not (folder / "bader.json").exists()


def test_damaged_file_leaves_no_result(folder, capsys):
    path = folder / "charge.cube"
    path.write_text(path.read_text()[:-500])
    assert main(["charge.cube"]) == 1
    assert "incomplete" in capsys.readouterr().err
    assert not (folder / "bader.json").exists()


@pytest.mark.parametrize("arguments", [[], ["charge.cube", "-b", "voronoi"], ["charge.cube", "--threads", "0"]])
def test_wrong_command_line(folder, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_version(capsys):
    assert main(["--version"]) == 0
    assert "baderkit" in capsys.readouterr().out


def test_version_needs_nothing_heavy():
    """Neither AiiDA nor torch, and not even baderkit: the command answers at once."""
    probe = (
        "import json, sys\n"
        "from aiida_siox.science.bader_script import main\n"
        "main(['--version'])\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    output = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True).stdout
    modules = set(json.loads(output.splitlines()[-1]))
    assert not {"aiida", "torch", "ase", "scipy", "baderkit", "numba", "pandas"} & modules


def test_run_needs_neither_aiida_nor_torch_and_keeps_to_one_thread(folder):
    probe = (
        "import json, sys\n"
        "from aiida_siox.science.bader_script import main\n"
        "main(['charge.cube', '-ref', 'reference.cube'])\n"
        "import numba\n"
        "print(json.dumps([sorted({name.split('.')[0] for name in sys.modules}), numba.get_num_threads()]))\n"
    )
    output = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True).stdout
    modules, threads = json.loads(output.splitlines()[-1])
    assert not {"aiida", "aiida_quantumespresso", "aiida_pseudo", "torch"} & set(modules)
    assert threads == 1

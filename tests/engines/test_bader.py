"""BaderCalculation on the real pp.x and siox-bader."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_siox.calculations.bader import BaderCalculation
from aiida_siox.parsers.raw.bader import parse_bader_json

pytestmark = pytest.mark.engine

Z_VALENCE = {"Si": 4.0, "O": 6.0}
#: 50/200 Ry: weight and neargrid with the all-electron reference, and neargrid without
SI_VALENCE, SI_VALENCE_NEARGRID, SI_VALENCE_WITHOUT_REFERENCE = 3.167, 3.15, 3.88


@pytest.fixture(scope="module")
def run(engine_code, quartz_ground_state, quartz_structure):
    """Return a factory of finished BaderCalculations of quartz, some inputs replaced."""

    def factory(**inputs):
        inputs = {
            "pp_code": engine_code("pp"),
            "bader_code": engine_code("bader"),
            "parent_folder": quartz_ground_state.outputs.remote_folder,
            "structure": quartz_structure,
            **inputs,
        }
        _, node = run_get_node(BaderCalculation, **inputs)
        return node

    return factory


@pytest.fixture(scope="module")
def quartz(run):
    """Return the finished BaderCalculation of quartz."""
    node = run()
    assert node.is_finished_ok, node.exit_message
    return node


def valences(electrons, structure) -> dict[str, np.ndarray]:
    """Return the valences of the atoms of each element."""
    symbols = np.array([structure.get_kind(site.kind_name).symbol for site in structure.sites])
    return {symbol: Z_VALENCE[symbol] - np.asarray(electrons)[symbols == symbol] for symbol in ("Si", "O")}


def test_charges_of_quartz(quartz, quartz_structure):
    charges = quartz.outputs.charges
    valence = valences(charges.get_array("electrons"), quartz_structure)
    assert valence["Si"] == pytest.approx(SI_VALENCE, abs=0.005)
    assert valence["O"] == pytest.approx(-SI_VALENCE / 2, abs=0.005)
    # equivalent atoms are equal: what a misread grid breaks while the total stays right
    for values in valence.values():
        assert np.ptp(values) < 0.001
    assert charges.get_array("volumes_A3").sum() == pytest.approx(quartz_structure.get_cell_volume(), rel=1e-4)


def test_sum_rule_and_one_basin_for_each_atom(quartz):
    charges, parameters = quartz.outputs.charges, quartz.outputs.output_parameters.get_dict()
    assert charges.get_array("electrons").sum() == pytest.approx(48.0, abs=1e-3)
    assert parameters["sum_electrons"] == pytest.approx(parameters["n_electrons"], abs=1e-9)
    assert charges.get_array("n_basins").tolist() == [1] * 9
    assert (charges.get_array("basin_distances_A") < 0.1).all()
    assert parameters["n_electrons_non_nuclear"] == 0.0


@pytest.mark.parametrize(("method", "equal_within"), [("neargrid", 0.03), ("ongrid", 0.06)])
def test_other_methods_agree_with_the_default(run, quartz_structure, method, equal_within):
    node = run(method=method)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.output_parameters["method"] == method
    valence = valences(node.outputs.charges.get_array("electrons"), quartz_structure)
    assert np.mean(valence["Si"]) == pytest.approx(SI_VALENCE_NEARGRID, abs=0.03)
    for values in valence.values():
        assert np.ptp(values) < equal_within


def test_output_parameters_of_quartz(quartz):
    parameters = quartz.outputs.output_parameters.get_dict()
    assert parameters["n_electrons"] == pytest.approx(48.0, abs=0.005)
    assert parameters["n_electrons_expected"] == pytest.approx(48.0)
    assert abs(parameters["n_electrons_unassigned"]) < 1e-6
    assert parameters["has_reference"] is True
    assert parameters["largest_basin_distance_A"] < 0.1
    assert parameters["pp_version"]
    assert parameters["pp_wall_s"] > 0
    assert parameters["bader_wall_s"] > 0
    assert parameters["bader_max_rss_MB"] > 0
    assert parameters["method"] == "weight"


def test_cubes_do_not_travel_and_do_not_stay(quartz, quartz_ground_state):
    assert not [name for name in quartz.outputs.retrieved.list_object_names() if "cube" in name]
    left = set(quartz.outputs.remote_folder.listdir())
    assert not [name for name in left if name.endswith((".cube", ".filplot"))]
    assert "out" not in left
    assert not quartz_ground_state.outputs.remote_folder.is_empty
    assert "aiida.save" in quartz_ground_state.outputs.remote_folder.listdir("out")


def test_the_reference_is_what_makes_the_charges_right(
    engine_code, quartz_ground_state, quartz_structure, tmp_path, quartz
):
    """Without the all-electron density the same code gives +3.88."""
    scratch = pathlib.Path(quartz_ground_state.outputs.remote_folder.get_remote_path())
    (tmp_path / "out").symlink_to(scratch / "out")
    (tmp_path / "pp.in").write_text(BaderCalculation.pp_input("charge", 0))
    pp_code, bader_code = engine_code("pp"), engine_code("bader")
    subprocess.run([pp_code.get_executable(), "-in", "pp.in"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([bader_code.get_executable(), "charge.cube"], cwd=tmp_path, check=True, capture_output=True)
    result = parse_bader_json((tmp_path / "bader.json").read_text())
    valence = valences(result["electrons"], quartz_structure)
    assert valence["Si"] == pytest.approx(SI_VALENCE_WITHOUT_REFERENCE, abs=0.03)
    assert valence["Si"] != pytest.approx(SI_VALENCE, abs=0.5)


@pytest.mark.parametrize("removed", [".", "out/aiida.save/charge-density.dat", "out/aiida.save/data-file-schema.xml"])
def test_scratch_that_is_gone(run, quartz_ground_state, computer, tmp_path, removed):
    """A ground state whose scratch was cleaned, wholly or partly, is recognised and does not enter the cache."""
    copy = tmp_path / "ground"
    shutil.copytree(quartz_ground_state.outputs.remote_folder.get_remote_path(), copy)
    if removed == ".":
        shutil.rmtree(copy)
    else:
        (copy / removed).unlink()
    node = run(parent_folder=orm.RemoteData(computer=computer, remote_path=str(copy)))
    assert node.exit_status == BaderCalculation.exit_codes.ERROR_PARENT_SCRATCH_MISSING.status
    assert not node.base.caching.is_valid_cache


def test_scratch_that_pp_cannot_read(run, quartz_ground_state, computer, tmp_path):
    copy = tmp_path / "ground"
    shutil.copytree(quartz_ground_state.outputs.remote_folder.get_remote_path(), copy)
    density = copy / "out/aiida.save/charge-density.dat"
    density.write_bytes(density.read_bytes()[:100])
    node = run(parent_folder=orm.RemoteData(computer=computer, remote_path=str(copy)))
    assert node.is_failed
    assert not node.base.caching.is_valid_cache


def test_bader_code_that_fails(run, computer, tmp_path):
    """Nothing stops the job after pp.x: the parser finds that the third program gave nothing, and says what it said."""
    script = tmp_path / "bader"
    script.write_text("#!/bin/sh\necho 'no memory left' >&2\nexit 0\n")
    script.chmod(0o755)
    code = orm.InstalledCode(label="broken", computer=computer, filepath_executable=str(script)).store()
    node = run(bader_code=code)
    assert node.exit_status == BaderCalculation.exit_codes.ERROR_BADER_INCOMPLETE.status
    assert "no memory left" in node.exit_message
    assert not node.base.caching.is_valid_cache

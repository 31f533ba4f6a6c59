"""Inputs of XspectraCalculation: what is written, what is refused."""

from __future__ import annotations

import copy
import io
import pathlib

import pytest
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.common.links import LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.calculations.xspectra import CARTESIAN_AXES, XspectraCalculation, XspectraParameters, absorber_index

PARAMETERS = {
    "input_xspectra": {"xniter": 2000, "xcheck_conv": 10, "xerror": 0.01},
    "plot": {
        "xnepoint": 701,
        "xgamma": 0.8,
        "xemin": -25.0,
        "xemax": 45.0,
        "terminator": True,
        "cut_occ_states": True,
    },
    "pseudos": {"r_paw": 2.7},
    "cut_occ": {"cut_desmooth": 0.1},
}


def structure(*kinds: str) -> orm.StructureData:
    node = orm.StructureData(cell=[[5, 0, 0], [0, 5, 0], [0, 0, 5]])
    for index, kind in enumerate(kinds):
        node.append_atom(position=(index, 0.0, 0.0), symbols=kind.rstrip("h"), name=kind)
    return node


def mesh(divisions=(2, 2, 2), offset=(0, 0, 0)) -> orm.KpointsData:
    node = orm.KpointsData()
    node.set_kpoints_mesh(list(divisions), offset=list(offset))
    return node


@pytest.fixture
def inputs(computer):
    """Return valid inputs."""
    return {
        "code": orm.InstalledCode(computer=computer, filepath_executable="/bin/xspectra.x"),
        "parent_folder": orm.RemoteData(remote_path="/scratch/parent", computer=computer).store(),
        "structure": structure("Sih", "Si", "O", "O"),
        "absorber_kind": orm.Str("Sih"),
        "core_wavefunction": orm.SinglefileData(io.BytesIO(b"# 1s\n0.1 0.2\n"), filename="Si.wfc"),
        "kpoints": mesh(),
        "parameters": orm.Dict(copy.deepcopy(PARAMETERS)),
        "metadata": {"options": {"resources": {"num_machines": 1}}},
    }


@pytest.fixture
def prepare():
    """Return a function that prepares a job: its CalcInfo and the text of its input files."""

    def run(inputs):
        runner = get_manager().get_runner()
        process = instantiate_process(runner, XspectraCalculation, **inputs)
        with SandboxFolder() as folder:
            info = process.prepare_for_submission(folder)
            files = {name: pathlib.Path(folder.get_abs_path(name)).read_text() for name in folder.get_content_list()}
        return info, files

    return run


def test_one_run_for_each_polarisation(inputs, prepare):
    info, files = prepare(inputs)
    assert sorted(files) == [f"polarisation_{i}.in" for i in range(3)]
    assert [code.cmdline_params for code in info.codes_info] == [["-in", f"polarisation_{i}.in"] for i in range(3)]
    assert [code.stdout_name for code in info.codes_info] == [f"polarisation_{i}.out" for i in range(3)]
    for i, axis in enumerate(CARTESIAN_AXES):
        for k, component in enumerate(axis):
            assert f"xepsilon({k + 1}) =   {component:.10f}d+00" in files[f"polarisation_{i}.in"]
        assert f"xanes_file = 'xanes_{i}.dat'" in files[f"polarisation_{i}.in"]
        assert f"x_save_file = 'lanczos_{i}.sav'" in files[f"polarisation_{i}.in"]
    assert info.remote_symlink_list == [
        (inputs["parent_folder"].computer.uuid, "/scratch/parent/out/aiida.save", "out/aiida.save")
    ]
    assert info.local_copy_list == [(inputs["core_wavefunction"].uuid, "Si.wfc", "core.wfc")]
    assert info.retrieve_temporary_list == [f"lanczos_{i}.sav" for i in range(3)]
    assert {"polarisation_2.out", "xanes_2.dat"} <= set(info.retrieve_list)
    assert "<gamma_only>true" in info.prepend_text


def test_input_file(inputs, prepare):
    _, files = prepare(inputs)
    text = files["polarisation_0.in"]
    assert "xiabs = 3" in text
    assert "xcoordcrys = .false." in text
    assert "filecore = 'core.wfc'" in text
    # The index is the angular momentum: r_paw(3) would be read and have no effect.
    assert "r_paw(1) =   2.7000000000d+00" in text
    assert "r_paw(3)" not in text
    assert "cut_desmooth =   1.0000000000d-01" in text
    assert text.endswith("/\n2 2 2 0 0 0\n")
    assert [line for line in text.splitlines() if line.startswith("&")] == [
        "&input_xspectra",
        "&plot",
        "&pseudos",
        "&cut_occ",
    ]


def test_shifted_mesh_and_crystal_coordinates(inputs, prepare):
    inputs["kpoints"] = mesh((3, 2, 1), (0.5, 0.5, 0))
    inputs["parameters"]["input_xspectra"]["xcoordcrys"] = True
    del inputs["parameters"]["pseudos"]["r_paw"]
    inputs["polarisations"] = orm.List([[1.0, 1.0, 0.0]])
    inputs["settings"] = orm.Dict({"cmdline": ["-nk", 2]})
    info, files = prepare(inputs)
    assert list(files) == ["polarisation_0.in"]
    assert files["polarisation_0.in"].endswith("3 2 1 1 1 0\n")
    assert "xcoordcrys = .true." in files["polarisation_0.in"]
    assert "r_paw" not in files["polarisation_0.in"]
    assert info.codes_info[0].cmdline_params == ["-nk", "2", "-in", "polarisation_0.in"]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [(("Sih", "Si", "O"), 3), (("O", "Sih", "O"), 2), (("Si", "Sih"), 2), (("Sih",), 1)],
)
def test_absorber_index_follows_the_kinds_present(kinds, expected):
    assert absorber_index(structure(*kinds), "Sih") == expected


@pytest.mark.parametrize("kinds", [("Si", "O"), ("Sih", "Sih", "O")])
def test_exactly_one_absorber(inputs, prepare, kinds):
    inputs["structure"] = structure(*kinds)
    with pytest.raises(ValueError, match="exactly one atom must have the kind `Sih`"):
        prepare(inputs)


def test_kind_without_atom():
    node = structure("Sih", "O")
    node.append_kind(orm.nodes.data.structure.Kind(symbols="Si", name="Si"))
    with pytest.raises(ValueError, match="kinds that no atom has: Si"):
        absorber_index(node, "Sih")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_xspectra": {"xepsilon": [1, 0, 0]}}, "it is the input `polarisations`"),
        ({"input_xspectra": {"xiabs": 1}}, "it follows from `absorber_kind`"),
        ({"plot": {"xanes_file": "a"}}, "named for each polarisation"),
        ({"pseudos": {"filecore": "a"}}, "`core_wavefunction`"),
        ({"plot": {"gamma_mode": "file"}}, "`constant`"),
        ({"input_xspectra": {"xcheck": 3}}, "did you mean `xcheck_conv`"),
        ({"plott": {}}, "did you mean `plot`"),
        ({"control": {}}, "unknown key `control`"),
        ({"plot": {"xgamma": "0.8"}}, "must be a half width above 0 up to 50 eV, got"),
        ({"plot": {"xnepoint": 700.5}}, "must be an integer from 2 up to 100000, got 700.5"),
        ({"plot": {"terminator": 1}}, "must be true or false, got 1"),
        ({"plot": {"xgamma": float("nan")}}, "must be a half width above 0 up to 50 eV, got"),
        ({"plot": {"xgamma": 0.0}}, "a half width above 0"),
        ({"plot": {"xemin": 50.0}}, "no energies"),
        ({"input_xspectra": {"xerror": 1.5}}, "a number above 0 below 1"),
        ({"input_xspectra": {"xniter": 5}}, "at most xniter (5)"),
        ({"pseudos": {"r_paw": 40.0}}, "a radius above 0 up to 5 bohr, got 40.0"),
        ({"cut_occ": {"cut_desmooth": 0.05}}, "leaves a spike"),
    ],
)
def test_parameters_refused(change, message):
    parameters = copy.deepcopy(PARAMETERS)
    for namelist, content in change.items():
        parameters.setdefault(namelist, {}).update(content)
    assert message in (XspectraParameters.fault(parameters) or "")


@pytest.mark.parametrize("key", ["xniter", "xcheck_conv", "xerror"])
def test_missing_parameters(key):
    parameters = copy.deepcopy(PARAMETERS)
    del parameters["input_xspectra"][key]
    assert f"`input_xspectra` lacks `{key}`" in XspectraParameters.fault(parameters)


def test_parameters_accepted():
    assert XspectraParameters.fault(PARAMETERS) is None
    without_cut = copy.deepcopy(PARAMETERS)
    without_cut["plot"]["cut_occ_states"] = False
    del without_cut["cut_occ"]
    assert XspectraParameters.fault(without_cut) is None


@pytest.mark.parametrize(
    ("vectors", "message"),
    [([], "at least one"), ([[1, 0]], "three numbers"), ([[0, 0, 0]], "null vector"), ([["x", 0, 0]], "three numbers")],
)
def test_polarisations_refused(inputs, prepare, vectors, message):
    inputs["polarisations"] = orm.List(vectors)
    with pytest.raises(ValueError, match=message):
        prepare(inputs)


def test_list_of_k_points_refused(inputs, prepare):
    inputs["kpoints"] = orm.KpointsData()
    inputs["kpoints"].set_kpoints([[0.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="must be a mesh"):
        prepare(inputs)


def test_odd_shift_refused(inputs, prepare):
    inputs["kpoints"] = mesh(offset=(0.25, 0, 0))
    with pytest.raises(ValueError, match="half a step"):
        prepare(inputs)


@pytest.mark.parametrize(
    ("settings", "kinds", "message"),
    [
        ({"gamma_only": True}, ("Sih", "Si", "O", "O"), "wrong spectrum without any error"),
        ({}, ("Si", "Sih", "O", "O"), "ran another structure"),
    ],
)
def test_parent_refused(inputs, prepare, computer, settings, kinds, message):
    """By what the provenance says of the pw.x run."""
    parent = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:quantumespresso.pw")
    parent.base.links.add_incoming(orm.Dict(settings).store(), LinkType.INPUT_CALC, "settings")
    parent.base.links.add_incoming(structure(*kinds).store(), LinkType.INPUT_CALC, "structure")
    parent.store()
    inputs["parent_folder"] = orm.RemoteData(remote_path="/scratch/parent", computer=computer)
    inputs["parent_folder"].base.links.add_incoming(parent, LinkType.CREATE, "remote_folder")
    inputs["parent_folder"].store()
    with pytest.raises(ValueError, match=message):
        prepare(inputs)


def test_failures_are_no_cache_sources():
    codes = XspectraCalculation.exit_codes
    own = [code for code in codes.values() if code.status in {201, *range(302, 310), 400, 410, 420}]
    assert len(own) == 11
    assert all(code.invalidates_cache for code in own)

"""BaderCalculation: files it writes, programs it lines up, inputs it refuses."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.calculations.bader import BaderCalculation
from tests.crystals import alpha_quartz


@pytest.fixture
def inputs(aiida_profile, computer):
    """Return inputs that are right."""

    def code(label, on=computer):
        return orm.InstalledCode(label=label, computer=on, filepath_executable=f"/opt/{label}").store()

    return {
        "pp_code": code("pp.x"),
        "bader_code": code("siox-bader"),
        "parent_folder": orm.RemoteData(computer=computer, remote_path="/scratch/ground").store(),
        "structure": orm.StructureData(ase=alpha_quartz()).store(),
    }


@pytest.fixture
def other_computer(tmp_path):
    """Return a second computer."""
    return orm.Computer(
        label=f"other-{tmp_path.name}",
        hostname="other",
        transport_type="core.local",
        scheduler_type="core.direct",
        workdir=str(tmp_path),
    ).store()


def prepare(inputs):
    """Return the CalcInfo of a calculation and the files it wrote."""
    process = instantiate_process(get_manager().get_runner(), BaderCalculation, **inputs)
    with SandboxFolder() as folder:
        info = process.prepare_for_submission(folder)
        files = {}
        for name in folder.get_content_list():
            with folder.open(name) as handle:
                files[name] = handle.read()
    return process, info, files


def test_three_programs_one_after_another(inputs):
    process, info, files = prepare(inputs)
    assert [code.code_uuid for code in info.codes_info] == [
        inputs["pp_code"].uuid,
        inputs["pp_code"].uuid,
        inputs["bader_code"].uuid,
    ]
    assert [code.cmdline_params for code in info.codes_info] == [
        ["-in", "pp_charge.in"],
        ["-in", "pp_reference.in"],
        ["charge.cube", "-ref", "reference.cube"],
    ]
    assert len({code.stdout_name for code in info.codes_info}) == 3
    assert all(code.join_files for code in info.codes_info)
    assert set(files) == {"pp_charge.in", "pp_reference.in"}
    assert process.node.computer.uuid == inputs["pp_code"].computer.uuid


def test_method_of_the_bader_code(inputs):
    _, info, _ = prepare({**inputs, "method": "neargrid"})
    assert info.codes_info[2].cmdline_params == ["charge.cube", "-ref", "reference.cube", "-b", "neargrid"]
    with pytest.raises(ValueError, match=r"must be one of weight, neargrid, ongrid, got 'voronoi'"):
        prepare({**inputs, "method": "voronoi"})


@pytest.mark.parametrize(("density", "plot_num"), [("charge", 0), ("reference", 21)])
def test_input_of_pp(inputs, density, plot_num):
    _, _, files = prepare(inputs)
    lines = {line.strip() for line in files[f"pp_{density}.in"].splitlines()}
    assert {
        "prefix = 'aiida'",
        "outdir = './out/'",
        f"plot_num = {plot_num}",
        "iflag = 3",
        "output_format = 6",
        f"fileout = '{density}.cube'",
    } <= lines


def test_scratch_is_linked_and_neither_copied_nor_kept(inputs, computer):
    _, info, _ = prepare(inputs)
    assert info.remote_symlink_list == [(computer.uuid, "/scratch/ground/out", "out")]
    assert not info.remote_copy_list
    assert info.append_text == "rm -f charge.cube charge.filplot reference.cube reference.filplot out"
    retrieved = [entry if isinstance(entry, str) else entry[0] for entry in info.retrieve_list]
    assert not [name for name in retrieved if "cube" in name]
    assert {"scratch.txt", "pp_charge.out", "pp_reference.out", "bader.out"} < set(retrieved)


@pytest.mark.parametrize("port", ["bader_code", "parent_folder"])
def test_one_computer_for_all(inputs, other_computer, port):
    if port == "bader_code":
        inputs[port] = orm.InstalledCode(label="b", computer=other_computer, filepath_executable="/b").store()
    else:
        inputs[port] = orm.RemoteData(computer=other_computer, remote_path="/scratch").store()
    with pytest.raises(ValueError, match=f"`{port}` is on computer `other-"):
        prepare(inputs)


def test_parallel_job_is_refused(inputs):
    inputs["metadata"] = {"options": {"withmpi": True, "resources": {"num_machines": 1, "num_mpiprocs_per_machine": 4}}}
    with pytest.raises(ValueError, match="serial"):
        prepare(inputs)


def test_missing_code_is_refused(inputs):
    del inputs["bader_code"]
    with pytest.raises(ValueError, match="bader_code"):
        prepare(inputs)

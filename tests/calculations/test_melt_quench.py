"""MeltQuenchCalculation: the files it writes and the inputs it refuses."""

from __future__ import annotations

import io
import pathlib

import pytest
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida_lammps.calculations.raw import LammpsRawCalculation

from aiida_siox.calculations.melt_quench import MeltQuenchCalculation, sorted_restart_files
from aiida_siox.calculations.structures import structure_from_atoms
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.potential import load_potential, resolve_potential
from tests.crystals import alpha_quartz, starting_cell


@pytest.fixture
def inputs(computer):
    """Return the inputs of a job."""
    code = orm.InstalledCode(computer=computer, filepath_executable="/bin/true").store()
    return {
        "code": code,
        "structure": structure_from_atoms(starting_cell("Si8O4", 2.4, 1)).store(),
        "potential": load_potential(resolve_potential("munetoh")),
        "parameters": MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O4", 1).parameters,
        "seed": orm.Int(1),
        "metadata": {"options": {"resources": {"num_machines": 1, "num_mpiprocs_per_machine": 1}}},
    }


def prepare(inputs):
    """Return the CalcInfo and the files of a job."""
    process = instantiate_process(get_manager().get_runner(), MeltQuenchCalculation, **inputs)
    with SandboxFolder() as folder:
        calcinfo = process.prepare_for_submission(folder)
        files = {name: pathlib.Path(folder.get_abs_path(name)).read_text() for name in folder.get_content_list()}
    return calcinfo, files


def test_is_a_calculation_of_aiida_lammps():
    assert issubclass(MeltQuenchCalculation, LammpsRawCalculation)


def test_fresh_start(inputs):
    calcinfo, files = prepare(inputs)
    assert set(files) == {"input.in", "start.data", "SiO.tersoff"}
    assert "read_data start.data" in files["input.in"]
    assert "timer timeout" not in files["input.in"]
    assert "12 atoms" in files["start.data"]
    assert files["SiO.tersoff"] == inputs["potential"]["files"]["file_0"].get_content(mode="r")
    assert calcinfo.provenance_exclude_list == ["SiO.tersoff"]
    assert calcinfo.codes_info[0].cmdline_params == ["-in", "input.in", "-log", "none"]
    assert calcinfo.retrieve_list == ["lammps.out", "final.dump"]
    assert calcinfo.retrieve_temporary_list == []
    assert calcinfo.remote_copy_list == []


def test_same_inputs_same_files(inputs):
    assert prepare(inputs)[1] == prepare(inputs)[1]


def test_walltime_leaves_time_to_write(inputs):
    inputs["metadata"]["options"]["max_wallclock_seconds"] = 3600
    assert "timer timeout 0:57:00 every 100" in prepare(inputs)[1]["input.in"]


def test_trajectory_is_retrieved_only_to_be_parsed(inputs):
    values = {**inputs["parameters"].get_dict(), "trajectory_interval_ps": 1.0}
    calcinfo, files = prepare({**inputs, "parameters": orm.Dict(values)})
    assert calcinfo.retrieve_temporary_list == ["trajectory.dump"]
    assert "trajectory.dump" not in calcinfo.retrieve_list
    assert "dump trajectory" in files["input.in"]


def test_restart_copies_through_the_transport(inputs, computer):
    inputs["parent_folder"] = orm.RemoteData("/scratch/abc", computer=computer).store()
    inputs["restart_file"] = orm.Str("melt_quench.4000.restart")
    calcinfo, files = prepare(inputs)
    assert calcinfo.remote_copy_list == [(computer.uuid, "/scratch/abc/melt_quench.4000.restart", "start.restart")]
    assert "start.data" not in files
    assert "read_restart start.restart" in files["input.in"]
    assert "velocity" not in files["input.in"]


def test_sorted_restart_files():
    names = [
        "input.in",
        "melt_quench.900.restart",
        "melt_quench.10000.restart",
        "melt_quench.x.restart",
        "start.restart",
    ]
    assert sorted_restart_files(names) == ["melt_quench.10000.restart", "melt_quench.900.restart"]


def nitride():
    structure = orm.StructureData(cell=[[6, 0, 0], [0, 6, 0], [0, 0, 6]])
    structure.append_atom(symbols="Si", position=(0, 0, 0))
    structure.append_atom(symbols="N", position=(2, 2, 2))
    return structure


def potential(content=None, filename="SiO.tersoff", **changes):
    """Return the default potential with something changed."""
    namespace = load_potential(resolve_potential("munetoh"))
    if content is None:
        content = namespace["files"]["file_0"].get_content(mode="rb")
    return {
        "definition": orm.Dict({**namespace["definition"].get_dict(), **changes}),
        "files": {"file_0": orm.SinglefileData(io.BytesIO(content), filename=filename)},
    }


def test_charges_and_further_commands(inputs):
    charged = {
        "definition": orm.Dict(
            {
                "name": "BKS",
                "source": "Phys. Rev. Lett. 64 (1990) 1955",
                "species": ["Si", "O"],
                "pair_style": "buck/coul/long 8.0",
                "pair_coeff": ["{Si} {O} 18003.7572 0.205205 133.5381"],
                "charges": {"Si": 2.4, "O": -1.2},
                "commands": ["kspace_style pppm 1.0e-4"],
            }
        )
    }
    _, files = prepare({**inputs, "potential": charged})
    assert set(files) == {"input.in", "start.data"}
    assert "atom_style charge" in files["input.in"]
    assert "pair_coeff 1 2 18003.7572 0.205205 133.5381\nkspace_style pppm 1.0e-4" in files["input.in"]
    assert "Atoms # charge" in files["start.data"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"structure": nitride}, "N"),
        ({"structure": lambda: structure_from_atoms(alpha_quartz())}, "rectangular"),
        ({"seed": lambda: orm.Int(-3)}, "`seed` must be an integer from 0 on, got -3"),
        ({"parameters": lambda: orm.Dict({"melt_time_ps": 1.0})}, "`parameters` lacks .*: take them from a protocol"),
        ({"potential": lambda: potential(content=b"# none")}, "give the file SiO.tersoff"),
        ({"potential": lambda: potential(filename="a")}, r"names the files \['SiO.tersoff'\], but given are \['a'\]"),
        ({"potential": lambda: potential(species=["Si"])}, "knows Si only, the cell has O"),
        ({"potential": lambda: potential(pair_coeff=["* * {what} SiO.tersoff"])}, "stands for nothing"),
        ({"restart_file": lambda: orm.Str("melt_quench.4000.restart")}, "go together"),
    ],
)
def test_bad_inputs_are_refused(inputs, changes, words):
    inputs.update({name: make() for name, make in changes.items()})
    with pytest.raises(ValueError, match=words):
        instantiate_process(get_manager().get_runner(), MeltQuenchCalculation, **inputs)


def test_restart_file_of_another_name_is_refused(inputs, computer):
    inputs["parent_folder"] = orm.RemoteData("/scratch/abc", computer=computer)
    inputs["restart_file"] = orm.Str("../secret")
    with pytest.raises(ValueError, match="must be one of the files"):
        instantiate_process(get_manager().get_runner(), MeltQuenchCalculation, **inputs)

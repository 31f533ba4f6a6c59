"""Parser of the melt-quench: what becomes a node, and which end gets which exit code."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from aiida import orm
from aiida.common import LinkType

from aiida_siox.calculations.structures import structure_from_atoms
from aiida_siox.parsers.melt_quench import MeltQuenchParser
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from tests.crystals import starting_cell

#: Parameters that the fixtures were made with, apart from those that no parser reads.
SHORT = {"settle_time_ps": 0.5, "melt_time_ps": 1.0, "quench_time_ps": 2.0, "hold_time_ps": 0.5}
LONG = {"settle_time_ps": 0.5, "melt_time_ps": 30.0, "quench_time_ps": 30.0, "hold_time_ps": 0.5}


def as_in_2025(name, text):
    """Return the output with the words of LAMMPS 22 Jul 2025."""
    head = text.split("ERROR")[0]
    return head + "ERROR: Incomplete or corrupted LAMMPS restart file (src/src/read_restart.cpp:1046)\n"


@pytest.fixture
def parse(computer, fixtures_path, tmp_path):
    """Return a function that parses a case, with its text changed or files left out."""

    def run(case, times, *, formula="Si8O4", edit=None, missing=(), trajectory=False, restart=False):
        folder = fixtures_path / "lammps" / case
        node = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:siox.melt_quench")
        node.set_option("resources", {"num_machines": 1, "num_mpiprocs_per_machine": 1})
        node.set_option("output_filename", "lammps.out")
        values = {**MeltQuenchWorkChain.get_protocol_inputs()["parameters"], **times}
        values["trajectory_interval_ps"] = 1.0 if trajectory else 0.0
        inputs = {
            "parameters": orm.Dict(values),
            "structure": structure_from_atoms(starting_cell(formula, 2.4, 1)),
        }
        if restart:
            inputs["parent_folder"] = orm.RemoteData("/scratch", computer=computer)
        for label, entry in inputs.items():
            node.base.links.add_incoming(entry.store(), link_type=LinkType.INPUT_CALC, link_label=label)
        node.store()
        retrieved = orm.FolderData()
        for name in ("lammps.out", "final.dump"):
            if (folder / name).is_file() and name not in missing:
                text = (folder / name).read_text()
                text = edit(name, text) if edit else text
                retrieved.base.repository.put_object_from_filelike(io.BytesIO(text.encode()), name)
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label="retrieved")
        retrieved.store()
        if trajectory and "trajectory.dump" not in missing:
            shutil.copy(folder / "trajectory.dump", tmp_path)
        return MeltQuenchParser.parse_from_node(node, store_provenance=False, retrieved_temporary_folder=str(tmp_path))

    return run


@pytest.mark.parametrize("case", ["finished", "finished_2025"])
def test_finished(parse, case):
    outputs, result = parse(case, SHORT)
    assert result.is_finished_ok, result.exit_message
    assert set(outputs) == {"structure", "thermo", "results"}
    structure = outputs["structure"]
    assert sorted(kind.name for kind in structure.kinds) == ["O", "Si"]
    assert [site.kind_name for site in structure.sites] == ["Si"] * 8 + ["O"] * 4
    assert structure.label == "Si8O4"
    results = outputs["results"].get_dict()
    assert results["converged"]
    assert not results["restarted"]
    assert results["first_step"] == 0
    assert results["energy_eV"] == pytest.approx(12 * -5.5, abs=4)
    thermo = outputs["thermo"]
    units = thermo.base.attributes.get("units")
    assert set(units) == set(thermo.get_arraynames())
    assert units["pressure_bar"] == "bar"
    stages = thermo.base.attributes.get("stages")
    assert [stages[number] for number in dict.fromkeys(thermo.get_array("stage"))] == [
        "start",
        "settle",
        "melt",
        "quench",
        "hold",
        "relax",
        "minimise",
    ]
    time = thermo.get_array("time_ps")
    assert time[0] == 0
    assert time[-1] == pytest.approx(4.0)
    assert (np.diff(time) >= 0).all()
    assert thermo.get_array("volume_A3")[-1] == pytest.approx(structure.get_cell_volume(), rel=1e-6)


def test_trajectory(parse):
    outputs, result = parse("finished", SHORT, trajectory=True)
    assert result.is_finished_ok
    trajectory = outputs["trajectory"]
    np.testing.assert_array_equal(trajectory.get_stepids(), range(0, 8001, 2000))
    np.testing.assert_allclose(trajectory.get_times(), range(5))
    assert trajectory.symbols == ["Si"] * 8 + ["O"] * 4


def test_missing_trajectory_does_not_lose_the_rest(parse):
    outputs, result = parse("finished", SHORT, trajectory=True, missing=("trajectory.dump",))
    assert result.is_finished_ok
    assert "trajectory" not in outputs


def test_restarted(parse):
    outputs, result = parse("restarted", LONG, restart=True)
    assert result.is_finished_ok
    assert outputs["results"]["restarted"]
    assert outputs["results"]["first_step"] == 32300
    assert "structure" in outputs


@pytest.mark.parametrize(
    ("case", "arguments", "status", "words"),
    [
        ("killed", {}, 400, ["step 8000 of 122000", "stage melt", "4801.3101"]),
        ("stopped", {}, 400, ["step 32000 of 122000", "SIOX-STOPPED melt"]),
        ("unstable", {}, 410, ["step 0", "Lost atoms: original 12 current 0"]),
        ("error", {}, 309, ["Potential file is missing an entry", "Last command: pair_coeff"]),
        ("restart_unreadable", {"restart": True}, 420, ["Unexpected end of file"]),
        ("restart_unreadable", {"restart": True, "edit": as_in_2025}, 420, ["Incomplete or corrupted"]),
        ("restart_unreadable", {}, 309, ["Unexpected end of file"]),
        ("finished", {"missing": ("lammps.out",)}, 351, []),
        ("finished", {"missing": ("final.dump",)}, 311, ["final.dump"]),
        ("finished", {"formula": "Si6O6"}, 311, ["not the 12 atoms of the starting cell"]),
        ("finished", {"formula": "Si8O2"}, 311, ["its 12 atoms are not the 10 atoms"]),
        (
            "finished",
            {"edit": lambda name, text: text[:400] if name == "final.dump" else text},
            311,
            ["cannot be read"],
        ),
        ("finished", {"edit": lambda name, text: text.replace("SIOX-END", "")}, 400, ["stage minimise"]),
        ("finished", {"edit": lambda name, text: ""}, 400, ["step None", "stage none"]),
    ],
)
def test_ends_that_are_no_success(parse, case, arguments, status, words):
    outputs, result = parse(case, SHORT if case == "finished" else LONG, **arguments)
    assert result.exit_status == status
    for word in words:
        assert word in result.exit_message
    assert "structure" not in outputs
    if case in ("killed", "stopped"):
        assert outputs["thermo"].get_array("step")[-1] == (8000 if case == "killed" else 32000)


@pytest.mark.parametrize("name", ["ERROR_INTERRUPTED", "ERROR_UNSTABLE_DYNAMICS", "ERROR_RESTART_UNREADABLE"])
def test_failures_are_never_taken_from_the_cache(name):
    from aiida_siox.calculations.melt_quench import MeltQuenchCalculation

    assert MeltQuenchCalculation.exit_codes[name].invalidates_cache

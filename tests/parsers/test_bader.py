"""Parser of BaderCalculation: what becomes a node, and which failure gets which exit code."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from aiida import orm
from aiida.common import LinkType

from aiida_siox.calculations.bader import BaderCalculation
from aiida_siox.parsers.bader import BaderParser
from aiida_siox.science.constants import BOHR_ANGSTROM
from tests.crystals import alpha_quartz

from .raw.test_bader import acf

SCRATCH = "charge-density.dat\ndata-file-schema.xml\npaw.txt\n<nelec>4.8e1</nelec>\n"
CODES = BaderCalculation.exit_codes


@pytest.fixture
def quartz(aiida_profile):
    """Return α-quartz."""
    return orm.StructureData(ase=alpha_quartz()).store()


@pytest.fixture
def result(fixtures_path):
    """Return the JSON file of siox-bader for α-quartz."""
    return json.loads((fixtures_path / "bader" / "bader.json").read_text())


@pytest.fixture
def parse(computer, fixtures_path, quartz):
    """Return a function that parses the outputs of α-quartz, with files changed (or left out: None)."""

    def run(files=None, **inputs):
        folder = fixtures_path / "bader"
        contents = {
            "scratch.txt": SCRATCH,
            "pp_charge.out": (folder / "pp_charge.out").read_text(),
            "pp_reference.out": (folder / "pp_reference.out").read_text(),
            "bader.out": "siox-bader: done\n",
            "bader.json": (folder / "bader.json").read_text(),
            **(files or {}),
        }
        node = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:siox.bader")
        node.set_option("resources", {"num_machines": 1, "num_mpiprocs_per_machine": 1})
        parent = orm.RemoteData(computer=computer, remote_path="/scratch/ground").store()
        for label, value in {"structure": quartz, "parent_folder": parent, **inputs}.items():
            node.base.links.add_incoming(value, link_type=LinkType.INPUT_CALC, link_label=label)
        node.store()
        retrieved = orm.FolderData()
        for name, text in contents.items():
            if text is not None:
                retrieved.base.repository.put_object_from_filelike(io.BytesIO(text.encode()), name)
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label="retrieved")
        retrieved.store()
        return BaderParser.parse_from_node(node, store_provenance=False)

    return run


def test_success(parse, quartz, result):
    outputs, process = parse()
    assert process.is_finished_ok, process.exit_message
    assert set(outputs) == {"charges", "output_parameters"}
    np.testing.assert_allclose(outputs["charges"].get_array("electrons"), result["electrons"])
    np.testing.assert_allclose(outputs["charges"].get_array("volumes_A3"), result["volumes_A3"])
    parameters = outputs["output_parameters"].get_dict()
    assert parameters["program"] == "siox-bader"
    assert parameters["method"] == "neargrid"
    assert parameters["pp_version"] == "6.7MaX"
    assert parameters["n_electrons_expected"] == 48.0
    assert parameters["pp_wall_s"] > 0
    assert parameters["bader_cpu_s"] > 0
    # sum rule, and one basin centre at every nucleus
    assert parameters["sum_electrons"] == pytest.approx(48.0, abs=1e-3)
    assert parameters["n_basins"] == 9
    assert parameters["atoms_with_more_basins"] == []
    assert parameters["largest_basin_distance_A"] < 0.1
    assert outputs["charges"].get_array("n_basins").tolist() == [1] * 9
    np.testing.assert_allclose(outputs["charges"].get_array("basin_distances_A"), result["basin_distances_A"])


def test_second_basin_of_an_atom_is_told(parse, result):
    """A maximum between two silicon atoms is no error: it belongs to the nearest, and its electrons are told."""
    outputs, process = parse(edited(result, n_basins=[1, 2, *[1] * 7], n_electrons_non_nuclear=0.02, max_rss_MB=150.0))
    assert process.is_finished_ok, process.exit_message
    parameters = outputs["output_parameters"].get_dict()
    assert parameters["n_basins"] == 10
    assert parameters["atoms_with_more_basins"] == [1]
    assert parameters["n_electrons_non_nuclear"] == 0.02
    assert parameters["bader_max_rss_MB"] == 150.0


def test_henkelmans_program(parse, quartz, result):
    positions = np.array([site.position for site in quartz.sites])
    cell = np.array(quartz.cell)
    text = acf(
        (positions + cell[0]) / BOHR_ANGSTROM, result["electrons"], np.array(result["volumes_A3"]) / BOHR_ANGSTROM**3
    )
    stdout = "  GRID BASED BADER ANALYSIS  (Version 1.05 08/19/23)\n"
    outputs, process = parse({"bader.json": None, "ACF.dat": text, "bader.out": stdout})
    assert process.is_finished_ok, process.exit_message
    np.testing.assert_allclose(outputs["charges"].get_array("electrons"), result["electrons"], atol=1e-5)
    assert outputs["output_parameters"]["program"] == "bader"
    assert outputs["output_parameters"]["version"] == "1.05 08/19/23"
    assert outputs["output_parameters"]["method"] == "neargrid"
    assert "n_basins" not in outputs["charges"].get_arraynames()


def test_method_that_henkelmans_program_was_asked_for(parse, quartz, result):
    """ACF.dat does not tell it."""
    positions = np.array([site.position for site in quartz.sites])
    text = acf(positions / BOHR_ANGSTROM, result["electrons"], np.array(result["volumes_A3"]) / BOHR_ANGSTROM**3)
    outputs, _ = parse({"bader.json": None, "ACF.dat": text}, method=orm.Str("weight").store())
    assert outputs["output_parameters"]["method"] == "weight"


@pytest.mark.parametrize("name", ["scratch.txt", "pp_charge.out", "pp_reference.out", "bader.out"])
def test_missing_outputs(parse, name):
    outputs, process = parse({name: None})
    assert process.exit_status == CODES.ERROR_OUTPUT_STDOUT_MISSING.status
    assert name in process.exit_message
    assert outputs == {}


def test_scratch_that_is_gone(parse):
    """The engines' own failures come after it and do not hide it."""
    outputs, process = parse({"scratch.txt": "ls: cannot access\n", "bader.json": None, "pp_charge.out": "stopped"})
    assert process.exit_status == CODES.ERROR_PARENT_SCRATCH_MISSING.status
    assert 400 <= process.exit_status < 500
    assert "/scratch/ground" in process.exit_message
    assert outputs == {}


def test_scratch_that_vanishes_in_between(parse, fixtures_path):
    text = (fixtures_path / "bader" / "pp_no_density.out").read_text()
    _, process = parse({"pp_reference.out": text})
    assert process.exit_status == CODES.ERROR_PARENT_SCRATCH_MISSING.status
    assert "read_rhog" in process.exit_message


@pytest.mark.parametrize("density", ["charge", "reference"])
def test_each_run_of_pp_is_checked(parse, fixtures_path, density):
    """A first run that is fine does not vouch for the second, nor a result of the Bader code for both."""
    name = f"pp_{density}.out"
    text = (fixtures_path / "bader" / name).read_text()
    outputs, process = parse({name: text[: text.index("JOB DONE")]})
    assert process.exit_status == CODES.ERROR_PP_STOPPED.status
    assert f"the {density} density" in process.exit_message
    assert "This run was terminated on" in process.exit_message
    assert outputs == {}


@pytest.mark.parametrize("text", [None, "", '{"schema": 1, "elec'])
def test_no_charges(parse, text):
    outputs, process = parse({"bader.json": text, "bader.out": "Traceback\nMemoryError\n"})
    assert process.exit_status == CODES.ERROR_BADER_INCOMPLETE.status
    assert "MemoryError" in process.exit_message
    assert outputs == {}


def edited(result, **changes) -> dict[str, str]:
    """Return the JSON file with some of its values changed."""
    return {"bader.json": json.dumps({**result, **changes})}


def test_other_number_of_atoms(parse, result):
    lists = {key: value[:-1] for key, value in result.items() if isinstance(value, list) and len(value) == 9}
    assert {"electrons", "numbers", "positions_A"} <= set(lists)
    outputs, process = parse(edited(result, **lists))
    assert process.exit_status == CODES.ERROR_ATOMS_DIFFER.status
    assert "8 atoms instead of 9" in process.exit_message
    assert outputs == {}


def test_other_elements(parse, result):
    _, process = parse(edited(result, numbers=result["numbers"][::-1]))
    assert process.exit_status == CODES.ERROR_ATOMS_DIFFER.status
    assert "atomic number" in process.exit_message


def test_other_positions(parse, result):
    positions = np.array(result["positions_A"])
    positions[[0, 1]] = positions[[1, 0]]
    _, process = parse(edited(result, positions_A=positions.tolist()))
    assert process.exit_status == CODES.ERROR_ATOMS_DIFFER.status


def test_expected_electrons_are_those_of_the_input(parse):
    outputs, process = parse(n_electrons=orm.Float(47.9).store())
    assert process.exit_status == CODES.ERROR_ELECTRON_COUNT.status
    assert "47.9" in process.exit_message
    assert "charges" in outputs, "one can look at what was wrong"


def test_electrons_of_the_scratch(parse):
    _, process = parse({"scratch.txt": SCRATCH.replace("4.8e1", "4.9e1")})
    assert process.exit_status == CODES.ERROR_ELECTRON_COUNT.status


def test_electrons_that_no_atom_got(parse, result):
    """Against the integral of the density, also where the scratch does not tell the electrons."""
    scratch = SCRATCH[: SCRATCH.index("<nelec>")]
    electrons = [*result["electrons"][:-1], 0.0]
    _, process = parse({**edited(result, electrons=electrons), "scratch.txt": scratch})
    assert process.exit_status == CODES.ERROR_ELECTRON_COUNT.status
    assert "integral of the density" in process.exit_message


@pytest.mark.parametrize(
    ("key", "value"), [("volumes_A3", 0.0), ("basin_distances_A", None), ("basin_distances_A", 0.9)]
)
def test_atom_without_a_basin(parse, result, key, value):
    values = list(result[key])
    values[4] = value
    _, process = parse(edited(result, **{key: values}))
    assert process.exit_status == CODES.ERROR_ATOM_WITHOUT_BASIN.status
    assert process.exit_message.endswith("own: 4.")


def test_no_failure_is_a_source_of_the_cache():
    labels = ("OUTPUT_STDOUT_MISSING", "PP_STOPPED", "BADER_INCOMPLETE", "ATOMS_DIFFER", "ELECTRON_COUNT")
    for label in (*labels, "ATOM_WITHOUT_BASIN", "PARENT_SCRATCH_MISSING"):
        assert CODES[f"ERROR_{label}"].invalidates_cache

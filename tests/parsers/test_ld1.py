"""Parser of ld1.x: what becomes a node, and which failure gets which exit code."""

from __future__ import annotations

import io
import lzma
import re

import pytest
from aiida import orm
from aiida.common import LinkType

from aiida_siox.calculations.ld1 import assess_pseudopotential
from aiida_siox.parsers.ld1 import Ld1Parser
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain

UPF = "Si.pbe-gs-kjpaw.UPF"
TABLES = ("ld1.dlog", "ld1ps.dlog")


@pytest.fixture
def parse(computer, fixtures_path, tmp_path):
    """Return a function that parses a case, with files changed or left out."""

    def run(case="silicon_ground", *, output=None, edit=None, missing=(), test=False, atom="ground", protocol=None):
        folder = fixtures_path / "ld1" / case
        node = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:siox.ld1")
        node.set_option("resources", {"num_machines": 1, "num_mpiprocs_per_machine": 1})
        node.set_option("output_filename", "aiida.out")
        protocol_inputs = AtomicDataWorkChain.get_protocol_inputs(protocol)
        inputs = {
            "parameters": protocol_inputs["parameters"][atom],
            **({"test": protocol_inputs["test"]} if test else {}),
        }
        for label, value in inputs.items():
            node.base.links.add_incoming(orm.Dict(value).store(), link_type=LinkType.INPUT_CALC, link_label=label)
        node.store()
        retrieved = orm.FolderData()
        if "aiida.out" not in missing:
            text = (folder / "aiida.out").read_text() if output is None else output
            retrieved.base.repository.put_object_from_filelike(io.BytesIO(text.encode()), "aiida.out")
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label="retrieved")
        retrieved.store()
        for name in (UPF, "Si.pbe-1s-us.UPF", "ld1.wfc", *TABLES):
            packed = folder / f"{name}.xz"
            if packed.is_file() and name not in missing:
                text = lzma.decompress(packed.read_bytes()).decode()
                (tmp_path / name).write_text(edit(name, text) if edit else text)
        return Ld1Parser.parse_from_node(node, store_provenance=False, retrieved_temporary_folder=str(tmp_path))

    return run


def test_success(parse):
    outputs, result = parse()
    assert result.is_finished_ok, result.exit_message
    assert set(outputs) == {"pseudo", "core_wavefunction", "output_parameters"}
    pseudo = outputs["pseudo"]
    assert (pseudo.element, pseudo.z_valence, pseudo.filename) == ("Si", 4, UPF)
    assert 'has_gipaw="true"' in pseudo.get_content()
    assert outputs["core_wavefunction"].filename == "Si.pbe-gs-kjpaw.wfc"
    assert outputs["output_parameters"]["all_electron_Ry"] == -579.674871
    assert outputs["output_parameters"]["pseudo_Ry"] == -46.329006


def test_no_core_wavefunction_without_a_1s_orbital(parse):
    def edit(name, text):
        return text.replace("1S", "4S", 1) if name == "ld1.wfc" else text

    outputs, result = parse(edit=edit)
    assert result.is_finished_ok
    assert "core_wavefunction" not in outputs
    assert "pseudo" in outputs


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ({"missing": ("aiida.out",)}, 302, "no standard output"),
        ({"case": "stopped"}, 310, "chi too large beyond r_c"),
        ({"case": "not_converged"}, 330, "convergence not achieved"),
        ({"output": ""}, 312, "no version"),
        ({"missing": (UPF,)}, 320, "End of pseudopotential test"),
        ({"missing": ("ld1.wfc",)}, 321, "End of pseudopotential test"),
        ({"edit": lambda name, text: text[:500_000] if name == UPF else text}, 322, "not written to its end"),
        ({"edit": lambda name, text: text[:5_000] if name == "ld1.wfc" else text}, 322, "row|different runs"),
    ],
)
def test_failures(parse, arguments, status, words):
    outputs, result = parse(**arguments)
    assert result.exit_status == status, result.exit_message
    assert outputs == {}, "a run that failed has no outputs"
    assert re.search(words, result.exit_message)


@pytest.mark.parametrize("end", ["Etotps =", "End of pseudopotential test", "Testing the pseudopotential"])
def test_truncated_output_is_a_failure_with_its_last_lines(parse, fixtures_path, end):
    text = (fixtures_path / "ld1" / "silicon_ground" / "aiida.out").read_text()
    text = text[: text.index(end)]
    outputs, result = parse(output=text)
    assert result.exit_status == 312
    assert outputs == {}
    last = next(line for line in reversed(text.splitlines()) if line.strip())
    assert last.strip() in result.exit_message


def test_wrong_eigenvalues_are_a_failure(parse, fixtures_path):
    text = (fixtures_path / "ld1" / "silicon_ground" / "aiida.out").read_text()
    broken = text.replace("-0.29996       -0.29997        0.00000", "-0.29996       -0.27996       -0.02000")
    assert broken != text
    outputs, result = parse(output=broken)
    assert result.exit_status == 331
    assert "2.0e-02" in result.exit_message
    assert outputs == {}


def assess(outputs):
    """Return what a test says of its pseudopotential."""
    arrays, parameters = outputs["logarithmic_derivatives"].store(), outputs["output_parameters"].store()
    return assess_pseudopotential(arrays, parameters, orm.Int(SCIENCE_VERSION)).get_dict()


def test_test_of_a_pseudopotential(parse):
    outputs, result = parse("silicon_test", test=True)
    assert result.is_finished_ok, result.exit_message
    assert set(outputs) == {"logarithmic_derivatives", "output_parameters"}, "a test gives no pseudopotential"
    arrays = outputs["logarithmic_derivatives"]
    assert arrays.get_array("energies")[[0, -1]] == pytest.approx([-3.0, 5.0])
    assert arrays.get_array("pseudo").shape == arrays.get_array("all_electron").shape == (801, 4)
    levels = outputs["output_parameters"]["levels_Ry"]
    assert (levels["0"][0], levels["1"][0]) == (-0.7947, -0.2999)
    assert outputs["output_parameters"]["levels_change_Ry"] <= 2e-4
    assessed = assess(outputs)
    assert not assessed["has_ghost"]
    # to 68 eV above zero: a hundredth of π in the channels with projectors, more in the local one
    for channel, limit in zip(assessed["channels"], (0.01, 0.01, 0.05, 0.01), strict=True):
        assert channel["max_error"] < limit, channel


@pytest.mark.parametrize(("case", "below", "within"), [("ghost_local", [], 1), ("ghost_s_degenerate", [-6.0111], 0)])
def test_ghosts_are_found_where_the_eigenvalues_are_right(parse, case, below, within):
    outputs, result = parse(case, test=True)
    assert result.is_finished_ok, result.exit_message
    assert outputs["output_parameters"]["eigenvalue_error_Ry"] < 1e-4
    assessed = assess(outputs)
    assert assessed["has_ghost"]
    assert [(ghost["l"], ghost["energy_Ry"]) for ghost in assessed["ghosts"]] == [(0, energy) for energy in below]
    assert [channel["extra_states"] for channel in assessed["channels"]] == [within, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ({"missing": ("ld1ps.dlog",)}, 323, "No such file"),
        ({"edit": lambda name, text: text[:1000] if name == "ld1.dlog" else text}, 323, "torn|shapes"),
        ({"edit": lambda name, text: text.replace("1.", "nan.", 1) if name == "ld1.dlog" else text}, 323, "could not"),
        ({"case": "silicon_ground"}, 312, "no levels in Bessel functions"),
    ],
)
def test_tests_that_failed(parse, arguments, status, words):
    outputs, result = parse(**{"case": "silicon_test"} | arguments, test=True)
    assert result.exit_status == status, result.exit_message
    assert outputs == {}
    assert re.search(words, result.exit_message)


def test_ultrasoft(parse):
    outputs, result = parse("silicon_ultrasoft", atom="hole", protocol="ultrasoft")
    assert result.is_finished_ok, result.exit_message
    text = outputs["pseudo"].get_content()
    assert outputs["pseudo"].z_valence == 5
    assert max(map(len, text.split("\n"))) < 1024
    assert 'number_of_core_orbitals="3"' in text
    assert re.findall(r'<PP_GIPAW_ORBITAL\.\d index="\d" label="(\w+)"', text) == ["3S", "4S", "3P", "4P", "3D"]
    assert 'paw_as_gipaw="false"' in text
    assert 'date="not recorded"' in text

"""Parser of ld1.x: what becomes a node, and which failure gets which exit code."""

from __future__ import annotations

import io
import lzma
import re

import pytest
from aiida import orm
from aiida.common import LinkType

from aiida_siox.parsers.ld1 import Ld1Parser
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain

UPF = "Si.pbe-gs-kjpaw.UPF"


@pytest.fixture
def parse(computer, fixtures_path, tmp_path):
    """Return a function that parses a case, with files changed or left out."""

    def run(case="silicon_ground", *, output=None, edit=None, missing=()):
        folder = fixtures_path / "ld1" / case
        node = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:siox.ld1")
        node.set_option("resources", {"num_machines": 1, "num_mpiprocs_per_machine": 1})
        node.set_option("output_filename", "aiida.out")
        parameters = orm.Dict(AtomicDataWorkChain.get_protocol_inputs()["parameters"]["ground"]).store()
        node.base.links.add_incoming(parameters, link_type=LinkType.INPUT_CALC, link_label="parameters")
        node.store()
        retrieved = orm.FolderData()
        if "aiida.out" not in missing:
            text = (folder / "aiida.out").read_text() if output is None else output
            retrieved.base.repository.put_object_from_filelike(io.BytesIO(text.encode()), "aiida.out")
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label="retrieved")
        retrieved.store()
        for name in (UPF, "ld1.wfc"):
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

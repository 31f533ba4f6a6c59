"""Parser of AnalysisCalculation: what becomes a node, and which failure gets which exit code."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from aiida import orm
from aiida.common import LinkType

from aiida_siox.calculations.analysis_job import AnalysisCalculation
from aiida_siox.parsers.analysis import AnalysisParser
from tests.calculations.synthetic import synthetic_dataset

CODES = AnalysisCalculation.exit_codes
STDOUT = "progress 0.350 grouped split\n"


@pytest.fixture
def parse(aiida_profile, computer):
    """Return a function that parses the files of a run, with files changed (or left out: None)."""

    def run(files=None, scheduler_status=None, **changes):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, predicted=np.array([1.0, np.nan], dtype=np.float32))
        result = {
            **{"schema": 1, "program": "siox-analyse", "version": "0.1.0", "torch_version": "2", "wall_s": 1.5},
            **{"cpu_s": 1.0, "max_rss_MB": 300.0, "part": "splits", "parameters": {}, "part_version": 1, "models": []},
            **{"attributes": {"scores": {"valence": {"grouped": {"rmse": {"mean": 0.2}}}}}},
            **changes,
        }
        contents = {
            "siox-analyse.out": STDOUT.encode(),
            "result.json": json.dumps(result).encode(),
            "result.npz": buffer.getvalue(),
            **(files or {}),
        }
        node = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:siox.analysis")
        node.set_option("resources", {"num_machines": 1, "num_mpiprocs_per_machine": 1})
        node.set_option("output_filename", "siox-analyse.out")
        inputs = {
            "dataset": synthetic_dataset().store(),
            "part": orm.Str("splits").store(),
            "parameters": orm.Dict({"n_seeds": 2}).store(),
            "version": orm.Int(1).store(),
        }
        for label, value in inputs.items():
            node.base.links.add_incoming(value, link_type=LinkType.INPUT_CALC, link_label=label)
        if scheduler_status is not None:
            node.set_exit_status(scheduler_status)
        node.store()
        retrieved = orm.FolderData()
        for name, content in contents.items():
            if content is not None:
                retrieved.base.repository.put_object_from_filelike(io.BytesIO(content), name)
        retrieved.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label="retrieved")
        retrieved.store()
        return AnalysisParser.parse_from_node(node, store_provenance=False)

    return run


def test_success(parse):
    outputs, process = parse()
    assert process.is_finished_ok, process.exit_message
    assert set(outputs) == {"analysis", "output_parameters"}
    analysis = outputs["analysis"]
    assert (analysis.part, analysis.dataset_digest) == ("splits", "synthetic")
    assert analysis.base.attributes.get("parameters") == {"n_seeds": 2}
    assert analysis.scores["valence"]["grouped"]["rmse"]["mean"] == 0.2
    np.testing.assert_array_equal(analysis.get_array("predicted"), np.array([1.0, np.nan], dtype=np.float32))
    run = outputs["output_parameters"].get_dict()
    assert (run["program"], run["wall_s"], run["max_rss_MB"]) == ("siox-analyse", 1.5, 300.0)


@pytest.mark.parametrize(
    ("files", "changes", "code", "words"),
    [
        ({"result.json": None}, {}, CODES.ERROR_OUTPUT_MISSING, ["no result.json", "progress 0.350 grouped split"]),
        ({"result.npz": None}, {}, CODES.ERROR_OUTPUT_MISSING, ["no result.npz"]),
        ({}, {"models": ["valence"]}, CODES.ERROR_OUTPUT_MISSING, ["no model_valence.pt"]),
        ({"result.json": b"{"}, {}, CODES.ERROR_OUTPUT_UNREADABLE, ["Expecting", "progress 0.350"]),
        ({}, {"schema": 7}, CODES.ERROR_OUTPUT_UNREADABLE, ["schema 7"]),
        ({"result.npz": b"PK"}, {}, CODES.ERROR_OUTPUT_UNREADABLE, ["result.npz is damaged"]),
        ({}, {"part": "windows"}, CODES.ERROR_OUTPUT_UNREADABLE, ["of the part windows"]),
        ({}, {"attributes": {"part": "x"}}, CODES.ERROR_OUTPUT_UNREADABLE, ["may not call an attribute part"]),
        (
            {},
            {"error": {"kind": "parameters", "message": "`epochs` must be"}},
            CODES.ERROR_INVALID_PARAMETERS,
            ["`epochs` must be"],
        ),
        ({}, {"error": {"kind": "sites", "message": "too few"}}, CODES.ERROR_UNSUITABLE_DATASET, ["too few"]),
        (
            {},
            {"error": {"kind": "walltime", "message": "950 s are over at 35%"}},
            CODES.ERROR_OUT_OF_WALLTIME,
            ["950 s are over at 35%", "max_wallclock_seconds"],
        ),
    ],
)
def test_failures(parse, files, changes, code, words):
    outputs, process = parse(files, **changes)
    assert process.exit_status == code.status
    assert not [word for word in words if word not in process.exit_message], process.exit_message
    assert "analysis" not in outputs


def test_same_exit_codes_as_the_calcfunction():
    assert (CODES.ERROR_INVALID_PARAMETERS.status, CODES.ERROR_UNSUITABLE_DATASET.status) == (201, 202)


def test_last_words_of_a_script_that_broke(parse):
    """A traceback ends up in the exit message."""
    text = b"progress 0.100 x\nTraceback (most recent call last):\nMemoryError: no room\n"
    _, process = parse({"result.json": None, "siox-analyse.out": text})
    assert process.exit_status == CODES.ERROR_OUTPUT_MISSING.status
    assert "MemoryError: no room" in process.exit_message
    _, process = parse({"result.json": None, "siox-analyse.out": None})
    assert "(nothing)" in process.exit_message


def test_killed_by_the_scheduler(parse):
    status = CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME.status
    _, process = parse({"result.json": None}, scheduler_status=status)
    assert process.exit_status == CODES.ERROR_OUT_OF_WALLTIME.status
    assert "killed at 35% (grouped split)" in process.exit_message

"""AnalysisCalculation: files it writes, how the script is called, inputs it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.calculations.analysis_job import AnalysisCalculation
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.workflows.analysis import AnalysisProtocol

from .synthetic import synthetic_dataset


@pytest.fixture
def inputs(aiida_profile, computer):
    """Return inputs that are right."""
    parameters = AnalysisProtocol.get_parameters("fast", {"training": {"threads": 3}})["splits"]
    return {
        "code": orm.InstalledCode(
            label="siox-analyse-of-unit-tests", computer=computer, filepath_executable="/opt/siox-analyse"
        ).store(),
        "dataset": synthetic_dataset().store(),
        "part": "splits",
        "parameters": parameters,
        "version": 1,
    }


def prepare(inputs, tmp_path):
    """Return the CalcInfo of a calculation, what it is told, and the sites that it wrote."""
    process = instantiate_process(get_manager().get_runner(), AnalysisCalculation, **inputs)
    with SandboxFolder() as folder:
        info = process.prepare_for_submission(folder)
        assert set(folder.get_content_list()) == {"sites.npz", "parameters.json"}
        with folder.open("parameters.json") as handle:
            request = json.load(handle)
        with folder.open("sites.npz", "rb") as handle:
            (tmp_path / "sites.npz").write_bytes(handle.read())
    return info, request, SiteSet.from_npz(tmp_path / "sites.npz")


def test_files_and_command(inputs, tmp_path):
    info, request, sites = prepare(inputs, tmp_path)
    assert request == {"part": "splits", "parameters": inputs["parameters"], "version": 1}
    assert np.array_equal(sites.spectra, inputs["dataset"].spectra)
    assert sites.groups == tuple(f"synthetic-{i}" for i in range(6))
    assert all(cell.complete for cell in sites.configurations)
    (code,) = info.codes_info
    assert code.cmdline_params == ["sites.npz", "parameters.json"]
    assert code.join_files
    assert code.stdout_name == "siox-analyse.out"
    assert info.prepend_text == "export OMP_NUM_THREADS=3"
    # the sites are the input node, and are not kept twice
    assert info.provenance_exclude_list == ["sites.npz"]
    retrieved = [entry if isinstance(entry, str) else entry[0] for entry in info.retrieve_list]
    assert retrieved == ["siox-analyse.out", "result.*", "model_*.pt"]


def test_script_stops_before_the_scheduler_does(inputs, tmp_path):
    inputs["metadata"] = {"options": {"max_wallclock_seconds": 1000}}
    info, _, _ = prepare(inputs, tmp_path)
    assert info.codes_info[0].cmdline_params[2:] == ["--max-seconds", "950"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"part": "split"}, "there is no part `split` of the analysis"),
        ({"parameters": {"n_seeds": 1}}, "lack `training`"),
        ({"dataset": None}, "dataset"),
    ],
)
def test_what_is_refused_before_submission(inputs, tmp_path, changes, message):
    changed = {key: value for key, value in {**inputs, **changes}.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        prepare(changed, tmp_path)

"""AnalysisCalculation on the real siox-analyse, with a data set of synthetic spectra: seconds."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_siox.calculations.analysis import ANALYSIS_VERSION, analyse_part
from aiida_siox.calculations.analysis_job import AnalysisCalculation
from aiida_siox.workflows.analysis import AnalysisProtocol
from tests.calculations.synthetic import synthetic_dataset

pytestmark = pytest.mark.engine

SMALL = {
    "training": {
        "epochs": 5,
        "n_folds": 2,
        "n_test_folds": 2,
        "n_mixtures": 20,
        "networks": {"valence": {"hidden": [16, 16, 16]}},
        "grid": {"learning_rate": [1.0e-3], "weight_decay": [0.0]},
    },
    "splits": {
        "targets": ["valence"],
        "kinds": ["random", "grouped"],
        "n_seeds": {"valence": {"random": 2, "grouped": 2}},
        "baselines": ["descriptors"],
    },
    "model": {"targets": ["valence"]},
}


@pytest.fixture(scope="module")
def dataset(aiida_profile):
    """Return a stored data set of synthetic spectra."""
    return synthetic_dataset(digest="synthetic-for-the-job").store()


@pytest.fixture
def run(engine_code, dataset):
    """Return a function that runs a part as a job."""

    def factory(part, parameters=None, **options):
        parameters = AnalysisProtocol.get_parameters("fast", SMALL)[part] if parameters is None else parameters
        inputs = {"dataset": dataset, "part": part, "parameters": parameters, "version": ANALYSIS_VERSION}
        return run_get_node(
            AnalysisCalculation,
            code=engine_code("analysis"),
            **inputs,
            metadata={"options": options} if options else {},
        )

    return factory


def test_job_gives_what_the_calcfunction_gives(run, dataset):
    outputs, node = run("splits")
    assert node.is_finished_ok, node.exit_message
    stdout = outputs["retrieved"].base.repository.get_object_content("siox-analyse.out")
    assert stdout.splitlines()[0].startswith("progress 0.")
    assert stdout.splitlines()[-1] == "siox-analyse: done"
    assert outputs["output_parameters"]["torch_version"]
    # the sites are the input node and are not kept a second time
    assert "sites.npz" not in node.base.repository.list_object_names()

    parameters = AnalysisProtocol.get_parameters("fast", SMALL)["splits"]
    function, _ = analyse_part.run_get_node(dataset, orm.Str("splits"), orm.Dict(parameters), orm.Int(ANALYSIS_VERSION))
    job, function = outputs["analysis"], function["analysis"]
    assert set(job.arrays) == set(function.arrays)
    for name, array in function.arrays.items():
        np.testing.assert_array_equal(job.arrays[name], array, err_msg=name)
    assert job.scores == function.scores
    assert job.base.attributes.get("parameters") == function.base.attributes.get("parameters")


def test_models_of_a_job(run, dataset):
    outputs, node = run("model")
    assert node.is_finished_ok, node.exit_message
    assert set(outputs["models"]) == {"valence"}
    model = outputs["models"]["valence"]
    predicted = model.predict((dataset.energy, dataset.spectra[0]))
    assert predicted.quantity.unit == "e"
    assert np.isfinite(predicted.value)


def test_data_set_that_cannot_be_divided(run):
    parameters = AnalysisProtocol.get_parameters("fast", SMALL)["windows"]
    parameters = {**parameters, "names": ["a"], "windows_eV": [[1700.0, 1701.0]]}
    outputs, node = run("windows", parameters)
    assert node.exit_status == AnalysisCalculation.exit_codes.ERROR_UNSUITABLE_DATASET.status
    assert "1700 to 1701 eV" in node.exit_message
    assert "analysis" not in outputs
    assert not node.base.caching.is_valid_cache


def test_job_that_runs_out_of_time(run):
    _, node = run("splits", max_wallclock_seconds=1)  # 0.95 s, of which none is left: zero
    assert node.exit_status == AnalysisCalculation.exit_codes.ERROR_OUT_OF_WALLTIME.status
    assert "max_wallclock_seconds" in node.exit_message

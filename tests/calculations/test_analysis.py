"""The calcfunction `analyse_part` on a data set of synthetic spectra."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.manage.caching import enable_caching

from aiida_siox.calculations import analysis as module
from aiida_siox.calculations.analysis import ANALYSIS_VERSION, analyse_part, listening
from aiida_siox.data.analysis import AnalysisData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.workflows.analysis import AnalysisProtocol

from .synthetic import run_mean_part, synthetic_dataset

pytestmark = pytest.mark.usefixtures("aiida_profile")


@pytest.fixture(autouse=True)
def mean_part(monkeypatch):
    """Let every part be the one whose numbers are known."""
    monkeypatch.setattr(module, "run_part", run_mean_part)


def run(dataset, part="splits", parameters=None):
    """Run a part with the fast protocol."""
    values = AnalysisProtocol.get_parameters("fast")["splits"] if parameters is None else parameters
    results, node = analyse_part.run_get_node(dataset, orm.Str(part), orm.Dict(values), orm.Int(ANALYSIS_VERSION))
    return results, node


def test_result_is_stored_and_leads_back():
    dataset = synthetic_dataset().store()
    results, node = run(dataset)
    assert node.is_finished_ok, node.exit_message
    analysis = results["analysis"]
    assert isinstance(analysis, AnalysisData)
    assert set(results) == {"analysis"}
    assert (analysis.part, analysis.dataset_digest) == ("splits", "synthetic")
    assert analysis.base.attributes.get("version") == ANALYSIS_VERSION
    assert analysis.base.attributes.get("parameters") == AnalysisProtocol.get_parameters("fast")["splits"]
    expected = dataset.properties["valence"].mean()
    np.testing.assert_allclose(analysis.get_array("valence_grouped_predicted"), np.full(48, expected), rtol=1e-6)
    assert analysis.scores["valence"]["grouped"]["rmse"]["mean"] == pytest.approx(dataset.properties["valence"].std())
    query = orm.QueryBuilder().append(DatasetData, filters={"uuid": dataset.uuid}, tag="dataset")
    query.append(orm.CalcFunctionNode, with_incoming="dataset", tag="analyse")
    query.append(AnalysisData, with_incoming="analyse", filters={"attributes.part": "splits"}, project="uuid")
    assert query.all(flat=True) == [analysis.uuid]


def test_who_listens_hears_and_is_no_input():
    dataset = synthetic_dataset().store()
    heard: list[tuple[float, str]] = []
    with listening(lambda fraction, text: heard.append((fraction, text))):
        _, node = run(dataset)
    assert heard == [(0.0, "splits"), (0.5, "half of it")]
    assert set(node.inputs) == {"dataset", "part", "parameters", "version"}
    run(dataset)
    assert len(heard) == 2


def test_second_call_comes_from_the_cache():
    dataset = synthetic_dataset(digest="synthetic, of the cache").store()
    _, first = run(dataset)
    heard: list[float] = []
    with (
        enable_caching(identifier="aiida_siox.calculations.analysis.analyse_part"),
        listening(lambda fraction, _: heard.append(fraction)),
    ):
        results, again = run(dataset)
        other = AnalysisProtocol.get_parameters("fast", {"splits": {"n_seeds": {"valence": {"random": 9}}}})["splits"]
        _, different = run(dataset, parameters=other)
    assert again.base.caching.get_cache_source() == first.uuid
    assert results["analysis"].arrays.keys() == first.outputs.analysis.arrays.keys()
    assert not different.base.caching.is_created_from_cache
    assert heard == [0.0, 0.5]


@pytest.mark.parametrize(
    ("n", "part", "overrides", "status", "message"),
    [
        (48, "windoes", {}, 201, "there is no part `windoes` of the analysis: did you mean `windows`? Valid: averages"),
        (48, "splits", {"training": {"seed": 1}}, 201, "start from a protocol"),
        (48, "splits", {"training": None}, 201, "lack `training`"),
        (3, "splits", {}, 202, "3 sites are too few."),
    ],
)
def test_refused_with_an_exit_message(n, part, overrides, status, message):
    parameters = {**AnalysisProtocol.get_parameters("fast")["splits"], **overrides}
    parameters = {key: value for key, value in parameters.items() if value is not None}
    result, node = run(synthetic_dataset(n, 3), part, parameters)
    assert not result
    assert node.exit_status == status
    assert message in node.exit_message


def test_configurations_that_do_not_fit_are_refused():
    dataset = synthetic_dataset()
    dataset.set_array("property_valence", np.full((48, 1), np.inf))  # NaN is a site without a value
    _, node = run(dataset.store())
    assert node.exit_status == 202
    assert "not finite" in node.exit_message

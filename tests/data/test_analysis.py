"""AnalysisData: one part of an analysis, and the group that holds all parts of a data set."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import orm

from aiida_siox.data.analysis import AnalysisData, analysis_of, group_label, keep_in_group
from tests.calculations.synthetic import synthetic_dataset


def make(dataset, part="splits", arrays=None, **attributes) -> AnalysisData:
    """Return an unstored node."""
    arrays = {"predicted": np.array([1.0, np.nan], dtype=np.float32)} if arrays is None else arrays
    return AnalysisData.from_result(dataset, part, {"n_seeds": 2}, 1, arrays, attributes)


@pytest.mark.usefixtures("aiida_profile")
def test_what_is_stored_comes_back():
    arrays = {
        "predicted": np.array([[1.5, np.nan]], dtype=np.float32),
        "names": np.array(["a", "full"]),
        "flagged": np.array([True, False]),
    }
    scores = {"valence": {"grouped": {"rmse": {"mean": np.float64(0.25), "low": float("nan")}}}}
    node = make(synthetic_dataset(), arrays=arrays, scores=scores, n_seeds=2).store()
    loaded = orm.load_node(node.pk)
    assert isinstance(loaded, AnalysisData)
    assert (loaded.part, loaded.dataset_digest) == ("splits", "synthetic")
    assert loaded.base.attributes.get("parameters") == {"n_seeds": 2}
    assert loaded.scores == {"valence": {"grouped": {"rmse": {"mean": 0.25, "low": None}}}}
    assert set(loaded.arrays) == set(arrays)
    for name, array in arrays.items():
        assert loaded.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded.arrays[name], array)
    query = orm.QueryBuilder().append(
        AnalysisData, filters={"id": node.pk, "attributes.scores.valence.grouped.rmse.mean": {"<": 0.3}}
    )
    assert query.count() == 1


@pytest.mark.usefixtures("aiida_profile")
def test_summary_is_json():
    summary = json.loads(json.dumps(make(synthetic_dataset(), n_seeds=2).store().summary(), allow_nan=False))
    assert summary["type"] == "analysis"
    assert summary["part"] == "splits"
    assert summary["arrays"] == {"predicted": "2 float32"}
    assert not [key for key in summary if key.startswith("array|")]


@pytest.mark.usefixtures("aiida_profile")
def test_what_is_refused():
    dataset = synthetic_dataset()
    with pytest.raises(ValueError, match=r"`odd` of the part `splits` has the type object"):
        make(dataset, arrays={"odd": np.array([None, 1], dtype=object)})
    with pytest.raises(ValueError, match="may not call an attribute version"):
        AnalysisData.from_result(dataset, "splits", {}, 1, {}, {"version": 2})
    with pytest.raises(ValueError, match="lacks part, dataset_digest, parameters, version"):
        AnalysisData().store()
    with pytest.raises(ValueError, match="lacks dataset_digest"):
        make(synthetic_dataset(digest="")).store()


@pytest.mark.usefixtures("aiida_profile")
def test_group_holds_the_latest_of_each_part():
    dataset = synthetic_dataset(digest="0123456789abcdef-of-the-group")
    assert analysis_of(dataset) == ({}, {})
    assert group_label(dataset) == "siox/analysis/0123456789abcdef"
    first, windows = make(dataset).store(), make(dataset, "windows").store()
    keep_in_group(dataset, [first, windows])
    again = make(dataset).store()
    group = keep_in_group(dataset, [again])
    assert {node.pk for node in group.nodes} == {windows.pk, again.pk}
    parts, models = analysis_of(dataset)
    assert {part: node.pk for part, node in parts.items()} == {"splits": again.pk, "windows": windows.pk}
    assert models == {}
    other = synthetic_dataset(digest="another")
    assert analysis_of(other) == ({}, {})
    with pytest.raises(ValueError, match="no `digest`"):
        group_label(synthetic_dataset(digest=""))

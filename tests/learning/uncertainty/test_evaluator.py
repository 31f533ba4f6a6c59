"""Scores of intervals by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.uncertainty.evaluator import coverage_by_composition, coverage_score


def test_coverage_score_by_hand():
    low, high = np.zeros(6), np.array([1.0, 1.0, 1.0, 3.0, 1.0, 1.0])
    reference = np.array([0.0, 1.0, 0.5, 2.0, 2.0, 2.0])
    groups = ["a", "a", "a", "a", "b", "b"]
    score = coverage_score(low, high, reference, groups, n_bootstrap=4000, confidence=0.9, seed=0)
    assert score.coverage == pytest.approx(4 / 6)
    assert score.mean_width == pytest.approx(8 / 6)
    # a and b drawn twice: both a in a quarter of the draws, both b in another
    assert (score.low, score.high) == (0.0, 1.0)
    pooled = coverage_score(low, high, reference, groups, n_bootstrap=4000, confidence=0.4, seed=0)
    assert (pooled.low, pooled.high) == pytest.approx((4 / 6, 4 / 6))
    bins = np.column_stack([reference, reference + 10])
    two = coverage_score(
        np.zeros((6, 2)), np.tile(high[:, None], 2), bins, groups, n_bootstrap=9, confidence=0.9, seed=0
    )
    assert two.coverage == pytest.approx(2 / 6)


def test_by_composition():
    low, high = np.zeros((2, 4, 1)), np.ones((2, 4, 1))
    high[1] = 3.0
    found = coverage_by_composition(
        low,
        high,
        np.array([[0.5], [2.0], [2.0], [0.5]]),
        group=np.array(["a", "a", "b", "b"]),
        x=np.array([0.0, 0.0, 1.0, 2.0]),
        n_bootstrap=10,
        confidence=0.9,
        seed=0,
    )
    assert found["coverage"] == pytest.approx(6 / 8)
    assert found["mean_width"] == pytest.approx(2.0)
    assert [row[:2] for row in found["by_x"]] == [[0.0, 0.75], [1.0, 0.5], [2.0, 1.0]]


def test_one_group_for_each_row():
    with pytest.raises(ValueError, match="one for each row"):
        coverage_score([0.0], [1.0], [0.5], ["a", "b"], n_bootstrap=2, confidence=0.9, seed=0)

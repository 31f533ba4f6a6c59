"""Metrics against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning import metrics


def test_rmse_and_r_squared():
    reference = np.array([[0.0], [2.0], [4.0]])
    predicted = np.array([[1.0], [2.0], [3.0]])
    assert metrics.rmse(predicted, reference) == pytest.approx((2 / 3) ** 0.5)
    assert metrics.r_squared(predicted, reference) == pytest.approx(1 - 2 / 8)
    assert metrics.r_squared(reference, reference) == 1.0


def test_r_squared_of_what_does_not_vary_is_none():
    assert metrics.r_squared(np.array([[1.0]]), np.array([[2.0]])) is None
    assert metrics.r_squared(np.zeros((3, 2)), np.ones((3, 2))) is None


def test_composition_mean_falls_back_to_all():
    targets = np.array([[1.0], [3.0], [8.0]])
    predicted, without = metrics.composition_mean(targets, np.array(["a", "a", "b"]), np.array(["b", "a", "c"]))
    assert predicted.flatten().tolist() == [8.0, 2.0, 4.0]
    assert without == 1


def test_total_variation():
    predicted = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    reference = np.array([[0.25, 0.5, 0.25], [0.0, 1.0, 0.0]])
    assert metrics.total_variation(predicted, reference).tolist() == [0.25, 1.0]

"""Baselines against closed forms and explicit refits, on synthetic spectra."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aiida_siox.learning.analysis.baselines import BASELINES, Problem
from aiida_siox.learning.analysis.parameters import BaselineOptions
from aiida_siox.learning.data.descriptors import descriptors
from aiida_siox.learning.ridge import held_out_errors, inner_folds, rows_to_choose, squared_distances
from aiida_siox.workflows.analysis import AnalysisProtocol
from tests.learning.toy import ENERGY, toy_arrays, toy_examples

ARRAYS = toy_arrays(90, 9)
GROUPS = np.array([f"cell{i}" for i in ARRAYS["configuration"]])
TEST = np.isin(ARRAYS["configuration"], (2, 6))
OPTIONS = BaselineOptions.parse(AnalysisProtocol.get_parameters("fast")["splits"]["baseline_options"])
WINDOW = OPTIONS.descriptors.window_eV
EXAMPLES = toy_examples(n=90, n_configurations=9)


def rmse(predicted: np.ndarray, reference: np.ndarray) -> float:
    return float(np.sqrt(((predicted - reference) ** 2).mean()))


def call(name: str, targets: np.ndarray, new: np.ndarray = ARRAYS["spectra"][TEST], **options) -> np.ndarray:
    train = dataclasses.replace(EXAMPLES, targets=targets).subset(np.flatnonzero(~TEST))
    return BASELINES[name](Problem(train, new, 1), getattr(OPTIONS, name).model_copy(update=options))


def mean(targets: np.ndarray) -> np.ndarray:
    """Predict the mean of the training rows."""
    return np.tile(targets[~TEST].mean(axis=0), (int(TEST.sum()), 1))


@pytest.mark.parametrize("name", BASELINES)
def test_uniform_call(name):
    for targets in (ARRAYS["valence"][:, None], ARRAYS["rdf"]):
        predicted = call(name, targets)
        assert predicted.shape == targets[TEST].shape
        np.testing.assert_array_equal(predicted, call(name, targets))
        assert rmse(predicted, targets[TEST]) < 0.3 * rmse(mean(targets), targets[TEST])


def test_descriptor_regression_recovers_linear_weights():
    columns = descriptors(ENERGY, ARRAYS["spectra"], WINDOW)
    targets = columns @ np.array([[0.7, -2.0], [1.3, 0.0], [0.02, 5.0]]) + np.array([0.4, -9000.0])
    np.testing.assert_allclose(call("descriptors", targets), targets[TEST], rtol=1e-9)


def test_descriptor_regression_of_equal_spectra_is_their_mean():
    targets = np.array([[1.0], [2.0], [3.0], [6.0]])
    train = dataclasses.replace(EXAMPLES.subset([0, 0, 0, 0]), targets=targets)
    predicted = BASELINES["descriptors"](Problem(train, train.spectra[:1], 0), OPTIONS.descriptors)
    assert predicted == pytest.approx(np.array([[3.0]]))


def test_held_out_errors_are_those_of_training_anew():
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(30, 4)), rng.normal(size=(30, 3))
    fold = inner_folds(np.arange(30) // 3, 4, 0)
    kernel = np.exp(-0.1 * squared_distances(rows, rows))
    alphas = (1e-3, 0.1, 2.0)
    expected = np.zeros(3)
    for i, alpha in enumerate(alphas):
        for k in range(4):
            out, kept = fold == k, fold != k
            weights = np.linalg.solve(kernel[np.ix_(kept, kept)] + alpha * np.eye(kept.sum()), targets[kept])
            expected[i] += ((kernel[np.ix_(out, kept)] @ weights - targets[out]) ** 2).sum() / targets.size
    np.testing.assert_allclose(held_out_errors(kernel, targets, fold, alphas), expected, rtol=1e-8)


def test_kernel_ridge_without_choice_is_its_closed_form():
    train, test = ARRAYS["spectra"][~TEST], ARRAYS["spectra"][TEST]
    targets = ARRAYS["rdf"]
    spread = np.maximum(train.std(axis=0), 0.3 * train.std(axis=0).max())
    a, b = (test - train.mean(axis=0)) / spread, (train - train.mean(axis=0)) / spread
    kernel = lambda p, q: np.exp(-1e-3 * ((p[:, None] - q[None]) ** 2).sum(axis=2))  # noqa: E731
    centre = targets[~TEST].mean(axis=0)
    weights = np.linalg.solve(kernel(b, b) + 0.01 * np.eye(len(b)), targets[~TEST] - centre)
    predicted = call("kernel_ridge", targets, alphas=[0.01], gammas=[1e-3], scale_floor=0.3)
    np.testing.assert_allclose(predicted, centre + kernel(a, b) @ weights, atol=1e-8)


def test_kernel_ridge_chooses_strong_ridge_for_targets_without_relation():
    rng = np.random.default_rng(5)
    targets = rng.normal(size=(90, 1))
    chosen = call("kernel_ridge", targets, alphas=[1e-6, 1e3], gammas=[1e-3])
    np.testing.assert_allclose(chosen, mean(targets), atol=0.05)
    related = call("kernel_ridge", ARRAYS["valence"][:, None], alphas=[1e-3, 1e3], gammas=[1e-3])
    assert rmse(related, ARRAYS["valence"][TEST, None]) < 0.2


def test_kernel_ridge_chooses_from_whole_configurations_when_there_are_many():
    rows = rows_to_choose(GROUPS, 30, 0)
    assert len(rows) == 30
    assert len(np.unique(GROUPS[rows])) == 3
    predicted = call("kernel_ridge", ARRAYS["valence"][:, None], most_rows=30)
    assert rmse(predicted, ARRAYS["valence"][TEST, None]) < 0.3


def test_test_rows_decide_nothing():
    both, alone = (
        call("kernel_ridge", ARRAYS["valence"][:, None], new)
        for new in (ARRAYS["spectra"][TEST], ARRAYS["spectra"][TEST][3:4])
    )
    np.testing.assert_allclose(alone, both[3:4], atol=1e-10)


def test_folds_of_one_configuration_are_of_its_sites():
    assert sorted(np.bincount(inner_folds(["same"] * 7, 3, 0))) == [2, 2, 3]
    fold = inner_folds(GROUPS, 3, 0)
    assert all(len(set(fold[name == GROUPS])) == 1 for name in set(GROUPS))

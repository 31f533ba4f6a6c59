"""The learning curve: nested training sets, a power law that is found again, and the sites it asks for."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.analysis.learning_curve import learning_curve, power_law, sites_needed
from aiida_siox.learning.analysis.parameters import LearningCurve
from tests.learning.toy import toy_examples, toy_hyper

PARAMETERS = {
    "targets": ["valence"],
    "fractions": [0.25, 0.5, 1.0],
    "n_repeats": 2,
    "wanted_rmse": {"valence": [0.2]},
    "linear_factor": 2.0,
    "descriptors": {"window_eV": [-1.5, 3.5]},
}


def test_sizes_and_errors():
    examples = toy_examples(n=96, n_configurations=12)
    result = learning_curve(examples, examples, LearningCurve.parse(PARAMETERS), toy_hyper(epochs=40))
    assert result.n_configurations.tolist() == [2, 4, 9]
    assert result.n_sites.tolist() == [[16, 16], [32, 32], [72, 72]]
    assert result.rmse.shape == result.no_skill.shape == (3, 2)
    assert result.rmse.mean(axis=1)[2] < result.rmse.mean(axis=1)[0]
    assert (result.rmse < result.no_skill).all()
    assert (result.linear < result.no_skill).all()
    half = f"{result.linear[-1].mean() / 2:.3f}"
    assert list(result.sites_needed) == ["0.2", half.rstrip("0")]


def test_linear_regression_is_of_scalars():
    examples = toy_examples("oxidation", n=48, n_configurations=6)
    parameters = LearningCurve.parse({**PARAMETERS, "fractions": [1.0], "n_repeats": 1})
    result = learning_curve(examples, examples, parameters, toy_hyper(epochs=2))
    assert result.linear is None
    assert result.sites_needed == {}


def test_power_law_is_found_again():
    n = np.array([20.0, 50, 100, 200, 400])
    law = power_law(n, 3 * n**-0.6 + 0.05)
    assert law["a"] == pytest.approx(3, rel=1e-3)
    assert law["b"] == pytest.approx(0.6, rel=1e-3)
    assert law["c"] == pytest.approx(0.05, rel=1e-3)
    assert sites_needed(law, 3 * 1000**-0.6 + 0.05) == pytest.approx(1000, abs=5)


def test_no_law_no_number():
    assert power_law([10, 20, 30], [3, 2, 1]) == {}
    assert power_law([10, 20, 30, 40], [1, 1, 1, 2]) == {}
    assert sites_needed({}, 0.1) is None
    assert sites_needed({"a": 1.0, "b": 0.5, "c": 0.2}, 0.1) is None

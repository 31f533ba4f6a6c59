"""Scales of errors by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.uncertainty.estimator import ESTIMATORS, LocalResiduals

#: Four sites with predictions 0, 0, 10, 10; those of fold 0 come first in each pair.
PREDICTED = np.array([[0.0], [0.0], [10.0], [10.0]])
ERRORS = np.array([[1.0], [2.0], [5.0], [7.0]])
FOLD = np.array([0, 1, 0, 1])


def test_mean_error_of_those_with_a_similar_prediction_in_other_folds():
    local = LocalResiduals(PREDICTED, ERRORS, FOLD, bandwidth=0.1, prior_sites=0.0)
    np.testing.assert_allclose(local.own(), [[2.0], [1.0], [7.0], [5.0]])
    new = local.scales(np.array([[[0.0], [10.0]], [[0.0], [10.0]]]), np.zeros((2, 3)))
    np.testing.assert_allclose(new[..., 0], [[2.0, 7.0], [1.0, 5.0]])


def test_drawn_towards_the_mean():
    local = LocalResiduals(PREDICTED, ERRORS, FOLD, bandwidth=0.1, prior_sites=1.0)
    # of fold 1: 2 and 7 with the mean 4.5; one site is near, one more has the mean
    assert local.scales(np.full((2, 1, 1), 0.0), np.zeros((1, 3)))[0, 0, 0] == pytest.approx((2.0 + 4.5) / 2)
    # far from all predictions the mean is left
    assert local.scales(np.full((2, 1, 1), 1e6), np.zeros((1, 3)))[0, 0, 0] == pytest.approx(4.5)


def test_outputs_without_error_have_a_scale():
    errors = np.column_stack([ERRORS, np.zeros(4)])
    local = LocalResiduals(np.repeat(PREDICTED, 2, axis=1), errors, FOLD, 0.1, 20.0)
    assert (local.own() > 0).all()
    np.testing.assert_array_equal(local.own()[:, 1], 1.0)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_all_are_positive(name):
    from tests.learning.uncertainty.test_calibrator import Line

    line = Line(1)
    fitted = ESTIMATORS[name].fit(line.left_out, {"bandwidth": 0.2, "prior_sites": 5})
    assert fitted.own().shape == line.left_out.errors.shape
    assert (fitted.own() > 0).all()
    scales = fitted.scales(line.members, line.spectra)
    assert scales.shape == line.members.shape
    assert (scales > 0).all()
    np.testing.assert_allclose(
        ESTIMATORS[name].from_state(fitted.state()).scales(line.members, line.spectra), scales, rtol=1e-6
    )

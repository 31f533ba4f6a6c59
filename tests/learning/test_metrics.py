"""Metrics against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from aiida_siox.learning import metrics


def test_rmse_and_r_squared():
    reference = torch.tensor([[0.0], [2.0], [4.0]], dtype=torch.float64)
    predicted = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    assert metrics.rmse(predicted, reference) == pytest.approx((2 / 3) ** 0.5)
    assert metrics.r_squared(predicted, reference) == pytest.approx(1 - 2 / 8)
    assert metrics.r_squared(reference, reference) == 1.0


def test_r_squared_of_what_does_not_vary_is_none():
    assert metrics.r_squared(torch.tensor([[1.0]]), torch.tensor([[2.0]])) is None
    assert metrics.r_squared(torch.zeros(3, 2), torch.ones(3, 2)) is None


def test_composition_mean_falls_back_to_all():
    targets = torch.tensor([[1.0], [3.0], [8.0]])
    predicted, without = metrics.composition_mean(targets, ["a", "a", "b"], ["b", "a", "c"])
    assert predicted.flatten().tolist() == [8.0, 2.0, 4.0]
    assert without == 1

"""Scores of predictions, each beside what no skill would give."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor


def mse(predicted: Tensor, reference: Tensor) -> Tensor:
    """Return the mean squared difference over sites and bins: the loss, and the square of the RMSE."""
    return (predicted - reference).square().mean()


def rmse(predicted: Tensor, reference: Tensor) -> float:
    """Return the root mean squared difference over sites and bins, in the unit of the target."""
    return float(mse(predicted, reference).sqrt())


def r_squared(predicted: Tensor, reference: Tensor) -> float | None:
    """Return 1 − SSE / SST, with SST about the mean of the reference in each bin.

    :returns: None when the reference varies by less than 1e-4 of its size (a single site, or equivalent sites): what
        is left is the noise of the charges, and the ratio says nothing.
    """
    total = float(mse(reference.mean(dim=0).expand_as(reference), reference))
    if total <= 1e-8 * float(reference.square().mean()):
        return None
    return 1.0 - float(mse(predicted, reference)) / total


def composition_mean(train_targets: Tensor, train_x: Sequence[str], test_x: Sequence[str]) -> tuple[Tensor, int]:
    """Predict the mean of the training sites of the same composition.

    :param train_targets: shape (n_train, n_outputs).
    :param train_x: composition of each training site.
    :param test_x: composition of each test site.
    :returns: predictions (n_test, n_outputs), and how many test sites have a composition that training has not:
        they get the mean of all training sites.
    """
    overall = train_targets.mean(dim=0)
    means: dict[str, Tensor] = {}
    for name in set(train_x):
        rows = [row for row, other in enumerate(train_x) if other == name]
        means[name] = train_targets[rows].mean(dim=0)
    predictions = torch.stack([means.get(name, overall) for name in test_x])
    return predictions, sum(name not in means for name in test_x)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of one network on the test sites of its split, pooled over sites and bins.

    :param rmse: in the unit of the target.
    :param r2: coefficient of determination; None if the test sites do not vary.
    :param rmse_no_skill: RMSE of predicting the mean of the training sites (bin by bin).
    :param skill: 1 − rmse / rmse_no_skill; None if the latter is zero.
    :param rmse_composition_mean: RMSE of predicting the mean of the training sites of the same composition.
    :param n_without_composition: test sites whose composition is not in training (they count with the mean of all).
    :param rmse_train: RMSE on the training sites (validation included).
    :param n_train: training sites, validation included.
    :param n_validation: those of them that decided when to stop.
    :param n_test: test sites.
    :param epochs: passes that were made.
    :param best_epoch: the pass whose weights were kept, counted from 1.
    """

    rmse: float
    r2: float | None
    rmse_no_skill: float
    skill: float | None
    rmse_composition_mean: float
    n_without_composition: int
    rmse_train: float
    n_train: int
    n_validation: int
    n_test: int
    epochs: int
    best_epoch: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Return plain values that JSON can hold."""
        return dataclasses.asdict(self)

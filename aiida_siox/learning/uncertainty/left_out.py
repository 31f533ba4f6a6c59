"""Errors on what networks have not fitted: of sites, and of averaged spectra."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from aiida_siox.learning import metrics
from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.training.cross_validation import Trained

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """References of spectra, what networks that have not fitted them predict, and the mean of those that they fitted.

    :param spectra: as the networks read them, shape (n, n_e).
    :param fold: fold of each spectrum, shape (n,).
    :param reference: shape (n, n_outputs).
    :param predicted: shape (n, n_outputs).
    :param no_skill: shape (n, n_outputs).
    :param group: number of the configuration of each spectrum where these were left out as a whole, else of the
        spectrum itself, shape (n,).
    """

    spectra: Array
    fold: Indices
    reference: Array
    predicted: Array
    no_skill: Array
    group: Indices

    @property
    def errors(self) -> Array:
        """Absolute errors, shape (n, n_outputs)."""
        return np.abs(self.reference - self.predicted)

    @property
    def n_groups(self) -> int:
        """How many there are that were left out, each as a whole."""
        return len(np.unique(self.group))

    def scores(self) -> dict[str, float | int | None]:
        """Return RMSE, R² and skill beside the RMSE of no skill.

        The left-out fold stopped its networks and chose the hyperparameters: these scores are somewhat too good.
        """
        rmse, rmse_no_skill = (metrics.rmse(each, self.reference) for each in (self.predicted, self.no_skill))
        return {
            "rmse": rmse,
            "r2": metrics.r_squared(self.predicted, self.reference),
            "rmse_no_skill": rmse_no_skill,
            "skill": 1 - rmse / rmse_no_skill if rmse_no_skill > 0 else None,
            "n": len(self.reference),
        }


def of_sites(examples: Examples, trained: Trained) -> LeftOut:
    """Return what the networks of the left-out folds say of the sites of training."""
    inside = examples.subset(trained.rows)
    folds = _folds_by_group(inside, trained)
    whole = all(len(of) == 1 for of in folds.values())
    groups = inside.group if whole else np.arange(len(inside))
    return LeftOut(
        trained.ensemble.normalise(inside.spectra),
        trained.fold,
        inside.targets,
        trained.out_of_fold,
        fold_means(inside.targets, trained.fold)[trained.fold],
        np.unique(groups, return_inverse=True)[1],
    )


def of_averages(examples: Examples, trained: Trained) -> LeftOut:
    """Return what the networks of the left-out folds say of the averaged spectra of complete configurations.

    None where a configuration is in several folds: no network has left it out as a whole.
    """
    inside = examples.subset(trained.rows)
    averages = inside.averaged()
    by_group = _folds_by_group(inside, trained)
    folds = [by_group[str(name)] for name in averages.group]
    held = np.array([len(of) == 1 for of in folds], dtype=bool)
    fold = np.array([of[0] for of in folds], dtype=np.int64)[held]
    members = trained.ensemble.member_predictions(averages.spectra[held])
    return LeftOut(
        trained.ensemble.normalise(averages.spectra[held]),
        fold,
        averages.targets[held],
        members[fold, np.arange(len(fold))],
        fold_means(inside.targets, trained.fold)[fold],
        np.unique(averages.group[held], return_inverse=True)[1],
    )


def _folds_by_group(inside: Examples, trained: Trained) -> dict[str, Indices]:
    """Return the folds in which the sites of each configuration of training are."""
    return {str(name): np.unique(trained.fold[inside.group == name]) for name in np.unique(inside.group)}


def fold_means(reference: Array, fold: Indices) -> Array:
    """Return the mean of the targets outside of each fold, shape (K, n_outputs)."""
    return np.stack([reference[fold != k].mean(axis=0) for k in range(int(fold.max()) + 1)])

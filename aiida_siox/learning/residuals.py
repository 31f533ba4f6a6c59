"""Errors on what networks have not fitted, from which intervals are made: of sites, and of averaged spectra."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from aiida_siox.learning import metrics
from aiida_siox.learning.conformal import cv_plus_interval, order_index
from aiida_siox.learning.ensemble import Trained
from aiida_siox.learning.parameters import Target
from aiida_siox.learning.sites import SiteSet

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Residuals:
    """Absolute errors of spectra by the networks of the fold that they were left out of.

    :param values: |reference − out-of-fold prediction|, shape (n, n_outputs).
    :param fold: fold of each spectrum, shape (n,).
    :param group: number of the configuration of each spectrum where these were left out as a whole, else of the
        spectrum itself, shape (n,).
    """

    values: Array
    fold: Indices
    group: Indices

    @property
    def n_groups(self) -> int:
        """How many there are that were left out, each as a whole."""
        return len(np.unique(self.group))

    def suffice(self, coverage: float) -> bool:
        """Return whether they are enough for finite intervals of this coverage."""
        return order_index(len(self.values), coverage, self.n_groups) <= len(self.values)

    def interval(self, member_predictions: Array, coverage: float) -> tuple[Array, Array]:
        """Return the ends of the CV+ intervals of new spectra, each of shape (m, n_outputs).

        :param member_predictions: of m new spectra by the networks of each of K folds, shape (K, m, n_outputs).
        """
        return cv_plus_interval(member_predictions, self.values, self.fold, coverage, groups=self.group)


@dataclasses.dataclass(frozen=True)
class OutOfFold:
    """References of spectra, what networks that have not fitted them predict, and the mean of those that they fitted.

    :param fold: fold of each spectrum, shape (n,).
    :param reference: shape (n, n_outputs).
    :param predicted: shape (n, n_outputs).
    :param no_skill: shape (n, n_outputs).
    :param group: as of :class:`Residuals`.
    """

    fold: Indices
    reference: Array
    predicted: Array
    no_skill: Array
    group: Indices

    def residuals(self) -> Residuals:
        """Return the absolute errors, with the precision that files keep."""
        values = np.abs(self.reference - self.predicted).astype(np.float32).astype(float)
        return Residuals(values, self.fold, self.group)

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


def of_sites(sites: SiteSet, target: Target, trained: Trained) -> OutOfFold:
    """Return what the networks of the left-out folds say of the sites of training."""
    reference = sites.targets(target)[trained.rows]
    folds = _folds_by_group(sites, trained)
    whole = all(len(of) == 1 for of in folds.values())
    groups = sites.groups[trained.rows] if whole else np.arange(len(reference))
    return OutOfFold(
        trained.fold,
        reference,
        trained.out_of_fold,
        fold_means(reference, trained.fold)[trained.fold],
        np.unique(groups, return_inverse=True)[1],
    )


def of_averages(sites: SiteSet, target: Target, trained: Trained) -> OutOfFold:
    """Return what the networks of the left-out folds say of the averaged spectra of complete configurations.

    None where a configuration is in several folds: no network has left it out as a whole.
    """
    inside = sites.subset(trained.rows).averaged(target)
    by_group = _folds_by_group(sites, trained)
    folds = [by_group[sites.digests[i]] for i in inside.configuration]
    held = np.array([len(of) == 1 for of in folds], dtype=bool)
    fold = np.array([of[0] for of in folds], dtype=np.int64)[held]
    members = trained.ensemble.member_predictions(inside.spectra[held])
    means = fold_means(sites.targets(target)[trained.rows], trained.fold)
    predicted = members[fold, np.arange(len(fold))]
    names = np.array([sites.digests[i] for i in inside.configuration[held]], dtype=str)
    groups = np.unique(names, return_inverse=True)[1]
    return OutOfFold(fold, inside.targets[held], predicted, means[fold], groups)


def _folds_by_group(sites: SiteSet, trained: Trained) -> dict[str, Indices]:
    """Return the folds in which the sites of each configuration of training are."""
    groups = sites.groups[trained.rows]
    return {str(name): np.unique(trained.fold[groups == name]) for name in np.unique(groups)}


def fold_means(reference: Array, fold: Indices) -> Array:
    """Return the mean of the targets outside of each fold, shape (K, n_outputs)."""
    return np.stack([reference[fold != k].mean(axis=0) for k in range(int(fold.max()) + 1)])

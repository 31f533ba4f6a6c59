"""Division of sites into training and test, and of training sites into folds."""

from __future__ import annotations

import dataclasses
import enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.int64]

#: One site to fit and one to stop by in training, and one to test: with fewer there is nothing to score.
MINIMUM_SITES = 4


class SplitKind(enum.StrEnum):
    """How sites are divided into training and test."""

    RANDOM = "random"
    GROUPED = "grouped"
    COMPOSITION = "composition"


@dataclasses.dataclass(frozen=True)
class Split:
    """Row numbers of the two sides, each increasing.

    :param kind: how they were made.
    :param train: sites that may decide anything: weights, when to stop, hyperparameters, scalers.
    :param test: sites that decide nothing.
    """

    kind: SplitKind
    train: Indices
    test: Indices


def random_splits(n: int, test_fraction: float, seed: int) -> list[Split]:
    """Divide sites once at random whatever their configuration, as the paper does.

    :param n: number of sites.
    :raises ValueError: if there are fewer than four.
    """
    _check_count(n)
    order = np.random.default_rng(seed).permutation(n)
    n_test = min(max(1, round(test_fraction * n)), n - MINIMUM_SITES + 1)
    return [Split(SplitKind.RANDOM, np.sort(order[n_test:]), np.sort(order[:n_test]))]


def grouped_splits(groups: ArrayLike, n_folds: int, seed: int) -> list[Split]:
    """Leave whole configurations out, each site once.

    :param groups: configuration of each site, shape (n,): a label that is equal for equal configurations.
    :param n_folds: at most; not more than there are configurations.
    :raises ValueError: if there is only one configuration, or too few sites.
    """
    labels = np.asarray(groups)
    _check_count(len(labels))
    return _leave_out(SplitKind.GROUPED, labels, group_folds(labels, n_folds, seed))


def composition_splits(groups: ArrayLike, compositions: ArrayLike) -> list[Split]:
    """Leave one composition out after the other.

    :param groups: configuration of each site, shape (n,).
    :param compositions: composition of each site, shape (n,).
    :raises ValueError: if there is only one composition, or too few sites.
    """
    labels = np.asarray(compositions)
    _check_count(len(labels))
    names, folds = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError("all sites have one composition: leaving a composition out needs at least two.")
    return _leave_out(SplitKind.COMPOSITION, np.asarray(groups), folds)


def make_splits(
    kind: SplitKind, groups: ArrayLike, compositions: ArrayLike, *, test_fraction: float, n_folds: int, seed: int
) -> list[Split]:
    """Return the splits of a kind; the same arguments give the same splits.

    :param groups: configuration of each site, shape (n,).
    :param compositions: composition of each site, shape (n,).
    :raises ValueError: if the sites cannot be divided so.
    """
    if kind is SplitKind.RANDOM:
        return random_splits(len(np.asarray(groups)), test_fraction, seed)
    if kind is SplitKind.GROUPED:
        return grouped_splits(groups, n_folds, seed)
    return composition_splits(groups, compositions)


def group_folds(groups: ArrayLike, n_folds: int, seed: int) -> Indices:
    """Return the fold of each site; a configuration is in one fold only, and folds are of similar size.

    Configurations go, in random order, to the fold that has the fewest sites so far.

    :param groups: configuration of each site, shape (n,).
    :raises ValueError: if there is only one configuration.
    """
    names, members, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError("all sites belong to one configuration: a grouped split needs at least two.")
    sizes = np.zeros(min(n_folds, len(names)), dtype=int)
    fold = np.empty(len(names), dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(len(names)):
        fold[group] = int(sizes.argmin())
        sizes[fold[group]] += counts[group]
    return fold[members]


def site_folds(n: int, n_folds: int, seed: int) -> Indices:
    """Return the fold of each of n sites whatever their configuration."""
    fold = np.empty(n, dtype=np.int64)
    fold[np.random.default_rng(seed).permutation(n)] = np.arange(n) % min(n_folds, n)
    return fold


def require_disjoint(groups: ArrayLike, train: ArrayLike, test: ArrayLike) -> None:
    """Refuse a split that has a configuration on both sides.

    :param groups: configuration of each site, shape (n,).
    :param train: rows of the one side.
    :param test: rows of the other side.
    :raises ValueError: naming the configurations.
    """
    labels = np.asarray(groups)
    shared = np.intersect1d(labels[np.asarray(train, dtype=int)], labels[np.asarray(test, dtype=int)])
    if shared.size:
        names = ", ".join(str(label) for label in shared[:5])
        raise ValueError(f"configuration {names} has sites in training and in test: a grouped split divides neither.")


def _leave_out(kind: SplitKind, groups: NDArray[np.generic], folds: Indices) -> list[Split]:
    splits = []
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        require_disjoint(groups, train, test)
        if len(train) < 2:
            raise ValueError(
                f"{len(train)} sites are left for training when {len(test)} are left out: add configurations to the "
                "data set."
            )
        splits.append(Split(kind, train, test))
    return splits


def _check_count(n: int) -> None:
    if n < MINIMUM_SITES:
        raise ValueError(
            f"{n} sites are too few to train and test a network: at least {MINIMUM_SITES} finished sites are needed. "
            "Add configurations to the data set."
        )

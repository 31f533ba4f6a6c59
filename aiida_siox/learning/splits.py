"""Division of sites into training, validation and test: one function for each kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning.parameters import SplitKind

Indices = NDArray[np.int64]

#: Two sites to fit, one to stop by, one to test: with fewer there is nothing to score.
MINIMUM_SITES = 4
_KEPT_FOR_TRAINING = MINIMUM_SITES - 1


@dataclasses.dataclass(frozen=True)
class Split:
    """Row numbers of the three parts, each increasing.

    :param kind: how they were made.
    :param fit: sites whose loss is minimised.
    :param validation: sites that decide when to stop: training sites, too.
    :param test: sites that decide nothing.
    """

    kind: SplitKind
    fit: Indices
    validation: Indices
    test: Indices

    @property
    def train(self) -> Indices:
        """Everything that is not test, increasing."""
        return np.sort(np.concatenate([self.fit, self.validation]))

    @property
    def parts(self) -> NDArray[np.str_]:
        """``fit``, ``validation`` or ``test`` for each row."""
        parts = np.full(len(self.fit) + len(self.validation) + len(self.test), "fit", dtype="<U10")
        parts[self.validation] = "validation"
        parts[self.test] = "test"
        return parts


@dataclasses.dataclass(frozen=True)
class SplitSizes:
    """How much goes where (see :class:`~aiida_siox.learning.parameters.Hyperparameters`)."""

    test_fraction: float
    validation_fraction: float
    grouped_validation_min_configurations: int


def random_split(groups: ArrayLike, sizes: SplitSizes, seed: int) -> Split:
    """Divide sites at random whatever their configuration, as the paper does.

    :param groups: configuration of each site, shape (n,); only its length is used.
    :raises ValueError: if there are fewer than four sites.
    """
    n = _check_count(groups)
    order = np.random.default_rng(seed).permutation(n)
    n_test = min(max(1, round(sizes.test_fraction * n)), n - _KEPT_FOR_TRAINING)
    fit, validation = _take_sites(order[n_test:], sizes.validation_fraction)
    return Split(SplitKind.RANDOM, fit, validation, np.sort(order[:n_test]))


def grouped_split(groups: ArrayLike, sizes: SplitSizes, seed: int) -> Split:
    """Divide whole configurations, so that none has sites in training and in test.

    :param groups: configuration of each site, shape (n,): a label that is equal for equal configurations.
    :raises ValueError: if there is only one configuration, or none can be left out.
    """
    n = _check_count(groups)
    labels = np.asarray(groups)
    generator = np.random.default_rng(seed)
    test = _take_groups(labels, sizes.test_fraction, n - _KEPT_FOR_TRAINING, generator)
    train = np.setdiff1d(np.arange(n), test)
    if len(np.unique(labels[train])) >= sizes.grouped_validation_min_configurations:
        validation = train[_take_groups(labels[train], sizes.validation_fraction, len(train) - 2, generator)]
        fit = np.setdiff1d(train, validation)
    else:
        fit, validation = _take_sites(generator.permutation(train), sizes.validation_fraction)
    split = Split(SplitKind.GROUPED, fit, validation, test)
    require_disjoint(labels, split.train, split.test)
    return split


SPLITTERS: dict[SplitKind, Callable[[ArrayLike, SplitSizes, int], Split]] = {
    SplitKind.RANDOM: random_split,
    SplitKind.GROUPED: grouped_split,
}


def make_split(kind: SplitKind, groups: ArrayLike, sizes: SplitSizes, seed: int) -> Split:
    """Return the split of a kind; the same arguments give the same split."""
    return SPLITTERS[kind](groups, sizes, seed)


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


def _check_count(groups: ArrayLike) -> int:
    n = len(np.asarray(groups))
    if n < MINIMUM_SITES:
        raise ValueError(
            f"{n} sites are too few to train and test a network: at least {MINIMUM_SITES} finished sites are needed. "
            "Add configurations to the data set."
        )
    return n


def _take_sites(order: Indices, fraction: float) -> tuple[Indices, Indices]:
    """Return the rest and the first part of rows that are already in random order."""
    n_taken = min(max(1, round(fraction * len(order))), len(order) - 2)
    return np.sort(order[n_taken:]), np.sort(order[:n_taken])


def _take_groups(labels: NDArray[np.generic], fraction: float, most: int, generator: np.random.Generator) -> Indices:
    """Return rows of whole groups, drawn in random order as long as that brings their number nearer to the wish."""
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2:
        raise ValueError("all sites belong to one configuration: a grouped split needs at least two.")
    wanted = fraction * len(labels)
    taken: list[int] = []
    total = 0
    for index in generator.permutation(len(names)):
        size = int(counts[index])
        if total + size > most or len(taken) == len(names) - 1:
            continue
        if not taken or abs(total + size - wanted) < abs(total - wanted):
            taken.append(int(index))
            total += size
    if not taken:
        raise ValueError(
            f"no configuration can be left out for the test: {_KEPT_FOR_TRAINING} sites must stay for training. "
            "Add configurations to the data set."
        )
    return np.flatnonzero(np.isin(labels, names[taken]))

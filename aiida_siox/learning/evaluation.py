"""Training with every split, with the scores side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from aiida_siox.learning import metrics
from aiida_siox.learning.parameters import Hyperparameters, SplitKind, Target
from aiida_siox.learning.splits import Split, SplitSizes, make_split
from aiida_siox.learning.training import Fit, fit, reproducible

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class LearningData:
    """Spectra and one target of n sites, checked.

    :param energy: increasing energies in eV, shape (n_e,).
    :param spectra: raw spectra, shape (n, n_e).
    :param targets: e or g(R), shape (n, n_outputs).
    :param groups: label of the configuration of each site, equal for equal configurations.
    :param compositions: label of the composition of each site.
    """

    energy: Array
    spectra: Array
    targets: Array
    groups: Sequence[str]
    compositions: Sequence[str]

    @classmethod
    def checked(
        cls,
        energy: ArrayLike,
        spectra: ArrayLike,
        targets: ArrayLike,
        groups: Sequence[str],
        compositions: Sequence[str],
    ) -> LearningData:
        """Build from arrays; a target of shape (n,) becomes (n, 1).

        :raises ValueError: if shapes do not fit, energies do not increase, or a number is not finite.
        """
        energy, spectra, targets = (np.asarray(a, dtype=float) for a in (energy, spectra, targets))
        if targets.ndim == 1:
            targets = targets[:, None]
        n = len(spectra)
        if spectra.ndim != 2 or spectra.shape[1:] != energy.shape or targets.ndim != 2:
            raise ValueError(
                f"shapes do not fit: energies {energy.shape}, spectra {spectra.shape}, targets {targets.shape}."
            )
        if not len(targets) == len(groups) == len(compositions) == n:
            raise ValueError(
                f"{n} spectra, {len(targets)} targets, {len(groups)} configurations, {len(compositions)} compositions: "
                "there must be one of each for every site."
            )
        if np.any(np.diff(energy) <= 0):
            raise ValueError("the energies of the spectra must increase.")
        for name, array in (("spectrum", spectra), ("target", targets)):
            bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
            if bad.size:
                raise ValueError(
                    f"the {name} of row {bad[0]} (and of {bad.size - 1} more) has numbers that are not finite."
                )
        return cls(energy, spectra, targets, list(groups), list(compositions))

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.spectra)


@dataclasses.dataclass(frozen=True)
class SplitResult:
    """What one split gave.

    :param split: the rows.
    :param fit: the network and its history.
    :param predicted: predictions for all rows, test and training, shape (n, n_outputs).
    :param scores: on the test rows.
    """

    split: Split
    fit: Fit
    predicted: Array
    scores: metrics.Scores


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Results of all splits, and which of them gives the network to keep.

    :param chosen: split of the network to keep.
    :param results: for each split that could be made.
    :param unavailable: reason for each split that could not be made.
    """

    chosen: SplitKind
    results: dict[SplitKind, SplitResult]
    unavailable: dict[SplitKind, str]

    @property
    def best(self) -> SplitResult:
        """Result of the chosen split."""
        return self.results[self.chosen]


def train_and_score(data: LearningData, target: Target, hyper: Hyperparameters) -> Outcome:
    """Train one network for each kind of split and score it on its test sites.

    If the chosen split cannot be made (``grouped`` with a single configuration), the random one takes its place
    and the reason is in ``unavailable``.

    :param data: the sites.
    :param target: what is learned: it selects the shape of the network.
    :param hyper: the protocol.
    :raises ValueError: if there are too few sites.
    """
    energy, spectra, targets = (torch.from_numpy(a) for a in (data.energy, data.spectra, data.targets))
    architecture = hyper.architecture(target, spectra.shape[1], targets.shape[1])
    sizes = SplitSizes(hyper.test_fraction, hyper.validation_fraction, hyper.grouped_validation_min_configurations)
    results: dict[SplitKind, SplitResult] = {}
    unavailable: dict[SplitKind, str] = {}
    for kind in SplitKind:
        try:
            split = make_split(kind, data.groups, sizes, hyper.seed)
        except ValueError as exception:
            if kind is SplitKind.RANDOM:
                raise
            unavailable[kind] = str(exception)
            continue
        trained = fit(energy, spectra, targets, split, architecture, hyper)
        with reproducible(hyper.seed, hyper.threads), torch.no_grad():
            predicted = trained.network(spectra)
        results[kind] = SplitResult(
            split, trained, predicted.numpy(), score(predicted, targets, split, data.compositions, trained)
        )
    chosen = hyper.split if hyper.split in results else SplitKind.RANDOM
    return Outcome(chosen, results, unavailable)


def score(
    predicted: Tensor, targets: Tensor, split: Split, compositions: Sequence[str], trained: Fit
) -> metrics.Scores:
    """Score predictions on the test rows of a split.

    :param predicted: predictions for all rows, shape (n, n_outputs).
    :param targets: references for all rows, same shape.
    :param split: the rows.
    :param compositions: composition of each row.
    :param trained: the training, for its epochs.
    """
    train, test = split.train, split.test
    reference = targets[test]
    error = metrics.rmse(predicted[test], reference)
    no_skill = metrics.rmse(targets[train].mean(dim=0).expand_as(reference), reference)
    by_composition, n_without = metrics.composition_mean(
        targets[train], [compositions[i] for i in train], [compositions[i] for i in test]
    )
    return metrics.Scores(
        rmse=error,
        r2=metrics.r_squared(predicted[test], reference),
        rmse_no_skill=no_skill,
        skill=1 - error / no_skill if no_skill > 0 else None,
        rmse_composition_mean=metrics.rmse(by_composition, reference),
        n_without_composition=n_without,
        rmse_train=metrics.rmse(predicted[train], targets[train]),
        n_train=len(train),
        n_validation=len(split.validation),
        n_test=len(test),
        epochs=len(trained.history),
        best_epoch=trained.best_epoch,
    )

"""Cross-validation of many ensembles together: hyperparameters chosen, out-of-fold predictions, mixtures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.data.splits import group_folds, site_folds
from aiida_siox.learning.networks.ensemble import Ensemble
from aiida_siox.learning.training.loop import Fit, Job, Progress, fit_all
from aiida_siox.learning.training.parameters import Hyperparameters

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Task:
    """An ensemble to train.

    :param train: rows that may decide anything.
    :param seed: of folds, weights and batches.
    :param grouped: folds of whole configurations; else of sites.
    :param columns: energies that are read; all when None.
    :param point: point of the hyperparameter grid to take; when None, the cross-validation chooses.
    :param mixtures: random mixtures of sites of each fold that are added to its fitted and its stopping rows.
    """

    train: Indices
    seed: int
    grouped: bool = True
    columns: Indices | None = None
    point: Mapping[str, float] | None = None
    mixtures: int = 0


@dataclasses.dataclass(frozen=True)
class Trained:
    """An ensemble and how it came about.

    :param ensemble: the networks.
    :param rows: training rows.
    :param fold: fold of each training row: networks of that fold have not fitted it, shape (n_train,).
    :param out_of_fold: predictions of each training row by the networks of its fold, shape (n_train, n_outputs).
    :param point: hyperparameters that were chosen.
    :param losses: mean squared error over the folds of every point of the grid, in units of the target.
    :param best_epochs: of the networks that are kept, shape (K, S).
    """

    ensemble: Ensemble
    rows: Indices
    fold: Indices
    out_of_fold: Array
    point: dict[str, float]
    losses: list[float]
    best_epochs: Indices


def fit_ensembles(
    examples: Examples, tasks: Sequence[Task], hyper: Hyperparameters, progress: Progress | None = None
) -> list[Trained]:
    """Cross-validate and train the ensembles of several tasks together. Rows outside of ``train`` are never read.

    For each task, the training rows are dealt to folds; every point of the grid trains one network for each fold on
    the others, which the left-out fold stops; the point with the least error over all folds is kept, with its networks.

    :param examples: what there is to learn from.
    :param hyper: everything that tasks have in common.
    :param progress: called with the part that is done.
    """
    points = hyper.points()
    plans = [_Plan(task, examples, hyper) for task in tasks]
    pool = _Pool(examples.spectra, examples.targets)
    jobs: list[Job] = []
    for plan in plans:
        plan.add_jobs(jobs, pool, points, hyper)
    architecture = hyper.architecture(examples.quantity, len(examples.energy), examples.targets.shape[1])
    energy = torch.from_numpy(examples.energy)
    fits = fit_all(energy, pool.spectra, pool.targets, jobs, architecture, hyper, progress)
    return [plan.result(fits, hyper) for plan in plans]


class _Pool:
    """Rows of the data, and the mixtures behind them."""

    def __init__(self, spectra: Array, targets: Array) -> None:
        self._spectra, self._targets, self.n = [spectra], [targets], len(spectra)

    def add(self, spectra: Array, targets: Array) -> Indices:
        """Append rows and return their numbers."""
        self._spectra.append(spectra)
        self._targets.append(targets)
        self.n += len(spectra)
        return np.arange(self.n - len(spectra), self.n)

    @property
    def spectra(self) -> Tensor:
        """All spectra."""
        return torch.from_numpy(np.concatenate(self._spectra))

    @property
    def targets(self) -> Tensor:
        """All targets."""
        return torch.from_numpy(np.concatenate(self._targets))


def mixtures(
    spectra: Array, targets: Array, rows: Indices, n: int, sizes: Sequence[int], generator: np.random.Generator
) -> tuple[Array, Array]:
    """Return mean spectra and mean targets of random sets of sites.

    :param rows: sites to draw from, with replacement between sets.
    :param n: number of mixtures.
    :param sizes: least and largest number of sites in a mixture.
    """
    weights = np.zeros((n, len(rows)))
    for i in range(n):
        size = int(generator.integers(min(sizes[0], len(rows)), min(sizes[1], len(rows)) + 1))
        weights[i, generator.choice(len(rows), size, replace=False)] = 1 / size
    return weights @ spectra[rows], weights @ targets[rows]


class _Plan:
    """Jobs of one task."""

    def __init__(self, task: Task, examples: Examples, hyper: Hyperparameters) -> None:
        self.task, self.examples = task, examples
        labels = examples.group[task.train]
        if task.grouped and len(np.unique(labels)) >= hyper.grouped_min_configurations:
            self.fold = group_folds(labels, hyper.n_folds, task.seed)
        else:
            self.fold = site_folds(len(task.train), hyper.n_folds, task.seed)
        self.n_folds = int(self.fold.max()) + 1
        self.places: dict[tuple[int, int, int], int] = {}
        self.points: list[dict[str, float]] = []

    def add_jobs(
        self, jobs: list[Job], pool: _Pool, points: Sequence[dict[str, float]], hyper: Hyperparameters
    ) -> None:
        """Append a job for each point of the grid, fold and seed."""
        task, spectra, targets = self.task, self.examples.spectra, self.examples.targets
        self.points = list(points) if task.point is None else [dict(task.point)]
        generator = np.random.default_rng(task.seed)
        for k in range(self.n_folds):
            fit, stop = task.train[self.fold != k], task.train[self.fold == k]
            if task.mixtures:
                stop_share = max(1, round(task.mixtures * len(stop) / len(fit)))
                fit, stop = (
                    np.concatenate([r, pool.add(*mixtures(spectra, targets, r, n, hyper.mixture_sizes, generator))])
                    for r, n in ((fit, task.mixtures), (stop, stop_share))
                )
            for p, point in enumerate(self.points):
                for s in range(hyper.seeds_per_fold):
                    self.places[p, k, s] = len(jobs)
                    seed = task.seed + 7919 * s + 104729 * k
                    jobs.append(Job(fit, stop, seed, point["learning_rate"], point["weight_decay"], task.columns))

    def result(self, fits: Sequence[Fit], hyper: Hyperparameters) -> Trained:
        """Choose the point of the grid and keep its networks."""
        n_seeds = hyper.seeds_per_fold
        sizes = np.bincount(self.fold, minlength=self.n_folds) / len(self.fold)
        losses = [
            float(
                sum(
                    sizes[k] * fits[self.places[p, k, s]].stop_loss / n_seeds
                    for k in range(self.n_folds)
                    for s in range(n_seeds)
                )
            )
            for p in range(len(self.points))
        ]
        best = int(np.argmin(losses))
        kept = [[fits[self.places[best, k, s]] for s in range(n_seeds)] for k in range(self.n_folds)]
        ensemble = Ensemble([[fit.network for fit in members] for members in kept], self.examples.quantity)
        rows, spectra = self.task.train, self.examples.spectra
        read = spectra[rows] if self.task.columns is None else spectra[rows][:, self.task.columns]
        predictions = ensemble.member_predictions(read)
        return Trained(
            ensemble,
            rows,
            self.fold,
            predictions[self.fold, np.arange(len(rows))],
            self.points[best],
            losses,
            np.array([[fit.best_epoch for fit in members] for members in kept]),
        )

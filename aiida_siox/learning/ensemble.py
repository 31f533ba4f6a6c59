"""Networks of a cross-validation, kept together: hyperparameters chosen, out-of-fold predictions, spread."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from aiida_siox.learning.batched import Fit, Job, fit_all
from aiida_siox.learning.networks import SpectrumNetwork
from aiida_siox.learning.parameters import Architecture, Hyperparameters, Target
from aiida_siox.learning.splits import group_folds, site_folds

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Progress = Callable[[float], None]


def as_distribution(values: Array) -> Array:
    """Return values as fractions: negative ones are zero, and the sum over the last axis is one.

    :param values: shape (..., n_states).
    """
    positive = np.maximum(values, 0.0)
    total = positive.sum(axis=-1, keepdims=True)
    return np.where(total > 0, positive / np.where(total > 0, total, 1.0), 1.0 / values.shape[-1])


class Ensemble:
    """K × S networks: S seeds for each of the K folds that they have not fitted.

    :param networks: in the order of the folds, S each.
    :param target: what they read; the oxidation states are made a distribution.
    """

    def __init__(self, networks: Sequence[Sequence[SpectrumNetwork]], target: Target) -> None:
        self.networks = [list(members) for members in networks]
        self.target = target

    @property
    def energy(self) -> Array:
        """Energies that the networks read, eV, shape (n_e,)."""
        return self.networks[0][0].energy_eV.numpy().astype(float)

    @property
    def architecture(self) -> Architecture:
        """Shape of each network."""
        return self.networks[0][0].architecture

    def single(self, spectra: ArrayLike) -> Array:
        """Return predictions of the first network alone, what a user of one network would get, shape (m, n_outputs)."""
        return self._predict(self.networks[0][0], spectra)

    def member_predictions(self, spectra: ArrayLike) -> Array:
        """Return the mean over the seeds for each fold.

        :param spectra: raw spectra on :attr:`energy`, shape (m, n_e).
        :returns: shape (K, m, n_outputs).
        """
        return np.stack([np.mean([self._predict(n, spectra) for n in fold], axis=0) for fold in self.networks])

    def predict(self, spectra: ArrayLike) -> Array:
        """Return the mean over all networks.

        :param spectra: raw spectra on :attr:`energy`, shape (m, n_e).
        :returns: shape (m, n_outputs).
        """
        return np.asarray(self.member_predictions(spectra).mean(axis=0))

    def _predict(self, network: SpectrumNetwork, spectra: ArrayLike) -> Array:
        with torch.no_grad():
            values = network(torch.as_tensor(np.asarray(spectra, dtype=float))).numpy()
        return as_distribution(values) if self.target is Target.OXIDATION else values

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values that :meth:`from_state` takes."""
        return {
            "target": str(self.target),
            "architecture": self.architecture.to_dict(),
            "networks": [[network.state_dict() for network in members] for members in self.networks],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Ensemble:
        """Build from what :meth:`state` gave.

        :raises ValueError: if something is missing, does not fit or is not finite.
        """
        try:
            architecture = Architecture.from_dict(state["architecture"])
            networks: list[list[SpectrumNetwork]] = []
            for members in state["networks"]:
                networks.append([])
                for entry in members:
                    network = SpectrumNetwork(architecture)
                    network.load_state_dict(entry)
                    networks[-1].append(network.eval())
            target = Target(state["target"])
        except (KeyError, TypeError, AttributeError, RuntimeError) as exception:
            raise ValueError(f"not the state of an ensemble ({type(exception).__name__}: {exception})") from exception
        tensors = [t for members in networks for network in members for t in network.state_dict().values()]
        if not tensors or not all(bool(torch.isfinite(t).all()) for t in tensors):
            raise ValueError("the state of the ensemble is empty or holds numbers that are not finite.")
        return cls(networks, target)


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


def grid_points(hyper: Hyperparameters) -> list[dict[str, float]]:
    """Return the points of the hyperparameter grid, the protocol's own values first."""
    rates = hyper.grid.get("learning_rate", [hyper.learning_rate])
    decays = hyper.grid.get("weight_decay", [hyper.weight_decay])
    return [{"learning_rate": rate, "weight_decay": decay} for rate in rates for decay in decays]


def fit_ensembles(
    energy: Array,
    spectra: Array,
    targets: Array,
    groups: NDArray[np.str_],
    target: Target,
    tasks: Sequence[Task],
    hyper: Hyperparameters,
    progress: Progress | None = None,
) -> list[Trained]:
    """Cross-validate and train the ensembles of several tasks together. Rows outside of ``train`` are never read.

    For each task, the training rows are dealt to folds; every point of the grid trains one network for each fold on
    the others, which the left-out fold stops; the point with the least error over all folds is kept, with its networks.

    :param energy: eV, shape (n_e,).
    :param spectra: raw spectra, shape (n, n_e).
    :param targets: shape (n, n_outputs).
    :param groups: configuration of each row, shape (n,).
    :param hyper: everything that tasks have in common.
    :param progress: called with the part that is done.
    """
    points = grid_points(hyper)
    plans = [_Plan(task, groups, targets, spectra, hyper) for task in tasks]
    pool = _Pool(spectra, targets)
    jobs: list[Job] = []
    for plan in plans:
        plan.add_jobs(jobs, pool, points, hyper)
    n_inputs = len(energy)
    architecture = hyper.architecture(target, n_inputs, targets.shape[1])
    fits = fit_all(torch.from_numpy(energy), pool.spectra, pool.targets, jobs, architecture, hyper, progress)
    return [plan.result(fits, target, spectra, hyper) for plan in plans]


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

    def __init__(
        self, task: Task, groups: NDArray[np.str_], targets: Array, spectra: Array, hyper: Hyperparameters
    ) -> None:
        self.task, self._targets, self._spectra = task, targets, spectra
        labels = groups[task.train]
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
        task = self.task
        self.points = list(points) if task.point is None else [dict(task.point)]
        generator = np.random.default_rng(task.seed)
        for k in range(self.n_folds):
            fit, stop = task.train[self.fold != k], task.train[self.fold == k]
            if task.mixtures:
                stop_share = max(1, round(task.mixtures * len(stop) / len(fit)))
                fit, stop = (
                    np.concatenate(
                        [r, pool.add(*mixtures(self._spectra, self._targets, r, n, hyper.mixture_sizes, generator))]
                    )
                    for r, n in ((fit, task.mixtures), (stop, stop_share))
                )
            for p, point in enumerate(self.points):
                for s in range(hyper.seeds_per_fold):
                    self.places[p, k, s] = len(jobs)
                    seed = task.seed + 7919 * s + 104729 * k
                    jobs.append(Job(fit, stop, seed, point["learning_rate"], point["weight_decay"], task.columns))

    def result(self, fits: Sequence[Fit], target: Target, spectra: Array, hyper: Hyperparameters) -> Trained:
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
        ensemble = Ensemble([[fit.network for fit in members] for members in kept], target)
        rows = self.task.train
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

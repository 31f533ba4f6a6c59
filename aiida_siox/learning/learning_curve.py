"""Error against the number of training sites, for configurations that were never in training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

from aiida_siox.learning import metrics
from aiida_siox.learning.baselines import Problem, descriptor_regression
from aiida_siox.learning.ensemble import Task, fit_ensembles
from aiida_siox.learning.evaluation import SEED_STEP
from aiida_siox.learning.parameters import Hyperparameters, Target
from aiida_siox.learning.sites import SiteSet
from aiida_siox.learning.splits import Split, grouped_splits

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """RMSE of held-out configurations for growing parts of the others.

    :param n_sites: training sites, shape (s, repeats).
    :param n_configurations: training configurations, shape (s,).
    :param rmse: in the unit of the target, shape (s, repeats).
    :param no_skill: RMSE of the training mean, shape (s, repeats).
    :param power_law: ``a``, ``b``, ``c`` of a·n⁻ᵇ + c through the means, or empty when no such curve fits.
    :param linear: RMSE of the linear regression on three descriptors, shape (s, repeats); None unless the target is the
        valence.
    :param sites_needed: for each error that was asked for, the number of sites at which the curve gets there; None
        where it does not.
    """

    n_sites: NDArray[np.int64]
    n_configurations: NDArray[np.int64]
    rmse: Array
    no_skill: Array
    power_law: dict[str, float]
    linear: Array | None
    sites_needed: dict[str, int | None]


def learning_curve(
    sites: SiteSet,
    target: Target,
    parameters: Mapping[str, Any],
    hyper: Hyperparameters,
    progress: Callable[[float], None] | None = None,
) -> LearningCurve:
    """Train on growing parts of the configurations, each part holding the smaller ones, and test on others.

    :param parameters: ``fractions`` of the training configurations, ``n_repeats``, by target ``wanted_rmse``; for the
        valence also ``linear_factor``, by which the linear regression on all of them is to be beaten, and the options
        of its ``descriptors``.
    :raises ValueError: if there are fewer than three configurations.
    """
    fractions, repeats = sorted(parameters["fractions"]), int(parameters["n_repeats"])
    point = {"learning_rate": hyper.learning_rate, "weight_decay": hyper.weight_decay}
    targets = sites.targets(target)
    tasks, tests = [], []
    n_configurations = np.zeros((len(fractions), repeats), dtype=np.int64)
    for repeat in range(repeats):
        split = _split(sites, hyper.n_test_folds, hyper.seed, repeat)
        generator = np.random.default_rng([hyper.seed, repeat])
        order = generator.permutation(np.unique(sites.groups[split.train]))
        for i, fraction in enumerate(fractions):
            names = order[: max(2, round(fraction * len(order)))]
            rows = split.train[np.isin(sites.groups[split.train], names)]
            n_configurations[i, repeat] = len(names)
            tasks.append(Task(rows, hyper.seed + SEED_STEP * repeat, point=point))
            tests.append(split.test)
    trained = fit_ensembles(sites.energy, sites.spectra, targets, sites.groups, target, tasks, hyper, progress)
    shape = (repeats, len(fractions))
    rmse = [
        metrics.rmse(t.ensemble.predict(sites.spectra[test]), targets[test])
        for t, test in zip(trained, tests, strict=True)
    ]
    none = [metrics.rmse(targets[t.rows].mean(axis=0), targets[test]) for t, test in zip(trained, tests, strict=True)]
    n_sites = np.array([len(t.rows) for t in trained]).reshape(shape).T
    errors = np.array(rmse).reshape(shape).T
    law = power_law(n_sites.mean(axis=1), errors.mean(axis=1))
    wanted = list(parameters["wanted_rmse"].get(str(target), []))
    linear = None
    if target is Target.VALENCE:  # the paper's linear regression is of the valence
        linear = np.array(
            [_linear_rmse(sites, targets, t.rows, test, parameters) for t, test in zip(trained, tests, strict=True)]
        )
        linear = linear.reshape(shape).T
        if np.isfinite(linear[-1]).all():
            wanted.append(round(float(linear[-1].mean()) / parameters["linear_factor"], 3))
    return LearningCurve(
        n_sites,
        n_configurations.mean(axis=1).round().astype(np.int64),
        errors,
        np.array(none).reshape(shape).T,
        law,
        linear,
        {f"{value:g}": sites_needed(law, value) for value in wanted},
    )


def _linear_rmse(sites: SiteSet, targets: Array, train: Indices, test: Indices, parameters: Mapping[str, Any]) -> float:
    """Return the RMSE of the linear regression on test rows, NaN where a spectrum has no white line to read."""
    problem = Problem(sites.energy, sites.spectra[train], targets[train], sites.groups[train], sites.spectra[test], 0)
    try:
        return metrics.rmse(descriptor_regression(problem, **parameters["descriptors"]), targets[test])
    except ValueError:
        return math.nan


def _split(sites: SiteSet, n_folds: int, seed: int, repeat: int) -> Split:
    """Return the fold of a repeat: the folds of one division after each other, then of the next."""
    first = grouped_splits(sites.groups, n_folds, seed)
    again, fold = divmod(repeat, len(first))
    return grouped_splits(sites.groups, n_folds, seed + SEED_STEP * again)[fold]


def power_law(n: Sequence[float] | Array, error: Sequence[float] | Array) -> dict[str, float]:
    """Fit a·n⁻ᵇ + c with a, b > 0 and c ≥ 0.

    :param n: numbers of training sites, shape (s,).
    :param error: RMSE, shape (s,).
    :returns: ``a``, ``b``, ``c``; empty with fewer than four points or when the fit does not converge.
    """
    n, error = np.asarray(n, dtype=float), np.asarray(error, dtype=float)
    if len(n) < 4 or error[-1] >= error[0]:
        return {}
    start = (float(error[0] * n[0] ** 0.5), 0.5, 0.0)
    try:
        (a, b, c), _ = curve_fit(
            lambda m, a, b, c: a * m**-b + c,
            n,
            error,
            p0=start,
            bounds=([0, 0.01, 0], [np.inf, 3.0, float(error.min())]),
        )
    except (RuntimeError, ValueError, OptimizeWarning):
        return {}
    return {"a": float(a), "b": float(b), "c": float(c)}


def sites_needed(law: Mapping[str, float], error: float) -> int | None:
    """Return the number of sites at which a power law reaches an error; None if it never does, or there is no law."""
    if not law or error <= law["c"]:
        return None
    needed = (law["a"] / (error - law["c"])) ** (1 / law["b"])
    return int(np.ceil(needed)) if needed < 1e9 else None

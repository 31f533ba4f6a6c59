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
from aiida_siox.learning.analysis.baselines import Problem, descriptor_regression
from aiida_siox.learning.analysis.common import Report, as_read, steps
from aiida_siox.learning.analysis.parameters import LearningCurve
from aiida_siox.learning.analysis.results import PartResult
from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.splits import Split, grouped_splits
from aiida_siox.learning.training.cross_validation import Task, fit_ensembles
from aiida_siox.learning.training.parameters import Hyperparameters
from aiida_siox.learning.training.scores import SEED_STEP

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Curve:
    """RMSE of held-out configurations for growing parts of the others.

    :param n_sites: training sites, shape (s, repeats).
    :param n_configurations: training configurations, shape (s,).
    :param rmse: in the unit of the target, shape (s, repeats).
    :param no_skill: RMSE of the training mean, shape (s, repeats).
    :param power_law: ``a``, ``b``, ``c`` of a·n⁻ᵇ + c through the means, or empty when no such curve fits.
    :param linear: RMSE of the linear regression on three descriptors, shape (s, repeats); None unless the property is a
        scalar.
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


def run(sites: SiteSet, parameters: LearningCurve, hyper: Hyperparameters, progress: Report) -> PartResult:
    """Draw the curve of each target."""
    arrays: dict[str, Any] = {}
    attributes: dict[str, Any] = {"fit": {}, "sites_needed": {}, "linear_rmse": {}}
    step = steps(progress, len(parameters.targets))
    shown = as_read(sites, hyper)
    for t, target in enumerate(parameters.targets):
        say = step(t, f"{target}: learning curve")
        found = learning_curve(sites.examples(target), shown.examples(target), parameters, hyper, say)
        if found.linear is not None:
            arrays[f"{target}_rmse_linear"] = found.linear
            attributes["linear_rmse"][target] = float(found.linear[-1].mean())
        arrays[f"{target}_n_sites"], arrays[f"{target}_n_configurations"] = found.n_sites, found.n_configurations
        arrays[f"{target}_rmse"], arrays[f"{target}_rmse_no_skill"] = found.rmse, found.no_skill
        attributes["fit"][target] = found.power_law
        attributes["sites_needed"][target] = found.sites_needed
    return PartResult(arrays, attributes)


def learning_curve(
    examples: Examples,
    shown: Examples,
    parameters: LearningCurve,
    hyper: Hyperparameters,
    progress: Callable[[float], None] | None = None,
) -> Curve:
    """Train on growing parts of the configurations, each part holding the smaller ones, and test on others.

    :param shown: the same with spectra as the networks normalise them, for the linear regression.
    :raises ValueError: if there are fewer than three configurations.
    """
    fractions, repeats = sorted(parameters.fractions), parameters.n_repeats
    targets, group = examples.targets, examples.group
    tasks, tests = [], []
    n_configurations = np.zeros((len(fractions), repeats), dtype=np.int64)
    for repeat in range(repeats):
        split = _split(group, hyper.n_test_folds, hyper.seed, repeat)
        order = np.random.default_rng([hyper.seed, repeat]).permutation(np.unique(group[split.train]))
        for i, fraction in enumerate(fractions):
            names = order[: max(2, round(fraction * len(order)))]
            n_configurations[i, repeat] = len(names)
            rows = split.train[np.isin(group[split.train], names)]
            tasks.append(Task(rows, hyper.seed + SEED_STEP * repeat, point=hyper.own_point))
            tests.append(split.test)
    trained = fit_ensembles(examples, tasks, hyper, progress)
    pairs = list(zip(trained, tests, strict=True))

    def by_size(values: Sequence[float | int]) -> NDArray[Any]:
        return np.array(values).reshape(repeats, len(fractions)).T

    n_sites = by_size([len(t.rows) for t in trained])
    rmse = by_size([metrics.rmse(t.ensemble.predict(examples.spectra[test]), targets[test]) for t, test in pairs])
    none = by_size([metrics.rmse(targets[t.rows].mean(axis=0), targets[test]) for t, test in pairs])
    law = power_law(n_sites.mean(axis=1), rmse.mean(axis=1))
    wanted = list(parameters.wanted_rmse.get(examples.quantity.name, ()))
    linear = None
    if examples.quantity.is_scalar:  # as the paper's regression
        linear = by_size([_linear_rmse(shown, t.rows, test, parameters) for t, test in pairs])
        if np.isfinite(linear[-1]).all():
            wanted.append(round(float(linear[-1].mean()) / parameters.linear_factor, 3))
    return Curve(
        n_sites,
        n_configurations.mean(axis=1).round().astype(np.int64),
        rmse,
        none,
        law,
        linear,
        {f"{value:g}": sites_needed(law, value) for value in wanted},
    )


def _linear_rmse(examples: Examples, train: Indices, test: Indices, parameters: LearningCurve) -> float:
    """Return the RMSE of the linear regression on test rows, NaN where a spectrum has no white line to read."""
    problem = Problem(examples.subset(train), examples.spectra[test], 0)
    try:
        return metrics.rmse(descriptor_regression(problem, parameters.descriptors), examples.targets[test])
    except ValueError:
        return math.nan


def _split(group: NDArray[np.str_], n_folds: int, seed: int, repeat: int) -> Split:
    """Return the fold of a repeat: the folds of one division after each other, then of the next."""
    first = grouped_splits(group, n_folds, seed)
    again, fold = divmod(repeat, len(first))
    return grouped_splits(group, n_folds, seed + SEED_STEP * again)[fold]


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

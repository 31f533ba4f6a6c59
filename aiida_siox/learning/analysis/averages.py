"""Averaged spectra of configurations that were never in training, with and without mixtures in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.learning import metrics
from aiida_siox.learning.analysis.common import Report, steps
from aiida_siox.learning.analysis.parameters import Averages
from aiida_siox.learning.analysis.results import PartResult
from aiida_siox.learning.data import examples as data
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.splits import grouped_splits
from aiida_siox.learning.training.cross_validation import Task, fit_ensembles
from aiida_siox.learning.training.parameters import Hyperparameters, choose
from aiida_siox.learning.training.scores import over_seeds, repeated_seeds
from aiida_siox.learning.uncertainty.calibrator import CALIBRATORS
from aiida_siox.learning.uncertainty.left_out import of_averages
from aiida_siox.science.quantity import Kind, Quantity

Array = NDArray[np.float64]
VARIANTS = ("sites", "mixtures")
#: What a repetition gives for each configuration.
COLUMNS = ("predicted", "no_skill", "low", "high")


def run(sites: SiteSet, parameters: Averages, hyper: Hyperparameters, progress: Report) -> PartResult:
    """Score what networks read from averaged spectra."""
    arrays: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    n_used: dict[str, int] = {}
    step = steps(progress, 2 * len(parameters.targets))
    for t, target in enumerate(parameters.targets):
        examples = sites.examples(target)
        reference, quantity = examples.averaged(), examples.quantity
        if not len(reference.configuration):
            raise ValueError(
                f"no configuration has `{target}` at all its sites: there is no averaged spectrum to predict."
            )
        n_used[target] = choose(parameters.n_seeds, quantity, "n_seeds")
        arrays[f"{target}_configuration"] = reference.configuration
        arrays[f"{target}_reference"] = _column(reference.targets, quantity)
        for v, variant in enumerate(VARIANTS):
            say = step(2 * t + v, f"{target}: averaged spectra, training on {variant}")
            say(0.0)
            runs = _predict(examples, hyper, n_used[target], variant == "mixtures", say)
            predicted = np.mean([each["predicted"] for each in runs], axis=0)
            arrays[f"{target}_{variant}_predicted"] = _column(predicted, quantity)
            if quantity.is_scalar:
                for edge in ("low", "high"):  # infinite where there are too few configurations for the coverage
                    arrays[f"{target}_{variant}_{edge}"] = np.mean([each[edge] for each in runs], axis=0)[:, 0]
            scores.setdefault(target, {})[variant] = _scores(quantity, reference, runs, hyper.confidence)
    return PartResult(arrays, {"scores": scores, "n_seeds": n_used})


def _column(values: Array, quantity: Quantity) -> NDArray[np.float32]:
    return np.asarray(quantity.as_stored(values), dtype=np.float32)


def _predict(
    examples: data.Examples, hyper: Hyperparameters, n_seeds: int, mix: bool, progress: Callable[[float], None]
) -> list[dict[str, Array]]:
    """Return predictions and intervals of the averaged spectra for each seed, from networks that never saw them."""
    reference = examples.averaged()
    seeds = repeated_seeds(hyper.seed, n_seeds)
    divided = [grouped_splits(examples.group, hyper.n_test_folds, seed) for seed in seeds]
    n_mixtures = hyper.n_mixtures if mix else 0
    tasks = [
        Task(split.train, seed, point=hyper.own_point, mixtures=n_mixtures)
        for seed, folds in zip(seeds, divided, strict=True)
        for split in folds
    ]
    trained = iter(fit_ensembles(examples, tasks, hyper, progress))
    calibrator = CALIBRATORS.named(hyper.uncertainty.calibrator)
    runs = []
    for folds in divided:
        found = {key: np.full(reference.targets.shape, np.nan) for key in COLUMNS}
        for split in folds:
            result = next(trained)
            held = np.isin(reference.group, examples.group[split.test])
            if not held.any():
                continue
            spectra = reference.spectra[held]
            members = result.ensemble.member_predictions(spectra)
            found["predicted"][held] = members.mean(axis=0)
            found["no_skill"][held] = examples.targets[split.train].mean(axis=0)
            intervals = calibrator.fit(of_averages(examples, result), hyper.uncertainty)
            found["low"][held], found["high"][held] = intervals.interval(
                members, result.ensemble.normalise(spectra), hyper.coverage
            )
        runs.append(found)
    return runs


def _scores(
    quantity: Quantity, reference: data.Averages, runs: Sequence[Mapping[str, Array]], confidence: float
) -> dict[str, Any]:
    values, x = reference.targets, reference.x
    entry: dict[str, Any] = {
        "rmse": over_seeds([metrics.rmse(each["predicted"], values) for each in runs], confidence),
        "r2": over_seeds([metrics.r_squared(each["predicted"], values) for each in runs], confidence),
        "rmse_no_skill": over_seeds([metrics.rmse(each["no_skill"], values) for each in runs], confidence),
        "n_configurations": len(values),
    }
    if quantity.is_scalar:
        error = np.mean([each["predicted"] - values for each in runs], axis=0)[:, 0]
        entry["bias"] = float(error.mean())
        entry["bias_by_x"] = [[float(v), float(error[x == v].mean())] for v in np.unique(x)]
        inside = np.mean([(each["low"] <= values) & (values <= each["high"]) for each in runs])
        entry["coverage"] = float(inside)
    if quantity.kind is Kind.FRACTIONS:
        distance = [float(metrics.total_variation(each["predicted"], values).mean()) for each in runs]
        none = [float(metrics.total_variation(each["no_skill"], values).mean()) for each in runs]
        entry["total_variation"] = over_seeds(distance, confidence)
        entry["total_variation_no_skill"] = over_seeds(none, confidence)
    return entry

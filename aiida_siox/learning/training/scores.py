"""Scores of every split: networks trained on one side, judged on the other, over several seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from aiida_siox.learning import metrics
from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.data.splits import Split, SplitKind, make_splits
from aiida_siox.learning.training.cross_validation import Task, Trained, fit_ensembles
from aiida_siox.learning.training.loop import Progress
from aiida_siox.learning.training.parameters import Hyperparameters

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Seeds of repetitions are this far apart, so that the seeds of their folds do not meet.
SEED_STEP = 1_000_003


@dataclasses.dataclass(frozen=True)
class Held:
    """What one repetition of a kind of split gave; rows that it did not test are NaN.

    :param splits: train and test rows; every row is tested at most once.
    :param trained: an ensemble for each split.
    :param predicted: prediction of the test rows by the ensemble, shape (n, n_outputs).
    :param single: the same by one network of it, shape (n, n_outputs).
    :param fitted: prediction of the training rows, of a single split only, shape (n, n_outputs).
    :param no_skill: mean of the training rows, shape (n, n_outputs).
    :param composition_mean: mean of the training rows of the same composition, shape (n, n_outputs).
    """

    splits: list[Split]
    trained: list[Trained]
    predicted: Array
    single: Array
    fitted: Array
    no_skill: Array
    composition_mean: Array

    @property
    def tested(self) -> NDArray[np.bool_]:
        """Which rows were tested, shape (n,)."""
        return np.asarray(np.isfinite(self.predicted).all(axis=1))


def hold_out(
    examples: Examples,
    hyper: Hyperparameters,
    kind: SplitKind,
    n_seeds: int,
    *,
    point: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> list[Held]:
    """Train and test with a kind of split, repeated with different seeds.

    :param point: hyperparameters to take; the cross-validation inside the training rows chooses when None.
    :param progress: called with the part that is done.
    :returns: one entry for each seed; the leave-one-composition-out split is the same for every seed.
    :raises ValueError: if the sites cannot be divided so.
    """
    return hold_out_windows(examples, hyper, kind, n_seeds, [None], point=point, progress=progress)[0]


def hold_out_windows(
    examples: Examples,
    hyper: Hyperparameters,
    kind: SplitKind,
    n_seeds: int,
    windows: Sequence[Indices | None],
    *,
    point: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> list[list[Held]]:
    """Do the same with networks that read a part of the energies each, all of them trained together.

    :param windows: columns that are read; all when None.
    :returns: for each window what :func:`hold_out` returns.
    """
    seeds = repeated_seeds(hyper.seed, n_seeds)
    divided = [
        make_splits(
            kind,
            examples.group,
            examples.composition,
            test_fraction=hyper.test_fraction,
            n_folds=hyper.n_test_folds,
            seed=seed,
        )
        for seed in seeds
    ]
    tasks = [
        Task(split.train, seed, grouped=kind is not SplitKind.RANDOM, columns=columns, point=point)
        for columns in windows
        for seed, splits in zip(seeds, divided, strict=True)
        for split in splits
    ]
    trained = iter(fit_ensembles(examples, tasks, hyper, progress))
    return [
        [_held(splits, [next(trained) for _ in splits], examples, columns) for splits in divided] for columns in windows
    ]


def repeated_seeds(seed: int, n: int) -> list[int]:
    """Return the seeds of n repetitions."""
    return [seed + SEED_STEP * i for i in range(n)]


def _held(splits: list[Split], trained: list[Trained], examples: Examples, columns: Indices | None) -> Held:
    targets, labels = examples.targets, examples.composition
    spectra = examples.spectra if columns is None else examples.spectra[:, columns]
    arrays = {name: np.full(targets.shape, np.nan) for name in ("predicted", "single", "fitted", "mean", "by_x")}
    for split, result in zip(splits, trained, strict=True):
        train, test = split.train, split.test
        arrays["predicted"][test] = result.ensemble.predict(spectra[test])
        arrays["single"][test] = result.ensemble.single(spectra[test])
        if len(splits) == 1:
            arrays["fitted"][train] = result.ensemble.predict(spectra[train])
        arrays["mean"][test] = targets[train].mean(axis=0)
        arrays["by_x"][test], _ = metrics.composition_mean(targets[train], labels[train], labels[test])
    return Held(
        splits, trained, arrays["predicted"], arrays["single"], arrays["fitted"], arrays["mean"], arrays["by_x"]
    )


def site_rmse(predicted: Array, reference: Array) -> Array:
    """Return the RMSE of each row over its outputs, shape (n,); NaN where there is no prediction."""
    return np.sqrt(((predicted - reference) ** 2).mean(axis=1))


def over_seeds(values: Sequence[float | None], confidence: float) -> dict[str, Any]:
    """Return the mean over seeds, with the confidence interval of the mean (Student's t), and the values.

    :param values: one for each seed.
    :param confidence: such as 0.9.
    :returns: ``mean``, ``low``, ``high`` (the mean itself for a single seed), ``seeds``.
    """
    known = np.array([value for value in values if value is not None], dtype=float)
    if not len(known):
        return {"mean": None, "low": None, "high": None, "seeds": list(values)}
    mean = float(known.mean())
    half = 0.0
    if len(known) > 1:
        half = float(stats.t.ppf((1 + confidence) / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "seeds": [None if v is None else float(v) for v in values],
    }


def score(held: Sequence[Held], reference: Array, confidence: float) -> dict[str, Any]:
    """Return the scores of the test rows over all repetitions, each beside what no skill gives.

    :param held: repetitions.
    :param reference: targets, shape (n, n_outputs).
    :param confidence: of the intervals of the mean over seeds.
    """

    def error(values: Array, rows: NDArray[np.bool_]) -> float:
        return metrics.rmse(values[rows], reference[rows])

    rmse = [error(h.predicted, h.tested) for h in held]
    no_skill = [error(h.no_skill, h.tested) for h in held]
    splits = [split for h in held for split in h.splits]
    return {
        "rmse": over_seeds(rmse, confidence),
        "r2": over_seeds([metrics.r_squared(h.predicted[h.tested], reference[h.tested]) for h in held], confidence),
        "rmse_single": over_seeds([error(h.single, h.tested) for h in held], confidence),
        "rmse_no_skill": over_seeds(no_skill, confidence),
        "skill": 1 - float(np.mean(rmse)) / float(np.mean(no_skill)) if np.mean(no_skill) > 0 else None,
        "rmse_composition_mean": over_seeds([error(h.composition_mean, h.tested) for h in held], confidence),
        "n_train": round(float(np.mean([len(split.train) for split in splits]))),
        "n_test": round(float(np.mean([h.tested.sum() for h in held]))),
        "n_seeds": len(held),
        "n_splits": len(held[0].splits),
        "best_epoch": float(np.mean([t.best_epochs.mean() for h in held for t in h.trained])),
        "hyperparameters": [t.point for h in held for t in h.trained],
    }

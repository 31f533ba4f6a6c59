"""The model to keep: trained on all sites, with the scores that it would have on sites that it never saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aiida_siox.learning.ensemble import Task, fit_ensembles
from aiida_siox.learning.evaluation import Held, hold_out, score
from aiida_siox.learning.model import SpectrumModel
from aiida_siox.learning.parameters import Hyperparameters, SplitKind, Target
from aiida_siox.learning.sites import SiteSet


def train_model(
    sites: SiteSet,
    target: Target,
    hyper: Hyperparameters,
    progress: Callable[[float], None] | None = None,
) -> SpectrumModel:
    """Train a model on all sites, and score the same recipe on random and on grouped splits.

    :param progress: called with the part that is done.
    :raises ValueError: if there are too few sites.
    """
    reference = sites.targets(target)
    kinds = (SplitKind.RANDOM, SplitKind.GROUPED)
    held: dict[str, Held] = {}
    unavailable: dict[str, str] = {}
    for i, kind in enumerate(kinds):
        say = _part(progress, i, len(kinds) + 1)
        try:
            (held[str(kind)],) = hold_out(sites, target, hyper, kind, 1, n_test_folds=hyper.n_test_folds, progress=say)
        except ValueError as exception:
            if kind is SplitKind.RANDOM:
                raise
            unavailable[str(kind)] = str(exception)
    task = Task(np.arange(len(sites)), hyper.seed, mixtures=hyper.n_mixtures)
    say = _part(progress, len(kinds), len(kinds) + 1)
    (trained,) = fit_ensembles(sites.energy, sites.spectra, reference, sites.groups, target, [task], hyper, say)
    return SpectrumModel.from_trained(
        sites,
        target,
        hyper,
        trained,
        coverage=hyper.coverage,
        scores={kind: score([result], reference, hyper.confidence) for kind, result in held.items()},
        unavailable=unavailable,
        held=held,
    )


def _part(progress: Callable[[float], None] | None, i: int, n: int) -> Callable[[float], None] | None:
    return None if progress is None else lambda part: progress((i + part) / n)

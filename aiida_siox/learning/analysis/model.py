"""The models to keep: trained on all sites, with the scores that they would have on sites that they never saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aiida_siox.learning.analysis.common import Report, steps
from aiida_siox.learning.analysis.parameters import Model
from aiida_siox.learning.analysis.results import PartResult
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.splits import SplitKind
from aiida_siox.learning.model import SpectrumModel
from aiida_siox.learning.training.cross_validation import Task, fit_ensembles
from aiida_siox.learning.training.parameters import Hyperparameters
from aiida_siox.learning.training.scores import Held, hold_out, score


def run(sites: SiteSet, parameters: Model, hyper: Hyperparameters, progress: Report) -> PartResult:
    """Train a model of each target."""
    step = steps(progress, len(parameters.targets))
    models = {
        target: train_model(sites, target, hyper, step(i, f"{target}: model of all sites"))
        for i, target in enumerate(parameters.targets)
    }
    return PartResult({}, {"targets": list(parameters.targets)}, models)


def train_model(
    sites: SiteSet, target: str, hyper: Hyperparameters, progress: Callable[[float], None] | None = None
) -> SpectrumModel:
    """Train a model on all sites, and score the same recipe on random and on grouped splits.

    :param target: name of the property.
    :param progress: called with the part that is done.
    :raises ValueError: if there are too few sites.
    """
    examples = sites.examples(target)
    kinds = (SplitKind.RANDOM, SplitKind.GROUPED)
    held: dict[str, Held] = {}
    unavailable: dict[str, str] = {}
    for i, kind in enumerate(kinds):
        try:
            (held[str(kind)],) = hold_out(examples, hyper, kind, 1, progress=_part(progress, i, len(kinds) + 1))
        except ValueError as exception:
            if kind is SplitKind.RANDOM:
                raise
            unavailable[str(kind)] = str(exception)
    task = Task(np.arange(len(examples)), hyper.seed, mixtures=hyper.n_mixtures)
    (trained,) = fit_ensembles(examples, [task], hyper, _part(progress, len(kinds), len(kinds) + 1))
    return SpectrumModel.from_trained(
        sites,
        target,
        hyper,
        trained,
        scores={kind: score([result], examples.targets, hyper.confidence) for kind, result in held.items()},
        unavailable=unavailable,
        held=held,
    )


def _part(progress: Callable[[float], None] | None, i: int, n: int) -> Callable[[float], None] | None:
    return None if progress is None else lambda part: progress((i + part) / n)

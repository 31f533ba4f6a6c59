"""Random, grouped and leave-one-composition-out splits side by side, with the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.learning import metrics
from aiida_siox.learning.analysis.baselines import BASELINES, Problem
from aiida_siox.learning.analysis.common import Report, as_read, steps
from aiida_siox.learning.analysis.parameters import Splits
from aiida_siox.learning.analysis.results import PartResult
from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.splits import SplitKind
from aiida_siox.learning.training.parameters import Hyperparameters, choose
from aiida_siox.learning.training.scores import Held, hold_out, over_seeds, repeated_seeds, score, site_rmse

Array = NDArray[np.float64]


def run(sites: SiteSet, parameters: Splits, hyper: Hyperparameters, progress: Report) -> PartResult:
    """Score networks and baselines with every kind of split."""
    arrays: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    unavailable: dict[str, str] = {}
    shown = as_read(sites, hyper)
    work = [(target, kind) for target in parameters.targets for kind in parameters.kinds]
    step = steps(progress, len(work))
    for i, (target, kind) in enumerate(work):
        examples = sites.examples(target)
        n_seeds = getattr(choose(parameters.n_seeds, examples.quantity, "n_seeds"), kind)
        say = step(i, f"{target}: {kind} split, {n_seeds} seeds")
        say(0.0)
        try:
            held = hold_out(examples, hyper, kind, n_seeds, progress=say)
        except ValueError as exception:
            if kind is SplitKind.RANDOM:
                raise
            unavailable[str(kind)] = str(exception)
            continue
        entry = score(held, examples.targets, hyper.confidence)
        name = f"{target}_{kind}"
        arrays[f"{name}_predicted"] = examples.stored(held[0].predicted)
        errors = np.stack([site_rmse(h.predicted, examples.targets) for h in held])
        arrays[f"{name}_site_rmse"] = examples.spread(errors)
        if examples.quantity.is_scalar and len(held[0].splits) == 1:
            arrays[f"{name}_fitted"] = examples.stored(held[0].fitted)
        entry["baselines"] = {"composition_mean": {"rmse": entry.pop("rmse_composition_mean")}}
        for baseline, predicted in _baselines(shown.examples(target), held, parameters, hyper).items():
            rmse = [_rmse(values, h, examples.targets) for values, h in zip(predicted, held, strict=True)]
            entry["baselines"][baseline] = {"rmse": over_seeds(rmse, hyper.confidence)}
            arrays[f"{name}_{baseline}_predicted"] = examples.stored(predicted[0])
        if "shuffled" in parameters.baselines and kind is SplitKind.GROUPED and examples.quantity.is_scalar:
            entry["baselines"]["shuffled"] = _shuffled_scores(examples, hyper, _mode(held), parameters.n_shuffled)
        scores.setdefault(target, {})[str(kind)] = entry
    n_seeds_used = {
        target: {kind: entry["n_seeds"] for kind, entry in kinds.items()} for target, kinds in scores.items()
    }
    return PartResult(arrays, {"scores": scores, "scores_unavailable": unavailable, "n_seeds": n_seeds_used})


def _rmse(predicted: Array, held: Held, reference: Array) -> float:
    return metrics.rmse(predicted[held.tested], reference[held.tested])


def _mode(held: Sequence[Held]) -> dict[str, float]:
    """Return the hyperparameters that were chosen most often."""
    points = [trained.point for h in held for trained in h.trained]
    return max(points, key=points.count)


def _shuffled_scores(examples: Examples, hyper: Hyperparameters, point: dict[str, float], n: int) -> dict[str, Any]:
    """Return the scores of networks that learn from values shuffled among the sites, each time in another way."""
    rmse, no_skill = [], []
    for seed in repeated_seeds(hyper.seed, n):
        noise = examples.shuffled(seed)
        (held,) = hold_out(noise, hyper.with_seed(seed), SplitKind.GROUPED, 1, point=point)
        rmse.append(_rmse(held.predicted, held, noise.targets))
        no_skill.append(_rmse(held.no_skill, held, noise.targets))
    return {"rmse": over_seeds(rmse, hyper.confidence), "rmse_no_skill": over_seeds(no_skill, hyper.confidence)}


def _baselines(
    examples: Examples, held: Sequence[Held], parameters: Splits, hyper: Hyperparameters
) -> dict[str, list[Array]]:
    """Return what each baseline predicts for the test rows of each repetition, NaN elsewhere, (n, n_outputs)."""
    found: dict[str, list[Array]] = {}
    for name in parameters.baselines:
        if name not in BASELINES or (name == "descriptors" and not examples.quantity.is_scalar):
            continue  # the paper's regression is of a scalar
        options = getattr(parameters.baseline_options, name)
        found[name] = [_predicted(name, options, examples, h, hyper.seed + i) for i, h in enumerate(held)]
    return found


def _predicted(name: str, options: Any, examples: Examples, held: Held, seed: int) -> Array:
    predicted = np.full(examples.targets.shape, np.nan)
    for split in held.splits:
        problem = Problem(examples.subset(split.train), examples.spectra[split.test], seed)
        predicted[split.test] = BASELINES[name](problem, options)
    return predicted

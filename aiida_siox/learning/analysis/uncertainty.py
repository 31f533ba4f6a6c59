"""How often intervals of held-out configurations hold the truth, and what is refused as out of distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_siox.learning.analysis import probes
from aiida_siox.learning.analysis.common import Report, as_read, steps
from aiida_siox.learning.analysis.parameters import Uncertainty
from aiida_siox.learning.analysis.results import PartResult
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.splits import SplitKind
from aiida_siox.learning.training.parameters import Hyperparameters, choose
from aiida_siox.learning.training.scores import hold_out
from aiida_siox.learning.uncertainty.calibrator import CALIBRATORS
from aiida_siox.learning.uncertainty.evaluator import EVALUATORS
from aiida_siox.learning.uncertainty.left_out import of_sites
from aiida_siox.learning.uncertainty.novelty import NoveltyReference


def run(sites: SiteSet, parameters: Uncertainty, hyper: Hyperparameters, progress: Report) -> PartResult:
    """Judge intervals, and show what is unlike training to the detector."""
    arrays: dict[str, Any] = {}
    coverage: dict[str, Any] = {}
    n_used: dict[str, int] = {}
    calibrator = CALIBRATORS.named(hyper.uncertainty.calibrator)
    evaluate = EVALUATORS.named(hyper.uncertainty.evaluator)
    step = steps(progress, len(parameters.targets) + 1)
    for t, target in enumerate(parameters.targets):
        examples = sites.examples(target)
        n = n_used[target] = choose(parameters.n_repetitions, examples.quantity, "n_repetitions")
        say = step(t, f"{target}: intervals, {n} repetitions")
        say(0.0)
        held = hold_out(examples, hyper, SplitKind.GROUPED, n, point=hyper.own_point, progress=say)
        low, high = (np.full((n, *examples.targets.shape), np.nan) for _ in range(2))
        for i, repetition in enumerate(held):
            for split, trained in zip(repetition.splits, repetition.trained, strict=True):
                spectra = examples.spectra[split.test]
                intervals = calibrator.fit(of_sites(examples, trained), hyper.uncertainty)
                members, read = trained.ensemble.member_predictions(spectra), trained.ensemble.normalise(spectra)
                ends = intervals.interval(members, read, hyper.coverage)
                low[i, split.test], high[i, split.test] = (np.clip(e, *examples.quantity.limits) for e in ends)
        coverage[target] = dict(
            evaluate(
                low,
                high,
                examples.targets,
                group=examples.group,
                x=examples.x,
                n_bootstrap=parameters.n_bootstrap,
                confidence=hyper.confidence,
                seed=hyper.seed,
            )
        )
        if examples.quantity.is_scalar:
            arrays[f"{target}_predicted"] = examples.stored(np.stack([h.predicted for h in held]))
            arrays[f"{target}_low"], arrays[f"{target}_high"] = (examples.stored(e, float) for e in (low, high))
        else:
            arrays[f"{target}_predicted"] = examples.stored(held[0].predicted)
            arrays[f"{target}_low"], arrays[f"{target}_high"] = (examples.stored(e[0]) for e in (low, high))
    progress(len(parameters.targets) / (len(parameters.targets) + 1), "spectra out of distribution")
    novelty = _novelty(as_read(sites, hyper), parameters, hyper, arrays)
    own = {"coverage": coverage, "n_repetitions": n_used, "hyperparameters": hyper.own_point}
    return PartResult(arrays, {**own, **novelty, "method": hyper.uncertainty.plain()})


def _novelty(shown: SiteSet, parameters: Uncertainty, hyper: Hyperparameters, arrays: dict[str, Any]) -> dict[str, Any]:
    """Add the scores of held-out sites to the arrays; return false alarms and what the probes gave."""
    arrays["novelty"], false_alarms = probes.held_out(shown, hyper.novelty, hyper.n_test_folds, hyper.seed)
    arrays["novelty_threshold"] = np.array(1.0)
    detector = NoveltyReference.fit(shown.energy, shown.spectra, shown.group, hyper.novelty, hyper.seed)
    found = probes.judge(shown, detector, parameters.probe_shift_eV, parameters.n_noise, hyper.seed)
    return {"false_alarms": false_alarms, "probes": found}

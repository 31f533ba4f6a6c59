"""The whole analysis of a data set, part by part: what the paper does with its spectra, and what it leaves open."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.learning import conformal, metrics, probes
from aiida_siox.learning.baselines import BASELINES, Problem
from aiida_siox.learning.ensemble import Task, fit_ensembles
from aiida_siox.learning.evaluation import (
    SEED_STEP,
    Held,
    hold_out,
    hold_out_windows,
    over_seeds,
    score,
    shuffled,
    site_rmse,
)
from aiida_siox.learning.learning_curve import learning_curve
from aiida_siox.learning.model_training import train_model
from aiida_siox.learning.novelty import NoveltyReference
from aiida_siox.learning.parameters import Hyperparameters, Normalisation, SplitKind, Target
from aiida_siox.learning.residuals import of_averages, of_sites
from aiida_siox.learning.results import PartResult
from aiida_siox.learning.sites import SiteSet
from aiida_siox.learning.splits import grouped_splits

Array = NDArray[np.float64]
Parameters = Mapping[str, Any]
Report = Callable[[float, str], None]


def run_part(name: str, sites: SiteSet, parameters: Parameters, progress: Report) -> PartResult:
    """Run one part of the analysis.

    :param name: a key of :data:`PARTS`.
    :param sites: the data set.
    :param parameters: the section of the part in ``workflows/protocols/analysis.yaml``, with ``training``.
    :param progress: called with the part that is done, 0 to 1, and a line of text.
    :raises ValueError: if the data set is too small for it, or a parameter does not fit.
    """
    start = time.perf_counter()
    hyper = Hyperparameters.from_dict(parameters["training"])
    result = PARTS[name](sites, parameters, hyper, progress)
    common = {
        "n_sites": len(sites),
        "n_configurations": len({sites.digests[i] for i in np.unique(sites.configuration)}),
        "sigma_angstrom": sites.sigma_angstrom,
        "grid": {key: list(values) for key, values in hyper.grid.items()},
        "seed": hyper.seed,
        "threads": hyper.threads,
        "seconds": time.perf_counter() - start,
    }
    return PartResult(result.arrays, {**common, **result.attributes}, result.models)


def _as_read(sites: SiteSet, hyper: Hyperparameters) -> SiteSet:
    """Return the sites with their spectra as the networks normalise them: for what is not a network."""
    if hyper.normalisation is Normalisation.NONE:
        return sites
    return sites.normalised(hyper.post_edge_window_eV)


def _targets(parameters: Parameters) -> list[Target]:
    return [Target(name) for name in parameters["targets"]]


def _column(values: Array, target: Target) -> NDArray[np.float32]:
    """Return predictions as they are stored: (n,) for the valence, (n, n_outputs) else."""
    return np.asarray(values[:, 0] if target is Target.VALENCE else values, dtype=np.float32)


def _steps(progress: Report, n: int) -> Callable[[int, str], Callable[[float], None]]:
    """Return a function that makes the progress of step i of n out of its own part done."""
    return lambda i, text: lambda part: progress((i + part) / n, text)


def splits(sites: SiteSet, parameters: Parameters, hyper: Hyperparameters, progress: Report) -> PartResult:
    """Random, grouped and leave-one-composition-out splits side by side, with the baselines."""
    arrays: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    unavailable: dict[str, str] = {}
    confidence = hyper.confidence
    shown = _as_read(sites, hyper)
    work = [(target, SplitKind(kind)) for target in _targets(parameters) for kind in parameters["kinds"]]
    step = _steps(progress, len(work))
    for i, (target, kind) in enumerate(work):
        n_seeds = parameters["n_seeds"][str(target)][str(kind)]
        say = step(i, f"{target}: {kind} split, {n_seeds} seeds")
        say(0.0)
        try:
            held = hold_out(sites, target, hyper, kind, n_seeds, n_test_folds=hyper.n_test_folds, progress=say)
        except ValueError as exception:
            if kind is SplitKind.RANDOM:
                raise
            unavailable[str(kind)] = str(exception)
            continue
        reference = sites.targets(target)
        entry = score(held, reference, confidence)
        name = f"{target}_{kind}"
        arrays[f"{name}_predicted"] = _column(held[0].predicted, target)
        arrays[f"{name}_site_rmse"] = np.stack([site_rmse(h.predicted, reference) for h in held]).astype(np.float32)
        if target is Target.VALENCE and len(held[0].splits) == 1:
            arrays[f"{name}_fitted"] = _column(held[0].fitted, target)
        entry["baselines"] = {"composition_mean": {"rmse": entry.pop("rmse_composition_mean")}}
        for baseline in parameters["baselines"]:
            if baseline in BASELINES and (baseline != "descriptors" or target is Target.VALENCE):  # paper: valence
                options = parameters["baseline_options"].get(baseline, {})
                predicted = [
                    _baseline(baseline, options, shown, reference, h, hyper.seed + i) for i, h in enumerate(held)
                ]
                errors = [
                    metrics.rmse(values[h.tested], reference[h.tested])
                    for values, h in zip(predicted, held, strict=True)
                ]
                entry["baselines"][baseline] = {"rmse": over_seeds(errors, confidence)}
                arrays[f"{name}_{baseline}_predicted"] = _column(predicted[0], target)
        if "shuffled" in parameters["baselines"] and kind is SplitKind.GROUPED and target is Target.VALENCE:
            entry["baselines"]["shuffled"] = _shuffled_scores(
                sites, target, hyper, _mode(held), parameters["n_seeds"]["shuffled"]
            )
        scores.setdefault(str(target), {})[str(kind)] = entry
    return PartResult(arrays, {"scores": scores, "scores_unavailable": unavailable, "n_seeds": parameters["n_seeds"]})


def _mode(held: Sequence[Held]) -> dict[str, float]:
    """Return the hyperparameters that were chosen most often."""
    points = [trained.point for h in held for trained in h.trained]
    return max(points, key=points.count)


def _shuffled_scores(
    sites: SiteSet, target: Target, hyper: Hyperparameters, point: Mapping[str, float], n_seeds: int
) -> dict[str, Any]:
    """Return the scores of networks that learn from targets shuffled among the sites, each time in another way."""
    rmse, no_skill = [], []
    for i in range(n_seeds):
        seeded = dataclasses.replace(hyper, seed=hyper.seed + SEED_STEP * i)
        (noise,) = hold_out(
            sites, target, seeded, SplitKind.GROUPED, 1, n_test_folds=hyper.n_test_folds, point=point, shuffle=True
        )
        reference = shuffled(sites.targets(target), seeded.seed)
        rmse.append(metrics.rmse(noise.predicted[noise.tested], reference[noise.tested]))
        no_skill.append(metrics.rmse(noise.no_skill[noise.tested], reference[noise.tested]))
    return {"rmse": over_seeds(rmse, hyper.confidence), "rmse_no_skill": over_seeds(no_skill, hyper.confidence)}


def _baseline(name: str, options: Mapping[str, Any], sites: SiteSet, reference: Array, held: Held, seed: int) -> Array:
    """Return predictions of a baseline for the test rows of a repetition, NaN elsewhere, shape (n, n_outputs)."""
    predicted = np.full(reference.shape, np.nan)
    for split in held.splits:
        train, new = split.train, sites.spectra[split.test]
        problem = Problem(sites.energy, sites.spectra[train], reference[train], sites.groups[train], new, seed)
        predicted[split.test] = BASELINES[name](problem, **options)
    return predicted


def windows(sites: SiteSet, parameters: Parameters, hyper: Hyperparameters, progress: Report) -> PartResult:
    """What each window of energies tells: figures 5, 6, S5 and S6 of the paper, with its random split."""
    # by the mean over the post-edge window, which a window of energies need not hold
    sites, hyper = _as_read(sites, hyper), dataclasses.replace(hyper, normalisation=Normalisation.NONE)
    names = [*parameters["names"], "full"]
    limits = [*(tuple(w) for w in parameters["windows_eV"]), (sites.energy[0], sites.energy[-1])]
    columns = [energy_columns(sites.energy, low, high) for low, high in limits]
    arrays: dict[str, Any] = {"windows_eV": np.array(limits), "window_names": np.array(names)}
    scores: dict[str, Any] = {}
    targets = _targets(parameters)
    point = {"learning_rate": hyper.learning_rate, "weight_decay": hyper.weight_decay}
    step = _steps(progress, len(targets))
    for t, target in enumerate(targets):
        reference = sites.targets(target)
        n_seeds = parameters["n_seeds"][str(target)]
        every = hold_out_windows(
            sites,
            target,
            hyper,
            SplitKind.RANDOM,
            n_seeds,
            [*columns[:-1], None],
            hyper.n_folds,
            point=point,
            progress=step(t, f"{target}: {len(names)} windows, {n_seeds} seeds"),
        )
        held_by_window = [held[0] for held in every]
        for name, held in zip(names, every, strict=True):
            entry = score(held, reference, hyper.confidence)
            scores.setdefault(str(target), {})[name] = {
                key: entry[key] for key in ("rmse", "r2", "rmse_no_skill", "skill", "n_train", "n_test")
            }
        if target is Target.VALENCE:
            arrays["valence_window_predicted"] = np.stack([_column(h.predicted, target) for h in held_by_window])
            arrays["valence_window_fitted"] = np.stack([_column(h.fitted, target) for h in held_by_window])
        else:
            arrays[f"{target}_window_site_rmse"] = np.stack(
                [site_rmse(h.predicted, reference) for h in held_by_window]
            ).astype(np.float32)
    return PartResult(arrays, {"scores": scores, "n_seeds": parameters["n_seeds"], "hyperparameters": point})


def energy_columns(energy: Array, low: float, high: float) -> NDArray[np.int64]:
    """Return the columns whose energy lies in [low, high), the last energy of all included.

    :param energy: increasing energies in eV, shape (n_e,).
    :raises ValueError: if there are fewer than two.
    """
    inside = (energy >= low - 1e-9) & ((energy < high - 1e-9) | (np.isclose(energy, energy[-1]) & (high >= energy[-1])))
    columns = np.flatnonzero(inside)
    if len(columns) < 2:
        raise ValueError(
            f"the window {low:g} to {high:g} eV holds {len(columns)} energies of the spectra, which cover "
            f"{energy[0]:.2f} to {energy[-1]:.2f} eV: give a wider one inside them."
        )
    return columns


VARIANTS = ("sites", "mixtures")


def averages(sites: SiteSet, parameters: Parameters, hyper: Hyperparameters, progress: Report) -> PartResult:
    """Averaged spectra of configurations that were never in training, with and without mixtures in training."""
    arrays: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    targets = _targets(parameters)
    step = _steps(progress, 2 * len(targets))
    for t, target in enumerate(targets):
        reference = sites.averaged(target)
        if not len(reference.configuration):
            raise ValueError("no configuration has all its silicon sites: there is no averaged spectrum to predict.")
        arrays["configuration"] = reference.configuration
        arrays[f"{target}_reference"] = _column(reference.targets, target)
        for v, variant in enumerate(VARIANTS):
            say = step(2 * t + v, f"{target}: averaged spectra, training on {variant}")
            say(0.0)
            runs = _predict_averages(sites, target, parameters, hyper, variant == "mixtures", say)
            predicted = np.mean([run["predicted"] for run in runs], axis=0)
            arrays[f"{target}_{variant}_predicted"] = _column(predicted, target)
            if target is Target.VALENCE:
                for edge in ("low", "high"):  # infinite where there are too few configurations for the coverage
                    arrays[f"{target}_{variant}_{edge}"] = np.mean([run[edge] for run in runs], axis=0)[:, 0]
            scores.setdefault(str(target), {})[variant] = _average_scores(
                sites, target, reference, runs, hyper.confidence
            )
    return PartResult(arrays, {"scores": scores, "n_seeds": parameters["n_seeds"]})


def _predict_averages(
    sites: SiteSet, target: Target, parameters: Parameters, hyper: Hyperparameters, mix: bool, progress: Callable
) -> list[dict[str, Array]]:
    """Return predictions and intervals of the averaged spectra for each seed, from networks that never saw them."""
    reference, targets = sites.averaged(target), sites.targets(target)
    point = {"learning_rate": hyper.learning_rate, "weight_decay": hyper.weight_decay}
    seeds = [hyper.seed + SEED_STEP * s for s in range(parameters["n_seeds"][str(target)])]
    divided = [grouped_splits(sites.groups, hyper.n_test_folds, seed) for seed in seeds]
    n_mixtures = hyper.n_mixtures if mix else 0
    tasks = [
        Task(split.train, seed, point=point, mixtures=n_mixtures)
        for seed, folds in zip(seeds, divided, strict=True)
        for split in folds
    ]
    trained = iter(fit_ensembles(sites.energy, sites.spectra, targets, sites.groups, target, tasks, hyper, progress))
    owner = np.array(sites.digests)
    runs = []
    for folds in divided:
        run = {key: np.full(reference.targets.shape, np.nan) for key in ("predicted", "no_skill", "low", "high")}
        for split in folds:
            result = next(trained)
            held = np.isin(owner[reference.configuration], sites.groups[split.test])
            if not held.any():
                continue
            members = result.ensemble.member_predictions(reference.spectra[held])
            run["predicted"][held] = members.mean(axis=0)
            run["no_skill"][held] = targets[split.train].mean(axis=0)
            residuals = of_averages(sites, target, result).residuals()
            run["low"][held], run["high"][held] = residuals.interval(members, hyper.coverage)
        runs.append(run)
    return runs


def _average_scores(
    sites: SiteSet, target: Target, reference: Any, runs: Sequence[Mapping[str, Array]], confidence: float
) -> dict[str, Any]:
    values = reference.targets
    x = sites.x[reference.configuration]
    entry: dict[str, Any] = {
        "rmse": over_seeds([metrics.rmse(run["predicted"], values) for run in runs], confidence),
        "r2": over_seeds([metrics.r_squared(run["predicted"], values) for run in runs], confidence),
        "rmse_no_skill": over_seeds([metrics.rmse(run["no_skill"], values) for run in runs], confidence),
        "n_configurations": len(values),
    }
    if target is Target.VALENCE:
        error = np.mean([run["predicted"] - values for run in runs], axis=0)[:, 0]
        entry["bias"] = float(error.mean())
        entry["bias_by_x"] = [[float(v), float(error[x == v].mean())] for v in np.unique(x)]
        inside = np.mean([(run["low"] <= values) & (values <= run["high"]) for run in runs])
        entry["coverage"] = float(inside)
    if target is Target.OXIDATION:
        distance = [float(metrics.total_variation(run["predicted"], values).mean()) for run in runs]
        none = [float(metrics.total_variation(run["no_skill"], values).mean()) for run in runs]
        entry["total_variation"] = over_seeds(distance, confidence)
        entry["total_variation_no_skill"] = over_seeds(none, confidence)
    return entry


def uncertainty(sites: SiteSet, parameters: Parameters, hyper: Hyperparameters, progress: Report) -> PartResult:
    """How often intervals of held-out configurations hold the truth, and what is refused as out of distribution."""
    arrays: dict[str, Any] = {}
    coverage: dict[str, Any] = {}
    targets = _targets(parameters)
    point = {"learning_rate": hyper.learning_rate, "weight_decay": hyper.weight_decay}
    for t, target in enumerate(targets):
        n = parameters["n_repetitions"][str(target)]
        say = _steps(progress, len(targets) + 1)(t, f"{target}: intervals, {n} repetitions")
        say(0.0)
        held = hold_out(
            sites, target, hyper, SplitKind.GROUPED, n, n_test_folds=hyper.n_test_folds, point=point, progress=say
        )
        reference = sites.targets(target)
        low, high = (np.full((n, *reference.shape), np.nan) for _ in range(2))
        for i, repetition in enumerate(held):
            for split, trained in zip(repetition.splits, repetition.trained, strict=True):
                members = trained.ensemble.member_predictions(sites.spectra[split.test])
                residuals = of_sites(sites, target, trained).residuals()
                ends = residuals.interval(members, hyper.coverage)
                low[i, split.test], high[i, split.test] = (np.clip(end, *target.limits) for end in ends)
        coverage[str(target)] = _coverage(sites, low, high, reference, parameters["n_bootstrap"], hyper)
        if target is Target.VALENCE:
            arrays["valence_predicted"] = np.stack([_column(h.predicted, target) for h in held])
            arrays["valence_low"], arrays["valence_high"] = low[:, :, 0], high[:, :, 0]
        else:
            arrays[f"{target}_predicted"] = _column(held[0].predicted, target)
            arrays[f"{target}_low"], arrays[f"{target}_high"] = low[0].astype(np.float32), high[0].astype(np.float32)
    progress(len(targets) / (len(targets) + 1), "spectra out of distribution")
    shown = _as_read(sites, hyper)
    arrays["novelty"], false_alarms = probes.held_out(shown, hyper.novelty, hyper.n_test_folds, hyper.seed)
    arrays["novelty_threshold"] = np.array(1.0)
    detector = NoveltyReference.fit(shown.energy, shown.spectra, shown.groups, hyper.novelty, hyper.seed)
    found = probes.judge(shown, detector, parameters["probe_shift_eV"], parameters["n_noise"], hyper.seed)
    return PartResult(
        arrays,
        {
            "coverage": coverage,
            "false_alarms": false_alarms,
            "probes": found,
            "n_repetitions": parameters["n_repetitions"],
            "hyperparameters": point,
        },
    )


def _coverage(
    sites: SiteSet, low: Array, high: Array, reference: Array, n_bootstrap: int, hyper: Hyperparameters
) -> dict[str, Any]:
    """Return the pooled coverage with its error, by composition, and the mean width of the intervals."""
    x = sites.x[sites.configuration]

    def of(rows: NDArray[np.bool_]) -> conformal.Coverage:
        n = len(low)
        return conformal.coverage_score(
            np.concatenate(low[:, rows]),
            np.concatenate(high[:, rows]),
            np.concatenate([reference[rows]] * n),
            np.concatenate([sites.groups[rows]] * n),
            n_bootstrap=n_bootstrap,
            confidence=hyper.confidence,
            seed=hyper.seed,
        )

    by_x = [[float(value), *dataclasses.astuple(of(x == value))] for value in np.unique(x)]
    return {**dataclasses.asdict(of(np.ones(len(sites), dtype=bool))), "by_x": by_x}


def curve(sites: SiteSet, parameters: Parameters, hyper: Hyperparameters, progress: Report) -> PartResult:
    """RMSE against the number of sites, grouped split."""
    arrays: dict[str, Any] = {}
    attributes: dict[str, Any] = {"fit": {}, "sites_needed": {}}
    targets = _targets(parameters)
    for t, target in enumerate(targets):
        say = _steps(progress, len(targets))(t, f"{target}: learning curve")
        result = learning_curve(sites, target, parameters, hyper, say)
        if result.linear is not None:
            arrays[f"{target}_rmse_linear"] = result.linear
            attributes["linear_rmse"] = float(result.linear[-1].mean())
        arrays |= {"n_sites": result.n_sites, "n_configurations": result.n_configurations}
        arrays[f"{target}_rmse"], arrays[f"{target}_rmse_no_skill"] = result.rmse, result.no_skill
        attributes["fit"][str(target)] = result.power_law
        attributes["sites_needed"][str(target)] = result.sites_needed
    return PartResult(arrays, attributes)


def model(sites: SiteSet, parameters: Parameters, hyper: Hyperparameters, progress: Report) -> PartResult:
    """The models to keep, trained on all sites."""
    targets = _targets(parameters)
    step = _steps(progress, len(targets))
    models = {
        str(target): train_model(sites, target, hyper, step(i, f"{target}: model of all sites"))
        for i, target in enumerate(targets)
    }
    return PartResult({}, {"targets": [str(target) for target in targets]}, models)


#: Parts of the analysis by name, in the order in which they are run.
PARTS: dict[str, Callable[[SiteSet, Parameters, Hyperparameters, Report], PartResult]] = {
    "splits": splits,
    "windows": windows,
    "averages": averages,
    "uncertainty": uncertainty,
    "learning_curve": curve,
    "model": model,
}

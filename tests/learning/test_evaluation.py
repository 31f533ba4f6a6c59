"""Scores of the splits on synthetic spectra: skill, what no skill gives, confidence intervals, reproducibility."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.evaluation import hold_out, hold_out_windows, over_seeds, score, shuffled, site_rmse
from aiida_siox.learning.parameters import SplitKind, Target
from tests.learning.toy import toy_hyper, toy_sites


@pytest.mark.parametrize("target", list(Target))
@pytest.mark.parametrize("kind", list(SplitKind))
def test_toy_spectra_are_learned(target, kind):
    sites = toy_sites(n=90)
    held = hold_out(sites, target, toy_hyper(epochs=60), kind, 1, n_test_folds=3)
    reference = sites.targets(target)
    entry = score(held, reference, 0.9)
    # distributions are hard to learn from 90 rows: the bound is that of this data, not of the method
    assert entry["skill"] > (0.1 if target is Target.OXIDATION else 0.4)
    assert entry["rmse"]["mean"] < entry["rmse_composition_mean"]["mean"]
    assert held[0].predicted.shape == reference.shape
    assert held[0].tested.sum() == (18 if kind is SplitKind.RANDOM else 90)
    assert np.isfinite(held[0].fitted).any() == (kind is SplitKind.RANDOM)


def test_scores_are_those_of_their_definitions():
    sites = toy_sites(n_configurations=15)  # so that no composition is left out as a whole
    held = hold_out(sites, Target.VALENCE, toy_hyper(epochs=3), SplitKind.GROUPED, 2, n_test_folds=3)
    reference = sites.targets(Target.VALENCE)
    entry = score(held, reference, 0.9)
    assert entry["n_seeds"] == 2
    for i, repetition in enumerate(held):
        error, none, by_x = [], [], []
        for split in repetition.splits:
            train, test = reference[split.train], reference[split.test]
            error.append(repetition.predicted[split.test] - test)
            none.append(train.mean() - test)
            for row in split.test:
                same = sites.compositions[split.train] == sites.compositions[row]
                by_x.append(train[same].mean() - reference[row])
        for key, values in (("rmse", error), ("rmse_no_skill", none), ("rmse_composition_mean", [np.array(by_x)])):
            expected = np.sqrt((np.concatenate(values) ** 2).mean())
            assert entry[key]["seeds"][i] == pytest.approx(expected), key
    assert not np.array_equal(held[0].splits[0].test, held[1].splits[0].test)


def test_shuffled_targets_have_no_skill():
    sites = toy_sites(n=120, n_configurations=12)
    held = hold_out(sites, Target.VALENCE, toy_hyper(epochs=60), SplitKind.GROUPED, 1, n_test_folds=5, shuffle=True)
    assert not np.allclose(held[0].no_skill, 0)
    reference = shuffled(sites.targets(Target.VALENCE), toy_hyper().seed)
    assert sorted(reference[:, 0]) == sorted(sites.valence)
    entry = score(held, reference, 0.9)
    assert abs(entry["skill"]) < 0.1


def test_same_seed_same_predictions():
    sites = toy_sites()
    run = [
        hold_out(sites, Target.VALENCE, toy_hyper(epochs=5, seed=seed), SplitKind.GROUPED, 1, n_test_folds=3)[0]
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(run[0].predicted, run[1].predicted)
    assert not np.array_equal(run[0].predicted, run[2].predicted)


def test_interval_of_the_mean_over_seeds():
    entry = over_seeds([1.0, 2.0, 3.0], 0.9)
    half = 2.9199855803537247 / np.sqrt(3)  # t of 95 % at two degrees of freedom, standard deviation 1
    assert entry["mean"] == 2.0
    assert entry["high"] - 2.0 == pytest.approx(half)
    assert 2.0 - entry["low"] == pytest.approx(half)
    assert over_seeds([1.5], 0.9) == {"mean": 1.5, "low": 1.5, "high": 1.5, "seeds": [1.5]}
    assert over_seeds([None], 0.9)["mean"] is None


def test_site_rmse():
    predicted = np.array([[1.0, 3.0], [np.nan, np.nan]])
    values = site_rmse(predicted, np.zeros((2, 2)))
    assert values[0] == pytest.approx(5**0.5)
    assert np.isnan(values[1])


def test_windows_read_their_own_energies_only():
    sites = toy_sites(n=60)
    line, far = np.flatnonzero(abs(sites.energy - 1846) < 4), np.arange(200, 256)
    held = hold_out_windows(
        sites, Target.VALENCE, toy_hyper(epochs=60), SplitKind.RANDOM, 1, [line, far, None], n_test_folds=5
    )
    reference = sites.targets(Target.VALENCE)
    skills = [score(window, reference, 0.9)["skill"] for window in held]
    assert skills[0] > 0.6, "the synthetic line moves with the valence"
    assert skills[1] < 0.2, "nothing does far above it"
    assert [window[0].trained[0].ensemble.architecture.n_inputs for window in held] == [len(line), 56, 256]

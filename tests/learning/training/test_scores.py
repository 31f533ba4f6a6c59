"""Scores of the splits on synthetic spectra: skill, what no skill gives, confidence intervals, reproducibility."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.data.splits import SplitKind
from aiida_siox.learning.training.scores import hold_out, hold_out_windows, over_seeds, score, site_rmse
from tests.learning.toy import QUANTITIES, toy_examples, toy_hyper


@pytest.mark.parametrize("target", list(QUANTITIES))
@pytest.mark.parametrize("kind", list(SplitKind))
def test_toy_spectra_are_learned(target, kind):
    examples = toy_examples(target, n=90)
    held = hold_out(examples, toy_hyper(epochs=60, n_test_folds=3), kind, 1)
    reference = examples.targets
    entry = score(held, reference, 0.9)
    # distributions are hard to learn from 90 rows: the bound is that of this data, not of the method
    assert entry["skill"] > (0.1 if target == "oxidation" else 0.4)
    assert entry["rmse"]["mean"] < entry["rmse_composition_mean"]["mean"]
    assert held[0].predicted.shape == reference.shape
    assert held[0].tested.sum() == (round(0.2 * len(examples)) if kind is SplitKind.RANDOM else len(examples))
    assert np.isfinite(held[0].fitted).any() == (kind is SplitKind.RANDOM)


def test_scores_are_those_of_their_definitions():
    examples = toy_examples(n_configurations=15)  # so that no composition is left out as a whole
    held = hold_out(examples, toy_hyper(epochs=3, n_test_folds=3), SplitKind.GROUPED, 2)
    reference, composition = examples.targets, examples.composition
    entry = score(held, reference, 0.9)
    assert entry["n_seeds"] == 2
    for i, repetition in enumerate(held):
        error, none, by_x = [], [], []
        for split in repetition.splits:
            train, test = reference[split.train], reference[split.test]
            error.append(repetition.predicted[split.test] - test)
            none.append(train.mean() - test)
            for row in split.test:
                same = composition[split.train] == composition[row]
                by_x.append(train[same].mean() - reference[row])
        for key, values in (("rmse", error), ("rmse_no_skill", none), ("rmse_composition_mean", [np.array(by_x)])):
            expected = np.sqrt((np.concatenate(values) ** 2).mean())
            assert entry[key]["seeds"][i] == pytest.approx(expected), key
    assert not np.array_equal(held[0].splits[0].test, held[1].splits[0].test)


def test_shuffled_targets_have_no_skill():
    examples, hyper = toy_examples(n=120, n_configurations=12), toy_hyper(epochs=60, n_test_folds=5)
    noise = examples.shuffled(hyper.seed)
    held = hold_out(noise, hyper, SplitKind.GROUPED, 1)
    assert not np.allclose(held[0].no_skill, 0)
    assert sorted(noise.targets[:, 0]) == sorted(examples.targets[:, 0])
    entry = score(held, noise.targets, 0.9)
    assert abs(entry["skill"]) < 0.1


def test_same_seed_same_predictions():
    examples = toy_examples()
    run = [
        hold_out(examples, toy_hyper(epochs=5, seed=seed, n_test_folds=3), SplitKind.GROUPED, 1)[0]
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
    examples = toy_examples()
    line, far = np.flatnonzero(abs(examples.energy - 1846) < 4), np.arange(200, 256)
    held = hold_out_windows(examples, toy_hyper(epochs=60), SplitKind.RANDOM, 1, [line, far, None])
    reference = examples.targets
    skills = [score(window, reference, 0.9)["skill"] for window in held]
    assert skills[0] > 0.6, "the synthetic line moves with the valence"
    assert skills[1] < 0.2, "nothing does far above it"
    assert [window[0].trained[0].ensemble.architecture.n_inputs for window in held] == [len(line), 56, 256]

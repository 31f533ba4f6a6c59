"""Training on synthetic spectra: skill, honest splits, early stopping, reproducibility."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from aiida_siox.learning.evaluation import LearningData, train_and_score
from aiida_siox.learning.parameters import SplitKind, Target
from aiida_siox.learning.splits import random_split
from aiida_siox.learning.training import fit
from tests.learning.toy import toy_data, toy_hyper


@pytest.mark.parametrize("target", list(Target))
def test_toy_spectra_are_learned_on_both_splits(target):
    data = toy_data(target=target)
    outcome = train_and_score(data, target, toy_hyper(epochs=100))
    assert set(outcome.results) == set(SplitKind)
    assert outcome.chosen is SplitKind.RANDOM
    for result in outcome.results.values():
        scores = result.scores
        assert scores.skill > 0.5
        assert scores.r2 > 0.75
        assert scores.rmse < scores.rmse_composition_mean
        assert scores.n_train + scores.n_test == len(data)
        assert result.predicted.shape == data.targets.shape


def test_no_skill_is_the_training_mean():
    data = toy_data()
    outcome = train_and_score(data, Target.VALENCE, toy_hyper(epochs=5))
    for result in outcome.results.values():
        train, test = result.split.train, result.split.test
        expected = np.sqrt(((data.targets[train].mean(axis=0) - data.targets[test]) ** 2).mean())
        assert result.scores.rmse_no_skill == pytest.approx(expected)
        error = np.sqrt(((result.predicted[test] - data.targets[test]) ** 2).mean())
        assert result.scores.rmse == pytest.approx(error)


def test_shuffled_targets_have_no_skill():
    data = toy_data(n=200)
    shuffled = dataclasses.replace(data, targets=np.random.default_rng(1).permutation(data.targets))
    scores = train_and_score(shuffled, Target.VALENCE, toy_hyper(epochs=60)).best.scores
    assert abs(scores.skill) < 0.15


def _weights(outcome):
    return outcome.best.fit.network.state_dict()


def test_same_seed_same_weights():
    data = toy_data()
    first = _weights(train_and_score(data, Target.VALENCE, toy_hyper(epochs=20)))
    torch.rand(7)  # the global generator must not matter
    again = _weights(train_and_score(data, Target.VALENCE, toy_hyper(epochs=20)))
    other = _weights(train_and_score(data, Target.VALENCE, toy_hyper(epochs=20, seed=1)))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["body.0.weight"], other["body.0.weight"])


def test_global_state_of_torch_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    train_and_score(toy_data(), Target.VALENCE, toy_hyper(epochs=2, threads=1))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_test_sites_decide_nothing():
    data = toy_data()
    hyper = toy_hyper(epochs=15)
    outcome = train_and_score(data, Target.VALENCE, hyper)
    spectra, targets = data.spectra.copy(), data.targets.copy()
    test = outcome.best.split.test
    spectra[test] *= -100
    targets[test] += 100
    changed = train_and_score(
        dataclasses.replace(data, spectra=spectra, targets=targets), Target.VALENCE, hyper
    ).best.fit.network
    kept = outcome.best.fit.network
    assert all(
        torch.equal(a, b) for a, b in zip(kept.state_dict().values(), changed.state_dict().values(), strict=True)
    )


def test_best_weights_are_restored():
    data = toy_data(n=40)
    hyper = toy_hyper(patience=10)
    spectra, targets = torch.from_numpy(data.spectra), torch.from_numpy(data.targets)
    result = train_and_score(data, Target.VALENCE, hyper).best
    trained, split = result.fit, result.split
    validation = trained.history[:, 1]
    assert trained.best_epoch == int(np.argmin(validation)) + 1
    assert len(validation) == trained.best_epoch + 10
    network = trained.network
    loss = (((network(spectra[split.validation]) - targets[split.validation]) / network.output_scale) ** 2).mean()
    assert float(loss.detach()) == pytest.approx(validation.min(), rel=1e-3)


@pytest.mark.parametrize("n", [4, 5, 16])
@pytest.mark.parametrize("target", list(Target))
def test_tiny_data_sets_work(n, target):
    outcome = train_and_score(toy_data(n=n, n_configurations=2, target=target), target, toy_hyper(epochs=20))
    for result in outcome.results.values():
        assert np.isfinite(result.predicted).all()
        assert np.isfinite(result.scores.rmse)
    if n == 4:
        assert outcome.results[SplitKind.RANDOM].scores.r2 is None


def test_grouped_falls_back_with_a_reason():
    outcome = train_and_score(toy_data(n_configurations=1), Target.VALENCE, toy_hyper(split="grouped", epochs=2))
    assert outcome.chosen is SplitKind.RANDOM
    assert "one configuration" in outcome.unavailable[SplitKind.GROUPED]


def test_grouped_network_is_kept_when_asked_for():
    outcome = train_and_score(toy_data(), Target.VALENCE, toy_hyper(split="grouped", epochs=2))
    assert outcome.chosen is SplitKind.GROUPED
    assert outcome.best.split.kind is SplitKind.GROUPED


def test_identical_spectra_do_not_break_training():
    data = toy_data(n=12)
    same = dataclasses.replace(data, spectra=np.tile(data.spectra[:1], (12, 1)), targets=np.ones((12, 1)))
    result = train_and_score(same, Target.VALENCE, toy_hyper(epochs=3)).best
    assert np.isfinite(result.predicted).all()
    assert result.scores.rmse_no_skill == 0
    assert result.scores.skill is None


def test_divergence_is_reported():
    data = toy_data(n=20)
    split = random_split(data.groups, _sizes(), 0)
    hyper = toy_hyper(learning_rate=1e30, epochs=3)
    tensors = (torch.from_numpy(a) for a in (data.energy, data.spectra, data.targets))
    with pytest.raises(ValueError, match="lower `learning_rate`"):
        fit(*tensors, split, hyper.architecture(Target.VALENCE, 256, 1), hyper)


def _sizes():
    from aiida_siox.learning.splits import SplitSizes

    return SplitSizes(0.2, 0.15, 5)


def test_bad_data_are_refused():
    data = toy_data(n=6)
    spectra = data.spectra.copy()
    spectra[3, 5] = np.nan
    with pytest.raises(ValueError, match="the spectrum of row 3"):
        LearningData.checked(data.energy, spectra, data.targets, data.groups, data.compositions)
    with pytest.raises(ValueError, match="shapes do not fit"):
        LearningData.checked(data.energy[1:], data.spectra, data.targets, data.groups, data.compositions)
    with pytest.raises(ValueError, match="one of each for every site"):
        LearningData.checked(data.energy, data.spectra, data.targets[1:], data.groups, data.compositions)
    with pytest.raises(ValueError, match="must increase"):
        LearningData.checked(data.energy[::-1], data.spectra, data.targets, data.groups, data.compositions)

"""Ensembles: who has seen what, what the cross-validation chooses, mixtures, and the state that is stored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.networks.ensemble import Ensemble, as_distribution
from aiida_siox.learning.training.cross_validation import Task, fit_ensembles, mixtures
from tests.learning.toy import QUANTITIES, toy_hyper, toy_sites


def train(sites, tasks, hyper, target="valence"):
    return fit_ensembles(sites.examples(target), tasks, hyper)


def test_out_of_fold_predictions_come_from_networks_that_left_the_configuration_out():
    sites = toy_sites()
    rows = np.arange(5, 60)
    (result,) = train(sites, [Task(rows, 1)], toy_hyper(epochs=20))
    members = result.ensemble.member_predictions(sites.spectra[rows])
    assert members.shape == (5, 55, 1)
    np.testing.assert_array_equal(result.out_of_fold, members[result.fold, np.arange(55)])
    for group in np.unique(sites.group[rows]):
        assert len(set(result.fold[sites.group[rows] == group])) == 1
    np.testing.assert_allclose(result.ensemble.predict(sites.spectra[rows]), members.mean(axis=0))


def test_folds_of_sites_when_asked_or_when_there_are_few_configurations():
    sites, hyper = toy_sites(n=40, n_configurations=2), toy_hyper(epochs=2)
    few, asked = train(sites, [Task(np.arange(40), 1), Task(np.arange(40), 1, grouped=False)], hyper)
    for result in (few, asked):
        assert sorted(np.bincount(result.fold)) == [8] * 5
        assert len(set(result.fold[sites.group == "cell0"])) == 5


def test_test_rows_decide_nothing():
    sites, hyper = toy_sites(), toy_hyper(epochs=8, grid={"learning_rate": [1e-3, 1e-4], "weight_decay": [0.0]})
    rows = np.arange(40)
    (before,) = train(sites, [Task(rows, 1)], hyper)
    spectra, valence = sites.spectra.copy(), sites.properties["valence"].copy()
    spectra[40:], valence[40:] = 1e6, -1e6
    changed = dataclasses.replace(sites, spectra=spectra, properties={"valence": valence})
    (after,) = train(changed, [Task(rows, 1)], hyper)
    assert after.losses == before.losses
    np.testing.assert_array_equal(after.out_of_fold, before.out_of_fold)


def test_the_grid_point_with_the_least_error_of_the_folds_is_kept():
    sites = toy_sites()
    hyper = toy_hyper(epochs=15, grid={"learning_rate": [1e-7, 1e-3], "weight_decay": [0.0]})
    (result,) = train(sites, [Task(np.arange(60), 1)], hyper)
    assert result.point == {"learning_rate": 1e-3, "weight_decay": 0.0}
    assert result.losses[1] < 0.5 * result.losses[0]
    error = ((result.out_of_fold - sites.properties["valence"]) ** 2).mean()
    assert result.losses[1] == pytest.approx(error, rel=1e-3), "in units of the target, every site once"
    (fixed,) = train(sites, [Task(np.arange(60), 1, point=hyper.points()[0])], hyper)
    assert fixed.point["learning_rate"] == 1e-7


def test_tasks_train_together_as_they_would_alone():
    sites, hyper = toy_sites(), toy_hyper(epochs=5)
    tasks = [Task(np.arange(50), 1), Task(np.arange(10, 60), 2)]
    together, alone = train(sites, tasks, hyper)[1], train(sites, tasks[1:], hyper)[0]
    np.testing.assert_allclose(together.out_of_fold, alone.out_of_fold, atol=1e-3)


def test_mixtures_are_means_of_the_rows_that_they_may_draw_from():
    generator = np.random.default_rng(0)
    spectra, targets = generator.normal(size=(20, 4)), np.arange(20.0)[:, None]
    rows = np.array([2, 5, 7])
    mixed, values = mixtures(spectra, targets, rows, 200, (2, 3), generator)
    expected = {(2, 5): 3.5, (2, 7): 4.5, (5, 7): 6.0, (2, 5, 7): 14 / 3}
    assert set(values[:, 0].round(6)) == {round(value, 6) for value in expected.values()}
    np.testing.assert_allclose(mixed[np.isclose(values[:, 0], 14 / 3)][0], spectra[rows].mean(axis=0))


def test_mixtures_improve_averages_of_a_target_that_is_not_linear():
    """A network of single sites reads the mean of a bent curve wrong; one that saw mixtures does not."""
    generator = np.random.default_rng(1)
    value = generator.choice([0.0, 4.0], 120)
    energy = np.linspace(1830, 1880, 64)
    spectra = np.exp(-(((energy - 1845 - 0.8 * value[:, None]) / 1.5) ** 2)) + generator.normal(0, 0.01, (120, 64))
    groups = np.repeat([f"c{i}" for i in range(12)], 10)
    hyper = toy_hyper(epochs=120, patience=120)
    tasks = [Task(np.arange(120), 1), Task(np.arange(120), 1, mixtures=200)]
    owners, rows = np.arange(120) // 10, np.arange(120)
    examples = Examples(
        QUANTITIES["valence"], energy, spectra, value[:, None], groups, rows, owners, np.ones(12, dtype=bool), rows, 120
    )
    plain, mixed = fit_ensembles(examples, tasks, hyper)
    means = spectra.reshape(12, 10, 64).mean(axis=1)
    expected = value.reshape(12, 10).mean(axis=1)
    errors = [np.sqrt(((r.ensemble.predict(means)[:, 0] - expected) ** 2).mean()) for r in (plain, mixed)]
    assert errors[1] < 0.5 * errors[0]


def test_columns_and_seeds():
    sites, hyper = toy_sites(), toy_hyper(epochs=2, seeds_per_fold=2)
    columns = np.arange(50, 120)
    (result,) = train(sites, [Task(np.arange(60), 1, columns=columns)], hyper)
    assert [len(members) for members in result.ensemble.networks] == [2] * 5
    assert result.ensemble.predict(sites.spectra[:, columns]).shape == (60, 1)
    first, second = result.ensemble.networks[0]
    assert not torch.equal(first.body[0].weight, second.body[0].weight)


def test_oxidation_states_are_distributions():
    sites = toy_sites()
    (result,) = train(sites, [Task(np.arange(60), 1)], toy_hyper(epochs=10), "oxidation")
    predicted = result.ensemble.predict(sites.spectra)
    assert predicted.shape == (60, 5)
    assert predicted.min() >= 0
    np.testing.assert_allclose(predicted.sum(axis=1), 1)
    values = as_distribution(np.array([[-1.0, 1.0, 3.0, 0.0, 0.0], [-1.0, -1.0, 0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(values, [[0, 0.25, 0.75, 0, 0], [0.2] * 5])


def test_state_and_back():
    sites = toy_sites()
    (result,) = train(sites, [Task(np.arange(60), 1)], toy_hyper(epochs=2))
    again = Ensemble.from_state(result.ensemble.state())
    np.testing.assert_array_equal(again.predict(sites.spectra), result.ensemble.predict(sites.spectra))
    np.testing.assert_allclose(again.energy, sites.energy)


def test_broken_states_are_refused():
    sites = toy_sites(n=20)
    (result,) = train(sites, [Task(np.arange(20), 1)], toy_hyper(epochs=1))
    state = result.ensemble.state()
    with pytest.raises(ValueError, match="not the state of an ensemble"):
        Ensemble.from_state({key: value for key, value in state.items() if key != "networks"})
    with pytest.raises(ValueError, match="empty or holds numbers"):
        Ensemble.from_state({**state, "networks": []})
    state["networks"][0][0]["input_mean"][3] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        Ensemble.from_state(state)

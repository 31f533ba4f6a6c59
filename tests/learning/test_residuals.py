"""Errors of what networks have not fitted, on synthetic spectra."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aiida_siox.learning.ensemble import Task, fit_ensembles
from aiida_siox.learning.parameters import Target
from aiida_siox.learning.residuals import Residuals, of_averages, of_sites
from tests.learning.toy import toy_arrays, toy_hyper, toy_sites

SMALL = {"hidden": [16, 16], "activation": "leaky_relu"}


@pytest.fixture(scope="module")
def sites():
    return toy_sites(n=160, n_configurations=20)


@pytest.fixture(scope="module")
def trained(sites):
    hyper = toy_hyper(epochs=60, networks={"valence": SMALL})
    task = Task(np.arange(len(sites)), seed=1, mixtures=100)
    targets = sites.targets(Target.VALENCE)
    return fit_ensembles(sites.energy, sites.spectra, targets, sites.groups, Target.VALENCE, [task], hyper)[0]


def test_sites(sites, trained):
    found = of_sites(sites, Target.VALENCE, trained)
    first = trained.fold == 0
    expected = trained.ensemble.member_predictions(sites.spectra[first])[0]
    np.testing.assert_allclose(found.predicted[first], expected)
    np.testing.assert_allclose(found.no_skill[first], sites.valence[~first].mean())
    np.testing.assert_allclose(found.residuals().values[:, 0], np.abs(found.predicted[:, 0] - sites.valence), rtol=1e-6)
    assert found.scores()["n"] == len(sites)
    assert found.residuals().n_groups == 20


def test_averages_by_networks_that_left_the_whole_configuration_out(sites, trained):
    found = of_averages(sites, Target.VALENCE, trained)
    assert len(found.fold) == 20
    rows = sites.configuration == 7
    (fold,) = np.unique(trained.fold[rows])
    assert found.fold[7] == fold
    members = trained.ensemble.member_predictions(sites.spectra[rows].mean(axis=0)[None])
    np.testing.assert_allclose(found.predicted[7], members[fold, 0], rtol=1e-5)
    np.testing.assert_allclose(found.reference[7, 0], sites.valence[rows].mean())


def test_averages_of_what_no_network_left_out(sites, trained):
    split = dataclasses.replace(trained, fold=np.arange(len(sites)) % 3)
    found = of_averages(sites, Target.VALENCE, split)
    assert found.predicted.shape == (0, 1)
    groups = of_sites(sites, Target.VALENCE, split).group
    assert len(np.unique(groups)) == len(sites), "sites are all that can be exchanged"
    low, high = found.residuals().interval(np.zeros((3, 4, 1)), 0.9)
    assert np.isinf(low).all()
    assert np.isinf(high).all()


def test_intervals_of_averages_hold_new_ones(sites, trained):
    residuals = of_averages(sites, Target.VALENCE, trained).residuals()
    arrays = toy_arrays(8 * 200, 200, seed=5)
    spectra, valence = (
        np.array([arrays[name][arrays["configuration"] == i].mean(axis=0) for i in range(200)])
        for name in ("spectra", "valence")
    )
    low, high = residuals.interval(trained.ensemble.member_predictions(spectra), 0.9)
    inside = (low[:, 0] <= valence) & (valence <= high[:, 0])
    assert inside.mean() > 0.8
    assert (high - low).mean() < 3 * residuals.values.max()


def test_how_many_suffice():
    for n_sites in (9, 90):
        for n_groups in (8, 9):
            groups = np.arange(n_sites) % n_groups
            assert Residuals(np.zeros((n_sites, 1)), groups * 0, groups).suffice(0.9) == (n_groups == 9)

"""Errors of what networks have not fitted, on synthetic spectra."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aiida_siox.learning.training.cross_validation import Task, fit_ensembles
from aiida_siox.learning.uncertainty.calibrator import CvPlus
from aiida_siox.learning.uncertainty.left_out import of_averages, of_sites
from tests.learning.toy import toy_arrays, toy_examples, toy_hyper

SMALL = {"hidden": [16, 16], "activation": "leaky_relu"}


@pytest.fixture(scope="module")
def sites():
    return toy_examples(n=160, n_configurations=20)


@pytest.fixture(scope="module")
def trained(sites):
    hyper = toy_hyper(epochs=60, networks={"valence": SMALL})
    task = Task(np.arange(len(sites)), seed=1, mixtures=100)
    return fit_ensembles(sites, [task], hyper)[0]


def test_sites(sites, trained):
    found = of_sites(sites, trained)
    first = trained.fold == 0
    expected = trained.ensemble.member_predictions(sites.spectra[first])[0]
    np.testing.assert_allclose(found.predicted[first], expected)
    np.testing.assert_allclose(found.no_skill[first], sites.targets[:, 0][~first].mean())
    np.testing.assert_allclose(found.errors[:, 0], np.abs(found.predicted[:, 0] - sites.targets[:, 0]))
    assert found.scores()["n"] == len(sites)
    assert found.n_groups == 20


def test_averages_by_networks_that_left_the_whole_configuration_out(sites, trained):
    found = of_averages(sites, trained)
    assert len(found.fold) == 20
    rows = sites.configuration == 7
    (fold,) = np.unique(trained.fold[rows])
    assert found.fold[7] == fold
    members = trained.ensemble.member_predictions(sites.spectra[rows].mean(axis=0)[None])
    np.testing.assert_allclose(found.predicted[7], members[fold, 0], rtol=1e-5)
    np.testing.assert_allclose(found.reference[7, 0], sites.targets[:, 0][rows].mean())


def test_averages_of_what_no_network_left_out(sites, trained):
    split = dataclasses.replace(trained, fold=np.arange(len(sites)) % 3)
    found = of_averages(sites, split)
    assert found.predicted.shape == (0, 1)
    groups = of_sites(sites, split).group
    assert len(np.unique(groups)) == len(sites), "sites are all that can be exchanged"
    fitted = CvPlus.fit(found, toy_hyper().uncertainty)
    low, high = fitted.interval(np.zeros((3, 4, 1)), np.zeros((4, 256)), 0.9)
    assert np.isinf(low).all()
    assert np.isinf(high).all()


def test_intervals_of_averages_hold_new_ones(sites, trained):
    left_out = of_averages(sites, trained)
    fitted = CvPlus.fit(left_out, toy_hyper().uncertainty)
    arrays = toy_arrays(8 * 200, 200, seed=5)
    spectra, valence = (
        np.array([arrays[name][arrays["configuration"] == i].mean(axis=0) for i in range(200)])
        for name in ("spectra", "valence")
    )
    low, high = fitted.interval(trained.ensemble.member_predictions(spectra), spectra, 0.9)
    inside = (low[:, 0] <= valence) & (valence <= high[:, 0])
    assert inside.mean() > 0.8
    assert (high - low).mean() < 3 * left_out.errors.max()


def test_how_many_suffice():
    for n_sites in (9, 90):
        for n_groups in (8, 9):
            groups = np.arange(n_sites) % n_groups
            assert CvPlus(np.zeros((n_sites, 1)), groups * 0, groups).suffice(0.9) == (n_groups == 9)

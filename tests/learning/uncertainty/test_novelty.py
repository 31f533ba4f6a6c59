"""The novelty score on synthetic spectra: each statistic alone, the threshold, what must be flagged and what not."""

from __future__ import annotations

import gzip
import pathlib

import numpy as np
import pytest

from aiida_siox.learning.uncertainty.novelty import STATISTICS, NoveltyReference
from tests.learning.toy import ENERGY, toy_novelty

DIAMOND = pathlib.Path(__file__).parents[2] / "fixtures/xspectra/diamond/diamondh.xspectra.dat.gz"


def synthetic(n: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return synthetic edges that grow and move by 5 eV from Si⁰ to Si⁴⁺, and the configuration of each."""
    rng = np.random.default_rng(seed)
    state = rng.uniform(0, 4, n)
    edge = 1840 + 1.25 * state[:, None] + rng.normal(0, 0.15, (n, 1)) + shift
    height = 0.2 + 0.6 * state[:, None] + rng.normal(0, 0.1, (n, 1))
    relative = ENERGY - edge
    wiggle = rng.normal(0, 0.05, (n, 1)) * np.cos(relative / 3)
    spectra = (1 + wiggle) / (1 + np.exp(-relative / 0.6)) + height * np.exp(-((relative - 1.5) ** 2) / 2)
    return 0.01 * spectra, np.arange(n) % 20


def fitted(n: int = 160, seed: int = 0) -> NoveltyReference:
    spectra, groups = synthetic(n, seed)
    return NoveltyReference.fit(ENERGY, spectra, groups, toy_novelty(), 1)


@pytest.fixture(scope="module")
def reference():
    return fitted()


def test_threshold_is_the_held_out_order_statistic(reference):
    # ⌈0.95 · 161⌉ = 153rd of 160
    assert reference.threshold == np.sort(reference.held_out)[152]
    assert (reference.held_out > reference.threshold).sum() == 7
    assert reference.score(synthetic(3, 5)[0]).shape == (3,)


def test_false_alarms_on_configurations_that_were_held_out(reference):
    rates = [reference.flagged(synthetic(400, seed)[0]).mean() for seed in (11, 12, 13)]
    assert max(rates) <= 0.10
    assert min(rates) > 0.0


def test_averages_are_not_new(reference):
    spectra, groups = synthetic(160, 4)
    averages = np.array([spectra[groups == g].mean(axis=0) for g in range(20)])
    assert not reference.flagged(averages).any()


@pytest.mark.parametrize("shift", [3.0, -3.0])
@pytest.mark.parametrize("end", [0.0, 4.0])
def test_shifted_ends_of_the_series_are_flagged(reference, shift, end):
    relative = ENERGY - 1840 - 1.25 * end - shift
    line = (0.2 + 0.6 * end) * np.exp(-((relative - 1.5) ** 2) / 2)
    spectrum = 0.01 * (1 / (1 + np.exp(-relative / 0.6)) + line)
    assert reference.flagged(spectrum[None]).all()
    axis = reference.statistics(spectrum[None])[0, STATISTICS.index("axis")] * reference.units[2]
    assert axis == pytest.approx(3.0, abs=0.5)


def test_diamond_is_flagged(reference):
    with gzip.open(DIAMOND, "rt") as file:
        energy, sigma = np.loadtxt(file).T
    edge = energy[np.argmax(np.diff(sigma))]
    for centre in (1840.0, 1843.0, 1846.0):
        spectrum = np.interp(ENERGY, energy + centre - edge, sigma)
        assert reference.flagged(spectrum[None]).all()
        assert reference.flagged(spectrum[None] * 0.01 / spectrum.mean()).all()


def test_white_noise_is_flagged(reference):
    rng = np.random.default_rng(2)
    spectra = synthetic(160, 0)[0]
    for noise in (
        spectra.mean() + spectra.std() * rng.normal(size=(100, 256)),
        spectra.mean() + 0.1 * spectra.std() * rng.normal(size=(100, 256)),
        rng.uniform(0, spectra.max(), (100, 256)),
    ):
        assert reference.flagged(noise).all()


def test_other_intensities_are_flagged(reference):
    spectra = synthetic(20, 7)[0]
    assert reference.flagged(3 * spectra).all()
    assert reference.flagged(spectra / 5).all()


def test_residual_is_what_the_components_leave():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(256, 3)))[0].T
    spectra = 5 + rng.normal(size=(90, 2)) @ basis[:2]
    fit = NoveltyReference.fit(ENERGY, spectra, np.arange(90) // 3, toy_novelty(quantile=0.9, n_folds=3), 0)
    assert len(fit.shape.variances) == 2
    unseen = basis[2] / fit.shape.scale
    inside = fit.shape.components
    orthogonal = unseen - (unseen @ inside.T) @ inside
    values = fit.shape.statistics(ENERGY, spectra[:1] + 0.7 * basis[2])
    assert values[0, 0] == pytest.approx(0.7 * np.sqrt((orthogonal**2).mean()), rel=1e-6)
    # of what was learned from, sites and averages: nothing left, and squared distances of mean 1
    averages = spectra.reshape(30, 3, 256).mean(axis=1)
    own = fit.shape.statistics(ENERGY, np.concatenate([spectra, averages]))
    assert own[:, 0].max() < 1e-9
    assert (own[:, 1] ** 2).mean() == pytest.approx(1.0, abs=1e-9)
    # spectra without a rise have no axis statistic
    assert not own[:, 2].any()


def test_state_round_trip(reference):
    again = NoveltyReference.from_state(reference.state())
    spectra = synthetic(5, 3)[0]
    np.testing.assert_array_equal(again.score(spectra), reference.score(spectra))
    assert again.threshold == reference.threshold
    state = reference.state()
    del state["shape"]["variances"]
    with pytest.raises(ValueError, match="not the state of a novelty score"):
        NoveltyReference.from_state(state)


def test_few_sites_and_one_configuration():
    spectra, _ = synthetic(4, 0)
    fit = NoveltyReference.fit(ENERGY, spectra, ["same"] * 4, toy_novelty(), 0)
    assert np.isfinite(fit.threshold)
    assert fit.flagged(100 * spectra).all()


@pytest.mark.parametrize(
    ("spectra", "groups", "message"),
    [
        (np.ones((3, 10)), [0, 1, 2], r"shape \(n, 256\)"),
        (np.full((3, 256), np.nan), [0, 1, 2], "finite"),
        (np.ones((3, 256)), [0, 1], "3 spectra but 2 configurations"),
        (np.ones((1, 256)), [0], "too few to know what is new"),
    ],
)
def test_refused(spectra, groups, message):
    with pytest.raises(ValueError, match=message):
        NoveltyReference.fit(ENERGY, spectra, groups, toy_novelty(), 0)

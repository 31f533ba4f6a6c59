"""Probes of the detector of the unknown, on synthetic spectra."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.analysis.probes import end_members, held_out, judge, shifted, white_noise
from aiida_siox.learning.uncertainty.novelty import NoveltyReference
from tests.learning.toy import ENERGY, toy_novelty, toy_sites


def test_shifted_moves_features():
    peak = np.exp(-(((ENERGY - 1846) / 2) ** 2))[None]
    moved = shifted(ENERGY, peak, 3.0)[0]
    assert ENERGY[moved.argmax()] == pytest.approx(1849, abs=0.2)
    assert ENERGY[shifted(ENERGY, peak, -3.0)[0].argmax()] == pytest.approx(1843, abs=0.2)


def test_end_members_are_averages_of_the_extreme_compositions():
    sites = toy_sites()
    ends = end_members(sites)
    assert list(ends) == ["x = 0.80", "x = 1.00"]
    rows = np.isin(sites.configuration, [0, 3])  # Si8O8
    np.testing.assert_allclose(ends["x = 1.00"], sites.spectra[rows].mean(axis=0))


def test_noise_is_flagged_and_end_members_pass():
    sites = toy_sites(n=120, n_configurations=12)
    reference = NoveltyReference.fit(sites.energy, sites.spectra, sites.group, toy_novelty(), 1)
    found = {entry["name"]: entry for entry in judge(sites, reference, 3.0, 20, 1)}
    assert len(found) == 7
    assert found["white noise, 20 draws"]["flagged"]
    for name, entry in found.items():
        if "where it is" in name:
            assert not entry["flagged"], name
    assert white_noise(sites, 20, 1).shape == (20, 256)


def test_false_alarms_are_those_of_configurations_left_out():
    sites = toy_sites(n=240, n_configurations=24)
    scores, false_alarms = held_out(sites, toy_novelty(quantile=0.9), 5, 1)
    assert false_alarms == pytest.approx((scores > 1).mean())
    assert 0.02 < false_alarms < 0.25

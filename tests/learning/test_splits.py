"""Splits: sizes, disjoint parts, and configurations that stay on one side."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.parameters import SplitKind
from aiida_siox.learning.splits import SplitSizes, grouped_split, make_split, random_split, require_disjoint

SIZES = SplitSizes(test_fraction=0.2, validation_fraction=0.15, grouped_validation_min_configurations=5)


@pytest.mark.parametrize("kind", list(SplitKind))
@pytest.mark.parametrize(("n", "n_groups"), [(4, 4), (5, 3), (16, 3), (64, 9), (1180, 45)])
def test_parts_cover_all_rows_once(kind, n, n_groups):
    groups = np.arange(n) % n_groups
    split = make_split(kind, groups, SIZES, seed=1)
    assert np.array_equal(np.sort(np.concatenate([split.fit, split.validation, split.test])), np.arange(n))
    assert len(split.fit) >= 2
    assert len(split.validation) >= 1
    assert len(split.test) >= 1
    assert np.array_equal(np.flatnonzero(split.parts == "test"), split.test)


def test_random_takes_the_fraction_and_depends_on_the_seed_only():
    groups = np.zeros(100)
    split = random_split(groups, SIZES, seed=3)
    assert len(split.test) == 20
    assert len(split.validation) == 12
    assert np.array_equal(split.test, random_split(groups, SIZES, seed=3).test)
    assert not np.array_equal(split.test, random_split(groups, SIZES, seed=4).test)


@pytest.mark.parametrize("seed", range(5))
def test_grouped_divides_no_configuration(seed):
    groups = np.repeat([f"c{i}" for i in range(20)], 7)
    split = grouped_split(groups, SIZES, seed)
    assert len(split.test) == 28
    assert not set(groups[split.train]) & set(groups[split.test])
    assert not set(groups[split.fit]) & set(groups[split.validation]), "validation is grouped, too"


def test_grouped_with_few_configurations_validates_on_sites():
    groups = np.repeat(["a", "b", "c"], 6)
    split = grouped_split(groups, SIZES, seed=0)
    assert set(groups[split.validation]) <= set(groups[split.fit])
    assert len(split.test) == 6


def test_grouped_leaves_enough_for_training():
    groups = np.array(["large"] * 14 + ["small"] * 2)
    for seed in range(4):
        assert set(groups[grouped_split(groups, SIZES, seed).test]) == {"small"}


def test_grouped_refuses_one_configuration():
    with pytest.raises(ValueError, match="one configuration"):
        grouped_split(np.zeros(20), SIZES, seed=0)


def test_too_few_sites():
    with pytest.raises(ValueError, match="3 sites are too few"):
        random_split(np.zeros(3), SIZES, seed=0)


def test_configuration_on_both_sides_raises():
    with pytest.raises(ValueError, match="configuration b has sites in training and in test"):
        require_disjoint(["a", "b", "b", "c"], [0, 1], [2, 3])
    require_disjoint(["a", "b", "b", "c"], [0, 1, 2], [3])


def test_grouped_refuses_when_nothing_can_be_left_out():
    with pytest.raises(ValueError, match="no configuration can be left out"):
        grouped_split(["a", "a", "b", "b"], SIZES, seed=0)

"""Splits: sizes, disjoint sides, and configurations that stay on one side."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.learning.data.splits import (
    SplitKind,
    composition_splits,
    group_folds,
    grouped_splits,
    make_splits,
    random_splits,
    require_disjoint,
    site_folds,
)


@pytest.mark.parametrize("kind", list(SplitKind))
@pytest.mark.parametrize(("n", "n_groups"), [(5, 3), (16, 3), (64, 9), (1180, 45)])
def test_sides_cover_all_rows(kind, n, n_groups):
    groups = np.arange(n) % n_groups
    compositions = np.array([f"x{group % 3}" for group in groups])
    splits = make_splits(kind, groups, compositions, test_fraction=0.2, n_folds=5, seed=1)
    for split in splits:
        assert np.array_equal(np.sort(np.concatenate([split.train, split.test])), np.arange(n))
    tested = np.concatenate([split.test for split in splits])
    assert len(np.unique(tested)) == len(tested), "a site is tested twice"
    if kind is not SplitKind.RANDOM:
        assert len(tested) == n, "a site is never tested"


def test_random_takes_the_fraction_and_depends_on_the_seed_only():
    (split,) = random_splits(100, 0.2, seed=3)
    assert len(split.test) == 20
    assert np.array_equal(split.test, random_splits(100, 0.2, seed=3)[0].test)
    assert not np.array_equal(split.test, random_splits(100, 0.2, seed=4)[0].test)


@pytest.mark.parametrize("seed", range(5))
def test_grouped_divides_no_configuration(seed):
    groups = np.repeat([f"c{i}" for i in range(20)], np.arange(20) % 5 + 2)
    splits = grouped_splits(groups, 5, seed)
    assert len(splits) == 5
    for split in splits:
        assert not set(groups[split.train]) & set(groups[split.test])
        assert abs(len(split.test) - len(groups) / 5) <= 6, "folds of similar size"


def test_composition_leaves_each_out_once():
    groups = np.repeat(["a1", "a2", "b1", "c1"], 3)
    compositions = np.repeat(["a", "a", "b", "c"], 3)
    splits = composition_splits(groups, compositions)
    assert [set(compositions[split.test]) for split in splits] == [{"a"}, {"b"}, {"c"}]
    with pytest.raises(ValueError, match="one composition"):
        composition_splits(groups, np.repeat("a", 12))


def test_no_more_folds_than_configurations():
    assert set(group_folds(np.repeat(["a", "b", "c"], 4), 5, seed=0)) == {0, 1, 2}
    assert sorted(np.bincount(site_folds(11, 5, seed=0))) == [2, 2, 2, 2, 3]


def test_grouped_refuses_one_configuration():
    with pytest.raises(ValueError, match="one configuration"):
        grouped_splits(np.zeros(20), 5, seed=0)


def test_too_few_sites():
    with pytest.raises(ValueError, match="3 sites are too few"):
        random_splits(3, 0.2, seed=0)


def test_configuration_on_both_sides_raises():
    with pytest.raises(ValueError, match="configuration b has sites in training and in test"):
        require_disjoint(["a", "b", "b", "c"], [0, 1], [2, 3])
    require_disjoint(["a", "b", "b", "c"], [0, 1, 2], [3])


def test_grouped_refuses_when_nothing_is_left_to_train():
    with pytest.raises(ValueError, match="1 sites are left for training"):
        grouped_splits(np.array(["large"] * 5 + ["small"]), 2, seed=0)

"""Lanes: the budget of engine jobs is divided, never multiplied."""

import itertools

import pytest

from aiida_siox.workflows.lanes import deal, divide


@pytest.mark.parametrize(("budget", "items"), itertools.product(range(1, 9), range(1, 12)))
def test_budget_is_never_exceeded_and_never_wasted(budget, items):
    lanes = divide(budget, items)
    assert len(lanes) == min(budget, items)
    assert sum(lanes) == budget
    assert max(lanes) - min(lanes) <= 1


def test_longest_first_and_everything_once():
    items = list("abcdef")
    lanes = deal(items, [1, 8, 3, 3, 1, 4], 2)
    assert sorted(itertools.chain(*lanes)) == items
    assert [lane[0] for lane in lanes] == ["b", "f"]
    loads = [sum({"a": 1, "b": 8, "c": 3, "d": 3, "e": 1, "f": 4}[item] for item in lane) for lane in lanes]
    assert loads == [10, 10]


def test_more_lanes_than_items_leaves_empty_lanes():
    assert deal(["a"], [1.0], 2) == [["a"], []]

"""Formulas of cells."""

from __future__ import annotations

import pytest

from aiida_siox.science.composition import (
    at_composition,
    format_formula,
    formula_of_cell,
    parse_formula,
    validate_melt_formula,
)
from tests.crystals import SIOX


@pytest.mark.parametrize(
    ("formula", "counts"),
    [
        ("Si8O4", {"Si": 8, "O": 4}),
        ("Si14", {"Si": 14, "O": 0}),
        ("SiO2", {"Si": 1, "O": 2}),
        ("O144Si72", {"Si": 72, "O": 144}),
        (" Si180O45 ", {"Si": 180, "O": 45}),
        ("Si8O0", {"Si": 8, "O": 0}),
    ],
)
def test_parse(formula, counts):
    assert parse_formula(formula, SIOX) == counts


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("Si8O-4", "count -4 of O"),
        ("Si-8O4", "count -8 of Si"),
        ("Si8O4.5", r"count 4\.5 of O"),
        ("O4", "no Si"),
        ("Si0O4", "no Si"),
        ("Si8N4", "element N"),
        ("SiSi", "names Si twice"),
        ("Si8 O4", "cannot be read from ` O4`"),
        ("si8o4", "cannot be read"),
        ("", "empty"),
        ("x=0.5", "cannot be read"),
        (8, "no text"),
    ],
)
def test_parse_refuses(formula, words):
    with pytest.raises(ValueError, match=words) as caught:
        parse_formula(formula, SIOX)
    assert "Si8O4" in str(caught.value) or "no Si" in str(caught.value)


@pytest.mark.parametrize("formula", ["Si14", "Si8O4", "SiO2", "Si72O144"])
def test_round_trip(formula):
    assert format_formula(parse_formula(formula, SIOX)) == formula


def test_formula_of_a_cell():
    assert formula_of_cell(["O", "Si", "O"]) == "SiO2"
    assert formula_of_cell(["O"] * 6 + ["Ge"] * 3) == "Ge3O6"


@pytest.mark.parametrize(("formula", "words"), [("Si4O9", "at most Si4O8"), ("SiO2", "a multiple such as Si2O4")])
def test_melt_formula_refuses_with_a_remedy(formula, words):
    with pytest.raises(ValueError, match=words):
        validate_melt_formula(formula, SIOX)


def test_values_at_a_composition():
    points = [[0.0, 2.0], [1.0, 3.0]]
    assert [at_composition(points, x, "density") for x in (-1, 0, 0.25, 1, 2)] == [2, 2, 2.25, 3, 3]
    for wrong in ([], [[0.0]], [1.0, 2.0], [[1.0, 2.0], [0.0, 3.0]], [["a", 1]], [[0, float("nan")]], 3, None):
        with pytest.raises(ValueError, match=r"pairs \[x, density\] with rising x, got"):
            at_composition(wrong, 0.5, "density")

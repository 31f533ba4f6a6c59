"""Counts of accepted and rejected cells, by hand."""

from __future__ import annotations

from aiida_siox.science.acceptance import attempts_of, count_acceptance, none_accepted
from tests.crystals import SIOX

GOOD = {"accepted": True, "rejected_by": []}
VOIDED = {"accepted": False, "rejected_by": ["density", "void"]}
BONDED = {"accepted": False, "rejected_by": ["void"]}


def test_attempts():
    found = attempts_of("Si8O4", [1, 4, 7], {1: VOIDED, 7: GOOD})
    assert found == {
        "formula": "Si8O4",
        "seeds": [1, 4, 7],
        "accepted_seed": 7,
        "rejected_by": {"1": ["density", "void"], "4": ["dynamics_blew_up"]},
    }
    assert attempts_of("Si8O4", [1], {1: VOIDED})["accepted_seed"] is None
    assert attempts_of("Si8O4", [1, 4], {1: VOIDED}, failed=[4])["rejected_by"]["4"] == ["failed"]


def test_words_for_a_formula_without_a_cell():
    """Cells with two broken rules are one cell; attempts of other formulas do not count."""
    attempts = [
        attempts_of("Si8O4", [1, 3], {1: VOIDED}, failed=[3]),
        attempts_of("Si8O4", [2, 4, 6], {2: BONDED}),
        attempts_of("Si14", [1], {1: GOOD}),
    ]
    assert none_accepted("Si8O4", 10, attempts) == "Si8O4 (5 of 10 attempts made: 2 rejected, 2 blew up, 1 failed)"
    assert none_accepted("Si4O8", 5, attempts) == "Si4O8 (none of 5 attempts came to an end)"


def test_acceptance():
    attempts = [
        attempts_of("Si8O4", [1, 3], {1: VOIDED, 3: GOOD}),
        attempts_of("Si8O4", [2, 4], {2: BONDED, 4: BONDED}),
        attempts_of("Si14", [1], {1: GOOD}),
    ]
    counted = count_acceptance(["Si8O4", "Si8O4", "Si14", "Si4O8"], attempts, SIOX)
    assert counted["order"] == ["Si8O4", "Si14", "Si4O8"]
    assert counted["Si8O4"] == {
        "x": 0.5,
        "requested": 2,
        "accepted": 1,
        "attempts": 4,
        "rate": 0.25,
        "reasons": {"density": 1, "void": 3},
    }
    assert counted["Si14"]["rate"] == 1.0
    assert counted["Si4O8"] == {"x": 2.0, "requested": 1, "accepted": 0, "attempts": 0, "rate": None, "reasons": {}}

"""Digests depend on content and on nothing else."""

import numpy as np

from aiida_siox.science.digest import mapping_digest, structure_digest

CELL = np.diag([5.0, 5.0, 6.0])
POSITIONS = np.array([[0.0, 0.0, 0.0], [1.6, 0.0, 0.0]])


def test_structure_digest_ignores_noise_but_not_a_real_move():
    reference = structure_digest(["Si", "O"], CELL, POSITIONS)
    assert structure_digest(["Si", "O"], CELL, POSITIONS + 1e-13) == reference
    assert structure_digest(["Si", "O"], CELL, POSITIONS - 0.0) == reference
    assert structure_digest(["Si", "O"], CELL, POSITIONS + 1e-4) != reference
    assert structure_digest(["O", "Si"], CELL, POSITIONS) != reference


def test_mapping_digest_ignores_order_and_integer_types():
    assert mapping_digest({"a": 1, "b": {"c": [2, None]}}) == mapping_digest({"b": {"c": (2.0, None)}, "a": 1.0})
    assert mapping_digest({"a": True}) != mapping_digest({"a": 1})
    assert mapping_digest({"a": 1.0}) != mapping_digest({"a": 1.0000001})

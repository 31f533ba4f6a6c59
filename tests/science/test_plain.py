"""Values for JSON."""

from __future__ import annotations

import json
import pathlib

import numpy as np

from aiida_siox.science.plain import plain


def test_everything_becomes_json():
    value = {
        1: np.float32(0.5),
        "a": (np.arange(2), {"b": [float("nan"), np.inf]}),
        "p": pathlib.PurePath("x/y"),
        "t": True,
    }
    expected = {"1": 0.5, "a": [[0, 1], {"b": [None, None]}], "p": "x/y", "t": True}
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected

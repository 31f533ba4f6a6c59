"""What a property is without its computation, and that it survives a file."""

from __future__ import annotations

import json
import math

import pytest

from aiida_siox.science.properties import SiteProperty
from aiida_siox.science.quantity import Axis, Kind, Quantity

CURVE = Quantity("rdf", "g(R)", "$g(R)$", "", Kind.CURVE, Axis("r", "Å", (0.5, 1.5)), (0.0, math.inf), note="σ 0.15 Å")


def test_file_and_back():
    text = json.dumps(CURVE.to_dict(), allow_nan=False)
    assert Quantity.from_dict(json.loads(text)) == CURVE


@pytest.mark.parametrize("change", [{"kind": "vector"}, {"axis": {"name": "r"}}, {"colour": "red"}, {"limits": [0]}])
def test_damaged(change):
    with pytest.raises(ValueError, match=r"not the description of a property|is not a valid Kind|not enough values"):
        Quantity.from_dict({**CURVE.to_dict(), **change})
    values = CURVE.to_dict()
    values.pop("limits")
    with pytest.raises(ValueError, match="not the description of a property"):
        Quantity.from_dict(values)


def test_note_is_filled_from_the_data_set():
    entry = SiteProperty("rdf", "g(R)", "g", "", Kind.CURVE, lambda cell, sites: None, note="σ {sigma_angstrom} Å")
    assert entry.quantity(attributes={"sigma_angstrom": 0.15}).note == "σ 0.15 Å"
    assert entry.quantity(attributes={}).note == ""

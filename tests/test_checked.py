"""Checked input: types, ranges, and one wording of everything that is wrong."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, model_validator

from aiida_siox.checked import Checked, Count, Flag, Fraction, NotNegative, Number, OneOf, Positive, Whole, validated


class Inner(Checked):
    length_angstrom: Annotated[Number, Field(gt=0, le=5)]
    pair: tuple[Number, Number] = (0.0, 1.0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pair[0] >= self.pair[1]:
            raise ValueError(f"`pair` must rise, got {list(self.pair)}")
        return self


class Outer(Checked):
    inner: Inner
    method: Annotated[str, OneOf(("weight", "neargrid"))]
    spins: Literal[1, 2] = 1
    n: Annotated[Whole, Field(ge=2, lt=9)] = 2
    flag: Flag = False
    title: str = ""
    charges: dict[str, Number] = {}
    several: list[Inner] = []
    mesh: Annotated[tuple[Count, Count] | None, Field(description="two positive integers")]
    share: Fraction = 0.5
    width: NotNegative = 0.0
    gap: Positive | None = None


GOOD = {"inner": {"length_angstrom": 1}, "method": "weight", "mesh": None}


def test_values_are_taken():
    found = Outer.parse({**GOOD, "n": 3.0, "mesh": [2, 2.0], "inner": {"length_angstrom": 2, "pair": [1, 2]}})
    assert found.n == 3
    assert isinstance(found.n, int)
    plain = found.plain()
    assert plain["mesh"] == [2, 2]
    assert plain["inner"] == {"length_angstrom": 2.0, "pair": [1.0, 2.0]}
    assert Outer.parse(plain) == found
    assert Outer.fault(plain) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inner": {"length_angstrom": 7}}, "`x.inner.length_angstrom` must be a number above 0 up to 5, got 7."),
        ({"inner": {"length_angstrom": True}}, "must be a number above 0 up to 5, got True."),
        ({"inner": {"length_angstrom": float("nan")}}, "must be a number above 0 up to 5, got nan."),
        (
            {"inner": {"length_angstrom": "1e0"}},
            "got '1e0'. Write 1.0e-8, with a dot: yaml reads 1e-8 as text.",
        ),
        ({"inner": {"length_angstrom": "one"}}, "must be a number above 0 up to 5, got 'one'."),
        ({"inner": 3}, "`x.inner` must be a mapping with length_angstrom, pair, got 3."),
        ({"inner": {}}, "`x.inner` lacks `length_angstrom`."),
        (
            {"inner": {"length": 1.0}},
            "unknown key `x.inner.length` (value 1.0): did you mean `length_angstrom`? Valid:",
        ),
        ({"inner": {"length_angstrom": 1, "pair": [2, 1]}}, "`x.inner.pair` must rise, got [2.0, 1.0]."),
        ({"inner": {"length_angstrom": 1, "pair": [2]}}, "`x.inner.pair` must be a list of 2, each a number, got [2]."),
        ({"inner": {"length_angstrom": 1, "pair": 2}}, "`x.inner.pair` must be a list of 2, each a number, got 2."),
        ({"inner": {"length_angstrom": 1, "pair": [0, "a"]}}, "`x.inner.pair.1` must be a number, got 'a'."),
        ({"length_angstrom": 1}, "`x.length_angstrom` (value 1): it stands elsewhere, did you mean `x.inner.length_an"),
        ({"methods": 1}, "unknown key `x.methods` (value 1): did you mean `method`? Valid: charges, flag,"),
        ({"method": "wait"}, "`x.method` must be one of weight, neargrid, got 'wait'. Did you mean `weight`?"),
        ({"spins": 3}, "`x.spins` must be one of 1, 2, got 3."),
        ({"n": 9}, "`x.n` must be an integer from 2 below 9, got 9."),
        ({"n": 2.5}, "`x.n` must be an integer from 2 below 9, got 2.5."),
        ({"n": False}, "`x.n` must be an integer from 2 below 9, got False."),
        ({"flag": 1}, "`x.flag` must be true or false, got 1."),
        ({"title": 1}, "`x.title` must be text, got 1."),
        ({"charges": {"Si": None}}, "`x.charges.Si` must be a number, got None."),
        ({"charges": 1}, "`x.charges` must be a mapping to values, each a number, got 1."),
        ({"several": [{"length_angstrom": -1}]}, "`x.several.0.length_angstrom` must be a number above 0 up to 5, got"),
        ({"mesh": [1]}, "`x.mesh` must be two positive integers or null, got [1]."),
        ({"mesh": [1, 0]}, "`x.mesh.1` must be an integer from 1 on, got 0."),
        ({"share": 1.1}, "`x.share` must be a number from 0 up to 1, got 1.1."),
        ({"width": -1}, "`x.width` must be a number from 0 on, got -1."),
        ({"gap": 0}, "`x.gap` must be a number above 0, got 0."),
    ],
)
def test_what_is_wrong_is_named(change, message):
    said = Outer.fault({**GOOD, **change}, "x")
    assert said is not None
    assert message in said


def test_all_errors_are_told_at_once():
    said = Outer.fault({"inner": {}, "n": 1, "colour": 2})
    assert "unknown key `colour`" in said
    assert "`n` must be an integer" in said
    assert "the input lacks `method`, `mesh`." in said
    assert "`inner` lacks `length_angstrom`." in said


def test_nothing_but_a_mapping():
    assert Outer.fault(3, "x").startswith("`x` must be a mapping with inner, method,")


def test_a_port_validator_reads_the_node():
    class Node:
        def get_dict(self):
            return {**GOOD, "n": 1}

    assert validated(Outer, "port")(Node(), None).startswith("`port.n` must be")
    assert validated(Outer, "port")(None, None) is None

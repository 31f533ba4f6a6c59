"""Numbers as text."""

from __future__ import annotations

import math

import pytest

from aiida_siox.cli.output.numbers import duration, number, size_text


@pytest.mark.parametrize(
    ("value", "text"), [(1.23456, "1.235"), (None, "-"), (math.nan, "-"), (math.inf, "-"), (-0.5, "-0.500")]
)
def test_number(value, text):
    assert number(value) == text


def test_signed_number():
    assert number(0.5, 1, signed=True) == "+0.5"


@pytest.mark.parametrize(("n_bytes", "text"), [(0, "0 kB"), (2500, "2.5 kB"), (3.1e7, "31 MB"), (5.7e12, "5.7e+03 GB")])
def test_size(n_bytes, text):
    assert size_text(n_bytes) == text


@pytest.mark.parametrize(("seconds", "text"), [(12.4, "12 s"), (423, "7 min 03 s"), (3900, "1 h 05 min")])
def test_duration(seconds, text):
    assert duration(seconds) == text

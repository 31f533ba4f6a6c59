"""Published densities beside those of a cell."""

from __future__ import annotations

import csv
import pathlib

import pytest

from aiida_siox.science.published import MEASURED_DENSITIES, PAPER_DENSITIES, density_deviations

TABLE = pathlib.Path(__file__).parents[2] / "docs" / "structures" / "published.csv"


def test_deviations():
    assert density_deviations(2.0, 2.277) == pytest.approx({"paper": -0.01, "Brückner 1970": 0.035})
    assert set(density_deviations(1.0, 2.0)) == {"handbook", "Fernández-Perea 2009"}
    assert density_deviations(1.25, 2.5) == {}


def test_the_page_names_the_same_values():
    """The table of docs/topics/structures.md, with its sources."""
    with TABLE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Quantity"].startswith("Density")]
    known = {(float(row["x"]), float(row["Value"])) for row in rows}
    assert known == {(each.x, each.g_cm3) for each in MEASURED_DENSITIES} | set(PAPER_DENSITIES.items())

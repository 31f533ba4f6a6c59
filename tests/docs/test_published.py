"""The published densities that the page compares with."""

from __future__ import annotations

import csv

from tests.docs.test_structure_figures import FOLDER, loaded

published = loaded("published")


def test_the_page_names_the_same_values():
    """The table of docs/topics/structures.md, with its sources."""
    with (FOLDER / "published.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Quantity"].startswith("Density")]
    known = {(float(row["x"]), float(row["Value"])) for row in rows}
    measured = {(each.x, each.g_cm3) for each in published.MEASURED_DENSITIES}
    assert known == measured | set(published.PAPER_DENSITIES.items())

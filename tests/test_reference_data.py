"""The reference data set: what is committed is what its archive gives, and nothing is left out silently."""

from __future__ import annotations

import csv
import os
import pathlib
import subprocess
import sys

import yaml

FOLDER = pathlib.Path(__file__).parent.parent / "docs" / "reference_data"


def table(folder, name):
    with (folder / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_are_those_of_the_archive(tmp_path):
    command = [sys.executable, str(FOLDER / "describe.py"), "--output", str(tmp_path)]
    environment = {**os.environ, "AIIDA_PATH": str(tmp_path)}
    subprocess.run(command, check=True, env=environment, timeout=300, capture_output=True)
    for name in ("configurations", "jobs"):
        assert table(tmp_path, name) == table(FOLDER, name)
    assert (tmp_path / "figures" / "distributions.svg").stat().st_size > 10_000


def test_every_configuration_is_one_of_the_recipe_and_whole():
    recipe = yaml.safe_load((FOLDER / "recipe.yaml").read_text())
    wanted = {(formula, str(seed)) for formula in recipe["formulas"] for seed in recipe["seeds"]}
    found = [(line["formula"], line["seed"]) for line in table(FOLDER, "configurations")]
    assert len(set(found)) == len(found)
    assert set(found) <= wanted
    for line in table(FOLDER, "configurations"):
        done, requested = line["sites"].split("/")
        assert len(line["n_oxygen"].split()) == int(done)
        assert int(done) == int(requested), "then the page must say which site failed and why"


def test_archive_fits_into_the_repository():
    assert (FOLDER / "v0.aiida.xz").stat().st_size < 40e6

"""What `tests/test_extension.py` runs where the package of this folder is installed: from table to prediction."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from aiida import orm

from aiida_siox.data.dataset import DatasetData
from aiida_siox.learning.uncertainty.calibrator import CALIBRATORS
from aiida_siox.materials import MATERIALS, load_material
from aiida_siox.science.cells import build_crystal
from aiida_siox.science.properties import PROPERTIES, Cell, compute_properties, property_axes
from aiida_siox.science.readers import READERS
from aiida_siox.science.site_row import SiteRow
from aiida_siox.science.structure_file import doubts, told_back
from tests.cli.conftest import run_cli  # noqa: F401  (a fixture)
from tests.factories import ENERGIES, RDF, make_calibration, make_table

N_CELLS = 8
SETTINGS = {"rdf": RDF}
ENERGY = np.linspace(1840.0, 1890.0, 201)
TRAINING = {
    "training": {"epochs": 30, "patience": 30, "n_folds": 3, "uncertainty": {"calibrator": "gaussian"}},
    "model": {"targets": ["nearest_ligand"]},
}


@pytest.fixture(scope="module")
def material():
    return load_material("sis2")


def spectrum(distance: float) -> np.ndarray:
    """Return a synthetic spectrum whose peak moves with the shortest bond. No physics is claimed."""
    return 1 / (1 + np.exp(1857.0 - ENERGY)) + 2 / (1 + ((ENERGY - 1858.0 + 20 * (distance - 2.1)) / 1.5) ** 2)


@pytest.fixture(scope="module")
def dataset(aiida_profile, material) -> DatasetData:
    """Return a stored data set of tables of rattled cells, all of whose properties were computed."""
    identity = {key: getattr(material, key) for key in ("name", "title", "absorber", "edge", "ligands")}
    tables = {}
    for seed in range(N_CELLS):
        atoms = build_crystal(material.crystals["chains"])
        atoms.rattle(0.06, seed=seed)
        sites = np.flatnonzero(atoms.symbols == material.absorber)
        values = compute_properties(Cell(atoms, material, SETTINGS, np.full(len(atoms), 3.0)), sites)
        rows = [
            SiteRow(
                int(site),
                {name: array[i] for name, array in values.items()},
                spectrum(values["nearest_ligand"][i, 0]),
                {**ENERGIES, "offset_eV": 1851.3},
            )
            for i, site in enumerate(sites)
        ]
        axes = property_axes(material, SETTINGS)
        described = {"formula": "Si4S8", "material": identity, "structure_digest": f"cell {seed}"}
        tables[f"Si4S8_{seed}"] = make_table(rows, ENERGY, axes, **described).store()
    window = material.window.model_dump()
    return DatasetData.from_tables(tables, make_calibration().store(), window).store()


def test_everything_is_found(material):
    assert "nearest_ligand" in PROPERTIES
    assert "sis2" in MATERIALS
    assert "gaussian" in CALIBRATORS
    assert "json_curve" in READERS
    atoms = build_crystal(material.crystals["chains"])
    assert "4 Si beside 4 S" in told_back(atoms, material)
    assert not doubts(atoms, material)


def test_data_set_has_the_property(dataset):
    values = dataset.properties["nearest_ligand"]
    assert values.shape == (4 * N_CELLS, 1)
    assert (values > 1.9).all()
    assert (values < 2.2).all()
    assert dataset.properties["coordination"].shape == (4 * N_CELLS, 2)


def test_to_the_prediction(run_cli, dataset, tmp_path):  # noqa: F811
    """The model learns the property with intervals of the calibrator; report and prediction name it."""
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text(yaml.safe_dump(TRAINING))
    options = ("--protocol", "fast", "--parts", "splits,model", "--target", "nearest_ligand")
    shown = run_cli(
        "analyse", dataset.pk, *options, "--overrides", overrides, "--report", tmp_path / "r", "--json"
    ).json
    assert shown["exit_status"] == 0, shown["failures"]
    model = orm.load_node(shown["outputs"]["models"]["nearest_ligand"])
    assert model.base.attributes.get("target") == "nearest_ligand"
    assert model.base.attributes.get("skill") > 0.5
    assert "gaussian" in json.dumps(model.base.attributes.get("card"))
    page = "".join(path.read_text() for path in (tmp_path / "r").rglob("*.html"))
    assert "shortest bond to a ligand" in page
    assert "SiS₂" in page
    row = int(np.argmin(np.abs(dataset.properties["nearest_ligand"][:, 0] - 2.05)))
    curve = tmp_path / "measured.json"
    energy = np.linspace(dataset.energy[0] - 1, dataset.energy[-1] + 1, 200)
    mu = np.interp(energy, dataset.energy, dataset.spectra[row])
    curve.write_text(json.dumps({"energy": energy.tolist(), "mu": mu.tolist()}))
    found = run_cli("predict", model.pk, curve, "--site", "--json").json
    truth = float(dataset.properties["nearest_ligand"][row, 0])
    assert found["value"] == pytest.approx(truth, abs=0.03)
    assert found["low"] < found["value"] < found["high"]
    assert found["unit"] == "Å"
    assert "shortest bond to a ligand of this site" in run_cli("predict", model.pk, curve, "--site").stdout
    curve.write_text("{}")
    assert "measured.json: the key 'energy' is missing" in run_cli("predict", model.pk, curve, fails=True).stderr

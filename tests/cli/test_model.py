"""``aiida-siox model``: export to one file, import, card. On a model of synthetic spectra."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_siox.data.model import ModelData
from aiida_siox.learning.analysis.model import train_model
from aiida_siox.learning.model import SpectrumModel
from tests.learning.toy import ENERGY, toy_arrays, toy_hyper, toy_sites


@pytest.fixture(scope="module")
def node(aiida_profile) -> ModelData:
    """Return a stored model."""
    hyper = toy_hyper(epochs=2, n_folds=2, networks={"valence": {"hidden": [8], "activation": "relu"}})
    model = train_model(toy_sites(24), "valence", hyper)
    return ModelData.from_spectrum_model(model, {"protocol": "fast", "shift_eV": -12.8, "treatment": "fch"}).store()


def test_export_and_import(run_cli, node, tmp_path):
    path = tmp_path / "valence.pt"
    assert str(path) in run_cli("model", "export", node.pk, path).stdout
    model = SpectrumModel.load(path)
    spectrum = toy_arrays(1, 1)["spectra"]
    np.testing.assert_array_equal(model.predict_on_grid(spectrum), node.predict_on_grid(spectrum))
    # the node is there already
    assert run_cli("model", "import", path, "--json").json["model"] == node.pk
    other = tmp_path / "other.pt"
    model.described({"protocol": "paper"}).save(other)
    shown = run_cli("model", "import", other, "--json").json
    imported = orm.load_node(shown["uuid"])
    assert (shown["target"], imported.pk != node.pk) == ("valence", True)
    assert imported.base.attributes.get("protocol") == "paper"
    assert imported.base.attributes.get("shift_eV") == -12.8
    assert imported.predict((ENERGY, spectrum[0])).value == node.predict((ENERGY, spectrum[0])).value


def test_export_does_not_overwrite(run_cli, node, tmp_path):
    path = tmp_path / "valence.pt"
    path.write_text("mine")
    assert "--force" in run_cli("model", "export", node.uuid, path, fails=True).stderr
    assert path.read_text() == "mine"
    run_cli("model", "export", node.uuid, path, "--force")
    assert path.read_bytes() == node.content
    missing = tmp_path / "nowhere" / "valence.pt"
    assert "there is no folder" in run_cli("model", "export", node.pk, missing, fails=True).stderr


def test_import_refuses_other_files(run_cli, tmp_path):
    path = tmp_path / "text.pt"
    path.write_text("hello")
    assert "not a readable torch file" in run_cli("model", "import", path, fails=True).stderr
    assert "cannot be read" in run_cli("model", "import", tmp_path / "absent.pt", fails=True).stderr


def test_card(run_cli, node):
    text = run_cli("model", "card", node.pk).stdout
    assert "# Model of valence: Bader valence (e)" in text
    assert "treatment: fch" in text
    assert run_cli("model", "card", node.pk, "--json").json["data"]["n_sites"] == 24

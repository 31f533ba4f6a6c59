"""``aiida-siox predict``: from a two-column file, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def spectrum_file(tmp_path, hand_made_study):
    """Return a factory of files with the spectrum of a training site on the calibrated axis."""

    def make(low: float = 1826.0, high: float = 1884.0, scale: float = 1.0):
        dataset = hand_made_study.dataset
        energy = np.linspace(low, high, 300)
        path = tmp_path / "spectrum.txt"
        values = scale * np.interp(energy, dataset.energy, dataset.spectra[0])
        np.savetxt(path, np.column_stack([energy, values]), header="energy / eV  absorption")
        return path

    return make


def test_valence(run_cli, hand_made_study, spectrum_file):
    model = hand_made_study.models["valence"]
    path = spectrum_file()
    text = run_cli("predict", model.pk, path, "--site")
    assert "Bader valence of this site" in text.stdout
    assert f"± {model.base.attributes.get('rmse'):.3f} e" in text.stdout
    assert "grouped split" in text.stdout
    assert "protocol fast" in text.stdout
    assert "measured axis" in text.stderr
    shown = run_cli("predict", model.uuid, path, "--site", "--json").json
    assert (shown["target"], shown["kind"]) == ("valence", "site")
    assert shown["value"] == pytest.approx(float(text.stdout.split(": ")[1].split()[0]), abs=1e-3)
    assert shown["rmse"] == pytest.approx(model.base.attributes.get("rmse"))
    assert shown["model_uuid"] == model.uuid
    assert set(shown["rmse_by_split"]) == {"random", "grouped"}


def test_average_is_what_a_file_is_taken_for(run_cli, hand_made_study, spectrum_file):
    model = hand_made_study.models["valence"]
    text = run_cli("predict", model.pk, spectrum_file()).stdout
    assert "Bader valence, mean over sites" in text
    assert "RMSE of averaged spectra of left-out configurations" in text
    shown = run_cli("predict", model.pk, spectrum_file(), "--json").json
    assert shown["kind"] == "average"
    assert shown["rmse"] == pytest.approx(model.base.attributes.get("card")["scores"]["averages"]["rmse"])


def test_normalisation_that_the_model_does_not_read(run_cli, hand_made_study, spectrum_file):
    arguments = ("predict", hand_made_study.models["valence"].pk, spectrum_file(), "--normalisation")
    assert "is normalised (post_edge)" in run_cli(*arguments, "post_edge", fails=True).stderr
    assert "Bader valence, mean over sites" in run_cli(*arguments, "none").stdout


def test_rdf(run_cli, hand_made_study, spectrum_file, tmp_path):
    model = hand_made_study.models["rdf"]
    output = tmp_path / "rdf.csv"
    assert str(output) in run_cli("predict", model.pk, spectrum_file(), "--output", output).stdout
    assert output.read_text().splitlines()[0] == "r_angstrom,rdf"
    table = np.loadtxt(output, delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 0], model.quantity.axis.values, atol=1e-5)
    text = run_cli("predict", model.pk, spectrum_file()).stdout
    np.testing.assert_allclose(np.loadtxt(text.splitlines()), table)
    shown = run_cli("predict", model.pk, spectrum_file(), "--json").json
    np.testing.assert_allclose(shown["value"], table[:, 1], atol=1e-5)
    plain = tmp_path / "rdf.txt"
    run_cli("predict", model.pk, spectrum_file(), "--output", plain)
    np.testing.assert_allclose(np.loadtxt(plain), table)


def test_spectrum_that_does_not_cover_the_window(run_cli, hand_made_study, spectrum_file):
    message = run_cli("predict", hand_made_study.models["valence"].pk, spectrum_file(1840.0), fails=True).stderr
    assert "1830" in message
    assert "spectrum.txt" in message


def test_other_units_are_refused(run_cli, hand_made_study, spectrum_file):
    model = hand_made_study.models["valence"]
    assert (
        "in other units than the model" in run_cli("predict", model.pk, spectrum_file(scale=1000.0), fails=True).stderr
    )


@pytest.mark.parametrize("text", ["1 2 3\n", "", "a b\nc d\n", "1840 nan\n"])
def test_bad_files(run_cli, hand_made_study, tmp_path, text):
    path = tmp_path / "bad.txt"
    path.write_text(text)
    assert "bad.txt" in run_cli("predict", hand_made_study.models["valence"].pk, path, fails=True).stderr


def test_missing_file_and_wrong_model(run_cli, hand_made_study, spectrum_file, tmp_path):
    absent = run_cli("predict", hand_made_study.models["valence"].pk, tmp_path / "absent.txt", fails=True)
    assert "there is no file" in absent.stderr
    message = run_cli("predict", hand_made_study.dataset.pk, spectrum_file(), fails=True).stderr
    assert "is a DatasetData, but a ModelData is needed" in message


def test_corrupted_model(run_cli, hand_made_study, spectrum_file, monkeypatch):
    model = hand_made_study.models["valence"]
    monkeypatch.setattr(type(model), "_read", lambda self, name: b"not a network")
    assert "corrupted" in run_cli("predict", model.pk, spectrum_file(), fails=True).stderr

"""``aiida-siox spectrum``: another broadening and range, to the screen, a file, a figure or a node."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_siox.calculations.tables import collect
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.workflows.broadening import BroadeningProtocol
from tests.calculations import test_tables
from tests.quartz import quartz_spectrum


@pytest.fixture(scope="module")
def quartz(aiida_profile):
    """Return a stored spectrum of quartz."""
    return quartz_spectrum().store()


@pytest.fixture(scope="module")
def table(aiida_profile):
    """Return a stored table with the spectrum of quartz at three of its four sites."""
    patch = pytest.MonkeyPatch()
    patch.setattr(test_tables, "spectrum_of", test_tables.quartz_at)
    results = test_tables.collect_sites(failed=(3,), run=collect)
    patch.undo()
    return results


def columns(text: str) -> np.ndarray:
    return np.loadtxt(text.splitlines())


def test_as_it_was_computed(run_cli, quartz):
    text = run_cli("spectrum", quartz.pk).stdout
    assert text.startswith("# total energy axis; broadening constant: gamma_eV 0.8, gaussian_fwhm_eV 0.0\n")
    assert text.splitlines()[1] == "# energy_eV site_0000"
    found = columns(text)
    np.testing.assert_allclose(found[:, 0], quartz.energy, atol=1e-4)
    np.testing.assert_allclose(found[:, 1], quartz.mean, atol=2e-5 * quartz.mean.max())


def test_model_range_and_step(run_cli, quartz, hand_made_study, tmp_path):
    """On the calibrated axis; --gamma and --gaussian and a file override the protocol of the model."""
    overrides = tmp_path / "model.yaml"
    overrides.write_text("solid: element\nmonolayer_nm: 0.27\n")
    path = tmp_path / "spectrum.csv"
    calibration = hand_made_study.calibration
    arguments = ["--broadening", "seah-dench", "--gamma", 0.9, "--gaussian", 0.5, "--overrides", overrides]
    shown = run_cli(
        "spectrum", quartz.uuid, *arguments, "--range", 1835, 1880, "--step", 0.5, "--calibration", calibration.pk,
        "--output", path,
    )  # fmt: skip
    assert str(path) in shown.stdout
    assert path.read_text().splitlines()[0] == "energy_eV,site_0000"
    found = np.loadtxt(path, delimiter=",", skiprows=1)
    np.testing.assert_allclose(found[:, 0], np.linspace(1835, 1880, 91))
    model = {
        **BroadeningProtocol.get_parameters("seah-dench"),
        **{"gamma_eV": 0.9, "gaussian_fwhm_eV": 0.5, "solid": "element", "monolayer_nm": 0.27},
    }
    np.testing.assert_allclose(found[:, 1], quartz.broadened(model, found[:, 0] - calibration.shift), rtol=1e-5)


def test_json(run_cli, quartz):
    shown = run_cli("spectrum", quartz.pk, "--broadening", "arctan", "--range", 1840, 1860, "--json").json
    assert (shown["type"], shown["axis"], shown["stored"]) == ("broadened", "total energy", None)
    assert shown["broadening"]["gamma_eV"] == 0.8
    assert len(shown["spectra"]["site_0000"]) == len(shown["energy_eV"]) == 201


@pytest.mark.parametrize("name", ["one.png", "one.svg"])
def test_figure(run_cli, quartz, table, tmp_path, name):
    path = tmp_path / name
    run_cli("spectrum", quartz.pk, "--broadening", "seah-dench", "--output", path)
    assert path.stat().st_size > 5000
    run_cli("spectrum", table["site_table"].pk, "--broadening", "arctan", "--output", path)
    assert path.stat().st_size > 5000


def test_table_site_and_site_node(run_cli, table):
    node = table["site_table"]
    shown = run_cli("spectrum", node.pk, "--broadening", "arctan", "--json").json
    assert list(shown["spectra"]) == ["site_0001", "site_0002", "site_0004"]
    assert shown["average"] is None  # three of four sites
    np.testing.assert_allclose(shown["energy_eV"], node.energy)
    one = run_cli("spectrum", node.pk, "--site", 2, "--broadening", "arctan", "--range", 1850, 1860, "--json").json
    assert list(one["spectra"]) == ["site_0002"]
    same = run_cli(
        "spectrum", table["sites"]["site_0002"].pk, "--broadening", "arctan", "--range", 1850, 1860, "--json"
    ).json
    assert same["spectra"] == one["spectra"]
    assert "Sites with one: 1, 2, 4" in run_cli("spectrum", node.pk, "--site", 3, fails=True).stderr


def test_average_of_a_whole_table(run_cli, aiida_profile, monkeypatch):
    monkeypatch.setattr(test_tables, "spectrum_of", test_tables.quartz_at)
    node = test_tables.collect_sites(run=collect)["site_table"]
    shown = run_cli("spectrum", node.pk, "--json").json
    np.testing.assert_allclose(shown["average"], node.averaged(), atol=1e-4 * max(shown["average"]))


def test_store(run_cli, quartz, table):
    shown = run_cli("spectrum", quartz.pk, "--broadening", "arctan", "--range", 1840, 1860, "--store", "--json").json
    stored = orm.load_node(shown["stored"])
    assert isinstance(stored, SpectrumData)
    np.testing.assert_allclose(stored.mean, shown["spectra"]["site_0000"], rtol=1e-9)
    outcome = run_cli("spectrum", table["site_table"].pk, "--broadening", "seah-dench", "--store")
    assert "combined only with others broadened alike" in outcome.stderr
    stored = orm.load_node(int(outcome.stdout.split("SiteTableData ")[1].split(".")[0]))
    assert isinstance(stored, SiteTableData)
    assert stored.base.attributes.get("broadening")["model"] == "seah-dench"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--broadening", "seah"], "did you mean `seah-dench`"),
        (["--gamma", 0.5], "the model `constant`"),
        (["--gaussian", -1], "`broadening.gaussian_fwhm_eV` must be a number from 0 on, got -1"),
        (["--range", 1880, 1835], "`--range` 1880 1835 is empty"),
        (["--range", 1800, 1835], "converged for 1826.33 to 1911.33 eV, but 1800.00 to 1835.00 eV"),
        (["--step", 0], "`--step` must be positive"),
    ],
)
def test_refused(run_cli, quartz, arguments, message):
    assert message in run_cli("spectrum", quartz.pk, *arguments, fails=True).stderr


def test_wrong_nodes_and_files(run_cli, quartz, hand_made_study, tmp_path):
    assert "give a spectrum" in run_cli("spectrum", hand_made_study.dataset.pk, fails=True).stderr
    table = hand_made_study.tables["Si4O4_1"]
    assert "not linked to any spectrum" in run_cli("spectrum", table.pk, fails=True).stderr
    path = tmp_path / "absent" / "spectrum.csv"
    assert "cannot be written" in run_cli("spectrum", quartz.pk, "--output", path, fails=True).stderr
    overrides = tmp_path / "model.yaml"
    overrides.write_text("gama_eV: 1.0\n")
    message = run_cli("spectrum", quartz.pk, "--overrides", overrides, fails=True).stderr
    assert "did you mean `gamma_eV`" in message

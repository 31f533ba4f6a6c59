"""SiteTableData: rows, averages, and which calibration goes with a table."""

import json

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.site_table import ENERGY_COLUMNS, SiteTableData

GRID = np.linspace(1838.0, 1898.0, 601)


def make_table(done=(True, True, True), peaks=None, n_silicon_total=None, digest="d" * 64):
    n = len(done)
    done = np.array(done)
    peaks = np.linspace(1859.0, 1862.0, n) if peaks is None else np.array(peaks)
    spectra = 1 / (1 + (GRID - peaks[:, None]) ** 2)
    energies = np.tile([-391.1, -388.2, 1809.516, 1848.7, 2.6, 3.7, 1851.3, -2e-6, -1e-6], (n, 1))
    spectra[~done], energies[~done] = np.nan, np.nan
    table = SiteTableData()
    for name, array in {
        "energy_eV": GRID,
        "spectra": spectra,
        "r_angstrom": np.linspace(0, 5, 4),
        "rdf": np.ones((n, 4)),
        "index": np.arange(n) + 4,
        "n_oxygen": np.arange(n),
        "n_silicon": 4 - np.arange(n),
        "valence_e": np.where(done, 0.8 * np.arange(n), np.nan),
        "energies": energies,
        "done": done,
    }.items():
        table.set_array(name, array)
    table.base.attributes.set_many(
        {
            "formula": "Si3O6",
            "protocol": "fast",
            "treatment": "fch",
            "sigma_angstrom": 0.15,
            "gamma_eV": 0.8,
            "engines": {"pw": "6.7"},
            "settings_digest": digest,
            "n_silicon_total": n if n_silicon_total is None else n_silicon_total,
            "n_requested": n,
            "n_done": int(done.sum()),
            "reasons": {str(i + 4): "killed" for i in np.flatnonzero(~done)},
        }
    )
    return table


def make_calibration(shift, digest="d" * 64):
    calibration = CalibrationData()
    calibration.base.attributes.set_many({"shift_eV": shift, "settings_digest": digest})
    return calibration.store()


@pytest.fixture(autouse=True)
def profile(aiida_profile):
    """All tests make nodes."""


class TestAveraged:
    def test_mean_without_scaling(self):
        table = make_table(peaks=[1859.0, 1862.0, 1862.0])
        np.testing.assert_allclose(table.averaged(), table.spectra.mean(axis=0))

    def test_two_equal_peaks_stay_two_peaks(self):
        mean = make_table((True, True), peaks=[1859.0, 1862.0]).averaged()
        maxima = np.flatnonzero((mean[1:-1] > mean[:-2]) & (mean[1:-1] > mean[2:])) + 1
        np.testing.assert_allclose(GRID[maxima], [1859.0, 1862.0], atol=0.11)

    @pytest.mark.parametrize(("n_done", "n"), [(18, 19), (2, 3), (0, 1)])
    def test_refused_below_95_percent(self, n_done, n):
        table = make_table([True] * n_done + [False] * (n - n_done))
        with pytest.raises(ValueError, match=f"needs 95% of the sites, but only {n_done} of {n} are done"):
            table.averaged()

    def test_19_of_20_are_enough(self):
        table = make_table([True] * 19 + [False])
        assert table.coverage == pytest.approx(0.95)
        assert np.isfinite(table.averaged()).all()

    def test_sites_that_were_not_asked_for_count(self):
        table = make_table((True,), n_silicon_total=3)
        with pytest.raises(ValueError, match="only 1 of 3"):
            table.averaged()


def test_rows():
    done, failed = make_table((True, False)).rows()
    assert (done["index"], done["status"], done["reason"], done["n_oxygen"]) == (4, "done", None, 0)
    assert set(done["energies"]) == set(ENERGY_COLUMNS)
    assert done["energies"]["transition_eV"] == 1848.7
    assert (failed["index"], failed["status"], failed["reason"]) == (5, "failed", "killed")
    assert failed["spectrum"] is None
    assert failed["valence_e"] is None
    assert set(failed["energies"].values()) == {None}
    assert failed["rdf"] == [1.0] * 4


class TestCalibration:
    def test_without_one(self):
        table = make_table(digest="no calibration has this").store()
        assert table.calibration() is None
        summary = json.loads(json.dumps(table.summary(), allow_nan=False))
        assert summary["calibration"] is None
        assert summary["axis"] == "total energy"
        assert summary["energy_eV"][0] == 1838.0

    def test_the_newest_of_the_same_settings(self):
        make_calibration(-12.0, "a")
        newest = make_calibration(-13.0, "a")
        make_calibration(-99.0, "b")
        table = make_table(digest="a").store()
        assert table.calibration().uuid == newest.uuid
        summary = table.summary()
        assert summary["calibration"] == {"uuid": newest.uuid, "shift_eV": -13.0}
        assert summary["axis"] == "calibrated"
        assert summary["energy_eV"][0] == pytest.approx(1825.0)

    def test_that_of_the_data_set_first(self):
        used = make_calibration(-12.0, "c")
        make_calibration(-13.0, "c")
        table = make_table(digest="c").store()
        assemble = orm.CalcFunctionNode()
        assemble.base.links.add_incoming(used, LinkType.INPUT_CALC, "calibration")
        assemble.base.links.add_incoming(table, LinkType.INPUT_CALC, "tables__a")
        assemble.store()
        dataset = DatasetData()
        dataset.base.links.add_incoming(assemble, LinkType.CREATE, "result")
        dataset.store()
        assert table.calibration().uuid == used.uuid


def test_a_table_without_a_structure():
    """Imported alone, or made by hand: no creator."""
    table = make_table(digest="alone").store()
    assert table.structure is None
    assert table.summary()["structure_uuid"] is None

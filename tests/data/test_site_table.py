"""SiteTableData: what it refuses, its rows and averages, and the axis that it is shown on."""

import json

import numpy as np
import pytest
from aiida import orm

from aiida_siox.data.site_table import SiteTableData
from tests import factories
from tests.factories import AXES, make_calibration, make_row

GRID = np.linspace(1838.0, 1898.0, 601)


def make_table(done=(True, True, True), peaks=None, **description):
    peaks = np.linspace(1859.0, 1862.0, len(done)) if peaks is None else peaks
    rows = [
        make_row(i + 4, 1 / (1 + (GRID - peak) ** 2) if ok else None, n_ligands=i)
        for i, (ok, peak) in enumerate(zip(done, peaks, strict=True))
    ]
    return factories.make_table(rows, GRID, **description)


@pytest.fixture(autouse=True)
def profile(aiida_profile):
    """All tests make nodes."""


class TestRefused:
    def test_stored_without_contents(self):
        with pytest.raises(ValueError, match=r"comes from SiteTableData\.from_rows; this one lacks formula"):
            SiteTableData().store()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sigma": 0.1}, "a site table has no key `sigma`: did you mean `sigma_angstrom`"),
            ({"energy": GRID[::-1]}, "the energies of a table must increase"),
            ({"energy": GRID[:600]}, "the spectrum of site 4 must have the shape 600, got 601"),
            ({"axes": {**AXES, "rdf": AXES["oxidation"]}}, r"the property `rdf` must have the shape 1×5, got 1×256"),
            ({"axes": {**AXES, "rdf": None}}, "the property `rdf` is a curve: it needs an axis"),
            ({"axes": {**AXES, "valence": AXES["oxidation"]}}, "the property `valence` is a scalar: it needs no axis"),
        ],
    )
    def test_arrays_and_keys(self, changes, message):
        arguments = {"energy": GRID, **changes}
        with pytest.raises(ValueError, match=message):
            factories.make_table([make_row(4, np.ones(601))], **arguments)

    def test_what_is_missing(self):
        with pytest.raises(ValueError, match=r"a site table lacks x, material, .* n_absorbers"):
            SiteTableData.from_rows([make_row(4, np.ones(601))], GRID, AXES, {"formula": "Si"})

    def test_a_spectrum_with_a_hole(self):
        spectrum = np.where(np.arange(601) == 7, np.nan, 1.0)
        with pytest.raises(ValueError, match=r"the spectrum of site 4 must be finite, but the number at \[7\] is nan"):
            factories.make_table([make_row(4, spectrum)], GRID)

    def test_rows_out_of_order_or_of_another_property(self):
        rows = [make_row(i, np.ones(601)) for i in (5, 4)]
        with pytest.raises(ValueError, match="the sites of a table must increase"):
            factories.make_table(rows, GRID)
        del rows[0].properties["valence"]
        with pytest.raises(ValueError, match="site 5 has other properties than site 4"):
            factories.make_table(rows[::-1], GRID)

    def test_a_property_that_is_not_known(self):
        row = make_row(4, np.ones(601))
        row.properties["valenz"] = row.properties["valence"]
        with pytest.raises(ValueError, match="unknown property of a site `valenz`: did you mean `valence`"):
            factories.make_table([row], GRID)


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
        assert np.isfinite(make_table([True] * 19 + [False]).averaged()).all()

    def test_sites_that_were_not_asked_for_count(self):
        with pytest.raises(ValueError, match="only 1 of 3"):
            make_table((True,), n_absorbers=3).averaged()


def test_rows_are_those_that_it_was_made_of():
    done, failed = make_table((True, False)).store().rows()
    assert (done.site_index, done.done, done.reason, failed.site_index, failed.reason) == (4, True, None, 5, "killed")
    assert done.energies == {**factories.ENERGIES, "offset_eV": 1851.3315}
    assert failed.energies == {}
    assert failed.spectrum is None
    np.testing.assert_array_equal(done.spectrum, 1 / (1 + (GRID - 1859.0) ** 2))
    np.testing.assert_array_equal(failed.properties["coordination"], [3, 1])
    assert done.properties["valence"].tolist() == [0.0]


def test_properties_and_axes():
    table = make_table().store()
    assert table.properties["valence"].shape == (3, 1)
    assert table.properties["rdf"].shape == (3, 256)
    np.testing.assert_array_equal(table.properties["oxidation"], np.eye(5)[:3])
    assert table.axes == {name: axis for name, axis in AXES.items() if axis is not None}
    assert table.n_ligands.tolist() == [0, 1, 2]
    assert np.isnan(table.properties["bridge_angle"][0])
    np.testing.assert_array_equal(table.energies["transition_eV"], [1848.725] * 3)


def test_without_coefficients_the_data_set_is_interpolated():
    energy = np.linspace(1850.0, 1870.0, 77)
    spectra = make_table((True, False, True)).on_grid(energy)
    np.testing.assert_allclose(spectra[0], 1 / (1 + (energy - 1859.0) ** 2), atol=1e-4)
    assert len(spectra) == 2
    with pytest.raises(ValueError, match=r"covers 1838\.00 to 1898\.00 eV"):
        make_table().on_grid(np.linspace(1830.0, 1870.0, 5))


class TestSummary:
    def test_depends_on_the_node_alone(self):
        """Neither on calibrations of the same settings nor on data sets in the profile."""
        table = make_table().store()
        before = table.summary()
        make_calibration().store()
        assert table.summary() == before
        summary = json.loads(json.dumps(before, allow_nan=False))
        assert (summary["calibration"], summary["axis"], summary["energy_eV"][0]) == (None, "total energy", 1838.0)
        assert summary["structure_uuid"] is None  # imported alone, or made by hand: no creator
        site = summary["sites"][1]
        assert (site["site_index"], site["status"], site["oxidation"]) == (5, "done", 1)
        assert site["coordination"] == {"Si": 3, "O": 1}
        assert (site["valence"], site["bridge_angle"], len(site["rdf"]), len(site["spectrum"])) == (
            0.8,
            143.7,
            256,
            601,
        )

    def test_with_a_calibration(self):
        calibration = make_calibration(-13.0).store()
        summary = make_table().summary(calibration)
        assert summary["calibration"] == {"uuid": calibration.uuid, "shift_eV": pytest.approx(-13.0)}
        assert (summary["axis"], summary["energy_eV"][0]) == ("calibrated", pytest.approx(1825.0))

    def test_with_that_of_other_settings(self):
        with pytest.raises(ValueError, match="the table has the settings ffffffffffff, the calibration those of other"):
            make_table().summary(make_calibration(settings_digest="other"))


def test_links_of_a_table_made_by_hand():
    table = make_table().store()
    assert table.structure is None
    assert table.site_spectra == {}
    assert isinstance(orm.load_node(table.pk), SiteTableData)

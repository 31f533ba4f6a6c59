"""Calcfunctions that broaden spectra and tables anew, with the coefficients of a real run."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_siox.calculations.broadening import broaden, broaden_table
from aiida_siox.calculations.spectra import calibrate
from aiida_siox.calculations.tables import collect
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.site_row import site_label
from aiida_siox.science.spectra import maximum_position
from aiida_siox.workflows.broadening import BroadeningProtocol
from tests.calculations import test_tables
from tests.calculations.test_tables import WINDOW
from tests.quartz import quartz_spectrum

VERSION = SCIENCE_VERSION
GRID = {"energy_min_eV": 1840.0, "energy_max_eV": 1890.0, "step_eV": 0.2}


@pytest.fixture(autouse=True)
def profile(aiida_profile):
    """All tests make nodes."""


def parameters(model="seah-dench", grid=None, **overrides) -> orm.Dict:
    values = {"broadening": BroadeningProtocol.get_parameters(model, overrides)}
    return orm.Dict(values if grid is None else {**values, "grid": grid})


class TestBroaden:
    def test_on_the_total_energy_axis_with_provenance(self):
        spectrum = quartz_spectrum().store()
        broadened = broaden(spectrum, parameters(grid=GRID, gaussian_fwhm_eV=0.5), orm.Int(VERSION))
        assert broadened.is_stored
        assert broadened.creator.inputs.spectrum.uuid == spectrum.uuid
        np.testing.assert_allclose(broadened.energy, np.linspace(1840.0, 1890.0, 251), atol=1e-9)
        assert broadened.energies == spectrum.energies
        assert broadened.broadening == {
            **BroadeningProtocol.get_parameters("seah-dench"), "gamma_eV": 0.8, "gaussian_fwhm_eV": 0.5
        }  # fmt: skip
        assert broadened.summary()["broadening"]["model"] == "seah-dench"
        assert broadened.white_line == pytest.approx(1859.55, abs=0.03)
        assert broadened.mean.max() == pytest.approx(0.909 * spectrum.mean.max(), rel=0.003)

    def test_again_from_what_was_broadened(self):
        """The coefficients and the range for which they converged are still there."""
        spectrum = quartz_spectrum()
        once = broaden.__wrapped__(spectrum, parameters("arctan", GRID), orm.Int(VERSION))
        again = broaden.__wrapped__(once, parameters("constant"), orm.Int(VERSION))
        np.testing.assert_allclose(again.mean, spectrum.broadened(0.8, once.energy), rtol=1e-12)
        assert again.converged_range == pytest.approx(spectrum.converged_range)
        assert once.broadened(0.8, spectrum.energy).shape == spectrum.energy.shape

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"gamma_eV": 0.5}, "would show structure that is not there"),
            ({"grid": {**GRID, "energy_max_eV": 1950.0}}, r"1840\.00 to 1950\.00 eV are asked for"),
            (
                {"grid": {**GRID, "energy_max_eV": 1830.0}},
                r"is empty: energy_max_eV \(1830\) must be above energy_min_eV \(1840\)",
            ),
            ({"grid": {"energy_min_eV": 1840.0}}, "`grid` lacks `energy_max_eV`, `step_eV`"),
        ],
    )
    def test_refused(self, given, message):
        with pytest.raises(ValueError, match=message):
            broaden.__wrapped__(quartz_spectrum(), parameters(**given), orm.Int(VERSION))


@pytest.fixture
def make_table(monkeypatch):
    """Return a function that runs `collect` over some sites, each of which has the spectrum of quartz."""
    monkeypatch.setattr(test_tables, "spectrum_of", test_tables.quartz_at)

    def make(run=collect, **changes):
        return test_tables.collect_sites(run=run, **changes)["site_table"]

    return make


def broaden_all(table, values, run=broaden_table.__wrapped__, spectra=None, structure=None):
    """Broaden a table with the spectra that its links lead to."""
    return run(
        site_table=table,
        structure=structure or table.structure,
        parameters=values,
        version=orm.Int(VERSION),
        spectra=table.site_spectra if spectra is None else spectra,
    )


class TestBroadenTable:
    def test_rows_and_links(self, make_table):
        table = make_table(failed=(3,))
        assert list(table.site_spectra) == [site_label(i) for i in (1, 2, 4)]
        broadened = broaden_all(table, parameters(gaussian_fwhm_eV=0.5), broaden_table)
        expected = quartz_spectrum().broadened(broadened.base.attributes.get("broadening"), table.energy)
        assert broadened.done.tolist() == [True, True, False, True]
        for row in (0, 1, 3):
            np.testing.assert_allclose(broadened.spectra[row], expected, rtol=1e-12)
        assert np.isnan(broadened.spectra[2]).all()
        for name, values in table.properties.items():
            np.testing.assert_array_equal(broadened.properties[name], values)
        for name, values in table.energies.items():
            np.testing.assert_array_equal(broadened.energies[name], values)
        np.testing.assert_array_equal(broadened.site_index, table.site_index)
        assert broadened.structure.uuid == table.structure.uuid
        assert list(broadened.site_spectra) == list(table.site_spectra)
        assert broadened.summary()["broadening"]["gaussian_fwhm_eV"] == 0.5
        assert broadened.base.attributes.get("reasons") == table.base.attributes.get("reasons")

    def test_another_grid(self, make_table):
        broadened = broaden_all(make_table(), parameters(grid=GRID))
        assert broadened.spectra.shape == (4, 251)
        assert broadened.energy[0] == 1840.0

    def test_digests(self, make_table):
        """Broadened alike: may be combined. Otherwise not, and not with the table itself."""
        table, other = make_table(), make_table(structure=test_tables.chain(1.01))
        digests = {
            key: broaden_all(node, values).settings_digest
            for key, node, values in (
                ("one", table, parameters()),
                ("two", other, parameters()),
                ("spelled out", table, parameters(gamma_eV=0.8)),
                ("wider", table, parameters(gamma_eV=0.9)),
                ("model", table, parameters("arctan")),
            )
        }
        assert digests["one"] == digests["two"] == digests["spelled out"]
        assert len({table.settings_digest, *digests.values()}) == 4

    def test_data_set_with_a_calibration_broadened_alike(self, make_table):
        table = make_table()
        broadened = broaden_all(table, parameters())
        calibration = calibrate.__wrapped__(broadened, orm.Float(1846.8), orm.Int(VERSION))
        dataset = test_tables.raw_assemble(calibration, orm.Dict(WINDOW), orm.Int(VERSION), tables={"a": broadened})
        assert dataset.base.attributes.get("broadening") == broadened.base.attributes.get("broadening")
        assert maximum_position(dataset.energy, dataset.spectra[0]) == pytest.approx(1846.8, abs=0.02)
        with pytest.raises(ValueError, match="different settings cannot be combined"):
            test_tables.raw_assemble(calibration, orm.Dict(WINDOW), orm.Int(VERSION), tables={"a": table})

    def test_refused(self, make_table):
        table = make_table(failed=(3,))
        spectra = dict(table.site_spectra)
        lacking = {label: node for label, node in spectra.items() if label != "site_0002"}
        with pytest.raises(ValueError, match=r"lacks site_0002.*pass table\.site_spectra"):
            broaden_all(table, parameters(), spectra=lacking)
        spectra["site_0002"] = quartz_spectrum(site_index=2, gamma_eV=0.9)
        with pytest.raises(ValueError, match=r"converged for different half widths: give `broadening\.gamma_eV`"):
            broaden_all(table, parameters(), spectra=spectra)
        with pytest.raises(ValueError, match="no site of the table is finished"):
            broaden_all(make_table(failed=(1, 2, 3, 4)), parameters())

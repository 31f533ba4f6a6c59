"""SpectrumData: the total-energy axis and what stands on it."""

import json

import numpy as np
import pytest

from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science.broadening import Constant
from aiida_siox.workflows.broadening import BroadeningProtocol
from tests.factories import ENERGIES, make_spectrum, pole_coefficients
from tests.quartz import engine_curve, quartz_spectrum


@pytest.fixture(autouse=True)
def profile(aiida_profile):
    """All tests make nodes."""


def test_total_energy_axis_fch():
    """Eigenvalue axis plus the transition energy; the Fermi energy has no say."""
    spectrum = make_spectrum()
    assert spectrum.offset == pytest.approx(2.6065 + 1848.725)
    assert spectrum.energy[0] == pytest.approx(-25.0 + 1851.3315)
    assert spectrum.white_line == pytest.approx(8.0 + 1851.3315, abs=1e-3)
    assert make_spectrum(energies={"fermi_eV": 7.0}).offset == spectrum.offset


def test_total_energy_axis_xch():
    """As printed by quartz (docs/develop/engine_facts.md): energy zero and Fermi energy are the same level there."""
    spectrum = make_spectrum(
        treatment="xch", energies={"energy_zero_eV": 7.9365, "fermi_eV": 7.9365, "transition_eV": 1856.693}
    )
    assert spectrum.offset == pytest.approx(1856.693)


def test_unknown_treatment():
    with pytest.raises(ValueError, match=r"'half'.*fch, xch"):
        make_spectrum(treatment="half")


def test_mean_over_the_polarisations_is_not_scaled():
    spectrum = make_spectrum(peaks=(5.0, 8.0, 8.0), heights=(3.0, 1.0, 1.0))
    assert spectrum.mean.max() == pytest.approx(1.0, abs=0.1)  # a third of the strong one at 5 eV
    assert spectrum.white_line == pytest.approx(5.0 + spectrum.offset, abs=0.1)


def test_two_equal_peaks_stay_two_peaks():
    spectrum = make_spectrum(peaks=(5.0, 8.0, 100.0), heights=(1.0, 1.0, 0.0))
    mean = spectrum.mean
    maxima = np.flatnonzero((mean[1:-1] > mean[:-2]) & (mean[1:-1] > mean[2:])) + 1
    np.testing.assert_allclose(spectrum.energy[maxima] - spectrum.offset, [5.0, 8.0], atol=0.11)


def test_half_height():
    """A Lorentzian falls to half within its half width."""
    spectrum = make_spectrum()
    assert spectrum.half_height == pytest.approx(7.2 + spectrum.offset, abs=0.02)


def test_on_grid():
    """The two terms of the cut (see science.lanczos) and the slope of the prefactor change a Lorentzian by 1e-2."""
    spectrum = make_spectrum()
    grid = np.linspace(1852.0, 1870.0, 77)
    np.testing.assert_allclose(spectrum.on_grid(grid), 0.64 / (0.64 + (grid - spectrum.offset - 8.0) ** 2), atol=1e-2)


@pytest.mark.parametrize("grid", [[1820.0, 1860.0], [1860.0, 1920.0]])
def test_never_beyond_what_was_computed(grid):
    with pytest.raises(ValueError, match=r"converged for 1826\.33 to 1911\.33 eV, but .* narrow the range"):
        make_spectrum().on_grid(grid)


def test_summary_is_json():
    summary = json.loads(json.dumps(make_spectrum().summary(), allow_nan=False))
    assert summary["type"] == "spectrum"
    assert summary["axis"] == "total energy"
    assert summary["energies"] == {**ENERGIES, "offset_eV": pytest.approx(1851.3315)}
    assert len(summary["energy_eV"]) == len(summary["spectrum"]) == 851


def test_stored_and_loaded():
    from aiida import orm

    spectrum = make_spectrum().store()
    loaded = orm.load_node(spectrum.pk)
    assert isinstance(loaded, SpectrumData)
    assert loaded.site_index == 2
    np.testing.assert_array_equal(loaded.energy, spectrum.energy)


class TestBroadened:
    """With the coefficients of a real run, converged for 0.8 eV."""

    def test_at_the_half_width_of_the_run(self):
        spectrum = quartz_spectrum()
        constant = Constant(gamma_eV=0.8, gaussian_fwhm_eV=0.0)
        for same in (0.8, constant, {"model": "constant", "gamma_eV": None, "gaussian_fwhm_eV": 0.0}):
            np.testing.assert_allclose(spectrum.broadened(same), engine_curve(), atol=1e-5 * spectrum.mean.max())
        assert spectrum.white_line == pytest.approx(1859.58, abs=0.03)  # docs/develop/engine_facts.md

    def test_a_growing_half_width_flattens_what_lies_high(self):
        spectrum = quartz_spectrum()
        energy = spectrum.energy
        ratio = spectrum.broadened(BroadeningProtocol.get_parameters("seah-dench")) / spectrum.mean
        assert np.abs(ratio[energy < 1853] - 1).max() < 0.01
        high = (energy > 1875) & (energy < 1900)
        assert ratio[high].max() > 1.02
        assert ratio[high].min() < 0.99
        assert ratio[np.argmax(spectrum.mean)] == pytest.approx(0.938, abs=0.002)

    def test_other_energies(self):
        spectrum = quartz_spectrum()
        grid = np.linspace(1850.0, 1870.0, 401)
        found = spectrum.broadened(0.8, grid)
        np.testing.assert_allclose(found, np.interp(grid, spectrum.energy, spectrum.mean), atol=3e-3 * found.max())
        np.testing.assert_array_equal(spectrum.on_grid(grid), found)

    @pytest.mark.parametrize("grid", [[1820.0, 1860.0], [1860.0, 1920.0]])
    def test_not_beyond_what_was_converged(self, grid):
        with pytest.raises(ValueError, match=r"converged for 1826\.33 to 1911\.33 eV, but .* asked for: narrow"):
            quartz_spectrum().broadened(0.8, grid)

    def test_below_the_converged_half_width(self):
        parameters = BroadeningProtocol.get_parameters("arctan", {"gamma_eV": 0.5})
        with pytest.raises(ValueError, match=r"0\.8 eV: the 0\.5 eV of the model `arctan` at .* smaller xgamma"):
            quartz_spectrum().broadened(parameters)

    def test_it_says_its_broadening(self):
        assert quartz_spectrum().broadening == {"model": "constant", "gamma_eV": 0.8, "gaussian_fwhm_eV": 0.0}


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"site": 3}, "a spectrum has no key `site`: did you mean `site_index`"),
            ({"run": {"gamma": 0.8}}, "the run of a spectrum has no key `gamma`: did you mean `gamma_eV`"),
            ({"energies": {"hole_Ry": float("nan")}}, "the energies of a spectrum need finite numbers for hole_Ry"),
            ({"energy": np.array([3.0, 2.0, 1.0])}, "the energies of a spectrum must increase"),
            ({"polarisations": [[1, 0, 0]]}, "3 chains, but the polarisations are"),
        ],
    )
    def test_what_does_not_fit(self, changes, message):
        with pytest.raises(ValueError, match=message):
            make_spectrum(**changes)

    @pytest.mark.parametrize(
        ("name", "values", "message"),
        [
            ("weights", None, "the set of coefficients lacks weights"),
            ("weights", np.ones(3), "the coefficients `weights` must have the shape 1, got 3"),
            ("b", np.full((3, 1, 4), np.inf), r"the coefficients `b` must be finite, but the number at \[0, 0, 0\]"),
        ],
    )
    def test_coefficients(self, name, values, message):
        coefficients = {**pole_coefficients([[8.0]] * 3, [[1.0]] * 3), name: values}
        with pytest.raises(ValueError, match=message):
            make_spectrum(coefficients={key: array for key, array in coefficients.items() if array is not None})

    def test_stored_without_contents(self):
        with pytest.raises(ValueError, match=r"comes from SpectrumData\.from_coefficients"):
            SpectrumData().store()

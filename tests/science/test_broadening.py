"""Broadening after the run: lifetime models against closed forms, the Gaussian against the Voigt profile."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import wofz

from aiida_siox.parsers.raw.xspectra import parse_save_file
from aiida_siox.science.broadening import (
    HBAR_V,
    MODELS,
    Arctan,
    Constant,
    SeahDench,
    broadened_spectrum,
    broadening_from_dict,
)
from aiida_siox.science.constants import RYDBERG_QE_EV
from aiida_siox.science.lanczos import INVERSE_FINE_STRUCTURE, LanczosCoefficients, spectrum_from_coefficients

ARCTAN = {"gamma_eV": 0.9, "gaussian_fwhm_eV": 0.0, "gamma_max_eV": 7.5, "center_eV": 30.0, "width_eV": 30.0}
CORE_EV = 1839.0


def arctan(**changes) -> Arctan:
    return Arctan(**{**ARCTAN, "edge_eV": 0.0, **changes})


def seah_dench(**changes) -> SeahDench:
    values = {"gamma_eV": 0.9, "gaussian_fwhm_eV": 0.0, "solid": "compound", "monolayer_nm": 0.25, "edge_eV": 0.0}
    return SeahDench(**{**values, **changes})


def chain(a_eV: float, b_eV: float, gamma_eV: float = 0.4, n: int = 600) -> LanczosCoefficients:
    """Return a chain of constant coefficients; one pole at ``a_eV`` when b is zero."""
    return LanczosCoefficients(
        a=np.full((1, n), a_eV / RYDBERG_QE_EV),
        b=np.full((1, n), b_eV / RYDBERG_QE_EV),
        norm=np.ones(1),
        n_iterations=np.array([n]),
        weights=np.array([2.0]),
        core_energy_eV=CORE_EV,
        check_interval=10,
        gamma_eV=gamma_eV,
    )


def per_eV(sigma, energy_eV):
    """Return the cross-section without its prefactor, Im G in 1/eV."""
    return sigma / (2 * 4 * np.pi / INVERSE_FINE_STRUCTURE * (energy_eV + CORE_EV) / RYDBERG_QE_EV) / RYDBERG_QE_EV


def pole(broadening, energy, position, **options):
    """Return Im G in 1/eV of one pole."""
    coefficients = chain(position, 0.0, n=20)
    sigma = broadened_spectrum(coefficients, broadening, energy, 0.0, use_terminator=False, **options)
    return per_eV(sigma, energy)


@pytest.fixture(scope="module")
def engine(fixtures_path):
    """Return coefficients and energy zero of a real run of xspectra.x 6.7."""
    folder = fixtures_path / "xspectra" / "c_axis"
    saved = parse_save_file(gzip.decompress((folder / "lanczos_0.sav.gz").read_bytes()).decode())
    coefficients = LanczosCoefficients(
        **{key: saved[key] for key in ("a", "b", "norm", "n_iterations", "core_energy_eV")},
        weights=np.array([2.0]),
        check_interval=50,
        gamma_eV=0.8,
    )
    return coefficients, saved["fermi_energy_eV"]


class TestModels:
    def test_hbar_v_of_the_electron_in_hydrogen(self):
        """At 13.6057 eV v = α c, so that ħ v = α ħ c = 14.39964 eV Å."""
        assert HBAR_V * np.sqrt(13.605693) == pytest.approx(14.39964, rel=1e-6)

    @pytest.mark.parametrize("model", [Constant(gamma_eV=0.9, gaussian_fwhm_eV=0.0), arctan(), seah_dench()])
    def test_at_and_below_the_edge(self, model):
        np.testing.assert_array_equal(model(np.array([-20.0, -1.0, 0.0])), 0.9)

    @pytest.mark.parametrize("edge", [0.0, 4.0])
    def test_arctan_as_in_fdmnes(self, edge):
        """Γ_hole 1.8, Γ_max 15, E_cent 30, E_larg 20, in full widths by its formula, at e = 30, 60 and 15 eV."""
        expected = [1.8 + 15 * (0.5 + np.arctan(np.pi / 3 * 15 / 20 * (x - 1 / x**2)) / np.pi) for x in (1.0, 2.0, 0.5)]
        assert expected[0] == pytest.approx(9.3)
        model = arctan(width_eV=20.0, edge_eV=edge)
        np.testing.assert_allclose(2 * model(np.array([30.0, 60.0, 15.0]) + edge), expected, rtol=1e-12)

    def test_seah_dench_by_hand(self):
        """Compound of 0.25 nm layers at 25 eV: λ = 2170/625 + 0.72 √6.25 = 5.272 monolayers = 13.18 Å."""
        model = seah_dench()
        assert model.mean_free_path(np.array([25.0]))[0] == pytest.approx(13.18)
        assert model(np.array([25.0]))[0] == pytest.approx(0.9 + 3.903835 * 5 / (2 * 13.18), rel=1e-6)
        shifted = seah_dench(edge_eV=3.0)
        assert shifted(np.array([28.0]))[0] == pytest.approx(model(np.array([25.0]))[0])

    @pytest.mark.parametrize("solid", ["element", "compound"])
    def test_seah_dench_has_its_minimum_where_the_paper_says(self, solid):
        """0.1 to 0.8 nm in the range 30 to 100 eV, higher on both sides (abstract of the paper)."""
        energy = np.linspace(5, 400, 2000)
        path = seah_dench(solid=solid, monolayer_nm=0.232).mean_free_path(energy)
        assert 30 <= energy[np.argmin(path)] <= 100
        assert 1.0 <= path.min() <= 8.0
        assert path[0] > 4 * path.min()
        assert path[-1] > 1.5 * path.min()

    @pytest.mark.parametrize(
        "model", [Constant(gamma_eV=0.9, gaussian_fwhm_eV=0.3), arctan(), seah_dench(gaussian_fwhm_eV=0.4)]
    )
    def test_to_dict_and_back(self, model):
        assert broadening_from_dict(model.to_dict()) == model
        assert MODELS[model.to_dict()["model"]] is type(model)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"model": "seah"}, "one of constant, arctan, seah-dench, got 'seah'"),
            ({"gamma_max_eV": None}, "`broadening.gamma_max_eV` must be a number from 0 on, got None"),
            ({"gamma_eV": 0}, "`broadening.gamma_eV` must be a number above 0, got 0"),
            ({"gamma_max_eV": -1.0}, "gamma_max_eV` must be a number from 0 on, got -1"),
            ({"gaussian_fwhm_eV": -0.1}, "gaussian_fwhm_eV` must be a number from 0 on, got -0.1"),
            ({"center_eV": float("inf")}, "center_eV` must be a number above 0, got inf"),
            ({"monolayer_nm": 0.2}, "unknown key `broadening.monolayer_nm` .*Valid: center_eV"),
        ],
    )
    def test_wrong_parameters(self, changes, message):
        values = {**arctan().to_dict(), **changes}
        with pytest.raises(ValueError, match=message):
            broadening_from_dict(values)

    def test_missing_parameter_and_wrong_solid(self):
        with pytest.raises(ValueError, match=r"`broadening` lacks `gaussian_fwhm_eV`"):
            broadening_from_dict({"model": "constant", "gamma_eV": 1.0})
        with pytest.raises(ValueError, match=r"solid` must be one of element, compound, got 'oxide'"):
            broadening_from_dict({**seah_dench().to_dict(), "solid": "oxide"})


class TestLorentzian:
    energy = np.linspace(-8.0, 40.0, 481)

    def test_constant_is_the_spectrum_as_before(self, engine):
        coefficients, zero = engine
        ours = broadened_spectrum(coefficients, Constant(gamma_eV=1.1, gaussian_fwhm_eV=0.0), self.energy, zero)
        np.testing.assert_array_equal(ours, spectrum_from_coefficients(coefficients, self.energy, zero, gamma_eV=1.1))

    @pytest.mark.parametrize(
        "model", [Constant(gamma_eV=0.5, gaussian_fwhm_eV=0.0), arctan(gamma_eV=0.5), seah_dench(gamma_eV=0.5)]
    )
    @pytest.mark.parametrize("cut", [True, False])
    def test_one_pole_is_one_lorentzian(self, model, cut):
        """Γ(E) / ((E - a)² + Γ(E)²), above and below the energy zero, whether or not the empty occupied side is cut."""
        gamma = model(self.energy)
        expected = gamma / ((self.energy - 12.3) ** 2 + gamma**2)
        ours = pole(model, self.energy, 12.3, cut_occupied=cut)
        np.testing.assert_allclose(ours, expected, rtol=3e-5, atol=1e-6 * expected.max())

    @pytest.mark.parametrize(
        "model", [Constant(gamma_eV=0.5, gaussian_fwhm_eV=0.0), arctan(gamma_eV=0.5), seah_dench(gamma_eV=0.5)]
    )
    def test_an_occupied_pole_is_cut_away(self, model):
        ours = pole(model, self.energy, -3.0)
        assert np.abs(ours).max() < 1e-6 * pole(model, self.energy, -3.0, cut_occupied=False).max()

    def test_area_of_a_constant(self):
        """A pole of norm 1 has the area π, whatever the half width: 2 arctan(400 / Γ) within 400 eV of it."""
        energy = np.linspace(-390.0, 410.0, 16001)
        for gamma in (0.5, 2.0):
            area = np.trapezoid(
                pole(Constant(gamma_eV=gamma, gaussian_fwhm_eV=0.0), energy, 10.0, cut_occupied=False), energy
            )
            assert area == pytest.approx(2 * np.arctan(400 / gamma), rel=1e-6)

    @pytest.mark.parametrize("model", [arctan(gamma_eV=0.5), seah_dench(gamma_eV=0.5, solid="element")])
    def test_cut_at_each_half_width_is_the_convolution(self, model):
        """Against the definition, by quadrature over the half circle of an endless chain above the energy zero."""
        a, b = 2.0, 8.0  # from -14 to 18 eV, cut at 0
        energy = np.array([-6.0, -0.7, 0.4, 3.0, 9.0, 17.0, 26.0])
        ours = broadened_spectrum(chain(a, b), model, energy, 0.0, smooth_eV=1e-3)

        def value(e):
            gamma = float(model(np.array([e]))[0])
            return quad(
                lambda x: np.sqrt(max(4 * b * b - (x - a) ** 2, 0)) / (2 * b * b) * gamma / ((e - x) ** 2 + gamma**2),
                0.0, a + 2 * b, points=[e] if 0 < e < a + 2 * b else None, limit=400,
            )[0] / np.pi  # fmt: skip

        np.testing.assert_allclose(per_eV(ours, energy), [value(e) for e in energy], rtol=1e-5)

    @pytest.mark.parametrize("model", [arctan(), seah_dench()])
    def test_equal_to_a_constant_where_the_half_width_is_equal(self, engine, model):
        coefficients, zero = engine
        ours = broadened_spectrum(coefficients, model, self.energy, zero, smooth_eV=0.1)
        for index in (20, 150, 300, 480):
            constant = Constant(gamma_eV=float(model(self.energy)[index]), gaussian_fwhm_eV=0.0)
            same = broadened_spectrum(coefficients, constant, self.energy, zero, smooth_eV=0.1)
            assert ours[index] == pytest.approx(same[index], rel=1e-8)
            assert np.abs(ours - same).max() > 1e-3 * same.max()

    def test_below_the_converged_half_width(self, engine):
        coefficients, zero = engine
        with pytest.raises(
            ValueError,
            match=r"half width of 0\.8 eV: the 0\.7 eV of the model `arctan` at -8\.00 eV .* at least 0\.8 eV",
        ):
            broadened_spectrum(coefficients, arctan(gamma_eV=0.7), self.energy, zero)
        with pytest.raises(ValueError, match="the model `constant`"):
            broadened_spectrum(coefficients, Constant(gamma_eV=0.79, gaussian_fwhm_eV=2.0), self.energy, zero)
        # high above the edge 0.7 eV have grown beyond 0.8 eV: nothing to refuse there
        broadened_spectrum(coefficients, arctan(gamma_eV=0.7), np.linspace(20, 30, 20), zero, cut_occupied=False)


class TestGaussian:
    @pytest.mark.parametrize("fwhm", [0.05, 0.5, 3.0])
    def test_voigt(self, fwhm):
        """Lorentzian and Gaussian of one pole are the real part of the Faddeeva function."""
        gamma, position, sigma = 0.6, 15.0, fwhm / (2 * np.sqrt(2 * np.log(2)))
        energy = np.linspace(5.0, 30.0, 101)
        z = (energy - position + 1j * gamma) / (sigma * np.sqrt(2))
        expected = np.sqrt(np.pi / 2) / sigma * wofz(z).real
        ours = pole(Constant(gamma_eV=gamma, gaussian_fwhm_eV=fwhm), energy, position, cut_occupied=False)
        # the prefactor grows by 1e-3 over an eV inside the convolution, which leaves a little of its slope
        np.testing.assert_allclose(ours, expected, atol=2e-3 * sigma**2 * expected.max() / gamma + 2e-6)

    def test_range_and_step_do_not_matter(self, engine):
        coefficients, zero = engine
        wide = np.linspace(-10.0, 40.0, 501)
        part = wide[200:260:3]
        model = seah_dench(gaussian_fwhm_eV=0.7)
        full, narrow = (broadened_spectrum(coefficients, model, energy, zero, smooth_eV=0.1) for energy in (wide, part))
        np.testing.assert_allclose(narrow, full[200:260:3], rtol=1e-6)

    def test_area_is_kept(self, engine):
        """Where the spectrum is flat the Gaussian changes nothing, and it moves no area."""
        coefficients, zero = engine
        energy = np.linspace(-60.0, 120.0, 3601)
        plain, folded = (
            broadened_spectrum(coefficients, Constant(gamma_eV=1.0, gaussian_fwhm_eV=fwhm), energy, zero, smooth_eV=0.1)
            for fwhm in (0.0, 1.5)
        )
        assert np.trapezoid(folded, energy) == pytest.approx(np.trapezoid(plain, energy), rel=2e-4)
        assert folded.max() < 0.95 * plain.max()

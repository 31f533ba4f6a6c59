"""Broadening of a spectrum after the run, from its Lanczos coefficients: lifetime models and the instrument.

The lifetime enters as a Lorentzian whose *half* width Γ may grow with the energy e above the edge, for which the energy
zero of xspectra.x stands (plus ``edge_eV``). At and below the edge Γ is ``gamma_eV``: half the width of the core level,
and what the engine's coefficients were converged for at the least. The models add what the photoelectron loses:

- :class:`Constant`: nothing.
- :class:`Arctan`: ``gamma_max [1/2 + arctan(π/3 · 2 gamma_max / width (x - 1/x²)) / π]``, ``x = e / center``. This is
  the empirical curve of FDMNES (User's Guide, "Convolution"; O. Bunău and Y. Joly, J. Phys.: Condens. Matter 21, 345501
  (2009)) in half widths: its Γ_max is a full width, 2 ``gamma_max``; E_cent is ``center``, E_larg ``width``.
- :class:`SeahDench`: ``ħ v / 2 λ(e)`` of an electron of the kinetic energy e with the inelastic mean free path of
  M. P. Seah and W. A. Dench, Surf. Interface Anal. 1, 2 (1979), ``λ = c₁ / e² + c₂ √(a e)`` in monolayers of the
  thickness a (nm): c₁, c₂ = 538, 0.41 for elements, 2170, 0.72 for inorganic compounds. ħ/τ = ħ v/λ is the full width.
  (What FDMNES calls Seah-Dench is another curve, ``1/λ`` with 1/√e in the place of 1/e².)

The instrument is a Gaussian, given by its full width at half maximum, convolved afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.constants import angstrom, electron_mass, elementary_charge, hbar
from scipy.interpolate import make_interp_spline

from aiida_siox.checked import Checked, NotNegative, Number, OneOf, Positive
from aiida_siox.science.lanczos import LanczosCoefficients, spectrum_from_coefficients

Array = NDArray[np.float64]

#: ħ v = HBAR_V √e, in Å √eV: √(2 ħ² / m).
HBAR_V = math.sqrt(2.0 / (electron_mass * elementary_charge)) * hbar / angstrom

#: c₁ and c₂ of Seah and Dench, for λ in monolayers.
SEAH_DENCH = {"element": (538.0, 0.41), "compound": (2170.0, 0.72)}

#: Gaussian weights are summed to this many standard deviations on either side.
GAUSSIAN_REACH = 6.0
_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


class Broadening(Checked):
    """What all models share; the models themselves are below.

    :param gamma_eV: half width at and below the edge, eV.
    :param gaussian_fwhm_eV: full width at half maximum of the instrument's Gaussian, eV; 0 for none.
    """

    name: ClassVar[str] = ""

    gamma_eV: Positive
    gaussian_fwhm_eV: NotNegative

    def __call__(self, energy_eV: Array) -> Array:
        """Return the half width in eV at energies relative to the energy zero of xspectra.x (eV), same shape."""
        return self.gamma_eV + self.added(np.asarray(energy_eV, dtype=float))

    def added(self, energy_eV: Array) -> Array:
        """Return what the model adds to ``gamma_eV``, eV."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Name the model."""
        return f"the model `{self.name}`"

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters with the name of the model, as :func:`broadening_from_dict` takes them."""
        return {"model": self.name, **self.plain()}


class Constant(Broadening):
    """The same half width at every energy."""

    name: ClassVar[str] = "constant"

    def added(self, energy_eV: Array) -> Array:
        """Return nothing, at every energy."""
        return np.zeros_like(energy_eV)


class Arctan(Broadening):
    """The curve of FDMNES.

    :param gamma_max_eV: half width that is added far above the edge, eV.
    :param center_eV: energy above the edge about which it rises, eV.
    :param width_eV: range of energies in which it rises, eV.
    :param edge_eV: edge relative to the energy zero of xspectra.x, eV.
    """

    name: ClassVar[str] = "arctan"
    gamma_max_eV: NotNegative
    center_eV: Positive
    width_eV: Positive
    edge_eV: Number

    def added(self, energy_eV: Array) -> Array:
        """Return what the model adds to ``gamma_eV``, eV."""
        above = energy_eV > self.edge_eV
        x = np.where(above, energy_eV - self.edge_eV, 1.0) / self.center_eV
        slope = np.pi / 3.0 * 2.0 * self.gamma_max_eV / self.width_eV
        return np.where(above, self.gamma_max_eV * (0.5 + np.arctan(slope * (x - x**-2)) / np.pi), 0.0)


class SeahDench(Broadening):
    """Inelastic mean free path from the universal curve of Seah and Dench.

    :param solid: ``compound`` (inorganic) or ``element``.
    :param monolayer_nm: thickness a of a monolayer, nm: a³ is the volume of an atom.
    :param edge_eV: edge relative to the energy zero of xspectra.x, eV.
    """

    name: ClassVar[str] = "seah-dench"
    solid: Annotated[str, OneOf(tuple(SEAH_DENCH))]
    monolayer_nm: Positive
    edge_eV: Number

    def mean_free_path(self, energy_eV: Array) -> Array:
        """Return λ in Å for energies above the edge in eV, positive, same shape."""
        first, second = SEAH_DENCH[self.solid]
        monolayers = first / energy_eV**2 + second * np.sqrt(self.monolayer_nm * energy_eV)
        return monolayers * 10.0 * self.monolayer_nm

    def added(self, energy_eV: Array) -> Array:
        """Return ħ v / 2 λ, eV."""
        above = energy_eV > self.edge_eV
        kinetic = np.where(above, energy_eV - self.edge_eV, 1.0)
        return np.where(above, HBAR_V * np.sqrt(kinetic) / (2.0 * self.mean_free_path(kinetic)), 0.0)


MODELS: dict[str, type[Broadening]] = {model.name: model for model in (Constant, Arctan, SeahDench)}


def broadening_from_dict(values: Mapping[str, Any]) -> Broadening:
    """Return the model that a mapping describes.

    :param values: ``model`` and every parameter of that model.
    :raises ValueError: for an unknown model, a missing or an unknown parameter, or a value out of its range.
    """
    name = values.get("model")
    if name not in MODELS:
        raise ValueError(f"`model` of a broadening must be one of {', '.join(MODELS)}, got {name!r}.")
    given = {key: value for key, value in values.items() if key != "model"}
    return MODELS[name].parse(given, "broadening")


def broadened_spectrum(
    coefficients: LanczosCoefficients,
    broadening: Broadening,
    energy_eV: Array,
    energy_zero_eV: float,
    **options: Any,
) -> Array:
    """Return the cross-section of one polarisation with a lifetime model and the Gaussian of an instrument.

    The Gaussian is summed over the Lorentzian spectrum to six standard deviations beyond the energies asked for.

    :param coefficients: Lanczos coefficients of the polarisation.
    :param broadening: the model.
    :param energy_eV: energies relative to the energy zero, ascending, shape (n_e,), eV.
    :param energy_zero_eV: energy zero on the eigenvalue axis of the run, eV.
    :param options: further arguments of :func:`~aiida_siox.science.lanczos.spectrum_from_coefficients`.
    :returns: shape (n_e,), in the units of xspectra.
    :raises ValueError: for a half width below the one for which the coefficients converged, naming model and energy.
    """
    energy_eV = np.asarray(energy_eV, dtype=float)
    if broadening.gaussian_fwhm_eV == 0:
        return spectrum_from_coefficients(coefficients, energy_eV, energy_zero_eV, broadening, **options)
    sigma = broadening.gaussian_fwhm_eV / _FWHM_PER_SIGMA
    # The Lorentzian makes the spectrum smooth on the scale of its half width; 16 points on it and splines of the fifth
    # order reproduce it to 1e-8, and the sum over the Gaussian converges as exp(-2 π Γ / step).
    margin = GAUSSIAN_REACH * sigma
    low, high = energy_eV[0] - margin, energy_eV[-1] + margin
    fine = np.linspace(low, high, max(math.ceil((high - low) * 16.0 / broadening.gamma_eV), 32) + 1)
    options.setdefault("smooth_eV", float(np.diff(energy_eV).max()))
    spline = make_interp_spline(
        fine, spectrum_from_coefficients(coefficients, fine, energy_zero_eV, broadening, **options), k=5
    )
    n = math.ceil(margin / min(0.5 * sigma, 0.25 * broadening.gamma_eV))
    shift = np.linspace(-margin, margin, 2 * n + 1)
    weights = np.exp(-0.5 * (shift / sigma) ** 2)
    values = spline(np.clip(energy_eV[:, None] + shift, low, high))
    return np.asarray(values @ (weights / weights.sum()))

"""SpectrumData: what one absorber gave, on the total-energy axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.orm import ArrayData
from numpy.typing import ArrayLike, NDArray

from aiida_siox.science import energies as en
from aiida_siox.science import spectra as sp
from aiida_siox.science.lanczos import LanczosCoefficients, spectrum_from_coefficients

Array = NDArray[np.float64]


class SpectrumData(ArrayData):
    """Si K-edge cross-section of one absorber, unnormalised, for each polarisation.

    Arrays: ``energy_xspectra`` (n,) in eV on xspectra's own axis, ``sigma`` (n_polarisations, n), and the Lanczos
    coefficients under the names that :class:`~aiida_siox.calculations.xspectra.XspectraCalculation` gives them.
    Attributes: ``site_index``, ``treatment``, ``structure_digest``, ``formula``, ``gamma_eV``, ``polarisations``,
    ``engines`` (versions) and ``energies`` with ``ground_Ry``, ``hole_Ry``, ``core_correction_eV``,
    ``transition_eV``, ``energy_zero_eV``, ``fermi_eV``.
    """

    @property
    def site_index(self) -> int:
        """Index of the absorber in the structure normalised to the kinds Si and O."""
        return int(self.base.attributes.get("site_index"))

    @property
    def treatment(self) -> str:
        """Treatment of the core hole, ``fch``, ``xch`` or ``none``."""
        return str(self.base.attributes.get("treatment"))

    @property
    def energies(self) -> dict[str, float]:
        """Every energy of the transition (see the class)."""
        return dict(self.base.attributes.get("energies"))

    @property
    def offset(self) -> float:
        """What brings xspectra's energies to the total-energy axis, in eV."""
        terms = self.energies
        return en.total_energy_offset(
            self.treatment, terms["transition_eV"], terms["energy_zero_eV"], terms["fermi_eV"]
        )

    @property
    def energy(self) -> Array:
        """Energies in eV on the total-energy axis, shape (n,)."""
        return np.asarray(self.get_array("energy_xspectra") + self.offset)

    @property
    def mean(self) -> Array:
        """Mean over the polarisations, shape (n,)."""
        return np.asarray(self.get_array("sigma").mean(axis=0))

    def on_grid(self, grid: ArrayLike) -> Array:
        """Return the polarisation mean on a grid of total energies in eV.

        :raises ValueError: if the grid leaves the range that was computed.
        """
        return sp.interpolate(self.energy, self.mean, grid)

    def window(self, low: float, high: float) -> tuple[Array, Array]:
        """Return energies and polarisation mean between two total energies in eV."""
        energy = self.energy
        inside = (energy >= low) & (energy <= high)
        return energy[inside], self.mean[inside]

    def coefficients(self, polarisation: int) -> LanczosCoefficients:
        """Return the Lanczos coefficients of one polarisation."""
        arrays = {name: self.get_array(name) for name in ("a", "b", "norm", "n_iterations", "weights")}
        return LanczosCoefficients.from_arrays(arrays, self.base.attributes.all, polarisation)

    def broadened(self, gamma: float) -> Array:
        """Return the polarisation mean with another Lorentzian half width in eV, from the stored coefficients.

        :returns: shape (n,), on :attr:`energy`.
        :raises ValueError: for a half width below the one for which the coefficients converged.
        """
        attributes = self.base.attributes
        spectra = [
            spectrum_from_coefficients(
                self.coefficients(i),
                self.get_array("energy_xspectra"),
                attributes.get("energy_zero_eV"),
                gamma_eV=gamma,
                cut_occupied=attributes.get("cut_occ_states"),
                smooth_eV=attributes.get("smooth_eV"),
                use_terminator=attributes.get("terminator"),
            )
            for i in range(len(self.get_array("norm")))
        ]
        return np.asarray(np.mean(spectra, axis=0))

    @property
    def white_line(self) -> float:
        """Total energy in eV of the highest point of the polarisation mean."""
        return sp.maximum_position(self.energy, self.mean)

    @property
    def half_height(self) -> float:
        """Total energy in eV at which the polarisation mean rises through half of its maximum."""
        return sp.half_height_position(self.energy, self.mean)

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        return {
            "type": "spectrum",
            **{key: self.base.attributes.get(key, None) for key in ("formula", "site_index", "treatment", "gamma_eV")},
            "axis": "total energy",
            "energies": self.energies,
            "white_line_eV": self.white_line,
            "half_height_eV": self.half_height,
            "polarisations": self.base.attributes.get("polarisations", None),
            "engines": self.base.attributes.get("engines", None),
            "energy_eV": self.energy.tolist(),
            "spectrum": self.mean.tolist(),
        }

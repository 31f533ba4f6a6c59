"""SpectrumData: what one absorber gave, on the total-energy axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.orm import ArrayData
from numpy.typing import ArrayLike, NDArray

from aiida_siox.science import energies as en
from aiida_siox.science import spectra as sp

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
        """Treatment of the core hole, ``fch`` or ``xch``."""
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

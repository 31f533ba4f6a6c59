"""SiteData: one silicon site as a node of its own, so that the QueryBuilder sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.orm import ArrayData
from numpy.typing import NDArray

from aiida_siox.science import spectra as sp
from aiida_siox.science.energies import total_energy_offset
from aiida_siox.science.energy_terms import EnergyTerm, energy_terms

Array = NDArray[np.float64]


class SiteData(ArrayData):
    """Spectrum and targets of one silicon site.

    Arrays: ``energy_eV`` (n_e,) on the total-energy axis, ``spectrum`` (n_e,), ``r_angstrom`` (n_r,), ``rdf`` (n_r,).
    Attributes, all queryable: ``site_index``, ``formula``, ``x``, ``n_oxygen``, ``n_silicon``, ``valence_e``,
    ``transition_eV``, ``status`` (``done`` or ``failed``), ``reason``, ``treatment``, ``protocol``,
    ``settings_digest``, ``structure_digest``, and of a finished site ``energies`` (every term), ``atomic_energies`` and
    ``free_energy`` as in SpectrumData. A failed site has its RDF and neighbours, but no spectrum.
    """

    @property
    def status(self) -> str:
        """``done`` or ``failed``."""
        return str(self.base.attributes.get("status"))

    @property
    def energy(self) -> Array:
        """Energies in eV on the total-energy axis, shape (n_e,)."""
        return np.asarray(self.get_array("energy_eV"))

    @property
    def spectrum(self) -> Array:
        """Polarisation mean of the cross-section, shape (n_e,).

        :raises ValueError: if the site failed.
        """
        if self.status != "done":
            raise ValueError(
                f"site {self.base.attributes.get('site_index')} has no spectrum: {self.base.attributes.get('reason')}"
            )
        return np.asarray(self.get_array("spectrum"))

    @property
    def white_line(self) -> float:
        """Total energy in eV of the highest point of the spectrum."""
        return sp.maximum_position(self.energy, self.spectrum)

    def energy_terms(self, shift: float | None = None) -> list[EnergyTerm]:
        """Return the energies that add up to the white line; see :meth:`SpectrumData.energy_terms`.

        :raises ValueError: if the site failed, or was stored without its energies.
        """
        attributes = self.base.attributes
        energies = attributes.get("energies", None)
        if energies is None:
            raise ValueError(f"site {attributes.get('site_index')} has no energies.")
        treatment = attributes.get("treatment")
        keys = ("transition_eV", "energy_zero_eV", "fermi_eV")
        peak = self.white_line - total_energy_offset(treatment, *(energies[key] for key in keys))
        return energy_terms(treatment, energies, attributes.get("atomic_energies", None), peak, shift)

    @property
    def rdf(self) -> Array:
        """g(R) of the site, shape (n_r,), on ``r_angstrom``."""
        return np.asarray(self.get_array("rdf"))

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        attributes = {
            key: value for key, value in self.base.attributes.all.items() if not key.startswith(("array|", "default_"))
        }
        arrays = {name: self.get_array(name).tolist() for name in self.get_arraynames()}
        return {"type": "site", "axis": "total energy", **attributes, **arrays}

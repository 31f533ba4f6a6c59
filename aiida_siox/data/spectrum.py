"""SpectrumData: what one absorber gave, on the total-energy axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.orm import ArrayData
from numpy.typing import ArrayLike, NDArray

from aiida_siox.science import energies as en
from aiida_siox.science import spectra as sp
from aiida_siox.science.broadening import Broadening, Constant, broadened_spectrum, broadening_from_dict
from aiida_siox.science.energy_terms import EnergyTerm, energy_terms
from aiida_siox.science.lanczos import LanczosCoefficients

Array = NDArray[np.float64]


class SpectrumData(ArrayData):
    """Si K-edge cross-section of one absorber, unnormalised, for each polarisation.

    Arrays: ``energy_xspectra`` (n,) in eV on xspectra's own axis, ``sigma`` (n_polarisations, n), and the Lanczos
    coefficients under the names that :class:`~aiida_siox.calculations.xspectra.XspectraCalculation` gives them.
    Attributes: ``site_index``, ``treatment``, ``structure_digest``, ``formula``, ``gamma_eV``, ``polarisations``,
    ``engines`` (versions) and ``energies`` with ``ground_Ry``, ``hole_Ry``, ``core_correction_eV``,
    ``transition_eV``, ``energy_zero_eV``, ``fermi_eV``, ``offset_eV`` (zero of ``energy_xspectra`` on the total-energy
    axis) and, of the two total energies, ``ground_smearing_Ry`` and ``hole_smearing_Ry`` (-TS); ``atomic_energies``,
    the four of the core correction; ``free_energy``, which quantity the total energies are (F = E - TS), with the
    smearing.
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

    def energy_terms(self, shift: float | None = None) -> list[EnergyTerm]:
        """Return the energies that add up to the white line, see :func:`~aiida_siox.science.energy_terms.energy_terms`.

        :param shift: of a calibration, eV; None for none.
        """
        atomic = self.base.attributes.get("atomic_energies", None)
        return energy_terms(self.treatment, self.energies, atomic, self.white_line - self.offset, shift)

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

    @property
    def broadening(self) -> dict[str, Any]:
        """Broadening of the stored curve: that of the run, or what the calcfunction ``broaden`` was given."""
        run = Constant(gamma_eV=float(self.base.attributes.get("gamma_eV")), gaussian_fwhm_eV=0.0).to_dict()
        return dict(self.base.attributes.get("broadening", run))

    @property
    def converged_range(self) -> tuple[float, float]:
        """Total energies in eV between which xspectra.x checked the convergence of the coefficients."""
        energy = self.get_array("energy_xspectra")
        low, high = self.base.attributes.get("converged_range_eV", [float(energy[0]), float(energy[-1])])
        return low + self.offset, high + self.offset

    def resolve(self, broadening: float | Mapping[str, Any] | Broadening) -> Broadening:
        """Return a broadening with every number.

        :param broadening: a half width in eV, the parameters of a model (see :mod:`aiida_siox.science.broadening`;
            ``gamma_eV`` None stands for the half width for which the coefficients converged), or a model.
        :raises ValueError: if the parameters do not make a model.
        """
        if isinstance(broadening, Broadening):
            return broadening
        if not isinstance(broadening, Mapping):
            return Constant.parse({"gamma_eV": broadening, "gaussian_fwhm_eV": 0.0}, "broadening")
        if broadening.get("gamma_eV", 0.0) is None:
            broadening = {**broadening, "gamma_eV": float(self.base.attributes.get("gamma_eV"))}
        return broadening_from_dict(broadening)

    def broadened_polarisations(
        self, broadening: float | Mapping[str, Any] | Broadening, energy: ArrayLike | None = None
    ) -> Array:
        """Return every polarisation with another broadening, from the stored coefficients.

        :param broadening: see :meth:`resolve`.
        :param energy: total energies in eV, increasing, shape (n,); :attr:`energy` when None.
        :returns: shape (n_polarisations, n).
        :raises ValueError: for a half width below the one for which the coefficients converged, or energies outside
            :attr:`converged_range`.
        """
        attributes = self.base.attributes
        model = self.resolve(broadening)
        at = np.asarray(self.energy if energy is None else energy, dtype=float)
        low, high = self.converged_range
        if at.min() < low - 1e-6 or at.max() > high + 1e-6:
            raise ValueError(
                f"the coefficients converged for {low:.2f} to {high:.2f} eV, but {at.min():.2f} to {at.max():.2f} eV "
                "are asked for: narrow the range, or run xspectra.x again with a lower xemin and a higher xemax."
            )
        return np.array(
            [
                broadened_spectrum(
                    self.coefficients(i),
                    model,
                    at - self.offset,
                    attributes.get("energy_zero_eV"),
                    cut_occupied=attributes.get("cut_occ_states"),
                    smooth_eV=attributes.get("smooth_eV"),
                    use_terminator=attributes.get("terminator"),
                )
                for i in range(len(self.get_array("norm")))
            ]
        )

    def broadened(self, broadening: float | Mapping[str, Any] | Broadening, energy: ArrayLike | None = None) -> Array:
        """Return the polarisation mean with another broadening; see :meth:`broadened_polarisations`.

        :returns: shape (n,).
        """
        return np.asarray(self.broadened_polarisations(broadening, energy).mean(axis=0))

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
            "broadening": self.broadening,
            "energies": self.energies,
            **{key: self.base.attributes.get(key, None) for key in ("atomic_energies", "free_energy")},
            "white_line_eV": self.white_line,
            "half_height_eV": self.half_height,
            "polarisations": self.base.attributes.get("polarisations", None),
            "engines": self.base.attributes.get("engines", None),
            "energy_eV": self.energy.tolist(),
            "spectrum": self.mean.tolist(),
        }

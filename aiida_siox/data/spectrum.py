"""SpectrumData: what one absorber gave, on the total-energy axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.data.base import FilledArrayData, check_keys, checked_array, own_arrays
from aiida_siox.science import energies as en
from aiida_siox.science import spectra as sp
from aiida_siox.science.broadening import Broadening, Constant, broadened_spectrum, broadening_from_dict
from aiida_siox.science.energy_terms import EnergyTerm, energy_terms
from aiida_siox.science.lanczos import LanczosCoefficients

Array = NDArray[np.float64]

#: Energies without which there is no axis.
AXIS_ENERGIES = ("ground_Ry", "hole_Ry", "core_correction_eV", "transition_eV", "energy_zero_eV", "fermi_eV")


class SpectrumData(FilledArrayData):
    """Cross-section of one absorber, unnormalised: Lanczos coefficients of each polarisation, and one curve of them.

    Arrays: the coefficients :data:`COEFFICIENTS` under the names that
    :class:`~aiida_siox.calculations.xspectra.XspectraCalculation` gives them; ``energy_xspectra`` (n,) in eV on
    xspectra's own axis and ``mean`` (n,), the polarisation mean there with the broadening ``broadening``.
    Attributes: of the run :data:`RUN`, of the absorber :data:`ABSORBER` and :data:`OPTIONAL`; ``converged_range_eV``,
    on xspectra's own axis; ``cut_eV``, where the occupied states are cut, relative to the energy zero; ``flags``, what
    is to be doubted. ``energies`` holds every term of the transition: :data:`AXIS_ENERGIES`, ``offset_eV`` (zero of
    ``energy_xspectra`` on the total-energy axis) and, where known, ``highest_occupied_eV`` and ``lowest_empty_eV``
    (levels of the hole cell), ``ground_smearing_Ry`` and ``hole_smearing_Ry`` (-TS of the total energies).
    ``atomic_energies`` are the four of the core correction; ``free_energy`` says which quantity the total energies are
    (F = E - TS), with the smearing.
    """

    CONSTRUCTOR = "from_coefficients"
    COEFFICIENTS = ("a", "b", "norm", "n_iterations", "weights")
    RUN = (
        *("energy_zero_eV", "core_energy_eV", "check_interval", "gamma_eV", "terminator", "cut_occ_states"),
        "smooth_eV",
    )
    ABSORBER = ("site_index", "formula", "treatment", "structure_digest", "energies", "polarisations", "engines")
    OPTIONAL = ("atomic_energies", "free_energy")
    REQUIRED = (*RUN, *ABSORBER, "broadening", "converged_range_eV")

    @classmethod
    def from_coefficients(
        cls,
        coefficients: Mapping[str, NDArray[Any]],
        run: Mapping[str, Any],
        absorber: Mapping[str, Any],
        energy: ArrayLike,
        broadening: float | Mapping[str, Any] | Broadening | None = None,
        converged_range: tuple[float, float] | None = None,
    ) -> SpectrumData:
        """Return an unstored spectrum; its curve is computed from the coefficients.

        :param coefficients: :data:`COEFFICIENTS`, as :meth:`LanczosCoefficients.from_arrays` takes them.
        :param run: values of :data:`RUN`.
        :param absorber: values of :data:`ABSORBER` and :data:`OPTIONAL`.
        :param energy: of the curve, eV on xspectra's own axis, shape (n,).
        :param broadening: of the curve, see :meth:`resolve`; that of the run when None.
        :param converged_range: energies for which the coefficients converged, eV on xspectra's own axis; those of the
            curve when None.
        :raises ValueError: naming what is missing, unknown, of another shape or not finite.
        """
        check_keys("the set of coefficients", coefficients, cls.COEFFICIENTS)
        check_keys("the run of a spectrum", run, cls.RUN)
        check_keys("a spectrum", absorber, cls.ABSORBER, cls.OPTIONAL)
        missing = [key for key in AXIS_ENERGIES if not np.isfinite(absorber["energies"].get(key, np.nan))]
        if missing:
            raise ValueError(f"the energies of a spectrum need finite numbers for {', '.join(missing)}.")
        n_polarisations, n_k = np.shape(coefficients["norm"])
        n_max = np.shape(coefficients["a"])[-1]
        shapes = {"norm": (n_polarisations, n_k), "n_iterations": (n_polarisations, n_k), "weights": (n_k,)}
        arrays = {
            key: checked_array(f"the coefficients `{key}`", values, shapes.get(key, (n_polarisations, n_k, n_max)))
            for key, values in coefficients.items()
        }
        if len(absorber["polarisations"]) != n_polarisations:
            raise ValueError(f"{n_polarisations} chains, but the polarisations are {absorber['polarisations']}.")
        own = checked_array("the energies of a spectrum", energy, (None,), increasing=True).astype(float)
        low, high = (own[0], own[-1]) if converged_range is None else converged_range
        node: SpectrumData = cls.filled(arrays, {**run, **absorber, "converged_range_eV": [float(low), float(high)]})
        node.base.attributes.set("energies", {**absorber["energies"], "offset_eV": node.offset})
        cut, flags = occupied_cut_of(absorber["treatment"], absorber["energies"])
        node.base.attributes.set_many({"cut_eV": cut, "flags": flags})
        model = node.resolve(float(run["gamma_eV"]) if broadening is None else broadening)
        node.base.attributes.set("broadening", model.to_dict())
        node.set_array("energy_xspectra", own)
        node.set_array("mean", node.broadened(model, own + node.offset))
        return node

    def rebroadened(
        self, broadening: float | Mapping[str, Any] | Broadening, energy: ArrayLike | None = None
    ) -> SpectrumData:
        """Return an unstored spectrum of the same coefficients with another curve.

        :param broadening: see :meth:`resolve`.
        :param energy: total energies in eV, shape (n,); :attr:`energy` when None.
        :raises ValueError: for what the coefficients did not converge for.
        """
        arrays, attributes = own_arrays(self), self.attributes
        low, high = self.converged_range
        return type(self).from_coefficients(
            {key: arrays[key] for key in self.COEFFICIENTS},
            {key: attributes[key] for key in self.RUN},
            {key: value for key, value in attributes.items() if key in (*self.ABSORBER, *self.OPTIONAL)},
            (self.energy if energy is None else np.asarray(energy, dtype=float)) - self.offset,
            broadening,
            (low - self.offset, high - self.offset),
        )

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
        """Mean over the polarisations on :attr:`energy`, shape (n,)."""
        return np.asarray(self.get_array("mean"))

    @property
    def n_polarisations(self) -> int:
        """Number of polarisations."""
        return len(self.get_array("norm"))

    def on_grid(self, grid: ArrayLike) -> Array:
        """Return the polarisation mean at total energies in eV with its broadening, from the coefficients.

        :raises ValueError: if the grid leaves the range that was computed.
        """
        return self.broadened(self.broadening, grid)

    def coefficients(self, polarisation: int) -> LanczosCoefficients:
        """Return the Lanczos coefficients of one polarisation."""
        arrays = {name: self.get_array(name) for name in self.COEFFICIENTS}
        return LanczosCoefficients.from_arrays(arrays, self.base.attributes.all, polarisation)

    @property
    def broadening(self) -> dict[str, Any]:
        """Broadening of the curve: that of the run, or another that was asked for."""
        return dict(self.base.attributes.get("broadening"))

    @property
    def converged_range(self) -> tuple[float, float]:
        """Total energies in eV between which xspectra.x checked the convergence of the coefficients."""
        low, high = self.base.attributes.get("converged_range_eV")
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
                    cut_eV=attributes.get("cut_eV"),
                    smooth_eV=attributes.get("smooth_eV"),
                    use_terminator=attributes.get("terminator"),
                )
                for i in range(self.n_polarisations)
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
            **{key: self.base.attributes.get(key) for key in ("cut_eV", "flags")},
            "energies": self.energies,
            **{key: self.base.attributes.get(key, None) for key in ("atomic_energies", "free_energy")},
            "white_line_eV": self.white_line,
            "half_height_eV": self.half_height,
            "polarisations": self.base.attributes.get("polarisations", None),
            "engines": self.base.attributes.get("engines", None),
            "energy_eV": self.energy.tolist(),
            "spectrum": self.mean.tolist(),
        }


def occupied_cut_of(treatment: str, energies: Mapping[str, float]) -> tuple[float, list[str]]:
    """Return the cut of the occupied states in eV relative to the energy zero, and what is to be doubted about it.

    With an excited electron in the cell (``xch``) it stays at the energy zero, the Fermi energy; so it does where the
    levels of the cell are not known.
    """
    levels = [energies.get(key) for key in ("highest_occupied_eV", "lowest_empty_eV")]
    if treatment == "xch" or levels[0] is None or levels[1] is None:
        return 0.0, []
    gap = levels[1] - levels[0]
    flags = [] if gap >= en.SMALL_GAP_EV else [f"gap of {gap:.2f} eV, below {en.SMALL_GAP_EV} eV: the cut is uncertain"]
    return en.occupied_cut(levels[0], levels[1]) - energies["energy_zero_eV"], flags

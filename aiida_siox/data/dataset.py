"""DatasetData: finished sites of many configurations on one calibrated grid, ready to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from aiida.orm import ArrayData
from numpy.typing import NDArray

from aiida_siox.learning.sites import SiteSet
from aiida_siox.science import spectra as sp

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AveragedConfiguration:
    """Mean over all silicon sites of one configuration: what an experiment would see of it."""

    formula: str
    x: float
    n_done: int
    n_requested: int
    spectrum: Array
    valence_e: float
    rdf: Array


class DatasetData(ArrayData):
    """Rows of (spectrum, valence, RDF) with the configuration that each comes from.

    Arrays, n rows: ``energy_eV`` (n_e,) calibrated; ``spectra`` (n, n_e); ``valence_e`` (n,); ``r_angstrom`` (n_r,);
    ``rdf`` (n, n_r); ``n_oxygen``, ``n_silicon``, ``site_index``, ``configuration`` (n,), the last an index into the
    attribute ``configurations``, a list of ``{formula, x, structure_digest, n_requested, n_done, n_silicon_total}``.
    Attributes: ``protocol``, ``treatment``, ``sigma_angstrom``, ``gamma_eV``, ``settings_digest``, ``shift_eV``,
    ``window_eV``, ``n_sites``, ``digest`` (of the contents).
    """

    @property
    def energy(self) -> Array:
        """Calibrated energies in eV, shape (n_e,)."""
        return np.asarray(self.get_array("energy_eV"))

    @property
    def spectra(self) -> Array:
        """Unnormalised spectra, shape (n, n_e)."""
        return np.asarray(self.get_array("spectra"))

    @property
    def valence(self) -> Array:
        """Bader valence in e, shape (n,)."""
        return np.asarray(self.get_array("valence_e"))

    @property
    def r(self) -> Array:
        """Distances of the RDF in Å, shape (n_r,)."""
        return np.asarray(self.get_array("r_angstrom"))

    @property
    def rdf(self) -> Array:
        """g(R), shape (n, n_r)."""
        return np.asarray(self.get_array("rdf"))

    @property
    def n_oxygen(self) -> NDArray[np.int64]:
        """Number of oxygen neighbours (formal valence), shape (n,)."""
        return np.asarray(self.get_array("n_oxygen"))

    @property
    def configuration(self) -> NDArray[np.int64]:
        """Index of the configuration of each row, shape (n,)."""
        return np.asarray(self.get_array("configuration"))

    @property
    def configurations(self) -> list[dict[str, Any]]:
        """What is known of each configuration (see the class)."""
        return list(self.base.attributes.get("configurations"))

    def site_set(self) -> SiteSet:
        """Return the sites as plain arrays, which is what `learning` works on.

        :raises ValueError: if the arrays do not fit each other, or a number is not finite.
        """
        configurations = self.configurations
        counts = np.bincount(self.configuration, minlength=len(configurations))
        return SiteSet.checked(
            energy=self.energy,
            spectra=self.spectra,
            valence=self.valence,
            rdf=self.rdf,
            r=self.r,
            n_oxygen=self.n_oxygen,
            site_index=self.get_array("site_index"),
            configuration=self.configuration,
            formulas=[entry["formula"] for entry in configurations],
            x=[entry["x"] for entry in configurations],
            digests=[entry["structure_digest"] for entry in configurations],
            complete=[
                count >= sp.MINIMUM_COVERAGE * entry["n_silicon_total"]
                for count, entry in zip(counts, configurations, strict=True)
            ],
            sigma_angstrom=self.base.attributes.get("sigma_angstrom"),
        )

    def averaged(self) -> list[AveragedConfiguration]:
        """Return the configurations of which at least 95 % of all silicon sites are here, averaged."""
        result = []
        for i, entry in enumerate(self.configurations):
            rows = self.configuration == i
            if rows.sum() < sp.MINIMUM_COVERAGE * entry["n_silicon_total"]:
                continue
            result.append(
                AveragedConfiguration(
                    formula=entry["formula"],
                    x=entry["x"],
                    n_done=int(rows.sum()),
                    n_requested=entry["n_silicon_total"],
                    spectrum=sp.average(self.spectra[rows], entry["n_silicon_total"]),
                    valence_e=float(self.valence[rows].mean()),
                    rdf=self.rdf[rows].mean(axis=0),
                )
            )
        return result

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        attributes = {
            key: value for key, value in self.base.attributes.all.items() if not key.startswith(("array|", "default_"))
        }
        return {
            "type": "dataset",
            "uuid": self.uuid,
            "axis": "calibrated",
            **attributes,
            "energy_eV": self.energy.tolist(),
            "r_angstrom": self.r.tolist(),
            "valence_e": self.valence.tolist(),
            "n_oxygen": self.n_oxygen.tolist(),
            "configuration": self.configuration.tolist(),
        }

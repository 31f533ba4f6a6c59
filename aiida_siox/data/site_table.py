"""SiteTableData: all absorbers of one configuration as stacked arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm
from numpy.typing import ArrayLike, NDArray

from aiida_siox.data.base import check_keys, checked_array
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.property_arrays import PropertyArrays, property_layout
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science import spectra as sp
from aiida_siox.science.plain import plain
from aiida_siox.science.properties import Axis
from aiida_siox.science.site_row import SiteRow, site_label, stacked_energies

Array = NDArray[np.float64]


class SiteTableData(PropertyArrays):
    """Spectra and properties of the requested absorbers of one configuration, failed ones included.

    Arrays, n sites: ``energy_eV`` (n_e,) on the total-energy axis; ``spectra`` (n, n_e); ``site_index`` and ``done``
    (n,); ``energies`` (n,), with a named column for each term of the transition; properties as in
    :class:`~aiida_siox.data.property_arrays.PropertyArrays`. What a failed site lacks is NaN.
    Attributes: :data:`REQUIRED` and :data:`OPTIONAL`, where ``changed`` are the settings that differ from the protocol
    and ``n_absorbers`` is the number of absorbers in the configuration; and of the rows ``n_requested``, ``n_done`` and
    ``reasons`` (site index as text → why it failed).
    """

    CONSTRUCTOR = "from_rows"
    REQUIRED = (
        *("formula", "x", "material", "protocol", "changed", "treatment", "sigma_angstrom", "gamma_eV", "settings"),
        *("engines", "atomic_data", "settings_digest", "structure_digest", "n_absorbers"),
    )
    #: The first two are of the spectra, the last is there where ``broaden_table`` made the table.
    OPTIONAL = ("atomic_energies", "free_energy", "broadening")

    @classmethod
    def from_rows(
        cls, rows: Sequence[SiteRow], energy: ArrayLike, axes: Mapping[str, Axis | None], description: Mapping[str, Any]
    ) -> SiteTableData:
        """Return an unstored table.

        :param rows: one a site, in the order of the sites.
        :param energy: total energies of the spectra in eV, shape (n_e,).
        :param axes: of the properties that are no scalars.
        :param description: values of :data:`REQUIRED` and :data:`OPTIONAL`.
        :raises ValueError: naming what is missing, unknown, of another shape or not finite.
        """
        check_keys("a site table", description, cls.REQUIRED, cls.OPTIONAL)
        if not rows:
            raise ValueError("a site table needs at least one row.")
        index = checked_array("the sites of a table", [row.site_index for row in rows], (None,), increasing=True)
        grid = checked_array("the energies of a table", energy, (None,), increasing=True).astype(float)
        spectra = np.full((len(rows), len(grid)), np.nan)
        for spectrum, row in zip(spectra, rows, strict=True):
            if set(row.properties) != set(rows[0].properties):
                raise ValueError(f"site {row.site_index} has other properties than site {rows[0].site_index}.")
            if row.spectrum is not None:
                spectrum[:] = checked_array(f"the spectrum of site {row.site_index}", row.spectrum, grid.shape)
        properties = {name: np.array([row.properties[name] for row in rows]) for name in rows[0].properties}
        arrays, described = property_layout(len(rows), properties, axes)
        done = np.array([row.done for row in rows])
        counts = {"n_requested": len(rows), "n_done": int(done.sum())}
        reasons = {str(row.site_index): row.reason for row in rows if not row.done}
        energies = stacked_energies(rows)
        own = {"energy_eV": grid, "spectra": spectra, "site_index": index, "done": done}
        if energies.dtype.names:
            own["energies"] = energies
        return cls.filled({**own, **arrays}, {**plain(description), **described, **counts, "reasons": reasons})

    @property
    def structure(self) -> orm.StructureData | None:
        """The configuration, through the link of the calcfunction that made this table."""
        creator = self.creator
        return None if creator is None else creator.inputs.structure

    @property
    def site_spectra(self) -> dict[str, SpectrumData]:
        """The SpectrumData of the finished sites by ``site_0007``, through the links of what made this table."""
        creator = self.creator
        if creator is None:
            return {}
        incoming = creator.base.links.get_incoming(node_class=SpectrumData).all()
        prefix = "spectra__"
        found = {entry.link_label: entry.node for entry in incoming if entry.link_label.startswith(prefix)}
        return {label.removeprefix(prefix): found[label] for label in sorted(found)}

    @property
    def energy(self) -> Array:
        """Energies in eV on the total-energy axis, shape (n_e,)."""
        return np.asarray(self.get_array("energy_eV"))

    @property
    def spectra(self) -> Array:
        """Spectra of all rows, shape (n, n_e); NaN where a site failed."""
        return np.asarray(self.get_array("spectra"))

    @property
    def site_index(self) -> NDArray[np.int64]:
        """Index of the absorber of each row in the structure, shape (n,)."""
        return np.asarray(self.get_array("site_index"))

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which rows have a spectrum, shape (n,)."""
        return np.asarray(self.get_array("done"), dtype=bool)

    @property
    def energies(self) -> dict[str, Array]:
        """Terms of the transition by name, shape (n,); NaN where a site lacks one."""
        if "energies" not in self.get_arraynames():
            return {}
        stacked = self.get_array("energies")
        return {name: stacked[name] for name in stacked.dtype.names or ()}

    @property
    def n_absorbers(self) -> int:
        """Number of absorbers in the configuration, requested or not."""
        return int(self.base.attributes.get("n_absorbers"))

    @property
    def settings_digest(self) -> str:
        """Digest of all that tables must share to be combined."""
        return str(self.base.attributes.get("settings_digest"))

    @property
    def common(self) -> dict[str, Any]:
        """What :meth:`from_rows` was told of the table as a whole."""
        return {key: value for key, value in self.attributes.items() if key in (*self.REQUIRED, *self.OPTIONAL)}

    def rows(self) -> list[SiteRow]:
        """Return one row a site."""
        properties, energies, spectra = self.properties, self.energies, self.spectra
        reasons = self.base.attributes.get("reasons")
        rows = []
        for i, (index, done) in enumerate(zip(self.site_index.tolist(), self.done, strict=True)):
            known = {name: float(values[i]) for name, values in energies.items() if np.isfinite(values[i])}
            own = {name: values[i] for name, values in properties.items()}
            rows.append(SiteRow(index, own, spectra[i] if done else None, known, reasons.get(str(index))))
        return rows

    def on_grid(self, energy: ArrayLike) -> Array:
        """Return the spectra of the finished sites at total energies in eV, shape (n_done, n_e).

        They come from the Lanczos coefficients, where the spectra that the table was made of are linked to it, and
        else by cubic splines from its own grid.

        :raises ValueError: if energies are asked for that the spectra do not cover.
        """
        sources, model = self.site_spectra, self.base.attributes.get("broadening", None)
        labels = [site_label(index) for index in self.site_index[self.done].tolist()]
        if not all(label in sources for label in labels):
            return sp.interpolate(self.energy, self.spectra[self.done], energy)
        return np.array([sources[label].broadened(model or sources[label].broadening, energy) for label in labels])

    def averaged(self) -> Array:
        """Return the mean cross-section over all absorbers on the total-energy axis, shape (n_e,).

        :raises ValueError: if fewer than 95 % of the absorbers are done.
        """
        return sp.average(self.spectra[self.done], self.n_absorbers)

    def summary(self, calibration: CalibrationData | None = None) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node.

        :param calibration: that brings the energies to the measured axis; without one they are total energies.
        :raises ValueError: if the calibration belongs to other settings.
        """
        attributes = self.attributes
        shift = 0.0
        if calibration is not None:
            calibration.check_settings(self.settings_digest, "the table")
            shift = calibration.shift
        structure = self.structure
        axes, kinds = self.axes, self.kinds
        keys = (
            *("formula", "x", "protocol", "changed", "treatment", "sigma_angstrom", "gamma_eV", "broadening"),
            *("n_absorbers", "n_requested", "n_done", "settings_digest", "engines"),
        )
        return {
            "type": "site_table",
            "uuid": self.uuid,
            "structure_uuid": None if structure is None else structure.uuid,
            "material": attributes["material"]["name"],
            **{key: attributes.get(key) for key in keys},
            "calibration": None if calibration is None else {"uuid": calibration.uuid, "shift_eV": shift},
            "axis": "total energy" if calibration is None else "calibrated",
            "energy_eV": (self.energy + shift).tolist(),
            "axes": {name: {"name": axis.name, "unit": axis.unit, "values": list(axis.values)}
                     for name, axis in axes.items()},
            "sites": [
                {
                    **row.summary(kinds, axes),
                    "spectrum": None if row.spectrum is None else row.spectrum.tolist(),
                    **{name: row.properties[name].tolist() for name, kind in kinds.items() if kind == "curve"},
                }
                for row in self.rows()
            ],
        }  # fmt: skip

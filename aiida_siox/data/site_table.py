"""SiteTableData: all silicon sites of one configuration as stacked arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.orm import ArrayData
from numpy.typing import NDArray

from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science import spectra as sp

Array = NDArray[np.float64]

#: Columns of the array ``energies``. New ones come at the end: older tables have the first six.
ENERGY_COLUMNS = (
    *("ground_Ry", "hole_Ry", "core_correction_eV", "transition_eV", "energy_zero_eV", "fermi_eV"),
    *("offset_eV", "ground_smearing_Ry", "hole_smearing_Ry"),
)


class SiteTableData(ArrayData):
    """Spectra and targets of the requested silicon sites of one configuration, failed ones included.

    Arrays, n sites: ``energy_eV`` (n_e,) on the total-energy axis; ``spectra`` (n, n_e); ``r_angstrom`` (n_r,);
    ``rdf`` (n, n_r); ``index``, ``n_oxygen``, ``n_silicon``, ``done`` (n,); ``valence_e`` (n,); ``energies``
    (n, 9) with the columns :data:`ENERGY_COLUMNS`. What a failed site lacks is NaN.
    Attributes: ``formula``, ``x``, ``protocol``, ``changed`` (settings that differ from the protocol), ``treatment``,
    ``sigma_angstrom``, ``gamma_eV``, ``settings``, ``engines``, ``settings_digest``, ``structure_digest``,
    ``n_silicon_total``, ``n_requested``, ``n_done``, ``reasons`` (site index as text → why it failed), ``broadening``
    where ``broaden_table`` made the table.
    """

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
    def done(self) -> NDArray[np.bool_]:
        """Which rows have a spectrum, shape (n,)."""
        return np.asarray(self.get_array("done"), dtype=bool)

    @property
    def coverage(self) -> float:
        """Finished sites over all silicon sites of the configuration."""
        return float(self.done.sum() / self.base.attributes.get("n_silicon_total"))

    @property
    def settings_digest(self) -> str:
        """Digest of all that tables must share to be combined."""
        return str(self.base.attributes.get("settings_digest"))

    def averaged(self) -> Array:
        """Return the mean cross-section over all silicon sites on the total-energy axis, shape (n_e,).

        :raises ValueError: if fewer than 95 % of the silicon sites are done.
        """
        return sp.average(self.spectra[self.done], self.base.attributes.get("n_silicon_total"))

    def calibration(self) -> CalibrationData | None:
        """Return the calibration that goes with this table: that of its data set, else the newest of its settings."""
        builder = orm.QueryBuilder()
        builder.append(orm.Node, filters={"id": self.pk}, tag="table")
        builder.append(orm.CalcFunctionNode, with_incoming="table", tag="assemble")
        builder.append(CalibrationData, with_outgoing="assemble", project="*")
        builder.order_by({CalibrationData: {"id": "desc"}})
        found = builder.first()
        if found is None:
            builder = orm.QueryBuilder()
            builder.append(CalibrationData, filters={"attributes.settings_digest": self.settings_digest})
            builder.order_by({CalibrationData: {"id": "desc"}})
            found = builder.first()
        return None if found is None else found[0]

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary a site with everything but the common axes; None for what a failed site lacks."""
        arrays = {name: self.get_array(name) for name in self.get_arraynames()}
        reasons = self.base.attributes.get("reasons")
        rows = []
        for i, index in enumerate(arrays["index"]):
            done = bool(arrays["done"][i])
            valence = float(arrays["valence_e"][i])
            rows.append(
                {
                    "index": int(index),
                    "status": "done" if done else "failed",
                    "reason": reasons.get(str(int(index))),
                    "n_oxygen": int(arrays["n_oxygen"][i]),
                    "n_silicon": int(arrays["n_silicon"][i]),
                    "valence_e": None if np.isnan(valence) else valence,
                    "energies": {
                        key: None if np.isnan(value) else float(value)
                        for key, value in zip(ENERGY_COLUMNS, arrays["energies"][i], strict=False)
                    },
                    "spectrum": arrays["spectra"][i].tolist() if done else None,
                    "rdf": arrays["rdf"][i].tolist(),
                }
            )
        return rows

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node, calibrated where there is a calibration."""
        attributes = self.base.attributes
        calibration = self.calibration()
        shift = 0.0 if calibration is None else calibration.shift
        structure = self.structure
        return {
            "type": "site_table",
            "formula": attributes.get("formula"),
            "structure_uuid": None if structure is None else structure.uuid,
            "protocol": attributes.get("protocol"),
            "changed": attributes.get("changed", []),
            "treatment": attributes.get("treatment"),
            "calibration": None if calibration is None else {"uuid": calibration.uuid, "shift_eV": shift},
            "axis": "total energy" if calibration is None else "calibrated",
            "energy_eV": (self.energy + shift).tolist(),
            "r_angstrom": self.get_array("r_angstrom").tolist(),
            "sigma_angstrom": attributes.get("sigma_angstrom"),
            "gamma_eV": attributes.get("gamma_eV"),
            "broadening": attributes.get("broadening", None),
            "n_requested": attributes.get("n_requested"),
            "n_done": attributes.get("n_done"),
            "settings_digest": self.settings_digest,
            "engines": attributes.get("engines"),
            "sites": self.rows(),
        }

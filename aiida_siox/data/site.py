"""SiteData: one absorber as a node of its own, so that the QueryBuilder sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_siox.data.base import check_keys, own_attributes
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science.energy_terms import EnergyTerm
from aiida_siox.science.properties import Axis, Kind
from aiida_siox.science.site_row import SiteRow, site_label


class SiteData(orm.Data):
    """What is known of one absorber, but for curves: those are in its table and in its spectrum, to which it is linked.

    Attributes, all queryable: ``site_index``, ``status`` (``done`` or ``failed``), ``reason``; the properties (a number
    or None, counts by element, of fractions the label of the largest), so ``valence``, ``bridge_angle``,
    ``coordination`` and ``oxidation``; ``transition_eV`` and ``energies`` (every term; None of a failed site); and of
    its table :data:`REQUIRED`.
    """

    REQUIRED = ("formula", "x", "material", "treatment", "protocol", "settings_digest", "structure_digest")

    @classmethod
    def from_row(
        cls, row: SiteRow, kinds: Mapping[str, Kind], axes: Mapping[str, Axis], description: Mapping[str, Any]
    ) -> SiteData:
        """Return an unstored site.

        :param row: of the table.
        :param kinds: of the properties by name.
        :param axes: of the properties that are no scalars.
        :param description: values of :data:`REQUIRED`; ``material`` is its name.
        :raises ValueError: naming what is missing or unknown.
        """
        check_keys("a site", description, cls.REQUIRED)
        node = cls()
        node.base.attributes.set_many(
            {**row.summary(kinds, axes), **description, "transition_eV": row.energies.get("transition_eV")}
        )
        return node

    def _validate(self) -> bool:
        """Refuse to store a site that its constructor did not make."""
        super()._validate()
        missing = [key for key in (*self.REQUIRED, "site_index", "status") if key not in self.base.attributes.all]
        if missing:
            raise ValueError(f"a SiteData comes from SiteData.from_row; this one lacks {', '.join(missing)}.")
        return True

    @property
    def site_index(self) -> int:
        """Index of the absorber in the structure."""
        return int(self.base.attributes.get("site_index"))

    @property
    def status(self) -> str:
        """``done`` or ``failed``."""
        return str(self.base.attributes.get("status"))

    @property
    def table(self) -> SiteTableData:
        """The table that it is a row of, through the link of the calcfunction that made both.

        :raises ValueError: if there is none in this profile.
        """
        tables = [] if self.creator is None else self.creator.base.links.get_outgoing(node_class=SiteTableData).all()
        if not tables:
            raise ValueError(f"site node {self.pk} does not come from `collect`: give its SpectrumData.")
        return tables[0].node

    @property
    def spectrum(self) -> SpectrumData:
        """Its spectrum, through the same calcfunction.

        :raises ValueError: if the site failed.
        """
        if self.status != "done":
            reason = self.base.attributes.get("reason")
            raise ValueError(f"site {self.site_index} has no spectrum: {reason}")
        return self.table.site_spectra[site_label(self.site_index)]

    def energy_terms(self, shift: float | None = None) -> list[EnergyTerm]:
        """Return the energies that add up to the white line; see :meth:`SpectrumData.energy_terms`.

        :raises ValueError: if the site failed.
        """
        return self.spectrum.energy_terms(shift)

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        return {"type": "site", "uuid": self.uuid, **own_attributes(self)}

"""What every section of the report of a study says: protocol, treatment, axis."""

from __future__ import annotations

import dataclasses

from aiida_siox.report.figures.style import Picture
from aiida_siox.report.page import signed
from aiida_siox.report.query import Study


@dataclasses.dataclass
class Frame:
    """A study, and the words that stand beside all its numbers.

    :param study: what the report is made of.
    :param n_cores: cores of the machine, or None.
    """

    study: Study
    n_cores: int | None = None

    @property
    def protocol(self) -> str:
        """Word printed with every number."""
        name = self.study.protocol or "unknown protocol"
        return f"{name}, changed" if self.changed else name

    @property
    def changed(self) -> list[str]:
        """Settings that differ from the protocol."""
        found = next((table.base.attributes.get("changed", None) for table in self.study.tables), None)
        return [str(key) for key in found or []]

    @property
    def treatment(self) -> str:
        """Treatment of the core hole."""
        return self.study.shared("treatment") or "unknown"

    @property
    def note(self) -> str:
        """Words in the corner of every figure."""
        return f"protocol: {self.protocol} · {self.treatment}"

    @property
    def axis(self) -> str:
        """Label of the energy axis."""
        if self.study.shift_eV is None:
            return "Energy, total-energy axis (eV), not calibrated"
        return f"Energy, calibrated axis (eV), shift {signed(self.study.shift_eV, 2)} eV"

    def gamma(self) -> float | None:
        """Return the Lorentzian half width of the tables in eV."""
        value = self.study.shared("gamma_eV")
        return None if value is None else float(value)

    def pair(self) -> str:
        """Return which neighbours the g(R) counts, in words."""
        settings = next((table.base.attributes.get("settings", None) for table in self.study.tables), None) or {}
        pair = settings.get("rdf", {}).get("pair", "total")
        return "all Si and O neighbours" if pair == "total" else f"{pair} pairs"

    def picture(self, uri: str | None, alt: str, caption: str) -> Picture | None:
        """Return a figure with its caption, or None where there is nothing to draw."""
        return None if uri is None else Picture(uri, alt, caption)

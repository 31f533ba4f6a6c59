"""One row of a site table: what an absorber gave, or why it gave no spectrum."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.science.properties import Axis
from aiida_siox.science.quantity import Kind

Array = NDArray[np.float64]


def site_label(index: int) -> str:
    """Return the key of a site in namespaces, ``site_0007``."""
    return f"site_{index:04d}"


@dataclasses.dataclass(frozen=True)
class SiteRow:
    """An absorber of a configuration; it failed if there is a reason.

    :param site_index: of the absorber in the structure.
    :param properties: values by name, shape (m,) each; NaN where the site has none.
    :param spectrum: on the energies of the table, shape (n_e,); None if the site failed.
    :param energies: every term of the transition by name (see SpectrumData); empty if the site failed.
    :param reason: why the site failed; None if it is done.
    """

    site_index: int
    properties: Mapping[str, Array]
    spectrum: Array | None = None
    energies: Mapping[str, float] = dataclasses.field(default_factory=dict)
    reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse a row that is neither done nor failed, or both.

        :raises ValueError: naming the site.
        """
        if (self.spectrum is None) == (self.reason is None) or bool(self.energies) != self.done:
            raise ValueError(f"site {self.site_index} needs a spectrum with its energies, or a reason why it failed.")

    @property
    def done(self) -> bool:
        """Whether there is a spectrum."""
        return self.reason is None

    @property
    def label(self) -> str:
        """Its key in namespaces."""
        return site_label(self.site_index)

    def summary(self, kinds: Mapping[str, Kind], axes: Mapping[str, Axis]) -> dict[str, Any]:
        """Return the row as plain values, without its spectrum and without curves.

        :param kinds: of the properties by name.
        :param axes: of the properties that are no scalars.
        :returns: ``site_index``, ``status``, ``reason``, ``energies``, and the properties: a number or None, counts by
            label, or of fractions the label of the largest.
        """
        values: dict[str, Any] = {}
        for name, array in self.properties.items():
            if kinds[name] is Kind.SCALAR:
                values[name] = float(array[0]) if np.isfinite(array[0]) else None
            elif kinds[name] is Kind.COUNTS:
                values[name] = {str(label): int(n) for label, n in zip(axes[name].values, array, strict=True)}
            elif kinds[name] is Kind.FRACTIONS:
                label = axes[name].values[int(np.argmax(array))]
                values[name] = int(label) if str(label).isdigit() else label
        return {
            "site_index": self.site_index,
            "status": "done" if self.done else "failed",
            "reason": self.reason,
            "energies": dict(self.energies) or None,
            **values,
        }


def stacked_energies(rows: Sequence[SiteRow]) -> NDArray[Any]:
    """Return the energies of rows as an array with a named column for every term, NaN where a site lacks it."""
    names = list(dict.fromkeys(name for row in rows for name in row.energies))
    values = [tuple(row.energies.get(name, np.nan) for name in names) for row in rows]
    return np.array(values, dtype=[(name, np.float64) for name in names])

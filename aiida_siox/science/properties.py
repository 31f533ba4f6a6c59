"""Properties of a site: what a table says of an absorber beside its spectrum, and what networks learn from that."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_siox.materials import Material
from aiida_siox.registry import Registry
from aiida_siox.science.quantity import Axis, Kind, Quantity

__all__ = ["PROPERTIES", "Axis", "Cell", "Kind", "SiteProperty", "define"]

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A configuration with all that properties are computed from.

    :param atoms: elements and positions, n atoms.
    :param material: what the absorber is.
    :param settings: of the protocol (``rdf`` and so on).
    :param electrons: valence electrons in the Bader basin of each atom, ground state, shape (n,).
    :param hole_electrons: the same of the cell with the hole at a site, by its index; only where it was computed.
    """

    atoms: Atoms
    material: Material
    settings: Mapping[str, Any]
    electrons: Array
    hole_electrons: Mapping[int, Array] = dataclasses.field(default_factory=dict)


Compute = Callable[[Cell, NDArray[np.int64]], Array]
"""Values of a property at sites of a cell, shape (n_sites, m); NaN where a site has none."""


@dataclasses.dataclass(frozen=True)
class SiteProperty:
    """A property of an absorber.

    :param name: key in tables, data sets, models and yaml files.
    :param title: in words, for people: ``Bader valence``.
    :param symbol: for axes of figures, mathtext.
    :param unit: of the values.
    :param kind: see :class:`Kind`.
    :param compute: see :data:`Compute`.
    :param axis: of the columns, from material and settings; None for a scalar.
    :param limits: what the numbers can be: intervals are cut there.
    :param error_scale: error that would still be good, in the unit: scale of error axes.
    :param available: whether a material and settings give it; a table holds what is available.
    :param note: what readers must know, with attributes of a data set in it: ``σ {sigma_angstrom} Å``.
    """

    name: str
    title: str
    symbol: str
    unit: str
    kind: Kind
    compute: Compute
    axis: Callable[[Material, Mapping[str, Any]], Axis] | None = None
    limits: tuple[float, float] = (-math.inf, math.inf)
    error_scale: float = 1.0
    available: Callable[[Material, Mapping[str, Any]], bool] = lambda material, settings: True
    note: str = ""

    def quantity(self, axis: Axis | None = None, attributes: Mapping[str, Any] | None = None) -> Quantity:
        """Return what its values are in a data set.

        :param axis: of the columns there; None for a scalar.
        :param attributes: of the data set, for the note, which is empty where one of them is missing.
        """
        try:
            note = self.note.format_map(attributes or {})
        except KeyError:
            note = ""
        own = ("name", "title", "symbol", "unit", "kind", "limits", "error_scale")
        return Quantity(**{key: getattr(self, key) for key in own}, axis=axis, note=note)


PROPERTIES: Registry[SiteProperty] = Registry("property of a site", "aiida_siox.properties")


def define(entry: SiteProperty) -> SiteProperty:
    """Add a property to the registry under its name and return it."""
    return PROPERTIES.register(entry.name, entry)

"""Properties of a site: what a table says of an absorber beside its spectrum, and what networks learn from that."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_siox.materials import Material
from aiida_siox.registry import Registry

Array = NDArray[np.float64]


class Kind(enum.StrEnum):
    """What the values of a property are: how they are scored, drawn and said in words."""

    SCALAR = "scalar"
    """One number a site."""
    CURVE = "curve"
    """A function sampled on an axis."""
    FRACTIONS = "fractions"
    """Parts of one over the labels of an axis; their mean over sites is a distribution."""
    COUNTS = "counts"
    """Numbers of things, over the labels of an axis."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """What the columns of a property stand for.

    :param name: such as ``r``.
    :param unit: such as ``Å``; empty for labels.
    :param values: numbers, shape (m,), or labels.
    """

    name: str
    unit: str
    values: tuple[float, ...] | tuple[str, ...]


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


PROPERTIES: Registry[SiteProperty] = Registry("property of a site", "aiida_siox.properties")


def define(entry: SiteProperty) -> SiteProperty:
    """Add a property to the registry under its name and return it."""
    return PROPERTIES.register(entry.name, entry)

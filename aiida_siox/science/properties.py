"""Properties of a site: what a table says of an absorber beside its spectrum, and what networks learn from that."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from aiida_siox.materials import Material
from aiida_siox.registry import Registry
from aiida_siox.science.neighbours import neighbour_vectors
from aiida_siox.science.quantity import Axis, Kind, Quantity
from aiida_siox.science.rdf import TAIL, bin_centres, smeared_rdf

__all__ = ["PROPERTIES", "Axis", "Cell", "Kind", "SiteProperty", "compute_properties", "define", "property_axes"]

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

    @cached_property
    def pairs(self) -> Pairs:
        """All pairs as far as g(R) and the bonds reach, both ways round, searched once."""
        rdf = self.settings["rdf"]
        reach = max([rdf["r_max_angstrom"] + TAIL * rdf["sigma_angstrom"], *self.material.bonds_angstrom.values()])
        first, second, vector = neighbour_vectors(self.atoms, reach)
        distance = np.linalg.norm(vector, axis=1)
        symbols = np.array(self.atoms.get_chemical_symbols())
        longest = np.zeros(len(first))
        for (one, other), cutoff in self.material.cutoffs.items():
            longest[(symbols[first] == one) & (symbols[second] == other)] = cutoff
        return Pairs(first, second, vector, distance, symbols[second], distance <= longest)

    @cached_property
    def neighbours(self) -> dict[str, NDArray[np.int64]]:
        """Number of bonded atoms of each species around every atom, shape (n,) each."""
        pairs, n = self.pairs, len(self.atoms)
        return {
            species: np.bincount(pairs.first[pairs.bonded & (pairs.species == species)], minlength=n)
            for species in self.material.species
        }

    @property
    def n_ligands(self) -> NDArray[np.int64]:
        """Number of ligands around every atom, shape (n,)."""
        return np.asarray(sum(self.neighbours[ligand] for ligand in self.material.ligands))


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of atoms of a cell, periodic images included.

    :param first: index of one atom, sorted, shape (n_pairs,).
    :param second: index of the other.
    :param vector: from the first to the second in Å, shape (n_pairs, 3).
    :param distance: in Å.
    :param species: element of the second.
    :param bonded: whether they are closer than the longest bond of their elements.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vector: Array
    distance: Array
    species: NDArray[np.str_]
    bonded: NDArray[np.bool_]


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


def compute_properties(cell: Cell, sites: NDArray[np.int64]) -> dict[str, Array]:
    """Return every available property at sites of a cell, by name, shape (n_sites, m) each.

    :raises ValueError: if a property has another shape, or a number that is infinite.
    """
    found = {}
    for name, axis in property_axes(cell.material, cell.settings).items():
        values = np.asarray(PROPERTIES[name].compute(cell, sites), dtype=float)
        shape = (len(sites), 1 if axis is None else len(axis.values))
        if values.shape != shape or np.isinf(values).any():
            raise ValueError(f"the property `{name}` must give finite numbers of shape {shape}, got {values.shape}.")
        found[name] = values
    return found


def property_axes(material: Material, settings: Mapping[str, Any]) -> dict[str, Axis | None]:
    """Return the axis of every property that material and settings give; None for a scalar."""
    return {
        name: None if entry.axis is None else entry.axis(material, settings)
        for name, entry in PROPERTIES.items()
        if entry.available(material, settings)
    }


def _valence(cell: Cell, sites: NDArray[np.int64]) -> Array:
    return np.asarray(cell.material.species[cell.material.absorber] - cell.electrons[sites, None])


def _rdf(cell: Cell, sites: NDArray[np.int64]) -> Array:
    rdf, pairs = cell.settings["rdf"], cell.pairs
    rows = np.full(len(cell.atoms), -1)
    rows[sites] = np.arange(len(sites))
    chosen = rows[pairs.first] >= 0
    if rdf["pair"] != "total":
        chosen &= pairs.species == rdf["pair"].split("-")[1]
    sizes = (rdf["r_max_angstrom"], rdf["n_bins"], rdf["sigma_angstrom"])
    return smeared_rdf(rows[pairs.first][chosen], pairs.distance[chosen], len(sites), *sizes, cell.atoms)[1]


def _rdf_axis(material: Material, settings: Mapping[str, Any]) -> Axis:
    r = bin_centres(settings["rdf"]["r_max_angstrom"], settings["rdf"]["n_bins"])
    return Axis("r", "Å", tuple(r.tolist()))


def _oxidation(cell: Cell, sites: NDArray[np.int64]) -> Array:
    most = cell.material.max_ligands
    return np.eye(most + 1)[np.minimum(cell.n_ligands[sites], most)]


def _coordination(cell: Cell, sites: NDArray[np.int64]) -> Array:
    return np.stack([cell.neighbours[species][sites] for species in cell.material.species], axis=1).astype(float)


def _bridge_angle(cell: Cell, sites: NDArray[np.int64]) -> Array:
    """Angles between the bonds of each bridging ligand, seen from it; every pair of its bonds is one bridge."""
    pairs, material = cell.pairs, cell.material
    symbols = np.array(cell.atoms.get_chemical_symbols())
    bonds = np.flatnonzero(
        pairs.bonded & (pairs.species == material.absorber) & np.isin(symbols[pairs.first], material.ligands)
    )
    by_ligand = np.split(bonds, np.flatnonzero(np.diff(pairs.first[bonds])) + 1)
    bridges = [pair for group in by_ligand for pair in itertools.permutations(group.tolist(), 2)]
    one, other = np.array(bridges, dtype=np.int64).reshape(-1, 2).T
    cosine = (pairs.vector[one] * pairs.vector[other]).sum(axis=1) / (pairs.distance[one] * pairs.distance[other])
    angle = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    n = np.bincount(pairs.second[one], minlength=len(symbols))
    total = np.bincount(pairs.second[one], weights=angle, minlength=len(symbols))
    return np.asarray(np.where(n > 0, total / np.maximum(n, 1), np.nan)[sites, None])


def _screening_charge(cell: Cell, sites: NDArray[np.int64]) -> Array:
    """Electrons in the basin of the absorber with the hole minus in the ground state."""
    holes, ground = cell.hole_electrons, cell.electrons
    return np.array([holes[i][i] - ground[i] if i in holes else np.nan for i in sites.tolist()])[:, None]


define(
    SiteProperty(
        name="valence",
        title="Bader valence",
        symbol="$V$",
        unit="e",
        kind=Kind.SCALAR,
        compute=_valence,
        error_scale=0.1,
    )
)
define(
    SiteProperty(
        name="rdf",
        title="g(R)",
        symbol="$g(R)$",
        unit="1",
        kind=Kind.CURVE,
        compute=_rdf,
        axis=_rdf_axis,
        limits=(0.0, math.inf),
        error_scale=0.3,
        note="σ {sigma_angstrom} Å",
    )
)
define(
    SiteProperty(
        name="oxidation",
        title="oxidation states",
        symbol="fraction",
        unit="1",
        kind=Kind.FRACTIONS,
        compute=_oxidation,
        axis=lambda material, settings: Axis("ligands", "", tuple(map(str, range(material.max_ligands + 1)))),
        limits=(0.0, 1.0),
        error_scale=0.1,
    )
)
define(
    SiteProperty(
        name="coordination",
        title="bonded neighbours",
        symbol="$n$",
        unit="atoms",
        kind=Kind.COUNTS,
        compute=_coordination,
        axis=lambda material, settings: Axis("species", "", tuple(material.species)),
        limits=(0.0, math.inf),
        error_scale=0.5,
    )
)
define(
    SiteProperty(
        name="bridge_angle",
        title="mean angle of the bridges",
        symbol=r"$\theta$",
        unit="°",
        kind=Kind.SCALAR,
        compute=_bridge_angle,
        limits=(0.0, 180.0),
        error_scale=5.0,
    )
)
define(
    SiteProperty(
        name="screening_charge",
        title="screening charge",
        symbol=r"$\Delta q$",
        unit="e",
        kind=Kind.SCALAR,
        compute=_screening_charge,
        error_scale=0.05,
        available=lambda material, settings: bool(settings.get("screening_charge", False)),
    )
)

"""The sites that networks learn from, as plain arrays: what a DatasetData holds, without AiiDA."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.data.spectrum import check_post_edge, post_edge_weights
from aiida_siox.registry import nearest
from aiida_siox.science.quantity import Axis, Quantity

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

#: The property that tells whether two cells are one.
FINGERPRINT = "rdf"
SAME_RDF = 2e-3
"""RMS difference of g(R) below which two sites are in one minimum: small cells that fell into the same one from two
seeds agreed to 1e-4, others of their formula differed by 0.1 and more (reference data set v0)."""


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A cell of the data set.

    :param formula: of the cell.
    :param x: its composition.
    :param group: a label that equal cells share: structure digest of the first of them.
    :param complete: whether (nearly) all its absorbers are in the set, so that it may be averaged.
    """

    formula: str
    x: float
    group: str
    complete: bool = True


def equal_configurations(rdf: Array, configuration: Indices, formulas: Sequence[str]) -> list[int]:
    """Find configurations that are one: a small cell falls into the same minimum from several seeds.

    Two configurations of one formula are equal when every site of the one with fewer sites has one in the other whose
    g(R) differs by an RMS of less than ``SAME_RDF``. Their atoms differ by a rotation, so that digests of structures do
    not tell.

    :param rdf: g(R) of the sites, shape (n, n_r).
    :param configuration: index of the configuration of each site, shape (n,).
    :param formulas: formula of each configuration.
    :returns: for each configuration the first one that it equals, itself when there is none before it.
    """
    rows = [rdf[configuration == i] for i in range(len(formulas))]
    first = list(range(len(formulas)))
    for i in range(len(formulas)):
        for j in range(i):
            if first[j] == j and formulas[i] == formulas[j] and len(rows[i]) and len(rows[j]):
                few, many = sorted((rows[i], rows[j]), key=len)
                if all(np.sqrt(np.mean((many - site) ** 2, axis=1)).min() < SAME_RDF for site in few):
                    first[i] = j
                    break
    return first


@dataclasses.dataclass(frozen=True)
class SiteSet:
    """Spectra and properties of n sites, checked. Build with :meth:`checked`.

    :param energy: increasing energies in eV on the calibrated axis, shape (n_e,).
    :param spectra: raw spectra, shape (n, n_e).
    :param properties: values by name, shape (n, m), one column for a scalar; rows of NaN where a site has none.
    :param quantities: what these values are, by name.
    :param site_index: index of each site in its structure, shape (n,).
    :param configuration: index of the configuration of each site, shape (n,).
    :param configurations: see :class:`Configuration`.
    """

    energy: Array
    spectra: Array
    properties: Mapping[str, Array]
    quantities: Mapping[str, Quantity]
    site_index: Indices
    configuration: Indices
    configurations: tuple[Configuration, ...]

    @classmethod
    def checked(
        cls,
        *,
        energy: ArrayLike,
        spectra: ArrayLike,
        properties: Mapping[str, ArrayLike],
        site_index: ArrayLike,
        configuration: ArrayLike,
        configurations: Sequence[Configuration],
        axes: Mapping[str, Axis | None] | None = None,
        attributes: Mapping[str, Any] | None = None,
        quantities: Mapping[str, Quantity] | None = None,
    ) -> SiteSet:
        """Build from arrays.

        :param axes: of the properties that have one; the rest of what they are comes from the registry of properties,
            and a property that is not there is left out.
        :param attributes: of the data set, for the notes of the properties.
        :param quantities: what the properties are, where it is known without the registry.
        :raises ValueError: if shapes do not fit, energies do not increase, or a number is not finite.
        """
        energy, spectra = np.asarray(energy, dtype=float), np.asarray(spectra, dtype=float)
        sites, owners = (np.asarray(a, dtype=np.int64) for a in (site_index, configuration))
        if quantities is None:
            quantities = registered(properties, axes or {}, attributes or {})
        values = {name: np.asarray(properties[name], dtype=float) for name in quantities}
        n, n_configurations = len(spectra), len(configurations)
        if spectra.ndim != 2 or spectra.shape[1:] != energy.shape:
            raise ValueError(f"shapes do not fit: energies {energy.shape}, spectra {spectra.shape}.")
        if np.any(np.diff(energy) <= 0):
            raise ValueError("the energies of the spectra must increase.")
        for name, array in (("site indices", sites), ("configurations", owners), *values.items()):
            if len(array) != n:
                raise ValueError(f"{n} spectra but {len(array)} {name}: there must be one of each for every site.")
        if n and not 0 <= owners.min() <= owners.max() < n_configurations:
            raise ValueError(f"a site belongs to configuration {owners.max()}, but there are {n_configurations}.")
        if (bad := np.flatnonzero(~np.isfinite(spectra).all(axis=1))).size:
            raise ValueError(_not_finite("spectrum", bad))
        for name, array in values.items():
            _check_property(quantities[name], array)
        known = tuple(configurations)
        if FINGERPRINT in values:
            first = equal_configurations(values[FINGERPRINT], owners, [each.formula for each in known])
            known = tuple(dataclasses.replace(each, group=known[i].group) for each, i in zip(known, first, strict=True))
        return cls(energy, spectra, values, quantities, sites, owners, known)

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.spectra)

    @property
    def axes(self) -> dict[str, Axis]:
        """Axes of the properties that have one."""
        return {name: q.axis for name, q in self.quantities.items() if q.axis is not None}

    @property
    def formulas(self) -> tuple[str, ...]:
        """Formula of each configuration."""
        return tuple(each.formula for each in self.configurations)

    @property
    def x(self) -> Array:
        """Composition of each configuration."""
        return np.array([each.x for each in self.configurations])

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each configuration: equal for equal ones, also where melts of other seeds ended in the same cell."""
        return tuple(each.group for each in self.configurations)

    @property
    def group(self) -> NDArray[np.str_]:
        """Group of the configuration of each site, shape (n,)."""
        return np.array(self.groups, dtype=str)[self.configuration]

    @property
    def n_groups(self) -> int:
        """How many different configurations have sites here."""
        return len(np.unique(self.group))

    @property
    def n_ligands(self) -> Indices:
        """Number of ligands of each site as ``oxidation`` counts them, shape (n,); −1 where that is not known."""
        if "oxidation" not in self.properties:
            return np.full(len(self), -1, dtype=np.int64)
        return np.asarray(self.properties["oxidation"].argmax(axis=1), dtype=np.int64)

    def values(self, name: str) -> Array:
        """Return the values of a property: (n,) of a scalar, (n, m) else.

        :raises ValueError: with the nearest name, if the sites have no such property.
        """
        return self.quantity(name).as_stored(self.properties[name])

    def quantity(self, name: str) -> Quantity:
        """Return what a property is.

        :raises ValueError: with the nearest name, if the sites have no such property.
        """
        if name not in self.quantities:
            raise ValueError(f"the data set has no property `{name}`: {nearest(name, list(self.quantities))}")
        return self.quantities[name]

    def examples(self, name: str) -> Examples:
        """Return what there is to learn a property from: the sites that have it.

        A configuration of which a site lacks it is not averaged.

        :raises ValueError: if there is no such property, or no site has it.
        """
        quantity, values = self.quantity(name), self.properties[name]
        has = np.isfinite(values).all(axis=1)
        if not has.any():
            raise ValueError(f"no site of the data set has a value of `{name}`.")
        lost = set(self.configuration[~has].tolist())
        whole = [i for i, each in enumerate(self.configurations) if each.complete and i not in lost]
        return Examples(
            quantity=quantity,
            energy=self.energy,
            spectra=self.spectra[has],
            targets=values[has],
            group=self.group[has],
            x=self.x[self.configuration[has]],
            configuration=self.configuration[has],
            complete=np.isin(np.arange(len(self.configurations)), whole),
            rows=np.flatnonzero(has),
            n_sites=len(self),
        )

    def normalised(self, window: tuple[float, float]) -> SiteSet:
        """Return the sites with each spectrum divided by its post-edge mean.

        :param window: lowest and highest energy of the mean in eV.
        :raises ValueError: if the window is not inside the energies, or a mean is not positive.
        """
        mean = self.spectra @ post_edge_weights(self.energy, window)
        check_post_edge(mean)
        return dataclasses.replace(self, spectra=self.spectra / mean[:, None])

    def mean_spectra(self) -> tuple[Array, Indices]:
        """Return the averaged spectra (c, n_e) of the complete configurations, and which these are (c,)."""
        owners = [i for i, each in enumerate(self.configurations) if each.complete and (self.configuration == i).any()]
        means = [self.spectra[self.configuration == i].mean(axis=0) for i in owners]
        return np.array(means).reshape(len(owners), len(self.energy)), np.array(owners, dtype=np.int64)

    def to_npz(self, path: pathlib.Path) -> None:
        """Write everything to one file, without pickle."""
        texts = {
            "configurations": [dataclasses.asdict(each) for each in self.configurations],
            "quantities": {name: quantity.to_dict() for name, quantity in self.quantities.items()},
        }
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"{_PROPERTY}{name}": array for name, array in self.properties.items()}
        np.savez_compressed(path, texts=np.array(json.dumps(texts)), **arrays)

    @classmethod
    def from_npz(cls, path: pathlib.Path) -> SiteSet:
        """Read what :meth:`to_npz` wrote.

        :raises ValueError: if something is missing or does not fit.
        """
        with np.load(path, allow_pickle=False) as archive:
            if missing := {*_ARRAYS, "texts"} - set(archive.files):
                raise ValueError(f"{path} is not a file of sites: it lacks {', '.join(sorted(missing))}.")
            texts = json.loads(str(archive["texts"]))
            arrays = {name: archive[name] for name in archive.files if name != "texts"}
        return cls.checked(
            **{name: arrays[name] for name in _ARRAYS},
            properties={name.removeprefix(_PROPERTY): a for name, a in arrays.items() if name.startswith(_PROPERTY)},
            configurations=[Configuration(**each) for each in texts["configurations"]],
            quantities={name: Quantity.from_dict(each) for name, each in texts["quantities"].items()},
        )


_ARRAYS = ("energy", "spectra", "site_index", "configuration")
_PROPERTY = "property:"


def registered(
    names: Mapping[str, Any], axes: Mapping[str, Axis | None], attributes: Mapping[str, Any]
) -> dict[str, Quantity]:
    """Return what the properties of these names are, of those that the registry knows."""
    # with AiiDA beside it, not in a job: the registry needs ASE
    from aiida_siox.science.properties import PROPERTIES

    return {name: PROPERTIES[name].quantity(axes.get(name), attributes) for name in names if name in PROPERTIES}


def _check_property(quantity: Quantity, values: Array) -> None:
    """Refuse values that do not fit what they are said to be: rows are finite, or NaN as a whole."""
    width = 1 if quantity.axis is None else len(quantity.axis.values)
    if values.ndim != 2 or values.shape[1] != width:
        raise ValueError(f"shapes do not fit: `{quantity.name}` has {values.shape}, not (n, {width}).")
    missing = np.isnan(values)
    bad = np.flatnonzero(~(np.isfinite(values).all(axis=1) | missing.all(axis=1)))
    if bad.size:
        raise ValueError(_not_finite(quantity.name, bad))


def _not_finite(name: str, rows: Indices) -> str:
    return f"the {name} of row {rows[0]} (and of {rows.size - 1} more) has numbers that are not finite."

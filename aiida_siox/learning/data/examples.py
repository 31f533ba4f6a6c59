"""What there is to learn one property from: spectra and values of the sites that have it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.science.quantity import Quantity

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Averages:
    """Configurations averaged over all their sites: what an experiment would see of each.

    :param spectra: mean spectra, shape (c, n_e).
    :param targets: mean targets, shape (c, m).
    :param configuration: which configuration each row is, shape (c,).
    :param group: its group, shape (c,).
    :param x: its composition, shape (c,).
    """

    spectra: Array
    targets: Array
    configuration: Indices
    group: NDArray[np.str_]
    x: Array


@dataclasses.dataclass(frozen=True)
class Examples:
    """Spectra and values of n sites. Build with :meth:`~aiida_siox.learning.data.sites.SiteSet.examples`.

    :param quantity: what the values are.
    :param energy: increasing energies in eV, shape (n_e,).
    :param spectra: raw spectra, shape (n, n_e).
    :param targets: what is to be learned, shape (n, m).
    :param group: configuration of each site, a label that equal ones share, shape (n,).
    :param x: composition of each site, shape (n,).
    :param configuration: index of the configuration of each site, shape (n,).
    :param complete: which configurations may be averaged.
    :param rows: row of each site in the set that they were taken from, shape (n,).
    :param n_sites: number of sites of that set.
    """

    quantity: Quantity
    energy: Array
    spectra: Array
    targets: Array
    group: NDArray[np.str_]
    x: Array
    configuration: Indices
    complete: NDArray[np.bool_]
    rows: Indices
    n_sites: int

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.spectra)

    @property
    def composition(self) -> NDArray[np.str_]:
        """Composition of each site as a label, shape (n,)."""
        return np.array([f"{x:.4f}" for x in self.x], dtype=str)

    def subset(self, rows: ArrayLike) -> Examples:
        """Return some of the sites."""
        rows = np.asarray(rows)
        names = ("spectra", "targets", "group", "x", "configuration", "rows")
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in names})

    def shuffled(self, seed: int) -> Examples:
        """Return the same spectra with the values in random order, which takes all meaning from them."""
        return dataclasses.replace(self, targets=np.random.default_rng(seed).permutation(self.targets))

    def averaged(self) -> Averages:
        """Return means over the complete configurations."""
        owners = [i for i in np.unique(self.configuration) if self.complete[i]]
        rows = [np.flatnonzero(self.configuration == i) for i in owners]
        first = [row[0] for row in rows]
        return Averages(
            np.array([self.spectra[row].mean(axis=0) for row in rows]).reshape(len(owners), self.spectra.shape[1]),
            np.array([self.targets[row].mean(axis=0) for row in rows]).reshape(len(owners), self.targets.shape[1]),
            np.array(owners, dtype=np.int64),
            self.group[first],
            self.x[first],
        )

    def spread(self, values: Array, dtype: Any = np.float32) -> NDArray[Any]:
        """Return one number of each site for all sites of the set, shape (..., n_sites); NaN where there is none.

        :param values: shape (..., n).
        """
        whole = np.full((*values.shape[:-1], self.n_sites), np.nan)
        whole[..., self.rows] = values
        return np.asarray(whole, dtype=dtype)

    def stored(self, values: Array, dtype: Any = np.float32) -> NDArray[Any]:
        """Return values as results keep them: for all sites of the set, NaN where there is none.

        :param values: shape (..., n, m), of these sites.
        :returns: shape (..., n_sites) of a scalar, (..., n_sites, m) else.
        """
        whole = np.full((*values.shape[:-2], self.n_sites, values.shape[-1]), np.nan)
        whole[..., self.rows, :] = values
        return np.asarray(self.quantity.as_stored(whole), dtype=dtype)

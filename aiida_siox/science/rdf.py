"""The radial distribution function seen from single atoms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.special import ndtr

from .neighbours import neighbour_pairs

TOTAL = "total"
"""The pair that counts all neighbours."""

TAIL = 4.0
"""Pairs are counted to r_max + TAIL · σ, so that the last bins get the tails of what lies behind them."""


def bin_centres(r_max: float, n_bins: int) -> NDArray[np.float64]:
    """Return the radii (i + ½) · r_max / n_bins in Å, ``[n_bins]``."""
    return np.asarray((np.arange(n_bins) + 0.5) * (r_max / n_bins))


def site_rdf(
    atoms: Atoms,
    indices: Sequence[int],
    r_max: float,
    n_bins: int,
    sigma: float,
    pair: str = TOTAL,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return g(R) = (dN/dR) / (4π R² ρ) around single atoms, ρ being the number of all atoms per volume of the cell.

    Each neighbour, periodic images and self-images included, is a Gaussian in R, integrated over every bin; σ = 0
    gives the histogram. Definition: Phys. Chem. Chem. Phys. 2026, 28, 3682, which counts Si and O and states no σ.

    :param indices: the atoms to look from.
    :param r_max: in Å.
    :param sigma: broadening in Å.
    :param pair: ``total`` (all neighbours), or two elements such as ``Si-O``, of sites that are the first
        (not checked): neighbours that are the second; always the total ρ.
    :returns: ``r[n_bins]`` in Å and ``g[n_sites, n_bins]``.
    :raises ValueError: for an unknown pair, an index outside the cell, or values that make no histogram.
    """
    centre, _, neighbour = pair.partition("-")
    if pair != TOTAL and not {centre, neighbour} <= set(atomic_numbers):
        raise ValueError(f"unknown pair `{pair}`: give `{TOTAL}`, or two elements such as Si-O.")
    if r_max <= 0 or n_bins < 1 or sigma < 0:
        raise ValueError(
            f"r_max {r_max}, n_bins {n_bins}, sigma {sigma}: the first two are positive, sigma is 0 or more."
        )
    sites = np.asarray(indices, dtype=np.int64)
    if len(sites) and (sites.min() < 0 or sites.max() >= len(atoms)):
        raise ValueError(
            f"site {sites.max() if sites.min() >= 0 else sites.min()} is not in a cell of {len(atoms)} atoms."
        )
    first, second, distance = neighbour_pairs(atoms, r_max + TAIL * sigma)
    if pair != TOTAL:
        counted = atoms.numbers[second] == atomic_numbers[neighbour]
        first, distance = first[counted], distance[counted]
    rows = np.full(len(atoms), -1)
    rows[sites] = np.arange(len(sites))
    inside = rows[first] >= 0
    return smeared_rdf(rows[first][inside], distance[inside], len(sites), r_max, n_bins, sigma, atoms)


def smeared_rdf(
    rows: NDArray[np.int64],
    distance: NDArray[np.float64],
    n_rows: int,
    r_max: float,
    n_bins: int,
    sigma: float,
    atoms: Atoms,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return g(R) of pairs that were counted already.

    :param rows: which atom looked from each pair is of, from 0, shape (n_pairs,).
    :param distance: of each pair in Å, shape (n_pairs,); those beyond r_max matter to ``TAIL`` · sigma.
    :param atoms: whose density it is divided by.
    :returns: as :func:`site_rdf`.
    """
    edges = np.linspace(0.0, r_max, n_bins + 1)
    r = bin_centres(r_max, n_bins)
    counts = np.zeros((n_rows, n_bins))
    for row in range(n_rows):
        around = distance[rows == row]
        if sigma > 0:
            counts[row] = np.diff(ndtr((edges[:, None] - around[None, :]) / sigma).sum(axis=1))
        else:
            counts[row] = np.histogram(around, bins=edges)[0]
    density = len(atoms) / atoms.get_volume()
    return r, counts / (r_max / n_bins) / (4 * np.pi * r**2 * density)

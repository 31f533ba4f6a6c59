"""A property: the shortest bond of a site to a ligand."""

import numpy as np
from numpy.typing import NDArray

from aiida_siox.science.properties import Cell, Kind, SiteProperty


def compute(cell: Cell, sites: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return lengths in Å, shape (n_sites, 1); NaN without a ligand."""
    pairs = cell.pairs
    chosen = pairs.bonded & np.isin(pairs.species, cell.material.ligands)
    shortest = np.full(len(cell.atoms), np.inf)
    np.minimum.at(shortest, pairs.first[chosen], pairs.distance[chosen])
    return np.where(np.isfinite(shortest), shortest, np.nan)[sites, None]


NEAREST_LIGAND = SiteProperty(
    name="nearest_ligand",
    title="shortest bond to a ligand",
    symbol=r"$d_\mathrm{min}$",
    unit="Å",
    kind=Kind.SCALAR,
    compute=compute,
    limits=(0.0, 5.0),
    error_scale=0.02,
)

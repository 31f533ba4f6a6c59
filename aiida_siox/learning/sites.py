"""The sites that networks learn from, as plain arrays: what a DatasetData holds, without AiiDA."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning.parameters import N_OXIDATION, Target
from aiida_siox.learning.spectrum import check_post_edge, post_edge_weights

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

SAME_RDF = 2e-3
"""RMS difference of g(R) below which two sites are in one minimum: small cells that fell into the same one from two
seeds agreed to 1e-4, others of their formula differed by 0.1 and more (reference data set v0)."""


@dataclasses.dataclass(frozen=True)
class Averages:
    """Configurations averaged over all their silicon sites: what an experiment would see of each.

    :param spectra: mean spectra, shape (c, n_e).
    :param targets: mean targets, shape (c, n_outputs).
    :param configuration: which configuration each row is, shape (c,).
    """

    spectra: Array
    targets: Array
    configuration: Indices


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
    """Spectra and targets of n sites, checked. Build with :meth:`checked`.

    :param energy: increasing energies in eV on the calibrated axis, shape (n_e,).
    :param spectra: raw spectra, shape (n, n_e).
    :param valence: Bader valence in e, shape (n,).
    :param rdf: g(R), shape (n, n_r).
    :param r: distances of the RDF in Å, shape (n_r,).
    :param n_oxygen: number of oxygen neighbours, shape (n,).
    :param site_index: index of each site in its structure, shape (n,).
    :param configuration: index of the configuration of each site, shape (n,).
    :param formulas: formula of each configuration.
    :param x: composition of each configuration.
    :param digests: structure digest of each configuration; equal for equal configurations, also where melts of other
        seeds ended in the same cell (see :func:`equal_configurations`).
    :param complete: which configurations have (nearly) all their silicon sites here and may be averaged.
    :param sigma_angstrom: Gaussian broadening of the RDF in Å.
    """

    energy: Array
    spectra: Array
    valence: Array
    rdf: Array
    r: Array
    n_oxygen: Indices
    site_index: Indices
    configuration: Indices
    formulas: tuple[str, ...]
    x: Array
    digests: tuple[str, ...]
    complete: NDArray[np.bool_]
    sigma_angstrom: float

    @classmethod
    def checked(
        cls,
        *,
        energy: ArrayLike,
        spectra: ArrayLike,
        valence: ArrayLike,
        rdf: ArrayLike,
        r: ArrayLike,
        n_oxygen: ArrayLike,
        site_index: ArrayLike,
        configuration: ArrayLike,
        formulas: Sequence[str],
        x: ArrayLike,
        digests: Sequence[str],
        complete: ArrayLike,
        sigma_angstrom: float,
    ) -> SiteSet:
        """Build from arrays.

        :raises ValueError: if shapes do not fit, energies do not increase, or a number is not finite.
        """
        energy, spectra, valence, rdf, r, x = (
            np.asarray(a, dtype=float) for a in (energy, spectra, valence, rdf, r, x)
        )
        counts, sites, owners = (np.asarray(a, dtype=np.int64) for a in (n_oxygen, site_index, configuration))
        n = len(spectra)
        if spectra.ndim != 2 or spectra.shape[1:] != energy.shape:
            raise ValueError(f"shapes do not fit: energies {energy.shape}, spectra {spectra.shape}.")
        if rdf.ndim != 2 or rdf.shape[1:] != r.shape:
            raise ValueError(f"shapes do not fit: distances {r.shape}, RDFs {rdf.shape}.")
        for name, array in (("valences", valence), ("RDFs", rdf), ("n_oxygen", counts), ("configurations", owners)):
            if len(array) != n:
                raise ValueError(f"{n} spectra but {len(array)} {name}: there must be one of each for every site.")
        n_configurations = len(formulas)
        if not n_configurations == len(x) == len(digests) == len(np.asarray(complete)):
            raise ValueError("formulas, x, digests and complete must have one entry for each configuration.")
        if n and not 0 <= owners.min() <= owners.max() < n_configurations:
            raise ValueError(f"a site belongs to configuration {owners.max()}, but there are {n_configurations}.")
        if np.any(np.diff(energy) <= 0):
            raise ValueError("the energies of the spectra must increase.")
        for name, array in (("spectrum", spectra), ("valence", valence[:, None]), ("RDF", rdf)):
            bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
            if bad.size:
                raise ValueError(
                    f"the {name} of row {bad[0]} (and of {bad.size - 1} more) has numbers that are not finite."
                )
        first = equal_configurations(rdf, owners, formulas)
        return cls(
            energy, spectra, valence, rdf, r, counts, sites, owners, tuple(formulas), x,
            tuple(digests[i] for i in first), np.asarray(complete, dtype=bool), float(sigma_angstrom),
        )  # fmt: skip

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.spectra)

    @property
    def groups(self) -> NDArray[np.str_]:
        """Digest of the configuration of each site, shape (n,)."""
        return np.array(self.digests)[self.configuration]

    @property
    def compositions(self) -> NDArray[np.str_]:
        """Composition of each site as a label, shape (n,)."""
        return np.array([f"{x:.4f}" for x in self.x])[self.configuration]

    def targets(self, target: Target) -> Array:
        """Return what is to be learned.

        :returns: e, shape (n, 1); g(R), shape (n, n_r); or one at the oxidation state and zero elsewhere, (n, 5), where
            more than four oxygen neighbours count as four.
        """
        if target is Target.VALENCE:
            return self.valence[:, None]
        if target is Target.RDF:
            return self.rdf
        return np.eye(N_OXIDATION)[np.minimum(self.n_oxygen, N_OXIDATION - 1)]

    def subset(self, rows: ArrayLike) -> SiteSet:
        """Return some of the sites; the configurations stay numbered as they are."""
        rows = np.asarray(rows)
        names = ("spectra", "valence", "rdf", "n_oxygen", "site_index", "configuration")
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in names})

    def normalised(self, window: tuple[float, float]) -> SiteSet:
        """Return the sites with each spectrum divided by its post-edge mean.

        :param window: lowest and highest energy of the mean in eV.
        :raises ValueError: if the window is not inside the energies, or a mean is not positive.
        """
        mean = self.spectra @ post_edge_weights(self.energy, window)
        check_post_edge(mean)
        return dataclasses.replace(self, spectra=self.spectra / mean[:, None])

    def averaged(self, target: Target, spectra: Array | None = None) -> Averages:
        """Return means over the complete configurations.

        :param spectra: spectra to take instead of its own, shape (n, any).
        """
        values, spectra = self.targets(target), self.spectra if spectra is None else spectra
        owners = [i for i in range(len(self.formulas)) if self.complete[i] and (self.configuration == i).any()]
        rows = [self.configuration == i for i in owners]
        return Averages(
            np.array([spectra[row].mean(axis=0) for row in rows]).reshape(len(owners), spectra.shape[1]),
            np.array([values[row].mean(axis=0) for row in rows]).reshape(len(owners), values.shape[1]),
            np.array(owners, dtype=np.int64),
        )

    def to_npz(self, path: pathlib.Path) -> None:
        """Write everything to one file, without pickle."""
        arrays: dict[str, Any] = {
            field.name: np.asarray(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name not in ("formulas", "digests")
        }
        texts = json.dumps({"formulas": self.formulas, "digests": self.digests})
        np.savez_compressed(path, texts=np.array(texts), **arrays)

    @classmethod
    def from_npz(cls, path: pathlib.Path) -> SiteSet:
        """Read what :meth:`to_npz` wrote.

        :raises ValueError: if something is missing or does not fit.
        """
        with np.load(path, allow_pickle=False) as archive:
            missing = {f.name for f in dataclasses.fields(cls)} - {"formulas", "digests"} - set(archive.files)
            if missing or "texts" not in archive.files:
                raise ValueError(f"{path} is not a file of sites: it lacks {', '.join(sorted(missing)) or 'texts'}.")
            texts = json.loads(str(archive["texts"]))
            arrays = {name: archive[name] for name in archive.files if name != "texts"}
        arrays["sigma_angstrom"] = float(arrays["sigma_angstrom"])
        return cls.checked(**arrays, **texts)

"""Spectra that a detector of the unknown must flag, and sites that it must not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.splits import grouped_splits
from aiida_siox.learning.training.parameters import NoveltySettings
from aiida_siox.learning.uncertainty.novelty import NoveltyReference

Array = NDArray[np.float64]


def shifted(energy: ArrayLike, spectra: ArrayLike, shift: float) -> Array:
    """Return spectra moved along the axis; what comes in at an end has the value of that end.

    :param energy: increasing energies in eV, shape (n_e,).
    :param spectra: shape (m, n_e).
    :param shift: eV; positive moves features to higher energies.
    """
    energy = np.asarray(energy, dtype=float)
    return np.array([np.interp(energy - shift, energy, row) for row in np.asarray(spectra, dtype=float)])


def end_members(sites: SiteSet) -> dict[str, Array]:
    """Return the averaged spectra of the lowest and of the highest composition, by ``x = 0.00``, each (n_e,)."""
    spectra, configuration = sites.mean_spectra()
    if not len(configuration):
        return {}
    x = sites.x[configuration]
    return {f"x = {value:.2f}": spectra[x == value].mean(axis=0) for value in (x.min(), x.max())}


def white_noise(sites: SiteSet, n: int, seed: int) -> Array:
    """Return n spectra of independent normal numbers with mean and spread of all spectra, shape (n, n_e)."""
    generator = np.random.default_rng(seed)
    return generator.normal(sites.spectra.mean(), sites.spectra.std(), (n, sites.spectra.shape[1]))


def judge(sites: SiteSet, reference: NoveltyReference, shift: float, n_noise: int, seed: int) -> list[dict[str, Any]]:
    """Show the probes to a detector.

    :param shift: eV by which averaged spectra of the end members are moved to both sides.
    :param n_noise: draws of white noise.
    :returns: ``name``, ``score`` in units of the threshold (the least one, for noise) and ``flagged`` (all of them) of
        each probe, and of the end members where they are, which should pass.
    """
    probes = []
    for name, spectrum in end_members(sites).items():
        for step in (0.0, shift, -shift):
            moved = shifted(sites.energy, spectrum[None], step)
            where = f"moved by {step:+g} eV" if step else "where it is"
            probes.append((f"averaged spectrum, {name}, {where}", moved))
    if n_noise:
        probes.append((f"white noise, {n_noise} draws", white_noise(sites, n_noise, seed)))
    return [
        {
            "name": name,
            "score": float(reference.score(spectra).min() / reference.threshold),
            "flagged": bool(reference.flagged(spectra).all()),
        }
        for name, spectra in probes
    ]


def held_out(sites: SiteSet, settings: NoveltySettings, n_folds: int, seed: int) -> tuple[Array, float]:
    """Return scores relative to the threshold of detectors that never saw the configuration, and the false alarms.

    :param settings: as for :meth:`~aiida_siox.learning.novelty.NoveltyReference.fit`.
    :param n_folds: of configurations that are left out.
    :returns: score / threshold of each site, shape (n,), and the part of the sites above 1.
    :raises ValueError: if the configurations cannot be divided.
    """
    scores = np.empty(len(sites))
    for split in grouped_splits(sites.group, n_folds, seed):
        train, test = split.train, split.test
        reference = NoveltyReference.fit(sites.energy, sites.spectra[train], sites.group[train], settings, seed)
        scores[test] = reference.score(sites.spectra[test]) / reference.threshold
    return scores, float((scores > 1).mean())

"""Synthetic spectra for tests of the mathematics: an edge that moves with the valence. No physics is claimed."""

from __future__ import annotations

import dataclasses

import numpy as np

from aiida_siox.learning.parameters import Hyperparameters, NoveltySettings
from aiida_siox.learning.sites import SiteSet
from aiida_siox.workflows.training import TrainingProtocol

ENERGY = np.linspace(1830.0, 1880.0, 256)
R = (np.arange(256) + 0.5) * 5 / 256


def toy_arrays(n: int, n_configurations: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return spectra (n, 256) that depend linearly on the valence, with noise, and an RDF that does, too."""
    rng = np.random.default_rng(seed)
    configuration = np.arange(n) % n_configurations
    n_oxygen = rng.integers(0, 5, n)
    valence = 0.8 * n_oxygen + rng.normal(0, 0.05, n)
    step = 1 / (1 + np.exp(-(ENERGY - 1842) / 1.5))
    line = np.exp(-(((ENERGY - 1846) / 2) ** 2))
    spectra = step + valence[:, None] * line + rng.normal(0, 0.01, (n, 256)) * step
    rdf = 2 * valence[:, None] * np.exp(-(((R - 1.6) / 0.2) ** 2)) + (R > 2.5)
    return {
        "spectra": spectra,
        "valence": valence,
        "rdf": rdf,
        "n_oxygen": n_oxygen,
        "configuration": configuration,
        "site_index": np.arange(n) // n_configurations,
    }


def toy_sites(n: int = 60, n_configurations: int = 6, seed: int = 0) -> SiteSet:
    """Return toy spectra of three compositions, all configurations complete."""
    arrays = toy_arrays(n, n_configurations, seed)
    return SiteSet.checked(
        energy=ENERGY,
        r=R,
        formulas=[f"Si{8 + i % 3}O8" for i in range(n_configurations)],
        x=[8 / (8 + i % 3) for i in range(n_configurations)],
        digests=[f"cell{i}" for i in range(n_configurations)],
        complete=np.ones(n_configurations, dtype=bool),
        sigma_angstrom=0.15,
        **arrays,
    )


def toy_hyper(**overrides: object) -> Hyperparameters:
    """Return the fast protocol with overrides."""
    return Hyperparameters.from_dict(TrainingProtocol.get_parameters("fast", overrides))


def toy_novelty(**overrides: object) -> NoveltySettings:
    """Return the novelty settings of the protocol with overrides."""
    return dataclasses.replace(toy_hyper().novelty, **overrides)

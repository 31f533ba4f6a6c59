"""Synthetic spectra for tests of the mathematics: an edge that moves with the valence. No physics is claimed."""

from __future__ import annotations

import numpy as np

from aiida_siox.learning.evaluation import LearningData
from aiida_siox.learning.parameters import Hyperparameters
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


def toy_data(n: int = 60, n_configurations: int = 6, target: str = "valence", seed: int = 0) -> LearningData:
    """Return toy spectra with one target, three compositions."""
    arrays = toy_arrays(n, n_configurations, seed)
    return LearningData.checked(
        ENERGY,
        arrays["spectra"],
        arrays[target],
        groups=[f"cell{i}" for i in arrays["configuration"]],
        compositions=[f"x{i % 3}" for i in arrays["configuration"]],
    )


def toy_hyper(**overrides: object) -> Hyperparameters:
    """Return the fast protocol with overrides."""
    return Hyperparameters.from_dict(TrainingProtocol.get_parameters("fast", overrides))

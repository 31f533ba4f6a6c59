"""Synthetic spectra for tests of the mathematics: an edge that moves with the valence. No physics is claimed."""

from __future__ import annotations

import math

import numpy as np

from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.data.sites import Configuration, SiteSet
from aiida_siox.learning.training.parameters import Hyperparameters, NoveltySettings
from aiida_siox.science.quantity import Axis, Kind, Quantity
from aiida_siox.workflows.training import TrainingProtocol

ENERGY = np.linspace(1830.0, 1880.0, 256)
R = (np.arange(256) + 0.5) * 5 / 256
#: Beside the usual three, numbers of neighbours and an angle that a site without ligands has not.
QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity("valence", "Bader valence", "$V$", "e", Kind.SCALAR),
        Quantity("rdf", "g(R)", "$g$", "1", Kind.CURVE, Axis("r", "Å", tuple(R)), (0.0, math.inf), note="σ 0.15 Å"),
        Quantity("oxidation", "states", "$f$", "1", Kind.FRACTIONS, Axis("ligands", "", tuple("01234")), (0.0, 1.0)),
        Quantity("coordination", "neighbours", "$n$", "atoms", Kind.COUNTS, Axis("species", "", ("Si", "O"))),
        Quantity("bridge_angle", "angle", "$a$", "°", Kind.SCALAR, limits=(0.0, 180.0)),
    )
}


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


def toy_properties(valence: np.ndarray, rdf: np.ndarray, n_oxygen: np.ndarray) -> dict[str, np.ndarray]:
    """Return the properties of sites, shape (n, m) each."""
    angle = np.where(n_oxygen > 0, 180.0 - 10.0 * valence, np.nan)
    return {
        "valence": valence[:, None],
        "rdf": rdf,
        "oxidation": np.eye(5)[np.minimum(n_oxygen, 4)],
        "coordination": np.stack([4 - n_oxygen, n_oxygen], axis=1).astype(float),
        "bridge_angle": angle[:, None],
    }


def toy_sites(n: int = 60, n_configurations: int = 6, seed: int = 0, **changes: object) -> SiteSet:
    """Return toy spectra of three compositions, all configurations complete.

    :param changes: arguments of ``SiteSet.checked`` that differ.
    """
    arrays = toy_arrays(n, n_configurations, seed)
    values = {
        "energy": ENERGY,
        "spectra": arrays["spectra"],
        "properties": toy_properties(arrays["valence"], arrays["rdf"], arrays["n_oxygen"]),
        "quantities": QUANTITIES,
        "site_index": arrays["site_index"],
        "configuration": arrays["configuration"],
        "configurations": [
            Configuration(f"Si{8 + i % 3}O8", 8 / (8 + i % 3), f"cell{i}") for i in range(n_configurations)
        ],
    }
    return SiteSet.checked(**{**values, **changes})


def toy_examples(target: str = "valence", n: int = 60, n_configurations: int = 6) -> Examples:
    """Return toy spectra and one property of them."""
    return toy_sites(n, n_configurations).examples(target)


def toy_hyper(**overrides: object) -> Hyperparameters:
    """Return the fast protocol with overrides."""
    return Hyperparameters.parse(TrainingProtocol.get_parameters("fast", overrides))


def toy_novelty(**overrides: object) -> NoveltySettings:
    """Return the novelty settings of the protocol with overrides."""
    return toy_hyper().novelty.model_copy(update=overrides)

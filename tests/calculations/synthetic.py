"""A data set of synthetic spectra, and a part of the analysis that costs nothing. No physics is claimed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from aiida_siox.data.dataset import DatasetData
from aiida_siox.learning.results import PartResult
from aiida_siox.learning.sites import SiteSet
from tests.learning.toy import ENERGY, R, toy_arrays


def synthetic_dataset(n: int = 48, n_configurations: int = 6, digest: str = "synthetic") -> DatasetData:
    """Return an unstored data set; every configuration is complete."""
    arrays = toy_arrays(n, n_configurations)
    node = DatasetData()
    for name, array in {
        "energy_eV": ENERGY,
        "r_angstrom": R,
        "spectra": arrays["spectra"],
        "valence_e": arrays["valence"],
        "rdf": arrays["rdf"],
        "n_oxygen": arrays["n_oxygen"],
        "n_silicon": 4 - arrays["n_oxygen"],
        "site_index": arrays["site_index"],
        "configuration": arrays["configuration"],
    }.items():
        node.set_array(name, array)
    counts = np.bincount(arrays["configuration"], minlength=n_configurations)
    node.base.attributes.set_many(
        {
            "configurations": [
                {
                    "formula": f"Si8O{2 * i}",
                    "x": 0.25 * i,
                    "structure_digest": f"synthetic-{i}",
                    **dict.fromkeys(("n_requested", "n_done", "n_silicon_total"), int(counts[i])),
                }
                for i in range(n_configurations)
            ],
            "protocol": "fast",
            "treatment": "fch",
            "sigma_angstrom": 0.15,
            "gamma_eV": 0.8,
            "settings_digest": "settings",
            "shift_eV": -12.8,
            "window_eV": [1830.0, 1880.0],
            "n_sites": n,
            "digest": digest,
        }
    )
    return node


def mean_part(sites: SiteSet, parameters: Mapping[str, Any], progress: Callable[[float, str], None]) -> PartResult:
    """Predict the mean valence, whatever the spectrum: a part whose numbers are known."""
    if len(sites) < 4:
        raise ValueError(f"{len(sites)} sites are too few.")
    progress(0.5, "half of it")
    mean = float(sites.valence.mean())
    rmse = {"mean": float(sites.valence.std()), "low": float("nan"), "high": None}
    return PartResult(
        {
            "valence_grouped_predicted": np.full(len(sites), mean, dtype=np.float32),
            "window_names": np.array(["a", "full"]),
        },
        {"scores": {"valence": {"grouped": {"rmse": rmse, "n_train": np.int64(40), "n_test": 8}}}, "n_seeds": 3},
    )


def run_mean_part(
    name: str, sites: SiteSet, parameters: Mapping[str, Any], progress: Callable[[float, str], None]
) -> PartResult:
    """Stand in for ``run_part``."""
    return mean_part(sites, parameters, progress)

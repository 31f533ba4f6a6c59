"""A data set of synthetic spectra, and a part of the analysis that costs nothing. No physics is claimed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from aiida_siox.data.dataset import DatasetData
from aiida_siox.learning.analysis.results import PartResult
from aiida_siox.learning.data.sites import SiteSet
from tests.factories import make_dataset, make_properties, stack_properties
from tests.learning.toy import ENERGY, toy_arrays


def synthetic_dataset(n: int = 48, n_configurations: int = 6, digest: str = "synthetic") -> DatasetData:
    """Return an unstored data set; every configuration is complete."""
    arrays = toy_arrays(n, n_configurations)
    sites = [
        make_properties(int(n_oxygen), valence, rdf)
        for n_oxygen, valence, rdf in zip(arrays["n_oxygen"], arrays["valence"], arrays["rdf"], strict=True)
    ]
    node = make_dataset(
        ENERGY,
        arrays["spectra"],
        stack_properties(sites),
        arrays["configuration"],
        [
            {"formula": f"Si8O{2 * i}", "x": 0.25 * i, "structure_digest": f"synthetic-{i}"}
            for i in range(n_configurations)
        ],
        arrays["site_index"],
    )
    node.base.attributes.set("digest", digest)
    return node


def mean_part(sites: SiteSet, parameters: Mapping[str, Any], progress: Callable[[float, str], None]) -> PartResult:
    """Predict the mean valence, whatever the spectrum: a part whose numbers are known."""
    if len(sites) < 4:
        raise ValueError(f"{len(sites)} sites are too few.")
    progress(0.5, "half of it")
    mean = float(sites.values("valence").mean())
    rmse = {"mean": float(sites.values("valence").std()), "low": float("nan"), "high": None}
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

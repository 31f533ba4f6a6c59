"""The whole analysis of a data set, part by part: what the paper does with its spectra, and what it leaves open."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from aiida_siox.learning.analysis import averages, learning_curve, model, splits, uncertainty, windows
from aiida_siox.learning.analysis.common import Report
from aiida_siox.learning.analysis.parameters import check_request
from aiida_siox.learning.analysis.results import PartResult
from aiida_siox.learning.data.sites import SiteSet

#: What runs each part of :data:`~aiida_siox.learning.analysis.parameters.PARAMETERS`.
PARTS: dict[str, Callable[..., PartResult]] = {
    "splits": splits.run,
    "windows": windows.run,
    "averages": averages.run,
    "uncertainty": uncertainty.run,
    "learning_curve": learning_curve.run,
    "model": model.run,
}


def run_part(name: str, sites: SiteSet, parameters: Mapping[str, Any], progress: Report) -> PartResult:
    """Run one part of the analysis.

    :param name: which part.
    :param sites: the data set.
    :param parameters: the section of the part in ``workflows/protocols/analysis.yaml``, with ``training``.
    :param progress: called with the part that is done, 0 to 1, and a line of text.
    :raises ValueError: if the data set is too small for it, or a parameter does not fit.
    """
    start = time.perf_counter()
    section, hyper = check_request(name, parameters)
    quantities = {target: sites.quantity(target).to_dict() for target in section.targets}
    result = PARTS[name](sites, section, hyper, progress)
    common = {
        "n_sites": len(sites),
        "n_configurations": sites.n_groups,
        "quantities": quantities,
        "coverage_asked": hyper.coverage,
        "confidence": hyper.confidence,
        "grid": hyper.grid.plain(),
        "seed": hyper.seed,
        "threads": hyper.threads,
        "seconds": time.perf_counter() - start,
    }
    return PartResult(result.arrays, {**common, **result.attributes}, result.models)

"""Fitting the cost model to engine jobs that were measured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import least_squares, nnls

from aiida_siox.science.cost import (
    ENGINES,
    CostModel,
    IterationFit,
    JobSize,
    LinearFit,
    iteration_driver,
    repository_terms,
    scratch_arrays,
    terms,
)

#: Timings of one job scatter by so much at least.
MIN_RELATIVE_ERROR = 0.05
#: A term that explains less of the measured jobs than this is left out of the estimate.
NEGLIGIBLE_SHARE = 1e-6
#: Measured jobs that an engine needs for each of its terms.
POINTS_PER_TERM = 2
#: Drivers whose measured range is kept, by engine: outside of it an estimate is an extrapolation.
RANGES = {
    "lmp": ("n_atoms",),
    "ld1": (),
    "pw": ("n_atoms", "n_plane_waves"),
    "bader": ("n_grid",),
    "xspectra": ("n_atoms", "n_plane_waves"),
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """One engine job that was run.

    :param uuid: of its node; one job is one point, whatever file or profile it comes from.
    :param size: what drove its cost.
    :param cpu_s: CPU seconds of the engines, user and system.
    :param wall_s: seconds from the first line of the job to its last.
    :param overhead_s: seconds of its node that were not spent in the engine.
    :param repository_bytes: of its files and of what it created, None when unknown.
    :param scratch_bytes: of its folder on the computer, None when it is cleaned.
    """

    uuid: str
    size: JobSize
    cpu_s: float
    wall_s: float
    overhead_s: float
    repository_bytes: float | None = None
    scratch_bytes: float | None = None


def fit_linear(rows: Sequence[Mapping[str, float]], measured: Sequence[float]) -> LinearFit:
    """Fit non-negative coefficients of a sum of terms to measured values by least squares of the logarithms.

    Jobs of one size count together as one: repeating a job says more of the noise, but nothing of the formula.

    The covariance is that of a linear fit with the relative residuals as errors and a weak prior: a term explains no
    more than all of what was measured. What the points do not determine, such as the cubic term when all cells were
    small, therefore comes out as uncertain and not as absent.

    :param rows: the terms of each point.
    :param measured: positive.
    :raises ValueError: if there are too few points for the terms.
    """
    names = list(rows[0]) if rows else []
    if len(rows) < max(1, POINTS_PER_TERM * (len(names) - 1)):
        raise ValueError(f"{len(rows)} measured jobs are too few for the terms {', '.join(names)}: run more of them.")
    values = np.array(measured, dtype=float)
    table = np.array([[row[name] for name in names] for row in rows])
    sizes = np.unique([[float(f"{value:.1e}") for value in row] for row in table], axis=0, return_inverse=True)[1]
    same = [np.flatnonzero(sizes.ravel() == size) for size in range(sizes.max() + 1)]
    shares = np.array([(table[group] / values[group, None]).mean(axis=0) for group in same])
    scale = shares.mean(axis=0)
    scale[scale == 0] = 1.0
    design = shares / scale
    start = np.maximum(nnls(design, np.ones(len(design)))[0], 1e-6)
    found = least_squares(lambda x: np.log(np.maximum(design @ x, 1e-12)), start, bounds=(0.0, np.inf), xtol=1e-12).x
    coefficients = np.where(found < NEGLIGIBLE_SHARE, 0.0, found) / scale
    residuals = np.log(values / (table @ coefficients))
    freedom = max(1, len(design) - len(names))
    variance = max(float(np.sum(np.log(design @ found) ** 2)) / freedom, MIN_RELATIVE_ERROR**2)
    covariance = np.linalg.inv(design.T @ design / variance + np.eye(len(names))) / np.outer(scale, scale)
    return LinearFit(
        coefficients=dict(zip(names, coefficients.tolist(), strict=True)),
        covariance=covariance.tolist(),
        spread=float(np.sqrt(np.mean(residuals**2))),
        n_points=len(values),
    )


def fit_iterations(sizes: Sequence[JobSize]) -> IterationFit:
    """Fit the number of iterations; pw.x takes so many a digit, xspectra.x a power of its threshold.

    :raises ValueError: if there is no point.
    """
    if not sizes:
        raise ValueError("no measured job tells how many iterations it takes: run one.")
    digits = np.array([size.digits for size in sizes])
    logs = np.log([size.iterations / iteration_driver(size) for size in sizes])
    exponent = 0.0
    if sizes[0].engine == "xspectra" and np.ptp(digits) > 0:
        exponent = float(np.polyfit(digits, logs, 1)[0] / math.log(10))
    offsets = logs - exponent * math.log(10) * digits
    return IterationFit(
        factor=float(np.exp(offsets.mean())),
        exponent=exponent,
        spread=float(offsets.std()),
        n_points=len(sizes),
        digits=[float(digits.min()), float(digits.max())],
    )


def fit(points: Sequence[Measured], storage_factor: float, about: Mapping[str, Any] | None = None) -> CostModel:
    """Fit the model to measured jobs.

    :param storage_factor: bytes of repository and database for each byte of a job's own files.
    :param about: kept with the model.
    :raises ValueError: if an engine has too few points.
    """
    by_engine: dict[str, list[Measured]] = {engine: [] for engine in ENGINES}
    for point in points:
        by_engine[point.size.engine].append(point)
    sizes = {engine: [point.size for point in found] for engine, found in by_engine.items()}
    iterations = {
        "ground": fit_iterations([size for size in sizes["pw"] if size.kind == "ground"]),
        "hole": fit_iterations([size for size in sizes["pw"] if size.kind == "hole"]),
        "xspectra": fit_iterations(sizes["xspectra"]),
    }
    seconds, repository, scratch = {}, {}, {}
    for engine, found in by_engine.items():
        try:
            seconds[engine] = fit_linear([terms(point.size) for point in found], [point.cpu_s for point in found])
            stored = [point for point in found if point.repository_bytes]
            repository[engine] = fit_linear(
                [repository_terms(point.size) for point in stored], [point.repository_bytes or 0.0 for point in stored]
            )
        except ValueError as exception:
            raise ValueError(f"{engine}: {exception}") from None
        left = [point.scratch_bytes - scratch_arrays(point.size) for point in found if point.scratch_bytes is not None]
        if left:
            scratch[engine] = float(np.mean(left))
    model = CostModel(
        seconds=seconds,
        iterations=iterations,
        repository=repository,
        scratch=scratch,
        overhead_s=float(np.median([point.overhead_s for point in points])),
        storage_factor=storage_factor,
        about=dict(about or {}),
    )
    # what a plan cannot know, the number of iterations, belongs into its error bar
    for engine, found in by_engine.items():
        blind = [dataclasses.replace(size, iterations=0.0) if engine in ("pw", "xspectra") else size
                 for size in sizes[engine]]  # fmt: skip
        errors = [
            math.log(point.cpu_s / max(model.job_seconds(size), 1e-12))
            for point, size in zip(found, blind, strict=True)
        ]
        seconds[engine] = dataclasses.replace(
            seconds[engine],
            spread=float(np.sqrt(np.mean(np.square(errors)))),
            ranges={
                name: [float(min(getattr(size, name) for size in sizes[engine])),
                       float(max(getattr(size, name) for size in sizes[engine]))]
                for name in RANGES[engine]
            },
        )  # fmt: skip
    return model

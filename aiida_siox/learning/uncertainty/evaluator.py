"""How good intervals are: how often they hold the reference, and how wide they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_siox.registry import Registry

Array = NDArray[np.float64]


class Evaluator(Protocol):
    """What judges intervals of held-out sites. Another package adds one under ``aiida_siox.evaluators``."""

    def __call__(
        self,
        low: Array,
        high: Array,
        reference: Array,
        *,
        group: NDArray[np.str_],
        x: Array,
        n_bootstrap: int,
        confidence: float,
        seed: int,
    ) -> Mapping[str, Any]:
        """Return plain values.

        :param low: lower ends of each repetition, shape (repetitions, n, n_outputs).
        :param high: upper ends, the same shape.
        :param reference: shape (n, n_outputs).
        :param group: configuration of each site, shape (n,).
        :param x: composition of each site, shape (n,).
        :param n_bootstrap: draws of configurations.
        :param confidence: of the errors of what is returned.
        :param seed: of the draws.
        """


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How often intervals hold the reference, with the error of that from a bootstrap over configurations.

    :param coverage: part of the sites (and of their bins) whose reference lies inside.
    :param low: lower end of the percentile interval of the bootstrap.
    :param high: its upper end.
    :param mean_width: mean of high − low over sites and bins, in the unit of the target; infinite widths included.
    """

    coverage: float
    low: float
    high: float
    mean_width: float


def covered(low: ArrayLike, high: ArrayLike, reference: ArrayLike) -> NDArray[np.bool_]:
    """Return which references lie inside of their (closed) intervals; shapes (m,) or (m, n_outputs)."""
    values = np.asarray(reference, dtype=float)
    return np.asarray((np.asarray(low) <= values) & (values <= np.asarray(high)))


def coverage_score(
    low: ArrayLike,
    high: ArrayLike,
    reference: ArrayLike,
    groups: ArrayLike,
    *,
    n_bootstrap: int,
    confidence: float,
    seed: int,
) -> Coverage:
    """Score intervals, with a bootstrap that draws whole configurations.

    :param low: shape (m,) or (m, n_outputs); repetitions of the same sites are given one after the other.
    :param high: the same shape.
    :param reference: the same shape.
    :param groups: configuration of each row, shape (m,): all rows of one configuration are drawn together.
    :param n_bootstrap: draws of as many configurations as there are, with replacement.
    :param confidence: of the percentile interval.
    :param seed: of the draws.
    :raises ValueError: if the lengths differ.
    """
    inside = covered(low, high, reference)
    _, members = np.unique(np.asarray(groups), return_inverse=True)
    if len(members) != len(inside):
        raise ValueError(f"{len(inside)} intervals but {len(members)} configurations: one for each row is needed.")
    per_row = inside.reshape(len(inside), -1).mean(axis=1)
    hits, sizes = np.bincount(members, weights=per_row), np.bincount(members)
    draws = np.random.default_rng(seed).integers(0, len(sizes), (n_bootstrap, len(sizes)))
    values = hits[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    ends = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    width = float((np.asarray(high, dtype=float) - np.asarray(low, dtype=float)).mean())
    return Coverage(float(per_row.mean()), float(ends[0]), float(ends[1]), width)


def coverage_by_composition(
    low: Array,
    high: Array,
    reference: Array,
    *,
    group: NDArray[np.str_],
    x: Array,
    n_bootstrap: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """Return coverage and width over all sites, and ``by_x``: composition and the same numbers (:class:`Evaluator`)."""

    def of(rows: NDArray[np.bool_]) -> Coverage:
        n = len(low)
        return coverage_score(
            np.concatenate(low[:, rows]),
            np.concatenate(high[:, rows]),
            np.concatenate([reference[rows]] * n),
            np.concatenate([group[rows]] * n),
            n_bootstrap=n_bootstrap,
            confidence=confidence,
            seed=seed,
        )

    by_x = [[float(value), *dataclasses.astuple(of(x == value))] for value in np.unique(x)]
    return {**dataclasses.asdict(of(np.ones(len(x), dtype=bool))), "by_x": by_x}


EVALUATORS: Registry[Evaluator] = Registry("evaluator", "aiida_siox.evaluators")
EVALUATORS.register("coverage", coverage_by_composition)

"""Prediction intervals from out-of-fold residuals: CV+, and how well they cover.

Source: Barber, Candès, Ramdas, Tibshirani, Predictive inference with the jackknife+, Ann. Statist. 49 (2021) 486,
section 3 (CV+). For exchangeable sites the coverage is at least 1 − 2α − √(2/n) (their Theorem 4), and in practice near
1 − α. Sites of one configuration resemble each other and are not exchangeable with those of others: therefore folds are
of configurations, and what a new one may add to the unseen is 1/(G + 1) for G configurations, not 1/(n + 1) for n sites
(Lee, Barber, Willett, Distribution-free inference with hierarchical data, arXiv:2306.06342, whose hierarchical
quantile this is for configurations of equal size). The coverage is measured.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: Numbers that are sorted in one go at most.
_CHUNK = 2**24


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


def order_index(n: int, coverage: float, n_groups: int | None = None) -> int:
    """Return which of n sorted numbers is the quantile: ⌈(1 − α)(1 + 1/G) n⌉, counted from 1; above n means ∞.

    With each number a group of its own, G = n, it is the ⌈(1 − α)(n + 1)⌉ of Barber et al. Exact for coverages with up
    to six decimals, of which 0.55 × 20 = 11.000000000000002 is the warning.

    :param n_groups: number of groups G of which the numbers are; n when None.
    :raises ValueError: if the coverage is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"the coverage is {coverage}: it must lie between 0 and 1, exclusive.")
    groups = n if n_groups is None else n_groups
    exact = Fraction(coverage).limit_denominator(10**6)
    return math.ceil(exact * (groups + 1) * Fraction(n, groups)) if groups else n + 1


def cv_plus_interval(
    member_predictions: ArrayLike,
    residuals: ArrayLike,
    fold: ArrayLike,
    coverage: float,
    member_scales: ArrayLike | None = None,
    n_groups: int | None = None,
) -> tuple[Array, Array]:
    """Return the CV+ interval of each new site.

    The upper end is the k-th smallest, k from :func:`order_index`, of the n numbers "prediction of the new site by the
    networks that have not seen site i, plus the residual of site i"; the lower end mirrors it.

    :param member_predictions: predictions of m new sites by the networks of each of K folds, shape (K, m) or
        (K, m, n_outputs).
    :param residuals: |reference − out-of-fold prediction| of the training sites, shape (n,) or (n, n_outputs); with
        ``member_scales`` each divided by the scale that the networks of its fold give to its site.
    :param fold: fold of each training site, shape (n,).
    :param coverage: 1 − α.
    :param member_scales: scale of the error of each new site by the networks of each fold, shape of
        ``member_predictions``: the residuals are multiplied by it (normalised variant).
    :param n_groups: number of configurations of which the training sites are; as many as sites when None.
    :returns: lower and upper ends, each of shape (m,) or (m, n_outputs). Each output has its own interval; they do not
        hold together with that probability. ±∞ where n is too small for the coverage.
    :raises ValueError: if shapes do not fit, a residual is negative or not finite, or a fold has no networks.
    """
    predictions, errors = np.asarray(member_predictions, dtype=float), np.asarray(residuals, dtype=float)
    folds = np.asarray(fold)
    scales = None if member_scales is None else np.asarray(member_scales, dtype=float)
    _check(predictions, errors, folds, scales)
    n, shape = len(errors), predictions.shape[1:]
    index = order_index(n, coverage, n_groups)
    if index > n:
        return np.full(shape, -np.inf), np.full(shape, np.inf)
    low, high = np.empty(shape), np.empty(shape)
    chunk = max(1, _CHUNK // max(1, errors.size))
    for start in range(0, shape[0], chunk):
        part = slice(start, start + chunk)
        centres = predictions[folds, part]
        widths = np.broadcast_to(errors[:, None], centres.shape)
        if scales is not None:
            widths = widths * scales[folds, part]
        high[part] = np.partition(centres + widths, index - 1, axis=0)[index - 1]
        low[part] = np.partition(centres - widths, n - index, axis=0)[n - index]
    return low, high


def _check(predictions: Array, errors: Array, folds: NDArray[np.int64], scales: Array | None) -> None:
    if predictions.ndim not in (2, 3) or errors.shape[1:] != predictions.shape[2:]:
        raise ValueError(
            f"member predictions {predictions.shape} and residuals {errors.shape} do not fit: (K, m) goes with (n,), "
            "(K, m, n_outputs) with (n, n_outputs)."
        )
    if folds.shape != errors.shape[:1]:
        raise ValueError(f"{len(errors)} residuals but folds of the shape {folds.shape}: one for each site is needed.")
    if folds.size and not 0 <= folds.min() <= folds.max() < len(predictions):
        raise ValueError(f"a site is in fold {folds.max()}, but there are networks of {len(predictions)} folds.")
    if not np.isfinite(errors).all() or (errors < 0).any():
        raise ValueError("residuals must be finite and not negative: give |reference − out-of-fold prediction|.")
    if scales is not None and (scales.shape != predictions.shape or not (scales > 0).all()):
        raise ValueError("scales must be positive and of the shape of the member predictions.")


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

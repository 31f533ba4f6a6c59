"""Prediction intervals from out-of-fold residuals: CV+, and how well they cover.

Source: Barber, Candès, Ramdas, Tibshirani, Predictive inference with the jackknife+, Ann. Statist. 49 (2021) 486,
section 3 (CV+). For exchangeable sites the coverage is at least 1 − 2α − √(2/n) (their Theorem 4), and in practice near
1 − α. Sites of one configuration resemble each other and are not exchangeable with those of others: therefore folds are
of configurations, and what a new one may add to the unseen lies between 1/(n + 1) for n independent sites and
1/(G + 1) for G configurations whose sites all err alike (Lee, Barber, Willett, Distribution-free inference with
hierarchical data, arXiv:2306.06342). Where between is read from the residuals, each configuration left out in turn
(:func:`quantile_index`). The coverage is measured.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

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


def quantile_index(residuals: ArrayLike, groups: ArrayLike, coverage: float) -> NDArray[np.int64]:
    """Return which of the sorted residuals is the quantile, counted from 1, for each output; above n means ∞.

    The level is the least at which the quantile of the residuals of all other configurations holds 1 − α of those of
    the configuration that is left out, over all configurations. It is kept between :func:`order_index` for sites of
    independent errors and for configurations whose sites all err alike; where the latter is ∞ there are too few
    configurations to tell, and it is ∞ as well.

    :param residuals: not negative, shape (n, n_outputs).
    :param groups: configuration of each residual, shape (n,).
    :param coverage: 1 − α.
    :returns: shape (n_outputs,).
    """
    errors = np.asarray(residuals, dtype=float)
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    n, n_outputs = errors.shape
    least, most = order_index(n, coverage), order_index(n, coverage, len(names))
    if most > n:
        return np.full(n_outputs, most, dtype=np.int64)
    below = rankdata(errors, method="min", axis=0)
    for number in range(len(names)):
        rows = members == number
        below[rows] -= rankdata(errors[rows], method="min", axis=0)
    # the smallest quantile of the others that holds each residual
    needed = (below + 1) / (n - np.bincount(members))[members, None]
    exact = Fraction(coverage).limit_denominator(10**6)
    held = math.ceil(exact * n)
    level = np.partition(needed, held - 1, axis=0)[held - 1]
    return np.clip(np.ceil(level * n - 1e-9), least, most).astype(np.int64)


def cv_plus_interval(
    member_predictions: ArrayLike,
    residuals: ArrayLike,
    fold: ArrayLike,
    coverage: float,
    member_scales: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Return the CV+ interval of each new site.

    The upper end is the k-th smallest, k from :func:`quantile_index`, of the n numbers "prediction of the new site by
    the networks that have not seen site i, plus the residual of site i"; the lower end mirrors it.

    :param member_predictions: predictions of m new sites by the networks of each of K folds, shape (K, m) or
        (K, m, n_outputs).
    :param residuals: |reference − out-of-fold prediction| of the training sites, shape (n,) or (n, n_outputs); with
        ``member_scales`` each divided by the scale that the networks of its fold give to its site.
    :param fold: fold of each training site, shape (n,).
    :param coverage: 1 − α.
    :param member_scales: scale of the error of each new site by the networks of each fold, shape of
        ``member_predictions``: the residuals are multiplied by it (normalised variant).
    :param groups: configuration of each training site, shape (n,); each is its own when None.
    :returns: lower and upper ends, each of shape (m,) or (m, n_outputs). Each output has its own interval; they do not
        hold together with that probability. ±∞ where n is too small for the coverage.
    :raises ValueError: if shapes do not fit, a residual is negative or not finite, or a fold has no networks.
    """
    predictions, errors = np.asarray(member_predictions, dtype=float), np.asarray(residuals, dtype=float)
    folds = np.asarray(fold)
    scales = None if member_scales is None else np.asarray(member_scales, dtype=float)
    _check(predictions, errors, folds, scales)
    n, shape = len(errors), predictions.shape[1:]
    if errors.ndim == 1:
        predictions, errors = predictions[..., None], errors[:, None]
        scales = None if scales is None else scales[..., None]
    indices = quantile_index(errors, np.arange(n) if groups is None else groups, coverage)
    low, high = np.full(predictions.shape[1:], -np.inf), np.full(predictions.shape[1:], np.inf)
    for index in np.unique(indices[indices <= n]):
        outputs = np.flatnonzero(indices == index)
        chunk = max(1, _CHUNK // max(1, n * len(outputs)))
        for start in range(0, shape[0], chunk):
            part = slice(start, start + chunk)
            centres = predictions[:, part, outputs][folds]
            widths = np.broadcast_to(errors[:, None, outputs], centres.shape)
            if scales is not None:
                widths = widths * scales[:, part, outputs][folds]
            high[part, outputs] = np.partition(centres + widths, index - 1, axis=0)[index - 1]
            low[part, outputs] = np.partition(centres - widths, n - index, axis=0)[n - index]
    return low.reshape(shape), high.reshape(shape)


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

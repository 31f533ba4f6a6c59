"""Prediction intervals from errors that were left out.

*CV+*: Barber, Candès, Ramdas, Tibshirani, Predictive inference with the jackknife+, Ann. Statist. 49 (2021) 486,
section 3. For exchangeable sites the coverage is at least 1 − 2α − √(2/n) (their Theorem 4), in practice above 1 − α,
because each end carries the scatter of single networks twice: in the residual and in the centre. *CV* puts the ensemble
into the centre (their eq. 1.5, and the K folds of their section 3): narrower, without that guarantee. Either with
residuals that are scaled from one spectrum to the next (normalised conformal scores: Lei, G'Sell, Rinaldo, Tibshirani,
Wasserman, J. Am. Stat. Assoc. 113 (2018) 1094, section 5.2) or not.

Sites of one configuration resemble each other and are not exchangeable with those of others: therefore folds are of
configurations, and what a new one may add to the unseen lies between 1/(n + 1) for n independent sites and
1/(G + 1) for G configurations whose sites all err alike (Lee, Barber, Willett, Distribution-free inference with
hierarchical data, arXiv:2306.06342). Where between is read from the residuals, each configuration left out in turn
(:func:`quantile_index`). The coverage is measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from aiida_siox.learning.training.parameters import UncertaintySettings
from aiida_siox.learning.uncertainty.estimator import ESTIMATORS, Estimator
from aiida_siox.learning.uncertainty.left_out import LeftOut
from aiida_siox.registry import Registry

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Numbers that are sorted in one go at most.
_CHUNK = 2**24


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


class Calibrator(Protocol):
    """What makes intervals. Another package adds one under the entry points ``aiida_siox.calibrators``."""

    @classmethod
    def fit(cls, left_out: LeftOut, settings: UncertaintySettings) -> Self:
        """Learn from errors that were left out."""

    def suffice(self, coverage: float) -> bool:
        """Return whether there are enough of them for finite intervals of this coverage."""

    def interval(self, members: Array, spectra: Array, coverage: float) -> tuple[Array, Array]:
        """Return the ends of the intervals of m new spectra, each of shape (m, n_outputs).

        :param members: what the networks of each of K folds predict, shape (K, m, n_outputs).
        :param spectra: as the networks read them, shape (m, n_e).
        """

    def state(self) -> dict[str, Any]:
        """Return arrays and plain values, without nesting, that :meth:`from_state` takes."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Build from what :meth:`state` gave.

        :raises ValueError: if it does not fit.
        """


@dataclasses.dataclass(frozen=True)
class CvPlus:
    """Intervals around the prediction of each fold: CV+.

    :param residuals: absolute errors, divided by their scales where these are used, shape (n, n_outputs).
    :param fold: fold of each, shape (n,).
    :param group: configuration of each where these were left out as a whole, shape (n,).
    :param estimator: of the scales, with its name; None for the same width everywhere.
    """

    residuals: Array
    fold: Indices
    group: Indices
    estimator: tuple[str, Estimator] | None = None

    scaled: ClassVar[bool] = False
    centred: ClassVar[bool] = False

    @classmethod
    def fit(cls, left_out: LeftOut, settings: UncertaintySettings) -> Self:
        """Learn from errors that were left out, with the estimator of the settings if this one scales."""
        errors = left_out.errors
        if not cls.scaled or not len(errors):
            return cls(_kept(errors), left_out.fold, left_out.group)
        name = settings.estimator
        estimator = ESTIMATORS.named(name).fit(left_out, settings.options_of(name))
        return cls(_kept(errors / estimator.own()), left_out.fold, left_out.group, (name, estimator))

    @property
    def n_groups(self) -> int:
        """How many configurations there are that were left out, each as a whole."""
        return len(np.unique(self.group))

    def suffice(self, coverage: float) -> bool:
        """Return whether there are enough errors for finite intervals of this coverage."""
        return order_index(len(self.residuals), coverage, self.n_groups) <= len(self.residuals)

    def interval(self, members: Array, spectra: Array, coverage: float) -> tuple[Array, Array]:
        """Return the ends of the intervals of new spectra (see :class:`Calibrator`)."""
        if self.centred:
            members = np.broadcast_to(members.mean(axis=0), members.shape)
        scales = None if self.estimator is None else self.estimator[1].scales(members, spectra)
        return cv_plus_interval(members, self.residuals, self.fold, coverage, scales, self.group)

    def state(self) -> dict[str, Any]:
        """Return arrays and plain values that :meth:`from_state` takes."""
        own = {"residuals": self.residuals.astype(np.float32), "fold": self.fold, "group": self.group}
        if self.estimator is None:
            return own
        name, estimator = self.estimator
        return {**own, "estimator": name, **{f"estimator.{key}": value for key, value in estimator.state().items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Build from what :meth:`state` gave.

        :raises ValueError: if residuals, folds and groups do not fit.
        """
        residuals, fold, group = state["residuals"].astype(float), state["fold"], state["group"]
        if not len(residuals) == len(fold) == len(group) or not np.isfinite(residuals).all():
            raise ValueError("residuals, folds and groups do not fit")
        if "estimator" not in state:
            return cls(residuals, fold, group)
        name, start = state["estimator"], "estimator."
        own = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
        return cls(residuals, fold, group, (name, ESTIMATORS[name].from_state(own)))


class CvPlusScaled(CvPlus):
    """CV+ with widths that follow the estimator."""

    scaled = True


class CvScaled(CvPlus):
    """Intervals around the prediction of the ensemble, with widths that follow the estimator."""

    scaled = True
    centred = True


def _kept(errors: Array) -> Array:
    """Return errors with the precision that files keep."""
    return errors.astype(np.float32).astype(float)


CALIBRATORS: Registry[type[Calibrator]] = Registry("calibrator", "aiida_siox.calibrators")
CALIBRATORS.register("cv_plus", CvPlus)
CALIBRATORS.register("cv_plus_scaled", CvPlusScaled)
CALIBRATORS.register("cv_scaled", CvScaled)

"""How large the error of a spectrum is beside those of others: what the widths of scaled intervals follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from aiida_siox.learning.uncertainty.left_out import LeftOut
from aiida_siox.registry import Registry

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Estimator(Protocol):
    """What estimates scales of errors. Another package adds one under the entry points ``aiida_siox.estimators``."""

    @classmethod
    def fit(cls, left_out: LeftOut, options: Mapping[str, Any]) -> Self:
        """Learn from errors that were left out."""

    def own(self) -> Array:
        """Return the scale of each of these errors as if its fold were not known, positive, shape (n, n_outputs)."""

    def scales(self, members: Array, spectra: Array) -> Array:
        """Return scales of m new spectra by what has not seen each fold, positive, shape (K, m, n_outputs).

        :param members: what the networks of each of K folds predict, shape (K, m, n_outputs).
        :param spectra: as the networks read them, shape (m, n_e).
        """

    def state(self) -> dict[str, Any]:
        """Return arrays and plain values, without nesting, that :meth:`from_state` takes."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Build from what :meth:`state` gave."""


@dataclasses.dataclass(frozen=True)
class LocalResiduals:
    """Mean absolute error of the training sites with a similar prediction.

    A kernel average (Nadaraya, Theory Probab. Appl. 9 (1964) 141; Watson, Sankhyā A 26 (1964) 359), drawn towards the
    mean over all sites as if ``prior_sites`` more had that one. The error of a site is estimated from other folds.

    :param predicted: out of fold, shape (n, n_outputs).
    :param errors: absolute, shape (n, n_outputs).
    :param fold: of each site, shape (n,).
    :param bandwidth: standard deviation of the kernel as a part of the spread of the predictions.
    :param prior_sites: weight of the mean.
    """

    predicted: Array
    errors: Array
    fold: Indices
    bandwidth: float
    prior_sites: float

    @classmethod
    def fit(cls, left_out: LeftOut, options: Mapping[str, Any]) -> Self:
        """Learn from errors that were left out; ``bandwidth`` and ``prior_sites`` are options."""
        predicted = left_out.predicted.astype(np.float32).astype(float)
        errors = left_out.errors.astype(np.float32).astype(float)
        return cls(predicted, errors, left_out.fold, float(options["bandwidth"]), float(options["prior_sites"]))

    def own(self) -> Array:
        """Return the scale of each error, shape (n, n_outputs)."""
        scales = np.empty_like(self.errors)
        for k in np.unique(self.fold):
            scales[self.fold == k] = self._without(k, self.predicted[self.fold == k])
        return scales

    def scales(self, members: Array, spectra: Array) -> Array:
        """Return scales of new spectra, shape (K, m, n_outputs)."""
        return np.stack([self._without(k, each) for k, each in enumerate(members)])

    def _without(self, k: int, predicted: Array) -> Array:
        """Return scales at predictions (m, n_outputs) from the sites that are not in a fold."""
        known = self.predicted[self.fold != k]
        errors = self.errors[self.fold != k]
        spread = np.sqrt(((known - known.mean(axis=0)) ** 2).sum(axis=1).mean())
        width = self.bandwidth * (spread if spread > 0 else 1.0)
        weights = np.exp(-cdist(predicted, known, "sqeuclidean") / (2 * width**2))
        mean = errors.mean(axis=0)
        local = (weights @ errors + self.prior_sites * mean) / (weights.sum(axis=1) + self.prior_sites)[:, None]
        return np.where(mean > 0, local, 1.0)

    def state(self) -> dict[str, Any]:
        """Return arrays and plain values that :meth:`from_state` takes."""
        return {**vars(self), **{key: getattr(self, key).astype(np.float32) for key in ("predicted", "errors")}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Build from what :meth:`state` gave."""
        return cls(**{**state, **{key: state[key].astype(float) for key in ("predicted", "errors")}})


@dataclasses.dataclass(frozen=True)
class Constant:
    """The same scale everywhere.

    :param n_outputs: number of columns.
    :param n: number of errors.
    """

    n: int
    n_outputs: int

    @classmethod
    def fit(cls, left_out: LeftOut, options: Mapping[str, Any]) -> Self:
        """Take the shape."""
        return cls(*left_out.errors.shape)

    def own(self) -> Array:
        """Return ones, shape (n, n_outputs)."""
        return np.ones((self.n, self.n_outputs))

    def scales(self, members: Array, spectra: Array) -> Array:
        """Return ones, shape (K, m, n_outputs)."""
        return np.ones(members.shape)

    def state(self) -> dict[str, Any]:
        """Return plain values that :meth:`from_state` takes."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Build from what :meth:`state` gave."""
        return cls(**state)


ESTIMATORS: Registry[type[Estimator]] = Registry("estimator", "aiida_siox.estimators")
ESTIMATORS.register("constant", Constant)
ESTIMATORS.register("local_residuals", LocalResiduals)

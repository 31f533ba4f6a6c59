"""How unlike the spectra of training a spectrum is, with a threshold from held-out configurations.

Three statistics, each in units of its own quantile over sites of configurations that were held out; the score is the
largest of them:

- *residual*: what the principal components of training leave of the standardised spectrum (Q statistic; Jackson and
  Mudholkar, Technometrics 21 (1979) 341), root mean square. Noise, other elements.
- *distance*: Mahalanobis distance within the components, root mean square over them. Known shapes in unknown amounts:
  other units, other intensities.
- *axis*: edge position minus the one that the shape of the spectrum, aligned at its own edge, makes expect (by linear
  ridge regression). A wrong energy calibration: by the other two, silicon moved by +3 eV passes for a suboxide.

Spectra averaged over a configuration are not new: the averages of the training configurations are learned from, too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning.ridge import Scale, held_out_errors, inner_folds, rows_to_choose
from aiida_siox.learning.training.parameters import NoveltySettings
from aiida_siox.learning.uncertainty.calibrator import order_index
from aiida_siox.science.spectra import half_heights

Array = NDArray[np.float64]

#: What the columns of :meth:`NoveltyReference.statistics` are.
STATISTICS = ("residual", "distance", "axis")


@dataclasses.dataclass(frozen=True)
class _Shape:
    """Components and edges of training spectra: arrays that the statistics are made of."""

    mean: Array
    scale: Array
    components: Array
    variances: Array
    aligned: Array
    aligned_mean: Array
    aligned_scale: Array
    edge_mean: Array
    edge_weights: Array

    @classmethod
    def fit(
        cls, energy: Array, spectra: Array, groups: NDArray[np.generic], settings: NoveltySettings, seed: int
    ) -> _Shape:
        spectra, groups = _with_averages(spectra, groups)
        scale = Scale.of(spectra, settings.scale_floor)
        values, components = np.linalg.svd(scale(spectra), full_matrices=False)[1:]
        held = np.cumsum(values**2) / max(float((values**2).sum()), np.finfo(float).tiny)
        most = max(1, int(settings.components_per_site * len(spectra)))
        n_components = min(int(np.searchsorted(held, settings.variance)) + 1, most, len(values))
        variances = values[:n_components] ** 2 / len(spectra)
        variances = np.maximum(variances, 1e-12 * max(float(variances.max()), 1e-300))
        return cls(
            scale.centre,
            scale.spread,
            components[:n_components],
            variances,
            *_fit_axis(energy, spectra, groups, settings, seed),
        )

    def statistics(self, energy: Array, spectra: Array) -> Array:
        """Return the three statistics in their own units, shape (m, 3); infinite where there is no edge."""
        rows = (spectra - self.mean) / self.scale
        parts = rows @ self.components.T
        residual = np.sqrt(((rows - parts @ self.components) ** 2).mean(axis=1))
        distance = np.sqrt((parts**2 / self.variances).mean(axis=1))
        axis = np.zeros(len(spectra))
        if self.edge_weights.any():
            edges = _edges(energy, spectra)
            found = np.isfinite(edges)
            aligned = _align(energy, spectra[found], edges[found], self.aligned)
            expected = self.edge_mean + (aligned - self.aligned_mean) / self.aligned_scale @ self.edge_weights
            axis = np.full(len(spectra), np.inf)
            axis[found] = np.abs(edges[found] - expected)
        return np.column_stack([residual, distance, axis])


@dataclasses.dataclass(frozen=True)
class NoveltyReference:
    """What spectra are compared with. Build with :meth:`fit`.

    :param energy: eV, shape (n_e,).
    :param units: held-out quantile of each statistic, shape (3,): what they are divided by.
    :param threshold: scores above it are flagged.
    :param held_out: score of each training site, its configuration held out, shape (n,).
    """

    energy: Array
    units: Array
    threshold: float
    held_out: Array
    shape: _Shape

    @classmethod
    def fit(
        cls, energy: ArrayLike, spectra: ArrayLike, groups: ArrayLike, settings: NoveltySettings, seed: int
    ) -> NoveltyReference:
        """Learn what spectra look like.

        :param energy: increasing energies in eV, shape (n_e,).
        :param spectra: of the training sites, as the network sees them before scaling, shape (n, n_e).
        :param groups: configuration of each site, shape (n,): folds are of configurations.
        :param settings: 1 − ``quantile`` is the wanted rate of false alarms.
        :param seed: of the folds.
        :raises ValueError: if shapes do not fit or there are fewer than two sites.
        """
        energy, spectra = np.asarray(energy, dtype=float), _checked(energy, spectra)
        labels = np.asarray(groups)
        if len(labels) != len(spectra):
            raise ValueError(f"{len(spectra)} spectra but {len(labels)} configurations: one for each is needed.")
        if len(spectra) < 2:
            raise ValueError(f"{len(spectra)} spectra are too few to know what is new: at least two are needed.")
        fold = inner_folds(labels, settings.n_folds, seed)
        statistics = np.empty((len(spectra), len(STATISTICS)))
        for k in np.unique(fold):
            out = fold == k
            part = _Shape.fit(energy, spectra[~out], labels[~out], settings, seed)
            statistics[out] = part.statistics(energy, spectra[out])
        units = np.array([_quantile(column, settings.quantile) for column in statistics.T])
        units = np.where(np.isfinite(units) & (units > 0), units, 1.0)
        scores = (statistics / units).max(axis=1)
        shape = _Shape.fit(energy, spectra, labels, settings, seed)
        return cls(energy, units, _quantile(scores, settings.quantile), scores, shape)

    def statistics(self, spectra: ArrayLike) -> Array:
        """Return the statistics :data:`STATISTICS` in units of their held-out quantiles, shape (m, 3).

        :param spectra: on :attr:`energy`, shape (m, n_e).
        """
        return self.shape.statistics(self.energy, _checked(self.energy, spectra)) / self.units

    def score(self, spectra: ArrayLike) -> Array:
        """Return the score of each spectrum, shape (m,)."""
        return np.asarray(self.statistics(spectra).max(axis=1))

    def flagged(self, spectra: ArrayLike) -> NDArray[np.bool_]:
        """Return which spectra are unlike training, shape (m,)."""
        return np.asarray(self.score(spectra) > self.threshold)

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values that :meth:`from_state` takes."""
        arrays = {name: torch.from_numpy(np.array(value)) for name, value in vars(self.shape).items()}
        own = {name: torch.from_numpy(np.array(getattr(self, name))) for name in ("energy", "units", "held_out")}
        return {**own, "threshold": self.threshold, "shape": arrays}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> NoveltyReference:
        """Build from what :meth:`state` gave.

        :raises ValueError: if something is missing or does not fit.
        """
        try:
            own = {name: state[name].numpy() for name in ("energy", "units", "held_out")}
            shape = _Shape(**{name: tensor.numpy() for name, tensor in state["shape"].items()})
            return cls(**own, threshold=float(state["threshold"]), shape=shape)
        except (KeyError, TypeError, AttributeError) as exception:
            raise ValueError(
                f"not the state of a novelty score ({type(exception).__name__}: {exception})"
            ) from exception


def _checked(energy: ArrayLike, spectra: ArrayLike) -> Array:
    array, n_energies = np.asarray(spectra, dtype=float), np.asarray(energy).size
    if array.ndim != 2 or array.shape[1] != n_energies or not np.isfinite(array).all():
        raise ValueError(f"spectra must be finite and of the shape (n, {n_energies}), got {array.shape}.")
    return array


def _with_averages(spectra: Array, groups: NDArray[np.generic]) -> tuple[Array, NDArray[np.generic]]:
    """Append the mean of each configuration: the edge of a mean says less of its shape than that of a site."""
    names, counts = np.unique(groups, return_counts=True)
    several = names[counts > 1]
    means = [spectra[groups == name].mean(axis=0) for name in several]
    return np.concatenate([spectra, np.array(means).reshape(-1, spectra.shape[1])]), np.concatenate([groups, several])


def _quantile(values: Array, quantile: float) -> float:
    """Return the order statistic that a further exchangeable value exceeds with 1 − quantile; the largest of few."""
    index = min(order_index(len(values), quantile), len(values))
    return float(np.sort(values)[index - 1])


def _edges(energy: Array, spectra: Array) -> Array:
    """Return edge positions in eV, shape (n,), NaN where a spectrum begins above half of its maximum."""
    edges = np.full(len(spectra), math.nan)
    rising = spectra[:, 0] < spectra.max(axis=1) / 2
    if rising.any():
        edges[rising] = half_heights(energy, spectra[rising])
    return edges


def _align(energy: Array, spectra: Array, edges: Array, relative: Array) -> Array:
    """Return spectra at energies relative to their own edges; beyond the window they keep their last value."""
    rows = [np.interp(edge + relative, energy, row) for edge, row in zip(edges, spectra, strict=True)]
    return np.array(rows).reshape(len(spectra), len(relative))


def _fit_axis(
    energy: Array, spectra: Array, groups: NDArray[np.generic], settings: NoveltySettings, seed: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Return aligned energies, mean and scale of aligned spectra, mean edge, and weights (zero without edges)."""
    edges = _edges(energy, spectra)
    found = np.flatnonzero(np.isfinite(edges))
    if len(found) < settings.fewest_edges:
        return np.zeros(1), np.zeros(1), np.ones(1), np.zeros(()), np.zeros(1)
    edges, labels = edges[found], groups[found]
    step = settings.aligned_step_eV
    low = max(settings.aligned_eV[0], float(energy[0] - edges.min()))
    high = max(min(settings.aligned_eV[1], float(energy[-1] - edges.max())), low + 2 * step)
    relative = np.arange(low, high, step)
    aligned = _align(energy, spectra[found], edges, relative)
    scale, centre = Scale.of(aligned, settings.aligned_floor), edges.mean()
    columns = scale(aligned)
    rows = rows_to_choose(labels, settings.most_rows, seed)
    kernel = columns[rows] @ columns[rows].T / len(relative)
    errors = held_out_errors(
        kernel, (edges - centre)[rows, None], inner_folds(labels[rows], settings.n_folds, seed), settings.alphas
    )
    alpha = settings.alphas[int(errors.argmin())] * len(relative)
    normal = columns.T @ columns + alpha * np.eye(len(relative))
    weights = np.linalg.solve(normal, columns.T @ (edges - centre))
    return relative, scale.centre, scale.spread, np.asarray(centre), weights

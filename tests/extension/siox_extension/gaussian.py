"""A calibrator: intervals of normal errors, with the standard deviation of those that were left out."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.learning.training.parameters import UncertaintySettings
from aiida_siox.learning.uncertainty.left_out import LeftOut

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Intervals around the mean of all networks.

    :param sigma: standard deviation, shape (n_outputs,).
    """

    sigma: Array

    @classmethod
    def fit(cls, left_out: LeftOut, settings: UncertaintySettings) -> Gaussian:
        """Take the root mean square of the errors."""
        return cls(np.sqrt((left_out.errors**2).mean(axis=0)))

    def suffice(self, coverage: float) -> bool:
        """Return that any number of errors suffices."""
        return True

    def interval(self, members: Array, spectra: Array, coverage: float) -> tuple[Array, Array]:
        """Return both ends, each of shape (m, n_outputs)."""
        width = statistics.NormalDist().inv_cdf((1 + coverage) / 2) * self.sigma
        return members.mean(axis=0) - width, members.mean(axis=0) + width

    def state(self) -> dict[str, Any]:
        """Return what a file of a model keeps."""
        return {"sigma": self.sigma}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Gaussian:
        """Build from that."""
        return cls(np.asarray(state["sigma"], dtype=float))

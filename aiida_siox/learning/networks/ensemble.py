"""Networks of a cross-validation, kept together: what they predict, alone and in the mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning.networks.architecture import Architecture
from aiida_siox.learning.networks.layers import SpectrumNetwork
from aiida_siox.science.quantity import Kind, Quantity

Array = NDArray[np.float64]


def as_distribution(values: Array) -> Array:
    """Return values as fractions: negative ones are zero, and the sum over the last axis is one.

    :param values: shape (..., n_states).
    """
    positive = np.maximum(values, 0.0)
    total = positive.sum(axis=-1, keepdims=True)
    return np.where(total > 0, positive / np.where(total > 0, total, 1.0), 1.0 / values.shape[-1])


class Ensemble:
    """K × S networks: S seeds for each of the K folds that they have not fitted.

    :param networks: in the order of the folds, S each.
    :param quantity: what they read; fractions are made a distribution.
    """

    def __init__(self, networks: Sequence[Sequence[SpectrumNetwork]], quantity: Quantity) -> None:
        self.networks = [list(members) for members in networks]
        self.quantity = quantity

    @property
    def energy(self) -> Array:
        """Energies that the networks read, eV, shape (n_e,)."""
        return self.networks[0][0].energy_eV.numpy().astype(float)

    @property
    def architecture(self) -> Architecture:
        """Shape of each network."""
        return self.networks[0][0].architecture

    def single(self, spectra: ArrayLike) -> Array:
        """Return predictions of the first network alone, what a user of one network would get, shape (m, n_outputs)."""
        return self._predict(self.networks[0][0], spectra)

    def member_predictions(self, spectra: ArrayLike) -> Array:
        """Return the mean over the seeds for each fold.

        :param spectra: raw spectra on :attr:`energy`, shape (m, n_e).
        :returns: shape (K, m, n_outputs).
        """
        return np.stack([np.mean([self._predict(n, spectra) for n in fold], axis=0) for fold in self.networks])

    def predict(self, spectra: ArrayLike) -> Array:
        """Return the mean over all networks.

        :param spectra: raw spectra on :attr:`energy`, shape (m, n_e).
        :returns: shape (m, n_outputs).
        """
        return np.asarray(self.member_predictions(spectra).mean(axis=0))

    def _predict(self, network: SpectrumNetwork, spectra: ArrayLike) -> Array:
        with torch.no_grad():
            values = network(torch.as_tensor(np.asarray(spectra, dtype=float))).numpy()
        return as_distribution(values) if self.quantity.kind is Kind.FRACTIONS else values

    def normalise(self, spectra: ArrayLike) -> Array:
        """Return spectra divided by what the networks divide them by, shape (m, n_e)."""
        rows = torch.as_tensor(np.ascontiguousarray(spectra, dtype=float))
        return np.asarray(self.networks[0][0].normalise(rows).numpy())

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values that :meth:`from_state` takes."""
        return {
            "quantity": self.quantity.to_dict(),
            "architecture": self.architecture.plain(),
            "networks": [[network.state_dict() for network in members] for members in self.networks],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Ensemble:
        """Build from what :meth:`state` gave.

        :raises ValueError: if something is missing, does not fit or is not finite.
        """
        try:
            architecture = Architecture.parse(state["architecture"], "architecture")
            networks: list[list[SpectrumNetwork]] = []
            for members in state["networks"]:
                networks.append([])
                for entry in members:
                    network = SpectrumNetwork(architecture)
                    network.load_state_dict(entry)
                    networks[-1].append(network.eval())
            quantity = Quantity.from_dict(state["quantity"])
        except (KeyError, TypeError, AttributeError, RuntimeError) as exception:
            raise ValueError(f"not the state of an ensemble ({type(exception).__name__}: {exception})") from exception
        tensors = [t for members in networks for network in members for t in network.state_dict().values()]
        if not tensors or not all(bool(torch.isfinite(t).all()) for t in tensors):
            raise ValueError("the state of the ensemble is empty or holds numbers that are not finite.")
        return cls(networks, quantity)

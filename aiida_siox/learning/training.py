"""Training of one network on one split: Adam on the mean squared error, stopped early by validation sites."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aiida_siox.learning.metrics import mse
from aiida_siox.learning.networks import SpectrumNetwork
from aiida_siox.learning.parameters import Architecture, Hyperparameters
from aiida_siox.learning.splits import Split


@dataclasses.dataclass(frozen=True)
class Fit:
    """A trained network and how it came about.

    :param network: with the weights of the best epoch.
    :param history: loss of the fitted and of the validation sites after each epoch (scaled units), shape (epochs, 2).
    :param best_epoch: epoch whose weights were kept, counted from 1.
    """

    network: SpectrumNetwork
    history: NDArray[np.float64]
    best_epoch: int


@contextlib.contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Make torch deterministic inside the block, and leave its global state as it was."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])


def fit(
    energy: Tensor, spectra: Tensor, targets: Tensor, split: Split, architecture: Architecture, hyper: Hyperparameters
) -> Fit:
    """Train a network on the training part of a split. Test rows are never read.

    :param energy: energies in eV, shape (n_inputs,), float64.
    :param spectra: raw spectra, shape (n, n_inputs), float64.
    :param targets: e or g(R), shape (n, n_outputs), float64.
    :param split: rows to fit and rows that decide when to stop.
    :param architecture: shape of the network.
    :param hyper: everything else; ``seed`` sets weights and batches.
    :returns: the network with the weights of its best epoch.
    """
    with reproducible(hyper.seed, hyper.threads):
        network = SpectrumNetwork(architecture)
        network.set_grid(energy, hyper.post_edge_window_eV)
        rows, stop = torch.from_numpy(split.fit), torch.from_numpy(split.validation)
        network.fit_scalers(spectra[rows], targets[rows], hyper.scale_floor)
        inputs, wanted = network.scaled(spectra[rows]), _scaled_targets(network, targets[rows])
        stop_inputs, stop_wanted = network.scaled(spectra[stop]), _scaled_targets(network, targets[stop])
        optimiser = torch.optim.Adam(network.body.parameters(), lr=hyper.learning_rate, weight_decay=hyper.weight_decay)
        best, best_epoch, best_state = float("inf"), 0, copy.deepcopy(network.body.state_dict())
        history: list[tuple[float, float]] = []
        for epoch in range(1, hyper.epochs + 1):
            total = 0.0
            for batch in torch.randperm(len(rows)).split(hyper.batch_size):
                optimiser.zero_grad()
                loss = mse(network.body(inputs[batch]), wanted[batch])
                loss.backward()
                optimiser.step()
                total += float(loss.detach()) * len(batch)
            with torch.no_grad():
                stopping = float(mse(network.body(stop_inputs), stop_wanted))
            history.append((total / len(rows), stopping))
            if stopping < best:
                best, best_epoch = stopping, epoch
                best_state = copy.deepcopy(network.body.state_dict())
            elif epoch - best_epoch >= hyper.patience:
                break
        if best_epoch == 0:
            raise ValueError("the training diverged in its first epoch: lower `learning_rate`.")
        network.body.load_state_dict(best_state)
    return Fit(network.eval(), np.array(history), best_epoch)


def _scaled_targets(network: SpectrumNetwork, targets: Tensor) -> Tensor:
    return ((targets - network.output_mean) / network.output_scale).float()

"""Training of many networks of one shape together: weights stacked along a first axis, one batched product a layer.

Members (folds, seeds, windows) do not see each other: each has its rows, scalers, initial weights, order of batches and
early stopping. What is gained is the overhead of many small operations, which a loop pays for every member.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import leaky_relu, relu

from aiida_siox.learning.data.spectrum import Normalisation
from aiida_siox.learning.networks.architecture import Activation, Architecture
from aiida_siox.learning.networks.layers import SpectrumNetwork
from aiida_siox.learning.training.parameters import Hyperparameters

Indices = NDArray[np.int64]
Progress = Callable[[float], None]

#: Bytes that weights, gradients, moments and best weights of the members of one pass may take.
MEMORY_BYTES = 1.6e8
_COPIES = 5
#: Stopped members are taken out of the products when they are this part of what is computed.
_COMPACT_AT = 0.2


@dataclasses.dataclass(frozen=True)
class Job:
    """One network to train.

    :param fit: rows whose loss is minimised.
    :param stop: rows that decide when to stop; training rows, too.
    :param seed: of the initial weights and the order of the batches.
    :param learning_rate: of Adam.
    :param weight_decay: of Adam.
    :param columns: energies that it reads; all when None.
    """

    fit: Indices
    stop: Indices
    seed: int
    learning_rate: float
    weight_decay: float
    columns: Indices | None = None


@dataclasses.dataclass(frozen=True)
class Fit:
    """A trained network and how it came about.

    :param network: with the weights of the best epoch.
    :param history: loss of the fitted and of the stopping rows after each epoch (scaled units), shape (epochs, 2).
    :param best_epoch: epoch whose weights were kept, counted from 1.
    """

    network: SpectrumNetwork
    history: NDArray[np.float64]
    best_epoch: int

    @property
    def stop_loss(self) -> float:
        """Mean squared error of the stopping rows with the weights that were kept, in units of the target."""
        scale = float(self.network.output_scale)
        return float(self.history[self.best_epoch - 1, 1]) * scale**2


@contextlib.contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Make torch deterministic inside the block, and leave its global state as it was."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        torch.set_flush_denormal(True)  # moments of dead nodes decay to denormal numbers, which are slow
        try:
            yield
        finally:
            torch.set_flush_denormal(False)
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])


def fit_all(
    energy: Tensor,
    spectra: Tensor,
    targets: Tensor,
    jobs: Sequence[Job],
    architecture: Architecture,
    hyper: Hyperparameters,
    progress: Progress | None = None,
) -> list[Fit]:
    """Train a network for each job, as many together as fit and belong together. Other rows are never read.

    Jobs train together when they have the same number of batches, learning rate and weight decay.

    :param energy: energies in eV, shape (n_e,), float64.
    :param spectra: raw spectra, shape (n, n_e), float64.
    :param targets: shape (n, n_outputs), float64.
    :param jobs: what to train.
    :param architecture: shape of the networks; ``n_inputs`` is replaced for jobs that read some columns only.
    :param hyper: epochs, patience, batch size and threads.
    :param progress: called with the part of the jobs that is done.
    :returns: in the order of the jobs.
    :raises ValueError: if a training diverges.
    """
    results: dict[int, Fit] = {}
    with reproducible(hyper.seed, hyper.threads):
        for chunk in _chunks(jobs, architecture, hyper.batch_size):
            networks = [_network(energy, spectra, targets, jobs[i], architecture, hyper) for i in chunk]
            fits = _Pass(spectra, targets, [jobs[i] for i in chunk], networks, hyper).run()
            results.update(zip(chunk, fits, strict=True))
            if progress is not None:
                progress(len(results) / len(jobs))
    return [results[i] for i in range(len(jobs))]


def _chunks(jobs: Sequence[Job], architecture: Architecture, batch_size: int) -> list[list[int]]:
    """Return the numbers of the jobs that train together."""
    together: dict[tuple[int, float, float], list[int]] = {}
    for i, job in enumerate(jobs):
        key = (math.ceil(len(job.fit) / batch_size), job.learning_rate, job.weight_decay)
        together.setdefault(key, []).append(i)
    sizes = (architecture.n_inputs, *architecture.hidden, architecture.n_outputs)
    n_weights = sum(a * b + b for a, b in itertools.pairwise(sizes))
    most = max(1, int(MEMORY_BYTES / (4 * _COPIES * n_weights)))
    chunks: list[list[int]] = []
    for members in together.values():
        n_chunks = math.ceil(len(members) / most)
        chunks += [part.tolist() for part in np.array_split(np.array(members), n_chunks)]
    return chunks


def _network(
    energy: Tensor, spectra: Tensor, targets: Tensor, job: Job, architecture: Architecture, hyper: Hyperparameters
) -> SpectrumNetwork:
    """Return the untrained network of a job with its scalers."""
    torch.manual_seed(job.seed)
    rows = torch.from_numpy(job.fit)
    if job.columns is None:
        network = SpectrumNetwork(architecture)
        network.set_grid(energy, hyper.post_edge_window_eV)
        network.fit_scalers(spectra[rows], targets[rows], hyper.scale_floor)
        return network
    if architecture.normalisation is not Normalisation.NONE:
        raise ValueError("networks that read a part of the energies take spectra that are normalised already.")
    columns = torch.from_numpy(job.columns)
    network = SpectrumNetwork(architecture.model_copy(update={"n_inputs": len(columns)}))
    network.set_grid(energy[columns], hyper.post_edge_window_eV)
    network.fit_scalers(spectra[rows][:, columns], targets[rows], hyper.scale_floor)
    return network


def _linear(network: SpectrumNetwork, i: int) -> torch.nn.Linear:
    """Return a layer of weights."""
    layer = network.body[i]
    assert isinstance(layer, torch.nn.Linear)
    return layer


class _Pass:
    """Stacked weights of members with the same number of batches, and their training."""

    def __init__(
        self,
        spectra: Tensor,
        targets: Tensor,
        jobs: Sequence[Job],
        networks: Sequence[SpectrumNetwork],
        hyper: Hyperparameters,
    ) -> None:
        self.jobs, self.networks, self.hyper = jobs, networks, hyper
        architecture = networks[0].architecture
        self.activation = relu if architecture.activation is Activation.RELU else leaky_relu
        self.n_batches = math.ceil(len(jobs[0].fit) / hyper.batch_size)
        self.n_inputs = max(network.architecture.n_inputs for network in networks)
        self.inputs = [
            self._inputs(spectra, targets, job, network) for job, network in zip(jobs, networks, strict=True)
        ]
        self.stop = self._padded([self._rows(i, job.stop) for i, job in enumerate(jobs)])
        self.generators = [torch.Generator().manual_seed(job.seed) for job in jobs]
        self.weights = [w.requires_grad_() for w in self._stack()]
        self.best = [w.detach().clone() for w in self.weights]

    def _inputs(self, spectra: Tensor, targets: Tensor, job: Job, network: SpectrumNetwork) -> tuple[Tensor, Tensor]:
        """Return scaled inputs, padded with columns of zeros, and scaled targets of the rows that a job reads."""
        rows = torch.from_numpy(np.concatenate([job.fit, job.stop]))
        chosen = spectra[rows] if job.columns is None else spectra[rows][:, torch.from_numpy(job.columns)]
        scaled = network.scaled(chosen)
        padding = torch.zeros(len(rows), self.n_inputs - scaled.shape[1])
        wanted = ((targets[rows] - network.output_mean) / network.output_scale).float()
        return torch.cat([scaled, padding], dim=1), wanted

    def _rows(self, member: int, rows: Indices) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of the stopping rows of a member."""
        inputs, wanted = self.inputs[member]
        return inputs[-len(rows) :], wanted[-len(rows) :]

    @staticmethod
    def _padded(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        """Stack members of different length: inputs, targets, and weights of the rows that sum to one a member."""
        longest = max(len(inputs) for inputs, _ in parts)
        weights = torch.zeros(len(parts), longest, 1)
        inputs = torch.zeros(len(parts), longest, parts[0][0].shape[1])
        wanted = torch.zeros(len(parts), longest, parts[0][1].shape[1])
        for i, (x, y) in enumerate(parts):
            inputs[i, : len(x)], wanted[i, : len(y)] = x, y
            weights[i, : len(x)] = 1 / (len(x) * y.shape[1])
        return inputs, wanted, weights

    def _stack(self) -> list[Tensor]:
        """Return weights (member, in, out) and biases (member, 1, out) of every layer."""
        stacked = []
        for layer in range(0, len(self.networks[0].body), 2):
            matrices = []
            for network in self.networks:
                matrix = _linear(network, layer).weight.detach().T
                size = self.n_inputs if layer == 0 else len(matrix)
                matrices.append(torch.cat([matrix, torch.zeros(size - len(matrix), matrix.shape[1])]))
            biases = [_linear(network, layer).bias.detach()[None] for network in self.networks]
            stacked += [torch.stack(matrices), torch.stack(biases)]
        return stacked

    def _forward(self, inputs: Tensor) -> Tensor:
        values = inputs
        for i in range(0, len(self.weights), 2):
            values = torch.baddbmm(self.weights[i + 1], values, self.weights[i])
            if i + 2 < len(self.weights):
                values = self.activation(values)
        return values

    def run(self) -> list[Fit]:
        """Train until every member has stopped."""
        n = len(self.jobs)
        active = torch.arange(n)  # which member each row of the stacked weights is
        running = torch.ones(n, dtype=torch.bool)
        best = torch.full((n,), math.inf)
        best_epoch = torch.zeros(n, dtype=torch.long)
        history: list[list[tuple[float, float]]] = [[] for _ in range(n)]
        optimiser = self._optimiser()
        x_stop, y_stop, w_stop = self.stop
        sizes = torch.tensor([len(job.fit) for job in self.jobs])
        pairs = zip(self.inputs, self.jobs, strict=True)
        inputs, wanted, _ = self._padded([(x[: len(job.fit)], y[: len(job.fit)]) for (x, y), job in pairs])
        self.inputs = []
        for epoch in range(1, self.hyper.epochs + 1):
            orders = [torch.randperm(int(sizes[m]), generator=self.generators[m]) for m in active.tolist()]
            total = torch.zeros(len(active))
            for index, weight in self._batches(orders):
                member = torch.arange(len(active))[:, None]
                loss = ((self._forward(inputs[member, index]) - wanted[member, index]).square() * weight).sum(
                    dim=(1, 2)
                )
                optimiser.zero_grad()
                loss.sum().backward()
                optimiser.step()
                total += loss.detach() / self.n_batches
            with torch.no_grad():
                stopping = ((self._forward(x_stop) - y_stop).square() * w_stop).sum(dim=(1, 2))
                live = running[active]
                better = live & (stopping < best[active])
                chosen = active[better]
                best[chosen], best_epoch[chosen] = stopping[better], epoch
                for kept, weight in zip(self.best, self.weights, strict=True):
                    kept[chosen] = weight.detach()[better]
            for m, is_live, fitted, stopped in zip(
                active.tolist(), live.tolist(), total.tolist(), stopping.tolist(), strict=True
            ):
                if is_live:
                    history[m].append((fitted, stopped))
            running[active] &= epoch - best_epoch[active] < self.hyper.patience
            if not bool(running.any()):
                break
            keep = running[active]
            if float((~keep).float().mean()) >= _COMPACT_AT:
                active = active[keep]
                inputs, wanted, x_stop, y_stop, w_stop = (t[keep] for t in (inputs, wanted, x_stop, y_stop, w_stop))
                optimiser = self._compact(keep, optimiser)
        if bool((best_epoch == 0).any()):
            raise ValueError("the training diverged in its first epoch: lower `learning_rate`.")
        return self._results(history, best_epoch)

    def _batches(self, orders: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows (member, batch) and their weights, for batches of nearly equal size."""
        parts = [order.tensor_split(self.n_batches) for order in orders]
        n_outputs = self.weights[-1].shape[-1]
        for b in range(self.n_batches):
            lengths = torch.tensor([len(part[b]) for part in parts])
            index = torch.nn.utils.rnn.pad_sequence([part[b] for part in parts], batch_first=True)
            inside = torch.arange(index.shape[1])[None] < lengths[:, None]
            yield index, (inside / (lengths[:, None] * n_outputs))[..., None].float()

    def _optimiser(self) -> torch.optim.Adam:
        job = self.jobs[0]
        return torch.optim.Adam(self.weights, lr=job.learning_rate, weight_decay=job.weight_decay, fused=True)

    def _compact(self, keep: Tensor, old: torch.optim.Adam) -> torch.optim.Adam:
        """Take stopped members out of weights and moments."""
        states = [old.state[w] for w in self.weights]
        self.weights = [w.detach()[keep].requires_grad_() for w in self.weights]
        new = self._optimiser()
        for weight, state in zip(self.weights, states, strict=True):
            new.state[weight] = {
                "step": state["step"],
                "exp_avg": state["exp_avg"][keep],
                "exp_avg_sq": state["exp_avg_sq"][keep],
            }
        return new

    def _results(self, history: Sequence[Sequence[tuple[float, float]]], best_epoch: Tensor) -> list[Fit]:
        """Put the best weights into the networks."""
        fits = []
        for m, network in enumerate(self.networks):
            with torch.no_grad():
                for i in range(0, len(self.best), 2):
                    layer = _linear(network, i)
                    layer.weight.copy_(self.best[i][m, : layer.in_features].T)
                    layer.bias.copy_(self.best[i + 1][m, 0])
            fits.append(Fit(network.eval(), np.array(history[m]), int(best_epoch[m])))
        return fits

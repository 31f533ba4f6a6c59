"""How fast networks train together, against a loop, against scikit-learn, and against the arithmetic of the machine.

``python benchmarks/training.py [--sites FILE.npz] [--target valence] [--networks 25] [--epochs 200] [--threads 2]``:
the same networks, rows and numbers of epochs for everybody, one after another in one run; what counts are the ratios.
Without a file of sites (``SiteSet.to_npz``) the rows are synthetic. Needs scikit-learn (extra ``benchmarks``).
"""

from __future__ import annotations

import argparse
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor
from threadpoolctl import threadpool_limits
from torch import Tensor

from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.splits import site_folds
from aiida_siox.learning.networks.architecture import Architecture
from aiida_siox.learning.networks.layers import SpectrumNetwork
from aiida_siox.learning.training.loop import Job, fit_all, reproducible
from aiida_siox.learning.training.parameters import Hyperparameters
from aiida_siox.science.properties import PROPERTIES
from aiida_siox.workflows.training import TrainingProtocol


def synthetic(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return energies, smooth random spectra and a bent function of them: no physics."""
    generator = np.random.default_rng(0)
    energy = np.linspace(1830.0, 1880.0, 256)
    shapes = np.exp(-(((energy - np.linspace(1835, 1875, 12)[:, None]) / 4) ** 2))
    amounts = generator.random((n, 12))
    spectra = amounts @ shapes
    value = np.tanh(3 * (amounts[:, :1] - 0.5)) + amounts[:, 1:2] * amounts[:, 2:3]
    return torch.from_numpy(energy), torch.from_numpy(spectra), torch.from_numpy(value)


def loop(
    energy: Tensor, spectra: Tensor, targets: Tensor, jobs: list[Job], architecture: Architecture, hyper: Any
) -> list[Any]:
    """Train one network after another: torch modules, fused Adam, tensors in memory, no DataLoader."""
    networks = []
    with reproducible(hyper.seed, hyper.threads):
        for job in jobs:
            torch.manual_seed(job.seed)
            network = SpectrumNetwork(architecture)
            network.set_grid(energy, hyper.post_edge_window_eV)
            rows, stop = torch.from_numpy(job.fit), torch.from_numpy(job.stop)
            network.fit_scalers(spectra[rows], targets[rows], hyper.scale_floor)
            x, x_stop = network.scaled(spectra[rows]), network.scaled(spectra[stop])
            y, y_stop = (
                ((targets[part] - network.output_mean) / network.output_scale).float() for part in (rows, stop)
            )
            optimiser = torch.optim.Adam(network.body.parameters(), lr=job.learning_rate, fused=True)
            generator = torch.Generator().manual_seed(job.seed)
            best, kept = math.inf, [w.detach().clone() for w in network.body.parameters()]
            for _ in range(hyper.epochs):
                order = torch.randperm(len(rows), generator=generator)
                for batch in order.tensor_split(math.ceil(len(rows) / hyper.batch_size)):
                    optimiser.zero_grad()
                    (network.body(x[batch]) - y[batch]).square().mean().backward()
                    optimiser.step()
                with torch.no_grad():
                    loss = float((network.body(x_stop) - y_stop).square().mean())
                    if loss < best:
                        best = loss
                        for old, new in zip(kept, network.body.parameters(), strict=True):
                            old.copy_(new)
            with torch.no_grad():
                for old, new in zip(kept, network.body.parameters(), strict=True):
                    new.copy_(old)
            networks.append(network)
    return networks


def scikit(spectra: Tensor, targets: Tensor, jobs: list[Job], architecture: Architecture, hyper: Any) -> list[Any]:
    """Train scikit-learn's MLPRegressor, as many passes; it has no leaky ReLU, so ReLU."""
    networks = []
    for job in jobs:
        x, y = spectra[job.fit].numpy(), targets[job.fit].numpy()
        mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), hyper.scale_floor * x.std(axis=0).max())
        network = MLPRegressor(
            hidden_layer_sizes=architecture.hidden,
            alpha=0.0,
            batch_size=min(hyper.batch_size, len(x)),
            learning_rate_init=job.learning_rate,
            max_iter=hyper.epochs,
            n_iter_no_change=hyper.epochs,
            tol=0.0,
            random_state=job.seed,
        )
        with threadpool_limits(hyper.threads):
            network.fit(((x - mean) / scale).astype(np.float32), np.squeeze((y - y.mean(axis=0)) / y.std()))
        networks.append((network, mean, scale, y.mean(axis=0), y.std()))
    return networks


def clock(function: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a function gives and its seconds."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def peak(threads: int) -> float:
    """Return 1e9 floating-point operations a second of a large product of matrices with single precision."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    a = torch.rand(2048, 2048)
    a @ a
    start = time.perf_counter()
    for _ in range(5):
        a @ a
    seconds = time.perf_counter() - start
    torch.set_num_threads(before)
    return 5 * 2 * 2048**3 / seconds / 1e9


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=pathlib.Path)
    parser.add_argument("--target", default="valence")
    parser.add_argument("--networks", type=int, default=25)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=256, help="of the synthetic data")
    arguments = parser.parse_args()
    if arguments.sites is None:
        energy, spectra, targets = synthetic(arguments.rows)
        words = f"{arguments.rows} synthetic rows"
    else:
        sites = SiteSet.from_npz(arguments.sites)
        examples = sites.examples(arguments.target)
        energy, spectra, targets = (torch.from_numpy(a) for a in (examples.energy, examples.spectra, examples.targets))
        words = f"{len(sites)} sites"
    changes = {"epochs": arguments.epochs, "patience": arguments.epochs, "threads": arguments.threads}
    hyper = Hyperparameters.parse(TrainingProtocol.get_parameters(None, changes))
    architecture = hyper.architecture(PROPERTIES.named(arguments.target).quantity(), len(energy), targets.shape[1])
    jobs = []
    for seed in range(math.ceil(arguments.networks / 5)):
        fold = site_folds(len(spectra), 5, seed)
        jobs += [
            Job(np.flatnonzero(fold != k), np.flatnonzero(fold == k), 10 * seed + k, hyper.learning_rate, 0.0)
            for k in range(5)
        ]
    jobs = jobs[: arguments.networks]
    few = jobs[: max(1, len(jobs) // 5)]
    print(f"{len(jobs)} networks of the {arguments.target}, {words}, {hyper.epochs} epochs, {hyper.threads} threads")

    ceiling = peak(hyper.threads)
    fits, together = clock(lambda: fit_all(energy, spectra, targets, jobs, architecture, hyper))
    networks, one_by_one = clock(lambda: loop(energy, spectra, targets, jobs, architecture, hyper))
    regressors, sklearn_part = clock(lambda: scikit(spectra, targets, few, architecture, hyper))
    sklearn_seconds = sklearn_part * len(jobs) / len(few)

    def rmse(predict: Callable[[int, Job], Any], some: list[Job]) -> float:
        errors = [predict(i, job) - targets[job.stop].numpy() for i, job in enumerate(some)]
        return float(np.sqrt(np.mean(np.concatenate([e.ravel() for e in errors]) ** 2)))

    def of_regressor(i: int, job: Job) -> Any:
        network, mean, scale, centre, spread = regressors[i]
        values = network.predict((spectra[job.stop].numpy() - mean) / scale)
        return values.reshape(len(job.stop), -1) * spread + centre

    with torch.no_grad():
        errors = [
            rmse(lambda i, job: fits[i].network(spectra[job.stop]).numpy(), jobs),
            rmse(lambda i, job: networks[i](spectra[job.stop]).numpy(), jobs),
            rmse(of_regressor, few),
        ]
    weights = sum(w.numel() for w in fits[0].network.body.parameters())
    operations = sum(hyper.epochs * weights * (6 * len(job.fit) + 2 * len(job.stop)) for job in jobs) / 1e9
    print(f"{'':24}{'seconds':>9}{'ratio':>8}{'RMSE of left-out rows':>24}")
    for name, seconds, error in zip(
        ("together", "one after another", "scikit-learn"), (together, one_by_one, sklearn_seconds), errors, strict=True
    ):
        print(f"{name:24}{seconds:9.1f}{seconds / together:8.2f}{error:24.4f}")
    print(f"scikit-learn: {len(few)} networks, the seconds scaled to {len(jobs)}; last weights instead of the best")
    print(f"together: {operations / together:.0f} of {ceiling:.0f} GFLOP/s that a large product of matrices reaches")


if __name__ == "__main__":
    main()

"""Both networks at the paper's scale: 5,290 rows, five folds, fixed hyperparameters, 200 epochs.

``/usr/bin/time -v python benchmarks/paper_scale.py [--sites FILE.npz] [--rows 5290] [--epochs 200] [--threads 2]``
The rows are resampled from a file of sites (``SiteSet.to_npz``) with a little noise, or synthetic without one: what is
measured is time and memory, not skill.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import resource
import time

import numpy as np

from aiida_siox.learning.ensemble import Task, fit_ensembles
from aiida_siox.learning.parameters import Hyperparameters, Target
from aiida_siox.learning.sites import SiteSet
from aiida_siox.workflows.training import TrainingProtocol


def synthetic(n: int) -> SiteSet:
    """Return smooth random spectra and targets that bend with them: no physics."""
    generator = np.random.default_rng(0)
    energy, r = np.linspace(1830.0, 1880.0, 256), (np.arange(256) + 0.5) * 5 / 256
    shapes = np.exp(-(((energy - np.linspace(1835, 1875, 12)[:, None]) / 4) ** 2))
    amounts = generator.random((n, 12))
    peaks = np.exp(-(((r - np.linspace(1.5, 4.5, 12)[:, None]) / 0.2) ** 2))
    return SiteSet.checked(
        energy=energy,
        spectra=amounts @ shapes,
        valence=np.tanh(3 * (amounts[:, 0] - 0.5)),
        rdf=amounts**2 @ peaks,
        r=r,
        n_oxygen=np.zeros(n, dtype=int),
        site_index=np.arange(n),
        configuration=np.arange(n) % 45,
        formulas=["synthetic"] * 45,
        x=np.arange(45) % 9 / 4,
        digests=[str(i) for i in range(45)],
        complete=np.ones(45, dtype=bool),
        sigma_angstrom=0.15,
    )


def resampled(sites: SiteSet, n: int) -> SiteSet:
    """Return rows drawn with replacement, each spectrum with noise of 1 % of the spread."""
    generator = np.random.default_rng(0)
    drawn = sites.subset(generator.integers(0, len(sites), n))
    noise = generator.normal(0, 0.01 * sites.spectra.std(), drawn.spectra.shape)
    return dataclasses.replace(drawn, spectra=drawn.spectra + noise)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=5290)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.sites is None:
        sites, words = synthetic(arguments.rows), "synthetic"
    else:
        original = SiteSet.from_npz(arguments.sites)
        sites, words = resampled(original, arguments.rows), f"resampled from {len(original)}"
    changes = {"epochs": arguments.epochs, "patience": arguments.epochs, "threads": arguments.threads}
    hyper = Hyperparameters.from_dict(TrainingProtocol.get_parameters(None, changes))
    point = {"learning_rate": hyper.learning_rate, "weight_decay": hyper.weight_decay}
    print(f"{len(sites)} rows ({words}), {hyper.n_folds} folds, {hyper.epochs} epochs, {hyper.threads} threads")
    total = 0.0
    for target in (Target.VALENCE, Target.RDF):
        start = time.perf_counter()
        task = Task(np.arange(len(sites)), hyper.seed, grouped=False, point=point)
        fit_ensembles(sites.energy, sites.spectra, sites.targets(target), sites.groups, target, [task], hyper)
        seconds = time.perf_counter() - start
        total += seconds
        print(f"{target}: {seconds:.0f} s")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kB on Linux
    print(f"both: {total / 60:.1f} min, at most {memory:.2f} GiB")


if __name__ == "__main__":
    main()

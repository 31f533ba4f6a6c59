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

from aiida_siox.learning.data.examples import Examples
from aiida_siox.learning.data.sites import Configuration, SiteSet
from aiida_siox.learning.training.cross_validation import Task, fit_ensembles
from aiida_siox.learning.training.parameters import Hyperparameters
from aiida_siox.science.quantity import Axis
from aiida_siox.workflows.training import TrainingProtocol


def synthetic(n: int) -> SiteSet:
    """Return smooth random spectra and properties that bend with them: no physics."""
    generator = np.random.default_rng(0)
    energy, r = np.linspace(1830.0, 1880.0, 256), (np.arange(256) + 0.5) * 5 / 256
    shapes = np.exp(-(((energy - np.linspace(1835, 1875, 12)[:, None]) / 4) ** 2))
    amounts = generator.random((n, 12))
    peaks = np.exp(-(((r - np.linspace(1.5, 4.5, 12)[:, None]) / 0.2) ** 2))
    return SiteSet.checked(
        energy=energy,
        spectra=amounts @ shapes,
        properties={"valence": np.tanh(3 * (amounts[:, :1] - 0.5)), "rdf": amounts**2 @ peaks},
        axes={"rdf": Axis("r", "Å", tuple(r.tolist()))},
        site_index=np.arange(n),
        configuration=np.arange(n) % 45,
        configurations=[Configuration("synthetic", i % 9 / 4, str(i)) for i in range(45)],
    )


def resampled(examples: Examples, n: int) -> Examples:
    """Return rows drawn with replacement, each spectrum with noise of 1 % of the spread."""
    generator = np.random.default_rng(0)
    drawn = examples.subset(generator.integers(0, len(examples), n))
    noise = generator.normal(0, 0.01 * drawn.spectra.std(), drawn.spectra.shape)
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
        sites = SiteSet.from_npz(arguments.sites)
        words = f"resampled from {len(sites)}"
    changes = {"epochs": arguments.epochs, "patience": arguments.epochs, "threads": arguments.threads}
    hyper = Hyperparameters.parse(TrainingProtocol.get_parameters(None, changes))
    print(f"{arguments.rows} rows ({words}), {hyper.n_folds} folds, {hyper.epochs} epochs, {hyper.threads} threads")
    total = 0.0
    for target in ("valence", "rdf"):
        examples = sites.examples(target)
        if arguments.sites is not None:
            examples = resampled(examples, arguments.rows)
        start = time.perf_counter()
        task = Task(np.arange(len(examples)), hyper.seed, grouped=False, point=hyper.own_point)
        fit_ensembles(examples, [task], hyper)
        seconds = time.perf_counter() - start
        total += seconds
        print(f"{target}: {seconds:.0f} s")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # kB on Linux
    print(f"both: {total / 60:.1f} min, at most {memory:.2f} GiB")


if __name__ == "__main__":
    main()

"""Compare calibrators on the same networks: coverage and width of the intervals of configurations that were held out.

python docs/reference_data/describe.py --sites sites.npz
python benchmarks/intervals.py --sites sites.npz
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.splits import SplitKind
from aiida_siox.learning.training.parameters import Hyperparameters, choose
from aiida_siox.learning.training.scores import hold_out
from aiida_siox.learning.uncertainty.calibrator import CALIBRATORS
from aiida_siox.learning.uncertainty.evaluator import coverage_by_composition
from aiida_siox.learning.uncertainty.left_out import of_sites
from aiida_siox.workflows.analysis import AnalysisProtocol


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=pathlib.Path, required=True, help="sites of a data set as arrays")
    parser.add_argument("--targets", nargs="+", default=["valence", "rdf"])
    parser.add_argument("--protocol", default="balanced")
    parser.add_argument("--repetitions", type=int, help="with other folds each time; of the protocol when not given")
    parser.add_argument("--threads", type=int, help="of the protocol when not given")
    arguments = parser.parse_args()
    sites = SiteSet.from_npz(arguments.sites)
    changes = {} if arguments.threads is None else {"training": {"threads": arguments.threads}}
    parameters = AnalysisProtocol.get_parameters(arguments.protocol, changes)["uncertainty"]
    hyper = Hyperparameters.parse(parameters["training"])
    for target in arguments.targets:
        examples = sites.examples(target)
        n = arguments.repetitions or choose(parameters["n_repetitions"], examples.quantity, "n_repetitions")
        held = hold_out(examples, hyper, SplitKind.GROUPED, n, point=hyper.own_point)
        print(f"{target}: {len(examples)} sites, {n} repetitions, asked {hyper.coverage:.0%}", flush=True)
        for name, calibrator in CALIBRATORS.items():
            low, high = (np.full((n, *examples.targets.shape), np.nan) for _ in range(2))
            for i, repetition in enumerate(held):
                for split, trained in zip(repetition.splits, repetition.trained, strict=True):
                    spectra, ensemble = examples.spectra[split.test], trained.ensemble
                    fitted = calibrator.fit(of_sites(examples, trained), hyper.uncertainty)
                    ends = fitted.interval(
                        ensemble.member_predictions(spectra), ensemble.normalise(spectra), hyper.coverage
                    )
                    low[i, split.test], high[i, split.test] = (np.clip(e, *examples.quantity.limits) for e in ends)
            found = coverage_by_composition(
                low,
                high,
                examples.targets,
                group=examples.group,
                x=examples.x,
                n_bootstrap=parameters["n_bootstrap"],
                confidence=hyper.confidence,
                seed=hyper.seed,
            )
            whole = "{coverage:.3f} ({low:.3f} to {high:.3f}), mean width {mean_width:.3f}".format(**found)
            print(f"  {name}: {whole} {examples.quantity.unit}".removesuffix(" 1"))
            for x, coverage, least, most, width in found["by_x"]:
                print(f"    x = {x:4.2f}: {coverage:.2f} ({least:.2f} to {most:.2f}), width {width:.3f}")


if __name__ == "__main__":
    main()

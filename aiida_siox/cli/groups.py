"""Commands with commands of their own: ``run``, ``plan``, ``model``."""

from __future__ import annotations

import click

from aiida_siox.cli.lazy import Lazy, LazyGroup

RUN = {
    "melt-quench": Lazy("run", "melt_quench", "Melt and quench one cell of FORMULA, such as Si8O4."),
    "structures": Lazy("run", "structures", "Melt and quench cells until one of each seed is accepted; no spectra."),
    "structure": Lazy(
        "run", "structure", "Spectra, Bader valences and RDFs of the absorbers of a structure in a file."
    ),
    "dataset": Lazy("run", "dataset", "From compositions to a data set: melts and spectra."),
    "study": Lazy("run", "study", "From compositions to trained networks: melts, spectra, data set, models."),
    "atomic-data": Lazy("reference", "atomic_data", "Data sets of the elements and of the core hole, with ld1.x."),
    "calibration": Lazy(
        "reference", "calibration", "The shift to the measured axis, from the crystal of the material."
    ),
    "reference": Lazy("reference", "reference", "Reference crystals from coarse to fine, and the calibration."),
}
PLAN = {
    "study": Lazy("plan", "study", "Plan `run study` (`run dataset` costs the same)."),
    "structure": Lazy("plan", "structure", "Plan `run structure` of the structure in FILE."),
}
MODEL = {
    "export": Lazy("model", "export_model", "Write a model into one file that needs no AiiDA."),
    "import": Lazy("model", "import_model", "Store the model in a file as a node."),
    "card": Lazy("model", "card", "Print the card of a model: data, range, scores, limits."),
}


@click.group(cls=LazyGroup, lazy=RUN)
def run() -> None:
    """Run a WorkChain here, or leave it to the daemon with --submit.

    The exit code is 0 when everything was computed, 3 when the process failed or lost a part (a site, say), 1 or 2
    when it was not started.
    """


@click.group(cls=LazyGroup, lazy=PLAN, default="study")
def plan() -> None:
    """Say what a study costs before it runs: jobs, core hours, scratch, size of the repository.

    Takes the options of `run` and refuses what `run` refuses; nothing is stored or submitted. `aiida-siox plan` without
    a command means `plan study`. The training of the networks is not counted.
    """


@click.group(cls=LazyGroup, lazy=MODEL)
def model() -> None:
    """Give a model away as one file, take one in, or read its card."""

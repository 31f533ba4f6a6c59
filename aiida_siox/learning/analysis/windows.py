"""What each window of energies tells: figures 5, 6, S5 and S6 of the paper, with its random split."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.learning.analysis.common import Report, as_read, steps
from aiida_siox.learning.analysis.parameters import Windows
from aiida_siox.learning.analysis.results import PartResult
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.spectrum import Normalisation
from aiida_siox.learning.data.splits import SplitKind
from aiida_siox.learning.training.parameters import Hyperparameters, choose
from aiida_siox.learning.training.scores import hold_out_windows, score, site_rmse

Array = NDArray[np.float64]
#: What is kept of the scores of a window.
KEPT = ("rmse", "r2", "rmse_no_skill", "skill", "n_train", "n_test")


def run(sites: SiteSet, parameters: Windows, hyper: Hyperparameters, progress: Report) -> PartResult:
    """Score networks that read one window each."""
    # by the mean over the post-edge window, which a window of energies need not hold
    sites, hyper = as_read(sites, hyper), hyper.model_copy(update={"normalisation": Normalisation.NONE})
    names = [*parameters.names, "full"]
    limits = [*parameters.windows_eV, (sites.energy[0], sites.energy[-1])]
    columns = [energy_columns(sites.energy, low, high) for low, high in limits]
    arrays: dict[str, Any] = {"windows_eV": np.array(limits), "window_names": np.array(names)}
    scores: dict[str, Any] = {}
    step = steps(progress, len(parameters.targets))
    for t, target in enumerate(parameters.targets):
        examples = sites.examples(target)
        n_seeds = choose(parameters.n_seeds, examples.quantity, "n_seeds")
        every = hold_out_windows(
            examples,
            hyper,
            SplitKind.RANDOM,
            n_seeds,
            [*columns[:-1], None],
            point=hyper.own_point,
            progress=step(t, f"{target}: {len(names)} windows, {n_seeds} seeds"),
        )
        first = [held[0] for held in every]
        for name, held in zip(names, every, strict=True):
            entry = score(held, examples.targets, hyper.confidence)
            scores.setdefault(target, {})[name] = {key: entry[key] for key in KEPT}
        if examples.quantity.is_scalar:
            arrays[f"{target}_window_predicted"] = examples.stored(np.stack([h.predicted for h in first]))
            arrays[f"{target}_window_fitted"] = examples.stored(np.stack([h.fitted for h in first]))
        else:
            errors = np.stack([site_rmse(h.predicted, examples.targets) for h in first])
            arrays[f"{target}_window_site_rmse"] = examples.spread(errors)
    n_used = {target: len(entry["full"]["rmse"]["seeds"]) for target, entry in scores.items()}
    return PartResult(arrays, {"scores": scores, "n_seeds": n_used, "hyperparameters": hyper.own_point})


def energy_columns(energy: Array, low: float, high: float) -> NDArray[np.int64]:
    """Return the columns whose energy lies in [low, high), the last energy of all included.

    :param energy: increasing energies in eV, shape (n_e,).
    :raises ValueError: if there are fewer than two.
    """
    inside = (energy >= low - 1e-9) & ((energy < high - 1e-9) | (np.isclose(energy, energy[-1]) & (high >= energy[-1])))
    columns = np.flatnonzero(inside)
    if len(columns) < 2:
        raise ValueError(
            f"the window {low:g} to {high:g} eV holds {len(columns)} energies of the spectra, which cover "
            f"{energy[0]:.2f} to {energy[-1]:.2f} eV: give a wider one inside them."
        )
    return columns

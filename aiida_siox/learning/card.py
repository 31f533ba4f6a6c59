"""The model card: what a model was made from, how well it does, what it is for and what not."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aiida_siox import __version__
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.spectrum import Normalisation
from aiida_siox.learning.training.cross_validation import Trained
from aiida_siox.learning.training.parameters import Hyperparameters
from aiida_siox.learning.uncertainty.novelty import STATISTICS, NoveltyReference
from aiida_siox.science.plain import plain
from aiida_siox.science.quantity import Kind, Quantity

Array = NDArray[np.float64]

#: Keys of a description (what a data set says of itself) that belong to the intended range.
RANGE_KEYS = ("treatment", "gamma_eV", "sigma_angstrom", "shift_eV")


def normalisation_text(hyper: Hyperparameters) -> str:
    """Return what the model takes the absorption to be, as a sentence."""
    if hyper.normalisation is Normalisation.NONE:
        return "none: cross-section per absorber"
    low, high = hyper.post_edge_window_eV
    return f"divided by the mean from {low:g} to {high:g} eV"


def build_card(
    sites: SiteSet,
    target: str,
    hyper: Hyperparameters,
    trained: Trained,
    novelty: NoveltyReference,
    intensity: Array,
    *,
    scores: Mapping[str, Any],
    intervals: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the card of a model as plain values.

    :param sites: the data set.
    :param target: name of the property that was learned.
    :param hyper: how.
    :param trained: the ensemble.
    :param novelty: what tells unlike spectra.
    :param intensity: mean of each training spectrum before normalisation, shape (n_train,).
    :param scores: of what the networks left out, by what it is.
    :param intervals: what else there is to say of them, such as the mean width for sites and for averaged spectra.
    """
    examples = sites.examples(target).subset(trained.rows)
    owners, x, quantity = examples.configuration, examples.x, examples.quantity
    n_ligands = sites.n_ligands[examples.rows]
    grouped = all(len(np.unique(trained.fold[owners == i])) == 1 for i in np.unique(owners))
    return plain(
        {
            "target": target,
            "title": quantity.title,
            "unit": quantity.unit,
            "note": quantity.note,
            "data": {
                "n_sites": len(examples),
                "n_configurations": len(np.unique(examples.group)),
                "n_compositions": len(np.unique(x)),
                "sites_by_composition": {f"{value:.4f}": int((x == value).sum()) for value in np.unique(x)},
                "sites_by_n_ligands": {str(n): int((n_ligands == n).sum()) for n in np.unique(n_ligands) if n >= 0},
                "formulas": sorted({sites.formulas[i] for i in np.unique(owners)}),
            },
            "training": {
                "folds": "of configurations" if grouped else "of sites",
                "n_folds": len(trained.ensemble.networks),
                "networks_per_fold": len(trained.ensemble.networks[0]),
                "hyperparameters": trained.point,
                "architecture": trained.ensemble.architecture.plain(),
                "best_epochs": trained.best_epochs,
                "epochs": hyper.epochs,
                "batch_size": hyper.batch_size,
                "seed": hyper.seed,
                "threads": hyper.threads,
            },
            "scores": scores,
            "intervals": {"coverage": hyper.coverage, "method": hyper.uncertainty.plain(), **intervals},
            "novelty": {
                "threshold": novelty.threshold,
                "quantile": hyper.novelty.quantile,
                "statistics": list(STATISTICS),
            },
            "range": {
                "window_eV": [sites.energy[0], sites.energy[-1]],
                "max_step_eV": hyper.max_step_eV,
                "x": [x.min(), x.max()],
                "normalisation": normalisation_text(hyper),
                "intensity": [intensity.min(), intensity.max()],
                "intensity_factor": hyper.intensity_factor,
            },
            "limits": limits(quantity, hyper.normalisation, grouped),
            "versions": {
                "aiida_siox": __version__,
                "torch": str(torch.__version__),
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }
    )


def limits(quantity: Quantity, normalisation: Normalisation, grouped: bool) -> list[str]:
    """Return what a reader must not expect of a model."""
    texts = [
        "Trained on computed spectra of small cells of the formulas above: other elements and phases, hydrogen, "
        "defects by irradiation and interfaces are outside.",
        "Energies are on the calibrated axis. An axis that is off by 1 eV moves the result and is not always noticed.",
        "Intervals are for computed spectra, of one site or averaged over a configuration of training size; they hold "
        "on average over such spectra, not for each, and know nothing of the difference between computed and measured "
        "ones.",
    ]
    if normalisation is Normalisation.NONE:
        texts.append("Reads cross-sections per absorber: a spectrum that was normalised or measured is refused.")
    if quantity.note:
        texts.append(f"Values and errors of {quantity.title} hold for {quantity.note} only.")
    if quantity.kind is Kind.FRACTIONS and quantity.axis is not None:
        texts.append(f"Fractions add up to one; what lies beyond the last of {quantity.axis.name} counts as the last.")
    if not grouped:
        texts.append("Too few configurations to hold any out: scores and intervals are of sites, and too good.")
    return texts


def described(card: Mapping[str, Any], description: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card with what the data set says of itself.

    :param card: from :func:`build_card`.
    :param description: ``treatment``, ``gamma_eV`` and ``shift_eV`` go into the range, ``scores`` beside the own ones,
        everything else (digests, protocol) into ``data``.
    """
    known = plain(dict(description))
    scores = known.pop("scores", {})
    return {
        **card,
        "data": {**card["data"], **{key: value for key, value in known.items() if key not in RANGE_KEYS}},
        "range": {**card["range"], **{key: known[key] for key in RANGE_KEYS if key in known}},
        "scores": {**card["scores"], **scores},
    }


def render(card: Mapping[str, Any]) -> str:
    """Return a card as Markdown."""
    note = f", {card['note']}" if card["note"] else ""
    lines = [f"# Model of {card['target']}: {card['title']} ({card['unit']}{note})"]
    titles = {
        "data": "Data",
        "range": "Intended range",
        "training": "Training",
        "scores": f"Scores ({card['unit']})",
        "intervals": "Intervals",
        "novelty": "Novelty",
        "versions": "Versions",
    }
    for key, title in titles.items():
        lines += ["", f"## {title}", "", *(f"- {line}" for line in _entries(card[key]))]
    lines += ["", "## Limits", "", *(f"- {text}" for text in card["limits"]), ""]
    return "\n".join(lines)


def _entries(mapping: Mapping[str, Any], prefix: str = "") -> list[str]:
    entries = []
    for key, value in mapping.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            numbers = all(not isinstance(entry, Mapping | list) for entry in value.values())
            if numbers and value:
                entries.append(f"{name}: " + ", ".join(f"{k.replace('_', ' ')} {_text(v)}" for k, v in value.items()))
            else:
                entries += _entries(value, f"{prefix}{key}.")
        elif value is not None:
            entries.append(f"{name}: {_text(value)}")
    return entries


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        if len(value) > 12 or any(isinstance(entry, list | Mapping) for entry in value):
            return f"{len(value)} entries"
        return ", ".join(_text(entry) for entry in value)
    return "not known" if value is None else str(value)

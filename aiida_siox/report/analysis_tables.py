"""Tables of the report of an analysis, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aiida_siox.report.figures.analysis_common import VARIANTS, Parts, Source, estimate
from aiida_siox.report.figures.analysis_scores import METHODS, SPLITS, TARGETS, score_of
from aiida_siox.report.figures.parity import r2_words
from aiida_siox.report.page import number, signed

#: Numbers of a list in a model card that are written out.
MOST_NUMBERS = 12


def count_rows(source: Source) -> dict[str, Any]:
    """Return how many configurations and sites of each composition there are, and of which n_O."""
    sites, x = source.sites, source.site_x
    states = np.minimum(sites.n_oxygen, 5)
    rows = []
    for value in np.unique(np.asarray(sites.x)):
        mine = x == value
        owners = [i for i, other in enumerate(sites.x) if other == value]
        formulas = sorted({sites.formulas[i] for i in owners})
        total = sum(source.n_silicon[i] for i in owners)
        valence = number(float(sites.valence[mine].mean()), 3) if mine.any() else "–"
        rows.append(
            [
                f"{value:g}", ", ".join(formulas), str(len(owners)), str(sum(bool(sites.complete[i]) for i in owners)),
                f"{int(mine.sum())}/{total}", *(str(int((states[mine] == n).sum())) for n in range(6)), valence,
            ]
        )  # fmt: skip
    by_state = [str(int((states == n).sum())) for n in range(6)]
    n_averaged, total = int(np.sum(sites.complete)), sum(source.n_silicon)
    rows.append(
        [
            "all", "", str(len(sites.formulas)), str(n_averaged), f"{len(sites)}/{total}", *by_state,
            number(float(sites.valence.mean()), 3),
        ]
    )  # fmt: skip
    head = ["x", "Formulas", "Configurations", "Averaged", "Sites done", *(f"n_O = {n}" for n in range(5)), "n_O ≥ 5"]
    return {
        "head": [*head, "Mean valence (e)"],
        "rows": rows,
        "words": f"Sites of the data set {source.digest[:8]} by composition and number of O neighbours "
        f"({source.protocol}). Averaged: configurations with at least 95 % of their silicon sites.",
    }


def score_blocks(source: Source, parts: Parts) -> list[dict[str, Any]]:
    """Return a table for each target: networks, baselines and no skill below each other, splits side by side."""
    part = parts.get("splits")
    blocks: list[dict[str, Any]] = []
    if part is None:
        return blocks
    for target, name in TARGETS.items():
        found = part.find("scores", target) or {}
        kinds = [kind for kind in SPLITS if kind in found]
        if not kinds:
            continue
        rows = [["training / test sites", *(_counts(found[kind]) for kind in kinds)]]
        for method, (words, *_) in METHODS.items():
            values = [score_of(found[kind], method) for kind in kinds]
            if any(value is not None for value in values):
                rows.append([words, *("–" if value is None else value.words() for value in values)])
        r2, skill = ([estimate(found[kind].get(key)) for kind in kinds] for key in ("r2", "skill"))
        rows.append(["R² of the networks", *("–" if value is None else r2_words(value.mean) for value in r2)])
        rows.append(["skill of the networks", *("–" if value is None else number(value.mean, 2) for value in skill)])
        sigma = f", σ = {source.sites.sigma_angstrom:g} Å" if target == "rdf" else ""
        seeds = ", ".join(f"{kind} {part.seeds(target, kind)}" for kind in kinds)
        blocks.append(
            {
                "head": [f"RMSE of {name}{sigma}", *kinds],
                "rows": rows,
                "words": f"RMSE of {name}{sigma} on the test sites ({source.protocol}; {seeds}); in brackets the 90 % "
                "confidence interval of the mean over seeds. Composition: one composition left out at a time. "
                "Skill: 1 − RMSE / no skill.",
            }
        )
    return blocks


def _counts(scores: Mapping[str, Any]) -> str:
    """Return how many sites were learned from and how many tested."""
    return " / ".join(str(scores.get(key, "–")) for key in ("n_train", "n_test"))


def average_rows(source: Source, parts: Parts) -> dict[str, Any] | None:
    """Return the scores of averaged spectra, None where there is none."""
    part = parts.get("averages")
    rows = []
    for target, name in TARGETS.items():
        for variant, (_, words) in VARIANTS.items():
            scores = None if part is None else part.find("scores", target, variant)
            if not scores:
                continue
            cells = [estimate(scores.get(key)) for key in ("rmse", "r2", "rmse_no_skill", "total_variation")]
            rmse, r2, none, distance = cells
            bias = scores.get("bias")
            rows.append(
                [
                    name, words, "–" if rmse is None else rmse.words(), "–" if r2 is None else r2_words(r2.mean),
                    "–" if none is None else number(none.mean, 3), "–" if bias is None else signed(float(bias), 3),
                    "–" if distance is None else number(distance.mean, 3),
                ]
            )  # fmt: skip
    if part is None or not rows:
        return None
    return {
        "head": ["Target", "Networks", "RMSE", "R²", "No skill", "Bias", "Total variation"],
        "rows": rows,
        "words": f"Averaged spectra of configurations that were never in training ({source.protocol}, {part.seeds()}, "
        f"g(R) with σ = {source.sites.sigma_angstrom:g} Å).",
    }


def card_rows(target: str, model: Any) -> dict[str, Any]:
    """Return the card of a model as pairs of name and text.

    :param model: with a ``card`` (a dictionary, or a text), or a node with an attribute ``card``.
    """
    card = getattr(model, "card", None)
    if card is None and hasattr(model, "base"):
        card = model.base.attributes.get("card", None)
    pk = getattr(model, "pk", None)
    title = f"Model of the {TARGETS.get(target, target)}" + (f", PK {pk}" if pk else "")
    if isinstance(card, Mapping):
        return {"title": title, "rows": flattened(card)}
    return {"title": title, "rows": [("card", str(card) if card else "this model has none")]}


def flattened(card: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as pairs of ``a · b`` and text: a group of plain values in one row, long lists cut."""
    rows: list[tuple[str, str]] = []
    for key, value in card.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            if any(isinstance(entry, Mapping | list | tuple) for entry in value.values()):
                rows += flattened(value, f"{prefix}{key} · ")
            else:
                plain = [f"{k.replace('_', ' ')} {_text(v)}" for k, v in value.items() if v is not None]
                rows.append((name, ", ".join(plain) or "–"))
        elif value is not None:
            rows.append((name, _text(value)))
    return rows


def _text(value: Any) -> str:
    """Return a value of a card as text: four digits, lists of sentences one after another."""
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if not isinstance(value, list | tuple):
        return str(value)
    if len(value) > MOST_NUMBERS and not any(isinstance(entry, str) for entry in value):
        return f"{len(value)} numbers, {_text(value[0])} to {_text(value[-1])}"
    sentences = all(isinstance(entry, str) and entry.endswith(".") for entry in value)
    return (" " if sentences else ", ").join(_text(entry) for entry in value)

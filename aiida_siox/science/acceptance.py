"""How many melt-quenched cells were accepted, and what the others were rejected by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .composition import composition_x, parse_formula

NO_RESULT = "no_result"
"""Stands for the rules where the dynamics gave no cell."""


def attempts_of(formula: str, seeds: Sequence[int], qualities: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what came of the seeds that were tried for one configuration.

    :param qualities: of :func:`aiida_siox.science.quality.assess` by seed; a seed without one gave no cell.
    :returns: ``formula``, ``seeds`` in their order, ``accepted_seed`` or None, ``rejected_by`` with the rules by seed.
    """
    rejected: dict[str, list[str]] = {}
    accepted = None
    for seed in seeds:
        quality = qualities.get(seed)
        if quality is not None and quality["accepted"]:
            accepted = seed
        else:
            rejected[str(seed)] = [NO_RESULT] if quality is None else list(quality["rejected_by"])
    return {"formula": formula, "seeds": list(seeds), "accepted_seed": accepted, "rejected_by": rejected}


def count_acceptance(formulas: Sequence[str], attempts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count requested and accepted cells and attempts by formula.

    :param formulas: one for each configuration that was requested.
    :param attempts: of :func:`attempts_of`, those that there are.
    :returns: by formula ``x``, ``requested``, ``accepted``, ``attempts``, ``rate`` (accepted / attempts, None without
        attempts) and ``reasons`` (number of rejected cells by rule); in the order of the formulas under ``order``.
    """
    order = list(dict.fromkeys(formulas))
    counted: dict[str, Any] = {"order": order}
    for formula in order:
        mine = [entry for entry in attempts if entry["formula"] == formula]
        reasons: dict[str, int] = {}
        for entry in mine:
            for rules in entry["rejected_by"].values():
                for rule in rules:
                    reasons[rule] = reasons.get(rule, 0) + 1
        accepted = sum(entry["accepted_seed"] is not None for entry in mine)
        tried = sum(len(entry["seeds"]) for entry in mine)
        counted[formula] = {
            "x": composition_x(parse_formula(formula)),
            "requested": list(formulas).count(formula),
            "accepted": accepted,
            "attempts": tried,
            "rate": accepted / tried if tried else None,
            "reasons": reasons,
        }
    return counted

"""How many melt-quenched cells were accepted, and what the others were rejected by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida_siox.materials import Material

from .composition import parse_formula
from .quality import RULE_WORDS

DYNAMICS_BLEW_UP = "dynamics_blew_up"
"""Stands for the rules where there is no cell because the dynamics ran away."""
FAILED = "failed"
"""Stands for the rules where there is no cell because the job failed: an error of the engine, a walltime."""
#: What a table of the acceptance holds.
COLUMNS = ("formula", "x", "requested", "accepted", "cells made", "accepted / made", "not accepted: why")
#: What the rules, and what stands for them, are called in tables.
REASON_WORDS = {**RULE_WORDS, DYNAMICS_BLEW_UP: "dynamics blew up", FAILED: "job failed"}


def attempts_of(
    formula: str, seeds: Sequence[int], qualities: Mapping[int, Mapping[str, Any]], failed: Sequence[int] = ()
) -> dict[str, Any]:
    """Return what came of the seeds that were tried for one configuration.

    :param qualities: of :func:`aiida_siox.science.quality.assess` by seed; a seed without one gave no cell.
    :param failed: seeds without a cell whose job failed; the dynamics of the other ones blew up.
    :returns: ``formula``, ``seeds`` in their order, ``accepted_seed`` or None, ``rejected_by`` with the rules by seed.
    """
    rejected: dict[str, list[str]] = {}
    accepted = None
    for seed in seeds:
        quality = qualities.get(seed)
        if quality is not None and quality["accepted"]:
            accepted = seed
        else:
            no_cell = FAILED if seed in failed else DYNAMICS_BLEW_UP
            rejected[str(seed)] = [no_cell] if quality is None else list(quality["rejected_by"])
    return {"formula": formula, "seeds": list(seeds), "accepted_seed": accepted, "rejected_by": rejected}


def count_acceptance(
    formulas: Sequence[str], attempts: Sequence[Mapping[str, Any]], material: Material
) -> dict[str, Any]:
    """Count requested and accepted cells and attempts by formula.

    :param formulas: one for each configuration that was requested.
    :param attempts: of :func:`attempts_of`, those that there are.
    :returns: by formula ``x``, ``requested``, ``accepted``, ``attempts``, ``rate`` (accepted / attempts, None without
        attempts) and ``reasons`` (number of rejected cells by rule, and of attempts without a cell by what
        stands for the rules); in the order of the formulas under ``order``.
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
            "x": material.x(parse_formula(formula, material)),
            "requested": list(formulas).count(formula),
            "accepted": accepted,
            "attempts": tried,
            "rate": accepted / tried if tried else None,
            "reasons": reasons,
        }
    return counted


def none_accepted(formula: str, allowed: int, attempts: Sequence[Mapping[str, Any]]) -> str:
    """Return a formula without an accepted cell and what its attempts came to, in words.

    ``Si8O4 (3 of 5 attempts made: 2 rejected, 1 failed)``

    :param allowed: attempts that its configurations may have made together.
    :param attempts: of :func:`attempts_of`, those that there are.
    """
    tried = [rules for entry in attempts if entry["formula"] == formula for rules in entry["rejected_by"].values()]
    if not tried:
        return f"{formula} (none of {allowed} attempts came to an end)"
    blew_up, failed = tried.count([DYNAMICS_BLEW_UP]), tried.count([FAILED])
    counts = {"rejected": len(tried) - blew_up - failed, "blew up": blew_up, "failed": failed}
    words = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    return f"{formula} ({len(tried)} of {allowed} attempts made: {words})"


def acceptance_rows(counted: Mapping[str, Any]) -> list[list[str]]:
    """Return one row of text a formula, in the order of :data:`COLUMNS`.

    :param counted: of :func:`count_acceptance`.
    """
    rows = []
    for formula in counted["order"]:
        entry = counted[formula]
        reasons = ", ".join(f"{REASON_WORDS.get(rule, rule)} ({n})" for rule, n in entry["reasons"].items())
        numbers = [str(entry[key]) for key in ("requested", "accepted", "attempts")]
        rate = "-" if entry["rate"] is None else f"{entry['rate']:.0%}"
        rows.append([formula, f"{entry['x']:.3g}", *numbers, rate, reasons or "-"])
    return rows

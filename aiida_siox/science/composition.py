"""Chemical formulas of silicon suboxides: SiOₓ written as counts of a cell, such as ``Si8O4``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

SPECIES = ("Si", "O")


def parse_formula(formula: str) -> dict[str, int]:
    """Read the formula of a cell.

    :param formula: counts of Si and O in any order, such as ``Si8O4`` or ``Si14``.
    :returns: ``{'Si': 8, 'O': 4}``; both keys are always there.
    :raises ValueError: for another element, a count that is not a positive integer, or a formula without Si.
    """
    hint = "Write the counts of the cell as positive integers, for example `Si8O4` or `Si14`."
    if not isinstance(formula, str) or not formula.strip():
        raise ValueError(f"formula {formula!r} is empty or no text. {hint}")
    text = formula.strip()
    counts = dict.fromkeys(SPECIES, 0)
    position = 0
    for match in re.finditer(r"([A-Z][a-z]?)([-+]?[\d.]*)", text):
        if match.start() != position:
            break
        position = match.end()
        symbol, number = match.groups()
        if symbol not in SPECIES:
            raise ValueError(f"formula `{formula}` has the element {symbol}: only Si and O are possible. {hint}")
        if counts[symbol]:
            raise ValueError(f"formula `{formula}` names {symbol} twice. {hint}")
        if number and not re.fullmatch(r"\d+", number):
            raise ValueError(f"formula `{formula}` has the count {number} of {symbol}. {hint}")
        counts[symbol] = int(number) if number else 1
        if counts[symbol] == 0 and symbol == "Si":
            break
    if position != len(text) and counts["Si"]:
        raise ValueError(f"formula `{formula}` cannot be read from `{text[position:]}` on. {hint}")
    if position == 0:
        raise ValueError(f"formula `{formula}` cannot be read. {hint}")
    if counts["Si"] == 0:
        raise ValueError(f"formula `{formula}` has no Si: there would be no absorber. {hint}")
    return counts


def format_formula(counts: Mapping[str, int]) -> str:
    """Return the formula of counts, Si first, without species that are absent and without the count 1."""
    parts = []
    for symbol in SPECIES:
        number = int(counts.get(symbol, 0))
        if number:
            parts.append(symbol if number == 1 else f"{symbol}{number}")
    return "".join(parts)


def composition_x(counts: Mapping[str, int]) -> float:
    """Return x of SiOₓ.

    :raises ValueError: if there is no Si.
    """
    if not counts.get("Si", 0):
        raise ValueError("a composition without Si has no x in SiOₓ.")
    return counts.get("O", 0) / counts["Si"]


def validate_melt_formula(formula: str) -> dict[str, int]:
    """Read a formula for a melt-quench, which takes 0 ≤ x ≤ 2 and at least four atoms.

    :raises ValueError: naming the value and the remedy.
    """
    counts = parse_formula(formula)
    x = composition_x(counts)
    if x > 2:
        raise ValueError(
            f"formula `{formula}` has {x:g} O per Si, more than SiO2 can bind: take at most "
            f"{format_formula({'Si': counts['Si'], 'O': 2 * counts['Si']})}, or more Si."
        )
    if sum(counts.values()) < 4:
        factor = -(-6 // sum(counts.values()))
        larger = format_formula({symbol: factor * number for symbol, number in counts.items()})
        raise ValueError(
            f"formula `{formula}` has fewer than 4 atoms, too few to melt: take a multiple such as {larger}."
        )
    return counts


def at_composition(points: Sequence[Sequence[float]], x: float, what: str) -> float:
    """Return a value at a composition, linear between given points and constant outside.

    :param points: ``[x, value]`` with rising x.
    :param what: the value is, for messages: ``density in g/cm³``.
    :raises ValueError: if the points are not such pairs of numbers.
    """
    try:
        table = np.array(points, dtype=float)
    except (TypeError, ValueError):
        table = np.zeros(0)
    if table.ndim != 2 or table.shape[1] != 2 or not np.isfinite(table).all() or (np.diff(table[:, 0]) <= 0).any():
        raise ValueError(f"it must be pairs [x, {what}] with rising x, got {points!r}.")
    return float(np.interp(x, table[:, 0], table[:, 1]))

"""Chemical formulas as counts of a cell, absorber first, such as ``Si8O4``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from ase.data import atomic_numbers

from aiida_siox.materials import Material

#: Fewest atoms that can be melted, and of the multiple that is proposed in place of fewer.
LEAST_ATOMS, PROPOSED_ATOMS = 4, 6


def parse_formula(formula: str, material: Material) -> dict[str, int]:
    """Read the formula of a cell.

    :param formula: counts of the species in any order, such as ``Si8O4`` or ``Si14``.
    :returns: ``{'Si': 8, 'O': 4}``; every species of the material has its key, absorber first.
    :raises ValueError: for another element, a count that is not a positive integer, or a formula without absorber.
    """
    absorber, possible = material.absorber, " and ".join(material.elements)
    examples = [f"{absorber}8{material.others[0]}4"] * bool(material.others) + [f"{absorber}14"]
    example = " or ".join(f"`{word}`" for word in examples)
    hint = f"Write the counts of the cell as positive integers, for example {example}."
    if not isinstance(formula, str) or not formula.strip():
        raise ValueError(f"formula {formula!r} is empty or no text. {hint}")
    text = formula.strip()
    counts = dict.fromkeys(material.elements, 0)
    position = 0
    for match in re.finditer(r"([A-Z][a-z]?)([-+]?[\d.]*)", text):
        if match.start() != position:
            break
        position = match.end()
        symbol, number = match.groups()
        if symbol not in counts:
            raise ValueError(f"formula `{formula}` has the element {symbol}: only {possible} are possible. {hint}")
        if counts[symbol]:
            raise ValueError(f"formula `{formula}` names {symbol} twice. {hint}")
        if number and not re.fullmatch(r"\d+", number):
            raise ValueError(f"formula `{formula}` has the count {number} of {symbol}. {hint}")
        counts[symbol] = int(number) if number else 1
        if counts[symbol] == 0 and symbol == absorber:
            break
    if position != len(text) and counts[absorber]:
        raise ValueError(f"formula `{formula}` cannot be read from `{text[position:]}` on. {hint}")
    if position == 0:
        raise ValueError(f"formula `{formula}` cannot be read. {hint}")
    if counts[absorber] == 0:
        raise ValueError(f"formula `{formula}` has no {absorber}: there would be no absorber. {hint}")
    return counts


def formula_of_cell(symbols: Iterable[str]) -> str:
    """Return the formula of atoms of any material, heavy elements first: ``Si8O4``."""
    counts = Counter(symbols)
    return format_formula({symbol: counts[symbol] for symbol in sorted(counts, key=lambda s: -atomic_numbers[s])})


def format_formula(counts: Mapping[str, float]) -> str:
    """Return the formula of counts, in their order, without species that are absent and without the count 1."""
    return "".join(symbol if number == 1 else f"{symbol}{number:g}" for symbol, number in counts.items() if number)


def validate_melt_formula(formula: str, material: Material) -> dict[str, int]:
    """Read a formula for a melt-quench, which takes no more ligands than bind, and at least four atoms.

    :raises ValueError: naming the value and the remedy; for a material without a melt.
    """
    largest_x = material.melting.largest_x
    counts = parse_formula(formula, material)
    x, absorber = material.x(counts), material.absorber
    if x > largest_x:
        ligands = "/".join(material.ligands)
        most = {absorber: counts[absorber], material.ligands[0]: int(largest_x * counts[absorber])}
        raise ValueError(
            f"formula `{formula}` has {x:g} {ligands} per {absorber}, more than "
            f"{format_formula({absorber: 1, material.ligands[0]: largest_x})} can bind: take at most "
            f"{format_formula(most)}, or more {absorber}."
        )
    if sum(counts.values()) < LEAST_ATOMS:
        factor = -(-PROPOSED_ATOMS // sum(counts.values()))
        larger = format_formula({symbol: factor * number for symbol, number in counts.items()})
        raise ValueError(
            f"formula `{formula}` has fewer than {LEAST_ATOMS} atoms, too few to melt: take a multiple such as "
            f"{larger}."
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

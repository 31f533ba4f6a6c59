"""Numbers as text."""

from __future__ import annotations

import math


def number(value: float | None, decimals: int = 3, signed: bool = False) -> str:
    """Return a number as text, ``-`` for none."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:{'+' if signed else ''}.{decimals}f}"


def size_text(n_bytes: float) -> str:
    """Return bytes in a unit that suits them."""
    power = min(3, max(1, int(math.log10(max(n_bytes, 1.0)) // 3)))
    return f"{n_bytes / 1000**power:.3g} {('kB', 'MB', 'GB')[power - 1]}"


def duration(seconds: float) -> str:
    """Return seconds as ``1 h 05 min``, ``7 min 03 s`` or ``12 s``."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"

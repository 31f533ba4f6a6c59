"""Figures of the report: matplotlib's object-oriented interface only, from arrays, without any global state."""

from __future__ import annotations

from aiida_siox.report.figures.style import Picture

__all__ = ["Picture"]

"""Figures of the reports: matplotlib's object-oriented interface only, from arrays, without any global state."""

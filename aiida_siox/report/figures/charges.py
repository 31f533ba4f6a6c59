"""Bader valences by formal valence."""

from __future__ import annotations

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from aiida_siox.report.figures import style as st

Array = NDArray[np.float64]


def charge_figure(n_oxygen: Array, valence: Array, x: Array, note: str) -> str | None:
    """Draw the Bader valence of every site over its formal valence, coloured by composition; None without any.

    :param n_oxygen: number of O neighbours, shape (n,).
    :param valence: in e, shape (n,); NaN is left out.
    :param x: composition of the configuration of each site, shape (n,).
    :param note: protocol, for the corner.
    """
    known = np.isfinite(valence)
    if not known.any():
        return None
    n_oxygen, valence, x = n_oxygen[known].astype(int), valence[known], x[known]
    with st.style():
        figure = st.new_figure(7.4, 3.4)
        axes = figure.add_subplot()
        for n in np.unique(n_oxygen):
            rows = np.flatnonzero(n_oxygen == n)
            rows = rows[np.argsort(valence[rows], kind="stable")]
            spread = 0.26 * np.sin(2.39996 * np.arange(len(rows))) if len(rows) > 1 else np.zeros(len(rows))
            colours = [st.composition_colour(value) for value in x[rows]]
            size = 26 if len(valence) < 400 else 8
            axes.scatter(n + spread, valence[rows], s=size, c=colours, edgecolors="white", linewidths=0.4, zorder=3)
            mean = float(valence[rows].mean())
            axes.plot([n - 0.36, n + 0.36], [mean, mean], color=st.INK, lw=1.6, zorder=4)
            axes.text(n + 0.39, mean, f"{mean:.2f}", va="center", fontsize=7.5, color=st.INK)
        axes.plot([], [], color=st.INK, lw=1.6, label="mean of the group")
        axes.legend(loc="upper left")
        axes.set_xticks(range(int(n_oxygen.min()), max(int(n_oxygen.max()), 4) + 1))
        axes.set_xlim(int(n_oxygen.min()) - 0.6, max(int(n_oxygen.max()), 4) + 0.7)
        axes.set_xlabel("Formal valence: O neighbours of the Si site, $n_O$")
        axes.set_ylabel("Bader valence (e)")
        bar = figure.colorbar(ScalarMappable(Normalize(0, 2), st.COMPOSITION_MAP), ax=axes, pad=0.02, aspect=28)
        bar.set_label("x in SiO$_x$")
        bar.outline.set_visible(False)
        st.stamp(figure, note)
        return st.embed(figure)


def charge_rows(n_oxygen: Array, valence: Array) -> list[dict[str, float | int | None]]:
    """Return count, mean, standard deviation and range in e for each number of O neighbours."""
    known = np.isfinite(valence)
    rows: list[dict[str, float | int | None]] = []
    for n in np.unique(n_oxygen[known].astype(int)):
        group = valence[known & (n_oxygen == n)]
        rows.append(
            {
                "n_oxygen": int(n),
                "count": len(group),
                "mean": float(group.mean()),
                "std": float(group.std(ddof=1)) if len(group) > 1 else None,
                "low": float(group.min()),
                "high": float(group.max()),
            }
        )
    return rows

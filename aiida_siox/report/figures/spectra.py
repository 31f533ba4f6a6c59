"""Spectra by composition: single sites thin, averages thick."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from aiida_siox.report.figures import style as st

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class ConfigurationSpectra:
    """Spectra of one configuration on the axis of the figure.

    :param label: `<formula>_<seed>`.
    :param x: composition.
    :param energy: eV, shape (n_e,).
    :param sites: finished sites, shape (n_done, n_e).
    :param n_total: silicon sites of the cell.
    :param average: mean over all sites, shape (n_e,), None below 95 % finished.
    """

    label: str
    x: float
    energy: Array
    sites: Array
    n_total: int
    average: Array | None


def averaged_figure(
    entries: list[ConfigurationSpectra], axis: str, window: tuple[float, float], note: str
) -> str | None:
    """Draw the averaged spectra of all configurations, coloured by composition; None when there is none."""
    drawn = [entry for entry in entries if entry.average is not None]
    if not drawn:
        return None
    factor, unit = st.scale_of(max(float(entry.average.max()) for entry in drawn if entry.average is not None))
    with st.style():
        figure = st.new_figure(7.4, 3.6)
        axes = figure.add_subplot()
        for entry in drawn:
            axes.plot(entry.energy, factor * np.asarray(entry.average), color=st.composition_colour(entry.x), lw=1.5)
        axes.set_xlim(*window)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(axis)
        axes.set_ylabel(f"Cross-section per Si ({unit})")
        bar = figure.colorbar(ScalarMappable(Normalize(0, 2), st.COMPOSITION_MAP), ax=axes, pad=0.02, aspect=28)
        bar.set_label("x in SiO$_x$")
        bar.outline.set_visible(False)
        for x in sorted({entry.x for entry in drawn}):
            bar.ax.axhline(min(x, 2), color="white", lw=1.4)
        st.stamp(figure, note)
        return st.embed(figure)


def site_figure(entries: list[ConfigurationSpectra], axis: str, window: tuple[float, float], note: str) -> str | None:
    """Draw a panel for each composition: every finished site thin, averages thick; None without any site."""
    entries = [entry for entry in entries if len(entry.sites)]
    if not entries:
        return None
    compositions = sorted({entry.x for entry in entries})
    columns = st.columns_for(len(compositions))
    rows = -(-len(compositions) // columns)
    many = sum(len(entry.sites) for entry in entries) > 150
    top = max(
        float(np.nanmax(entry.sites[:, (entry.energy >= window[0]) & (entry.energy <= window[1])])) for entry in entries
    )
    factor, unit = st.scale_of(top)
    with st.style():
        figure = st.new_figure(7.4, max(0.7 + 2.15 * rows, 3.2))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, x in zip(grid.flat, compositions, strict=False):
            colour = st.composition_colour(x)
            mine = [entry for entry in entries if entry.x == x]
            for entry in mine:
                panel.plot(entry.energy, factor * entry.sites.T, color=colour, lw=0.6, alpha=0.45, rasterized=many)
                if entry.average is not None:
                    panel.plot(entry.energy, factor * entry.average, color="white", lw=3.2)
                    panel.plot(entry.energy, factor * entry.average, color=colour, lw=2.0)
            done, total = sum(len(entry.sites) for entry in mine), sum(entry.n_total for entry in mine)
            panel.set_title(f"{st.composition_name(x)}   {done}/{total} sites")
            panel.plot([], [], color=colour, lw=0.8, alpha=0.6, label="sites")
            if any(entry.average is not None for entry in mine):
                panel.plot([], [], color=colour, lw=2.0, label="averaged")
            panel.legend(loc="upper right", handlelength=1.4)
        grid[0, 0].set_xlim(*window)
        grid[0, 0].set_ylim(0, 1.05 * factor * top)
        st.label_last_rows(grid, len(compositions))
        figure.supxlabel(axis, fontsize=9)
        figure.supylabel(f"Cross-section per Si ({unit})", fontsize=9)
        st.stamp(figure, note)
        return st.embed(figure)

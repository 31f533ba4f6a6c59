"""Spectra of a data set: averages by composition (the paper's Fig. 2) and the sites behind them (Fig. S3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from aiida_siox.learning.parameters import Target
from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.analysis_common import (
    WIDTH,
    Drawing,
    NotDrawn,
    Parts,
    Source,
    composition_handles,
    grid_shape,
    head,
    plural,
)

N_WINDOWS = 8


def energy_windows(source: Source, parts: Parts) -> list[tuple[str, float, float]]:
    """Return the narrow windows with their letters: those of the analysis, else eight equal ones as in the paper."""
    if "windows" in parts and {"windows_eV", "window_names"} <= set(parts["windows"].arrays):
        arrays = parts["windows"].arrays
        pairs = zip(arrays["window_names"], arrays["windows_eV"], strict=True)
        found = [(str(name), float(low), float(high)) for name, (low, high) in pairs if len(str(name)) == 1]
        if found:
            return found
    edges = np.linspace(source.sites.energy[0], source.sites.energy[-1], N_WINDOWS + 1)
    return [(letter, float(a), float(b)) for letter, a, b in zip("abcdefgh", edges[:-1], edges[1:], strict=True)]


def mark_windows(axes: Axes, windows: list[tuple[str, float, float]]) -> None:
    """Draw the borders of the windows, and their letters along the top."""
    for number, (letter, low, high) in enumerate(windows):
        if number % 2 == 0:
            axes.axvspan(low, high, color="#f3f5f7", lw=0, zorder=0)
        axes.text(
            (low + high) / 2, 0.985, letter, transform=axes.get_xaxis_transform(), ha="center", va="top",
            fontsize=8.5, fontweight="bold", color=st.MUTED,
        )  # fmt: skip


def averaged_spectra(source: Source, parts: Parts) -> Drawing:
    """Draw the averaged spectrum of every complete configuration, coloured by composition, with the windows a–h.

    :raises NotDrawn: if no configuration is complete.
    """
    sites = source.sites
    averages = sites.averaged(Target.VALENCE)
    if not len(averages.configuration):
        raise NotDrawn("no configuration has 95 % of its silicon sites, so there is no averaged spectrum")
    factor, unit = st.scale_of(float(averages.spectra.max()))
    order = np.argsort(sites.x[averages.configuration], kind="stable")
    note = source.note(f"{len(order)} averaged")
    with st.style():
        figure = st.new_figure(WIDTH, 3.7)
        axes = figure.add_subplot()
        for row in order:
            x = float(sites.x[averages.configuration[row]])
            axes.plot(sites.energy, factor * averages.spectra[row], color=st.composition_colour(x), lw=1.1)
        mark_windows(axes, energy_windows(source, parts))
        axes.grid(visible=False, axis="x")
        axes.set_xlim(sites.energy[0], sites.energy[-1])
        axes.set_ylim(0, 1.12 * factor * float(averages.spectra.max()))
        axes.set_xlabel(source.axis)
        axes.set_ylabel(f"Cross-section per Si ({unit})")
        handles = composition_handles([float(x) for x in sites.x[averages.configuration]])
        figure.legend(handles=handles, loc="outside right center", handlelength=1.3, labelspacing=0.45)
        head(figure, note)
    columns: dict[str, Any] = {"energy, calibrated (eV)": sites.energy}
    for row in order:
        configuration = averages.configuration[row]
        heading = f"{source.labels[configuration]}, x = {sites.x[configuration]:g} (arb. units)"
        columns[heading] = averages.spectra[row]
    return Drawing(figure, {"": columns}, note)


def site_spectra(source: Source, parts: Parts) -> Drawing:
    """Draw a panel for each composition: the spectra of its sites thin, the averages of its configurations thick."""
    sites = source.sites
    if not len(sites):
        raise NotDrawn("the data set has no site")
    averages = sites.averaged(Target.VALENCE)
    compositions = sorted({float(x) for x in source.site_x})
    rows, columns = grid_shape(len(compositions))
    factor, unit = st.scale_of(float(sites.spectra.max()))
    note = source.note()
    many = len(sites) > 150
    with st.style():
        figure = st.new_figure(WIDTH, max(0.75 + 1.75 * rows, 3.1))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, x in zip(grid.flat, compositions, strict=False):
            mine = np.flatnonzero(source.site_x == x)
            thin_lines = factor * sites.spectra[mine].T
            axes.plot(sites.energy, thin_lines, color=st.composition_colour(x), lw=0.5, alpha=0.5, rasterized=many)
            thick = [i for i, owner in enumerate(averages.configuration) if sites.x[owner] == x]
            for i in thick:
                axes.plot(sites.energy, factor * averages.spectra[i], color="white", lw=2.4)
                axes.plot(sites.energy, factor * averages.spectra[i], color=st.INK, lw=1.2)
            total = sum(n for n, other in zip(source.n_silicon, sites.x, strict=True) if other == x)
            axes.set_title(f"{st.composition_name(x)}   {len(mine)}/{plural(total, 'site')}", fontsize=8.5)
        st.label_last_rows(grid, len(compositions))
        grid[0, 0].set_xlim(sites.energy[0], sites.energy[-1])
        grid[0, 0].locator_params(axis="x", nbins=4)
        grid[0, 0].set_ylim(0, 1.04 * factor * float(sites.spectra.max()))
        figure.supxlabel(source.axis, fontsize=9)
        figure.supylabel(f"Cross-section per Si ({unit})", fontsize=9)
        thin = Line2D([], [], color=st.MUTED, lw=0.6, label="single sites (coloured by x)")
        average = Line2D([], [], color=st.INK, lw=1.4, label="average of a configuration")
        head(figure, note, [thin, average], ncols=2)
    everything = np.arange(len(sites))
    table: dict[str, Any] = dict(source.site_columns(everything))
    for column, energy in enumerate(sites.energy):
        table[f"{energy:.4f} eV (arb. units)"] = sites.spectra[:, column]
    return Drawing(figure, {"": table}, note)

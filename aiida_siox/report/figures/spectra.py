"""Spectra by composition: averages (the paper's Fig. 2) and the sites behind them (Fig. S3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st
from aiida_siox.report.records import NotDrawn, Parts, SiteRecords, plural

N_WINDOWS = 8
Windows = Sequence[tuple[str, float, float]]


def energy_windows(records: SiteRecords, parts: Parts) -> Windows:
    """Return the narrow windows with their letters: those of the analysis, else eight equal ones as in the paper."""
    if "windows" in parts and {"windows_eV", "window_names"} <= set(parts["windows"].arrays):
        arrays = parts["windows"].arrays
        pairs = zip(arrays["window_names"], arrays["windows_eV"], strict=True)
        found = [(str(name), float(low), float(high)) for name, (low, high) in pairs if len(str(name)) == 1]
        if found:
            return found
    edges = np.linspace(records.energy[0], records.energy[-1], N_WINDOWS + 1)
    return [(letter, float(a), float(b)) for letter, a, b in zip("abcdefgh", edges[:-1], edges[1:], strict=True)]


def mark_windows(axes: Axes, windows: Windows) -> None:
    """Draw the borders of the windows, and their letters along the top."""
    for number, (letter, low, high) in enumerate(windows):
        if number % 2 == 0:
            axes.axvspan(low, high, color="#f3f5f7", lw=0, zorder=0)
        axes.text(
            (low + high) / 2, 0.985, letter, transform=axes.get_xaxis_transform(), ha="center", va="top",
            fontsize=8.5, fontweight="bold", color=st.MUTED,
        )  # fmt: skip


def averaged_spectra(records: SiteRecords, windows: Windows = ()) -> Drawing:
    """Draw the averaged spectrum of every complete configuration, coloured by composition.

    :param windows: that are marked.
    :raises NotDrawn: if no configuration is complete.
    """
    rows, spectra = records.averages()
    if not len(rows):
        raise NotDrawn(f"no configuration has 95 % of its {records.element} sites, so there is no averaged spectrum")
    factor, unit = st.scale_of(float(spectra.max()))
    order = np.argsort(records.x[rows], kind="stable")
    note = records.note(f"{len(order)} averaged")
    with st.style():
        figure = st.new_figure(st.WIDTH, 3.7)
        axes = figure.add_subplot()
        for i in order:
            axes.plot(records.energy, factor * spectra[i], color=st.composition_colour(records.x[rows[i]]), lw=1.1)
        mark_windows(axes, windows)
        axes.grid(visible=False, axis="x")
        axes.set_xlim(records.energy[0], records.energy[-1])
        axes.set_ylim(0, 1.12 * factor * float(spectra.max()))
        axes.set_xlabel(records.axis)
        axes.set_ylabel(f"Cross-section per {records.element} ({unit})")
        figure.legend(
            handles=st.composition_handles(records, rows), loc="outside right center", handlelength=1.3,
            labelspacing=0.45,
        )  # fmt: skip
        st.head(figure, note)
    cells = [records.cells[i] for i in rows]
    columns: dict[str, Any] = {"energy (eV)": records.energy}
    columns |= {f"{cells[i].label}, x = {cells[i].x:g} (arb. units)": spectra[i] for i in order}
    return Drawing(figure, {"": columns}, note)


def site_spectra(records: SiteRecords) -> Drawing:
    """Draw a panel for each composition: the spectra of its sites thin, the averages of its configurations thick."""
    if not len(records):
        raise NotDrawn("no site has a spectrum")
    complete, averages = records.averages()
    compositions = sorted({float(x) for x in records.site_x})
    n_rows, n_columns = st.grid_shape(len(compositions))
    highest = float(records.spectra.max())
    factor, unit = st.scale_of(highest)
    note = records.note()
    with st.style():
        figure = st.new_figure(st.WIDTH, max(0.75 + 1.75 * n_rows, 3.1))
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for axes, x in zip(grid.flat, compositions, strict=False):
            mine = np.flatnonzero(records.site_x == x)
            axes.plot(
                records.energy, factor * records.spectra[mine].T, color=st.composition_colour(x), lw=0.5, alpha=0.5,
                rasterized=len(records) > 150,
            )  # fmt: skip
            for average in averages[records.x[complete] == x]:
                axes.plot(records.energy, factor * average, color="white", lw=2.4)
                axes.plot(records.energy, factor * average, color=st.INK, lw=1.2)
            total = sum(cell.n_absorbers for cell in records.cells if cell.x == x)
            st.title(axes, f"{records.compound(x)}   {len(mine)}/{plural(total, 'site')}")
        st.label_last_rows(grid, len(compositions))
        grid[0, 0].set_xlim(records.energy[0], records.energy[-1])
        grid[0, 0].locator_params(axis="x", nbins=4)
        grid[0, 0].set_ylim(0, 1.04 * factor * highest)
        figure.supxlabel(records.axis, fontsize=9)
        figure.supylabel(f"Cross-section per {records.element} ({unit})", fontsize=9)
        thin = Line2D([], [], color=st.MUTED, lw=0.6, label="single sites (coloured by x)")
        average_line = Line2D([], [], color=st.INK, lw=1.4, label="average of a configuration")
        st.head(figure, note, [thin, average_line], ncols=2)
    table: dict[str, Any] = dict(records.site_columns(np.arange(len(records))))
    table |= {f"{energy:.4f} eV (arb. units)": records.spectra[:, i] for i, energy in enumerate(records.energy)}
    return Drawing(figure, {"": table}, note)

"""How sure a reading is: intervals of predictions, and how many of them hold the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.curves import axis_label, axis_values
from aiida_siox.report.records import (
    AnalysisPart,
    Array,
    NotDrawn,
    Parts,
    SiteRecords,
    known,
    known_rows,
    label_of,
    part_of,
    plural,
    ranking,
    spread_over,
    unit_of,
    with_note,
)
from aiida_siox.science.quantity import Kind, Quantity

#: Sites whose band of a curve is drawn.
N_BANDS = 3


def intervals(records: SiteRecords, parts: Parts, quantity: Quantity) -> Drawing:
    """Draw intervals of a property of held-out sites, and their coverage by composition.

    Of a scalar all sites are drawn, of anything else three, from the best to the worst.
    """
    part, name = part_of(parts, "uncertainty"), quantity.name
    predicted, low, high = (part.array(f"{name}_{key}") for key in ("predicted", "low", "high"))
    scalar = quantity.kind is Kind.SCALAR
    if scalar:  # of several repetitions; others are kept of the first
        predicted, low, high = (np.reshape(array, (-1, len(records), 1)) for array in (predicted, low, high))
    else:
        predicted, low, high = (array[None] for array in (predicted, low, high))
    if not len(known_rows(high[0] - low[0])):
        raise NotDrawn(f"the part `uncertainty` has no interval of {quantity.title}")
    repeated = part.find("n_repetitions", name)
    note = records.note("grouped split", plural(int(repeated or len(predicted)), "repetition"), quantity.note)
    level = part.level("coverage")
    with st.style():
        figure = st.new_figure(st.WIDTH, 3.2 if scalar else 4.9)
        places = figure.add_gridspec(1 if scalar else 2, 6)
        if scalar:
            left, right = figure.add_subplot(places[0, :3]), figure.add_subplot(places[0, 3:])
            first = predicted[0, :, 0], low[0, :, 0], high[0, :, 0]
            tables = {"a": _interval_panel(left, records, quantity, first, level)}
        else:
            right = figure.add_subplot(places[1, :])
            panels = [figure.add_subplot(places[0, 2 * i : 2 * i + 2]) for i in range(N_BANDS)]
            first = predicted[0], low[0], high[0]
            tables = {"a": _band_panels(panels, records, quantity, first, level)}
        tables["b"] = _coverage_panel(right, records, part, quantity, low, high)
        st.head(figure, note)
    return Drawing(figure, tables, note)


def _interval_panel(
    axes: Axes, records: SiteRecords, quantity: Quantity, interval: tuple[Array, Array, Array], level: str
) -> dict[str, Any]:
    """Draw the intervals of one repetition in the order of the prediction, with the references.

    :param interval: prediction, low and high end, shape (n,) each.
    """
    predicted, low, high = interval
    own = records.values[quantity.name][:, 0]
    rows = np.flatnonzero(np.isfinite(predicted + low + high + own))
    rows = rows[np.argsort(predicted[rows], kind="stable")]
    reference = own[rows]
    inside = (reference >= low[rows]) & (reference <= high[rows])
    places = np.arange(1, len(rows) + 1)
    axes.fill_between(places, low[rows], high[rows], color=st.BAND, lw=0, step="mid", label=f"{level}interval")
    axes.plot(places, predicted[rows], color=st.ACCENT, lw=1.0, label="read from the spectrum")
    size = 7 if len(rows) < 400 else 3
    looks: tuple[tuple[NDArray[np.bool_], str, dict[str, Any]], ...] = (
        (inside, "inside", {"s": size, "color": st.INK, "linewidths": 0, "zorder": 3}),
        (~inside, "outside", {"s": 3 * size, "color": st.PREDICTED, "marker": "x", "linewidths": 0.9, "zorder": 4}),
    )
    for mine, words, look in looks:
        axes.scatter(places[mine], reference[mine], label=f"reference, {words} ({mine.sum()})", **look)
    axes.set(xlabel="Site, by prediction", ylabel=label_of(quantity), xlim=(0, len(rows) + 1))
    st.title(axes, "(a) one repetition")
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, bottom + 1.3 * (top - bottom))  # room for the legend
    axes.legend(loc="upper left", fontsize=7, labelspacing=0.25)
    return {
        **records.site_columns(rows), f"{label_of(quantity)}, reference": reference, "predicted": predicted[rows],
        f"{level}interval low": low[rows], f"{level}interval high": high[rows], "inside": inside.astype(int),
    }  # fmt: skip


def _coverage_panel(
    axes: Axes, records: SiteRecords, part: AnalysisPart, quantity: Quantity, low: Array, high: Array
) -> dict[str, Any]:
    """Draw the share of references inside their intervals: pooled with its bootstrap interval, and by composition."""
    values, x = records.values[quantity.name], records.site_x
    # a limit may be infinite, where there are too few configurations for the level; NaN was not tested
    inside = np.where(np.isnan(low + high) | np.isnan(values), np.nan, (values >= low) & (values <= high))
    compositions = np.unique(x)
    shares = [float(np.nanmean(inside[:, x == value])) for value in compositions]
    found = part.find("coverage", quantity.name) or {}
    pooled, *bounds = (known(found.get(key)) for key in ("coverage", "low", "high"))
    pooled = pooled if np.isfinite(pooled) else float(np.nanmean(inside))
    by_x = {round(float(entry[0]), 6): entry[2:4] for entry in found.get("by_x") or [] if len(entry) >= 4}
    ends = [[known(v) for v in by_x.get(round(float(value), 6), (np.nan, np.nan))] for value in compositions]
    nominal = part.number("coverage")
    if nominal is not None:
        axes.axhline(nominal, color=st.ACCENT, lw=1.0, label=f"aimed at: {nominal:.3g}")
        axes.legend(loc="lower left", fontsize=7)
    for place, value, share, end in zip(range(1, len(ends) + 1), compositions, shares, ends, strict=True):
        colour = st.composition_colour(float(value))
        axes.plot([place, place], end, color=colour, lw=1.4, zorder=2)
        axes.scatter([place], [share], s=30, color=[colour], edgecolors="white", linewidths=0.5, zorder=3)
    axes.plot([0, 0], bounds, color=st.INK, lw=2.0, zorder=2)
    axes.plot([0], [pooled], ls="", marker="s", ms=6, color=st.INK, zorder=3)
    st.composition_ticks(axes, records, list(compositions), ["all"])
    axes.tick_params(axis="x", rotation=45)
    lowest = np.nanmin([0.7, *shares, pooled, *(end[0] for end in ends)])
    axes.set_ylim(max(lowest - 0.12, -0.02), 1.02)  # room for the words
    axes.set_ylabel("Share inside the interval")
    st.title(axes, "(b) coverage by composition")
    words = f"all: {pooled:.1%}" + (f" ({bounds[0]:.1%}–{bounds[1]:.1%})" if np.isfinite(bounds).all() else "")
    if np.isfinite(known(found.get("mean_width"))):
        words += f"\nmean width {known(found['mean_width']):.3f}{unit_of(quantity)}"
    st.corner(axes, words, "lower right")
    return {
        "x": ["all", *compositions],
        "sites": [int(np.isfinite(inside[0]).all(axis=1).sum()), *(int((x == value).sum()) for value in compositions)],
        f"share of references inside the {part.level('coverage')}interval": [pooled, *shares],
        "bootstrap low": [bounds[0], *(end[0] for end in ends)],
        "bootstrap high": [bounds[1], *(end[1] for end in ends)],
    }


def _band_panels(
    panels: list[Axes], records: SiteRecords, quantity: Quantity, band: tuple[Array, Array, Array], level: str
) -> dict[str, Any]:
    """Draw curves with their pointwise bands, of sites from the best to the worst.

    :param band: prediction, low and high end, shape (n, m) each.
    """
    predicted, low, high = band
    values, at = records.values[quantity.name], axis_values(quantity)
    order = ranking(np.sqrt(((predicted - values) ** 2).mean(axis=1)))
    columns: dict[str, Any] = {axis_label(quantity): at}
    chosen = [int(order[place]) for place in spread_over(len(order), len(panels))]
    for axes, row, words in zip(panels, chosen, ("best", "median", "worst"), strict=False):
        axes.fill_between(at, low[row], high[row], color=st.BAND, lw=0, label=f"{level}band")
        axes.plot(at, values[row], color=st.INK, lw=1.0, label="reference")
        axes.plot(at, predicted[row], color=st.PREDICTED, lw=1.1, dashes=(4, 1.5), label="read")
        share = float(((values[row] >= low[row]) & (values[row] <= high[row])).mean())
        st.title(axes, f"(a) {words}: {st.formula_name(records.formula(row))}")
        symbol = st.maths(records.ligand_symbol)
        st.corner(axes, f"{symbol} = {records.ligands[row]}\n{share:.0%} inside", "upper right")
        axes.set(xlim=(max(float(at[0]), 1.0), float(np.ceil(at[-1]))), xlabel=axis_label(quantity))
        for key, curves in (("reference", values), ("predicted", predicted), ("low", low), ("high", high)):
            columns[f"{records.site_name(row)}, {key} {quantity.title}"] = curves[row]
    panels[0].set_ylabel(with_note(label_of(quantity), quantity))
    bottom, top = panels[0].get_ylim()
    panels[0].set_ylim(bottom, bottom + 1.45 * (top - bottom))  # room for the legend
    panels[0].legend(loc="upper left", fontsize=7, labelspacing=0.2)
    for axes in panels[len(chosen) :]:
        axes.set_axis_off()
    return columns

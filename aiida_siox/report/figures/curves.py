"""Curves read from spectra, site by site: whole spectra (Fig. 4) and energy windows (Figs. 6, S6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.parity import chosen_windows, readings_of
from aiida_siox.report.records import (
    Array,
    Indices,
    NotDrawn,
    Parts,
    Readings,
    SiteRecords,
    estimate,
    label_of,
    part_of,
    plural,
    ranking,
    rmse_of,
    spread_over,
    with_note,
)
from aiida_siox.science.quantity import Quantity

LETTERS = "ABCDEF"


def axis_label(quantity: Quantity) -> str:
    """Return what a curve runs over, with its unit."""
    assert quantity.axis is not None
    return f"{quantity.axis.name.upper()} ({quantity.axis.unit})" if quantity.axis.unit else quantity.axis.name


def axis_values(quantity: Quantity) -> Array:
    """Return the numbers that a curve runs over, shape (m,)."""
    assert quantity.axis is not None
    return np.asarray(quantity.axis.values, dtype=float)


def set_limits(axes: Axes, quantity: Quantity, shown: Sequence[Array], room: float) -> None:
    """Set the limits of panels of curves: from where one of them begins to be anything, with room for words on top."""
    at = axis_values(quantity)
    highest = max(float(values.max()) for values in shown)
    anything = np.flatnonzero(np.max([np.abs(values) for values in shown], axis=0) > 0.02 * highest)
    start = max(float(at[0]), float(np.floor(at[anything[0]] * 2) / 2) if len(anything) else 0.0)
    axes.set_xlim(start, float(np.ceil(at[-1])))
    axes.set_ylim(min(0.0, min(float(values.min()) for values in shown)), room * highest)


def curve_lines(axes: Axes, at: Array, reference: Array, predicted: Array) -> None:
    """Draw a predicted curve over its reference."""
    axes.fill_between(at, reference, color=st.FILL, lw=0, label="reference")
    axes.plot(at, reference, color=st.REFERENCE, lw=0.9)
    axes.plot(at, predicted, color=st.PREDICTED, lw=1.3, label="read from the spectrum")


def sorted_cases(records: SiteRecords, found: Sequence[Readings]) -> Drawing:
    """Draw the errors of all test sites in ascending order, and predicted beside reference curves of six of them.

    :param found: readings of one curve; the cases A to F are of the last split.
    :raises NotDrawn: if there is no test site.
    """
    quantity = found[0].quantity
    errors = [readings.errors for readings in found]
    orders = [ranking(values) for values in errors]
    if not all(len(order) for order in orders):
        raise NotDrawn("there is no test site")
    places = spread_over(len(orders[-1]), len(LETTERS))
    cases = [int(orders[-1][place]) for place in places]
    note = records.note(quantity.note, found[-1].seeds)
    tables: dict[str, Any] = {}
    with st.style():
        figure = st.new_figure(st.WIDTH, 6.6)
        upper, lower = st.halves(figure, (1.0, 1.35))
        panels = upper.subplots(1, len(found), sharey=True, squeeze=False)[0]
        for axes, readings, values, order in zip(panels, found, errors, orders, strict=True):
            _sorted_panel(axes, records, values, order, readings.scores)
            st.title(axes, f"(a) {readings.split} split, {plural(len(order), 'test site')}")
            tables[f"a_{readings.split}"] = _error_columns(records, quantity, values, order)
        none = [value.mean for r in found if (value := estimate(r.scores.get("rmse_no_skill"))) is not None]
        panels[0].set_ylim(0, 1.5 * max(*none, *(float(v[o].max()) for v, o in zip(errors, orders, strict=True))))
        panels[0].set_ylabel(with_note(f"RMSE of {label_of(quantity)}", quantity))
        for letter, place, row in zip(LETTERS, places, cases, strict=False):
            panels[-1].annotate(
                letter, (place + 1, errors[-1][row]), xytext=(0, 13), textcoords="offset points", ha="center",
                fontsize=8.5, fontweight="bold", arrowprops={"arrowstyle": "-", "lw": 0.8, "color": st.INK},
            )  # fmt: skip
        upper.legend(
            handles=st.formal_handles(records, np.concatenate(orders)), loc="outside upper left", ncols=6,
            handletextpad=0.1, columnspacing=1.1,
        )  # fmt: skip
        _case_panels(lower, records, found[-1], errors[-1], cases)
        st.head(figure, note)
    columns: dict[str, Any] = {axis_label(quantity): axis_values(quantity)}
    for letter, row in zip(LETTERS, cases, strict=False):
        name = f"{letter} {records.site_name(row)} {records.ligand_symbol} {records.ligands[row]}"
        columns[f"{name}, reference {quantity.title}"] = found[-1].reference[row]
        columns[f"{name}, predicted {quantity.title}"] = found[-1].predicted[row]
    return Drawing(figure, tables | {"b": columns}, note)


def _error_columns(records: SiteRecords, quantity: Quantity, errors: Array, order: Indices) -> dict[str, Any]:
    """Return the rows behind sorted errors."""
    return {
        "rank": np.arange(1, len(order) + 1), **records.site_columns(order),
        f"RMSE of {label_of(quantity)}": errors[order],
    }  # fmt: skip


def _sorted_panel(axes: Axes, records: SiteRecords, errors: Array, order: Indices, scores: Mapping[str, Any]) -> None:
    """Draw the errors of the test sites in ascending order, with the pooled RMSE and what no skill gives."""
    places, few = np.arange(1, len(order) + 1), len(order) < 150
    axes.vlines(places, 0, errors[order], color=st.GRID, lw=0.8 if few else 0.3, zorder=1)
    st.formal_points(axes, records, order, places, errors[order], 14 if few else 7, linewidths=0)
    composition_mean = (scores.get("baselines") or {}).get("composition_mean")
    lines: tuple[tuple[Any, str, dict[str, Any]], ...] = (
        (scores.get("rmse_no_skill"), "no skill (training mean)", {"color": st.INK, "lw": 1.0, "dashes": st.DASHED}),
        (composition_mean, "mean of the composition", {"color": st.INK, "lw": 1.0, "dashes": st.DOTTED}),
        (scores.get("rmse"), "network, pooled", {"color": st.ACCENT, "lw": 1.4}),
    )
    for value, words, look in lines:
        found = estimate(value)
        if found is not None:
            axes.axhline(found.mean, label=f"{words} {found.words()}", **look)
    axes.set_xlabel("Test site, best first")
    axes.set_xlim(1 - 0.03 * len(order), 1.03 * len(order) + 0.5)
    st.whole_ticks(axes)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7.2, loc="upper left", handlelength=1.8, labelspacing=0.3)


def _case_panels(figure: Any, records: SiteRecords, readings: Readings, errors: Array, cases: list[int]) -> None:
    """Draw predicted over reference curves, a panel for each case."""
    quantity, reference = readings.quantity, readings.reference
    columns = st.columns_for(len(cases))
    grid = figure.subplots(-(-len(cases) // columns), columns, sharex=True, sharey=True, squeeze=False)
    for letter, axes, row in zip(LETTERS, grid.flat, cases, strict=False):
        curve_lines(axes, axis_values(quantity), reference[row], readings.predicted[row])
        st.title(axes, f"(b) {letter}  {st.formula_name(records.formula(row))}, site {records.site_index[row]}")
        symbol = st.maths(records.ligand_symbol)
        st.corner(axes, f"{symbol} = {records.ligands[row]}\nRMSE {errors[row]:.3f}", "upper right")
    st.label_last_rows(grid, len(cases))
    shown = [array[row] for row in cases for array in (reference, readings.predicted)]
    set_limits(grid[0, 0], quantity, shown, 1.25)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2)
    figure.supxlabel(axis_label(quantity), fontsize=9)
    figure.supylabel(with_note(label_of(quantity), quantity), fontsize=9)


def networks(records: SiteRecords, parts: Parts, quantity: Quantity) -> Drawing:
    """Draw the sorted errors of the networks and six cases (Fig. 4), of the grouped split where it is there."""
    return sorted_cases(records, readings_of(records, part_of(parts, "splits"), quantity))


def windows(records: SiteRecords, parts: Parts, quantity: Quantity, narrow: bool = True) -> Drawing:
    """Draw the sorted errors of networks that see one narrow window (Fig. 6), or one band (Fig. S6), and all."""
    part = part_of(parts, "windows")
    names, wanted = chosen_windows(part, narrow)
    errors = part.array(f"{quantity.name}_window_site_rmse")
    note = records.note("random split", quantity.note, f"first of {part.seeds(quantity.name, names[wanted[-1]])}")
    partial = [i for i in wanted if names[i] != "full"]
    colours = mpl.colormaps["cividis" if narrow else "viridis"](np.linspace(0.0, 0.9 if narrow else 0.6, len(partial)))
    table: dict[str, list[Any]] = {}
    with st.style():
        figure = st.new_figure(st.WIDTH, 3.5)
        axes = figure.add_subplot()
        for i in wanted:
            order, (low, high) = ranking(errors[i]), part.array("windows_eV")[i]
            look: dict[str, Any] = {"color": st.PREDICTED, "lw": 2.2, "zorder": 4}
            if i in partial:
                place = partial.index(i)
                look = {"color": colours[place], "lw": 1.5, "ls": ("-", (0, (4, 1.5)), (0, (1.2, 1.2)))[place % 3]}
            # sites have equally many columns, so the pooled RMSE is the root mean square of theirs
            pooled = rmse_of(errors[i][order], np.zeros(len(order)))
            words = f"{names[i]}  {low:.2f}–{high:.2f} eV: {pooled:.3f}"
            axes.plot(np.arange(1, len(order) + 1), errors[i][order], label=words, **look)
            block = {"window": [names[i]] * len(order), **_error_columns(records, quantity, errors[i], order)}
            for key, column in block.items():
                table.setdefault(key, []).extend(column)
        none = estimate(part.find("scores", quantity.name, names[wanted[-1]], "rmse_no_skill"))
        if none is not None:
            axes.axhline(none.mean, color=st.INK, lw=1.0, dashes=st.DASHED, label=f"no skill: {none.mean:.3f}")
        axes.set_xlim(left=1)
        axes.set_ylim(bottom=0)
        st.whole_ticks(axes)
        axes.set_xlabel("Test site, best first (each curve sorted by itself)")
        axes.set_ylabel(with_note(f"RMSE of {label_of(quantity)}", quantity))
        figure.legend(loc="outside right center", title="Window: pooled RMSE", title_fontsize=8, alignment="left")
        st.head(figure, note)
    return Drawing(figure, {"": table}, note)

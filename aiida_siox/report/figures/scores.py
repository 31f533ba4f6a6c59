"""Scores of all splits side by side, and the learning curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st
from aiida_siox.report.records import (
    AnalysisPart,
    Array,
    Estimate,
    NotDrawn,
    Parts,
    SiteRecords,
    estimate,
    label_of,
    part_of,
    plural,
    with_note,
)
from aiida_siox.science.quantity import Quantity

#: Split → its name below the axis; the last leaves one composition out at a time.
SPLITS = {"random": "random", "grouped": "grouped", "composition": "left-out x"}
#: Key in the scores → name, colour, marker; the last is whether it is a baseline.
METHODS: dict[str, tuple[str, str, str, bool]] = {
    "rmse": ("networks (ensemble)", st.PREDICTED, "o", False),
    "rmse_single": ("one network", "#e08a1e", "D", False),
    "kernel_ridge": ("kernel ridge", "#3b6fb6", "s", True),
    "descriptors": ("three descriptors, linear", "#7b4fa3", "^", True),
    "composition_mean": ("mean of the composition", "#2f9e6e", "v", True),
    "rmse_no_skill": ("no skill (mean)", st.INK, "_", False),
    "shuffled": ("shuffled targets", "#66727f", "x", True),
}


def score_of(scores: Any, method: str) -> Estimate | None:
    """Return the RMSE of a method from the scores of one property and split, None where there is none."""
    scores = scores or {}
    return estimate((scores.get("baselines") or {}).get(method) if METHODS[method][3] else scores.get(method))


def scored(records: SiteRecords, part: AnalysisPart) -> dict[Quantity, Mapping[str, Any]]:
    """Return the scores of each property by split, window or variant."""
    found = part.find("scores") or {}
    return {quantity: found[name] for name, quantity in records.quantities.items() if found.get(name)}


def panels_for(number: int, height: float) -> tuple[Any, Any]:
    """Return a figure with so many panels, three in a row, and the panels."""
    n_rows, n_columns = -(-number // 3), min(number, 3)
    figure = st.new_figure(st.WIDTH if number > 1 else 0.6 * st.WIDTH, height * n_rows + 0.4)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    for panel in list(grid.flat)[number:]:
        panel.set_axis_off()
    return figure, list(grid.flat)[:number]


def splits_side_by_side(records: SiteRecords, parts: Parts) -> Drawing:
    """Draw the RMSE of networks, baselines and no skill for every split, with confidence intervals over seeds."""
    part = part_of(parts, "splits")
    found = scored(records, part)
    if not found:
        raise NotDrawn("the part `splits` has no scores")
    seeds = {quantity.title: part.seeds(quantity.name, next(iter(scores))) for quantity, scores in found.items()}
    same = len(set(seeds.values())) == 1
    note = records.note(next(iter(seeds.values())) if same else ", ".join(f"{t}: {n}" for t, n in seeds.items()))
    level = part.level("confidence")
    table: dict[str, list[Any]] = {}
    used: list[str] = []
    with st.style():
        figure, panels = panels_for(len(found), 3.1)
        for axes, (quantity, scores) in zip(panels, found.items(), strict=True):
            kinds = [kind for kind in SPLITS if kind in scores]
            for place, kind in enumerate(kinds):
                for number, (method, (words, colour, marker, _)) in enumerate(METHODS.items()):
                    value = score_of(scores[kind], method)
                    if value is None:
                        continue
                    used.append(method)
                    spot = place + 0.105 * (number - (len(METHODS) - 1) / 2)
                    ends = [np.nan if end is None else end for end in (value.low, value.high)]
                    axes.plot([spot, spot], ends, color=colour, lw=1.3, zorder=2)
                    axes.plot([spot], [value.mean], ls="", marker=marker, ms=5, color=colour, zorder=3)
                    row = {
                        "property": quantity.title, "split": kind, "method": words, "unit": quantity.unit,
                        "RMSE": value.mean, f"{level}confidence interval low": ends[0],
                        f"{level}confidence interval high": ends[1],
                    }  # fmt: skip
                    for key, cell in row.items():
                        table.setdefault(key, []).append(cell)
            st.title(axes, with_note(label_of(quantity), quantity))
            axes.set_xticks(range(len(kinds)), [SPLITS[kind] for kind in kinds])
            axes.set_xlim(-0.5, len(kinds) - 0.5)
            axes.grid(visible=False, axis="x")
            for border in range(1, len(kinds)):
                axes.axvline(border - 0.5, color=st.GRID, lw=1.0)
            axes.set_ylim(bottom=0)
            axes.tick_params(axis="x", length=0)
        panels[0].set_ylabel("RMSE of the test sites")
        handles = [
            Line2D([], [], ls="", marker=marker, ms=5, color=colour, label=words)
            for method, (words, colour, marker, _) in METHODS.items()
            if method in used
        ]
        st.head(figure, note, handles, ncols=4)
    return Drawing(figure, {"": table}, note)


def power_law(n: Array, fit: Mapping[str, Any]) -> Array:
    """Return a · n^(−b) + c."""
    return float(fit["a"]) * np.asarray(n, dtype=float) ** -float(fit["b"]) + float(fit.get("c") or 0.0)


def learning_curves(records: SiteRecords, parts: Parts) -> Drawing:
    """Draw the RMSE of the grouped split against the number of training sites, with its power law and no skill."""
    part = part_of(parts, "learning_curve")
    found = [quantity for name, quantity in records.quantities.items() if f"{name}_rmse" in part.arrays]
    if not found:
        raise NotDrawn("the part `learning_curve` has no RMSE")
    n_sites = part.array(f"{found[0].name}_n_sites").astype(float)
    note = records.note("grouped split", plural(n_sites.shape[1], "repetition"))
    table: dict[str, Any] = {"repetition": np.tile(np.arange(1, n_sites.shape[1] + 1), len(n_sites))}
    with st.style():
        figure, panels = panels_for(len(found), 2.9)
        for axes, quantity in zip(panels, found, strict=True):
            _curve_panel(axes, part, quantity, table)
        panels[0].set_ylabel("RMSE on unseen configurations")
        handles = {
            label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        st.head(figure, note, list(handles.values()), ncols=6)
    return Drawing(figure, {"": table}, note)


def _curve_panel(axes: Axes, part: AnalysisPart, quantity: Quantity, table: dict[str, Any]) -> None:
    """Draw the learning curve of one property, and add its columns to a table."""
    key = f"{quantity.name}_rmse"
    values, n_sites = part.array(key), part.array(f"{quantity.name}_n_sites").astype(float)
    table[f"training sites of {quantity.title}"] = n_sites.ravel()
    table[f"RMSE of {label_of(quantity)}"] = values.ravel()
    axes.plot(n_sites.ravel(), values.ravel(), ls="", marker="o", ms=3.5, color=st.REFERENCE, label="repetitions")
    mean = n_sites.mean(axis=1), np.nanmean(values, axis=1)
    axes.plot(*mean, ls="", marker="o", ms=6, color=st.PREDICTED, mec="white", label="mean")
    if f"{key}_linear" in part.arrays:
        linear = part.array(f"{key}_linear").astype(float).reshape(n_sites.shape)
        table[f"RMSE of {label_of(quantity)}, linear regression"] = linear.ravel()
        look: dict[str, Any] = {"lw": 1.0, "marker": "s", "ms": 4, "color": st.INK, "mfc": "white"}
        axes.plot(mean[0], linear.mean(axis=1), label="linear regression", **look)
    found = part.find("sites_needed", quantity.name)
    pairs = found.items() if isinstance(found, Mapping) else ()
    needed = {float(goal): None if number is None else float(number) for goal, number in pairs}
    words = _fit_line(axes, n_sites, part.find("fit", quantity.name), needed)
    if f"{key}_no_skill" in part.arrays:
        none = float(np.nanmean(part.array(f"{key}_no_skill").astype(float)))
        axes.axhline(none, color=st.INK, lw=1.0, dashes=st.DASHED, label="no skill")
    axes.set(xscale="log", yscale="log", xlabel="Training sites")
    st.title(axes, with_note(label_of(quantity), quantity))
    for axis in (axes.xaxis, axes.yaxis):  # plain numbers, few enough to read
        axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    for goal, number in needed.items():
        reached = "is not reached" if number is None else f"needs about {number:,.0f} sites".replace(",", " ")
        words.append(f"RMSE {goal:g} {reached}")
    if words:
        low, high = axes.get_ylim()
        axes.set_ylim(low * (low / high) ** (0.1 * len(words)), high)  # room for the words below the points
        st.corner(axes, "\n".join(words), "lower left")


def _fit_line(axes: Axes, n_sites: Array, fit: Any, needed: Mapping[float, float | None]) -> list[str]:
    """Draw the power law, dotted beyond the computed range up to the sites that are needed; return it in words."""
    if not isinstance(fit, Mapping) or estimate(fit.get("a")) is None or estimate(fit.get("b")) is None:
        return []
    low, high = float(n_sites.min()), float(n_sites.max())
    inside = np.geomspace(low, high, 60)
    axes.plot(inside, power_law(inside, fit), color=st.ACCENT, lw=1.4, label="power law a n$^{-b}$ + c")
    furthest = max((number for number in needed.values() if number is not None), default=0.0)
    if furthest > high:
        beyond = np.geomspace(high, min(furthest, 30 * high), 40)
        axes.plot(beyond, power_law(beyond, fit), color=st.ACCENT, lw=1.2, ls=":", label="extrapolated")
    return [f"{float(fit['a']):.3g} n$^{{-{float(fit['b']):.2f}}}$ + {round(float(fit.get('c') or 0), 3):g}"]

"""Errors of g(R) site by site: whole spectra (Fig. 4) and energy windows (Figs. 6, S6)."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.analysis_common import (
    PREDICTED,
    WIDTH,
    Array,
    Drawing,
    NotDrawn,
    Parts,
    Source,
    corner,
    estimate,
    formal_handles,
    formal_marker,
    formula_name,
    halves,
    head,
    known_rows,
    part_of,
    plural,
    rmse_of,
)

LETTERS = "ABCDEF"


def spread_over(n: int, number: int) -> list[int]:
    """Return so many places of a ranking of n, evenly from the first to the last."""
    return [int(i) for i in np.unique(np.round(np.linspace(0, n - 1, min(number, n))).astype(int))]


def ranking(errors: Array) -> NDArray[np.int64]:
    """Return the rows of the test sites from the smallest error to the largest."""
    rows = known_rows(errors)
    return np.asarray(rows[np.argsort(errors[rows], kind="stable")])


def rdf_of_cases(source: Source, parts: Parts) -> Drawing:
    """Draw the sorted RMSE of g(R), and predicted beside reference g(R) of six sites A–F (Fig. 4).

    The cases are of the grouped split, of the random one where the former is missing.
    """
    part = part_of(parts, "splits")
    kinds = [kind for kind in ("random", "grouped") if f"rdf_{kind}_site_rmse" in part.arrays]
    if not kinds:
        raise NotDrawn("the part `splits` has no `rdf_random_site_rmse` and no `rdf_grouped_site_rmse`")
    errors = {kind: np.atleast_2d(part.array(f"rdf_{kind}_site_rmse")).astype(float)[0] for kind in kinds}
    orders = {kind: ranking(values) for kind, values in errors.items()}
    chosen = kinds[-1]
    places = spread_over(len(orders[chosen]), len(LETTERS))
    cases = [int(orders[chosen][place]) for place in places]
    predicted = part.array(f"rdf_{chosen}_predicted")
    sites, sigma = source.sites, source.sites.sigma_angstrom
    note = source.note(f"σ = {sigma:g} Å", part.seeds("rdf", chosen))
    tables: dict[str, Any] = {}
    with st.style():
        figure = st.new_figure(WIDTH, 6.6)
        upper, lower = halves(figure, (1.0, 1.35))
        panels = upper.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            _sorted_panel(axes, source, errors[kind], orders[kind], part.find("scores", "rdf", kind))
            axes.set_title(f"(a) {kind} split, {plural(len(orders[kind]), 'test site')}", fontsize=8.5)
            tables[f"a_{kind}"] = {
                "rank": np.arange(1, len(orders[kind]) + 1),
                **source.site_columns(orders[kind]),
                "RMSE of g(R) (no unit)": errors[kind][orders[kind]],
            }
        highest = max(float(values[orders[kind]].max()) for kind, values in errors.items())
        none = [estimate(part.find("scores", "rdf", kind, "rmse_no_skill")) for kind in kinds]
        panels[0].set_ylim(0, 1.5 * max([highest, *(value.mean for value in none if value is not None)]))
        panels[0].set_ylabel(f"RMSE of g(R), σ = {sigma:g} Å")
        for letter, place, row in zip(LETTERS, places, cases, strict=False):
            axes = panels[-1]
            axes.annotate(
                letter, (place + 1, errors[chosen][row]), xytext=(0, 13), textcoords="offset points", ha="center",
                fontsize=8.5, fontweight="bold", arrowprops={"arrowstyle": "-", "lw": 0.8, "color": st.INK},
            )  # fmt: skip
        upper.legend(
            handles=formal_handles(sites.n_oxygen[np.concatenate(list(orders.values()))], False),
            loc="outside upper left", ncols=6, handletextpad=0.1, columnspacing=1.1,
        )  # fmt: skip
        _case_panels(lower, source, predicted, errors[chosen], cases)
        head(figure, note)
    columns: dict[str, Any] = {"R (Å)": sites.r}
    for letter, row in zip(LETTERS, cases, strict=False):
        name = f"{letter} {source.site_formulas[row]} site {sites.site_index[row]} n_O {sites.n_oxygen[row]}"
        columns[f"{name}, reference g(R)"] = sites.rdf[row]
        columns[f"{name}, predicted g(R)"] = predicted[row]
    return Drawing(figure, tables | {"b": columns}, note)


def _sorted_panel(axes: Axes, source: Source, errors: Array, order: NDArray[np.int64], scores: Any) -> None:
    """Draw the errors of the test sites in ascending order, with the pooled RMSE and what no skill gives."""
    places = np.arange(1, len(order) + 1)
    n_oxygen = source.sites.n_oxygen[order]
    axes.vlines(places, 0, errors[order], color=st.GRID, lw=0.8 if len(order) < 150 else 0.3, zorder=1)
    for n in sorted({int(n) for n in n_oxygen}):
        mine = n_oxygen == n
        axes.scatter(
            places[mine], errors[order][mine], s=14 if len(order) < 150 else 7, color=st.formal_colour(n),
            marker=formal_marker(n), linewidths=0, zorder=3,
        )  # fmt: skip
    scores = scores or {}
    lines: tuple[tuple[Any, str, dict[str, Any]], ...] = (
        (scores.get("rmse_no_skill"), "no skill (training mean)", {"color": st.INK, "lw": 1.0, "dashes": (4, 3)}),
        (
            (scores.get("baselines") or {}).get("composition_mean"),
            "mean of the composition",
            {"color": st.INK, "lw": 1.0, "dashes": (1, 2)},
        ),
        (scores.get("rmse"), "network, pooled", {"color": st.ACCENT, "lw": 1.4}),
    )
    for value, words, look in lines:
        found = estimate(value)
        if found is not None:
            axes.axhline(found.mean, label=f"{words} {found.words()}", **look)
    axes.set_xlabel("Test site, best first")
    axes.set_xlim(1 - 0.03 * len(order), 1.03 * len(order) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7.2, loc="upper left", handlelength=1.8, labelspacing=0.3)


def _case_panels(figure: Any, source: Source, predicted: Array, errors: Array, cases: list[int]) -> None:
    """Draw predicted over reference g(R), a panel for each case."""
    sites = source.sites
    columns = st.columns_for(len(cases))
    grid = figure.subplots(-(-len(cases) // columns), columns, sharex=True, sharey=True, squeeze=False)
    for letter, axes, row in zip(LETTERS, grid.flat, cases, strict=False):
        rdf_lines(axes, sites.r, sites.rdf[row], predicted[row])
        name = formula_name(str(source.site_formulas[row]))
        axes.set_title(f"(b) {letter}  {name}, site {sites.site_index[row]}", fontsize=8.5)
        corner(axes, f"$n_O$ = {sites.n_oxygen[row]}\nRMSE {errors[row]:.3f}", "upper right")
    st.label_last_rows(grid, len(cases))
    highest = max(float(max(sites.rdf[row].max(), predicted[row].max())) for row in cases)
    grid[0, 0].set_xlim(1.0, float(np.ceil(sites.r[-1])))
    grid[0, 0].set_ylim(min(0.0, float(min(predicted[row].min() for row in cases))), 1.25 * highest)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2)
    figure.supxlabel("R (Å)", fontsize=9)
    figure.supylabel(f"g(R), σ = {sites.sigma_angstrom:g} Å", fontsize=9)


def rdf_lines(axes: Axes, r: Array, reference: Array, predicted: Array) -> None:
    """Draw a predicted g(R) over its reference."""
    axes.fill_between(r, reference, color="#d9dfe5", lw=0, label="reference")
    axes.plot(r, reference, color=st.REFERENCE, lw=0.9)
    axes.plot(r, predicted, color=PREDICTED, lw=1.3, label="read from the spectrum")


def _window_errors(source: Source, parts: Parts, narrow: bool) -> Drawing:
    part = part_of(parts, "windows")
    names = [str(name) for name in part.array("window_names")]
    errors = part.array("rdf_window_site_rmse").astype(float)
    wanted = [i for i, name in enumerate(names) if (len(name) == 1) == narrow or name == "full"]
    if len(wanted) < 2:
        raise NotDrawn(f"the part `windows` has only the windows {', '.join(names)}")
    sigma = source.sites.sigma_angstrom
    note = source.note("random split", f"σ = {sigma:g} Å", f"first of {part.seeds('rdf', names[wanted[-1]])}")
    partial = [i for i in wanted if names[i] != "full"]
    colours = mpl.colormaps["cividis" if narrow else "viridis"](np.linspace(0.0, 0.9 if narrow else 0.6, len(partial)))
    dashes = {name: (None, (4, 1.5), (1.2, 1.2))[i % 3] for i, name in enumerate(names[j] for j in partial)}
    tables: dict[str, Any] = {}
    with st.style():
        figure = st.new_figure(WIDTH, 3.5)
        axes = figure.add_subplot()
        for index in wanted:
            order = ranking(errors[index])
            name = names[index]
            low, high = part.array("windows_eV")[index]
            look: dict[str, Any] = {"color": PREDICTED, "lw": 2.2, "zorder": 4}
            if name != "full":
                look = {"color": colours[partial.index(index)], "lw": 1.5}
                if dashes[name] is not None:
                    look["dashes"] = dashes[name]
            # sites have equally many bins, so the pooled RMSE is the root mean square of theirs
            pooled = rmse_of(errors[index][order], np.zeros(len(order)))
            words = f"{name}  {low:.2f}–{high:.2f} eV: {pooled:.3f}"
            axes.plot(np.arange(1, len(order) + 1), errors[index][order], label=words, **look)
            tables.setdefault("", {}).setdefault("window", []).extend([name] * len(order))
            block = {
                "rank": np.arange(1, len(order) + 1),
                **source.site_columns(order),
                "RMSE of g(R) (no unit)": errors[index][order],
            }
            for key, column in block.items():
                tables[""].setdefault(key, []).extend(column)
        none = estimate(part.find("scores", "rdf", names[wanted[-1]], "rmse_no_skill"))
        if none is not None:
            axes.axhline(none.mean, color=st.INK, lw=1.0, dashes=(4, 3), label=f"no skill: {none.mean:.3f}")
        axes.set_xlim(left=1)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("Test site, best first (each curve sorted by itself)")
        axes.set_ylabel(f"RMSE of g(R), σ = {sigma:g} Å")
        figure.legend(loc="outside right center", title="Window: pooled RMSE", title_fontsize=8, alignment="left")
        head(figure, note)
    return Drawing(figure, tables, note)


def window_errors(source: Source, parts: Parts) -> Drawing:
    """Draw the sorted RMSE of g(R) of networks that see one narrow window each, and of the full spectrum (Fig. 6)."""
    return _window_errors(source, parts, narrow=True)


def band_errors(source: Source, parts: Parts) -> Drawing:
    """Draw the same for the two bands of 25 eV (Fig. S6)."""
    return _window_errors(source, parts, narrow=False)

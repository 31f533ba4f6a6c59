"""What is read from averaged spectra: mean valence (Fig. 7), mean g(R) (Fig. 8), distribution of oxidation states."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.analysis_common import (
    TRAINING,
    VARIANTS,
    WIDTH,
    Array,
    Drawing,
    NotDrawn,
    Part,
    Parts,
    Source,
    corner,
    estimate,
    grid_shape,
    halves,
    head,
    known_rows,
    part_of,
    rmse_of,
)
from aiida_siox.report.figures.analysis_parity import REFERENCE_LABEL, parity_limits

#: Configurations that fit side by side as bars; more are averaged by composition.
MOST_BARS = 48
STATES = ("Si$^0$", "Si$^{1+}$", "Si$^{2+}$", "Si$^{3+}$", "Si$^{4+}$")


def _variants(part: Part, target: str) -> list[str]:
    """Return the variants of training that are there.

    :raises NotDrawn: if there is none.
    """
    found = [variant for variant in VARIANTS if f"{target}_{variant}_predicted" in part.arrays]
    if not found or not len(part.array("configuration")):
        raise NotDrawn(f"the part `averages` has no averaged configuration with a predicted {target}")
    return found


def _columns(source: Source, configuration: NDArray[np.int64]) -> dict[str, Any]:
    return {
        "configuration": [source.labels[i] for i in configuration],
        "x": np.asarray(source.sites.x)[configuration],
    }


def averaged_valence(source: Source, parts: Parts) -> Drawing:
    """Draw valences read from averaged spectra over their references, and the deviation against x (Fig. 7)."""
    part = part_of(parts, "averages")
    variants = _variants(part, "valence")
    configuration = part.array("configuration").astype(int)
    reference = part.array("valence_reference").astype(float)
    x = np.asarray(source.sites.x)[configuration]
    sites = None
    if "splits" in parts and "valence_grouped_predicted" in parts["splits"].arrays:
        sites = parts["splits"].array("valence_grouped_predicted").astype(float)
    predicted = {v: part.array(f"valence_{v}_predicted").astype(float) for v in variants}
    limits = parity_limits([source.sites.valence, *([] if sites is None else [sites]), *predicted.values()])
    note = source.note(f"{len(reference)} averaged, none in training", part.seeds())
    table = {**_columns(source, configuration), "Bader valence, mean (e)": reference}
    handles: list[Any] = []
    with st.style():
        figure = st.new_figure(WIDTH, 4.0)
        left, right = figure.subplots(1, 2)
        left.plot(limits, limits, color=st.REFERENCE, lw=0.9, zorder=1)
        if sites is not None:
            rows = known_rows(sites)
            left.scatter(source.sites.valence[rows], sites[rows], s=6, color=TRAINING, linewidths=0, zorder=2)
            handles.append(Line2D([], [], ls="", marker="o", ms=3, color=TRAINING, label="single sites (grouped)"))
        lines = []
        for number, variant in enumerate(variants):
            colour, words = VARIANTS[variant]
            values = predicted[variant]
            marker = "os"[number % 2]
            interval = _interval(part, variant, values)
            left.errorbar(
                reference, values, yerr=interval, fmt=marker, ms=3.6, color=colour, mec="white", mew=0.4,
                elinewidth=0.7, zorder=3 + number,
            )  # fmt: skip
            handles.append(Line2D([], [], ls="", marker=marker, ms=4.5, color=colour, label=words))
            _bias(right, x, values - reference, variant, number, len(variants), marker)
            lines.append(
                f"{variant}: RMSE {rmse_of(values, reference):.3f} e, bias {np.mean(values - reference):+.3f} e"
            )
            table[f"predicted, {words} (e)"] = values
            if interval is not None:
                table[f"90 % interval low, {words} (e)"] = values - interval[0]
                table[f"90 % interval high, {words} (e)"] = values + interval[1]
        none = estimate(part.find("scores", "valence", variants[0], "rmse_no_skill"))
        if none is not None:
            lines.append(f"no skill {none.mean:.3f} e")
        corner(left, "\n".join(lines).replace("-", "−"), "upper left", 6.8)
        left.set_xlim(*limits)
        left.set_ylim(*limits)
        left.set_xlabel(REFERENCE_LABEL)
        left.set_ylabel("Valence read from the spectrum (e)")
        left.set_title("(a) averaged spectra", fontsize=8.5)
        right.axhline(0, color=st.REFERENCE, lw=0.9, zorder=1)
        right.set_xlabel("x in SiO$_x$")
        right.set_ylabel("Predicted − reference (e)")
        right.set_title("(b) deviation and its mean at each x", fontsize=8.5)
        head(figure, note, handles, ncols=3)
    return Drawing(figure, {"": table}, note)


def _interval(part: Part, variant: str, values: Array) -> Array | None:
    """Return how far the 90 % interval reaches below and above, shape (2, c)."""
    keys = (f"valence_{variant}_low", f"valence_{variant}_high")
    if not all(key in part.arrays for key in keys):
        return None
    low, high = (part.array(key).astype(float) for key in keys)
    reach = np.array([np.maximum(values - low, 0), np.maximum(high - values, 0)])
    # with too few configurations an interval has no end: nothing to draw
    return np.where(np.isfinite(reach), reach, np.nan)


def _bias(axes: Axes, x: Array, deviation: Array, variant: str, number: int, total: int, marker: str) -> None:
    """Draw the deviation of every configuration, and the line through the means at each composition."""
    colour = VARIANTS[variant][0]
    compositions = np.unique(x)
    step = float(np.diff(compositions).min()) if len(compositions) > 1 else 0.25
    shift = 0.22 * step * (number - (total - 1) / 2)
    axes.scatter(x + shift, deviation, s=9, color=colour, marker=marker, alpha=0.45, linewidths=0, zorder=2)
    means = [float(deviation[x == value].mean()) for value in compositions]
    axes.plot(compositions + shift, means, color=colour, lw=1.4, marker=marker, ms=4, mec="white", mew=0.4, zorder=3)


def averaged_rdf(source: Source, parts: Parts) -> Drawing:
    """Draw the RMSE of the mean g(R) of every configuration, and the worst one of each composition (Fig. 8).

    The worst is that of the first variant of training, the paper's where it is there.
    """
    part = part_of(parts, "averages")
    variants = _variants(part, "rdf")
    configuration = part.array("configuration").astype(int)
    reference = part.array("rdf_reference").astype(float)
    predicted = {v: part.array(f"rdf_{v}_predicted").astype(float) for v in variants}
    errors = {v: np.sqrt(((predicted[v] - reference) ** 2).mean(axis=1)) for v in variants}
    x = np.asarray(source.sites.x)[configuration]
    compositions = [float(value) for value in np.unique(x)]
    sigma = source.sites.sigma_angstrom
    first = variants[0]
    worst = [max(np.flatnonzero(x == value), key=lambda i: errors[first][i]) for value in compositions]
    rows, columns = grid_shape(len(compositions))
    note = source.note(f"{len(x)} averaged, none in training", f"σ = {sigma:g} Å", part.seeds())
    with st.style():
        figure = st.new_figure(WIDTH, 2.75 + 0.5 + 1.35 * rows)
        upper, lower = halves(figure, (2.75, 0.5 + 1.35 * rows))
        axes = upper.subplots()
        _error_panel(axes, x, compositions, errors, part)
        axes.set_ylabel(f"RMSE of mean g(R), σ = {sigma:g} Å")
        axes.set_title("(a) every averaged configuration, coloured by x", fontsize=8.5)
        grid = lower.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, row, value in zip(grid.flat, worst, compositions, strict=False):
            panel.fill_between(source.sites.r, reference[row], color="#d9dfe5", lw=0)
            panel.plot(source.sites.r, reference[row], color=st.REFERENCE, lw=0.8)
            for number, variant in enumerate(variants):
                look = {"dashes": (4, 1.5)} if number else {}
                panel.plot(source.sites.r, predicted[variant][row], color=VARIANTS[variant][0], lw=1.1, **look)
            panel.set_title(f"(b) worst of {st.composition_name(value)}", fontsize=8)
            corner(panel, "\n".join(f"{errors[v][row]:.3f}" for v in variants), "upper right", 7)
        st.label_last_rows(grid, len(compositions))
        highest = max(float(max(reference[i].max(), *(predicted[v][i].max() for v in variants))) for i in worst)
        lowest = min(float(predicted[v][i].min()) for v in variants for i in worst)
        grid[0, 0].set_xlim(1.0, float(np.ceil(source.sites.r[-1])))
        grid[0, 0].set_ylim(min(0.0, lowest), 1.1 * highest)
        lines = [Line2D([], [], color=VARIANTS[v][0], lw=1.3, ls="--" if i else "-", label=VARIANTS[v][1])
                 for i, v in enumerate(variants)]  # fmt: skip
        patch = Patch(facecolor="#d9dfe5", edgecolor=st.REFERENCE, label="reference")
        lower.legend(handles=[patch, *lines], loc="outside upper left", ncols=3)
        lower.supxlabel("R (Å)", fontsize=9)
        lower.supylabel(f"Mean g(R), σ = {sigma:g} Å", fontsize=9)
        head(figure, note)
    table_a = _columns(source, configuration)
    table_b: dict[str, Any] = {"R (Å)": source.sites.r}
    for variant in variants:
        table_a[f"RMSE of mean g(R), {VARIANTS[variant][1]} (no unit)"] = errors[variant]
    for row in worst:
        label = source.labels[configuration[row]]
        table_b[f"{label}, reference g(R)"] = reference[row]
        for variant in variants:
            table_b[f"{label}, predicted g(R), {VARIANTS[variant][1]}"] = predicted[variant][row]
    return Drawing(figure, {"a": table_a, "b": table_b}, note)


def _error_panel(axes: Axes, x: Array, compositions: list[float], errors: dict[str, Array], part: Part) -> None:
    """Draw the errors of every composition side by side: the first variant filled, the second open."""
    for number, (variant, values) in enumerate(errors.items()):
        for place, value in enumerate(compositions):
            mine = np.sort(values[x == value])
            spread = np.linspace(-0.12, 0.12, len(mine)) if len(mine) > 1 else np.zeros(1)
            shift = 0.36 * (number - (len(errors) - 1) / 2)
            colour = st.composition_colour(value)
            axes.scatter(
                place + shift + spread, mine, s=18, marker="os"[number % 2], facecolors="white" if number else [colour],
                edgecolors=[colour], linewidths=1.0, zorder=3,
            )  # fmt: skip
        axes.scatter(
            [], [], s=18, marker="os"[number % 2], facecolors="white" if number else st.MUTED, edgecolors=st.MUTED,
            label=VARIANTS[variant][1],
        )  # fmt: skip
    none = estimate(part.find("scores", "rdf", next(iter(errors)), "rmse_no_skill"))
    highest = max(float(values.max()) for values in errors.values())
    if none is not None:
        far = none.mean > 2.5 * highest
        label = f"no skill {none.mean:.3f}" + (" (off the scale)" if far else "")
        look = {"alpha": 0.0} if far else {}
        axes.axhline(0.0 if far else none.mean, color=st.INK, lw=1.0, dashes=(4, 3), label=label, **look)
        highest = highest if far else max(highest, none.mean)
    axes.set_xticks(range(len(compositions)), [st.composition_name(value) for value in compositions])
    axes.set_xlim(-0.6, len(compositions) - 0.4)
    axes.set_ylim(0, 1.4 * highest)
    axes.legend(loc="upper left", ncols=3, fontsize=7.2)


def oxidation_distribution(source: Source, parts: Parts) -> Drawing:
    """Draw the share of Si⁰ … Si⁴⁺ of every averaged configuration, predicted beside reference, and their distance."""
    part = part_of(parts, "averages")
    variants = _variants(part, "oxidation")
    configuration = part.array("configuration").astype(int)
    reference = part.array("oxidation_reference").astype(float)
    predicted = {v: part.array(f"oxidation_{v}_predicted").astype(float) for v in variants}
    distance = {v: 0.5 * np.abs(predicted[v] - reference).sum(axis=1) for v in variants}
    x = np.asarray(source.sites.x)[configuration]
    shown = variants[-1]
    order = np.argsort(x, kind="stable")
    bars = [(float(x[i]), reference[i], predicted[shown][i]) for i in order]
    merged = len(order) > MOST_BARS
    if merged:
        bars = [
            (float(value), reference[x == value].mean(axis=0), predicted[shown][x == value].mean(axis=0))
            for value in np.unique(x)
        ]
    note = source.note(f"{len(x)} averaged, none in training", part.seeds())
    with st.style():
        figure = st.new_figure(WIDTH, 4.7)
        upper, lower = figure.subplots(2, 1, height_ratios=[1.6, 1.0], sharex=not merged)
        places = np.arange(len(bars), dtype=np.float64) * 2.6
        _stacks(upper, places, [bar[1] for bar in bars], "")
        _stacks(upper, places + 1.0, [bar[2] for bar in bars], "//")
        upper.set_ylim(0, 1)
        upper.set_ylabel("Share of the Si sites")
        words = "means by composition" if merged else "each averaged configuration"
        upper.set_title(f"(a) {words}: left reference, right (hatched) {VARIANTS[shown][1]}", fontsize=8.5)
        _composition_ticks(upper, places + 0.5, [bar[0] for bar in bars])
        spots = np.arange(len(order), dtype=np.float64) if merged else places + 0.5
        for number, variant in enumerate(variants):
            colour, label = VARIANTS[variant]
            mean = float(distance[variant].mean())
            lower.plot(
                spots, distance[variant][order], ls="", marker="os"[number % 2], ms=4, color=colour, mec="white",
                mew=0.3, label=f"{label}: mean {mean:.3f}",
            )  # fmt: skip
        _composition_ticks(lower, spots, [float(value) for value in x[order]])
        lower.set_ylim(0, 1.35 * max(0.05, *(float(values.max()) for values in distance.values())))
        lower.set_ylabel("Total variation")
        lower.set_title("(b) distance of the two distributions: 0 equal, 1 disjoint", fontsize=8.5)
        lower.legend(loc="upper left", ncols=2, fontsize=7.2)
        lower.set_xlabel("Averaged configurations by composition")
        handles = [Patch(color=colour, label=name) for colour, name in zip(st.FORMAL_COLOURS, STATES, strict=False)]
        head(figure, note, handles, ncols=5)
    table = _columns(source, configuration)
    for state in range(reference.shape[1]):
        table[f"Si{state}+ reference (share)"] = reference[:, state]
        for variant in variants:
            table[f"Si{state}+ predicted, {VARIANTS[variant][1]} (share)"] = predicted[variant][:, state]
    for variant in variants:
        table[f"total variation, {VARIANTS[variant][1]} (no unit)"] = distance[variant]
    return Drawing(figure, {"": table}, note)


def _stacks(axes: Axes, places: NDArray[Any], shares: list[Array], hatch: str) -> None:
    """Draw one stacked bar for each distribution."""
    heights = np.array(shares)
    bottom = np.zeros(len(places))
    for state in range(heights.shape[1]):
        axes.bar(
            places, heights[:, state], bottom=bottom, width=0.95, color=st.formal_colour(state), edgecolor="white",
            linewidth=0.2, hatch=hatch,
        )  # fmt: skip
        bottom += heights[:, state]


def _composition_ticks(axes: Axes, places: NDArray[Any], compositions: list[float]) -> None:
    """Name each composition once, below the middle of its places, with a line between compositions."""
    values = np.array(compositions)
    unique = np.unique(values)
    axes.set_xticks(
        [float(places[values == v].mean()) for v in unique], [st.composition_name(float(v)) for v in unique]
    )
    axes.tick_params(axis="x", labelbottom=True, length=0)
    axes.grid(visible=False, axis="x")
    for before, after in itertools.pairwise(unique):
        border = (places[values == before].max() + places[values == after].min()) / 2
        axes.axvline(border, color=st.GRID, lw=1.0, zorder=0)
    margin = 0.5 * float(np.diff(places).min()) if len(places) > 1 else 1.0
    axes.set_xlim(float(places.min()) - margin - 0.3, float(places.max()) + margin + 0.3)

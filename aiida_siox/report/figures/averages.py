"""What is read from averaged spectra: mean scalars (Fig. 7), mean curves (Fig. 8), distributions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.curves import axis_label, axis_values, set_limits
from aiida_siox.report.figures.parity import limits_around
from aiida_siox.report.records import (
    AnalysisPart,
    Array,
    Indices,
    NotDrawn,
    Parts,
    SiteRecords,
    columns_of,
    estimate,
    known_rows,
    label_of,
    part_of,
    rmse_of,
    unit_of,
    with_note,
)
from aiida_siox.science.quantity import Quantity

#: Configurations that fit side by side as bars; more are averaged by composition.
MOST_BARS = 48
MARKERS = {"sites": "o", "mixtures": "s"}


class Averages:
    """A property of averaged configurations, reference and predictions.

    :ivar part: where they are from.
    :ivar configuration: of each row, shape (c,).
    :ivar x: composition, shape (c,).
    :ivar reference: means over the sites, shape (c, m).
    :ivar predicted: by variant of the training, shape (c, m) each.
    """

    def __init__(self, records: SiteRecords, parts: Parts, quantity: Quantity) -> None:
        """Read the part `averages`.

        :raises NotDrawn: if it has nothing of the property.
        """
        self.part, name = part_of(parts, "averages"), quantity.name
        variants = [variant for variant in st.VARIANTS if f"{name}_{variant}_predicted" in self.part.arrays]
        if not variants or not len(self.part.array(f"{name}_configuration")):
            raise NotDrawn(f"the part `averages` has no averaged configuration with a predicted {name}")
        self.configuration: Indices = self.part.array(f"{name}_configuration").astype(int)
        self.x: Array = records.x[self.configuration]
        self.reference = columns_of(self.part.array(f"{name}_reference"))
        self.predicted = {v: columns_of(self.part.array(f"{name}_{v}_predicted")) for v in variants}

    def note(self, records: SiteRecords, *words: str) -> str:
        """Return where the figure comes from."""
        return records.note(f"{len(self.x)} averaged, none in training", *words, self.part.seeds())


def scalars(records: SiteRecords, parts: Parts, quantity: Quantity) -> Drawing:
    """Draw scalars read from averaged spectra over their references, and the deviation against x (Fig. 7)."""
    found, label = Averages(records, parts, quantity), label_of(quantity)
    reference, own = found.reference[:, 0], records.values[quantity.name]
    key = f"{quantity.name}_grouped_predicted"
    sites = columns_of(parts["splits"].array(key)) if "splits" in parts and key in parts["splits"].arrays else None
    everything = [own, *found.predicted.values(), *([] if sites is None else [sites])]
    limits, note = limits_around(everything, quantity.error_scale), found.note(records, quantity.note)
    table: dict[str, Any] = {**records.cell_columns(found.configuration), f"{label}, mean": reference}
    handles: list[Any] = []
    with st.style():
        figure = st.new_figure(st.WIDTH, 4.0)
        left, right = figure.subplots(1, 2)
        left.plot(limits, limits, color=st.REFERENCE, lw=0.9, zorder=1)
        if sites is not None:
            rows = known_rows(sites)
            left.scatter(own[rows, 0], sites[rows, 0], s=6, color=st.TRAINING, linewidths=0, zorder=2)
            handles.append(Line2D([], [], ls="", marker="o", ms=3, color=st.TRAINING, label="single sites (grouped)"))
        lines = []
        for number, (variant, columns) in enumerate(found.predicted.items()):
            (colour, words), values, marker = st.VARIANTS[variant], columns[:, 0], MARKERS[variant]
            reach = _reach(found.part, f"{quantity.name}_{variant}", values)
            left.errorbar(
                reference, values, yerr=reach, fmt=marker, ms=3.6, color=colour, mec="white", mew=0.4, elinewidth=0.7,
                zorder=3 + number,
            )  # fmt: skip
            handles.append(Line2D([], [], ls="", marker=marker, ms=4.5, color=colour, label=words))
            _bias(right, found.x, values - reference, variant, number - (len(found.predicted) - 1) / 2)
            bias = float(np.mean(values - reference))
            lines.append(f"{variant}: RMSE {rmse_of(values, reference):.3f}{unit_of(quantity)}, bias {bias:+.3f}")
            table[f"predicted, {words}"] = values
            if reach is not None:
                level = found.part.level("coverage")
                table[f"{level}interval low, {words}"] = values - reach[0]
                table[f"{level}interval high, {words}"] = values + reach[1]
        none = estimate(found.part.find("scores", quantity.name, next(iter(found.predicted)), "rmse_no_skill"))
        if none is not None:
            lines.append(f"no skill {none.mean:.3f}{unit_of(quantity)}")
        st.corner(left, "\n".join(lines).replace("-", "−"), "upper left", 6.8)
        left.set(xlim=limits, ylim=limits, xlabel=label, ylabel=f"{label}, read from the spectrum")
        st.title(left, "(a) averaged spectra")
        right.axhline(0, color=st.REFERENCE, lw=0.9, zorder=1)
        in_brackets = f" ({unit_of(quantity).strip()})" if unit_of(quantity) else ""
        right.set(xlabel=f"x in {records.series}", ylabel=f"Predicted − reference{in_brackets}")
        st.title(right, "(b) deviation and its mean at each x")
        st.head(figure, note, handles, ncols=3)
    return Drawing(figure, {"": table}, note)


def _reach(part: AnalysisPart, key: str, values: Array) -> Array | None:
    """Return how far an interval reaches below and above, shape (2, c); None where there is none."""
    if not {f"{key}_low", f"{key}_high"} <= set(part.arrays):
        return None
    low, high = (columns_of(part.array(f"{key}_{end}"))[:, 0] for end in ("low", "high"))
    reach = np.array([np.maximum(values - low, 0), np.maximum(high - values, 0)])
    # with too few configurations an interval has no end: nothing to draw
    return np.where(np.isfinite(reach), reach, np.nan)


def _bias(axes: Axes, x: Array, deviation: Array, variant: str, shift: float) -> None:
    """Draw the deviation of every configuration, and the line through the means at each composition."""
    colour, marker = st.VARIANTS[variant][0], MARKERS[variant]
    compositions = np.unique(x)
    shift *= 0.22 * (float(np.diff(compositions).min()) if len(compositions) > 1 else 0.25)
    axes.scatter(x + shift, deviation, s=9, color=colour, marker=marker, alpha=0.45, linewidths=0, zorder=2)
    means = [float(deviation[x == value].mean()) for value in compositions]
    axes.plot(compositions + shift, means, color=colour, lw=1.4, marker=marker, ms=4, mec="white", mew=0.4, zorder=3)


def curves(records: SiteRecords, parts: Parts, quantity: Quantity) -> Drawing:
    """Draw the RMSE of the mean curve of every configuration, and the worst one of each composition (Fig. 8).

    The worst is that of the first variant of training, the paper's where it is there.
    """
    found, symbol = Averages(records, parts, quantity), quantity.title
    errors = {v: np.sqrt(((p - found.reference) ** 2).mean(axis=1)) for v, p in found.predicted.items()}
    compositions = [float(value) for value in np.unique(found.x)]
    first = next(iter(errors))
    worst = [int(max(np.flatnonzero(found.x == value), key=lambda i: errors[first][i])) for value in compositions]
    n_rows, n_columns = st.grid_shape(len(compositions))
    note, at = found.note(records, quantity.note), axis_values(quantity)
    with st.style():
        heights = (2.75, 0.5 + 1.35 * n_rows)
        figure = st.new_figure(st.WIDTH, sum(heights))
        upper, lower = st.halves(figure, heights)
        axes = upper.subplots()
        none = estimate(found.part.find("scores", quantity.name, first, "rmse_no_skill"))
        _error_panel(axes, records, found.x, errors, None if none is None else none.mean)
        axes.set_ylabel(with_note(f"RMSE of mean {label_of(quantity)}", quantity))
        st.title(axes, "(a) every averaged configuration, coloured by x")
        grid = lower.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for panel, row, value in zip(grid.flat, worst, compositions, strict=False):
            panel.fill_between(at, found.reference[row], color=st.FILL, lw=0)
            panel.plot(at, found.reference[row], color=st.REFERENCE, lw=0.8)
            for variant, values in found.predicted.items():
                style = "-" if variant == first else "--"
                panel.plot(at, values[row], color=st.VARIANTS[variant][0], lw=1.1, ls=style)
            panel.set_title(f"(b) worst of {records.compound(value)}", fontsize=8)
            st.corner(panel, "\n".join(f"{values[row]:.3f}" for values in errors.values()), "upper right", 7)
        st.label_last_rows(grid, len(compositions))
        shown = [values[i] for values in (found.reference, *found.predicted.values()) for i in worst]
        set_limits(grid[0, 0], quantity, shown, 1.1)
        lines = [
            Line2D([], [], color=st.VARIANTS[v][0], lw=1.3, ls="-" if v == first else "--", label=st.VARIANTS[v][1])
            for v in errors
        ]
        patch = Patch(facecolor=st.FILL, edgecolor=st.REFERENCE, label="reference")
        lower.legend(handles=[patch, *lines], loc="outside upper left", ncols=3)
        lower.supxlabel(axis_label(quantity), fontsize=9)
        lower.supylabel(with_note(label_of(quantity, "Mean "), quantity), fontsize=9)
        st.head(figure, note)
    table_a: dict[str, Any] = dict(records.cell_columns(found.configuration))
    table_a |= {f"RMSE of mean {symbol}, {st.VARIANTS[v][1]}": values for v, values in errors.items()}
    table_b: dict[str, Any] = {axis_label(quantity): at}
    for row in worst:
        label = records.cells[found.configuration[row]].label
        table_b[f"{label}, reference {symbol}"] = found.reference[row]
        table_b |= {f"{label}, predicted {symbol}, {st.VARIANTS[v][1]}": p[row] for v, p in found.predicted.items()}
    return Drawing(figure, {"a": table_a, "b": table_b}, note)


def _error_panel(
    axes: Axes, records: SiteRecords, x: Array, errors: Mapping[str, Array], no_skill: float | None
) -> None:
    """Draw the errors of every composition side by side: the first variant filled, the second open."""
    compositions = [float(value) for value in np.unique(x)]
    for number, (variant, values) in enumerate(errors.items()):
        look: dict[str, Any] = {"s": 18, "marker": MARKERS[variant]}
        for place, value in enumerate(compositions):
            mine = np.sort(values[x == value])
            spread = np.linspace(-0.12, 0.12, len(mine)) if len(mine) > 1 else np.zeros(1)
            spots = place + 0.36 * (number - (len(errors) - 1) / 2) + spread
            colour = st.composition_colour(value)
            fill = "white" if number else [colour]
            axes.scatter(spots, mine, facecolors=fill, edgecolors=[colour], linewidths=1.0, zorder=3, **look)
        fill = "white" if number else st.MUTED
        axes.scatter([], [], facecolors=fill, edgecolors=st.MUTED, label=st.VARIANTS[variant][1], **look)
    highest = max(float(values.max()) for values in errors.values())
    if no_skill is not None:
        far = no_skill > 2.5 * highest
        label = f"no skill {no_skill:.3f}" + (" (off the scale)" if far else "")
        look = {"alpha": 0.0} if far else {}
        axes.axhline(0.0 if far else no_skill, color=st.INK, lw=1.0, dashes=st.DASHED, label=label, **look)
        highest = highest if far else max(highest, no_skill)
    st.composition_ticks(axes, records, compositions)
    axes.set_ylim(0, 1.4 * highest)
    axes.legend(loc="upper left", ncols=3, fontsize=7.2)


def distributions(records: SiteRecords, parts: Parts, quantity: Quantity) -> Drawing:
    """Draw the distribution of every averaged configuration, predicted beside reference, and their distance."""
    found = Averages(records, parts, quantity)
    distance = {v: 0.5 * np.abs(p - found.reference).sum(axis=1) for v, p in found.predicted.items()}
    shown, order = list(distance)[-1], np.argsort(found.x, kind="stable")
    bars = [(float(found.x[i]), found.reference[i], found.predicted[shown][i]) for i in order]
    merged = len(order) > MOST_BARS
    if merged:
        groups = [(float(value), found.x == value) for value in np.unique(found.x)]
        pair = (found.reference, found.predicted[shown])
        bars = [(value, *(array[mine].mean(axis=0) for array in pair)) for value, mine in groups]
    note, names = found.note(records, quantity.note), state_names(records, quantity)
    with st.style():
        figure = st.new_figure(st.WIDTH, 4.7)
        upper, lower = figure.subplots(2, 1, height_ratios=[1.6, 1.0], sharex=not merged)
        places = np.arange(len(bars), dtype=np.float64) * 2.6
        _stacks(upper, places, [bar[1] for bar in bars], "")
        _stacks(upper, places + 1.0, [bar[2] for bar in bars], "//")
        upper.set(ylim=(0, 1), ylabel=f"Share of the {records.element} sites")
        words = "means by composition" if merged else "each averaged configuration"
        st.title(upper, f"(a) {words}: left reference, right (hatched) {st.VARIANTS[shown][1]}")
        _group_ticks(upper, records, places + 0.5, [bar[0] for bar in bars])
        spots = np.arange(len(order), dtype=np.float64) if merged else places + 0.5
        for variant, values in distance.items():
            colour, label = st.VARIANTS[variant]
            lower.plot(
                spots, values[order], ls="", marker=MARKERS[variant], ms=4, color=colour, mec="white", mew=0.3,
                label=f"{label}: mean {float(values.mean()):.3f}",
            )  # fmt: skip
        _group_ticks(lower, records, spots, found.x[order])
        lower.set_ylim(0, 1.35 * max(0.05, *(float(values.max()) for values in distance.values())))
        lower.set(ylabel="Total variation", xlabel="Averaged configurations by composition")
        st.title(lower, "(b) distance of the two distributions: 0 equal, 1 disjoint")
        lower.legend(loc="upper left", ncols=2, fontsize=7.2)
        handles = [Patch(color=st.formal_colour(i), label=st.maths_of(name)) for i, name in enumerate(names)]
        st.head(figure, note, handles, ncols=5)
    table: dict[str, Any] = dict(records.cell_columns(found.configuration))
    for state, name in enumerate(names):
        table[f"{name} reference (share)"] = found.reference[:, state]
        table |= {f"{name} predicted, {st.VARIANTS[v][1]} (share)": p[:, state] for v, p in found.predicted.items()}
    table |= {f"total variation, {st.VARIANTS[v][1]} (no unit)": values for v, values in distance.items()}
    return Drawing(figure, {"": table}, note)


def state_names(records: SiteRecords, quantity: Quantity) -> list[str]:
    """Return the names of what a distribution is over: ``Si0+`` … where its labels are numbers of ligands."""
    assert quantity.axis is not None
    labels = [str(value) for value in quantity.axis.values]
    return [records.state(int(label)) for label in labels] if quantity.axis.name == "ligands" else labels


def _stacks(axes: Axes, places: NDArray[Any], shares: Sequence[Array], hatch: str) -> None:
    """Draw one stacked bar for each distribution."""
    heights = np.array(shares)
    bottom = np.zeros(len(places))
    for state in range(heights.shape[1]):
        axes.bar(
            places, heights[:, state], bottom=bottom, width=0.95, color=st.formal_colour(state), edgecolor="white",
            linewidth=0.2, hatch=hatch,
        )  # fmt: skip
        bottom += heights[:, state]


def _group_ticks(axes: Axes, records: SiteRecords, places: NDArray[Any], compositions: Sequence[float] | Array) -> None:
    """Name each composition once, below the middle of its places, with a line between compositions."""
    values = np.array(compositions)
    unique = np.unique(values)
    names = [records.compound(float(v)) for v in unique]
    axes.set_xticks([float(places[values == v].mean()) for v in unique], names)
    axes.tick_params(axis="x", labelbottom=True, length=0)
    axes.grid(visible=False, axis="x")
    for before, after in itertools.pairwise(unique):
        border = (places[values == before].max() + places[values == after].min()) / 2
        axes.axvline(border, color=st.GRID, lw=1.0, zorder=0)
    margin = 0.5 * float(np.diff(places).min()) if len(places) > 1 else 1.0
    axes.set_xlim(float(places.min()) - margin - 0.3, float(places.max()) + margin + 0.3)

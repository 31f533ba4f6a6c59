"""How sure a reading is: intervals, their coverage, and spectra that are unlike those of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.analysis_common import (
    PREDICTED,
    WIDTH,
    Drawing,
    NotDrawn,
    Part,
    Parts,
    Source,
    corner,
    formula_name,
    head,
    known,
    part_of,
    plural,
)
from aiida_siox.report.figures.analysis_rdf import spread_over

#: What 90 % intervals must cover, and the band that is accepted.
NOMINAL, BAND = 0.90, (0.87, 0.93)
#: Sites whose band of g(R) is drawn.
N_BANDS = 3
#: End of the name of a probe that is no intruder: it must pass.
UNMOVED = "where it is"
#: Probes named one by one; more of one kind are summed up.
MOST_PROBES = 14


def uncertainty_figure(source: Source, parts: Parts) -> Drawing:
    """Draw 90 % intervals of the valence, their coverage by composition, and bands of g(R) of three sites."""
    part = part_of(parts, "uncertainty")
    low, high = (np.atleast_2d(part.array(f"valence_{key}").astype(float)) for key in ("low", "high"))
    predicted = np.atleast_2d(part.array("valence_predicted").astype(float))
    repetitions = len(predicted)
    bands = all(f"rdf_{key}" in part.arrays for key in ("predicted", "low", "high"))
    sigma = source.sites.sigma_angstrom
    note = source.note("grouped split", plural(repetitions, "repetition"), f"σ = {sigma:g} Å")
    with st.style():
        figure = st.new_figure(WIDTH, 5.6 if bands else 3.2)
        places = figure.add_gridspec(2 if bands else 1, 6, height_ratios=[1.25, 1.0] if bands else None)
        left, right = figure.add_subplot(places[0, :3]), figure.add_subplot(places[0, 3:])
        table_a = _interval_panel(left, source, predicted[0], low[0], high[0])
        table_b = _coverage_panel(right, source, part, low, high)
        tables: dict[str, Any] = {"a": table_a, "b": table_b}
        if bands:
            panels = [figure.add_subplot(places[1, 2 * i : 2 * i + 2]) for i in range(N_BANDS)]
            tables["c"] = _band_panels(panels, source, part)
        head(figure, note)
    return Drawing(figure, tables, note)


def _interval_panel(axes: Axes, source: Source, predicted: Any, low: Any, high: Any) -> dict[str, Any]:
    """Draw the intervals of one repetition in the order of the predicted valence, with the references."""
    rows = np.flatnonzero(np.isfinite(predicted) & np.isfinite(low) & np.isfinite(high))
    if not len(rows):
        raise NotDrawn("the part `uncertainty` has no interval of a valence")
    rows = rows[np.argsort(predicted[rows], kind="stable")]
    reference = source.sites.valence[rows]
    inside = (reference >= low[rows]) & (reference <= high[rows])
    places = np.arange(1, len(rows) + 1)
    axes.fill_between(places, low[rows], high[rows], color="#cfe5e2", lw=0, step="mid", label="90 % interval")
    axes.plot(places, predicted[rows], color=st.ACCENT, lw=1.0, label="read from the spectrum")
    size = 7 if len(rows) < 400 else 3
    axes.scatter(
        places[inside], reference[inside], s=size, color=st.INK, linewidths=0, zorder=3,
        label=f"Bader, inside ({inside.sum()})",
    )  # fmt: skip
    axes.scatter(
        places[~inside], reference[~inside], s=3 * size, color=PREDICTED, marker="x", linewidths=0.9, zorder=4,
        label=f"Bader, outside ({(~inside).sum()})",
    )  # fmt: skip
    axes.set_xlabel("Site, by predicted valence")
    axes.set_ylabel("Valence (e)")
    axes.set_title("(a) one repetition", fontsize=8.5)
    axes.set_xlim(0, len(rows) + 1)
    axes.legend(loc="upper left", fontsize=7, labelspacing=0.25)
    return {
        **source.site_columns(rows), "Bader valence (e)": reference, "predicted (e)": predicted[rows],
        "90 % interval low (e)": low[rows], "90 % interval high (e)": high[rows], "inside": inside.astype(int),
    }  # fmt: skip


def _coverage_panel(axes: Axes, source: Source, part: Part, low: Any, high: Any) -> dict[str, Any]:
    """Draw the share of references inside their intervals: pooled with its bootstrap interval, and by composition."""
    valence, x = source.sites.valence, source.site_x
    inside = np.where(np.isnan(low) | np.isnan(high), np.nan, (valence >= low) & (valence <= high))
    compositions = np.unique(x)
    shares = [float(np.nanmean(inside[:, x == value])) for value in compositions]
    counts = [int((x == value).sum()) for value in compositions]
    found = part.find("coverage", "valence") or {}
    pooled = known(found.get("coverage"))
    pooled = pooled if np.isfinite(pooled) else float(np.nanmean(inside))
    bounds = [known(found.get(key)) for key in ("low", "high")]
    axes.axhspan(*BAND, color="#e6f2f1", lw=0, zorder=0)
    axes.axhline(NOMINAL, color=st.ACCENT, lw=1.0)
    places = np.arange(1, len(compositions) + 1)
    by_x = {round(float(entry[0]), 6): entry[2:4] for entry in found.get("by_x") or [] if len(entry) >= 4}
    ends = [[known(v) for v in by_x.get(round(float(value), 6), (np.nan, np.nan))] for value in compositions]
    for place, value, (bottom, top) in zip(places, compositions, ends, strict=True):
        axes.plot([place, place], [bottom, top], color=st.composition_colour(float(value)), lw=1.4, zorder=2)
    axes.scatter(
        places, shares, s=30, color=[st.composition_colour(float(v)) for v in compositions], edgecolors="white",
        linewidths=0.5, zorder=3,
    )  # fmt: skip
    if np.isfinite(bounds).all():
        axes.plot([0, 0], bounds, color=st.INK, lw=2.0, zorder=2)
    axes.plot([0], [pooled], ls="", marker="s", ms=6, color=st.INK, zorder=3)
    names = ["all", *(st.composition_name(float(value)) for value in compositions)]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(compositions) + 0.6)
    lowest = np.nanmin([0.7, *shares, pooled, *(end[0] for end in ends)])
    axes.set_ylim(max(lowest - 0.12, -0.02), 1.02)  # room for the words
    axes.set_ylabel("Share inside the interval")
    axes.set_title("(b) coverage; band: 87–93 %", fontsize=8.5)
    axes.grid(visible=False, axis="x")
    words = f"all: {pooled:.1%}"
    if np.isfinite(bounds).all():
        words += f" ({bounds[0]:.1%}–{bounds[1]:.1%})"
    if np.isfinite(known(found.get("mean_width"))):
        words += f"\nmean width {known(found['mean_width']):.3f} e"
    corner(axes, words, "lower right")
    return {
        "x": ["all", *compositions],
        "sites": [int(np.isfinite(inside[0]).sum()), *counts],
        "share of references inside the 90 % interval": [pooled, *shares],
        "bootstrap low": [bounds[0], *(end[0] for end in ends)],
        "bootstrap high": [bounds[1], *(end[1] for end in ends)],
    }


def _band_panels(panels: list[Axes], source: Source, part: Part) -> dict[str, Any]:
    """Draw g(R) with its pointwise 90 % band of sites from the best to the worst."""
    sites = source.sites
    predicted, low, high = (part.array(f"rdf_{key}").astype(float) for key in ("predicted", "low", "high"))
    errors = np.sqrt(((predicted - sites.rdf) ** 2).mean(axis=1))
    rows = np.flatnonzero(np.isfinite(errors))
    rows = rows[np.argsort(errors[rows], kind="stable")]
    columns: dict[str, Any] = {"R (Å)": sites.r}
    chosen = [int(rows[place]) for place in spread_over(len(rows), len(panels))]
    for axes, row, words in zip(panels, chosen, ("best", "median", "worst"), strict=False):
        axes.fill_between(sites.r, low[row], high[row], color="#cfe5e2", lw=0, label="90 % band")
        axes.plot(sites.r, sites.rdf[row], color=st.INK, lw=1.0, label="reference")
        axes.plot(sites.r, predicted[row], color=PREDICTED, lw=1.1, dashes=(4, 1.5), label="read")
        share = float(((sites.rdf[row] >= low[row]) & (sites.rdf[row] <= high[row])).mean())
        axes.set_title(f"(c) {words}: {formula_name(str(source.site_formulas[row]))}", fontsize=8.5)
        corner(axes, f"$n_O$ = {sites.n_oxygen[row]}\n{share:.0%} inside", "upper right")
        axes.set_xlim(1.0, float(np.ceil(sites.r[-1])))
        axes.set_xlabel("R (Å)")
        name = f"{source.labels[sites.configuration[row]]} site {sites.site_index[row]}"
        for key, values in (("reference", sites.rdf), ("predicted", predicted), ("low", low), ("high", high)):
            columns[f"{name}, {key} g(R)"] = values[row]
    panels[0].set_ylabel(f"g(R), σ = {sites.sigma_angstrom:g} Å")
    bottom, top = panels[0].get_ylim()
    panels[0].set_ylim(bottom, bottom + 1.45 * (top - bottom))  # room for the legend
    panels[0].legend(loc="upper left", fontsize=7, labelspacing=0.2)
    for axes in panels[len(chosen) :]:
        axes.set_axis_off()
    return columns


def novelty_figure(source: Source, parts: Parts) -> Drawing:
    """Draw the novelty of sites of held-out configurations, the threshold, and probes that should exceed it."""
    part = part_of(parts, "uncertainty")
    scores = np.ravel(part.array("novelty").astype(float))
    scores = scores[np.isfinite(scores)]
    threshold = float(np.ravel(part.array("novelty_threshold"))[0])
    if not len(scores):
        raise NotDrawn("the part `uncertainty` has no novelty score")
    probes = summed_up([entry for entry in part.find("probes") or [] if isinstance(entry, Mapping)])
    values = [score for _, score, _ in probes]
    everything = np.array([*scores, threshold, *(value for value in values if np.isfinite(value))])
    logarithmic = bool(everything.min() > 0 and everything.max() > 20 * np.median(scores))
    bins = np.geomspace(everything[everything > 0].min(), scores.max(), 40) if logarithmic else 40
    note = source.note("held-out configurations")
    with st.style():
        height = 2.3 + 0.21 * len(probes) + 0.3
        figure = st.new_figure(WIDTH, height)
        ratios = [2.0, 0.21 * len(probes) + 0.3]
        upper, *rest = figure.subplots(
            2 if probes else 1, 1, sharex=True, squeeze=False, height_ratios=ratios if probes else None
        )[:, 0]
        upper.hist(scores, bins=bins, color="#9dbcd9", edgecolor="white", linewidth=0.3)
        upper.axvline(threshold, color=PREDICTED, lw=1.4)
        alarms = float((scores > threshold).mean())
        corner(
            upper,
            f"threshold {threshold:.3g}\n{alarms:.1%} of {plural(len(scores), 'site')} above it\n"
            "(false alarms; at most 10 %)",
            "upper right",
        )
        upper.set_ylabel("Sites")
        upper.set_title("Sites of configurations that were held out", fontsize=8.5)
        (rest[-1] if rest else upper).set_xlabel("Novelty score (no unit)")
        if logarithmic:
            upper.set_xscale("log")
        if rest:
            _probe_panel(rest[0], probes, threshold)
        head(figure, note)
    table_a: dict[str, Any] = {
        "novelty score of a held-out site (no unit)": np.sort(scores),
        "above the threshold": (np.sort(scores) > threshold).astype(int),
    }
    table_b: dict[str, Any] = {
        "probe": [name for name, _, _ in probes], "novelty score (no unit)": values,
        "flagged": [int(flagged) for _, _, flagged in probes], "threshold (no unit)": [threshold] * len(probes),
    }  # fmt: skip
    return Drawing(figure, {"a": table_a, "b": table_b}, note)


def summed_up(probes: list[Mapping[str, Any]]) -> list[tuple[str, float, bool]]:
    """Return name, score and flag of each probe; many of one kind (``noise 17``) become their least novel one.

    :param probes: ``{name, score, flagged}``.
    """
    if len(probes) <= MOST_PROBES:
        return [(str(p["name"]), known(p["score"]), bool(p["flagged"])) for p in probes]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for probe in probes:
        groups.setdefault(str(probe["name"]).rstrip("0123456789 #_-"), []).append(probe)
    result = []
    for name, members in groups.items():
        flagged = sum(bool(p["flagged"]) for p in members)
        words = name if len(members) == 1 else f"{name}: lowest of {len(members)}, {flagged} flagged"
        result.append((words, min(known(p["score"]) for p in members), flagged == len(members)))
    return result


def _probe_panel(axes: Axes, probes: list[tuple[str, float, bool]], threshold: float) -> None:
    """Draw one line of points, one for each probe, with its name and whether it went wrong."""
    names = []
    for place, (name, score, flagged) in enumerate(probes):
        wrong = flagged == name.endswith(UNMOVED)
        short = name.removeprefix("averaged spectrum, ")
        names.append(f"{short} ({'false alarm' if flagged else 'missed'})" if wrong else short)
        axes.plot(
            [score], [place], ls="", marker="D" if flagged else "o", ms=5, color=PREDICTED if wrong else st.ACCENT
        )
    axes.axvline(threshold, color=PREDICTED, lw=1.4)
    axes.set_yticks(range(len(probes)), names)
    axes.set_ylim(len(probes) - 0.4, -0.6)
    axes.set_title("Probes: diamonds are flagged, red ones wrongly or not at all", fontsize=8.5)

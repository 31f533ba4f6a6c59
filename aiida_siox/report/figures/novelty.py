"""Spectra that are unlike those of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st
from aiida_siox.report.records import NotDrawn, Parts, SiteRecords, known, part_of, plural

#: End of the name of a probe that is no intruder: it must pass.
UNMOVED = "where it is"
#: Probes named one by one; more of one kind are summed up.
MOST_PROBES = 14
Probe = tuple[str, float, bool]


def novelty(records: SiteRecords, parts: Parts) -> Drawing:
    """Draw the novelty of sites of held-out configurations, the threshold, and probes that should exceed it."""
    part = part_of(parts, "uncertainty")
    scores = np.ravel(part.array("novelty"))
    scores = np.sort(scores[np.isfinite(scores)])
    threshold = float(np.ravel(part.array("novelty_threshold"))[0])
    if not len(scores):
        raise NotDrawn("the part `uncertainty` has no novelty score")
    probes = summed_up([entry for entry in part.find("probes") or [] if isinstance(entry, Mapping)])
    values = [score for _, score, _ in probes]
    everything = np.array([*scores, threshold, *(value for value in values if np.isfinite(value))])
    logarithmic = bool(everything.min() > 0 and everything.max() > 20 * np.median(scores))
    bins = np.geomspace(everything[everything > 0].min(), scores.max(), 40) if logarithmic else 40
    note = records.note("held-out configurations")
    heights = [2.0, 0.21 * len(probes) + 0.3][: 1 + bool(probes)]
    with st.style():
        figure = st.new_figure(st.WIDTH, sum(heights) + 0.3)
        upper, *rest = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        upper.hist(scores, bins=bins, color="#9dbcd9", edgecolor="white", linewidth=0.3)
        upper.axvline(threshold, color=st.PREDICTED, lw=1.4)
        alarms = f"{float((scores > threshold).mean()):.1%} of {plural(len(scores), 'site')} above it\n(false alarms)"
        st.corner(upper, f"threshold {threshold:.3g}\n{alarms}", "upper right")
        upper.set_ylabel("Sites")
        st.title(upper, "Sites of configurations that were held out")
        if logarithmic:
            upper.set_xscale("log")
        for axes in rest:
            _probe_panel(axes, probes, threshold)
        (rest[-1] if rest else upper).set_xlabel("Novelty score (no unit)")
        st.head(figure, note)
    tables: dict[str, dict[str, Any]] = {
        "a": {
            "novelty score of a held-out site (no unit)": scores,
            "above the threshold": (scores > threshold).astype(int),
        },
        "b": {
            "probe": [name for name, _, _ in probes], "novelty score (no unit)": values,
            "flagged": [int(flagged) for _, _, flagged in probes], "threshold (no unit)": [threshold] * len(probes),
        },
    }  # fmt: skip
    return Drawing(figure, tables, note)


def summed_up(probes: Sequence[Mapping[str, Any]]) -> list[Probe]:
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


def _probe_panel(axes: Axes, probes: Sequence[Probe], threshold: float) -> None:
    """Draw one line of points, one for each probe, with its name and whether it went wrong."""
    names = []
    for place, (name, score, flagged) in enumerate(probes):
        wrong = flagged == name.endswith(UNMOVED)
        short = name.removeprefix("averaged spectrum, ")
        names.append(f"{short} ({'false alarm' if flagged else 'missed'})" if wrong else short)
        marker, colour = "D" if flagged else "o", st.PREDICTED if wrong else st.ACCENT
        axes.plot([score], [place], ls="", marker=marker, ms=5, color=colour)
    axes.axvline(threshold, color=st.PREDICTED, lw=1.4)
    axes.set_yticks(range(len(probes)), names)
    axes.set_ylim(len(probes) - 0.4, -0.6)
    st.title(axes, "Probes: diamonds are flagged, red ones wrongly or not at all")

"""Where the time went: CPU seconds by engine, and the jobs on a time line."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Patch, Rectangle

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st
from aiida_siox.report.records import NotDrawn
from aiida_siox.report.timing import EngineTime, JobTime

UNITS = ((7200.0, "h", 3600.0), (600.0, "min", 60.0), (0.0, "s", 1.0))


def unit_for(seconds: float) -> tuple[str, float]:
    """Return the unit that suits a time, and its length in seconds."""
    return next((unit, length) for least, unit, length in UNITS if seconds >= least)


def _legend(axes: Axes, handles: Sequence[Patch]) -> None:
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, handlelength=1.0, columnspacing=1.1,
        fontsize=7.4,
    )  # fmt: skip


def share_figure(summary: Sequence[EngineTime], note: str) -> Drawing:
    """Draw the CPU seconds of the engines as one divided bar.

    :raises NotDrawn: if no job printed its times.
    """
    total = sum(entry.cpu for entry in summary)
    if total <= 0:
        raise NotDrawn("no job printed its times")
    unit, length = unit_for(total)
    with st.style():
        figure = st.new_figure(st.WIDTH, 1.45)
        axes = figure.add_subplot()
        left = 0.0
        handles = []
        for entry in summary:
            width, colour = entry.cpu / length, st.engine_colour(entry.engine)
            axes.barh(0, width, left=left, color=colour, height=0.6, lw=0)
            handles.append(Patch(color=colour, label=f"{entry.engine} {entry.share:.0%}"))
            if entry.share > 0.07:
                look: dict[str, Any] = {"ha": "center", "va": "center", "color": "white", "fontsize": 7.5}
                axes.text(left + width / 2, 0, f"{width:.3g} {unit}", **look)
            left += width
        axes.set_xlim(0, left)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"CPU time, user + system ({unit})")
        _legend(axes, handles)
        st.stamp(figure, note)
    table: dict[str, Any] = {
        "engine": [entry.engine for entry in summary],
        "CPU time (s)": [entry.cpu for entry in summary],
    }
    return Drawing(figure, {"": table}, note)


def on_lanes(jobs: Sequence[JobTime]) -> list[tuple[JobTime, int]]:
    """Return the jobs that ran here by their start, each with the first lane that was free then."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    result: list[tuple[JobTime, int]] = []
    ran = [job for job in jobs if not job.cached and job.start is not None and job.end is not None]
    for job in sorted(ran, key=lambda job: (job.start, job.pk)):
        start, end = job.start or 0.0, job.end or 0.0
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, lane))
        result.append((job, lane))
    return result


def timeline_figure(jobs: Sequence[JobTime], note: str) -> Drawing:
    """Draw the jobs that ran here over the wall clock, jobs at one time above each other.

    :raises NotDrawn: if none ran.
    """
    ran = on_lanes(jobs)
    if not ran:
        raise NotDrawn("all jobs came from the cache, or printed no times")
    origin = ran[0][0].start or 0.0
    spans = [((job.start or 0.0) - origin, (job.end or 0.0) - origin) for job, _ in ran]
    unit, length = unit_for(max(end for _, end in spans))
    n_lanes = 1 + max(lane for _, lane in ran)
    boxes = [
        Rectangle((start / length, lane - 0.38), max(end - start, 0.2) / length, 0.76)
        for (start, end), (_, lane) in zip(spans, ran, strict=True)
    ]
    with st.style():
        figure = st.new_figure(st.WIDTH, 1.6 + min(0.3 * n_lanes, 3.0))
        axes = figure.add_subplot()
        colours = [st.engine_colour(job.engine) for job, _ in ran]
        edge = "white" if len(ran) < 400 else "none"
        axes.add_collection(PatchCollection(boxes, facecolors=colours, edgecolors=edge, linewidths=0.5))
        axes.set_xlim(0, max(end for _, end in spans) / length)
        axes.set_ylim(-0.6, n_lanes - 0.4)
        shown = range(n_lanes) if n_lanes <= 12 else range(0)
        axes.set_yticks(list(shown), [str(i + 1) for i in shown])
        axes.set(xlabel=f"Wall time since the first job ({unit})", ylabel="Jobs at once")
        axes.grid(axis="y", visible=False)
        engines = dict.fromkeys(job.engine for job, _ in ran)
        _legend(axes, [Patch(color=st.engine_colour(engine), label=engine) for engine in engines])
        st.stamp(figure, note)
    table: dict[str, Any] = {
        "PK": [job.pk for job, _ in ran], "engine": [job.engine for job, _ in ran],
        "start (s)": [start for start, _ in spans], "end (s)": [end for _, end in spans],
        "CPU time (s)": [float("nan") if job.cpu is None else job.cpu for job, _ in ran],
    }  # fmt: skip
    return Drawing(figure, {"": table}, note)

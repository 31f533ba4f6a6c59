"""Where the time went: CPU seconds by engine, and the jobs on a time line."""

from __future__ import annotations

import heapq

from matplotlib.collections import PatchCollection
from matplotlib.patches import Patch, Rectangle

from aiida_siox.report.figures import style as st
from aiida_siox.report.timing import EngineTime, JobTime


def share_figure(summary: list[EngineTime], note: str) -> str | None:
    """Draw the CPU seconds of the engines as one divided bar; None when no job printed its times."""
    total = sum(entry.cpu for entry in summary)
    if total <= 0:
        return None
    unit, factor = ("h", 3600.0) if total > 7200 else ("min", 60.0) if total > 600 else ("s", 1.0)
    with st.style():
        figure = st.new_figure(7.4, 1.45)
        axes = figure.add_subplot()
        left = 0.0
        for entry in summary:
            width = entry.cpu / factor
            axes.barh(
                0,
                width,
                left=left,
                color=st.engine_colour(entry.engine),
                height=0.6,
                lw=0,
                label=f"{entry.engine} {entry.share:.0%}",
            )
            if entry.share > 0.07:
                axes.text(
                    left + width / 2, 0, f"{width:.3g} {unit}", ha="center", va="center", color="white", fontsize=7.5
                )
            left += width
        axes.set_xlim(0, left)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"CPU time, user + system ({unit})")
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6, handlelength=1.0, columnspacing=1.1, fontsize=7.4
        )
        st.stamp(figure, note)
        return st.embed(figure)


def timeline_figure(jobs: list[JobTime], note: str) -> str | None:
    """Draw the jobs that ran here over the wall clock, jobs at one time above each other; None when none ran."""
    ran = sorted(
        (job for job in jobs if not job.cached and job.start is not None and job.end is not None),
        key=lambda job: (job.start, job.pk),
    )
    if not ran:
        return None
    origin = ran[0].start or 0.0
    length = max(job.end or 0.0 for job in ran) - origin
    unit, factor = ("h", 3600.0) if length > 7200 else ("min", 60.0) if length > 300 else ("s", 1.0)
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    n_lanes = 0
    boxes, colours = [], []
    for job in ran:
        start, end = job.start or 0.0, job.end or 0.0
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, n_lanes = n_lanes, n_lanes + 1
        heapq.heappush(busy, (end, lane))
        boxes.append(Rectangle(((start - origin) / factor, lane - 0.38), max(end - start, 0.2) / factor, 0.76))
        colours.append(st.engine_colour(job.engine))
    with st.style():
        figure = st.new_figure(7.4, 1.6 + min(0.3 * n_lanes, 3.0))
        axes = figure.add_subplot()
        edge = "white" if len(ran) < 400 else "none"
        axes.add_collection(PatchCollection(boxes, facecolors=colours, edgecolors=edge, linewidths=0.5))
        axes.set_xlim(0, length / factor)
        axes.set_ylim(-0.6, n_lanes - 0.4)
        axes.set_yticks(
            range(n_lanes) if n_lanes <= 12 else [], [str(i + 1) for i in range(n_lanes)] if n_lanes <= 12 else []
        )
        axes.set_ylabel("Jobs at once")
        axes.set_xlabel(f"Wall time since the first job ({unit})")
        axes.grid(axis="y", visible=False)
        engines = list(dict.fromkeys(job.engine for job in ran))
        axes.legend(
            handles=[Patch(color=st.engine_colour(engine), label=engine) for engine in engines],
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=6,
            handlelength=1.0,
            columnspacing=1.1,
            fontsize=7.4,
        )
        st.stamp(figure, note)
        return st.embed(figure)

"""A plan as text: what it costs, with its error bar, and what of it is extrapolated."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import click

from aiida_siox.cli.common import emit_json, print_table, say, scheduler_options, size_text, wants_json
from aiida_siox.science.cost import ENGINES, Estimate
from aiida_siox.workflows.plan import Plan

NAMES = {"lmp": "lmp", "ld1": "ld1.x", "pw": "pw.x", "bader": "pp.x + siox-bader", "xspectra": "xspectra.x"}
DRIVERS = {
    "n_atoms": "atoms",
    "n_plane_waves": "plane waves",
    "n_grid": "grid points",
    "digits": "digits of convergence",
}
SECONDS_PER_HOUR = 3600.0


def hours(seconds: float) -> str:
    """Return seconds as hours with two digits that count."""
    value = seconds / SECONDS_PER_HOUR
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def limits(estimate: Estimate) -> tuple[float, float]:
    """Return the seconds one standard deviation below and above, in a ratio."""
    factor = 1 + estimate.relative_error
    return estimate.seconds / factor, estimate.seconds * factor


def error_text(estimate: Estimate) -> str:
    """Return the error bar: ± percent while it is small, else a factor."""
    error = estimate.relative_error
    return f"±{100 * error:.0f} %" if error < 0.5 else f"within a factor of {1 + error:.1f}"


def extrapolation_lines(found: Plan) -> list[str]:
    """Return what lies outside the measured range, one line for each engine."""
    lines = []
    for (engine, driver), (least, largest, low, high) in found.extrapolations().items():
        values = f"{least:,.0f}" if round(least) == round(largest) else f"{least:,.0f} to {largest:,.0f}"
        lines.append(f"{NAMES[engine]}: {values} {DRIVERS[driver]}, measured {low:,.0f} to {high:,.0f}")
    return lines


def estimate_line(found: Plan) -> str:
    """Return the cost in one line."""
    note = ", extrapolated" if found.extrapolations() else ""
    total = found.total
    return (
        f"{sum(found.counts().values())} engine jobs, about {hours(total.seconds)} core hours "
        f"({error_text(total)}{note}) in {hours(found.wall_s)} hours; see `aiida-siox plan`."
    )


def say_estimate(make: Callable[[], Plan]) -> None:
    """Tell what is about to run will cost; a package without a cost model says so and runs nevertheless."""
    try:
        found = make()
    except ValueError as exception:
        say(f"No estimate of the cost: {exception}")
    else:
        say(estimate_line(found))


def as_dict(found: Plan) -> dict[str, Any]:
    """Return a plan as plain values."""
    low, high = limits(found.total)
    engines = {}
    for engine, estimate in found.seconds.items():
        mine = limits(estimate)
        engines[engine] = {
            "jobs": found.counts()[engine],
            "core_hours": estimate.seconds / SECONDS_PER_HOUR,
            "core_hours_low": mine[0] / SECONDS_PER_HOUR,
            "core_hours_high": mine[1] / SECONDS_PER_HOUR,
        }
    return {
        "configurations": [
            {
                "label": part.label,
                "n_atoms": part.n_atoms,
                "n_sites": part.n_sites,
                "mesh_scf": part.meshes[0],
                "mesh_xspectra": part.meshes[1],
                "jobs": sum(count for _, count in part.jobs),
                "core_hours": part_seconds(found, part.jobs) / SECONDS_PER_HOUR,
            }
            for part in found.parts
        ],
        "engines": engines,
        "jobs": sum(found.counts().values()),
        "core_hours": found.total.seconds / SECONDS_PER_HOUR,
        "core_hours_low": low / SECONDS_PER_HOUR,
        "core_hours_high": high / SECONDS_PER_HOUR,
        "wall_hours": found.wall_s / SECONDS_PER_HOUR,
        "max_concurrent": sum(budget for budget, _ in found.lanes),
        "scratch_bytes": found.scratch_bytes,
        "clean_scratch": found.clean_scratch,
        "repository_bytes": found.repository_bytes,
        "extrapolated": extrapolation_lines(found),
        "measured": found.model.about,
    }


def part_seconds(found: Plan, jobs: Any) -> float:
    """Return the seconds of one core of some jobs."""
    return sum(estimate.seconds for estimate in found.model.estimate(jobs).values())


def print_plan(found: Plan, options_file: pathlib.Path | None) -> None:
    """Print a plan as tables, or as one line of JSON."""
    options = scheduler_options(options_file) or {}
    parallel = [
        engine
        for engine, option in options.items()
        if (option.get("resources") or {}).get("num_mpiprocs_per_machine", 1)
        * (option.get("resources") or {}).get("num_machines", 1)
        > 1
    ]
    if parallel:
        say(f"The options run {', '.join(parallel)} on several cores: the estimate is that of one.")
    if wants_json():
        emit_json(as_dict(found))
        return
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for part in found.parts:
        name = part.label.rpartition("_")[0] or part.label
        groups.setdefault((name, part.n_atoms, part.n_sites, part.meshes), []).append(part)
    rows = [
        [
            name,
            str(len(parts)),
            str(n_atoms),
            str(n_sites),
            *("×".join(map(str, mesh)) for mesh in meshes),
            str(sum(count for part in parts for _, count in part.jobs)),
            hours(sum(part_seconds(found, part.jobs) for part in parts)),
        ]
        for (name, n_atoms, n_sites, meshes), parts in groups.items()
    ]
    columns = ["configuration", "cells", "atoms", "sites", "SCF mesh", "xspectra mesh", "jobs", "core h"]
    print_table("Configurations", columns, rows)
    outside = {engine for engine, _ in found.extrapolations()}
    rows = []
    for engine in (engine for engine in ENGINES if engine in found.seconds):
        estimate = found.seconds[engine]
        note = "extrapolated" if engine in outside else ""
        rows.append([NAMES[engine], str(found.counts()[engine]), hours(estimate.seconds), error_text(estimate), note])
    rows.append(["all", str(sum(found.counts().values())), hours(found.total.seconds), error_text(found.total), ""])
    print_table("Engines", ["engine", "jobs", "core h", "error", ""], rows)
    jobs = sum(budget for budget, _ in found.lanes)
    low, high = limits(found.total)
    click.echo(f"Core hours        {hours(found.total.seconds)} ({hours(low)} to {hours(high)})")
    click.echo(f"Wall time         {hours(found.wall_s)} h with {jobs} jobs at one time, each on a core of its own")
    cleaned = "cleaned as it goes" if found.clean_scratch else "all of it kept: clean_scratch is false"
    click.echo(f"Scratch           {size_text(found.scratch_bytes)} when it is fullest ({cleaned})")
    click.echo(f"Repository        {size_text(found.repository_bytes)} with the database")
    about = found.model.about
    click.echo(f"Measured          {about.get('date')} on {about.get('cpu')} with {about.get('blas')}")
    for line in extrapolation_lines(found):
        click.echo(f"Extrapolated      {line}")
    if outside:
        click.echo(
            "Beyond what was measured each engine follows its formula (xspectra.x N², pw.x up to N³ of the cell); the "
            "error bar knows the error of its coefficients only. Run one cell of that size before you trust it."
        )

"""A plan as text: what it costs, and what of it is extrapolated."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import click

from aiida_siox.cli.common import say, scheduler_options, wants_json
from aiida_siox.cli.output.numbers import size_text
from aiida_siox.cli.output.tables import emit_json, print_table
from aiida_siox.science.cost import ENGINES
from aiida_siox.workflows.plan import Part, Plan

NAMES = {"lmp": "lmp", "ld1": "ld1.x", "pw": "pw.x", "bader": "pp.x + siox-bader", "xspectra": "xspectra.x"}
SECONDS_PER_HOUR = 3600.0


def hours(seconds: float) -> str:
    """Return seconds as hours with two digits that count."""
    value = seconds / SECONDS_PER_HOUR
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def extrapolation_lines(found: Plan) -> list[str]:
    """Return what is larger than all that was measured, one line for each engine."""
    return [
        f"{NAMES[engine]}: {atoms} atoms, measured up to {found.costs.engines[engine].largest:g}"
        for engine, atoms in found.extrapolated().items()
    ]


def estimate_line(found: Plan) -> str:
    """Return the cost in one line."""
    note = " (extrapolated)" if found.extrapolated() else ""
    return (
        f"{sum(found.counts().values())} engine jobs, about {hours(found.total_s)} core hours{note} "
        f"in {hours(found.wall_s)} hours; see `aiida-siox plan`."
    )


def as_dict(found: Plan) -> dict[str, Any]:
    """Return a plan as plain values."""
    return {
        "configurations": [
            {
                "label": part.label,
                "n_atoms": part.n_atoms,
                "n_sites": part.n_sites,
                "mesh_scf": part.meshes[0],
                "mesh_xspectra": part.meshes[1],
                "jobs": sum(count for _, count in part.jobs),
                "core_hours": part.seconds(found.costs) / SECONDS_PER_HOUR,
            }
            for part in found.parts
        ],
        "engines": {
            engine: {"jobs": found.counts()[engine], "core_hours": seconds / SECONDS_PER_HOUR}
            for engine, seconds in found.seconds.items()
        },
        "jobs": sum(found.counts().values()),
        "core_hours": found.total_s / SECONDS_PER_HOUR,
        "wall_hours": found.wall_s / SECONDS_PER_HOUR,
        "max_concurrent": sum(budget for budget, _ in found.lanes),
        "scratch_bytes": found.scratch_bytes,
        "clean_scratch": found.clean_scratch,
        "repository_bytes": found.stored_bytes,
        "extrapolated": extrapolation_lines(found),
        "measured": found.costs.about,
    }


def say_several_cores(options_file: pathlib.Path | None) -> None:
    """Tell that an estimate is that of one core where the options run an engine on more."""
    parallel = []
    for engine, option in (scheduler_options(options_file) or {}).items():
        resources = option.get("resources") or {}
        if math.prod(resources.get(key, 1) for key in ("num_machines", "num_mpiprocs_per_machine")) > 1:
            parallel.append(engine)
    if parallel:
        say(f"The options run {', '.join(parallel)} on several cores: the estimate is that of one.")


def configuration_rows(found: Plan) -> list[list[str]]:
    """Return one row of a table for all cells of one formula."""
    groups: dict[tuple[Any, ...], list[Part]] = {}
    for part in found.parts:
        name = part.label.rpartition("_")[0] or part.label
        groups.setdefault((name, part.n_atoms, part.n_sites, part.meshes), []).append(part)
    return [
        [
            name,
            str(len(parts)),
            str(n_atoms),
            str(n_sites),
            *("×".join(map(str, mesh)) for mesh in meshes),
            str(sum(count for part in parts for _, count in part.jobs)),
            hours(sum(part.seconds(found.costs) for part in parts)),
        ]
        for (name, n_atoms, n_sites, meshes), parts in groups.items()
    ]


def print_plan(found: Plan, options_file: pathlib.Path | None) -> None:
    """Print a plan as tables, or as one line of JSON."""
    say_several_cores(options_file)
    if wants_json():
        emit_json(as_dict(found))
        return
    columns = ["configuration", "cells", "atoms", "sites", "SCF mesh", "xspectra mesh", "jobs", "core h"]
    print_table("Configurations", columns, configuration_rows(found))
    counts, outside = found.counts(), found.extrapolated()
    rows = [
        [NAMES[engine], str(counts[engine]), hours(found.seconds[engine]), "extrapolated" if engine in outside else ""]
        for engine in ENGINES
        if engine in counts
    ]
    rows.append(["all", str(sum(counts.values())), hours(found.total_s), ""])
    print_table("Engines", ["engine", "jobs", "core h", ""], rows)
    jobs = sum(budget for budget, _ in found.lanes)
    cleaned = "cleaned as it goes" if found.clean_scratch else "all of it kept: clean_scratch is false"
    about = found.costs.about
    click.echo(f"Wall time         {hours(found.wall_s)} h with {jobs} jobs at one time, each on a core of its own")
    click.echo(f"Scratch           {size_text(found.scratch_bytes)} when it is fullest ({cleaned})")
    click.echo(f"Repository        {size_text(found.stored_bytes)} with the database")
    click.echo(f"Measured          {about.get('date')} on {about.get('cpu')} with {about.get('blas')}")
    for line in extrapolation_lines(found):
        click.echo(f"Extrapolated      {line}")

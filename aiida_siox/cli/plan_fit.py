"""``aiida-siox plan fit``: the cost model, fitted to the engine jobs that ran on this machine."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import platform
import re
from typing import Any

import click
from aiida import orm

from aiida_siox.cli.common import emit_json, json_option, print_table, user_errors, with_profile
from aiida_siox.cli.plan_text import DRIVERS, NAMES
from aiida_siox.science.cost import ENGINES, JobSize
from aiida_siox.science.cost_fit import Measured, fit
from aiida_siox.workflows.plan import COST_FILE


@click.command("fit")
@click.option(
    "--points",
    "points_file",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    help="JSON file of measured jobs: those of the profile are added to it, and all of it is fitted.",
)
@click.option("--no-profile", is_flag=True, help="Fit the jobs in --points only.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    default=COST_FILE,
    help="Where the coefficients go [default: the protocols of the package].",
)
@json_option
@with_profile
def fit_command(points_file: pathlib.Path | None, no_profile: bool, output: pathlib.Path, as_json: bool) -> None:
    """Fit the cost model to the engine jobs that this profile has run.

    Only jobs on this machine count: the coefficients are those of one kind of core.
    """
    import yaml

    if no_profile and (points_file is None or not points_file.exists()):
        raise click.UsageError("--no-profile needs --points with a file that exists.")
    with user_errors():
        data = read_points(points_file)
        if not no_profile:
            add_profile(data)
        if points_file is not None:  # kept even if they are still too few for a fit
            points_file.write_text(format_points(data))
        points = [read_point(row) for row in data["jobs"]]
        sums = list(data["storage"].values())
        if not sums:
            raise ValueError("no profile with a spectrum among the points: run a structure first.")
        factor = sum(row["stored_bytes"] for row in sums) / sum(row["job_bytes"] for row in sums)
        about = {"date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(), **data["machine"]}
        model = fit(points, factor, about)
    header = "# Written by `aiida-siox plan fit`, not by hand. What it means: aiida_siox/science/cost.py.\n"
    output.write_text(header + yaml.safe_dump(model.as_dict(), sort_keys=False, default_flow_style=None, width=120))
    if as_json:
        emit_json({"output": str(output), "model": model.as_dict()})
        return
    rows = [
        [NAMES[engine], str(found.n_points), f"{found.spread:.2f}", ranges_text(found.ranges)]
        for engine, found in model.seconds.items()
    ]
    print_table("Fitted", ["engine", "jobs", "spread of ln", "measured range"], rows)
    click.echo(f"Wrote {output}")


def ranges_text(ranges: dict[str, list[float]]) -> str:
    """Return the measured ranges in words."""
    return ", ".join(f"{low:.0f} to {high:.0f} {DRIVERS[name]}" for name, (low, high) in ranges.items())


def read_points(path: pathlib.Path | None) -> dict[str, Any]:
    """Return the content of a file of measured jobs, empty where there is none.

    :raises ValueError: if the file is something else.
    """
    if path is None or not path.exists():
        return {"machine": {}, "storage": {}, "jobs": []}
    try:
        data = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as exception:
        raise ValueError(f"{path} is no JSON file: {exception}") from None
    if not isinstance(data, dict) or set(data) != {"machine", "storage", "jobs"}:
        raise ValueError(f"{path} is no file of measured jobs: give one that `plan fit --points` wrote, or a new name.")
    return data


def read_point(row: dict[str, Any]) -> Measured:
    """Return one measured job of the file.

    :raises ValueError: if the row has other keys.
    """
    try:
        return Measured(**{**row, "size": JobSize(**row["size"])})
    except (TypeError, KeyError) as exception:
        raise ValueError(f"a measured job cannot be read ({exception}): {row!r}") from None


def format_points(data: dict[str, Any]) -> str:
    """Return the file of measured jobs, one line a job."""
    jobs = ",\n".join("  " + json.dumps(row) for row in data["jobs"])
    head = {key: data[key] for key in ("machine", "storage")}
    return json.dumps(head, indent=1)[:-2] + f',\n "jobs": [\n{jobs}\n ]\n}}\n'


def add_profile(data: dict[str, Any]) -> None:
    """Add the jobs of the profile to those of a file."""
    from aiida.manage import get_manager

    from aiida_siox.report.cost import measured_jobs, stored_bytes
    from aiida_siox.report.timing import versions_of

    seen = {row["uuid"] for row in data["jobs"]}
    found = []
    mine = list(measured_jobs())
    for point in mine:
        if point.uuid in seen:
            continue
        row = dataclasses.asdict(point)
        defaults = dataclasses.asdict(JobSize(point.size.engine))
        row["size"] = {key: value for key, value in row["size"].items() if key == "engine" or value != defaults[key]}
        found.append(rounded(row))
    data["jobs"] = sorted([*data["jobs"], *found], key=lambda row: (ENGINES.index(row["size"]["engine"]), row["uuid"]))
    profile = get_manager().get_profile()
    assert profile is not None
    if any(point.size.engine == "xspectra" for point in mine):
        data["storage"][profile.uuid] = {
            "job_bytes": sum(point.repository_bytes or 0.0 for point in mine),
            "stored_bytes": stored_bytes(),
        }
    query = orm.QueryBuilder().append(orm.CalcJobNode, project="id")
    data["machine"] = {**machine(), "engines": versions_of(query.all(flat=True))}


def rounded(value: Any) -> Any:
    """Return nested values with floats of at most eight digits."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    return float(f"{value:.8g}") if isinstance(value, float) else value


def machine() -> dict[str, str]:
    """Return what the timings depend on beside the engines: the class of the CPU and the BLAS of pw.x."""
    from aiida_siox.cli.codes import find_code
    from aiida_siox.cli.engines import blas_of

    info = pathlib.Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.*)$", info.read_text(), re.MULTILINE) if info.exists() else []
    code = find_code("pw")
    return {
        "cpu": next(iter(names), platform.processor() or platform.machine()),
        "blas": blas_of(str(code.get_executable()))[0] if code is not None else "unknown",
    }

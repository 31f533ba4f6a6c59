"""The table of costs: fitted to measured engine jobs, and compared with the jobs in archives.

cost.py fit                      prints the rows of protocols/cost.yaml from cost_points.json, beside this file
cost.py check [ARCHIVE ...]      prints how far the packaged table is off on those points and on the jobs of archives

An archive is one that `aiida-siox export` wrote (.aiida, or .aiida.xz once unpacked). Jobs from the cache, failed jobs
and jobs on several cores do not count.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml
from scipy.optimize import least_squares

from aiida_siox.science.cost import ENGINES, CostTable, EngineCost, Job, lanczos_repeats, plane_waves

HERE = pathlib.Path(__file__).parent
POINTS = HERE / "cost_points.json"
#: Iterations of xspectra.x for each digit of `xerror`: slope of ln(iterations) over the points.
PER_DIGIT = {"xspectra": 1.9}


@dataclasses.dataclass(frozen=True)
class Measured:
    """A job that ran, with the seconds of one core, and the bytes that it stored and left in its scratch."""

    job: Job
    cpu_s: float
    stored: float | None
    scratch: float | None


def job_of(size: dict[str, Any]) -> Job:
    """Return the job of a row of the points: cell, cutoffs, k points, thresholds of what ran."""
    engine, volume = size["engine"], size.get("volume_A3", 0.0)
    cutoff = size.get("ecutrho_Ry" if engine == "bader" else "ecutwfc_Ry", 0.0)
    n_kpoints = size.get("n_kpoints", 0)
    repeats = {"lmp": size.get("iterations", 0.0), "pw": n_kpoints}.get(engine, 1.0)
    if engine == "xspectra":
        repeats = lanczos_repeats(n_kpoints * size["n_polarisations"], size["ecutwfc_Ry"], size["gamma_eV"])
    digits = size.get("digits") or 1.0
    kept = n_kpoints if engine == "pw" else 0
    return Job(engine, size.get("n_atoms", 0), plane_waves(volume, cutoff), float(repeats), kept, digits)


def points() -> list[Measured]:
    """Return the measured jobs of the file."""
    rows = json.loads(POINTS.read_text())["jobs"]
    return [Measured(job_of(row["size"]), row["cpu_s"], row["repository_bytes"], row["scratch_bytes"]) for row in rows]


def archived(path: str) -> Iterator[Measured]:
    """Yield the jobs of an archive whose times are known."""
    from aiida import load_profile, orm
    from aiida.common.exceptions import NotExistent
    from aiida.storage.sqlite_zip.backend import SqliteZipBackend

    from aiida_siox.report.timing import times_of

    load_profile(SqliteZipBackend.create_profile(path), allow_switch=True)
    query = orm.QueryBuilder().append(orm.CalcJobNode, filters={"attributes.exit_status": 0}, project="id")
    for time in times_of(sorted(query.all(flat=True))):
        node = orm.load_node(time.pk)
        resources = node.get_option("resources") or {}
        cores = resources.get("num_machines", 1) * resources.get("num_mpiprocs_per_machine", 1)
        if time.cached or not time.cpu or cores != 1:
            continue
        try:
            size = size_of(node)
        except (NotExistent, AttributeError, KeyError):  # an archive need not hold all inputs
            continue
        if size is not None:
            yield Measured(job_of(size), time.cpu, None, None)


def size_of(node: Any) -> dict[str, Any] | None:
    """Return what drove the cost of a job, from its own inputs and outputs; None for jobs of no engine."""
    from aiida_siox.science.constants import RYDBERG_AIIDA_EV
    from aiida_siox.science.melt_quench import stage_plan

    plugin = node.process_type.rpartition(":")[2]
    if plugin == "siox.ld1":
        return {"engine": "ld1"}
    if plugin == "siox.melt_quench":
        last = stage_plan(node.inputs.parameters.get_dict())[-1].last
        size = {"engine": "lmp", "iterations": last - node.outputs.results.get_dict().get("first_step", 0)}
    elif plugin in ("quantumespresso.pw", "siox.bader", "siox.xspectra"):
        scf = node if plugin == "quantumespresso.pw" else node.inputs.parent_folder.creator
        said = scf.outputs.output_parameters.get_dict()
        size = {
            "engine": plugin.rpartition(".")[2],
            "ecutwfc_Ry": said["wfc_cutoff"] / RYDBERG_AIIDA_EV,
            "ecutrho_Ry": said["rho_cutoff"] / RYDBERG_AIIDA_EV,
        }
    else:
        return None
    size |= {"n_atoms": len(node.inputs.structure.sites), "volume_A3": node.inputs.structure.get_cell_volume()}
    if plugin == "quantumespresso.pw":
        threshold = node.inputs.parameters.get_dict()["ELECTRONS"]["conv_thr"] / size["n_atoms"]
        size |= {"n_kpoints": said["number_of_k_points"], "digits": -math.log10(threshold)}
    if plugin == "siox.xspectra":
        chains = node.outputs.lanczos.get_array("n_iterations").shape
        parameters = node.inputs.parameters.get_dict()
        size |= {"n_polarisations": chains[0], "n_kpoints": chains[1], "gamma_eV": parameters["plot"]["xgamma"]}
        size["digits"] = -math.log10(parameters["input_xspectra"]["xerror"])
    return size


def fitted(engine: str, found: list[Measured]) -> EngineCost:
    """Return the row of an engine: seconds by least squares of their logarithms, jobs of one kind counted once.

    pw.x begins with work for each atom and digit, the others with a constant; ld1.x has nothing but that.
    """
    row = EngineCost(per_digit=PER_DIGIT.get(engine))
    seconds = np.array([point.cpu_s for point in found])
    work = np.array([row.iterations(point.job) * point.job.repeats for point in found])
    size = np.array([point.job.size for point in found])
    first = np.array([point.job.digits * point.job.n_atoms if engine == "pw" else 1.0 for point in found])
    _, kind, count = np.unique(np.round([work, size], 6), axis=1, return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(count[kind.ravel()])
    middle = math.exp(np.log(np.maximum(size, 1.0)).mean())

    def misfit(x: np.ndarray) -> np.ndarray:
        model = math.exp(x[0]) * first
        if engine != "ld1":
            model = model + math.exp(x[1]) * work * (size / middle) ** x[2]
        return np.asarray(weight * np.log(model / seconds))

    starts = [[start, math.log(np.median(seconds / work)), 2.0] for start in (-6.0, -2.0, 0.0)]
    best = min((least_squares(misfit, start) for start in starts), key=lambda result: result.cost)
    start_s, unit_s, exponent = math.exp(best.x[0]), math.exp(best.x[1]), best.x[2]
    if engine == "ld1":
        unit_s, exponent = 0.0, 1.0
    return dataclasses.replace(
        row,
        start_s=0.0 if engine == "pw" or start_s < 1e-3 else start_s,
        atom_s=start_s if engine == "pw" else 0.0,
        unit_s=unit_s / middle**exponent,
        exponent=exponent,
        largest=max(point.job.n_atoms for point in found),
    )


def with_bytes(row: EngineCost, engine: str, found: list[Measured], factor: float) -> EngineCost:
    """Return a row with the bytes that are stored and left in the scratch.

    :param factor: bytes of repository and database for each byte of a job's own files.
    """
    jobs = [point.job for point in found if point.stored]
    stored = np.array([point.stored for point in found if point.stored]) * factor
    table = np.ones((len(jobs), 1 if engine == "ld1" else 2))
    if engine in ("pw", "bader"):
        table[:, 1] = [job.n_atoms for job in jobs]
    elif engine != "ld1":
        table[:, 1] = [job.repeats * row.iterations(job) for job in jobs]
    x = np.linalg.lstsq(table / stored[:, None], np.ones(len(jobs)), rcond=None)[0]
    slope = float(x[1]) if len(x) > 1 else 0.0
    by_atom = engine in ("pw", "bader")
    row = dataclasses.replace(
        row,
        stored_bytes=float(x[0]),
        stored_per_atom=slope if by_atom else 0.0,
        stored_per_repeat=0.0 if by_atom else slope,
        bands_per_atom=3.0 if engine == "pw" else 0.0,
    )
    table_of_one = CostTable({engine: row}, 0.0, {})
    left = [point.scratch - table_of_one.scratch_bytes(point.job) for point in found if point.scratch is not None]
    return dataclasses.replace(row, scratch_bytes=float(np.median(left)) if left else 0.0)


def fit() -> dict[str, Any]:
    """Return the content of protocols/cost.yaml."""
    data = json.loads(POINTS.read_text())
    storage = data["storage"].values()
    factor = sum(row["stored_bytes"] for row in storage) / sum(row["job_bytes"] for row in storage)
    rows: dict[str, dict[str, float]] = {}
    for engine in ENGINES:
        found = [point for point in points() if point.job.engine == engine]
        row = dataclasses.asdict(with_bytes(fitted(engine, found), engine, found, factor))
        default = dataclasses.asdict(EngineCost())
        rows[engine] = {key: float(f"{value:.3g}") for key, value in row.items() if value != default[key]}
    overhead = float(np.median([row["overhead_s"] for row in data["jobs"]]))
    return {"engines": rows, "overhead_s": round(overhead, 1), "about": data["machine"]}


def print_errors(table: CostTable, found: list[Measured], where: str) -> None:
    """Print the error of the seconds of jobs: root mean square of ln(measured / table), and the ratio of the sums."""
    for engine in ENGINES:
        mine = [point for point in found if point.job.engine == engine]
        if mine:
            logs = [math.log(point.cpu_s / table.seconds(point.job)) for point in mine]
            ratio = sum(table.seconds(point.job) for point in mine) / sum(point.cpu_s for point in mine)
            print(f"{where:24} {engine:9} {len(mine):4} jobs, rms {np.sqrt(np.mean(np.square(logs))):.2f}, "
                  f"planned / measured {ratio:.2f}")  # fmt: skip


def main() -> None:
    """Fit or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["fit", "check"])
    parser.add_argument("archives", nargs="*")
    arguments = parser.parse_args()
    if arguments.action == "fit":
        print(yaml.safe_dump(fit(), sort_keys=False, default_flow_style=None, width=120))
        return
    from aiida_siox.workflows.plan import load_costs

    table = load_costs()
    print_errors(table, points(), POINTS.name)
    for path in arguments.archives:
        print_errors(table, list(archived(path)), pathlib.Path(path).name)


if __name__ == "__main__":
    main()

"""What the engine jobs of a profile cost: the points to which the cost model is fitted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import sqlalchemy
from aiida import orm
from aiida.common.links import LinkType
from aiida.manage import get_manager

from aiida_siox.report.provenance import batches
from aiida_siox.report.timing import HOLE_KIND, JobTime, times_of
from aiida_siox.science.cost import JobSize
from aiida_siox.science.cost_fit import Measured
from aiida_siox.science.energies import RYDBERG_EV
from aiida_siox.science.melt_quench import stage_plan

PLUGINS = {
    "aiida.calculations:siox.melt_quench": "lmp",
    "aiida.calculations:siox.ld1": "ld1",
    "aiida.calculations:quantumespresso.pw": "pw",
    "aiida.calculations:siox.bader": "bader",
    "aiida.calculations:siox.xspectra": "xspectra",
}


def measured_jobs() -> Iterator[Measured]:
    """Return all engine jobs of the profile that ran here to a good end with their times printed, by id.

    Jobs from the cache did not run; jobs with more than one process tell nothing of one core. Neither counts.
    """
    builder = orm.QueryBuilder()
    builder.append(
        orm.CalcJobNode,
        filters={"process_type": {"in": list(PLUGINS)}, "attributes.exit_status": 0},
        project="id",
    )
    for batch in batches(sorted(builder.all(flat=True))):
        for time in times_of(batch):
            if time.cached or not time.cpu or time.wall is None:
                continue
            node = orm.load_node(time.pk)
            assert isinstance(node, orm.CalcJobNode)
            point = measured_job(node, time)
            if point is not None:
                yield point


def measured_job(node: orm.CalcJobNode, time: JobTime) -> Measured | None:
    """Return one job as a point, None if it ran on several cores."""
    resources = node.get_option("resources") or {}
    if resources.get("num_machines", 1) * resources.get("num_mpiprocs_per_machine", 1) != 1:
        return None
    assert time.cpu is not None
    assert time.wall is not None
    return Measured(
        uuid=node.uuid,
        size=job_size(node),
        cpu_s=time.cpu,
        wall_s=time.wall,
        overhead_s=max(0.0, (node.mtime - node.ctime).total_seconds() - time.wall),
        repository_bytes=float(repository_bytes(node)),
        scratch_bytes=scratch_bytes(node),
    )


def job_size(node: orm.CalcJobNode) -> JobSize:
    """Return what drove the cost of a job, from its own inputs and outputs.

    :raises ValueError: if it is no job of an engine of ours.
    """
    engine = PLUGINS.get(node.process_type or "")
    if engine is None:
        raise ValueError(f"{node.process_label} ({node.pk}) is no engine job: give one of {', '.join(PLUGINS)}.")
    if engine == "ld1":
        return JobSize("ld1")
    structure = node.inputs.structure
    common: dict[str, Any] = {"n_atoms": len(structure.sites), "volume_A3": structure.get_cell_volume()}
    if engine == "lmp":
        steps = stage_plan(node.inputs.parameters.get_dict())[-1].last
        first = node.outputs.results.get_dict().get("first_step", 0)
        records = node.outputs.thermo.get_array("step").shape[0]
        return JobSize("lmp", iterations=steps - first, n_records=records, **common)
    if engine == "pw":
        return JobSize("pw", **common, **pw_size(node))
    parent = node.inputs.parent_folder.creator
    common |= {key: value for key, value in pw_size(parent).items() if key in ("n_bands", "ecutwfc_Ry", "ecutrho_Ry")}
    if engine == "bader":
        return JobSize("bader", **common)
    iterations = node.outputs.lanczos.get_array("n_iterations")
    parameters = node.inputs.parameters.get_dict()
    return JobSize(
        "xspectra",
        n_kpoints=iterations.shape[1],
        n_polarisations=iterations.shape[0],
        digits=-math.log10(parameters["input_xspectra"]["xerror"]),
        gamma_eV=parameters["plot"]["xgamma"],
        iterations=float(iterations.mean()),
        **common,
    )


def pw_size(node: orm.CalcJobNode) -> dict[str, Any]:
    """Return what a pw.x job says of its own size."""
    outputs = node.outputs.output_parameters.get_dict()
    structure = node.inputs.structure
    threshold = node.inputs.parameters.get_dict()["ELECTRONS"]["conv_thr"] / len(structure.sites)
    return {
        "kind": "hole" if HOLE_KIND in structure.get_kind_names() else "ground",
        "n_bands": outputs["number_of_bands"],
        "n_kpoints": outputs["number_of_k_points"],
        "ecutwfc_Ry": outputs["wfc_cutoff"] / RYDBERG_EV,
        "ecutrho_Ry": outputs["rho_cutoff"] / RYDBERG_EV,
        "digits": -math.log10(threshold),
        "iterations": outputs["convergence_info"]["scf_conv"]["n_scf_steps"],
    }


def repository_bytes(node: orm.CalcJobNode) -> int:
    """Return the bytes of the files of a job and of the nodes that it created."""
    created = [link.node for link in node.base.links.get_outgoing(link_type=LinkType.CREATE).all()]
    total = 0
    for item in (node, *created):
        for root, _, names in item.base.repository.walk():
            for name in names:
                total += item.base.repository.get_object_size(str(root / name))
    return total


def scratch_bytes(node: orm.CalcJobNode) -> float | None:
    """Return the bytes that a job left on its computer, None when the folder is cleaned or cannot be reached."""
    remote = node.outputs.remote_folder
    if remote.is_cleaned:
        return None
    try:
        return float(remote.get_size_on_disk(return_bytes=True)[0])
    except (OSError, FileNotFoundError):
        return None


def stored_bytes() -> float:
    """Return the bytes of the profile: its repository and its database."""
    storage = get_manager().get_profile_storage()
    sizes: Any = storage.get_repository().get_info(detailed=True)["Size (MB)"]
    megabytes = sizes["total_size_packed_on_disk"] + sizes["total_size_loose"]
    session = storage.get_session()  # type: ignore[attr-defined]
    sqlite = session.get_bind().dialect.name == "sqlite"
    size = "page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    statement = f"SELECT {size}" if sqlite else "SELECT pg_database_size(current_database())"
    return float(megabytes * 1024**2 + session.execute(sqlalchemy.text(statement)).scalar())

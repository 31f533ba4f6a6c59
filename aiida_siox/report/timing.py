"""What the engines cost, from the lines that every job of ours prints into its scheduler output."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.report.provenance import batches, called_ids
from aiida_siox.report.records import plural
from aiida_siox.workflows.utils import CACHED_FROM

ENGINES = {
    "siox.melt_quench": "lmp",
    "siox.ld1": "ld1.x",
    "quantumespresso.pw": "pw.x",
    "quantumespresso.pp": "pp.x",
    "siox.xspectra": "xspectra.x",
    "siox.bader": "pp.x + siox-bader",
}
CORE_HOLE = "pw.x (core hole)"
XSPECTRA = "xspectra.x"
SCHEDULER_STDOUT = "_scheduler-stdout.txt"

_MARK = re.compile(r"^siox-(start|end) (\d+(?:\.\d+)?)\s*$", re.MULTILINE)
_CPU = re.compile(r"^(\d+)m(\d+(?:[.,]\d+)?)s (\d+)m(\d+(?:[.,]\d+)?)s\s*$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class SchedulerTimes:
    """What a scheduler output says; None for what it does not say (a killed job has no end).

    :param start: seconds since 1970.
    :param end: seconds since 1970.
    :param user: CPU seconds of the engines in user mode.
    :param system: CPU seconds of the engines in the kernel.
    """

    start: float | None
    end: float | None
    user: float | None
    system: float | None


@dataclasses.dataclass(frozen=True)
class JobTime:
    """When one engine job ran and what it took.

    :param pk: of the CalcJobNode.
    :param engine: such as ``xspectra.x``; the SCF with a core hole is told from the others.
    :param start: seconds since 1970, None if the job printed none.
    :param end: the same; None for a job that was killed.
    :param user: CPU seconds in user mode.
    :param system: CPU seconds in the kernel.
    :param cached: whether the job was taken from the cache: then the times are those of the first run.
    """

    pk: int
    engine: str
    start: float | None
    end: float | None
    user: float | None
    system: float | None
    cached: bool

    @property
    def wall(self) -> float | None:
        """Seconds from start to end."""
        return None if self.start is None or self.end is None else self.end - self.start

    @property
    def cpu(self) -> float | None:
        """CPU seconds, user and system."""
        return None if self.user is None or self.system is None else self.user + self.system


@dataclasses.dataclass(frozen=True)
class EngineTime:
    """Sums over the jobs of one engine.

    :param engine: name.
    :param n_jobs: all jobs.
    :param n_cached: those taken from the cache; their seconds, spent by the first run, are in the sums, too.
    :param n_untimed: jobs without times (killed, or run without our lines); not in the sums.
    :param wall: seconds.
    :param cpu: seconds.
    :param share: part of the CPU seconds of all engines, 0 to 1.
    """

    engine: str
    n_jobs: int
    n_cached: int
    n_untimed: int
    wall: float
    cpu: float
    share: float


@dataclasses.dataclass(frozen=True)
class CpuUtilisation:
    """How busy the cores were from the first core-hole pw.x to the end of the last xspectra.x.

    :param fraction: CPU seconds / (n_cores · wall), None with a ``reason`` where it has no meaning.
    :param cpu: user and system CPU seconds of all engines within the interval.
    :param wall: length of the interval in seconds.
    :param n_cores: cores of the machine.
    :param n_jobs: jobs that ran within the interval, wholly or in part.
    :param reason: why there is no fraction, or what it leaves out; empty when there is nothing to say.
    """

    fraction: float | None
    cpu: float
    wall: float
    n_cores: int
    n_jobs: int
    reason: str

    def __str__(self) -> str:
        """One sentence for a terminal."""
        if self.fraction is None:
            return f"CPU utilisation: none ({self.reason})"
        note = f"; {self.reason}" if self.reason else ""
        return (
            f"CPU utilisation: {self.fraction:.0%} of {plural(self.n_cores, 'core')} "
            f"({self.cpu:.0f} CPU s in {self.wall:.0f} s, {plural(self.n_jobs, 'job')}{note})"
        )


def parse_scheduler_stdout(text: str) -> SchedulerTimes:
    """Read the lines ``siox-start``, ``siox-end`` and the two lines of bash's ``times``.

    :param text: content of the scheduler output. Other lines are ignored. Of several marks (a job that was started
        anew by its scheduler) the last start counts.
    :returns: the CPU seconds are those of the second line after the end: the children of the shell, that is, the
        engines.
    """
    marks: dict[str, re.Match[str]] = {match[1]: match for match in _MARK.finditer(text)}
    start, end = marks.get("start"), marks.get("end")
    if start is not None and end is not None and end.start() < start.start():
        end = None
    user = system = None
    if end is not None:
        lines = _CPU.findall(text, end.end())
        if len(lines) >= 2:
            minutes, seconds, system_minutes, system_seconds = lines[1]
            user = 60 * int(minutes) + float(seconds.replace(",", "."))
            system = 60 * int(system_minutes) + float(system_seconds.replace(",", "."))
    return SchedulerTimes(
        start=None if start is None else float(start[2]),
        end=None if end is None else float(end[2]),
        user=user,
        system=system,
    )


def is_marked(structure: Mapping[str, Any]) -> bool:
    """Return whether a structure, by its attributes, has a kind of another name than its element: the absorber."""
    return any([kind["name"]] != kind["symbols"] for kind in structure.get("kinds") or [])


def engine_name(process_type: str | None, marked: bool = False) -> str:
    """Return the engine of a CalcJob.

    :param process_type: such as ``aiida.calculations:siox.xspectra``.
    :param marked: whether its structure has a marked absorber.
    """
    plugin = (process_type or "").rpartition(":")[2]
    if plugin == "quantumespresso.pw" and marked:
        return CORE_HOLE
    return ENGINES.get(plugin, plugin.rpartition(".")[2] or "other")


def study_times(study: orm.ProcessNode) -> list[JobTime]:
    """Return the times of all engine jobs under a process, by id, with a few queries.

    The process itself counts when it is a CalcJob.
    """
    own = [study.pk] if isinstance(study, orm.CalcJobNode) else []
    return [job for batch in batches([*own, *called_ids(study)]) for job in times_of(batch)]


def times_of(pks: list[Any]) -> list[JobTime]:
    """Return the times of those of the nodes that are CalcJobs."""
    only = {"id": {"in": pks}}
    builder = orm.QueryBuilder()
    builder.append(orm.CalcJobNode, filters=only, project=["id", "process_type", f"extras.{CACHED_FROM}"])
    jobs = {pk: (process_type, source is not None) for pk, process_type, source in builder.all()}

    builder = orm.QueryBuilder()
    builder.append(orm.CalcJobNode, filters=only, project="id", tag="job")
    builder.append(
        orm.StructureData,
        with_outgoing="job",
        edge_filters={"type": LinkType.INPUT_CALC.value, "label": "structure"},
        project="attributes.kinds",
    )
    marked = {pk for pk, kinds in builder.all() if is_marked({"kinds": kinds})}

    builder = orm.QueryBuilder()
    builder.append(orm.CalcJobNode, filters=only, project=["id", "attributes.scheduler_stdout"], tag="job")
    builder.append(
        orm.FolderData,
        with_incoming="job",
        edge_filters={"type": LinkType.CREATE.value, "label": "retrieved"},
        project="repository_metadata",
    )
    keys: dict[str, list[int]] = {}
    for pk, name, metadata in builder.all():
        entry = (metadata or {}).get("o", {}).get(name or SCHEDULER_STDOUT)
        if entry is not None and "k" in entry:
            keys.setdefault(entry["k"], []).append(pk)

    times: dict[int, SchedulerTimes] = {}
    if keys:
        repository = orm.Node.collection.backend.get_repository()
        for key, stream in repository.iter_object_streams(list(keys)):
            found = parse_scheduler_stdout(stream.read().decode(errors="replace"))
            times.update(dict.fromkeys(keys[key], found))
    nothing = SchedulerTimes(None, None, None, None)
    result = []
    for pk, (process_type, cached) in sorted(jobs.items()):
        found = times.get(pk, nothing)
        engine = engine_name(process_type, pk in marked)
        result.append(JobTime(pk, engine, found.start, found.end, found.user, found.system, cached))
    return result


def engine_versions(study: orm.ProcessNode) -> dict[str, str]:
    """Return the versions of the engines that ran under a process, as their parsers recorded them."""
    return versions_of(called_ids(study))


def versions_of(pks: Iterable[int]) -> dict[str, str]:
    """Return the versions of the engines of those of the nodes that are CalcJobs."""
    found: dict[str, set[str]] = {}
    for batch in batches(pks):
        builder = orm.QueryBuilder()
        builder.append(orm.CalcJobNode, filters={"id": {"in": batch}}, project="process_type", tag="job")
        builder.append(
            orm.Dict,
            with_incoming="job",
            edge_filters={"type": LinkType.CREATE.value, "label": {"in": ["output_parameters", "results"]}},
            project=["attributes.version", "attributes.creator_version", "attributes.pp_version"],
        )
        builder.distinct()
        for process_type, version, creator_version, pp_version in builder.all():
            engine = engine_name(process_type)
            if pp_version:
                found.setdefault("pp.x", set()).add(str(pp_version))
                engine = engine.removeprefix("pp.x + ")
            if own := version or creator_version:
                found.setdefault(engine, set()).add(str(own))
    return {engine: " and ".join(sorted(versions)) for engine, versions in sorted(found.items())}


def engine_summary(jobs: list[JobTime]) -> list[EngineTime]:
    """Sum jobs by engine, the most expensive first."""
    total = sum(job.cpu or 0.0 for job in jobs)
    summary = []
    for engine in dict.fromkeys(job.engine for job in jobs):
        mine = [job for job in jobs if job.engine == engine]
        cpu = sum(job.cpu or 0.0 for job in mine)
        counts = (len(mine), sum(job.cached for job in mine), sum(job.cpu is None for job in mine))
        wall = sum(job.wall or 0.0 for job in mine)
        summary.append(EngineTime(engine, *counts, wall, cpu, share=cpu / total if total > 0 else 0.0))
    return sorted(summary, key=lambda entry: (-entry.cpu, entry.engine))


def cpu_utilisation(study: orm.ProcessNode, n_cores: int) -> CpuUtilisation:
    """Return how busy the cores were between the first core-hole pw.x and the end of the last xspectra.x.

    :param study: the process whose jobs count: the node of a study.
    :param n_cores: cores of the machine that ran the engines.
    :raises ValueError: if ``n_cores`` is not positive.
    """
    return utilisation(study_times(study), n_cores)


def utilisation(jobs: list[JobTime], n_cores: int) -> CpuUtilisation:
    """Return the same from times that are read already.

    Every engine job counts with its CPU seconds (user + system) times the part of its wall time that lies in the
    interval. Jobs from the cache did not run and do not count.

    :raises ValueError: if ``n_cores`` is not positive.
    """
    if n_cores < 1:
        raise ValueError(f"the number of cores must be positive, got {n_cores}.")
    ran = [job for job in jobs if not job.cached]
    n_cached = len(jobs) - len(ran)
    starts = [job.start for job in ran if job.engine == CORE_HOLE and job.start is not None]
    ends = [job.end for job in ran if job.engine == XSPECTRA and job.end is not None]
    if not starts or not ends or max(ends) <= min(starts):
        absent = [engine for engine in (CORE_HOLE, XSPECTRA) if all(job.engine != engine for job in ran)]
        if n_cached and absent:
            reason = f"{' and '.join(absent)} came from the cache ({n_cached} of {len(jobs)} engine jobs)"
        else:
            reason = "no core-hole pw.x with an xspectra.x after it has run to its end with its times printed"
        return CpuUtilisation(None, 0.0, 0.0, n_cores, 0, reason)
    begin, finish = min(starts), max(ends)
    cpu = 0.0
    n_jobs = n_untimed = 0
    for job in ran:
        if job.start is None or job.end is None or job.cpu is None:
            n_untimed += 1
            continue
        overlap = min(job.end, finish) - max(job.start, begin)
        if overlap <= 0:
            continue
        n_jobs += 1
        cpu += job.cpu * min(1.0, overlap / max(job.end - job.start, 1e-9))
    notes = []
    if n_cached:
        notes.append(f"{n_cached} of {len(jobs)} jobs came from the cache, not counted")
    if n_untimed:
        notes.append(f"{plural(n_untimed, 'job')} printed no times and cannot count")
    wall = finish - begin
    return CpuUtilisation(cpu / (n_cores * wall), cpu, wall, n_cores, n_jobs, "; ".join(notes))

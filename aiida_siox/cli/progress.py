"""How far a process is: what runs, sites done, failed and left, and when it will end."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
from collections.abc import Iterable
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiida_siox.cli.output.numbers import duration
from aiida_siox.report.provenance import called as called_under
from aiida_siox.science.cost import Job
from aiida_siox.workflows.plan import calibration_part, load_costs, study_parts, study_settings, targets_part

SITE = "aiida.workflows:siox.site_spectrum"
TARGETS = "aiida.workflows:siox.structure_targets"
STUDY = "aiida.workflows:siox.study"
CALIBRATION = "aiida.workflows:siox.calibration"
STRUCTURE_SET = "aiida.workflows:siox.structure_set"
CONFIGURATION = "aiida.workflows:siox.configuration"

#: What a user calls a job, by its plugin.
JOBS = {
    "siox.melt_quench": "LAMMPS melt-quench",
    "siox.ld1": "ld1.x",
    "siox.xspectra": "xspectra.x",
    "siox.bader": "pp.x and Bader",
    "quantumespresso.pw": "pw.x",
    "siox.analysis": "siox-analyse",
}
FINISHED = ("finished", "excepted", "killed")
#: Labels of the calls of a site and of a configuration.
PLACE = re.compile(r"site_0*(?P<site>\d+)|(?:targets|melt_quench)_(?P<cell>\w+)|(?P<calibration>calibration)")


@dataclasses.dataclass
class Called:
    """What is read of one process under the root."""

    pk: int
    parent: int
    link_label: str
    process_type: str
    label: str
    state: str
    exit_status: int | None
    ctime: datetime.datetime
    mtime: datetime.datetime
    cached: bool
    is_job: bool

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINISHED

    @property
    def is_done(self) -> bool:
        """Whether it ended well."""
        return self.state == "finished" and self.exit_status == 0

    @property
    def seconds(self) -> float:
        """Seconds from its creation to its last change."""
        return (self.mtime - self.ctime).total_seconds()


@dataclasses.dataclass
class StudyProgress:
    """State of a process at one moment.

    :ivar pk: of the process.
    :ivar kind: its entry point, such as ``siox.study``.
    :ivar label: its label.
    :ivar state: ``created``, ``running``, ``waiting``, ``finished``, ``excepted`` or ``killed``.
    :ivar exit_status: None while it goes on.
    :ivar exit_message: what it says of its end.
    :ivar n_sites: sites that it will compute, the quartz site of the calibration among them.
    :ivar n_done: sites with a spectrum.
    :ivar n_failed: sites without.
    :ivar n_running: sites being computed.
    :ivar running: what the engines do now, one line a job.
    :ivar n_jobs: engine jobs that have ended.
    :ivar n_cached: those of them that were taken from the cache.
    :ivar elapsed_s: seconds since it was submitted, up to its end.
    :ivar remaining_s: estimate of the seconds left; None when there is no saying.
    :ivar n_cells: accepted cells that a structure set was asked for; 0 of other processes.
    :ivar n_cells_done: those that there are.
    :ivar n_cells_failed: those that there will not be.
    """

    pk: int
    kind: str
    label: str
    state: str
    exit_status: int | None
    exit_message: str
    n_sites: int
    n_done: int
    n_failed: int
    n_running: int
    running: list[str]
    n_jobs: int
    n_cached: int
    elapsed_s: float
    remaining_s: float | None
    n_cells: int = 0
    n_cells_done: int = 0
    n_cells_failed: int = 0

    @property
    def is_over(self) -> bool:
        """Return whether nothing will change any more."""
        return self.state in FINISHED

    @property
    def n_left(self) -> int:
        """Sites that have neither a spectrum nor a failure."""
        return max(0, self.n_sites - self.n_done - self.n_failed)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**dataclasses.asdict(self), "n_left": self.n_left}


#: What is read of each process, in the order of the fields of :class:`Called` after its link.
PROJECT = (
    "id", "process_type", "label", "attributes.process_state", "attributes.exit_status", "ctime", "mtime",
    "extras._aiida_cached_from", "node_type",
)  # fmt: skip


def called(parent: int, link_label: str, row: Iterable[Any]) -> Called:
    """Return a process from what :data:`PROJECT` read of it."""
    pk, process_type, label, state, exit_status, ctime, mtime, source, node_type = row
    return Called(
        pk, parent, link_label, process_type or "", label, state or "created", exit_status, ctime, mtime,
        cached=source is not None, is_job="calcjob" in node_type,
    )  # fmt: skip


def read_called(root: orm.ProcessNode) -> dict[int, Called]:
    """Return all processes under a root, and the root itself if it is a job: one query for each level of calls."""
    found: dict[int, Called] = {}
    if isinstance(root, orm.CalcJobNode):
        builder = orm.QueryBuilder().append(orm.CalcJobNode, filters={"id": root.pk}, project=list(PROJECT))
        found = {item.pk: item for item in (called(0, "", row) for row in builder.all())}
    return found | {row[0]: called(parent, link, row) for *row, parent, link in called_under(root, PROJECT)}


@dataclasses.dataclass(frozen=True)
class Expected:
    """What one configuration is expected to take.

    :ivar n_sites: sites that it will compute.
    :ivar before_s: seconds of what comes before its sites: melt, ground state, Bader charges.
    :ivar site_s: seconds of a site.
    """

    n_sites: int
    before_s: float
    site_s: float


@functools.lru_cache(maxsize=32)
def expected_parts(node: orm.ProcessNode) -> dict[str, Expected]:
    """Return what a process will compute by configuration (``Si8O4_1``, ``calibration``), from its inputs."""
    kind = node.process_type or ""
    inputs = node.base.links.get_incoming(link_type=LinkType.INPUT_WORK).nested()
    settings = study_settings(inputs)
    if kind == STUDY and "configurations" in inputs:  # a study of another version has none
        parts = study_parts(inputs)
    elif kind == CALIBRATION:
        supercell = inputs["crystal"]["supercell"] if "crystal" in inputs else (1, 1, 1)
        parts = [calibration_part(supercell, settings)]
    elif kind in (TARGETS, SITE) and "structure" in inputs:
        n_sites = 1 if kind == SITE else len(inputs["sites"].get_list()) if "sites" in inputs else None
        parts = [targets_part("", inputs["structure"].get_ase(), settings, n_sites)]
    else:
        return {}
    costs = load_costs()

    def seconds(jobs: Iterable[Job]) -> float:
        return sum(costs.seconds(job) + costs.overhead_s for job in jobs)

    return {part.label: Expected(part.n_sites, seconds(part.before), seconds(part.site)) for part in parts}


def place_of(item: Called, found: dict[int, Called]) -> tuple[str, str]:
    """Return the configuration (``Si8O4_1``, ``calibration``) and the site (``site 7``) that a process works for."""
    configuration = site = ""
    current: Called | None = item
    while current is not None:
        match = PLACE.fullmatch(current.link_label)
        if match:
            site = site or (f"site {match['site']}" if match["site"] else "")
            configuration = configuration or match["cell"] or match["calibration"] or ""
        current = found.get(current.parent)
    return configuration, site


def describe_job(item: Called, found: dict[int, Called]) -> str:
    """Return one line on a running job: engine, site, configuration."""
    plugin = item.process_type.rpartition(":")[2]
    name = JOBS.get(plugin, plugin)
    configuration, site = place_of(item, found)
    if plugin == "quantumespresso.pw":
        name += " core-hole SCF" if site else " ground state"
    of = " of ".join(part for part in (site, configuration) if part)
    return f"{name}, {of}" if of else name


def estimate(
    parts: dict[str, Expected],
    sites: list[tuple[Called, str]],
    lanes: int,
    now: datetime.datetime,
) -> float | None:
    """Estimate the seconds that are left from the sites of this run that have ended.

    :param parts: what each configuration is expected to take.
    :param sites: the site processes that exist, with their configuration.
    :param lanes: engine jobs at one time.
    """
    if not parts:
        return None
    mean = sum(part.site_s for part in parts.values()) / len(parts)
    known = [(item, parts[label].site_s if label in parts else mean) for item, label in sites]
    busy = [((now - item.ctime).total_seconds(), cost) for item, cost in known if not item.is_over]
    total = sum(part.n_sites * part.site_s for part in parts.values())
    spent = sum(item.seconds for item, _ in known if item.is_over)
    weight = sum(cost for item, cost in known if item.is_over)
    if weight and spent > 0:
        rate = spent / weight
    else:
        # A site that takes longer than it should says that this machine is slow, or busy.
        rate = max([1.0, *(1.2 * (now - item.ctime).total_seconds() / cost for item, cost in known)])
    left = (total - weight) * rate - sum(min(elapsed, 0.9 * cost * rate) for elapsed, cost in busy)
    begun = {label for _, label in sites}
    left += rate * sum(part.before_s for label, part in parts.items() if label not in begun)
    return max(0.0, left / max(1, lanes))


def estimate_cells(cells: list[Called], n_cells: int, lanes: int) -> float | None:
    """Estimate the seconds that a structure set still takes from the cells that are through; None without any.

    :param cells: the processes of configurations that exist.
    :param n_cells: how many there will be.
    """
    times = [item.seconds for item in cells if item.is_over]
    if not times or not n_cells:
        return None
    return (n_cells - len(times)) * sum(times) / len(times) / max(1, min(lanes, n_cells - len(times)))


def running_lines(found: dict[int, Called]) -> list[str]:
    """Return what runs now: jobs, and functions of this package such as the training."""
    lines = [describe_job(item, found) for item in found.values() if item.is_job and not item.is_over]
    for item in found.values():
        if not item.is_job and item.state == "running" and not item.process_type.startswith("aiida.workflows"):
            lines.append(item.process_type.rpartition(".")[2].replace("_", " "))
    return lines


def study_progress(node: orm.ProcessNode) -> StudyProgress:
    """Return how far a process is, with one query for each level of its calls.

    :param node: a study, or any other process; only some WorkChains know how many sites are to come.
    """
    now = datetime.datetime.now(tz=datetime.UTC)
    found = read_called(node)
    state = node.process_state.value if node.process_state else "created"
    is_over = state in FINISHED
    parts = expected_parts(node)
    only = next(iter(parts)) if len(parts) == 1 else ""
    sites = [(item, only or place_of(item, found)[0]) for item in found.values() if item.process_type == SITE]
    n_done = sum(item.is_done for item, _ in sites)
    n_over = sum(item.is_over for item, _ in sites)
    ended = [item for item in found.values() if item.is_job and item.is_over]
    cells = [item for item in found.values() if item.process_type == CONFIGURATION]
    n_cells = 0
    if node.process_type == STRUCTURE_SET and "configurations" in node.inputs:
        n_cells = len(node.inputs.configurations.get_list())
    lanes = node.inputs.max_concurrent.value if "max_concurrent" in node.inputs else 1
    n_cells_done = sum(item.is_done for item in cells) if n_cells else 0
    return StudyProgress(
        pk=node.pk or 0,
        kind=(node.process_type or "").rpartition(":")[2],
        label=node.label,
        state=state,
        exit_status=node.exit_status,
        exit_message=(node.exit_message or node.exception or "") if is_over else "",
        n_sites=max(sum(part.n_sites for part in parts.values()), len(sites)),
        n_done=n_done,
        n_failed=n_over - n_done,
        n_running=len(sites) - n_over,
        running=running_lines(found),
        n_jobs=len(ended),
        n_cached=sum(item.cached for item in ended),
        elapsed_s=((node.mtime if is_over else now) - node.ctime).total_seconds(),
        remaining_s=None if is_over else estimate_cells(cells, n_cells, lanes) or estimate(parts, sites, lanes, now),
        n_cells=n_cells,
        n_cells_done=n_cells_done,
        n_cells_failed=sum(item.is_over for item in cells) - n_cells_done if n_cells else 0,
    )


# --- as text -----------------------------------------------------------------------------------------------------


def expected_end(progress: StudyProgress) -> str:
    """Return the expected end as a clock time with the time left, or a dash."""
    if progress.remaining_s is None:
        return "-"
    end = datetime.datetime.now().astimezone() + datetime.timedelta(seconds=progress.remaining_s)
    return f"about {end:%H:%M} (in {duration(progress.remaining_s)})"


def verdict(progress: StudyProgress) -> str:
    """Return how a process stands in one word or sentence."""
    # A message may go on with the last lines of an engine.
    message = next(iter(progress.exit_message.splitlines()), "")
    if progress.state == "finished":
        return f"ended with exit status {progress.exit_status}: {message}" if progress.exit_status else "finished"
    if progress.state == "excepted":
        return f"broke off: {message}"
    return progress.state


def counts(progress: StudyProgress) -> str:
    """Return what is done, failed and left, of sites or of cells, or a dash."""
    if progress.n_sites:
        return f"{progress.n_done}/{progress.n_failed}/{progress.n_left} sites"
    if progress.n_cells:
        left = progress.n_cells - progress.n_cells_done - progress.n_cells_failed
        return f"{progress.n_cells_done}/{progress.n_cells_failed}/{left} cells"
    return "-"


def rows(progress: StudyProgress) -> list[tuple[str, str]]:
    """Return the state as names and texts."""
    found = []
    if progress.n_sites:
        of = f"{progress.n_left} left ({progress.n_running} running) of {progress.n_sites}"
        found.append(("sites", f"{progress.n_done} done, {progress.n_failed} failed, {of}"))
    if progress.n_cells:
        accepted = f"{progress.n_cells_done} of {progress.n_cells} accepted"
        found.append(("cells", f"{accepted}, {progress.n_cells_failed} failed"))
    cached = f", {progress.n_cached} of them from the cache" if progress.n_cached else ""
    found.append(("jobs", f"{progress.n_jobs} ended{cached}"))
    if not progress.is_over:
        found.append(("running", "\n".join(progress.running) or "between jobs"))
    found.append(("elapsed", duration(progress.elapsed_s)))
    return found if progress.is_over else [*found, ("expected end", expected_end(progress))]


def one_line(progress: StudyProgress) -> str:
    """Return the state as one line, for a terminal that cannot be redrawn."""
    parts = [f"{name} {text}".replace("\n", "; ") for name, text in rows(progress)]
    return " | ".join([*parts, verdict(progress)] if progress.is_over else parts)


def as_table(progress: StudyProgress) -> Table:
    """Return the state as a rich table."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    name = f"{progress.kind} {progress.pk}" + (f" ({progress.label})" if progress.label else "")
    table.add_row("process", Text(f"{name}: {verdict(progress)}"))
    total = progress.n_sites or progress.n_cells
    if total:
        ended = progress.n_done + progress.n_failed + progress.n_cells_done + progress.n_cells_failed
        table.add_row("", ProgressBar(total=total, completed=ended, width=40))
    for name, text in rows(progress):
        table.add_row(name, Text(text))
    return table

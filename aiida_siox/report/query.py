"""What a study consists of, read with a handful of queries instead of thousands of lazy loads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from aiida import orm
from aiida.common.exceptions import NotExistent, NotExistentAttributeError, NotExistentKeyError
from aiida.common.links import LinkType
from ase.formula import Formula

from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.site_table import SiteTableData

#: Identifiers in one SQL ``IN``: SQLite takes no more than 32766 variables in a statement.
BATCH = 5000

#: Outputs of a study that there is one of each.
SINGLE_OUTPUTS = {
    "calibration": "calibration",
    "dataset": "data set",
    "charge_model": "charge network",
    "rdf_model": "RDF network",
}


def batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Split values into lists that fit into one SQL statement."""
    items = list(values)
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def called_ids(process: orm.ProcessNode) -> list[int]:
    """Return the ids of all processes under a process, in the order of their ids: one query for each level."""
    found: set[Any] = set()
    level: set[Any] = {process.pk}
    while level:
        below: set[Any] = set()
        for batch in batches(level):
            builder = orm.QueryBuilder()
            builder.append(orm.ProcessNode, filters={"id": {"in": batch}}, tag="caller")
            builder.append(
                orm.ProcessNode,
                with_incoming="caller",
                edge_filters={"type": {"in": [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]}},
                project="id",
            )
            below.update(builder.all(flat=True))
        level = below - found
        found |= below
    return sorted(found)


@dataclasses.dataclass
class Configuration:
    """One melt-quenched cell of a study with whatever became of it.

    :param label: ``<formula>_<seed>``.
    :param structure: the cell, or None.
    :param quality: density, coordination histograms and flags, or {}.
    :param table: spectra and targets of its sites, or None.
    :param failure: what the study recorded when it has no table (``reason``), or {}.
    :param accepted_seed: seed that the cell was made with, which is not that of the label when the first cell was
        rejected; None where the study does not say.
    """

    label: str
    structure: orm.StructureData | None = None
    quality: dict[str, Any] = dataclasses.field(default_factory=dict)
    table: SiteTableData | None = None
    failure: dict[str, Any] = dataclasses.field(default_factory=dict)
    accepted_seed: int | None = None

    @property
    def formula(self) -> str:
        """Formula of the label, such as ``Si8O4``."""
        return self.label.rsplit("_", 1)[0]

    @property
    def seed(self) -> str:
        """Seed that the cell was made with, that of the label where the study does not say."""
        if self.accepted_seed is not None:
            return str(self.accepted_seed)
        return self.label.rsplit("_", 1)[-1] if "_" in self.label else ""

    @property
    def x(self) -> float:
        """Composition x of SiOₓ."""
        if self.table is not None:
            return float(self.table.base.attributes.get("x"))
        if "x" in self.quality:
            return float(self.quality["x"])
        counts = list(Formula(self.formula).count().values())  # absorber first
        return sum(counts[1:]) / counts[0]


@dataclasses.dataclass
class Failure:
    """One line of the table of failures.

    :param what: ``site``, ``configuration``, ``step`` or ``study``.
    :param where: the site or configuration, for a reader.
    :param reason: what the process or the table says.
    :param pk: the process that failed, when known.
    """

    what: str
    where: str
    reason: str
    pk: int | None = None


@dataclasses.dataclass
class Study:
    """Everything the report is made of.

    :param node: the process.
    :param configurations: by composition, formula and seed.
    :param missing: what there should be and is not, in words.
    :param failures: what failed and why.
    :param recorded: what the study itself recorded of other steps that failed (the calibration), by name.
    """

    node: orm.WorkChainNode
    configurations: list[Configuration]
    calibration: CalibrationData | None
    dataset: DatasetData | None
    charge_model: orm.Data | None
    rdf_model: orm.Data | None
    missing: list[str]
    failures: list[Failure]
    recorded: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def tables(self) -> list[SiteTableData]:
        """Tables of the configurations that have one."""
        return [entry.table for entry in self.configurations if entry.table is not None]

    @property
    def models(self) -> list[orm.Data]:
        """The networks that there are."""
        return [model for model in (self.charge_model, self.rdf_model) if model is not None]

    @property
    def shift_eV(self) -> float | None:
        """What brings total energies to the calibrated axis, None without a calibration."""
        return None if self.calibration is None else self.calibration.shift

    def shared(self, key: str) -> str | None:
        """Return the value of an attribute that all tables share, without tables that of the settings, or None."""
        for node in [*self.tables, self.dataset, self.calibration]:
            if node is not None and (value := node.base.attributes.get(key, None)) is not None:
                return str(value)
        value = (study_input(self.node, "settings") or {}).get(key)
        return None if value is None else str(value)

    @property
    def protocol(self) -> str | None:
        """Protocol of every number in the report."""
        return self.shared("protocol")


def study_input(node: orm.ProcessNode, name: str) -> Any:
    """Return the plain value of an input of a process, None where there is no such input or no plain value."""
    try:
        value = node.inputs[name]
    except (NotExistent, NotExistentAttributeError, NotExistentKeyError, KeyError):
        return None
    if isinstance(value, orm.List):
        return value.get_list()
    if isinstance(value, orm.Dict):
        return value.get_dict()
    return getattr(value, "value", None)


def check_one_kind(study: Study) -> None:
    """Refuse to draw what must not share a figure.

    :raises ValueError: if tables, data set, calibration and models differ in protocol, treatment, settings digest or
        the shift of the calibration.
    """
    nodes: list[tuple[str, orm.Data]] = [
        (f"table {entry.label}", entry.table) for entry in study.configurations if entry.table is not None
    ]
    if study.dataset is not None:
        nodes.append(("data set", study.dataset))
    if study.calibration is not None:
        nodes.append(("calibration", study.calibration))
    nodes += [(f"model of the {model.base.attributes.get('target', '?')}", model) for model in study.models]
    for key in ("protocol", "treatment", "settings_digest"):
        first: tuple[str, Any] | None = None
        for name, node in nodes:
            value = node.base.attributes.get(key, None)
            if value is None:
                continue
            if first is None:
                first = (name, value)
            elif value != first[1]:
                raise ValueError(
                    f"no report of a mixture: {first[0]} has {key} `{first[1]}` and {name} has `{value}`. "
                    "Make one report for each protocol and set of settings."
                )
    shifts = [(name, node.base.attributes.get("shift_eV", None)) for name, node in nodes]
    shifts = [(name, float(shift)) for name, shift in shifts if shift is not None]
    for name, shift in shifts[1:]:
        if abs(shift - shifts[0][1]) > 1e-6:
            raise ValueError(
                f"no report of a mixture: {shifts[0][0]} is shifted by {shifts[0][1]:.4f} eV, {name} by {shift:.4f} eV."
                " Make data set and models anew with one calibration."
            )


def read_study(node: orm.WorkChainNode) -> Study:
    """Collect the outputs of a study; what a failed part did not give is named in ``missing``.

    :param node: the node of a StudyWorkChain, finished or not.
    :raises ValueError: if its tables differ in protocol, treatment or settings.
    """
    outputs = flat_outputs(node)
    labels = [*requested_labels(node)]
    for name in outputs:
        namespace, _, label = name.partition(".")
        if namespace in ("structures", "qualities", "site_tables") and label and label not in labels:
            labels.append(label)
    configurations = []
    for label in labels:
        quality, failure = outputs.get(f"qualities.{label}"), outputs.get(f"failures.{label}")
        attempts = outputs.get(f"attempts.{label}")
        configurations.append(
            Configuration(
                label,
                structure=outputs.get(f"structures.{label}"),
                quality=quality.get_dict() if isinstance(quality, orm.Dict) else {},
                table=outputs.get(f"site_tables.{label}"),
                failure=failure.get_dict() if isinstance(failure, orm.Dict) else {},
                accepted_seed=attempts.get("accepted_seed") if isinstance(attempts, orm.Dict) else None,
            )
        )
    configurations.sort(key=lambda entry: (entry.x, entry.formula, entry.seed.zfill(9)))
    missing = [f"the {words}" for name, words in SINGLE_OUTPUTS.items() if name not in outputs]
    for words, labels in (
        ("structure", [entry.label for entry in configurations if entry.structure is None]),
        ("site table", [entry.label for entry in configurations if entry.table is None]),
    ):
        if labels:
            missing.append(f"the {words}{'s' if len(labels) > 1 else ''} of {', '.join(labels)}")
    study = Study(
        node=node,
        configurations=configurations,
        calibration=outputs.get("calibration"),
        dataset=outputs.get("dataset"),
        charge_model=outputs.get("charge_model"),
        rdf_model=outputs.get("rdf_model"),
        missing=missing,
        failures=[],
        recorded={
            name.partition(".")[2]: failure_words(data.get_dict())
            for name, data in outputs.items()
            if name.startswith("failures.") and name.partition(".")[2] not in labels and isinstance(data, orm.Dict)
        },
    )
    check_one_kind(study)
    study.failures = collect_failures(study)
    return study


def failure_words(record: dict[str, Any]) -> str:
    """Return reason and last lines of a recorded failure."""
    return "\n".join(str(record[key]) for key in ("reason", "last_lines") if record.get(key))


def flat_outputs(node: orm.ProcessNode) -> dict[str, Any]:
    """Return the outputs of a process by dotted name, with one query."""
    builder = orm.QueryBuilder()
    builder.append(orm.ProcessNode, filters={"id": node.pk}, tag="process")
    builder.append(
        orm.Data,
        with_incoming="process",
        edge_filters={"type": {"in": [LinkType.CREATE.value, LinkType.RETURN.value]}},
        edge_project="label",
        project="*",
    )
    return {label.replace("__", "."): data for data, label in builder.all()}


def requested_labels(node: orm.ProcessNode) -> list[str]:
    """Return the labels ``<formula>_<seed>`` of the configurations that a study was asked for."""
    items = study_input(node, "configurations")
    if not isinstance(items, list):
        return []
    return [f"{item[0]}_{item[1]}" for item in items if isinstance(item, list | tuple) and len(item) >= 2]


def collect_failures(study: Study) -> list[Failure]:
    """List failed sites, configurations without a table, and what else failed for good, each with its reason.

    A job that failed and was run again with success is no failure. A failed site is told by the table.
    """
    failures = []
    processes = failed_processes(study.node)
    explained: set[int] = set()
    for entry in study.configurations:
        if entry.table is not None:
            reasons = entry.table.base.attributes.get("reasons", None) or {}
            for row, reason in sorted(reasons.items(), key=lambda item: int(item[0])):
                failures.append(Failure("site", f"{entry.label}, site {row}", reason))
            continue
        where = f"{entry.label} ({'melt-quench' if entry.structure is None else 'spectra'})"
        causes = [found for found in processes if works_for(found, entry)]
        explained.update(found.pk for found in causes)
        if entry.failure:
            failures.append(Failure("configuration", where, failure_words(entry.failure)))
        elif causes:
            failures.append(Failure("configuration", where, causes[0].reason, causes[0].pk))
        elif study.node.is_terminated:
            failures.append(Failure("configuration", where, "the study ended without it and recorded no reason"))
    failures += [Failure("step", name, reason) for name, reason in study.recorded.items()]
    for found in processes:
        direct = found.caller_pk == study.node.pk or "Lane" in found.caller_label
        if (
            direct
            and found.pk not in explained
            and found.process_label not in COVERED_BY_TABLES
            and (found.process_label != "CalibrationWorkChain" or "calibration" not in study.recorded)
        ):
            failures.append(Failure("step", f"{found.process_label} ({found.pk})", found.reason, found.pk))
    node = study.node
    if node.is_terminated and not node.is_finished_ok:
        state = node.process_state.value if node.process_state else "unknown"
        failures.append(Failure("study", f"{node.process_label} ({node.pk})", node.exit_message or f"ended as {state}"))
    return failures


#: What failed in these is told by the rows of a table, or by its absence.
COVERED_BY_TABLES = (
    "SiteSpectrumWorkChain",
    "SiteLaneWorkChain",
    "StructureTargetsWorkChain",
    "ConfigurationLaneWorkChain",
)


@dataclasses.dataclass(frozen=True)
class FailedProcess:
    """A process under a study that did not end well.

    :param pk: its id.
    :param process_label: name of its class.
    :param call_label: label of the link from its caller.
    :param caller_pk: id of its caller.
    :param caller_label: name of the class of its caller.
    :param reason: exit message.
    :param formula: its input ``formula``, when it has one.
    :param seed: its input ``seed``.
    :param structure_pk: id of its input ``structure``.
    """

    pk: int
    process_label: str
    call_label: str
    caller_pk: int
    caller_label: str
    reason: str
    formula: str | None = None
    seed: int | None = None
    structure_pk: int | None = None


def works_for(found: FailedProcess, entry: Configuration) -> bool:
    """Return whether a failed process was to make the structure or the table of a configuration."""
    if entry.label in found.call_label:
        return True
    if found.formula is not None and f"{found.formula}_{found.seed}" == entry.label:
        return True
    return (
        found.process_label == "StructureTargetsWorkChain"
        and entry.structure is not None
        and found.structure_pk == entry.structure.pk
    )


def failed_processes(node: orm.ProcessNode) -> list[FailedProcess]:
    """Return the processes under a study that ended with an exit status, excepted or killed, by id."""
    found: list[Any] = []
    for batch in batches(called_ids(node)):
        builder = orm.QueryBuilder()
        builder.append(
            orm.ProcessNode,
            filters={"id": {"in": batch}, "attributes.process_state": {"in": ["finished", "excepted", "killed"]}},
            tag="process",
            project=[
                "id",
                "attributes.process_label",
                "attributes.process_state",
                "attributes.exit_status",
                "attributes.exit_message",
                "attributes.exception",
            ],
        )
        builder.append(
            orm.ProcessNode,
            with_outgoing="process",
            edge_filters={"type": {"in": [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]}},
            edge_project="label",
            project=["id", "attributes.process_label"],
        )
        found.extend(row for row in builder.all() if row[3] != 0)
    inputs = _plain_inputs([row[0] for row in found])
    failed = []
    for pk, label, state, status, message, exception, caller_pk, caller_label, call_label in sorted(
        found, key=lambda row: row[0]
    ):
        lines = [line for line in str(exception or "").splitlines() if line.strip()]
        ending = str(state) if status is None else f"exit status {status} without a message"
        reason = message or (f"{state}: {lines[-1]}" if lines else ending)
        failed.append(
            FailedProcess(
                pk=pk,
                process_label=label or "process",
                call_label=call_label,
                caller_pk=caller_pk,
                caller_label=caller_label or "",
                reason=reason,
                **inputs.get(pk, {}),
            )
        )
    return failed


def _plain_inputs(pks: list[int]) -> dict[int, dict[str, Any]]:
    """Return formula, seed and id of the structure of the processes that have such inputs."""
    result: dict[int, dict[str, Any]] = {}
    for batch in batches(pks):
        builder = orm.QueryBuilder()
        builder.append(orm.ProcessNode, filters={"id": {"in": batch}}, tag="process", project="id")
        builder.append(
            orm.Data,
            with_outgoing="process",
            edge_filters={"label": {"in": ["formula", "seed", "structure"]}},
            edge_project="label",
            project=["id", "attributes.value"],
        )
        for pk, data_pk, value, label in builder.all():
            entry = result.setdefault(pk, {})
            if label == "structure":
                entry["structure_pk"] = data_pk
            else:
                entry[label] = value
    return result

"""What a study consists of, read from its nodes."""

from __future__ import annotations

import dataclasses
from typing import Any

from aiida import orm
from ase.formula import Formula

from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.materials import Material, load_material
from aiida_siox.report.provenance import FailedProcess, failed_processes, outputs_of, plain_input

#: What failed in these is told by the rows of a table, or by its absence.
COVERED_BY_TABLES = (
    "SiteSpectrumWorkChain",
    "SiteLaneWorkChain",
    "StructureTargetsWorkChain",
    "ConfigurationLaneWorkChain",
)


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
        counts = list(Formula(self.formula).count().values())  # absorber first
        return float(self.quality.get("x", sum(counts[1:]) / counts[0]))


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
    :param calibration: or None.
    :param dataset: or None.
    :param models: by the property that they read.
    :param recorded: what the study itself recorded of other steps that failed (the calibration), by name.
    :param failures: what failed and why.
    """

    node: orm.WorkChainNode
    configurations: list[Configuration]
    calibration: CalibrationData | None
    dataset: DatasetData | None
    models: dict[str, ModelData]
    recorded: dict[str, str]
    failures: list[Failure] = dataclasses.field(default_factory=list)

    @property
    def tables(self) -> list[SiteTableData]:
        """Tables of the configurations that have one."""
        return [entry.table for entry in self.configurations if entry.table is not None]

    @property
    def missing(self) -> list[str]:
        """What there should be and is not, in words."""
        single = {"the calibration": self.calibration, "the data set": self.dataset, "the models": self.models}
        found = [words for words, output in single.items() if not output]
        for words, labels in (
            ("structure", [entry.label for entry in self.configurations if entry.structure is None]),
            ("site table", [entry.label for entry in self.configurations if entry.table is None]),
        ):
            if labels:
                found.append(f"the {words}{'s' if len(labels) > 1 else ''} of {', '.join(labels)}")
        return found

    @property
    def material(self) -> Material:
        """What was computed, for drawings of cells and words."""
        settings = self.shared("settings") or plain_input(self.node, "settings") or {}
        return load_material(settings.get("material") or "siox")

    def shared(self, key: str) -> Any:
        """Return the value of an attribute that all tables share, without tables that of the settings, or None."""
        for node in [*self.tables, self.dataset, self.calibration]:
            if node is not None and (value := node.base.attributes.get(key, None)) is not None:
                return value
        return (plain_input(self.node, "settings") or {}).get(key)


def named_nodes(study: Study) -> list[tuple[str, orm.Data]]:
    """Return everything that numbers of the report come from, with its name for a reader."""
    nodes: list[tuple[str, orm.Data | None]] = [(f"table {e.label}", e.table) for e in study.configurations]
    nodes += [("data set", study.dataset), ("calibration", study.calibration)]
    nodes += [(f"model of the {name}", model) for name, model in study.models.items()]
    return [(name, node) for name, node in nodes if node is not None]


def check_one_kind(study: Study) -> None:
    """Refuse to draw what must not share a figure.

    :raises ValueError: if tables, data set, calibration and models differ in protocol, treatment, settings digest or
        the shift of the calibration.
    """
    for key in ("protocol", "treatment", "settings_digest"):
        values = [(name, node.base.attributes.get(key, None)) for name, node in named_nodes(study)]
        values = [(name, value) for name, value in values if value is not None]
        for name, value in values[1:]:
            if value != values[0][1]:
                raise ValueError(
                    f"no report of a mixture: {values[0][0]} has {key} `{values[0][1]}` and {name} has `{value}`. "
                    "Make one report for each protocol and set of settings."
                )
    shifts = [(name, node.base.attributes.get("shift_eV", None)) for name, node in named_nodes(study)]
    shifts = [(name, float(shift)) for name, shift in shifts if shift is not None]
    for name, shift in shifts[1:]:
        if abs(shift - shifts[0][1]) > 1e-6:
            raise ValueError(
                f"no report of a mixture: {shifts[0][0]} is shifted by {shifts[0][1]:.4f} eV, {name} by {shift:.4f} eV."
                " Make data set and models anew with one calibration."
            )


def read_study(node: orm.WorkChainNode) -> Study:
    """Collect the outputs of a study.

    :param node: the node of a StudyWorkChain, finished or not.
    :raises ValueError: if its tables differ in protocol, treatment or settings.
    """
    outputs = outputs_of(node)
    items = plain_input(node, "configurations")
    labels = [f"{item[0]}_{item[1]}" for item in items or [] if isinstance(item, list | tuple) and len(item) >= 2]
    for name in outputs:
        namespace, _, label = name.partition(".")
        if namespace in ("structures", "qualities", "site_tables") and label and label not in labels:
            labels.append(label)

    def mapping(name: str) -> dict[str, Any]:
        found = outputs.get(name)
        return found.get_dict() if isinstance(found, orm.Dict) else {}

    configurations = [
        Configuration(
            label,
            structure=outputs.get(f"structures.{label}"),
            quality=mapping(f"qualities.{label}"),
            table=outputs.get(f"site_tables.{label}"),
            failure=mapping(f"failures.{label}"),
            accepted_seed=mapping(f"attempts.{label}").get("accepted_seed"),
        )
        for label in labels
    ]
    others = [name for name in outputs if name.startswith("failures.") and name.partition(".")[2] not in labels]
    study = Study(
        node=node,
        configurations=sorted(configurations, key=lambda entry: (entry.x, entry.formula, entry.seed.zfill(9))),
        calibration=outputs.get("calibration"),
        dataset=outputs.get("dataset"),
        models={str(model.target): model for model in outputs.values() if isinstance(model, ModelData)},
        recorded={name.partition(".")[2]: failure_words(mapping(name)) for name in others},
    )
    check_one_kind(study)
    study.failures = collect_failures(study)
    return study


def failure_words(record: dict[str, Any]) -> str:
    """Return reason and last lines of a recorded failure."""
    return "\n".join(str(record[key]) for key in ("reason", "last_lines") if record.get(key))


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

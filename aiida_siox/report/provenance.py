"""Questions to the graph, each with a handful of queries instead of thousands of lazy loads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aiida import orm
from aiida.common.exceptions import NotExistent, NotExistentAttributeError, NotExistentKeyError
from aiida.common.links import LinkType

#: Identifiers in one SQL ``IN``: SQLite takes no more than 32766 variables in a statement.
BATCH = 5000
CALL = {"type": {"in": [LinkType.CALL_CALC.value, LinkType.CALL_WORK.value]}}

#: Source, target, type and label of a link.
Link = tuple[int, int, str, str]


def batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Split values into lists that fit into one SQL statement."""
    items = list(values)
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def called(process: orm.ProcessNode, project: Sequence[str] = ("id",)) -> list[tuple[Any, ...]]:
    """Return all processes under a process by their ids, with one query for each level of calls.

    :param project: what is wanted of each; the id comes first. Caller and label of the call are added at the end.
    """
    found: dict[int, tuple[Any, ...]] = {}
    level: list[Any] = [process.pk]
    while level:
        below: list[Any] = []
        for batch in batches(level):
            builder = orm.QueryBuilder()
            builder.append(orm.ProcessNode, filters={"id": {"in": batch}}, project="id", tag="caller")
            builder.append(
                orm.ProcessNode, with_incoming="caller", edge_filters=CALL, edge_project="label", project=list(project)
            )
            below += [(*row, caller, label) for caller, *row, label in builder.all() if row[0] not in found]
        found.update({row[0]: row for row in below})
        level = [row[0] for row in below]
    return [found[pk] for pk in sorted(found)]


def called_ids(process: orm.ProcessNode) -> list[int]:
    """Return the ids of all processes under a process, in the order of their ids."""
    return [row[0] for row in called(process)]


def outputs_of(process: orm.ProcessNode) -> dict[str, Any]:
    """Return the outputs of a process by dotted name, with one query."""
    builder = orm.QueryBuilder()
    builder.append(orm.ProcessNode, filters={"id": process.pk}, tag="process")
    builder.append(
        orm.Data,
        with_incoming="process",
        edge_filters={"type": {"in": [LinkType.CREATE.value, LinkType.RETURN.value]}},
        edge_project="label",
        project="*",
    )
    return {label.replace("__", "."): data for data, label in builder.all()}


def plain_input(process: orm.ProcessNode, name: str) -> Any:
    """Return the plain value of an input of a process, None where there is no such input or no plain value."""
    try:
        value = process.inputs[name]
    except (NotExistent, NotExistentAttributeError, NotExistentKeyError, KeyError):
        return None
    if isinstance(value, orm.List):
        return value.get_list()
    if isinstance(value, orm.Dict):
        return value.get_dict()
    return getattr(value, "value", None)


def ancestry(node: orm.Data) -> list[Link]:
    """Return the links of everything that a node was made from, a query a level."""
    links: set[Link] = set()
    seen: set[Any] = {node.pk}
    level: set[Any] = {node.pk}
    while level:
        above: set[Any] = set()
        for batch in batches(level):
            builder = orm.QueryBuilder()
            builder.append(orm.Node, filters={"id": {"in": batch}}, project="id", tag="target")
            builder.append(
                orm.Node,
                with_outgoing="target",
                edge_filters={"type": {"in": [LinkType.CREATE.value, LinkType.INPUT_CALC.value]}},
                edge_project=["type", "label"],
                project="id",
            )
            for target, source, kind, label in builder.all():
                links.add((source, target, kind, label))
                above.add(source)
        level = above - seen
        seen |= above
    return sorted(links)


@dataclasses.dataclass(frozen=True)
class FailedProcess:
    """A process under another one that did not end well.

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


def failed_processes(process: orm.ProcessNode) -> list[FailedProcess]:
    """Return the processes under a process that ended with an exit status, excepted or killed, by id."""
    keys = ("process_label", "process_state", "exit_status", "exit_message", "exception")
    rows = called(process, ("id", *(f"attributes.{key}" for key in keys)))
    labels = {pk: label for pk, label, *_ in rows} | {process.pk: process.process_label}
    rows = [row for row in rows if row[2] in ("finished", "excepted", "killed") and row[3] != 0]
    inputs = _telling_inputs([row[0] for row in rows])
    failed = []
    for pk, label, state, status, message, exception, caller, call_label in rows:
        lines = [line for line in str(exception or "").splitlines() if line.strip()]
        ending = str(state) if status is None else f"exit status {status} without a message"
        reason = message or (f"{state}: {lines[-1]}" if lines else ending)
        own = (pk, label or "process", call_label, caller, labels.get(caller) or "", reason)
        failed.append(FailedProcess(*own, **inputs.get(pk, {})))
    return failed


def _telling_inputs(pks: list[int]) -> dict[int, dict[str, Any]]:
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
            entry.update({"structure_pk": data_pk} if label == "structure" else {label: value})
    return result

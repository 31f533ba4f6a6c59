"""What all WorkChains share: scheduler options of a job, and what may be cleaned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

# bash prints the CPU seconds of the engines of a job (user, system) into _scheduler-stdout.txt, which AiiDA always
# retrieves: schedulers without accounting (core.direct) know no other way.
PREPEND_TEXT = 'echo "siox-start $(date +%s.%N)"'
APPEND_TEXT = 'echo "siox-end $(date +%s.%N)"\ntimes'

CACHED_FROM = "_aiida_cached_from"


def job_metadata(options: Mapping[str, Any] | None, label: str) -> dict[str, Any]:
    """Return the metadata of a CalcJob: one serial process unless the options say otherwise.

    :param options: scheduler options of the user (resources, max_wallclock_seconds, queue_name, account, ...).
    :param label: label of the process node.
    """
    merged: dict[str, Any] = {"resources": {"num_machines": 1, "num_mpiprocs_per_machine": 1}, "withmpi": False}
    merged.update(options or {})
    merged["prepend_text"] = "\n".join(filter(None, [PREPEND_TEXT, merged.get("prepend_text")]))
    merged["append_text"] = "\n".join(filter(None, [merged.get("append_text"), APPEND_TEXT]))
    return {"options": merged, "label": label}


def validate_options(options: Any, engines: tuple[str, ...]) -> str | None:
    """Return what is wrong with options that are given for each engine, or None."""
    if not isinstance(options, Mapping):
        return f"`options` must map engines to scheduler options, got {options!r}."
    for key, value in options.items():
        if key not in engines:
            from aiida_siox.registry import nearest

            return f"`options` has no engine `{key}`: {nearest(str(key), list(engines))}"
        if not isinstance(value, Mapping):
            return f"`options.{key}` must be a mapping of scheduler options, got {value!r}."
    return None


def output_namespace(process: orm.ProcessNode, name: str) -> dict[str, orm.Data]:
    """Return the nodes of an output namespace by key; empty when the process attached none."""
    return dict(process.outputs[name]) if name in process.outputs else {}


def is_cached(node: orm.ProcessNode) -> bool:
    """Return whether a process was taken from the cache."""
    return CACHED_FROM in node.base.extras.all


def scratch_is_gone(remote: orm.RemoteData) -> bool:
    """Return whether nothing is left in a remote folder, asked of the computer itself."""
    try:
        return bool(remote.is_empty)
    except OSError:
        return True


def clean_scratch(process: orm.ProcessNode) -> list[int | None]:
    """Clean the scratch of all CalcJobs under a process that ran here, and return their PKs.

    The folder of a cached job belongs to the run it was taken from, which may still need it: it stays.
    """
    cleaned = []
    for node in [process, *process.called_descendants]:
        if not isinstance(node, orm.CalcJobNode) or is_cached(node):
            continue
        remote = node.base.links.get_outgoing(link_label_filter="remote_folder").first()
        if remote is None:
            continue
        try:
            remote.node._clean()
            cleaned.append(node.pk)
        except (OSError, KeyError):
            # the folder is gone already, or the computer cannot be reached now: nothing is lost but disk space
            continue
    return cleaned

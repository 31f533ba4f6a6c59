"""What all WorkChains share: scheduler options of a job, and what may be cleaned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from aiida import orm
from aiida.engine import CalcJob
from aiida.plugins import SchedulerFactory
from aiida.plugins.entry_point import get_entry_points
from aiida.schedulers.datastructures import NodeNumberJobResource

from aiida_siox.registry import nearest

# bash prints the CPU seconds of the engines of a job (user, system) into _scheduler-stdout.txt, which AiiDA always
# retrieves: schedulers without accounting (core.direct) know no other way.
PREPEND_TEXT = 'echo "siox-start $(date +%s.%N)"'
APPEND_TEXT = 'echo "siox-end $(date +%s.%N)"\ntimes'

#: Options that the plugin sets itself.
MANAGED_OPTIONS = ("parser_name", "input_filename", "output_filename", "additional_retrieve_list", "stash", "unstash")
OPTION_WORDS = {int: "an integer from 1 on", str: "text", bool: "true or false", dict: "a mapping", list: "a list"}

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


@cache
def option_ports() -> dict[str, Any]:
    """Return the ports of the scheduler options that a user may give, by name."""
    ports: Any = CalcJob.spec().inputs["metadata"]["options"]  # type: ignore[index]
    return {name: port for name, port in ports.items() if name not in MANAGED_OPTIONS}


@cache
def resource_keys() -> tuple[str, ...]:
    """Return the keys of ``resources`` that some scheduler of this installation takes."""
    schedulers = [SchedulerFactory(entry_point.name) for entry_point in get_entry_points("aiida.schedulers")]
    keys = [scheduler.job_resource_class.get_valid_keys() for scheduler in schedulers]
    return tuple(sorted(set().union(*keys)))


def resources_error(resources: Mapping[str, Any], path: str) -> str | None:
    """Return what is wrong with the resources of a job, as far as it can be said without its computer, or None."""
    valid = resource_keys()
    for key, value in resources.items():
        if key not in valid:
            return f"unknown key `{path}.{key}` (value {value!r}): {nearest(str(key), valid)}"
        if key != "parallel_env" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            return f"`{path}.{key}` must be an integer from 1 on, got {value!r}."
    nodes = set(resources) <= set(NodeNumberJobResource.get_valid_keys())
    if nodes and set(resources) != {"num_machines"}:  # the processes of a machine may be set on the computer
        try:
            NodeNumberJobResource.validate_resources(**resources)
        except ValueError as exception:
            return f"`{path}`, {dict(resources)}: {exception}"
    return None


def job_options_error(options: Any, path: str = "options") -> str | None:
    """Return what is wrong with the scheduler options of one job, or None.

    :param path: where they stand, for the message.
    """
    if not isinstance(options, Mapping):
        return f"`{path}` must be a mapping of scheduler options, got {options!r}."
    ports = option_ports()
    for key, value in options.items():
        full = f"{path}.{key}"
        if key not in ports:
            return f"unknown key `{full}` (value {value!r}): {nearest(str(key), ports)}"
        kinds = ports[key].valid_type or object
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        wrong = not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds and object not in kinds)
        if wrong or (int in kinds and isinstance(value, int) and value < 1):
            words = " or ".join(OPTION_WORDS.get(kind, kind.__name__) for kind in kinds if kind is not type(None))
            return f"`{full}` must be {words}, got {value!r}."
        if key == "resources" and (message := resources_error(value, full)):
            return message
        if error := ports[key].validate(value):
            return f"`{full}`: {error.message}"
    return None


def validate_job_options(options: Any, _: Any = None) -> str | None:
    """Port validator of the scheduler options of one kind of job."""
    return job_options_error(options)


def validate_options(options: Any, engines: tuple[str, ...]) -> str | None:
    """Return what is wrong with options that are given for each engine, or None."""
    if not isinstance(options, Mapping):
        return f"`options` must map engines to scheduler options, got {options!r}."
    for key, value in options.items():
        if key not in engines:
            return f"`options` has no engine `{key}`: {nearest(str(key), engines)}"
        if message := job_options_error(value, f"options.{key}"):
            return message
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

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
from pydantic import ConfigDict, create_model

from aiida_siox.checked import Checked, Count, Flag
from aiida_siox.registry import nearest

# bash prints the CPU seconds of the engines of a job (user, system) into _scheduler-stdout.txt, which AiiDA always
# retrieves: schedulers without accounting (core.direct) know no other way.
PREPEND_TEXT = 'echo "siox-start $(date +%s.%N)"'
APPEND_TEXT = 'echo "siox-end $(date +%s.%N)"\ntimes'

#: Options that the plugin sets itself.
MANAGED_OPTIONS = ("parser_name", "input_filename", "output_filename", "additional_retrieve_list", "stash", "unstash")
OPTION_TYPES: dict[type, Any] = {int: Count, bool: Flag, str: str, dict: dict[str, Any], list: list[Any]}

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


class Given(Checked):
    """Values of which any may be left out."""

    model_config = ConfigDict(validate_default=False)


@cache
def job_options() -> type[Checked]:
    """Return the model of the scheduler options that a user may give, made of the ports and schedulers of AiiDA."""
    ports: Any = CalcJob.spec().inputs["metadata"]["options"]  # type: ignore[index]
    schedulers = [SchedulerFactory(entry_point.name) for entry_point in get_entry_points("aiida.schedulers")]
    keys = set().union(*(scheduler.job_resource_class.get_valid_keys() for scheduler in schedulers))
    resources: Any = {key: (str if key == "parallel_env" else Count, None) for key in sorted(keys)}
    fields: dict[str, Any] = {"resources": (create_model("Resources", __base__=Given, **resources), None)}
    for name, port in ports.items():
        if name not in (*MANAGED_OPTIONS, "resources"):
            kinds = port.valid_type if isinstance(port.valid_type, tuple) else (port.valid_type,)
            fields[name] = (OPTION_TYPES[kinds[0]], None)
    return create_model("JobOptions", __base__=Given, **fields)


def job_options_error(options: Any, path: str = "options") -> str | None:
    """Return what is wrong with the scheduler options of one job, as far as it can be said without its computer.

    :param path: where they stand, for the message.
    """
    if message := job_options().fault(options, path):
        return message
    resources = dict(options.get("resources", {}))
    nodes = set(resources) <= set(NodeNumberJobResource.get_valid_keys())
    if nodes and set(resources) - {"num_machines"}:  # processes of a machine may be set on the computer
        try:
            NodeNumberJobResource.validate_resources(**resources)
        except ValueError as exception:
            return f"`{path}.resources` {resources}: {exception}"
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

"""Nodes of processes that never ran, as a parent finds them."""

from __future__ import annotations

from collections.abc import Mapping

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState


def process_node(
    label: str,
    outputs: Mapping[str, orm.Data] | None = None,
    *,
    exit_status: int = 0,
    exit_message: str = "",
    state: ProcessState = ProcessState.FINISHED,
    caller: tuple[orm.ProcessNode, str] | None = None,
) -> orm.WorkChainNode:
    """Return a stored WorkChain that ended.

    :param label: name of its class.
    :param caller: its parent, and the label of the link to it.
    """
    node = orm.WorkChainNode()
    node.set_process_label(label)
    if caller is not None:
        node.base.links.add_incoming(caller[0], LinkType.CALL_WORK, caller[1])
    node.store()
    for name, output in (outputs or {}).items():
        output.store()
        output.base.links.add_incoming(node, LinkType.RETURN, name)
    node.set_process_state(state)
    if state is ProcessState.FINISHED:
        node.set_exit_status(exit_status)
        node.set_exit_message(exit_message)
    return node


def lane_node(label: str, items: list, state: ProcessState = ProcessState.EXCEPTED) -> orm.WorkChainNode:
    """Return a stored lane that excepted, or was killed, and attached nothing."""
    lane = orm.WorkChainNode()
    lane.base.links.add_incoming(orm.List(items).store(), LinkType.INPUT_WORK, "configurations")
    lane.set_process_label(label)
    lane.store()
    lane.set_process_state(state)
    if state is ProcessState.EXCEPTED:
        lane.set_exception("OSError: no space left on device")
    return lane


def configuration_node(lane: orm.ProcessNode, label: str, attempts: dict, **ended) -> orm.WorkChainNode:
    """Return a configuration under a lane; with an accepted seed it has a cell."""
    outputs = {"attempts": orm.Dict(attempts)}
    if attempts["accepted_seed"] is not None:
        structure = orm.StructureData(cell=[[6, 0, 0], [0, 6, 0], [0, 0, 6]])
        structure.append_atom(symbols="Si", position=(0, 0, 0))
        outputs |= {"structure": structure, "quality": orm.Dict({"accepted": True}), "profiles": orm.ArrayData()}
    caller = (lane, f"melt_quench_{label}")
    return process_node("ConfigurationWorkChain", outputs, caller=caller, **ended)

"""Sets of structures without engines: what is refused before anything starts, what is kept, what is said at the end."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import ProcessState
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.science.acceptance import attempts_of
from aiida_siox.workflows.configuration import ConfigurationWorkChain
from aiida_siox.workflows.structure_set import StructureLaneWorkChain, StructureSetWorkChain
from tests.workflows.nodes import configuration_node, lane_node

GOOD = {"accepted": True, "rejected_by": []}
BAD = {"accepted": False, "rejected_by": ["void", "density"]}
SILICON_ONLY = {
    "name": "silicon only",
    "source": "none",
    "species": ["Si"],
    "pair_style": "lj/cut 5.0",
    "pair_coeff": ["* * 0.1 2.0"],
}


@pytest.fixture
def make(computer):
    """Return a function that makes the builder of a set."""
    code = orm.InstalledCode(computer=computer, filepath_executable="/bin/true").store()

    def build(overrides=None, compositions=("Si14", "Si8O4"), seeds=(1,)):
        return StructureSetWorkChain.get_builder_from_protocol(
            code, "fast", {"max_attempts": 5, **(overrides or {})}, compositions=compositions, seeds=seeds
        )

    return build


def changed(builder, formula, name, **values):
    """Let the melt-quench of a formula have other values."""
    melt_quench = {key: dict(nodes) for key, nodes in builder.melt_quench.items()}
    melt_quench[formula][name] = orm.Dict({**melt_quench[formula][name].get_dict(), **values})
    builder.melt_quench = melt_quench
    return builder


class TestRefused:
    """Nothing is submitted; the message names the formula. A set and its lanes."""

    @staticmethod
    def refused(builder, message):
        n_processes = orm.QueryBuilder().append(orm.ProcessNode).count()
        with pytest.raises(ValueError, match=message):
            instantiate_process(get_manager().get_runner(), builder)
        inputs = {name: value for name, value in builder._inputs(prune=True).items() if name != "max_concurrent"}
        with pytest.raises(ValueError, match=message):
            instantiate_process(get_manager().get_runner(), StructureLaneWorkChain, **inputs)
        assert orm.QueryBuilder().append(orm.ProcessNode).count() == n_processes

    def test_potential_of_another_species(self, make):
        builder = make({"potential": SILICON_ONLY})
        self.refused(builder, "Si8O4 cannot be melted: `potential`: the potential silicon only knows Si only")

    def test_starting_cell(self, make):
        builder = changed(make(), "Si14", "starting_cell", crystal="foo")
        self.refused(builder, "Si14 cannot be melted: the material siox has no crystal `foo`")

    def test_parameters(self, make):
        builder = changed(make(), "Si8O4", "parameters", foo=1)
        self.refused(builder, "Si8O4 cannot be melted: unknown key `parameters.foo`")

    def test_quality(self, make):
        builder = changed(make(), "Si8O4", "quality", distinct_tolerance=-1.0)
        self.refused(builder, "Si8O4 cannot be melted: `quality.distinct_tolerance` must be")

    def test_no_starting_cell(self, make):
        builder = make()
        builder.melt_quench = {"Si14": builder.melt_quench["Si14"], "Si8O4": {"parameters": orm.Dict({"foo": 1})}}
        self.refused(builder, "Si8O4 cannot be melted: ")

    def test_no_parameters(self, make):
        builder = make()
        builder.melt_quench = {"Si14": builder.melt_quench["Si14"]}
        self.refused(builder, "`melt_quench` has no parameters for Si8O4")

    def test_good_inputs_are_taken(self, make):
        instantiate_process(get_manager().get_runner(), make())


def test_lane_submits_what_was_checked(make, monkeypatch):
    """Each configuration gets the inputs of its formula."""
    builder = make({"max_attempts": 4}, seeds=(3, 5))
    inputs = {name: value for name, value in builder._inputs(prune=True).items() if name != "max_concurrent"}
    runner = get_manager().get_runner()
    lane = instantiate_process(runner, StructureLaneWorkChain, **inputs)
    submitted = []
    monkeypatch.setattr(lane, "submit", lambda cls, **given: submitted.append((cls, given)) or lane.node)
    lane.setup()
    while lane.has_next():
        lane.run_next()
    assert len(submitted) == 4
    process_class, given = submitted[-1]
    configuration = instantiate_process(runner, process_class, **given)
    assert process_class is ConfigurationWorkChain
    assert given["metadata"] == {"call_link_label": "melt_quench_Si8O4_5"}
    taken = configuration.inputs
    numbers = [taken[name].value for name in ("formula", "seed", "max_attempts", "seed_stride")]
    assert numbers == ["Si8O4", 5, 4, 3]
    assert taken.parameters.get_dict() == builder.melt_quench["Si8O4"]["parameters"].get_dict()
    assert taken.code.uuid == builder.code.uuid


@pytest.fixture
def gathered(make):
    """Return a function that lets a set gather its lanes."""

    def gather(lanes, compositions, seeds=(1,)):
        process = instantiate_process(get_manager().get_runner(), make(None, compositions, seeds))
        process.ctx.lanes = lanes
        process.gather()
        return process

    return gather


@pytest.mark.parametrize("state", [ProcessState.EXCEPTED, ProcessState.KILLED])
def test_cells_of_a_lane_that_stopped_are_kept(gathered, state):
    """Its first configuration was accepted, the second not, the third was killed with it, the fourth never begun."""
    lane = lane_node("StructureLaneWorkChain", [["Si8O4", 1], ["Si8O4", 2], ["Si8O4", 3], ["Si8O4", 4]], state)
    cell = configuration_node(lane, "Si8O4_1", attempts_of("Si8O4", [1, 5], {1: BAD, 5: GOOD}))
    configuration_node(
        lane, "Si8O4_2", attempts_of("Si8O4", [2], {2: BAD}), exit_status=310, exit_message="None of 1 cells"
    )
    configuration_node(lane, "Si8O4_3", attempts_of("Si8O4", [3], {3: BAD}), state=ProcessState.KILLED)
    process = gathered([lane], ["Si8O4"], (1, 2, 3, 4))
    outputs = process.outputs
    assert list(outputs["structures"]) == list(outputs["qualities"]) == list(outputs["profiles"]) == ["Si8O4_1"]
    assert outputs["structures"]["Si8O4_1"].uuid == cell.outputs.structure.uuid
    assert sorted(outputs["attempts"]) == ["Si8O4_1", "Si8O4_2"]
    counted = outputs["acceptance"]["Si8O4"]
    assert (counted["requested"], counted["accepted"], counted["attempts"]) == (4, 1, 3)
    reasons = {label: node["reason"] for label, node in outputs["failures"].items()}
    assert sorted(reasons) == ["Si8O4_2", "Si8O4_3", "Si8O4_4"]
    assert "None of 1 cells" in reasons["Si8O4_2"]
    assert reasons["Si8O4_3"].startswith(f"StructureLaneWorkChain<{lane.pk}>")
    exit_code = process.results()
    assert exit_code.status == 401
    assert exit_code.message.startswith("3 configurations have no accepted cell: Si8O4_2, Si8O4_3, Si8O4_4")


def test_message_says_what_the_attempts_came_to(gathered):
    """Rejected, failed, and never tried are three things."""
    lane = lane_node("StructureLaneWorkChain", [["Si8O4", 1], ["Si4O8", 1], ["Si14", 1], ["Si6O6", 1]])
    configuration_node(lane, "Si8O4_1", attempts_of("Si8O4", [1, 2, 3], {1: BAD, 2: BAD}, failed=[3]), exit_status=320)
    configuration_node(lane, "Si4O8_1", attempts_of("Si4O8", [1, 2], {1: BAD}), exit_status=310)
    configuration_node(lane, "Si14_1", attempts_of("Si14", [1], {1: GOOD}))
    process = gathered([lane], ["Si8O4", "Si4O8", "Si14", "Si6O6"])
    exit_code = process.results()
    assert exit_code.status == 310
    assert exit_code.message == (
        "No cell was accepted of Si8O4 (3 of 5 attempts made: 2 rejected, 1 failed), Si4O8 (2 of 5 attempts made: "
        "1 rejected, 1 blew up), Si6O6 (none of 5 attempts came to an end); see `failures` for the reasons. 1 accepted "
        "cells are attached."
    )
    assert process.outputs["acceptance"]["Si8O4"]["reasons"] == {"void": 2, "density": 2, "failed": 1}

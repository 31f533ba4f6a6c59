"""A lane of configurations: what is not fit to be computed does not stop the lane. Whole runs are in test_study."""

import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.science.acceptance import attempts_of
from aiida_siox.workflows.configuration_lane import ConfigurationLaneWorkChain, configuration_label
from aiida_siox.workflows.study import StudyWorkChain
from tests.workflows.nodes import configuration_node, lane_node


def test_labels():
    assert configuration_label("Si8O4", 3) == "Si8O4_3"


@pytest.fixture
def inputs(mock_engines, mock_atomic_data):
    """Return the inputs of a lane."""
    study = StudyWorkChain.get_builder_from_protocol(
        mock_engines.codes, "fast", compositions=["Si2O4"], seeds=[1], atomic_data=mock_atomic_data
    )
    keys = (
        "material", "melt_quench", "potential", "max_attempts", "seed_stride", "target", "crystal", "settings",
        "max_concurrent", "clean_scratch", "atomic_data",
    )  # fmt: skip
    inputs = {key: study[key] for key in keys}
    inputs["codes"] = {engine: code for engine, code in mock_engines.codes.items() if engine != "ld1"}
    inputs["configurations"] = orm.List([["Si2O4", 1], ["calibration"]])
    return inputs


@pytest.fixture
def lane(inputs):
    """Return a lane that has not been started."""
    process = instantiate_process(get_manager().get_runner(), ConfigurationLaneWorkChain, **inputs)
    process.setup()
    return process


def test_refuses_what_cannot_be_melted(inputs):
    starting_cell = orm.Dict({"crystal": "foo", "density_g_cm3": 2.3})
    inputs["melt_quench"] = {"Si2O4": {**inputs["melt_quench"]["Si2O4"], "starting_cell": starting_cell}}
    with pytest.raises(ValueError, match="Si2O4 cannot be melted: the material siox has no crystal `foo`"):
        instantiate_process(get_manager().get_runner(), ConfigurationLaneWorkChain, **inputs)


def test_submits_what_was_checked(lane, inputs, monkeypatch):
    submitted = []
    monkeypatch.setattr(lane, "submit", lambda cls, **given: submitted.append((cls, given)) or lane.node)
    lane.run_first_part()
    ((process_class, given),) = submitted
    assert given["metadata"] == {"call_link_label": "melt_quench_Si2O4_1"}
    configuration = instantiate_process(get_manager().get_runner(), process_class, **given)
    assert configuration.inputs.code.uuid == inputs["codes"]["lmp"].uuid
    assert configuration.inputs.quality.get_dict() == inputs["melt_quench"]["Si2O4"]["quality"].get_dict()


def test_keeps_what_a_configuration_gave(lane):
    """Its cell, or the attempts and the reason why there is none."""
    parent = lane_node("ConfigurationLaneWorkChain", [])
    lane.ctx.label = "Si2O4_1"
    lane.ctx.first = configuration_node(parent, "Si2O4_1", attempts_of("Si2O4", [1], {1: {"accepted": True}}))
    lane.inspect_first_part()
    assert lane.ctx.structure.uuid == lane.ctx.structures["Si2O4_1"].uuid == lane.ctx.first.outputs.structure.uuid
    assert list(lane.ctx.qualities) == ["Si2O4_1"]
    lane.ctx.label = "Si2O4_2"
    lane.ctx.first = configuration_node(parent, "Si2O4_2", attempts_of("Si2O4", [2], {}, [2]), exit_status=320)
    lane.inspect_first_part()
    assert list(lane.ctx.structures) == ["Si2O4_1"]
    assert list(lane.ctx.attempts) == ["Si2O4_1", "Si2O4_2"]
    assert list(lane.ctx.failures) == ["Si2O4_2"]


def test_a_cell_that_cannot_be_computed_is_a_failure(lane, mock_quartz):
    lane.ctx.label = "Si2O4_1"
    atoms = mock_quartz.get_ase()
    lane.ctx.structure = orm.StructureData(ase=atoms + atoms[:1])
    assert not lane.has_valid_structure()
    assert "atoms overlap" in lane.ctx.failures["Si2O4_1"]["reason"]
    assert lane.has_next()


def test_a_good_cell_is_computed(lane, mock_quartz):
    lane.ctx.label = "Si2O4_1"
    lane.ctx.structure = mock_quartz
    assert lane.has_valid_structure()
    assert not lane.ctx.failures


def test_no_structure_no_targets(lane):
    lane.ctx.structure = None
    assert not lane.has_valid_structure()
    assert not lane.ctx.failures

"""A lane of configurations: what is not fit to be computed does not stop the lane. Whole runs are in test_study."""

import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.workflows.configuration_lane import ConfigurationLaneWorkChain, configuration_label
from aiida_siox.workflows.study import StudyWorkChain


def test_labels():
    assert configuration_label("Si8O4", 3) == "Si8O4_3"


@pytest.fixture
def lane(mock_engines, mock_atomic_data):
    """Return a lane that has not been started."""
    study = StudyWorkChain.get_builder_from_protocol(
        mock_engines.codes, "fast", compositions=["Si2O4"], seeds=[1], atomic_data=mock_atomic_data
    )
    keys = (
        "melt_quench", "potential", "max_attempts", "seed_stride", "target", "quartz", "settings", "max_concurrent",
        "clean_scratch", "atomic_data",
    )  # fmt: skip
    inputs = {key: study[key] for key in keys}
    inputs["codes"] = {engine: code for engine, code in mock_engines.codes.items() if engine != "ld1"}
    inputs["configurations"] = orm.List([["Si2O4", 1], ["calibration"]])
    process = instantiate_process(get_manager().get_runner(), ConfigurationLaneWorkChain, **inputs)
    process.setup()
    return process


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

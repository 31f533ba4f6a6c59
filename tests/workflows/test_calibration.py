"""The calibration: one quartz site, refused inputs, frozen builders. Its runs are in test_study."""

import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.workflows.calibration import CalibrationWorkChain


@pytest.fixture
def builder(mock_engines, mock_atomic_data):
    return CalibrationWorkChain.get_builder_from_protocol(mock_engines.codes, mock_atomic_data, "fast")


@pytest.mark.parametrize("target", [0.0, 1829.9, 1861.0])
def test_target_out_of_range(mock_engines, mock_atomic_data, builder, target):
    words = f"main peak of quartz lies between 1830 and 1860 eV, got {target:g}"
    with pytest.raises(ValueError, match=words):
        CalibrationWorkChain.get_builder_from_protocol(
            mock_engines.codes, mock_atomic_data, "fast", {"target_eV": target}
        )
    builder.target = orm.Float(target)
    with pytest.raises(ValueError, match=words):
        instantiate_process(get_manager().get_runner(), builder)


@pytest.mark.parametrize("supercell", [[1, 1], [0, 1, 1], [1.5, 1, 1], None, [True, True, True]])
def test_supercell(builder, supercell):
    with pytest.raises(ValueError, match=r"three positive integers|must be an integer from 1 on"):
        builder.crystal = orm.Dict({**builder.crystal.get_dict(), "supercell": supercell})


def test_the_settings_are_those_of_the_targets(mock_engines, mock_atomic_data):
    builder = CalibrationWorkChain.get_builder_from_protocol(
        mock_engines.codes, mock_atomic_data, "fast", targets_overrides={"settings": {"treatment": "xch"}}
    )
    assert builder.settings["treatment"] == "xch"
    assert builder.settings["protocol"] == "fast"


@pytest.mark.parametrize("protocol", ["fast", "balanced", "paper"])
def test_builder(serialize, data_regression, mock_engines, mock_atomic_data, protocol):
    builder = CalibrationWorkChain.get_builder_from_protocol(
        mock_engines.codes, mock_atomic_data, protocol, max_concurrent=1
    )
    data_regression.check(serialize(builder))

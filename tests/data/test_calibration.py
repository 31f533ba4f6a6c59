"""CalibrationData: one constant."""

import json

import pytest
from aiida import orm

from aiida_siox.data.calibration import CalibrationData
from tests.factories import make_calibration


def test_calibration(aiida_profile):
    node = make_calibration(-12.78, "abc").store()
    loaded = orm.load_node(node.pk)
    assert isinstance(loaded, CalibrationData)
    assert loaded.shift == pytest.approx(-12.78)
    assert loaded.settings_digest == "abc"
    summary = json.loads(json.dumps(loaded.summary()))
    assert summary == {
        "type": "calibration",
        "uuid": node.uuid,
        "shift_eV": pytest.approx(-12.78),
        "target_eV": 1846.8,
        "white_line_eV": 1859.58,
        "reference": "quartz",
        "treatment": "fch",
        "protocol": "fast",
        "settings_digest": "abc",
    }


def test_refused(aiida_profile):
    with pytest.raises(ValueError, match="a calibration has no key `target`: did you mean `target_eV`"):
        make_calibration(target=1846.8)
    with pytest.raises(ValueError, match=r"target_eV nan and white_line_eV .* must be finite"):
        make_calibration(target_eV=float("nan"))

"""CalibrationData: one constant."""

import json

from aiida import orm

from aiida_siox.data.calibration import CalibrationData


def test_calibration(aiida_profile):
    node = CalibrationData()
    node.base.attributes.set_many({"shift_eV": -12.78, "target_eV": 1846.8, "settings_digest": "abc"})
    node.store()
    loaded = orm.load_node(node.pk)
    assert isinstance(loaded, CalibrationData)
    assert loaded.shift == -12.78
    assert loaded.settings_digest == "abc"
    summary = json.loads(json.dumps(loaded.summary()))
    assert summary == {
        "type": "calibration",
        "uuid": node.uuid,
        "shift_eV": -12.78,
        "target_eV": 1846.8,
        "settings_digest": "abc",
    }

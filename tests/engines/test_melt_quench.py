"""MeltQuenchWorkChain on the real LAMMPS."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain

pytestmark = pytest.mark.engine

SHORT = {
    "parameters": {
        "settle_time_ps": 0.5,
        "melt_time_ps": 2.0,
        "quench_time_ps": 5.0,
        "hold_time_ps": 0.5,
        "restart_interval_ps": 1.0,
        "thermo_interval_ps": 0.1,
    }
}


def test_short_melt_quench(engine_code):
    builder = MeltQuenchWorkChain.get_builder_from_protocol(engine_code("lmp"), "Si8O4", 1, overrides=SHORT)
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    print(outputs["quality"].get_dict())

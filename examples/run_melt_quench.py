"""Melt and quench one small cell: ``verdi run examples/run_melt_quench.py lmp@localhost Si8O4 3``."""

from __future__ import annotations

import sys

from aiida.engine import run_get_node
from aiida.orm import load_code

from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain

code, formula, seed = sys.argv[1:4]
builder = MeltQuenchWorkChain.get_builder_from_protocol(load_code(code), formula, int(seed), protocol="fast")
outputs, node = run_get_node(builder)

quality = outputs["quality"]
print(f"MeltQuenchWorkChain<{node.pk}> {node.exit_status}: StructureData<{outputs['structure'].pk}>")
print(f"{quality['density_g_cm3']:.3f} g/cm³, Si by their O neighbours: {quality['coordination_oxygen']}")

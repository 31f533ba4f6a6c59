"""Pseudopotentials of Si, O and Si with a 1s hole, found in the profile or made now.

Run with ``verdi run examples/run_atomic_data.py [CODE]``; CODE is the label of an ld1.x code, ``ld1@localhost`` if
none is given.
"""

import sys

from aiida import orm
from aiida.engine import run_get_node

from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, atomic_data_of, find_atomic_data

code = orm.load_code(sys.argv[1] if len(sys.argv) > 1 else "ld1@localhost")
data = find_atomic_data(code)
if data is None:
    _, node = run_get_node(AtomicDataWorkChain.get_builder_from_protocol(code, protocol="fast"))
    if not node.is_finished_ok:
        sys.exit(f"{node.process_label}<{node.pk}> failed: {node.exit_message}")
    data = atomic_data_of(node)

print(f"core correction: {data['energies']['core_correction_eV']:.3f} eV")
for kind, pseudo in data["pseudos"].items():
    print(f"{kind:3s} {pseudo.filename} <{pseudo.pk}>")
print(f"core wavefunction <{data['core_wavefunction'].pk}>")

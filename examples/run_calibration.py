"""The shift from total energies to the measured axis, from one site of α-quartz.

``verdi run examples/run_calibration.py [TARGET]`` with the codes that ``aiida-siox setup`` registered; TARGET is the
measured main peak of quartz in eV (default: 1846.8, the protocol's).
"""

import sys

from aiida.engine import run_get_node

from aiida_siox.cli.codes import get_codes
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, atomic_data_of, find_atomic_data
from aiida_siox.workflows.calibration import CalibrationWorkChain

codes = get_codes(["ld1", "pw", "pp", "xspectra", "bader"])
atomic_data = find_atomic_data(codes["ld1"])
if atomic_data is None:
    _, node = run_get_node(AtomicDataWorkChain.get_builder_from_protocol(codes["ld1"]))
    atomic_data = atomic_data_of(node)

overrides = {"target_eV": float(sys.argv[1])} if len(sys.argv) > 1 else None
builder = CalibrationWorkChain.get_builder_from_protocol(codes, atomic_data, protocol="fast", overrides=overrides)
outputs, node = run_get_node(builder)
if not node.is_finished_ok:
    sys.exit(f"{node.process_label}<{node.pk}> failed: {node.exit_message}")

calibration = outputs["calibration"]
print(f"CalibrationData<{calibration.pk}>, protocol fast: shift {calibration.shift:+.3f} eV")

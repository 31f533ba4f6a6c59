"""Spectra, valences and RDFs of the silicon sites of a structure file.

``verdi run examples/run_structure.py FILE [SITE ...]`` with the codes that ``aiida-siox setup`` registered; FILE is
anything ASE reads, SITE the index of a silicon atom (default: all of them).
"""

import sys

from aiida import orm
from aiida.engine import run_get_node

from aiida_siox.cli.codes import get_codes
from aiida_siox.materials import load_material
from aiida_siox.science.structure_file import doubts, read_structure_file, told_back
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, atomic_data_of, find_atomic_data
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain

if len(sys.argv) < 2:
    sys.exit(__doc__)

found = read_structure_file(sys.argv[1])
material = load_material("siox")
print(told_back(found.atoms, material), *found.remarks, *doubts(found.atoms, material), sep="\n")

codes = get_codes(["ld1", "pw", "pp", "xspectra", "bader"])
atomic_data = find_atomic_data(codes["ld1"])
if atomic_data is None:
    _, node = run_get_node(AtomicDataWorkChain.get_builder_from_protocol(codes["ld1"]))
    atomic_data = atomic_data_of(node)

builder = StructureTargetsWorkChain.get_builder_from_protocol(
    codes,
    orm.StructureData(ase=found.atoms),
    atomic_data,
    protocol="fast",
    sites=[int(site) for site in sys.argv[2:]] or None,
)
outputs, node = run_get_node(builder)
if "site_table" not in outputs:
    sys.exit(f"{node.process_label}<{node.pk}> failed: {node.exit_message}")

print(f"SiteTableData<{outputs['site_table'].pk}>, protocol fast")
table = outputs["site_table"]
for row, n_oxygen in zip(table.rows(), table.n_ligands, strict=True):
    print(row.site_index, row.reason or "done", f"{n_oxygen} O", f"valence {row.properties['valence'][0]:+.2f} e")

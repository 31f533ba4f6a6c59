"""From compositions to a data set and two networks, left to the daemon.

``verdi run examples/run_study.py [FORMULA ...]`` with the codes that ``aiida-siox setup`` registered; default: the
compositions of the protocol `fast`. Follow it with ``aiida-siox status PK``.
"""

import sys

from aiida.engine import submit

from aiida_siox.cli.codes import study_codes
from aiida_siox.workflows.study import StudyWorkChain

builder = StudyWorkChain.get_builder_from_protocol(
    study_codes(),
    protocol="fast",
    overrides={"structure_targets": {"settings": {"rdf": {"sigma_angstrom": 0.15}}}, "training": {"epochs": 200}},
    compositions=sys.argv[1:] or None,
    seeds=[1],
    max_concurrent=2,
)
node = submit(builder)
print(f"StudyWorkChain<{node.pk}> of {builder.configurations.get_list()}: aiida-siox status {node.pk}")

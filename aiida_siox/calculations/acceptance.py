"""Calcfunctions that count accepted and rejected cells: thin shells around ``science.acceptance``."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_siox.materials import load_material
from aiida_siox.science import acceptance


@calcfunction
def count_attempts(
    formula: orm.Str, seeds: orm.List, failed: orm.List, version: orm.Int, **qualities: orm.Dict
) -> orm.Dict:
    """Return what came of the seeds that were tried for one configuration.

    :param failed: seeds whose job failed.
    :param qualities: by ``seed_7``; of a seed that is neither here nor in ``failed`` the dynamics blew up.
    :param version: SCIENCE_VERSION, so that the cache notices when science/ changed.
    """
    found = {int(label.removeprefix("seed_")): node.get_dict() for label, node in qualities.items()}
    return orm.Dict(acceptance.attempts_of(formula.value, seeds.get_list(), found, failed.get_list()))


@calcfunction
def count_acceptance(configurations: orm.List, material: orm.Dict, version: orm.Int, **attempts: orm.Dict) -> orm.Dict:
    """Return requested and accepted cells, attempts and reasons by formula.

    :param configurations: [formula, seed] of each configuration that was requested.
    :param attempts: of :func:`count_attempts`, by ``Si8O4_1``.
    """
    formulas = [formula for formula, _ in configurations.get_list()]
    found = [node.get_dict() for node in attempts.values()]
    return orm.Dict(acceptance.count_acceptance(formulas, found, load_material(material.get_dict())))

"""Structure sets on the real LAMMPS: cells that are accepted, rejected, and replaced by the next seed."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching

from aiida_siox.workflows.configuration import ConfigurationWorkChain
from aiida_siox.workflows.structure_set import StructureSetWorkChain
from tests.engines.test_melt_quench import SHORT

pytestmark = pytest.mark.engine

RULES = ("oxygen_bond", "density", "coordination", "dangling_bonds", "void", "identical_sites", "silica_network")


def overrides(**rules):
    """Return overrides of a short melt-quench that asks nothing but the given rules."""
    chosen = {rule: {"action": "ignore"} for rule in (*RULES, "not_relaxed")}
    return {**SHORT, "quality": {"rules": {**chosen, **rules}}}


def run_set(code, changes, compositions, seeds, **attempts):
    builder = StructureSetWorkChain.get_builder_from_protocol(
        code, "fast", {**changes, **attempts}, compositions=compositions, seeds=seeds, max_concurrent=2
    )
    with enable_caching():
        return run_get_node(builder)


def test_set(engine_code):
    """Two compositions, two seeds: each cell with its quality, and links from the cell back to its seed."""
    outputs, node = run_set(engine_code("lmp"), overrides(), ["Si8O4", "Si4O8"], [1, 2])
    assert node.is_finished_ok, node.exit_message
    labels = {"Si8O4_1", "Si8O4_2", "Si4O8_1", "Si4O8_2"}
    for name in ("structures", "qualities", "profiles", "attempts"):
        assert set(outputs[name]) == labels
    counted = outputs["acceptance"].get_dict()
    assert {formula: (counted[formula]["accepted"], counted[formula]["rate"]) for formula in counted["order"]} == {
        "Si8O4": (2, 1.0),
        "Si4O8": (2, 1.0),
    }
    quality = outputs["qualities"]["Si4O8_1"]
    assert quality["accepted"]
    assert quality["x"] == 2
    # as the literature has them: partial g(r) tends to one, S(q) tends to one
    profiles = outputs["profiles"]["Si4O8_1"]
    assert profiles.get_array("S_neutron")[-100:].mean() == pytest.approx(1, abs=0.15)
    query = orm.QueryBuilder().append(orm.Int, filters={"attributes.value": 2}, tag="seed")
    query.append(ConfigurationWorkChain, with_incoming="seed", edge_filters={"label": "seed"}, tag="configuration")
    query.append(orm.StructureData, with_incoming="configuration", filters={"id": outputs["structures"]["Si8O4_2"].pk})
    assert query.count() == 1


def test_the_next_seed_replaces_a_rejected_cell(engine_code):
    """A limit between the voids of two seeds: the first is rejected and kept, the second taken."""
    code = engine_code("lmp")
    everything, _ = run_set(code, overrides(), ["Si8O4"], [1, 2, 3])
    void = {seed: everything["qualities"][f"Si8O4_{seed}"]["largest_void_angstrom"] for seed in (1, 2, 3)}
    first, second = next((a, b) for a in void for b in void if a < b and void[b] < void[a])
    limit = {"action": "reject", "max_radius_angstrom": (void[first] + void[second]) / 2, "max_fraction": [[0.0, 1.0]]}
    builder = ConfigurationWorkChain.get_builder_from_protocol(code, "Si8O4", first, "fast", overrides(void=limit))
    builder.seed_stride = orm.Int(second - first)
    with enable_caching():
        outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert outputs["attempts"]["seeds"] == [first, second]
    assert outputs["attempts"]["rejected_by"] == {str(first): ["void"]}
    np.testing.assert_array_equal(
        outputs["structure"].get_ase().positions, everything["structures"][f"Si8O4_{second}"].get_ase().positions
    )
    rejected = outputs["rejected"][f"seed_{first}"]
    np.testing.assert_array_equal(
        rejected.get_ase().positions, everything["structures"][f"Si8O4_{first}"].get_ase().positions
    )


def test_a_composition_without_a_cell_is_named(engine_code):
    """O–O bonds never occur, empty spheres always: what is asked of SiO₂ cannot be had, silicon is not lost."""
    impossible = {"action": "reject", "max_radius_angstrom": 0.1}
    outputs, node = run_set(engine_code("lmp"), overrides(void=impossible), ["Si8O4"], [1], max_attempts=2)
    assert node.exit_status == 310
    assert "Si8O4" in node.exit_message
    assert "2 attempts" in node.exit_message
    counted = outputs["acceptance"]["Si8O4"]
    assert (counted["accepted"], counted["attempts"], counted["reasons"]) == (0, 2, {"void": 2})
    assert "None of 2 cells of Si8O4 was accepted" in outputs["failures"]["Si8O4_1"]["reason"]
    assert (
        orm.QueryBuilder()
        .append(ConfigurationWorkChain, filters={"attributes.exit_status": 310}, tag="configuration")
        .append(orm.StructureData, with_incoming="configuration")
        .count()
        >= 2
    )

"""Plans: the jobs that a study then runs, lanes, scratch."""

from __future__ import annotations

import collections
import dataclasses
import math

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.science.cost import plane_waves
from aiida_siox.workflows import plan as plans
from aiida_siox.workflows.plan import (
    Part,
    Plan,
    calibration_part,
    default_settings,
    formula_part,
    load_costs,
    plan_structure,
    plan_study,
    targets_part,
)
from aiida_siox.workflows.study import StudyWorkChain
from tests.crystals import SIOX, alpha_quartz
from tests.mocks.fixtures import jobs_of

PLUGINS = {
    "aiida.calculations:siox.melt_quench": "lmp",
    "aiida.calculations:siox.ld1": "ld1",
    "aiida.calculations:quantumespresso.pw": "pw",
    "aiida.calculations:siox.bader": "bader",
    "aiida.calculations:siox.xspectra": "xspectra",
}
ENGINES = ("lmp", "ld1", "pw", "pp", "xspectra", "bader")


@pytest.fixture
def study_inputs(engine_code):
    """Return a function that gives the inputs of a study from a protocol."""

    def make(*arguments, **keywords):
        codes = {name: engine_code(name) for name in ENGINES}
        return StudyWorkChain.get_builder_from_protocol(codes, *arguments, **keywords)._inputs(prune=True)

    return make


def test_jobs_are_those_of_the_study(mock_study):
    """Every job of a real run is planned; the one site that never converges is tried twice more."""
    inputs = mock_study.node.base.links.get_incoming(link_type=LinkType.INPUT_WORK).nested()
    planned = plan_study(inputs).counts()
    ran = collections.Counter(PLUGINS[job.process_type] for job in jobs_of(mock_study.node))
    ran["xspectra"] -= 2
    assert planned == dict(ran)


def test_jobs_of_the_demo(study_inputs):
    """The study of the fast protocol: 16 sites and quartz, 48 jobs."""
    found = plan_study(study_inputs())
    assert found.counts() == {"ld1": 3, "lmp": 3, "pw": 21, "bader": 4, "xspectra": 17}
    assert [part.n_sites for part in found.parts] == [8, 4, 4, 1]
    assert {part.meshes for part in found.parts} == {((1, 1, 1), (2, 2, 2))}
    assert found.n_atomic == 3
    assert found.clean_scratch


def test_what_is_given_is_not_planned(study_inputs, mock_atomic_data):
    inputs = study_inputs(compositions=["Si4O8"], atomic_data=mock_atomic_data)
    assert "ld1" not in plan_study(inputs).counts()
    inputs["calibration"] = object()
    assert [part.label for part in plan_study(inputs).parts] == ["Si4O8_3"]


def test_cell_is_the_starting_cell(study_inputs):
    """4 Si and 8 O at 2.2 g/cm³: 240.3 g/mol, 181.4 Å³."""
    melt, ground, _ = plan_study(study_inputs(compositions=["Si4O8"])).parts[0].before
    assert ground.n_plane_waves == pytest.approx(plane_waves(240.336 / 0.602214 / 2.2, 50.0), rel=1e-3)
    assert melt.engine == "lmp"
    assert melt.n_atoms == 12
    assert melt.repeats == (2.0 + 20.0 + 100.0 + 2.0) / 0.5e-3


def test_paper_is_quick_and_extrapolated(study_inputs, monkeypatch):
    found = plan_study(study_inputs("paper"))
    assert sum(part.n_sites for part in found.parts) == 5 * 1058 + 1
    assert found.counts()["lmp"] == 45
    assert found.extrapolated() == {"lmp": 240, "pw": 243, "bader": 243, "xspectra": 243}
    assert found.total_s > 1000 * plan_study(study_inputs()).total_s


def test_spin_doubles_the_k_points():
    settings = default_settings()
    plain = targets_part("quartz", alpha_quartz(), settings)
    settings["scf"]["nspin"] = 2
    polarised = targets_part("quartz", alpha_quartz(), settings)
    for engine in (0, 1):
        assert polarised.site[engine].repeats == 2 * plain.site[engine].repeats


def test_explicit_mesh_overrides_the_distance():
    settings = default_settings()
    settings["xspectra"]["kpoints_mesh"] = [4, 4, 3]
    part = targets_part("quartz", alpha_quartz(), settings, n_sites=2)
    assert part.meshes[1] == (4, 4, 3)
    assert part.site[1].repeats == pytest.approx(48 * 3 * math.sqrt(50.0 / 0.8))
    assert part.n_sites == 2


def test_calibration_follows_the_supercell():
    assert calibration_part((2, 1, 1), default_settings()).n_atoms == 18


def toy_part(label: str, n_sites: int) -> Part:
    settings = default_settings()
    part = targets_part(label, alpha_quartz(), settings, n_sites)
    return dataclasses.replace(part, label=label)


def test_wall_time_is_that_of_the_slowest_lane():
    costs = load_costs()
    part = toy_part("a", 4)
    before = sum(costs.seconds(job) + costs.overhead_s for job in part.before)
    site = sum(costs.seconds(job) + costs.overhead_s for job in part.site)
    assert part.wall_s(costs, 1) == pytest.approx(before + 4 * site)
    assert part.wall_s(costs, 3) == pytest.approx(before + 2 * site)  # one lane has two sites
    assert part.wall_s(costs, 9) == pytest.approx(before + site)
    two = Plan([part, toy_part("b", 1)], [(1, [part]), (1, [toy_part("b", 1)])], 0, True, costs)
    assert two.wall_s == pytest.approx(part.wall_s(costs, 1))
    one = Plan(two.parts, [(1, two.parts)], 0, True, costs)
    assert one.wall_s > two.wall_s
    assert one.total_s == pytest.approx(two.total_s)


def test_scratch_with_and_without_cleaning():
    costs = load_costs()
    part = toy_part("a", 4)
    site = sum(costs.scratch_bytes(job) for job in part.site)
    cleaned = Plan([part], [(2, [part])], 0, True, costs)
    assert cleaned.scratch_bytes >= 2 * site
    kept = Plan([part], [(2, [part])], 0, False, costs)
    assert kept.scratch_bytes - cleaned.scratch_bytes > site
    assert kept.scratch_bytes >= 4 * site


def test_melts_are_kept_in_scratch():
    settings = default_settings()
    inputs = plans.MeltQuenchWorkChain.get_protocol_inputs()
    starting = {**inputs["starting_cell"], "density_g_cm3": 2.2, "material": inputs["material"]}
    part = formula_part("Si4O8", 1, settings, starting, inputs["parameters"])
    costs = load_costs()
    assert part.kept_scratch(costs, clean=True) == pytest.approx(costs.scratch_bytes(part.before[0]))


def test_structure(aiida_profile):
    node = orm.StructureData(ase=alpha_quartz())
    settings = {"settings": default_settings(), "material": SIOX.plain()}
    inputs = {**settings, "max_concurrent": 2, "clean_scratch": True}
    found = plan_structure("quartz", node, [0, 1], inputs, None, calibrate=False, atomic=True)
    assert found.counts() == {"ld1": 3, "pw": 3, "bader": 1, "xspectra": 2}
    both = plan_structure("quartz", node, None, inputs, None, calibrate=True, atomic=False)
    assert both.counts() == {"pw": 6, "bader": 2, "xspectra": 4}
    assert both.total_s == pytest.approx(sum(both.seconds.values()))

"""``aiida-siox run structures`` and what ``show`` says of a set."""

from __future__ import annotations

import pytest
import yaml
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.calculations.structures import assess_structure, structure_from_atoms
from aiida_siox.cli import launch, structures
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.acceptance import DYNAMICS_BLEW_UP, FAILED, attempts_of, count_acceptance
from tests.crystals import SIOX, alpha_quartz
from tests.report.conftest import QUALITY


@pytest.fixture
def lmp(engine_code):
    code = engine_code("lmp")
    code.base.extras.set_many({"siox_engine": "lmp", "siox_registered": 0.0})
    return code


@pytest.fixture
def captured(monkeypatch):
    """Take the builders that would be launched, instead of launching them."""
    builders: list = []
    monkeypatch.setattr(structures, "launch", lambda builder, submit: builders.append((builder, submit)))
    return builders


def test_builder(run_cli, lmp, captured, tmp_path):
    run_cli("run", "structures", "--compositions", "Si8O4,Si4O8", "--seeds", "1,2,5", "--submit")
    builder, submit = captured[0]
    assert submit
    assert len(builder.configurations.get_list()) == 6
    assert builder.seed_stride.value == 5, "second attempts are 6, 7 and 10"
    assert builder.max_attempts.value == 5
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text(yaml.safe_dump({"max_attempts": 2, "potential": "vashishta", "quench_rate_K_per_s": 1e14}))
    run_cli("run", "structures", "--protocol", "shortened", "--overrides", overrides, "--code", lmp.label)
    builder, submit = captured[1]
    assert not submit
    assert len(builder.configurations.get_list()) == 18
    assert builder.code.uuid == lmp.uuid
    assert builder.max_attempts.value == 2
    assert builder.potential.definition["name"] == "Vashishta 1990"
    assert builder.melt_quench["Si216"]["parameters"]["quench_time_ps"] == pytest.approx(49.99)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"quality": {"rules": {"voids": {}}}}, "did you mean `void`?"),
        ({"quality": {"rules": {"void": {"action": "refuse"}}}}, "`quality.rules.void.action` must be"),
        (
            {"quality": {"rules": {"void": {"max_radius_angstrom": -1.0}}}},
            "`quality.rules.void.max_radius_angstrom` must be",
        ),
        ({"quality": {"diffraction": {"qmax": 10.0}}}, "did you mean `q_max`?"),
        ({"potential": "munetho"}, "did you mean `munetoh`?"),
        ({"max_attempts": 0}, "`max_attempts` must be an integer from 1 on, got 0"),
    ],
)
def test_refused_before_anything_starts(run_cli, lmp, monkeypatch, tmp_path, overrides, message):
    monkeypatch.setattr(launch, "run_process", lambda *_, **__: pytest.fail("a process was started"))
    path = tmp_path / "overrides.yaml"
    path.write_text(yaml.safe_dump(overrides))
    assert message in run_cli("run", "structures", "--overrides", path, fails=True).stderr


def test_unknown_code_and_double_formula(run_cli, lmp, captured):
    other = orm.InstalledCode(
        label="a-pw", computer=lmp.computer, filepath_executable="/usr/bin/true",
        default_calc_job_plugin="quantumespresso.pw",
    ).store()  # fmt: skip
    error = run_cli("run", "structures", "--code", other.full_label, fails=True).stderr
    assert "is of quantumespresso.pw, not of siox.melt_quench" in error
    assert "no-such-code" in run_cli("run", "structures", "--code", "no-such-code", fails=True).stderr
    arguments = ("--formula", "Si8O4", "--compositions", "Si8O4")
    assert "twice" in run_cli("run", "structures", *arguments, fails=True).stderr
    assert not captured


@pytest.fixture
def finished_set(aiida_profile):
    """Return the node of a set with one accepted cell and a composition that has none."""
    quartz = structure_from_atoms(alpha_quartz()).store()
    results = orm.Dict({"pressure_bar": 0.0, "energy_eV": -59.4, "converged": True})
    parameters = orm.Dict({**QUALITY, "expected_density_g_cm3": 2.65})
    found = assess_structure(quartz, parameters, orm.Dict(SIOX.plain()), orm.Int(SCIENCE_VERSION), results)
    attempts = [
        attempts_of("Si3O6", [1, 3], {1: {"accepted": False, "rejected_by": ["void"]}, 3: {"accepted": True}}),
        attempts_of("Si8O4", [2, 4, 6], {}, failed=[6]),
    ]
    outputs = {
        "structures__Si3O6_1": quartz,
        "qualities__Si3O6_1": found["quality"],
        "profiles__Si3O6_1": found["profiles"],
        "attempts__Si3O6_1": orm.Dict(attempts[0]).store(),
        "attempts__Si8O4_2": orm.Dict(attempts[1]).store(),
        "failures__Si8O4_2": orm.Dict({"reason": "None of 2 cells of Si8O4 was accepted"}).store(),
        "acceptance": orm.Dict(count_acceptance(["Si3O6", "Si8O4"], attempts, SIOX)).store(),
    }
    node = orm.WorkChainNode(process_type="aiida.workflows:siox.structure_set")
    node.set_process_label("StructureSetWorkChain")
    node.store()
    for label, output in outputs.items():
        output.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
    node.set_process_state("finished")
    node.set_exit_status(310)
    node.set_exit_message("No cell was accepted of Si8O4 (3 of 5 attempts made: 2 blew up, 1 failed).")
    return node


def test_show(run_cli, finished_set):
    shown = run_cli("show", finished_set.pk, "--json").json
    assert shown["type"] == "structure_set"
    assert shown["exit_status"] == 310
    (cell,) = shown["cells"]
    assert (cell["label"], cell["seed"]) == ("Si3O6_1", 3)
    assert cell["density_g_cm3"] == pytest.approx(2.649, abs=1e-3)
    assert shown["acceptance"]["Si3O6"]["rate"] == 0.5
    text = run_cli("show", finished_set.pk).stdout
    assert "0 0 0 0 100 0" in text
    assert "50%" in text
    assert "void (1)" in text
    assert "dynamics blew up (2)" in text
    assert "job failed (1)" in text
    assert "No cell was accepted of Si8O4" in text
    assert "Si8O4_2 failed: None of 2 cells" in text


def test_every_rule_has_words(aiida_profile):
    assert set(structures.REASON_WORDS) == {*QUALITY["rules"], DYNAMICS_BLEW_UP, FAILED}


def found_profiles(structure, parameters):
    """Return the stored curves of a cell."""
    return assess_structure(structure, orm.Dict(parameters), orm.Dict(SIOX.plain()), orm.Int(SCIENCE_VERSION))[
        "profiles"
    ]


def test_show_a_configuration(run_cli, aiida_profile):
    """The accepted cell and the rejected one, each with what it was rejected by."""
    quartz = structure_from_atoms(alpha_quartz()).store()
    parameters = {**QUALITY, "expected_density_g_cm3": 2.65}
    good = assess_structure(quartz, orm.Dict(parameters), orm.Dict(SIOX.plain()), orm.Int(SCIENCE_VERSION))["quality"]
    parameters["expected_density_g_cm3"] = 2.0
    bad = assess_structure(quartz, orm.Dict(parameters), orm.Dict(SIOX.plain()), orm.Int(SCIENCE_VERSION))["quality"]
    attempts = attempts_of("Si3O6", [1, 3], {1: bad.get_dict(), 3: good.get_dict()})
    node = orm.WorkChainNode(process_type="aiida.workflows:siox.configuration")
    node.store()
    outputs = {"structure": quartz, "quality": good, "attempts": orm.Dict(attempts).store()}
    outputs |= {"rejected__seed_1": quartz, "rejected_qualities__seed_1": bad}
    for label, output in outputs.items():
        output.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
    profiles = found_profiles(quartz, parameters)
    shown = run_cli("show", profiles.pk, "--json").json
    assert shown["q"] == profiles.get_array("q").tolist()
    assert shown["units"]["S_neutron"] == "1"
    assert "values from" in run_cli("show", profiles.pk).stdout
    cells = run_cli("show", node.pk, "--json").json["cells"]
    assert [(cell["seed"], cell["accepted"], cell["rejected_by"]) for cell in cells] == [
        (3, True, []),
        (1, False, ["density"]),
    ]
    text = run_cli("show", node.pk).stdout
    assert "Si3O6_1" in text
    assert "Si3O6_3" in text

"""``aiida-siox run``: what it refuses before anything starts, what it builds, and its JSON."""

from __future__ import annotations

import importlib
import os
import pathlib
import signal
import threading

import ase
import ase.build
import ase.io
import numpy as np
import psutil
import pytest
import yaml
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.cli import launch, run  # both now: commands are imported late, and would take over what is patched
from aiida_siox.materials import load_material
from tests.crystals import alpha_quartz

STRUCTURES = pathlib.Path(__file__).parent.parent / "fixtures" / "structures"
ENGINES = ("lmp", "ld1", "pw", "pp", "xspectra", "bader")


@pytest.fixture
def codes(engine_code):
    """Register the codes of all engines as ``aiida-siox setup`` does."""
    found = {name: engine_code(name) for name in ENGINES}
    for name, code in found.items():
        code.base.extras.set_many({"siox_engine": name, "siox_registered": 0.0})
    return found


@pytest.fixture
def quartz_file(tmp_path):
    """Return a file with α-quartz."""
    path = tmp_path / "quartz.xyz"
    ase.io.write(path, alpha_quartz())
    return path


@pytest.fixture
def nothing_runs(monkeypatch):
    """Fail the test if any process is started."""
    # imported before it is patched, or it would take the patched function for its own
    importlib.import_module("aiida_siox.cli.run")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    for module in (launch, run):
        for name in ("run_process", "submit_process"):
            monkeypatch.setattr(module, name, refuse)


@pytest.fixture
def captured(monkeypatch):
    """Take the builders that would be launched, instead of launching them."""
    builders: list = []

    def take(builder: object, submit: bool = False) -> None:
        builders.append((builder, submit))

    monkeypatch.setattr(run, "launch", take)
    return builders


def write(path, atoms):
    """Write a structure and return its path."""
    ase.io.write(path, atoms)
    return path


def overlapping() -> ase.Atoms:
    atoms = alpha_quartz()
    atoms.positions[3] = atoms.positions[0] + 0.3
    return atoms


def open_cell() -> ase.Atoms:
    atoms = alpha_quartz()
    atoms.pbc = [True, True, False]
    return atoms


def no_silicon() -> ase.Atoms:
    return ase.Atoms("O2", positions=[[0, 0, 0], [0, 0, 3]], cell=[6, 6, 6], pbc=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_silicon, "no Si"),
        (overlapping, "atoms overlap"),
        (open_cell, "periodic"),
        (lambda: ase.build.bulk("GaAs", "zincblende", a=5.65), "has As, Ga"),
        (lambda: ase.Atoms("SiO", positions=[[0, 0, 0], [0, 0, 2]]), "no three-dimensional cell"),
    ],
)
def test_structure_refused(run_cli, codes, nothing_runs, tmp_path, make, message):
    path = write(tmp_path / "cell.xyz", make())
    assert message in run_cli("run", "structure", path, fails=True).stderr


@pytest.mark.parametrize("name", ["cell.docx", "cell.cif", "cell.xyz", "POSCAR"])
def test_unreadable_file(run_cli, codes, nothing_runs, tmp_path, name):
    path = tmp_path / name
    path.write_text("this is no structure\n" * 3)
    message = run_cli("run", "structure", path, fails=True).stderr
    assert ("no CIF file" if name == "cell.cif" else "extended xyz") in message
    assert name in message


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("occ_split.cif", ["Si3 has the occupancy 0.60", "choose one ordered configuration"]),
        ("occ_shared_al.cif", ["Al3 has the occupancy 0.40"]),
        ("bcrist_o2_bare.cif", ["origin choice", "Si8O16 of 2.17 g/cm³"]),
        ("formula_differs.cif", ["no multiple of its formula O4 Si2", "5.3"]),
    ],
)
def test_ambiguous_file(run_cli, codes, nothing_runs, command, name, words):
    message = run_cli(command, "structure", STRUCTURES / name, fails=True).stderr
    assert name in message
    for each in words:
        assert each.lower() in message.lower()


@pytest.mark.parametrize(
    ("name", "told", "doubt"),
    [
        ("bcrist_o2_Z.cif", "Si8O16, 2.17 g/cm³; 8 Si beside 4 O", ""),
        ("quartz_z0.cif", "Si6O6, 3.89 g/cm³; 6 Si beside 3 Si + 3 O", "6 of 6 Si have 6 neighbours"),
        ("bohr.extxyz", "Si3O6, 0.39 g/cm³; 3 Si beside nothing", "in bohr it would be well"),
        ("no_symmetry.cif", "SiO, 0.65 g/cm³; 1 Si beside 1 O", "0.65 g/cm³ is outside"),
    ],
)
def test_structure_is_told_back(run_cli, codes, name, told, doubt):
    """What was read is said before anything runs, and the absurd is doubted."""
    message = run_cli("plan", "structure", STRUCTURES / name).stderr
    assert told in message
    assert doubt in message
    assert bool(doubt) == ("is hardly" in message)


def test_structure_options_refused(run_cli, codes, nothing_runs, quartz_file, tmp_path):
    def refused(*arguments: object) -> str:
        return run_cli("run", "structure", quartz_file, *arguments, fails=True).stderr

    assert "did you mean `extxyz`?" in refused("--format", "extxy")
    assert "Si sites of this structure: [0, 1, 2]" in refused("--sites", "0,7")
    assert "such as 0,3,7" in refused("--sites", "a")
    assert "did you mean `fast`?" in refused("--protocol", "fats")
    assert "--max-concurrent" in refused("--max-concurrent", "0")
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text(yaml.safe_dump({"settings": {"scf": {"ecutwfc": 40.0}}}))
    assert "did you mean `ecutwfc_Ry`?" in refused("--overrides", overrides)
    overrides.write_text(yaml.safe_dump({"settings": {"treatment": "half"}}))
    assert "`settings.treatment` must be one of" in refused("--overrides", overrides)
    overrides.write_text(yaml.safe_dump({"atomic_data": {"parameters": {"ground": {"inputs": {}}}}}))
    assert "did you mean `input`?" in refused("--overrides", overrides)
    overrides.write_text("a: [1\n")
    assert "not a readable yaml file" in refused("--overrides", overrides)
    options = tmp_path / "options.yaml"
    options.write_text(yaml.safe_dump({"pwx": {}}))
    assert "`options` has no engine `pwx`" in refused("--options", options)
    assert "no code for pw.x is registered" in refused("--computer", "nowhere")


def test_missing_engine(run_cli, nothing_runs, quartz_file, monkeypatch):
    monkeypatch.setattr("aiida_siox.cli.codes.find_code", lambda name, computer=None: None)
    for arguments in (("structure", quartz_file), ("melt-quench", "Si8O4", "--seed", 1), ("study",)):
        message = run_cli("run", *arguments, fails=True).stderr
        assert "Engines are missing or wrong" in message
        assert "aiida-siox setup" in message


@pytest.mark.parametrize(
    ("formula", "message"),
    [("Si-8O4", "count -8"), ("O4", "no Si"), ("Si2O9", "more than SiO2"), ("Ge4", "element Ge")],
)
def test_impossible_composition(run_cli, codes, nothing_runs, formula, message):
    assert message in run_cli("run", "melt-quench", formula, "--seed", 1, fails=True).stderr
    for command in ("study", "dataset"):
        assert message in run_cli("run", command, "--formula", formula, fails=True).stderr


def test_seed_is_not_optional_and_not_zero(run_cli):
    assert "--seed" in run_cli("run", "melt-quench", "Si8O4", fails=True).stderr
    assert "--seed" in run_cli("run", "melt-quench", "Si8O4", "--seed", 0, fails=True).stderr


def test_study_builder(run_cli, codes, captured):
    run_cli(
        "run", "study", "--compositions", "Si8O4,Si4O8", "--formula", "Si14", "--seeds", "1,2", "--max-concurrent", 3
    )
    builder, submit = captured[0]
    assert not submit
    assert sorted(map(tuple, builder.configurations.get_list())) == sorted(
        (formula, seed) for formula in ("Si14", "Si8O4", "Si4O8") for seed in (1, 2)
    )
    assert builder.max_concurrent.value == 3
    assert builder.training is not None
    run_cli("run", "dataset", "--formula", "Si4O8", "--submit")
    builder, submit = captured[1]
    assert submit
    assert "training" not in builder._inputs(prune=True)


def test_study_refuses_a_formula_twice(run_cli, codes, nothing_runs):
    assert "twice" in run_cli("run", "study", "--formula", "Si4O8", "--compositions", "Si4O8", fails=True).stderr


def test_json_of_a_study(run_cli, codes, hand_made_study, monkeypatch):
    monkeypatch.setattr(launch, "run_process", lambda builder: hand_made_study.study)
    outcome = run_cli("run", "study", "--json", fails=True)
    assert outcome.exit_code == launch.EXIT_INCOMPLETE
    assert outcome.stdout.count("\n") == 1
    assert "1 of 20 sites failed" in outcome.stderr
    assert outcome.json == {
        "process": hand_made_study.study.pk,
        "exit_status": 401,
        "outputs": {
            "structure": {label: node.pk for label, node in hand_made_study.structures.items()},
            "site_table": {label: node.pk for label, node in hand_made_study.tables.items()},
            "calibration": hand_made_study.calibration.pk,
            "dataset": hand_made_study.dataset.pk,
            "models": {label: model.pk for label, model in hand_made_study.models.items()},
        },
    }
    text = run_cli("run", "study", fails=True).stdout
    assert "models" in text
    assert f"aiida-siox show {hand_made_study.study.pk}" in text


def test_json_of_a_submission(run_cli, codes, monkeypatch):
    node = orm.WorkChainNode().store()
    monkeypatch.setattr(launch, "submit_process", lambda builder: node)
    outcome = run_cli("run", "melt-quench", "Si8O4", "--seed", 1, "--submit", "--json")
    assert outcome.json == {"process": node.pk, "exit_status": None, "outputs": {}}
    assert f"aiida-siox status {node.pk}" in run_cli("run", "melt-quench", "Si8O4", "--seed", 1, "--submit").stdout


def test_submit_without_broker(run_cli, codes):
    # the test profile has no broker
    message = run_cli("run", "melt-quench", "Si8O4", "--seed", 1, "--submit", fails=True).stderr
    assert "this profile has no broker" in message


def test_same_file_is_the_same_node(run_cli, quartz_file, aiida_profile):
    from aiida_siox.cli.run import read_structure, stored_structure

    first, second = (stored_structure(read_structure(quartz_file, None, load_material("siox"))) for _ in range(2))
    assert first.uuid == second.uuid
    assert first.get_kind_names() == ["Si", "O"]


def test_structure_file_of_several_frames(aiida_profile, tmp_path, capsys):
    from aiida_siox.cli.run import read_structure

    other = alpha_quartz()
    other.set_cell(other.cell * 1.01, scale_atoms=True)
    other.set_tags([1] * len(other))
    path = tmp_path / "two.xyz"
    ase.io.write(path, [alpha_quartz(), other])
    node = read_structure(path, None, load_material("siox"))
    np.testing.assert_allclose(node.cell, other.cell, atol=1e-6)
    assert node.get_kind_names() == ["Si", "O"]
    assert "2 structures" in capsys.readouterr().err


def test_calibration_is_found_again(hand_made_study, nothing_runs):
    from aiida_siox.cli.run import obtain_calibration

    found = obtain_calibration(hand_made_study.tables["Si4O4_1"], "a builder that nobody runs")
    assert found == hand_made_study.calibration.pk


@pytest.fixture
def tiny_melt(tmp_path):
    """Return a file of overrides that make a melt-quench of seconds."""
    path = tmp_path / "melt.yaml"
    path.write_text(yaml.safe_dump({"parameters": {"melt_time_ps": 0.5, "quench_time_ps": 1.0}}))
    return path


@pytest.mark.engine
def test_melt_quench_runs(run_cli, codes, tiny_melt):
    outcome = run_cli("run", "melt-quench", "Si4O8", "--seed", 3, "--overrides", tiny_melt, "--json")
    shown = outcome.json
    assert outcome.stdout.count("\n") == 1
    assert set(shown) == {"process", "exit_status", "outputs"}
    assert shown["exit_status"] == 0
    assert set(shown["outputs"]) == {"structure", "quality", "profiles"}
    assert orm.load_node(shown["outputs"]["structure"]).get_formula() == "O8Si4"
    process = orm.load_node(shown["process"])
    links = process.base.links.get_outgoing(link_type=LinkType.RETURN)
    assert links.get_node_by_label("structure").pk == shown["outputs"]["structure"]


@pytest.fixture
def mock_codes(mock, mock_atomic_data, monkeypatch):
    """Make the mock engines the codes that the command finds, and their atomic data those that it finds."""
    for name, code in mock.codes.items():
        code.base.extras.set_many({"siox_engine": name, "siox_registered": 1e12})
    monkeypatch.setattr("aiida_siox.cli.run.find_atomic_data", lambda *_: mock_atomic_data)
    yield mock
    for code in mock.codes.values():
        for key in ("siox_engine", "siox_registered"):
            code.base.extras.delete(key)


def test_structure_with_a_failed_site(run_cli, mock_codes, quartz_file):
    mock_codes.rules({"engine": "xspectra", "site": 1, "mode": "exhausted"})
    outcome = run_cli("run", "structure", quartz_file, "--sites", "0,1", "--json", fails=True)
    assert outcome.exit_code == launch.EXIT_INCOMPLETE
    assert outcome.stdout.count("\n") == 1
    assert "1 of 2 sites failed" in outcome.stderr
    shown = outcome.json
    assert shown["exit_status"] == 401
    assert set(shown["outputs"]) == {"site_table"}
    table = run_cli("show", shown["outputs"]["site_table"], "--json").json
    assert [(site["site_index"], site["status"]) for site in table["sites"]] == [(0, "done"), (1, "failed")]
    assert "did not converge" in table["sites"][1]["reason"]
    process = run_cli("show", shown["process"], "--json").json
    assert process["outputs"] == shown["outputs"]


def test_structure_with_calibration(run_cli, mock_codes, quartz_file):
    first = run_cli("run", "structure", quartz_file, "--sites", "0", "--calibrate", "--json").json
    assert first["exit_status"] == 0
    assert set(first["outputs"]) == {"site_table", "calibration"}
    pks = first["outputs"]
    table = run_cli("show", pks["site_table"], "--calibration", pks["calibration"], "--json").json
    assert table["axis"] == "calibrated"
    assert table["calibration"]["uuid"] == orm.load_node(pks["calibration"]).uuid


def test_show_a_study_of_the_workflow(run_cli, mock_study):
    shown = run_cli("show", mock_study.node.pk, "--json").json
    assert shown["exit_status"] == 401
    assert set(shown["tables"]) == set(shown["structures"]) == set(shown["qualities"])
    assert set(shown["models"]) == {"valence", "rdf"}
    assert {entry["engine"] for entry in shown["timings"]} >= {"lmp", "pw.x", "xspectra.x"}
    assert [failure["where"] for failure in shown["failures"] if "site" in failure["where"]] == ["Si4O5_1, site 0"]


def test_interrupt_stops_the_whole_tree(run_cli, mock_codes, quartz_file, tmp_path):
    mock_codes.rules({"engine": "pw", "seconds": 120})
    overrides = tmp_path / "overrides.yaml"
    overrides.write_text(yaml.safe_dump({"settings": {"scf": {"ecutwfc_Ry": 41.0}}}))  # nothing of it is cached

    returned = threading.Event()

    def interrupt() -> None:
        while "start" not in mock_codes.log_file.read_text():
            if returned.wait(0.2):
                return
        if not returned.wait(1):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    outcome = run_cli("run", "structure", quartz_file, "--overrides", overrides, "--json", fails=True)
    returned.set()
    thread.join()
    assert "was killed" in outcome.stderr
    assert outcome.exit_code == launch.EXIT_INCOMPLETE
    assert outcome.json["exit_status"] is None
    node = orm.load_node(outcome.json["process"])
    assert node.is_killed
    jobs = [child for child in node.called_descendants if isinstance(child, orm.CalcJobNode)]
    assert jobs
    assert all(child.is_terminated and child.is_sealed for child in node.called_descendants)
    assert not psutil.pid_exists(int(jobs[-1].get_job_id())) or (
        psutil.Process(int(jobs[-1].get_job_id())).status() == psutil.STATUS_ZOMBIE
    )


def test_one_melt_is_one_job(run_cli):
    """An option that would change nothing is not taken."""
    message = run_cli("run", "melt-quench", "Si8O4", "--seed", 1, "--max-concurrent", 2, fails=True).stderr
    assert "No such option: --max-concurrent" in message

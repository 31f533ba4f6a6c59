"""MeltQuenchWorkChain without engines: protocols, builders, checks, and handlers with injected failures."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import pytest
from aiida import orm
from aiida.common import AttributeDict, LinkType
from aiida.engine import ProcessHandlerReport, ProcessState
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.calculations.melt_quench import MeltQuenchCalculation
from aiida_siox.science.composition import parse_formula
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain, density_at
from aiida_siox.workflows.potential import load_potential, resolve_potential
from tests.crystals import SIOX

EXIT_CODES = MeltQuenchCalculation.exit_codes


@pytest.fixture
def code(computer):
    return orm.InstalledCode(computer=computer, filepath_executable="/bin/true").store()


@pytest.fixture
def process(code):
    """Return a MeltQuenchWorkChain that has gone through its setup."""
    builder = MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O4", 1)
    workchain = instantiate_process(get_manager().get_runner(), builder)
    workchain.setup()
    return workchain


@pytest.fixture
def make_job(computer, tmp_path):
    """Return a function that makes a finished job with an exit code and files in its remote folder."""

    def factory(exit_code, files=(), folder="job"):
        path = tmp_path / folder
        path.mkdir()
        for name in files:
            (path / name).touch()
        node = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:siox.melt_quench")
        node.set_option("resources", {"num_machines": 1, "num_mpiprocs_per_machine": 1})
        node.store()
        remote = orm.RemoteData(str(path), computer=computer)
        remote.base.links.add_incoming(node, link_type=LinkType.CREATE, link_label="remote_folder")
        remote.store()
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(exit_code.status)
        return node

    return factory


def plain(builder) -> dict:
    """Return the inputs of a builder as plain values, without what depends on the machine."""

    def value(entry):
        if isinstance(entry, orm.Dict):
            return entry.get_dict()
        if isinstance(entry, orm.SinglefileData):
            return entry.filename
        if isinstance(entry, orm.Code):
            return "code"
        return entry.value if isinstance(entry, orm.Data) else entry

    def values(inputs):
        return {key: values(each) if isinstance(each, Mapping) else value(each) for key, each in inputs.items()}

    return values(builder._inputs(prune=True))


@pytest.mark.parametrize(
    ("protocol", "formula"),
    [("fast", "Si8O4"), ("balanced", "Si16O20"), ("shortened", "Si216"), ("paper", "Si72O144")],
)
def test_builder(code, protocol, formula, data_regression):
    builder = MeltQuenchWorkChain.get_builder_from_protocol(code, formula, 3, protocol=protocol)
    data_regression.check(plain(builder), basename=f"test_builder_{protocol}")


def test_builder_takes_overrides_and_options(code):
    builder = MeltQuenchWorkChain.get_builder_from_protocol(
        code,
        "Si8O4",
        1,
        overrides={"parameters": {"melt_time_ps": 5.0}, "starting_cell": {"density_g_cm3": 2.3}, "max_iterations": 2},
        options={"max_wallclock_seconds": 60},
    )
    assert builder.parameters["melt_time_ps"] == 5.0
    assert builder.parameters["quench_time_ps"] == 100.0
    assert builder.starting_cell["density_g_cm3"] == 2.3
    assert builder.quality["expected_density_g_cm3"] == 2.3
    assert builder.max_iterations.value == 2
    assert builder.options == {"max_wallclock_seconds": 60}


def test_quench_rate(code):
    """4999 K at 1e13 K/s are 499.9 ps; a text such as 1e13, which yaml does not read as a number, is refused."""
    overrides = {"quench_rate_K_per_s": 1e13}
    builder = MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O4", 1, overrides=overrides)
    assert builder.parameters["quench_time_ps"] == pytest.approx(499.9)
    for wrong in (0, -1e13, "1e13", float("inf"), True):
        with pytest.raises(ValueError, match="quench_rate_K_per_s must be a positive number"):
            MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O4", 1, overrides={"quench_rate_K_per_s": wrong})


def test_default_protocol_is_fast(code):
    default = MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O4", 1)
    fast = MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O4", 1, protocol="fast")
    assert plain(default) == plain(fast)


@pytest.mark.parametrize("protocol", ["fast", "balanced", "shortened", "paper"])
def test_protocols_have_the_nine_compositions(protocol):
    inputs = MeltQuenchWorkChain.get_protocol_inputs(protocol)
    counts = [parse_formula(formula, SIOX) for formula in inputs["formulas"]]
    assert [SIOX.x(entry) for entry in counts] == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    n_atoms = [sum(entry.values()) for entry in counts]
    low, high = {"fast": (10, 18), "balanced": (24, 48), "shortened": (200, 240), "paper": (160, 240)}[protocol]
    assert low <= min(n_atoms)
    assert max(n_atoms) <= high
    assert inputs["parameters"]["fixed_volume"] is (protocol in ("fast", "balanced"))


def test_paper_protocol():
    inputs = MeltQuenchWorkChain.get_protocol_inputs("paper")
    assert inputs["formulas"] == [
        *("Si160", "Si180O45", "Si150O75", "Si120O90", "Si100O100", "Si100O125", "Si96O144", "Si80O140", "Si72O144")
    ]
    assert len(inputs["seeds"]) == 5
    times = {key: inputs["parameters"][key] for key in ("timestep_fs", "melt_time_ps", "quench_time_ps")}
    assert times == {"timestep_fs": 1.0, "melt_time_ps": 1000.0, "quench_time_ps": 3000.0}


def test_density():
    assert density_at({"densities": [[0.0, 2.0], [1.0, 3.0]]}, "densities", 0.25) == 2.25
    for wrong, words in (
        ([[1.0, 2.0], [0.0, 3.0]], "`densities`: it must be pairs .* rising x"),
        ([["a", 2.0]], "`densities`: it must be pairs"),
        ([[0.0, -2.0]], "`densities`: the density at x = 0.5 is -2 g/cm³"),
    ):
        with pytest.raises(ValueError, match=words):
            density_at({"densities": wrong}, "densities", 0.5)


def test_potential_is_stored_once(aiida_profile):
    first = load_potential(resolve_potential("munetoh"))["files"]["file_0"].store()
    assert load_potential(resolve_potential("munetoh"))["files"]["file_0"].uuid == first.uuid


def test_potential_of_a_name_or_a_definition(code):
    def built(choice):
        return MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O16", 1, overrides={"potential": choice})

    by_name = built("vashishta")
    assert by_name.potential.definition["pair_style"] == "vashishta"
    assert [node.filename for node in by_name.potential.files.values()] == ["SiO.1990.vashishta"]
    own = {**resolve_potential("vashishta"), "name": "mine"}
    assert built(own).potential.definition["name"] == "mine"
    for wrong, words in (
        ("vashista", "did you mean `vashishta`"),
        ({"pair_style": "sw"}, "`potential` lacks `name`, `source`"),
        (3, "must be a name or a mapping"),
    ):
        with pytest.raises(ValueError, match=words):
            built(wrong)
    with pytest.raises(FileNotFoundError, match=r"nothing\.vashishta was not found"):
        built({**own, "pair_coeff": ["* * nothing.vashishta {species}"], "files": ["nothing.vashishta"]})


def test_potential_that_does_not_know_the_formula(code):
    builder = MeltQuenchWorkChain.get_builder_from_protocol(
        code, "Si8O4", 1, overrides={"potential": {**resolve_potential("munetoh"), "species": ["Si"]}}
    )
    with pytest.raises(ValueError, match="knows Si only, the cell has O"):
        instantiate_process(get_manager().get_runner(), builder)


def test_density_that_is_expected(code):
    """At fixed volume that of the starting cell; where the volume is free that of the potential."""
    fixed = MeltQuenchWorkChain.get_builder_from_protocol(code, "Si100O100", 1, "fast")
    assert fixed.quality["expected_density_g_cm3"] == fixed.starting_cell["density_g_cm3"] == 2.45
    free = MeltQuenchWorkChain.get_builder_from_protocol(code, "Si100O100", 1, "shortened")
    assert free.starting_cell["density_g_cm3"] == 2.45
    assert free.quality["expected_density_g_cm3"] == 2.82
    assert free.quality["rules"]["density"]["tolerance"] == 0.05
    assert free.parameters["volume_free_below_K"] == 3000.0
    assert "volume_free_below_K" not in fixed.parameters.get_dict()
    paper = MeltQuenchWorkChain.get_builder_from_protocol(code, "Si100O100", 1, "paper")
    assert paper.parameters["volume_free_below_K"] == paper.parameters["melt_temperature_K"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"formula": "Si8O-4"}, "count -4 of O"),
        ({"formula": "O4"}, "no Si"),
        ({"formula": "Si4O9"}, "at most Si4O8"),
        ({"protocol": "slow"}, "unknown protocol `slow`"),
        ({"overrides": {"parameters": {"melt_tme_ps": 1.0}}}, "did you mean `melt_time_ps`"),
        ({"overrides": {"parameters": {"melt_time_ps": "1"}}}, "must be a number"),
        (
            {"overrides": {"parameters": {"volume_free_below_K": 2000.0}}},
            r"`parameters\.volume_free_below_K` 2000\.0 has no effect, since `parameters\.fixed_volume` is true",
        ),
        ({"overrides": {"max_attempts": 2.5}}, "`max_attempts` must be an integer from 1 on, got 2.5"),
        ({"overrides": {"quench_rate_K_per_s": "1e13"}}, r"yaml reads 1e13 as text: write 1\.0e\+13"),
        ({"overrides": {"starting_cell": {"density_g_cm3": -2.0}}}, r"density -2\.0 g/cm³ is impossible"),
        (
            {"overrides": {"starting_cell": {"density_g_cm3": "2,2"}}},
            r"density_g_cm3` must be a number of g/cm³, got '2,2'",
        ),
        ({"overrides": {"expected_densities": [["a", 1]]}}, "`expected_densities`: it must be pairs"),
    ],
)
def test_builder_refuses(code, arguments, words):
    with pytest.raises(ValueError, match=words):
        MeltQuenchWorkChain.get_builder_from_protocol(**{"code": code, "formula": "Si8O4", "seed": 1, **arguments})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"formula": lambda: orm.Str("Si8O-4")}, "count -4 of O"),
        ({"formula": lambda: orm.Str("O4")}, "no Si"),
        ({"seed": lambda: orm.Int(-1)}, "`seed` must be an integer from 0 on, got -1"),
        (
            {"starting_cell": lambda: orm.Dict({"crystal": "coesite", "density_g_cm3": 2.4})},
            "siox has no crystal `coesite`",
        ),
        ({"starting_cell": lambda: orm.Dict({"crystal": "rectangular-quartz", "density_g_cm3": 99.0})}, "density 99.0"),
        ({"starting_cell": lambda: orm.Dict({"crystal": "rectangular-quartz"})}, "needs exactly `crystal`"),
        ({"quality": lambda: orm.Dict({"cutoff": 2.0})}, "unknown key `quality.cutoff`"),
        ({"parameters": lambda: orm.Dict({})}, "`parameters` lacks `timestep_fs`"),
        ({"potential": lambda: {"definition": orm.Dict({"name": "x"})}}, "`potential`: the input lacks `source`"),
    ],
)
def test_bad_inputs_are_refused_before_anything_runs(code, changes, words):
    builder = MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O4", 1)
    with pytest.raises(ValueError, match=words):  # noqa: PT012 some are refused when set, some when instantiated
        for name, make in changes.items():
            setattr(builder, name, make())
        instantiate_process(get_manager().get_runner(), builder)


def test_setup(process):
    assert process.ctx.inputs.metadata["label"] == "melt-quench Si8O4 seed 1"
    assert process.ctx.inputs.metadata["options"]["withmpi"] is False
    assert "parent_folder" not in process.ctx.inputs


def test_interrupted_goes_on_from_the_last_restart_file(process, make_job):
    job = make_job(EXIT_CODES.ERROR_INTERRUPTED, ["melt_quench.900.restart", "melt_quench.40000.restart", "lammps.out"])
    report = process.handle_interrupted(job)
    assert isinstance(report, ProcessHandlerReport)
    assert report.do_break
    assert report.exit_code.status == 0
    assert process.ctx.inputs.restart_file.value == "melt_quench.40000.restart"
    assert process.ctx.inputs.parent_folder.uuid == job.outputs.remote_folder.uuid
    assert [part.pk for part in process.ctx.parts] == [job.pk]


def test_interrupted_again_without_progress(process, make_job):
    process.handle_interrupted(make_job(EXIT_CODES.ERROR_INTERRUPTED, ["melt_quench.500.restart"]))
    for folder, files in {"none": [], "same": ["melt_quench.500.restart"]}.items():
        report = process.handle_interrupted(make_job(EXIT_CODES.ERROR_INTERRUPTED, files, folder))
        assert report.exit_code == MeltQuenchWorkChain.exit_codes.ERROR_NO_PROGRESS


def test_interrupted_again_with_progress(process, make_job):
    process.handle_interrupted(make_job(EXIT_CODES.ERROR_INTERRUPTED, ["melt_quench.500.restart"]))
    report = process.handle_interrupted(
        make_job(EXIT_CODES.ERROR_INTERRUPTED, ["start.restart", "melt_quench.600.restart"], "second")
    )
    assert report.exit_code.status == 0
    assert process.ctx.inputs.restart_file.value == "melt_quench.600.restart"
    assert len(process.ctx.parts) == 2


def test_interrupted_without_restart_file_starts_once_more(process, make_job):
    for attempt in range(process.defaults.max_fresh_starts):
        report = process.handle_interrupted(make_job(EXIT_CODES.ERROR_INTERRUPTED, folder=f"job{attempt}"))
        assert report.exit_code.status == 0
        assert "parent_folder" not in process.ctx.inputs
    report = process.handle_interrupted(make_job(EXIT_CODES.ERROR_INTERRUPTED, folder="last"))
    assert report.exit_code == MeltQuenchWorkChain.exit_codes.ERROR_NO_RESTART_FILE


def test_vanished_folder_counts_as_no_restart_file(process, make_job):
    job = make_job(EXIT_CODES.ERROR_INTERRUPTED, ["melt_quench.500.restart"])
    folder = pathlib.Path(job.outputs.remote_folder.get_remote_path())
    (folder / "melt_quench.500.restart").unlink()
    folder.rmdir()
    assert process.handle_interrupted(job).exit_code.status == 0
    assert "parent_folder" not in process.ctx.inputs


def test_unreadable_restart_file_gives_way_to_the_one_before(process, make_job):
    process.handle_interrupted(
        make_job(EXIT_CODES.ERROR_INTERRUPTED, ["melt_quench.500.restart", "melt_quench.1000.restart"])
    )
    report = process.handle_restart_unreadable(make_job(EXIT_CODES.ERROR_RESTART_UNREADABLE, folder="second"))
    assert report.exit_code.status == 0
    assert process.ctx.inputs.restart_file.value == "melt_quench.500.restart"
    report = process.handle_restart_unreadable(make_job(EXIT_CODES.ERROR_RESTART_UNREADABLE, folder="third"))
    assert report.exit_code.status == 0
    assert "parent_folder" not in process.ctx.inputs
    assert process.ctx.parts == []


def test_unstable_dynamics_shortens_the_time_step(process, make_job):
    process.handle_interrupted(make_job(EXIT_CODES.ERROR_INTERRUPTED, ["melt_quench.500.restart"], "first"))
    before = process.ctx.inputs.parameters["timestep_fs"]
    report = process.handle_unstable_dynamics(make_job(EXIT_CODES.ERROR_UNSTABLE_DYNAMICS))
    assert report.exit_code.status == 0
    assert process.ctx.inputs.parameters["timestep_fs"] == before * process.defaults.timestep_factor
    assert "parent_folder" not in process.ctx.inputs
    assert process.inputs.parameters["timestep_fs"] == before


def test_unstable_dynamics_ends(process, make_job):
    process.ctx.inputs.parameters = orm.Dict(
        {**process.ctx.inputs.parameters.get_dict(), "timestep_fs": process.defaults.min_timestep_fs}
    )
    report = process.handle_unstable_dynamics(make_job(EXIT_CODES.ERROR_UNSTABLE_DYNAMICS))
    assert report.exit_code.status == MeltQuenchWorkChain.exit_codes.ERROR_UNSTABLE_DYNAMICS.status
    assert "0.1 fs" in report.exit_code.message


@pytest.mark.parametrize(
    ("exit_code", "next_step"),
    [("ERROR_INTERRUPTED", True), ("ERROR_FINAL_STRUCTURE", False)],
)
def test_inspection_calls_the_handler_of_the_exit_code(process, make_job, exit_code, next_step):
    job = make_job(EXIT_CODES[exit_code], ["melt_quench.500.restart"])
    process.ctx.iteration = 1
    process.ctx.children = [job]
    process.node.base.extras.set(process._considered_handlers_extra, [[]])
    result = process.inspect_process()
    if next_step:
        assert result.status == 0
        assert process.should_run_process()
    else:
        assert result == MeltQuenchWorkChain.exit_codes.ERROR_UNHANDLED_FAILURE


def test_defaults_are_an_attribute_dict():
    assert isinstance(MeltQuenchWorkChain.defaults, AttributeDict)
    assert 0 < MeltQuenchWorkChain.defaults.timestep_factor < 1


def test_an_error_of_lammps_is_passed_on(process, make_job):
    job = make_job(EXIT_CODES.ERROR_PARSER_DETECTED_LAMMPS_RUN_ERROR)
    job.set_exit_message("LAMMPS stopped with an error: Unrecognized pair style 'snap'; its last lines:\nLAMMPS ...")
    report = process.handle_lammps_error(job)
    assert report.do_break
    assert report.exit_code.status == 309
    assert "Unrecognized pair style 'snap'" in report.exit_code.message
    assert "\n" not in report.exit_code.message


def test_two_ways_to_say_how_fast_are_refused(code):
    overrides = {"quench_rate_K_per_s": 1e13, "parameters": {"quench_time_ps": 10.0}}
    with pytest.raises(ValueError, match=r"`parameters.quench_time_ps` 10.0 and `quench_rate_K_per_s`.*give one"):
        MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O4", 1, overrides=overrides)
    with pytest.raises(ValueError, match="both say how fast"):
        MeltQuenchWorkChain.get_builder_from_protocol(
            code, "Si216", 1, "shortened", overrides={"parameters": {"quench_time_ps": 10.0}}
        )

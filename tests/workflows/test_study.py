"""The study: engine jobs at one time, what is lost and what is kept, what is refused before anything runs."""

import copy

import numpy as np
import pytest
from aiida import orm
from aiida.engine import ProcessState, run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.manage.caching import enable_caching

from aiida_siox.calculations.analysis import ANALYSIS_VERSION, analyse_part
from aiida_siox.science.acceptance import attempts_of, count_acceptance
from aiida_siox.workflows.calibration import CalibrationWorkChain
from aiida_siox.workflows.study import StudyWorkChain
from tests.crystals import SIOX
from tests.factories import make_calibration, make_row, make_table
from tests.mocks.fixtures import SHORT_MELT, STUDY_ITEMS, Run, jobs_of, peak_of
from tests.workflows.nodes import configuration_node, lane_node, process_node

CODES = StudyWorkChain.exit_codes
GOOD = {"accepted": True, "rejected_by": []}
LABELS = [f"{formula}_{seed}" for formula, seed in STUDY_ITEMS]


@pytest.mark.xdist_group("mock_study")
class TestStudy:
    """One failed site in three configurations; LAMMPS and ld1.x are real."""

    def test_warns_and_names_what_is_missing(self, mock_study):
        assert mock_study.node.exit_status == CODES.WARNING_INCOMPLETE.status, mock_study.node.exit_message
        assert mock_study.node.exit_message.startswith("1 sites and 0 configurations failed")

    def test_outputs(self, mock_study):
        outputs = mock_study.node.outputs
        for name in ("structures", "qualities", "attempts", "site_tables"):
            assert sorted(outputs[name]) == sorted(LABELS)
        assert set(outputs) == {
            "structures", "qualities", "attempts", "acceptance", "site_tables", "calibration", "calibration_table",
            "dataset", "models",
        }  # fmt: skip
        for label, (formula, _) in zip(LABELS, STUDY_ITEMS, strict=True):
            assert outputs.site_tables[label].base.attributes.get("formula") == formula
            assert outputs.site_tables[label].structure.uuid == outputs.structures[label].uuid

    def test_data_set_of_the_rest(self, mock_study):
        outputs = mock_study.node.outputs
        dataset = outputs.dataset
        n_done = {label: outputs.site_tables[label].base.attributes.get("n_done") for label in LABELS}
        assert n_done == {"Si2O4_1": 2, "Si2O4_2": 2, "Si4O5_1": 3}
        assert dataset.n_sites == sum(n_done.values()) == dataset.base.attributes.get("n_sites")
        entries = [(entry["formula"], entry["n_done"], entry["n_requested"]) for entry in dataset.configurations]
        assert entries == [("Si2O4", 2, 2), ("Si2O4", 2, 2), ("Si4O5", 3, 4)]
        assert [cell.complete for cell in dataset.site_set().configurations] == [True, True, False]  # 3 of 4 sites
        assert set(outputs.models) == {"valence", "rdf"}
        for model in outputs.models.values():
            assert model.base.attributes.get("dataset_digest") == dataset.base.attributes.get("digest")

    def test_calibrated_axis(self, mock_study):
        outputs = mock_study.node.outputs
        assert outputs.calibration.shift == pytest.approx(
            1846.8 - outputs.calibration.base.attributes.get("white_line_eV")
        )
        table = outputs.site_tables.Si2O4_1
        row = outputs.dataset.spectra[outputs.dataset.configuration == 0][0]
        expected = np.interp(outputs.dataset.energy, table.energy + outputs.calibration.shift, table.spectra[0])
        np.testing.assert_allclose(row, expected, atol=0.01 * expected.max())

    def test_peak_of_engine_jobs_is_max_concurrent(self, mock_study):
        engines = {engine for _, _, engine in mock_study.intervals}
        assert engines == {"ld1", "lmp", "pw", "pp", "xspectra"} or engines == {"ld1", "lmp", "pw", "bader", "xspectra"}
        assert len(mock_study.intervals) == len(jobs_of(mock_study.node))
        assert peak_of(mock_study.intervals) == mock_study.node.inputs.max_concurrent.value == 3


@pytest.mark.xdist_group("mock_study")
def test_training_as_a_job(mock_study, mock_engines, engine_code):
    """With a code of siox-analyse: the same networks as the worker makes. All else comes from the cache."""
    mock_engines.reset()
    builder = mock_study.node.get_builder_restart()
    builder.configurations = orm.List(STUDY_ITEMS[:2])
    builder.calibration = mock_study.node.outputs.calibration
    builder.codes["analysis"] = engine_code("analysis")
    builder.options = {"analysis": {"max_wallclock_seconds": 600}}
    with enable_caching(identifier="*"):
        node = run_get_node(builder).node
    assert node.is_finished_ok, node.exit_message
    (job,) = [job for job in jobs_of(node) if job.process_label == "AnalysisCalculation"]
    assert job.get_option("max_wallclock_seconds") == 600
    assert job.get_option("resources")["num_cores_per_mpiproc"] == node.inputs.training["training"]["threads"]
    dataset = node.outputs.dataset
    own = analyse_part(dataset, orm.Str("model"), node.inputs.training, orm.Int(ANALYSIS_VERSION))["models"]
    for name, model in node.outputs.models.items():
        assert model.creator.pk == job.pk
        np.testing.assert_array_equal(
            model.spectrum_model.predict_on_grid(dataset.spectra),
            own[name].spectrum_model.predict_on_grid(dataset.spectra),
        )


@pytest.fixture(scope="module")
def half_lost_study(mock_engines, mock_atomic_data):
    """Return a study at two jobs at a time whose calibration fails, and the ground state of one configuration too."""
    mock_engines.reset()
    mock_engines.rules(
        {"engine": "pw", "stage": "hole", "composition": "Si3O6", "mode": "wrong_charge"},
        {"engine": "pw", "stage": "ground", "composition": "Si2O3", "mode": "wrong_charge"},
        {"gather": 2, "timeout": 20, "linger": 1},
    )
    builder = StudyWorkChain.get_builder_from_protocol(
        mock_engines.codes,
        "fast",
        {"melt_quench": SHORT_MELT},
        compositions=["Si2O3", "Si2O2"],
        seeds=[1],
        max_concurrent=2,
        atomic_data=mock_atomic_data,
        train=False,
    )
    node = run_get_node(builder).node
    run = Run(node, mock_engines.intervals())
    mock_engines.reset()
    return run


@pytest.mark.xdist_group("half_lost_study")
class TestHalfLostStudy:
    """What fails takes nothing else with it."""

    def test_calibration_failed(self, half_lost_study):
        node = half_lost_study.node
        assert node.exit_status == CODES.ERROR_CALIBRATION_FAILED.status
        assert "PwCalculation" in node.exit_message
        chain = next(c for c in node.called_descendants if c.process_class is CalibrationWorkChain)
        assert chain.exit_status == CalibrationWorkChain.exit_codes.ERROR_CRYSTAL_FAILED.status
        assert "dataset" not in node.outputs

    def test_tables_are_kept(self, half_lost_study):
        outputs = half_lost_study.node.outputs
        assert sorted(outputs.structures) == ["Si2O2_1", "Si2O3_1"]
        assert sorted(outputs.site_tables) == ["Si2O2_1"]
        assert outputs.site_tables.Si2O2_1.done.all()

    def test_failures_say_why(self, half_lost_study):
        failures = half_lost_study.node.outputs.failures
        assert sorted(failures) == ["Si2O3_1", "calibration"]
        failure = failures.Si2O3_1.get_dict()
        assert "StructureTargetsWorkChain" in failure["reason"]
        assert "charge is wrong" in failure["last_lines"]

    def test_peak_of_engine_jobs_is_max_concurrent(self, half_lost_study):
        assert len(half_lost_study.intervals) == len(jobs_of(half_lost_study.node))
        assert peak_of(half_lost_study.intervals) == half_lost_study.node.inputs.max_concurrent.value == 2


def test_a_lane_that_stopped_is_told_of(builder):
    """It excepted before it could attach anything: each configuration of its list is a failure with that reason."""
    lane = lane_node("ConfigurationLaneWorkChain", [["Si8O4", 1], ["calibration"]])
    study = instantiate_process(get_manager().get_runner(), builder)
    study.ctx.lanes = [lane]
    assert study.gather() == CODES.ERROR_NO_SITES
    assert sorted(study.ctx.failures) == ["Si8O4_1", "calibration"]
    reason = study.ctx.failures["Si8O4_1"]["reason"]
    assert reason == f"ConfigurationLaneWorkChain<{lane.pk}> excepted: OSError: no space left on device"


@pytest.mark.parametrize("state", [ProcessState.EXCEPTED, ProcessState.KILLED])
def test_what_a_lane_made_before_it_stopped_is_kept(builder, state):
    """Cells, tables and the calibration are read from its children."""
    items = [["Si8O4", 1], ["calibration"], ["Si8O4", 2], ["Si8O4", 3], ["Si8O4", 4], ["Si8O4", 5]]
    lane = lane_node("ConfigurationLaneWorkChain", items, state)
    quartz = {"calibration": make_calibration(), "site_table": make_table([make_row(0, np.ones(3))], np.arange(3))}
    process_node("CalibrationWorkChain", quartz, caller=(lane, "calibration"))
    for seed in (1, 2, 3):
        configuration_node(lane, f"Si8O4_{seed}", attempts_of("Si8O4", [seed], {seed: GOOD}))
    configuration_node(
        lane, "Si8O4_4", attempts_of("Si8O4", [4], {}, failed=[4]), exit_status=320, exit_message="LAMMPS refused"
    )
    table = make_table([make_row(0, np.ones(3))], np.arange(3))
    targets = "StructureTargetsWorkChain"
    process_node(targets, {"site_table": table}, caller=(lane, "targets_Si8O4_1"))
    process_node(targets, exit_status=301, exit_message="no ground state", caller=(lane, "targets_Si8O4_2"))
    study = instantiate_process(get_manager().get_runner(), builder)
    study.ctx.lanes = [lane]
    assert study.gather() is None
    outputs = study.outputs
    assert sorted(outputs["structures"]) == sorted(outputs["qualities"]) == ["Si8O4_1", "Si8O4_2", "Si8O4_3"]
    assert sorted(outputs["attempts"]) == ["Si8O4_1", "Si8O4_2", "Si8O4_3", "Si8O4_4"]
    assert outputs["site_tables"]["Si8O4_1"].uuid == table.uuid
    assert outputs["calibration"].uuid == quartz["calibration"].uuid
    assert outputs["calibration_table"].uuid == quartz["site_table"].uuid
    reasons = {label: node["reason"] for label, node in outputs["failures"].items()}
    assert sorted(reasons) == ["Si8O4_2", "Si8O4_3", "Si8O4_4", "Si8O4_5"]
    assert "no ground state" in reasons["Si8O4_2"]
    assert "LAMMPS refused" in reasons["Si8O4_4"]
    for label in ("Si8O4_3", "Si8O4_5"):
        assert reasons[label].startswith(f"ConfigurationLaneWorkChain<{lane.pk}>")


def test_message_says_what_the_attempts_came_to(builder):
    """A composition whose lane only stopped was not rejected."""
    items = [["Si8O4", 1], ["Si8O4", 2], ["Si14", 1], ["Si4O8", 1]]
    table = make_table([make_row(i, np.ones(3) if i else None) for i in range(8)], np.arange(3))
    bad = {"accepted": False, "rejected_by": ["void"]}
    attempts = [attempts_of("Si14", [1], {1: GOOD}), attempts_of("Si8O4", [1, 3], {1: bad}, failed=[3])]
    builder.configurations = orm.List(items)
    builder.melt_quench = {formula: next(iter(builder.melt_quench.values())) for formula, _ in items}
    builder.max_attempts = orm.Int(3)
    study = instantiate_process(get_manager().get_runner(), builder)
    study.ctx.site_tables = {"Si14_1": table}
    study.ctx.attempts = {f"{entry['formula']}_1": orm.Dict(entry) for entry in attempts}
    study.ctx.acceptance = orm.Dict(count_acceptance([formula for formula, _ in items], attempts, SIOX))
    assert study.results().message == (
        "1 sites and 3 configurations failed; the rest is in the data set. No cell was accepted of Si8O4 (2 of 6 "
        "attempts made: 1 rejected, 1 failed), Si4O8 (none of 3 attempts came to an end)."
    )


def test_atomic_data_failed(mock, tmp_path):
    """Without ld1.x nothing is computed."""
    ld1 = orm.InstalledCode(
        label="missing-ld1",
        computer=mock.codes["ld1"].computer,
        filepath_executable=str(tmp_path / "ld1.x"),
        default_calc_job_plugin="siox.ld1",
        with_mpi=False,
    ).store()
    builder = StudyWorkChain.get_builder_from_protocol({**mock.codes, "ld1": ld1}, "fast")
    node = run_get_node(builder).node
    assert node.exit_status == CODES.ERROR_ATOMIC_DATA_FAILED.status
    assert "Ld1Calculation" in node.exit_message
    assert {job.process_label for job in jobs_of(node)} == {"Ld1Calculation"}


@pytest.fixture
def builder(mock_engines, mock_atomic_data):
    return StudyWorkChain.get_builder_from_protocol(mock_engines.codes, "fast", atomic_data=mock_atomic_data)


class TestRefused:
    """Nothing is submitted; the message names the value and the remedy."""

    @pytest.mark.parametrize(
        ("items", "message"),
        [
            ([], "is empty: give at least one"),
            (["Si8O4"], r"\[formula, seed\] pairs, got 'Si8O4'"),
            ([["Si8O4"]], "pairs, got"),
            ([["Si8O4", 1.5]], "pairs, got"),
            ([["Si8O4", True]], "pairs, got"),
            ([["Si8O4", -1]], "`seed` must be an integer from 0 on, got -1"),
            ([["Si8O4", 1], ["Si8O4", 1]], "holds Si8O4_1 twice"),
        ],
    )
    def test_configurations(self, builder, items, message):
        with pytest.raises(ValueError, match=message):
            builder.configurations = orm.List(items)

    @pytest.mark.parametrize(
        ("formula", "message"),
        [
            ("Ge8O4", "only Si and O are possible"),
            ("O4", "has no Si"),
            ("Si-8O4", "count -8"),
            ("Si4O12", "has 3 O per Si"),
            ("O4Si8", "write `Si8O4`"),
        ],
    )
    def test_formulas(self, builder, formula, message):
        builder.configurations = orm.List([[formula, 1]])
        self.refused(builder, message)

    def test_another_material_for_the_spectra(self, builder):
        settings = builder.settings.get_dict()
        settings["material"]["bonds_angstrom"]["Si-O"] = 1.9
        builder.settings = orm.Dict(settings)
        self.refused(builder, r"`settings.material` is not the `material` that is melted \(siox\)")

    def test_formula_without_parameters(self, builder):
        builder.configurations = orm.List([["Si6O6", 1]])
        self.refused(builder, "`melt_quench` has no parameters for Si6O6")

    def test_formula_that_cannot_be_melted(self, builder):
        formula = builder.configurations.get_list()[-1][0]
        melt_quench = {key: dict(nodes) for key, nodes in builder.melt_quench.items()}
        melt_quench[formula]["starting_cell"] = orm.Dict({"crystal": "foo", "density_g_cm3": 2.3})
        builder.melt_quench = melt_quench
        self.refused(builder, f"{formula} cannot be melted: the material siox has no crystal `foo`")

    def test_potential_of_another_species(self, builder):
        silicon = {"name": "silicon only", "source": "none", "species": ["Si"]}
        silicon |= {"pair_style": "lj/cut 5.0", "pair_coeff": ["* * 0.1 2.0"]}
        builder.potential = {"definition": orm.Dict(silicon)}
        self.refused(builder, r"Si\d+O\d+ cannot be melted: `potential`: the potential silicon only knows Si only")

    @pytest.mark.parametrize(
        ("window", "message"),
        [
            ({"energy_min_eV": 1880.0, "energy_max_eV": 1830.0, "n_points": 256}, "is empty"),
            (
                {"energy_min_eV": 1830.0, "energy_max_eV": 1880.0, "n_points": 1},
                "`window.n_points` must be an integer from 2 up to 100000, got 1",
            ),
            ({"energy_min_eV": 1830.0}, "`window` lacks `energy_max_eV`, `n_points`"),
        ],
    )
    def test_window(self, builder, window, message):
        with pytest.raises(ValueError, match=message):
            builder.window = orm.Dict(window)

    def test_window_wider_than_the_tables(self, builder):
        builder.window = orm.Dict({"energy_min_eV": 1800.0, "energy_max_eV": 1880.0, "n_points": 256})
        self.refused(builder, "is 1800 to 1880 eV, but spectra are computed for 1830 to 1880 eV")

    @pytest.mark.parametrize("number", [0, -1, 29])
    def test_max_concurrent(self, builder, number):
        with pytest.raises(ValueError, match=f"`max_concurrent` must be between 1 and 28, got {number}"):
            builder.max_concurrent = orm.Int(number)

    def test_settings(self, builder):
        settings = copy.deepcopy(builder.settings.get_dict())
        settings["treatment"] = "half"
        with pytest.raises(ValueError, match="treatment` must be one of fch, xch, none, got 'half'"):
            builder.settings = orm.Dict(settings)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"compositions": ["SiO3"]}, "more than SiO2 can bind"),
            ({"overrides": {"structure_target": {}}}, "did you mean `structure_targets`"),
            ({"overrides": {"calibration": {"supercell": [0, 1, 1]}}}, "three positive integers"),
            ({"overrides": {"melt_quench": {"parameters": {"melt_time": 1.0}}}}, "did you mean `melt_time_ps`"),
            ({"overrides": {"training": {"epochs": "many"}}}, "must be a number"),
            ({"protocol": "quick"}, "unknown protocol `quick`"),
        ],
    )
    def test_protocol_arguments(self, mock_engines, arguments, message):
        with pytest.raises(ValueError, match=message):
            StudyWorkChain.get_builder_from_protocol(mock_engines.codes, **arguments)

    @staticmethod
    def refused(builder, message):
        n_processes = orm.QueryBuilder().append(orm.ProcessNode).count()
        with pytest.raises(ValueError, match=message):
            run_get_node(builder)
        assert orm.QueryBuilder().append(orm.ProcessNode).count() == n_processes


@pytest.mark.parametrize("protocol", ["fast", "balanced", "paper"])
def test_builder(serialize, data_regression, mock_engines, protocol):
    builder = StudyWorkChain.get_builder_from_protocol(
        mock_engines.codes, protocol, options={"lmp": {"queue_name": "short"}}
    )
    data_regression.check(serialize(builder))


def test_builder_with_another_potential(mock_engines):
    builder = StudyWorkChain.get_builder_from_protocol(
        mock_engines.codes, "fast", {"melt_quench": {"potential": "vashishta"}}
    )
    assert builder.potential.definition["pair_style"] == "vashishta"

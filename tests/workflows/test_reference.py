"""Reference crystals with mock engines: what is refused, what is compared, and that one failure does not end it."""

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_siox.workflows.reference import ReferenceLaneWorkChain, ReferenceWorkChain
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain

QUARTZ = {"compound": "quartz", "step": "small", "supercell": [1, 1, 1]}


def make_builder(mock_engines, atomic_data, protocol="fast", **arguments):
    return ReferenceWorkChain.get_builder_from_protocol(mock_engines.codes, atomic_data, protocol, **arguments)


@pytest.mark.parametrize("protocol", ["fast", "balanced", "paper"])
def test_protocols(mock_engines, mock_atomic_data, protocol):
    builder = make_builder(mock_engines, mock_atomic_data, protocol)
    cases = builder.cases.get_dict()
    assert set(builder.settings) == set(cases) - {"order"}
    assert {cases[name]["compound"] for name in cases["order"]} == {"quartz", "silicon"}
    assert builder.settings["silicon_8"]["protocol"] == protocol
    assert "scf.kpoints_mesh" in builder.settings["silicon_8"]["changed"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {"cases": {"glass": {"compound": "glass", "step": "a", "supercell": [1, 1, 1]}}},
            "has no crystal `glass`",
        ),
        ({"cases": {"q": {**QUARTZ, "supercell": [0, 1, 1]}}}, "three positive integers"),
        ({"cases": {"q": {"compound": "quartz"}}}, "case `q` lacks supercell"),
        ({"cases": {}}, "siox has no reference crystals to compare: .*`protocols.fast.reference.cases`"),
        ({"cases": {"q": {**QUARTZ, "cell": [1, 1, 1]}}}, "no key `cell`"),
        ({"cases": {"q": {**QUARTZ, "settings": {"scf": {"ecut": 3}}}}}, "cases.q.settings.scf.ecut"),
        ({"cases": {"q": {**QUARTZ, "settings": {"treatment": "half"}}}}, "case `q`: .*treatment"),
        ({"cases": {"a b": {"compound": "quartz", "step": "a", "supercell": [1, 1, 1]}}}, "letters, digits and _"),
        ({"target_eV": 184.6}, "main peak of quartz lies between 1830 and 1860 eV, got 184.6"),
    ],
)
def test_refused(mock_engines, mock_atomic_data, overrides, message):
    with pytest.raises(ValueError, match=message):
        make_builder(mock_engines, mock_atomic_data, overrides=overrides)


def test_settings_of_another_case(mock_engines, mock_atomic_data):
    builder = make_builder(mock_engines, mock_atomic_data)
    builder.settings = {"quartz_9": builder.settings["quartz_9"]}
    with pytest.raises(ValueError, match="silicon_8"):
        run_get_node(builder)


@pytest.fixture(scope="module")
def run(mock_engines, mock_atomic_data):
    """Two quartz cells, and a silicon cell whose pw.x always fails."""
    mock_engines.reset()
    mock_engines.rules({"engine": "pw", "composition": "Si8", "mode": "cut"})
    builder = make_builder(
        mock_engines,
        mock_atomic_data,
        overrides={
            "cases": {
                "silicon_8": {"compound": "silicon", "step": "small", "supercell": [1, 1, 1]},
                "quartz_9": QUARTZ,
                "quartz_18": {"compound": "quartz", "step": "medium", "supercell": [1, 1, 2]},
            }
        },
        max_concurrent=2,
    )
    node = run_get_node(builder).node
    mock_engines.reset()
    return node


@pytest.mark.xdist_group("mock_reference")
class TestRun:
    def test_one_failure_is_a_warning(self, run):
        assert run.exit_status == ReferenceWorkChain.exit_codes.WARNING_CASES_FAILED.status
        assert "silicon_8" in run.exit_message
        assert run.outputs.comparison["missing"] == ["silicon_8"]

    def test_tables_and_calibrations(self, run):
        assert sorted(run.outputs.site_tables) == ["quartz_18", "quartz_9"]
        assert sorted(run.outputs.calibrations) == ["quartz_18", "quartz_9"]
        table, calibration = run.outputs.site_tables.quartz_9, run.outputs.calibrations.quartz_9
        assert calibration.settings_digest == table.settings_digest
        assert calibration.shift == pytest.approx(1846.8 - run.outputs.comparison["rows"][0]["white_line_eV"], abs=1e-6)

    def test_rows(self, run):
        rows = run.outputs.comparison["rows"]
        assert [(row["name"], row["n_atoms"], row["step"]) for row in rows] == [
            ("quartz_9", 9, "small"),
            ("quartz_18", 18, "medium"),
        ]
        assert rows[0]["mesh_xspectra"] == [2, 2, 2]
        assert rows[1]["mesh_xspectra"] == [2, 2, 1]
        assert rows[1]["l1"] == pytest.approx(0, abs=1e-12)
        assert run.outputs.comparison["shifts"] == []
        assert run.outputs.comparison["experiment"]["shift_eV"] == pytest.approx(6.5)

    def test_lanes_share_the_budget(self, run):
        lanes = [child for child in run.called if child.process_class is ReferenceLaneWorkChain]
        assert sum(lane.inputs.max_concurrent.value for lane in lanes) == 2
        cases = [name for lane in lanes for name in lane.inputs.cases.get_list()]
        assert sorted(cases) == ["quartz_18", "quartz_9", "silicon_8"]
        targets = [child for lane in lanes for child in lane.called if child.process_class is StructureTargetsWorkChain]
        assert all(isinstance(child, orm.WorkChainNode) for child in targets)
        assert len(targets) == 3

"""Fixtures of the command-line tests: the command in this process, and a small study made by hand."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from click.testing import CliRunner

from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.data.site_table import SiteTableData
from tests import factories
from tests.factories import R

SETTINGS_DIGEST = factories.SETTINGS_DIGEST
SHIFT = factories.SHIFT_EV


@dataclasses.dataclass
class Outcome:
    """What a command printed and how it left."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The last line of stdout as strict JSON."""

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is not JSON")

        return json.loads(self.stdout.splitlines()[-1], parse_constant=refuse)


@pytest.fixture
def run_cli(aiida_profile):
    """Return a function that calls ``aiida-siox`` with arguments in this process, in the test profile."""
    from aiida_siox.cli import main

    def run(*arguments: Any, fails: bool = False) -> Outcome:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        outcome = Outcome(result.exit_code, result.stdout, result.stderr)
        assert (result.exit_code != 0) == fails, result.output
        assert "Traceback" not in result.output
        return outcome

    return run


def quartz_like(n_oxygen: int = 6, scale: float = 1.0) -> orm.StructureData:
    """Return an unstored cell with four Si and some O on a simple lattice."""
    structure = orm.StructureData(cell=np.diag([6.4, 6.4, 6.4]) * scale)
    points = [(i, j, k) for i in range(4) for j in range(2) for k in range(2)]
    for n, (i, j, k) in enumerate(points[: 4 + n_oxygen]):
        position = [1.6 * i * scale, 3.2 * j * scale, 3.2 * k * scale]
        structure.append_atom(position=position, symbols="Si" if n < 4 else "O")
    return structure


def make_table(structure: orm.StructureData, n_oxygen: int, failed: tuple[int, ...] = (), seed: int = 0):
    """Return a stored table of the four Si sites of a structure, made by a hand-made ``collect``."""
    rng = np.random.default_rng(seed)
    energy = np.arange(1838.0, 1898.0, 0.1)
    valence = np.clip(n_oxygen / 4 * 1.5 + rng.normal(0, 0.3, 4), 0, 4)
    positions = 1856.0 + valence[:, None]
    spectra = 1e-3 * (
        0.5 + np.arctan((energy - positions) / 0.8) / np.pi + 1.5 / (1 + ((energy - positions - 1) / 1.0) ** 2)
    )
    rdf = np.exp(-(((R - 1.62) / 0.15) ** 2)) * valence[:, None] + np.exp(-(((R - 3.0) / 0.3) ** 2))
    smearing = {"ground_smearing_Ry": -2e-6, "hole_smearing_Ry": -1e-6}
    reason = "xspectra.x: XANES not converged after 500 iterations"
    table = factories.make_table(
        [
            factories.make_row(
                i,
                None if i in failed else spectra[i],
                energies=smearing,
                reason=reason,
                n_ligands=min(n_oxygen, 4),
                valence=valence[i],
                rdf=rdf[i],
            )
            for i in range(4)
        ],
        energy,
        formula=f"Si4O{n_oxygen}",
        x=n_oxygen / 4,
        structure_digest=f"{n_oxygen}-{seed}",
    )
    collect = orm.CalcFunctionNode()
    collect.base.links.add_incoming(structure, LinkType.INPUT_CALC, "structure")
    return table, collect


def make_dataset(study: orm.WorkChainNode, calibration: CalibrationData, tables: dict[str, SiteTableData]):
    """Return a stored data set of the finished sites of tables, made by a hand-made ``assemble``."""
    dataset = DatasetData.from_tables(tables, calibration, factories.MATERIAL.window.plain())
    assemble = orm.CalcFunctionNode()
    assemble.base.links.add_incoming(study, LinkType.CALL_CALC, "assemble")
    assemble.base.links.add_incoming(calibration, LinkType.INPUT_CALC, "calibration")
    for label, table in tables.items():
        assemble.base.links.add_incoming(table, LinkType.INPUT_CALC, f"tables__{label}")
    assemble.set_process_state("finished")
    assemble.set_exit_status(0)
    assemble.store()
    dataset.base.links.add_incoming(assemble, LinkType.CREATE, "result")
    dataset.store()
    assemble.seal()
    return dataset


@dataclasses.dataclass
class HandMadeStudy:
    """A study and its outputs."""

    study: orm.WorkChainNode
    tables: dict[str, SiteTableData]
    structures: dict[str, orm.StructureData]
    calibration: CalibrationData
    dataset: DatasetData
    models: dict[str, ModelData]


@pytest.fixture(scope="session")
def hand_made_study(aiida_profile) -> HandMadeStudy:
    """Return a stored, finished study of five configurations, one of which has a failed site."""
    from aiida_siox.calculations.analysis import ANALYSIS_VERSION, analyse_part
    from aiida_siox.workflows.analysis import AnalysisProtocol

    study = orm.WorkChainNode()
    study.process_type = "aiida.workflows:siox.study"
    study.set_process_label("StudyWorkChain")
    items = [[f"Si4O{n}", 1] for n in (0, 2, 4, 6, 8)]
    study.base.links.add_incoming(orm.List(items).store(), LinkType.INPUT_WORK, "configurations")
    study.store()
    tables, structures = {}, {}
    for formula, seed in items:
        n_oxygen = int(formula.removeprefix("Si4O"))
        structure = quartz_like(n_oxygen).store()
        failed = (2,) if n_oxygen == 4 else ()
        table, collect = make_table(structure, n_oxygen, failed, seed)
        collect.base.links.add_incoming(study, LinkType.CALL_CALC, f"collect_{n_oxygen}")
        collect.set_process_state("finished")
        collect.set_exit_status(0)
        collect.store()
        table.base.links.add_incoming(collect, LinkType.CREATE, "site_table")
        table.store()
        collect.seal()
        tables[f"{formula}_{seed}"], structures[f"{formula}_{seed}"] = table, structure
    calibration = factories.make_calibration().store()
    dataset = make_dataset(study, calibration, tables)
    parameters = AnalysisProtocol.get_parameters("fast", {"training": {"epochs": 20}}, ("valence", "rdf"))["model"]
    models = analyse_part(dataset, orm.Str("model"), orm.Dict(parameters), orm.Int(ANALYSIS_VERSION))["models"]
    returned = {
        **{f"structures__{label}": node for label, node in structures.items()},
        **{f"site_tables__{label}": node for label, node in tables.items()},
        "calibration": calibration,
        "dataset": dataset,
        **{f"models__{name}": model for name, model in models.items()},
    }
    for label, node in returned.items():
        node.base.links.add_incoming(study, LinkType.RETURN, label)
    study.set_process_state("finished")
    study.set_exit_status(401)
    study.set_exit_message("1 of 20 sites failed.")
    study.seal()
    return HandMadeStudy(study, tables, structures, calibration, dataset, models)

"""Fixtures around the mock engines: their codes, the rules that make them fail, and one small study of them."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from aiida import orm
from aiida_pseudo.data.pseudo.upf import UpfData

ENGINE = pathlib.Path(__file__).parent / "engine.py"
PLUGINS = {
    "pw": "quantumespresso.pw",
    "pp": "quantumespresso.pp",
    "xspectra": "siox.xspectra",
    "bader": "siox.bader",
    "lmp": "siox.melt_quench",
    "ld1": "siox.ld1",
}
MOCKED = ("pw", "pp", "xspectra", "bader")
#: Z of the valence of each kind, as in the headers of the real sets.
PSEUDOS = {"Si": ("Si", 4.0), "O": ("O", 6.0), "Sih": ("Si", 5.0)}
#: A melt-quench of a few hundred steps: a cell without overlaps, nothing more.
SHORT_MELT = {
    "parameters": {
        "settle_time_ps": 0.1,
        "melt_time_ps": 0.2,
        "quench_time_ps": 0.4,
        "hold_time_ps": 0.1,
        "thermo_interval_ps": 0.1,
        "restart_interval_ps": 10.0,
    },
    "quality": {
        "rules": {
            rule: {"action": "flag"}
            for rule in ("oxygen_bond", "density", "coordination", "void", "identical_sites", "not_relaxed")
        }
    },
}


@dataclasses.dataclass
class MockEngines:
    """Codes of the mock engines with their steering files."""

    folder: pathlib.Path
    codes: dict[str, orm.InstalledCode] = dataclasses.field(default_factory=dict)

    @property
    def log_file(self) -> pathlib.Path:
        """Start and end of every job."""
        return self.folder / "jobs.log"

    @property
    def rules_file(self) -> pathlib.Path:
        """What fails."""
        return self.folder / "rules.json"

    def reset(self) -> None:
        """Forget rules and log."""
        for path in self.folder.glob("rules.json*"):
            path.unlink()
        for path in self.folder.glob("jobs.log.reached*"):
            path.unlink()
        self.log_file.write_text("")

    def rules(self, *rules: dict[str, Any]) -> None:
        """Set the rules (see engine.py)."""
        for path in self.folder.glob("rules.json*"):
            path.unlink()
        self.rules_file.write_text(json.dumps(rules))

    def intervals(self) -> list[tuple[float, float, str]]:
        """Return start, end and engine of every job; one that runs two codes is one job."""
        jobs: dict[str, list[Any]] = {}
        for line in self.log_file.read_text().splitlines():
            event, folder, engine, time = line.split()
            entry = jobs.setdefault(folder, [float("inf"), 0.0, engine])
            if event == "start":
                entry[0] = min(entry[0], float(time))
            else:
                entry[1] = max(entry[1], float(time))
        return [(start, end, engine) for start, end, engine in jobs.values()]

    def peak(self) -> int:
        """Return the largest number of jobs that ran at one time."""
        return peak_of(self.intervals())


def peak_of(intervals: list[tuple[float, float, str]]) -> int:
    """Return the largest number of intervals that overlap."""
    events = sorted([(start, 1) for start, _, _ in intervals] + [(end, -1) for _, end, _ in intervals])
    running, largest = 0, 0
    for _, step in events:
        running += step
        largest = max(largest, running)
    return largest


@pytest.fixture(scope="session")
def mock_engines(computer, engine_code, tmp_path_factory) -> MockEngines:
    """Return mock codes of pw, pp, xspectra and bader, and lmp and ld1 as they are; all note when their jobs run."""
    engines = MockEngines(tmp_path_factory.mktemp("mock_engines"))
    engines.reset()
    for engine, plugin in PLUGINS.items():
        if engine in MOCKED:
            executable = engines.folder / f"{engine}.x"
            executable.write_text(
                f"#!/bin/sh\nexport SIOX_MOCK_LOG={engines.log_file} SIOX_MOCK_RULES={engines.rules_file}\n"
                f'exec {sys.executable} {ENGINE} {engine} "$@"\n'
            )
            executable.chmod(0o755)
        else:
            executable = pathlib.Path(str(engine_code(engine).filepath_executable))
        note = f'echo "{{}} $PWD {engine} $(date +%s.%N)" >> {engines.log_file}'
        engines.codes[engine] = orm.InstalledCode(
            label=f"noted-{engine}",
            computer=computer,
            filepath_executable=str(executable),
            default_calc_job_plugin=plugin,
            with_mpi=False,
            prepend_text=f"export OMP_NUM_THREADS=1\n{note.format('start')}",
            append_text=note.format("end"),
        ).store()
    return engines


@pytest.fixture
def mock(mock_engines) -> Iterator[MockEngines]:
    """Return the mock engines with no rule and an empty log."""
    mock_engines.reset()
    yield mock_engines
    mock_engines.reset()


@pytest.fixture(scope="session")
def mock_atomic_data(aiida_profile, tmp_path_factory) -> dict[str, Any]:
    """Return what AtomicDataWorkChain gives, with pseudopotentials that are headers only."""
    folder = tmp_path_factory.mktemp("pseudos")
    pseudos = {}
    for kind, (element, z_valence) in PSEUDOS.items():
        path = folder / f"{kind}.UPF"
        path.write_text(
            f'<UPF version="2.0.1">\n<PP_HEADER element="{element}" z_valence="{z_valence}" comment="{kind}"/>\n'
            "</UPF>\n"
        )
        pseudos[kind] = UpfData(path).store()
    core = folder / "core.wfc"
    core.write_text("# r  r*psi\n0.0 0.0\n")
    return {
        "pseudos": pseudos,
        "core_wavefunction": orm.SinglefileData(core).store(),
        "energies": orm.Dict({"core_correction_eV": 1809.516}).store(),
    }


@pytest.fixture(scope="session")
def mock_quartz(aiida_profile) -> orm.StructureData:
    """Return α-quartz, 9 atoms of which the first three are silicon."""
    from tests.crystals import alpha_quartz

    return orm.StructureData(ase=alpha_quartz()).store()


@pytest.fixture(scope="session")
def mock_targets(mock_engines, mock_atomic_data, mock_quartz):
    """Return a function that runs StructureTargetsWorkChain of quartz with the mock engines and returns the node."""
    from aiida.engine import run_get_node

    from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain

    def run(
        sites: list[int] | None = None, overrides: Any = None, codes: dict[str, Any] | None = None, **changes: Any
    ) -> orm.WorkChainNode:
        builder = StructureTargetsWorkChain.get_builder_from_protocol(
            {**mock_engines.codes, **(codes or {})},
            mock_quartz,
            mock_atomic_data,
            "fast",
            overrides,
            sites=sites,
            max_concurrent=2,
        )
        for key, value in changes.items():
            builder[key] = value
        return run_get_node(builder).node

    return run


@dataclasses.dataclass
class Run:
    """A finished WorkChain and when its engine jobs ran."""

    node: orm.WorkChainNode
    intervals: list[tuple[float, float, str]]


#: [formula, seed] of the study below; the first silicon atom of the last one fails.
STUDY_ITEMS = [["Si2O4", 1], ["Si2O4", 2], ["Si4O5", 1]]


@pytest.fixture(scope="session")
def mock_study(mock_engines) -> Run:
    """Return a study at three engine jobs at a time: real ld1.x and LAMMPS, mocks after them, networks of one epoch.

    Site 0 of Si4O5 never converges.
    """
    from aiida.engine import run_get_node

    from aiida_siox.workflows.study import StudyWorkChain

    mock_engines.reset()
    mock_engines.rules(
        {"engine": "xspectra", "composition": "Si4O5", "site": 0, "mode": "exhausted"},
        {"gather": 3, "timeout": 20, "linger": 0},
        {"engine": "pw", "stage": "hole", "gather": 4, "timeout": 6, "linger": 0, "times": 3},  # one too many
    )
    builder = StudyWorkChain.get_builder_from_protocol(
        mock_engines.codes,
        "fast",
        {"melt_quench": SHORT_MELT, "training": {"epochs": 2, "patience": 2}},
        compositions=["Si2O4", "Si4O5"],
        seeds=[1],
        max_concurrent=3,
    )
    builder.configurations = orm.List(STUDY_ITEMS)
    node = run_get_node(builder).node
    run = Run(node, mock_engines.intervals())
    mock_engines.reset()
    return run


@pytest.fixture(scope="session")
def serialize():
    """Return a function that turns a builder into plain values that are the same on every machine."""

    def plain(value: Any) -> Any:
        if isinstance(value, orm.InstalledCode):
            return f"code {value.label}"
        if isinstance(value, orm.Dict):
            return plain(value.get_dict())
        if isinstance(value, orm.List):
            return plain(value.get_list())
        if isinstance(value, orm.StructureData):
            return value.get_formula("count")
        if isinstance(value, UpfData):
            return f"pseudopotential of {value.element}, valence {value.z_valence:g}"
        if isinstance(value, orm.SinglefileData):
            return f"file {value.filename}"
        if isinstance(value, orm.Data):
            return value.value
        if isinstance(value, dict) and {"core_level", "name"} <= set(value):
            return f"material {value['name']}"
        if isinstance(value, dict) or hasattr(value, "items"):
            return {str(key): plain(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [plain(entry) for entry in value]
        return value

    return lambda builder: plain(builder._inputs(prune=True))


def jobs_of(process: orm.ProcessNode, label: str | None = None) -> list[orm.CalcJobNode]:
    """Return the CalcJobs under a process in the order in which they were made."""
    jobs = [node for node in process.called_descendants if isinstance(node, orm.CalcJobNode)]
    return sorted((job for job in jobs if label in (None, job.process_label)), key=lambda job: job.pk)


def scratch_left(process: orm.ProcessNode) -> dict[int, bool]:
    """Return for each CalcJob under a process whether its remote folder still holds anything."""
    left = {}
    for job in jobs_of(process):
        path = pathlib.Path(job.outputs.remote_folder.get_remote_path())
        left[job.pk] = path.is_dir() and bool(os.listdir(path))
    return left

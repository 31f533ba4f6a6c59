"""Fixtures of the whole suite: a profile without services, a computer, and codes of the real engines."""

from __future__ import annotations

import pathlib
import shutil
import sys

import pytest

pytest_plugins = ("aiida.tools.pytest_fixtures", "tests.mocks.fixtures")


#: Executable and plugin of each engine.
ENGINES = {
    "lmp": ("lmp", "siox.melt_quench"),
    "ld1": ("ld1.x", "siox.ld1"),
    "pw": ("pw.x", "quantumespresso.pw"),
    "pp": ("pp.x", "quantumespresso.pp"),
    "xspectra": ("xspectra.x", "siox.xspectra"),
    "bader": ("siox-bader", "siox.bader"),
    "analysis": ("siox-analyse", "siox.analysis"),
}
#: Modules whose tests make profiles in processes of their own, or read the archives that are shipped.
OF_PROFILES = (
    "test_archive",
    "test_setup",
    "test_demo",
    "test_reference_data",
    "test_structure_set",
    "test_validation",
)
#: Engines that run beside the mock ones.
BESIDE_MOCKS = ("lmp", "ld1")


def installed(executable: str) -> str | None:
    """Return the path of an executable on the PATH or beside Python, None if there is none."""
    return shutil.which(executable) or shutil.which(executable, path=str(pathlib.Path(sys.executable).parent))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail tests that run engines where one is missing."""
    engines = set(ENGINES) if item.get_closest_marker("engine") else set()
    engines |= set(BESIDE_MOCKS) if item.get_closest_marker("mock") else set()
    missing = sorted(ENGINES[engine][0] for engine in engines if installed(ENGINES[engine][0]) is None)
    assert not missing, f"{', '.join(missing)} not installed: run `make engines`"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs processes with mock engines, before ``-m`` chooses."""
    for item in items:
        if "mock_engines" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.mock)
        if item.nodeid.split("::")[0].removeprefix("tests/") in OF_PROFILES:
            item.add_marker(pytest.mark.profile)


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> None:
    """One engine per core: no OpenMP or BLAS threads."""
    import os

    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def computer(aiida_profile, tmp_path_factory):
    """Return a configured local computer that polls fast and uses no login shell (session scope)."""
    from aiida import orm

    label = "localhost-siox"
    try:
        return orm.Computer.collection.get(label=label)
    except Exception:
        node = orm.Computer(
            label=label,
            hostname="localhost",
            transport_type="core.local",
            scheduler_type="core.direct",
            workdir=str(tmp_path_factory.mktemp("scratch")),
        ).store()
        node.set_minimum_job_poll_interval(0.1)
        node.set_default_mpiprocs_per_machine(1)
        node.configure(safe_interval=0, use_login_shell=False)
        return node


@pytest.fixture(scope="session")
def engine_code(computer):
    """Return a factory ``engine_code('pw')`` of InstalledCode nodes for the executables found on the PATH.

    One that is not installed has a path where nothing is: enough for whatever does not run it.
    """
    from aiida import orm

    def factory(engine: str) -> orm.InstalledCode:
        executable, plugin = ENGINES[engine]
        label = f"siox-{engine}"
        try:
            return orm.load_code(f"{label}@{computer.label}")
        except Exception:
            return orm.InstalledCode(
                label=label,
                computer=computer,
                filepath_executable=installed(executable) or f"/not/installed/{executable}",
                default_calc_job_plugin=plugin,
                with_mpi=False,
                prepend_text="export OMP_NUM_THREADS=1",
            ).store()

    return factory


@pytest.fixture(scope="session")
def fixtures_path() -> pathlib.Path:
    """Return the folder of test data."""
    return pathlib.Path(__file__).parent / "fixtures"

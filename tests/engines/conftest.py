"""What the engine tests share, made once in a session with the real engines."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Return a function that runs ``aiida-siox`` with arguments in a fresh profile and returns its stdout."""
    folder = tmp_path_factory.mktemp("profile")
    beside = pathlib.Path(sys.executable).parent
    environment = {
        **os.environ,
        "AIIDA_PATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}",
    }

    def run(*arguments: str | pathlib.Path) -> str:
        result = subprocess.run(
            [beside / "aiida-siox", *arguments],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run("setup")
    return run


@pytest.fixture(scope="session")
def atomic_data(engine_code):
    """Return the outputs of one AtomicDataWorkChain: ``pseudos``, ``core_wavefunction``, ``energies``."""
    from aiida.engine import run_get_node

    from aiida_siox.workflows.atomic_data import AtomicDataWorkChain

    builder = AtomicDataWorkChain.get_builder_from_protocol(engine_code("ld1"))
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return results


@pytest.fixture(scope="session")
def quartz_structure(aiida_profile):
    """Return α-quartz (9 atoms) as a stored StructureData."""
    from aiida import orm

    from tests.crystals import alpha_quartz

    return orm.StructureData(ase=alpha_quartz()).store()


@pytest.fixture(scope="session")
def quartz_ground_state(engine_code, atomic_data, quartz_structure):
    """Return the finished PwCalculation of α-quartz, 50/200 Ry, mesh 1×1×1, Gaussian smearing: half a minute at most.

    The charge density needs 400 Ry for the regression values of the energy; charges differ by 0.04 e only.
    """
    from aiida import orm
    from aiida.engine import run_get_node
    from aiida_quantumespresso.calculations.pw import PwCalculation

    kpoints = orm.KpointsData()
    kpoints.set_kpoints_mesh([1, 1, 1])
    inputs = {
        "code": engine_code("pw"),
        "structure": quartz_structure,
        "kpoints": kpoints,
        "pseudos": {kind: atomic_data["pseudos"][kind] for kind in ("Si", "O")},
        "parameters": orm.Dict(
            {
                "CONTROL": {"calculation": "scf"},
                "SYSTEM": {
                    "ecutwfc": 50.0,
                    "ecutrho": 200.0,
                    "occupations": "smearing",
                    "smearing": "gaussian",
                    "degauss": 0.005,
                    "nbnd": 28,
                },
                "ELECTRONS": {"conv_thr": 1.0e-8},
            }
        ),
        "metadata": {"options": {"resources": {"num_machines": 1}, "withmpi": False}},
    }
    _, node = run_get_node(PwCalculation, **inputs)
    assert node.is_finished_ok, node.exit_message
    return node

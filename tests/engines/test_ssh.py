"""One structure through core.ssh: nothing relies on a path of this computer. Run by ``make test-ssh``."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.ssh

#: The cheapest settings with which a spectrum of quartz still comes out; the path is tested here, not the physics.
OVERRIDES = {
    "settings": {
        "scf": {"ecutwfc_Ry": 30.0, "ecutrho_Ry": 150.0},
        "xspectra": {"kpoints_mesh": [1, 1, 1], "xerror": 0.05, "xcheck_conv": 20},
    }
}
PLUGINS = {
    "ld1": ("ld1.x", "siox.ld1"),
    "pw": ("pw.x", "quantumespresso.pw"),
    "pp": ("pp.x", "quantumespresso.pp"),
    "xspectra": ("xspectra.x", "siox.xspectra"),
    "bader": ("siox-bader", "siox.bader"),
}


@pytest.fixture(scope="module")
def ssh_computer(aiida_profile, tmp_path_factory):
    """Return a computer that is reached through the sshd of ``tools/with_sshd.py``."""
    from aiida import orm

    if "SIOX_SSH_PORT" not in os.environ:
        pytest.fail("no sshd of our own: run these tests with `make test-ssh`")
    computer = orm.Computer(
        label="siox-ssh",
        hostname="127.0.0.1",
        transport_type="core.ssh",
        scheduler_type="core.direct",
        workdir=str(tmp_path_factory.mktemp("remote")),
    ).store()
    computer.set_minimum_job_poll_interval(0.5)
    computer.set_default_mpiprocs_per_machine(1)
    with pytest.MonkeyPatch.context() as patch:
        # paramiko also reads the user's own known hosts; they are not to be touched
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        computer.configure(
            username=os.environ["SIOX_SSH_USER"],
            port=int(os.environ["SIOX_SSH_PORT"]),
            key_filename=os.environ["SIOX_SSH_KEY"],
            key_policy="AutoAddPolicy",
            look_for_keys=False,
            allow_agent=False,
            load_system_host_keys=False,
            safe_interval=0.0,
            use_login_shell=False,
        )
        yield computer


@pytest.fixture(scope="module")
def ssh_codes(ssh_computer):
    """Return the codes on that computer."""
    from aiida import orm

    codes = {}
    for name, (executable, plugin) in PLUGINS.items():
        beside = pathlib.Path(sys.executable).parent / executable
        path = str(beside) if beside.exists() else shutil.which(executable)
        assert path is not None, f"{executable} is not installed: run `make engines`"
        codes[name] = orm.InstalledCode(
            label=name,
            computer=ssh_computer,
            filepath_executable=path,
            default_calc_job_plugin=plugin,
            with_mpi=False,
            prepend_text="export OMP_NUM_THREADS=1",
        ).store()
    return codes


def test_transport(ssh_computer):
    """The connection works, and it is not the local transport."""
    with ssh_computer.get_transport() as transport:
        status, stdout, _ = transport.exec_command_wait("echo $SSH_CONNECTION")
    assert status == 0
    assert "127.0.0.1" in stdout


def test_structure_targets_through_ssh(ssh_codes):
    """Atomic data, ground state, charges and one spectrum of quartz, with all files through the transport."""
    from aiida import orm
    from aiida.engine import run_get_node

    from aiida_siox.workflows.atomic_data import AtomicDataWorkChain
    from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain
    from tests.crystals import alpha_quartz

    atomic, node = run_get_node(AtomicDataWorkChain.get_builder_from_protocol(ssh_codes["ld1"]))
    assert node.is_finished_ok, node.exit_message

    structure = orm.StructureData(ase=alpha_quartz()).store()
    builder = StructureTargetsWorkChain.get_builder_from_protocol(
        {name: ssh_codes[name] for name in ("pw", "pp", "xspectra", "bader")},
        structure,
        atomic,
        protocol="fast",
        overrides=OVERRIDES,
        sites=[0],
    )
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message

    jobs = [called for called in node.called_descendants if isinstance(called, orm.CalcJobNode)]
    assert len(jobs) == 4
    assert {job.computer.transport_type for job in jobs} == {"core.ssh"}
    assert all(job.outputs.remote_folder.is_cleaned for job in jobs)

    table = outputs["site_table"]
    spectrum = table.spectra[0]
    energy = table.energy
    assert np.isfinite(spectrum).all()
    assert 1857.0 < energy[spectrum.argmax()] < 1862.0
    assert table.properties["valence"][0, 0] == pytest.approx(3.17, abs=0.15)

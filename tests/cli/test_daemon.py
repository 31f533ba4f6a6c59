"""The daemon comes back after everything was killed, and unfinished processes go on."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import textwrap
import time

import pytest

pytestmark = pytest.mark.daemon

PREAMBLE = """
import json, sys, time
from aiida_siox.cli.profile import create_profile, get_computer
create_profile("siox")
from aiida import orm
from aiida.engine.daemon.client import get_daemon_client
from aiida_siox.cli.daemon import daemon_processes, ensure_daemon, is_healthy
"""


def python(folder: pathlib.Path, code: str) -> dict:
    """Run code in a process and an AiiDA configuration of its own; it prints JSON as its last line."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
        env={**os.environ, "AIIDA_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def folder(tmp_path):
    """Return a folder for AIIDA_PATH; its daemon is stopped at the end."""
    yield tmp_path
    python(
        tmp_path,
        """
        from aiida_siox.cli.daemon import clean_up
        client = get_daemon_client()
        from aiida.engine.processes.control import get_active_processes
        clean_up(client)
        print(json.dumps(sum(map(len, daemon_processes(client).values()))))
        """,
    )


@pytest.mark.xdist_group("daemon")
def test_goes_on_after_everything_was_killed(folder):
    """Daemon, broker and jobs are killed with -9: the next ensure_daemon brings the process to its end."""
    submitted = python(
        folder,
        """
        from aiida.engine import submit
        from aiida.plugins import WorkflowFactory
        computer = get_computer("localhost")
        code = orm.InstalledCode(
            label="add", computer=computer, filepath_executable="/bin/bash",
            default_calc_job_plugin="core.arithmetic.add", prepend_text="sleep 5",
        ).store()
        how = ensure_daemon()
        chain = WorkflowFactory("core.arithmetic.multiply_add")
        node = submit(chain, x=orm.Int(2), y=orm.Int(3), z=orm.Int(5), code=code)
        deadline = time.time() + 60
        while not any("RUNNING" in (c.process_status or "") for c in node.called) and time.time() < deadline:
            time.sleep(0.3)
        client = get_daemon_client()
        pids = [p.pid for role in daemon_processes(client).values() for p in role]
        print(json.dumps({"how": how, "again": ensure_daemon(), "pk": node.pk, "pids": pids}))
        """,
    )
    assert submitted["how"] == "started"
    assert submitted["again"] == "running"
    for pid in submitted["pids"]:
        os.kill(pid, 9)
    time.sleep(0.5)

    after = python(
        folder,
        f"""
        node = orm.load_node({submitted["pk"]})
        before = str(node.process_state.value)
        healthy = is_healthy(get_daemon_client())
        how = ensure_daemon()
        deadline = time.time() + 90
        while not node.is_terminated and time.time() < deadline:
            time.sleep(0.5)
        outputs = {{"before": before, "healthy": healthy, "how": how, "status": node.exit_status}}
        outputs["result"] = node.outputs.result.value if node.is_finished_ok else None
        print(json.dumps(outputs))
        """,
    )
    assert after == {"before": "waiting", "healthy": False, "how": "revived", "status": 0, "result": 11}


@pytest.mark.xdist_group("daemon")
def test_supervisor_alone_was_killed(folder):
    """No second worker starts beside the one that a killed supervisor left behind."""
    counts = python(
        folder,
        """
        ensure_daemon()
        client = get_daemon_client()
        daemon_processes(client)["start-circus"][0].kill()
        time.sleep(1)
        left = len(daemon_processes(client)["worker"])
        how = ensure_daemon()
        print(json.dumps({"left": left, "how": how, "now": len(daemon_processes(client)["worker"])}))
        """,
    )
    assert counts == {"left": 1, "how": "revived", "now": 1}

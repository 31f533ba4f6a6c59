"""Starting AiiDA's daemon, also after everything was killed.

aiida-core 2.9 with the ZeroMQ broker keeps the tasks on disk, so a killed study goes on once a daemon runs again. Two
things stand in the way. A worker that starts while the files of a killed broker are still there connects to the old
socket and waits for ever; and a killed supervisor leaves its worker and broker behind, beside which a second worker
would start. Hence: what is left of a broken daemon is ended and cleaned, and a start counts only when the broker
reports a worker.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import click
import psutil
from aiida.common.exceptions import AiidaException
from aiida.engine.daemon import client as client_module
from aiida.engine.daemon.client import DaemonClient, get_daemon_client
from aiida.engine.processes.control import get_active_processes
from aiida.manage import get_config, get_manager

from aiida_siox.cli.profile import prepare_path

ROLES = ("start-circus", "worker", "broker")
START_TIMEOUT = 60.0


def config_folder_of(process: psutil.Process) -> pathlib.Path | None:
    """Return the AiiDA configuration folder that a process was started with; None if it cannot be read."""
    try:
        value = process.environ().get("AIIDA_PATH")
    except psutil.Error:
        return None
    folder = pathlib.Path(value).expanduser() if value else pathlib.Path.home()
    if folder.name != ".aiida":
        folder = folder / ".aiida"
    return folder.resolve()


def daemon_processes(client: DaemonClient) -> dict[str, list[psutil.Process]]:
    """Return the living processes of the daemon of one profile, keyed by role: start-circus, worker, broker."""
    folder = pathlib.Path(get_config().dirpath).resolve()
    found: dict[str, list[psutil.Process]] = {role: [] for role in (*ROLES, "stats")}
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
        except psutil.Error:
            continue
        role = None
        if "daemon" in words and f"-p {client.profile.name} daemon" in " ".join(words):
            following = words[words.index("daemon") + 1 : words.index("daemon") + 2]
            role = following[0] if following and following[0] in ROLES else None
        elif any("from circus import stats" in word for word in words):
            role = "stats"
        if role and config_folder_of(process) == folder:
            found[role].append(process)
    return found


def broker_files(client: DaemonClient) -> dict[str, pathlib.Path]:
    """Return the state files of the broker: pid, sockets, status."""
    folder = pathlib.Path(client._zmq_broker_service_dir)
    return {name: folder / f"broker.{name}" for name in ("pid", "sockets", "status")}


def available_workers(client: DaemonClient) -> int:
    """Return how many workers the broker reports; 0 when it does not answer or the report is old."""
    path = broker_files(client)["status"]
    try:
        status: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return 0
    # The broker writes its state every 5 s; a machine that was suspended or is very busy may lag.
    if time.time() - float(status.get("timestamp", 0)) > 60:
        return 0
    return int(status.get("task_subscribers", 0))


def uses_zeromq(client: DaemonClient) -> bool:
    """Return whether the daemon brings its own broker."""
    return bool(client.profile.process_control_backend == "core.zeromq")


def is_healthy(client: DaemonClient) -> bool:
    """Return whether supervisor, broker and worker live, and know of each other."""
    if not client.is_daemon_running:
        return False
    if not uses_zeromq(client):
        return True
    processes = daemon_processes(client)
    return all(processes[role] for role in ROLES) and available_workers(client) > 0


def end_processes(processes: list[psutil.Process]) -> None:
    """End processes: first asked, after five seconds forced."""
    for process in processes:
        try:
            process.terminate()
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(processes, timeout=5)
    for process in alive:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(alive, timeout=5)


def clean_up(client: DaemonClient) -> None:
    """End what is left of a daemon, remove its stale files, and give every unfinished process its task back."""
    processes = daemon_processes(client)
    # The supervisor first, or it would start the others again.
    end_processes(processes["start-circus"])
    end_processes([process for role in ("worker", "broker", "stats") for process in processes[role]])
    for path in broker_files(client).values():
        path.unlink(missing_ok=True)
    pathlib.Path(client.circus_pid_file).unlink(missing_ok=True)

    if get_active_processes(project="id"):
        # A process that was stored but never reached the queue would wait for ever.
        verdi = pathlib.Path(sys.executable).parent / "verdi"
        subprocess.run(
            [str(verdi), "-p", client.profile.name, "process", "repair"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=client.get_env(),
        )


def start(client: DaemonClient, workers: int) -> None:
    """Start the daemon and wait until a worker has reported to the broker.

    :raises click.ClickException: if it does not.
    """
    try:
        client.start_daemon(workers)
    except AiidaException as exception:
        raise click.ClickException(f"The daemon could not be started: {exception}")
    get_manager().reset_broker()  # it may hold the address of the broker that was
    if not uses_zeromq(client):
        return
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if is_healthy(client):
            return
        time.sleep(0.2)
    raise click.ClickException(
        f"The daemon started, but none of its workers reported within {START_TIMEOUT:.0f} s. "
        f"Its logs: {client.daemon_log_file}, {client.circus_log_file}."
    )


def ensure_daemon(workers: int = 1) -> str:
    """Make sure that a daemon works on the processes of the loaded profile.

    :param workers: number of worker processes if it has to be started.
    :returns: what was found or done: ``running``, ``started`` or ``revived``.
    :raises click.ClickException: if it cannot be started.
    """
    prepare_path()
    if client_module.VERDI_BIN is None:
        client_module.VERDI_BIN = str(pathlib.Path(sys.executable).parent / "verdi")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    client = get_daemon_client()
    if is_healthy(client):
        return "running"
    if not uses_zeromq(client):
        start(client, workers)
        return "started"
    processes = daemon_processes(client)
    if all(processes[role] for role in ROLES):
        # Just started by somebody: give it the time to report.
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if is_healthy(client):
                return "running"
            time.sleep(0.5)
    left_over = any(processes.values()) or any(path.exists() for path in broker_files(client).values())
    clean_up(client)
    start(client, workers)
    return "revived" if left_over else "started"

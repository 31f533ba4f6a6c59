"""Run a command while an sshd of our own listens on loopback: with_sshd.py -- COMMAND ...

Keys, configuration and log live in a temporary folder; nothing of the user's ~/.ssh is read or written. The command
finds in its environment SIOX_SSH_PORT, SIOX_SSH_USER, SIOX_SSH_KEY and SIOX_SSH_KNOWN_HOSTS.
"""

from __future__ import annotations

import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


def find_sshd() -> str | None:
    """Return the path of sshd, which is not on the PATH of a normal user."""
    return shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin")


def install_sshd() -> None:
    """Install openssh-server from the system's packages, without letting it start its service."""
    if shutil.which("apt-get") is None:
        sys.exit("sshd is not installed, and there is no apt-get: install OpenSSH's server.")
    root = [] if os.geteuid() == 0 else ["sudo"]
    print("ssh: installing the system's package openssh-server (its service is not started)", flush=True)
    own_policy = not POLICY.exists()
    if own_policy:
        subprocess.run(
            [*root, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY}; chmod +x {POLICY}"], check=True
        )
    try:
        apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
        subprocess.run([*apt, "update"], check=False, stdout=subprocess.DEVNULL)
        command = [*apt, "install", "-y", "--no-install-recommends", "openssh-server", "openssh-client"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    finally:
        if own_policy:
            subprocess.run([*root, "rm", "-f", str(POLICY)], check=True)
    if done.returncode:
        sys.exit(f"ssh: apt-get install openssh-server failed:\n{done.stdout[-800:]}{done.stderr[-800:]}")


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: pathlib.Path) -> None:
    """Make an ed25519 key pair without passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def wait_until_listening(port: int, server: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    """Return when sshd accepts connections; stop with its log when it does not."""
    for _ in range(100):
        if server.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        else:
            break
    server.terminate()
    sys.exit(f"ssh: sshd did not start:\n{log.read_text() if log.exists() else ''}")


def main(command: list[str]) -> int:
    """Start sshd, run the command, stop sshd.

    :returns: exit status of the command.
    """
    if not command:
        sys.exit(__doc__)
    if find_sshd() is None:
        install_sshd()
    sshd = find_sshd()
    assert sshd is not None
    if os.geteuid() == 0:
        pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd demands it as root
    with tempfile.TemporaryDirectory(prefix="siox-ssh-") as name:
        folder = pathlib.Path(name)
        make_key(folder / "host_key")
        make_key(folder / "id_ed25519")
        shutil.copy(folder / "id_ed25519.pub", folder / "authorized_keys")
        port = free_port()
        public = " ".join((folder / "host_key.pub").read_text().split()[:2])
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
        (folder / "sshd_config").write_text(
            f"""
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
AllowUsers {getpass.getuser()}
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
"""
        )
        log = folder / "sshd.log"
        server = subprocess.Popen([sshd, "-D", "-f", str(folder / "sshd_config"), "-E", str(log)])
        try:
            wait_until_listening(port, server, log)
            print(f"ssh: sshd listens on 127.0.0.1:{port}", flush=True)
            environment = {
                **os.environ,
                "SIOX_SSH_PORT": str(port),
                "SIOX_SSH_USER": getpass.getuser(),
                "SIOX_SSH_KEY": str(folder / "id_ed25519"),
                "SIOX_SSH_KNOWN_HOSTS": str(folder / "known_hosts"),
            }
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            server.terminate()
            server.wait(timeout=10)
            print("ssh: sshd stopped", flush=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[1:] if arguments[:1] == ["--"] else arguments))

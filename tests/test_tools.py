"""The shell scripts that install: with stand-ins for apt-get and the engines, on a PATH of their own."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

TOOLS = pathlib.Path(__file__).parent.parent / "tools"
NEEDED = ("sh", "grep", "mktemp", "tail", "rm", "env", "uname", "cat", "chmod", "touch", "dirname")
ENGINES = ("lmp", "pw.x", "pp.x", "ld1.x", "xspectra.x", "dot", "ps")


@pytest.fixture
def path(tmp_path) -> pathlib.Path:
    """Return a folder with the system's tools and nothing else, for a user who is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    write(folder / "id", "echo 0")
    write(folder / "ldd", "echo 'libblas.so.3 => /lib/libblas.so.3'; echo 'libopenblas.so.0 => /lib/libopenblas.so.0'")
    return folder


def write(path: pathlib.Path, body: str) -> None:
    """Write an executable shell script."""
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def install(path: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run the script with this folder as its PATH."""
    return subprocess.run(
        [str(TOOLS / "install_engines.sh")], env={"PATH": str(path)}, capture_output=True, text=True, check=False
    )


def apt_get(path: pathlib.Path, installs: bool = True) -> pathlib.Path:
    """Put an apt-get there that notes its arguments, and installs the engines."""
    log = path.parent / "apt.log"
    engines = "; ".join(f"printf '#!/bin/sh\\n' >{path}/{name}; chmod +x {path}/{name}" for name in ENGINES)
    write(
        path / "apt-get",
        f'echo "$@ $DEBIAN_FRONTEND" >>{log}\n[ "$1" = install ] || exit 0\n{engines if installs else "exit 100"}',
    )
    return log


def test_nothing_to_do(path):
    """With all engines and OpenBLAS there, apt-get is not called."""
    log = apt_get(path)
    for name in ENGINES:
        write(path / name, "true")
    done = install(path)
    assert done.returncode == 0
    assert "all installed" in done.stdout
    assert not log.exists()


def test_missing_engines_are_installed(path):
    log = apt_get(path)
    done = install(path)
    assert done.returncode == 0, done.stderr
    assert "missing: lmp pw.x" in done.stdout
    lines = log.read_text().splitlines()
    assert lines[0].startswith("update")
    packages = ("lammps-data", "quantum-espresso-data", "libopenblas0-serial", "graphviz", "procps")
    for word in (*packages, "noninteractive"):
        assert word in lines[1]
    assert "--no-install-recommends" in lines[1]


def test_reference_blas_counts_as_missing(path):
    log = apt_get(path)
    for name in ENGINES:
        write(path / name, "true")
    write(path / "ldd", "echo 'libblas.so.3 => /lib/libblas.so.3'")
    done = install(path)
    assert "a fast BLAS" in done.stdout
    assert "libopenblas0-serial" in log.read_text()
    assert "update-alternatives" in done.stderr


def test_without_apt_the_conda_packages_are_named(path):
    done = install(path)
    assert done.returncode == 1
    assert "conda install -c conda-forge lammps qe" in done.stderr


def test_without_root_and_sudo_the_command_is_named(path):
    apt_get(path)
    write(path / "id", "echo 1000")
    done = install(path)
    assert done.returncode == 1
    assert "apt-get install --no-install-recommends lammps" in done.stderr


def test_sudo_is_used_when_not_root(path):
    log = apt_get(path)
    write(path / "id", "echo 1000")
    write(path / "sudo", f'echo "sudo $@" >>{log}\nexec "$@"')
    assert install(path).returncode == 0
    assert "sudo env DEBIAN_FRONTEND=noninteractive apt-get install" in log.read_text()


def test_a_failure_of_apt_is_reported(path):
    apt_get(path, installs=False)
    write(path / "apt-get", "echo 'E: Unable to locate package lammps'; exit 100")
    done = install(path)
    assert done.returncode == 1
    assert "Unable to locate package" in done.stderr


def test_python_too_old(path, tmp_path):
    """An old Python is refused with the remedy."""
    write(path / "python3", "[ \"$1\" = --version ] && echo 'Python 3.9.2' && exit\nexit 1")
    done = subprocess.run(
        [str(TOOLS / "bootstrap.sh"), str(tmp_path / "venv")],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; found: Python 3.9.2" in done.stderr
    assert "apt-get install python3" in done.stderr

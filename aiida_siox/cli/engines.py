"""The engines: what they are called, where their executables are, and whether they are what they should be."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable

from aiida.orm import Computer

OWN_SCRIPT = "it comes with aiida-siox: install the package again"


@dataclasses.dataclass(frozen=True)
class Engine:
    """An executable that the WorkChains need.

    :ivar name: the name of its role, and of the input in the namespaces ``codes``.
    :ivar executable: what is looked for on the PATH.
    :ivar plugin: entry point of the CalcJob.
    :ivar probe: arguments with which it says who it is; it gets an empty standard input.
    :ivar pattern: regular expression of that saying, with the version as its group.
    :ivar blas: whether its speed depends on the BLAS library.
    :ivar optional: whether the WorkChains do without it.
    """

    name: str
    executable: str
    plugin: str
    probe: str
    pattern: str
    blas: bool = False
    remedy: str = "apt-get install quantum-espresso, or conda install -c conda-forge qe"
    optional: bool = False

    @property
    def missing(self) -> str:
        """What to do where it is not found."""
        return f"{self.executable} is not on the PATH: {self.remedy}"


ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "lmp", "lmp", "siox.melt_quench", "-h",
            r"Large-scale Atomic/Molecular Massively Parallel Simulator - (\d+ \w+ \d+)",
            remedy="apt-get install lammps lammps-data, or conda install -c conda-forge lammps",
        ),
        Engine("ld1", "ld1.x", "siox.ld1", "", r"Program LD1 v\.([\d.]+)"),
        Engine("pw", "pw.x", "quantumespresso.pw", "", r"Program PWSCF v\.([\d.]+)", blas=True),
        Engine("pp", "pp.x", "quantumespresso.pp", "", r"Program POST-PROC v\.([\d.]+)"),
        Engine("xspectra", "xspectra.x", "siox.xspectra", "", r"Program XSpectra v\.([\d.]+)", blas=True),
        Engine(
            "bader", "siox-bader", "siox.bader", "--version", r"(?:siox-bader\D*|[Vv]ersion\s+)(\d+(?:\.\d+)+)",
            remedy=OWN_SCRIPT,
        ),
        Engine(
            "analysis", "siox-analyse", "siox.analysis", "--version", r"siox-analyse (\d+(?:\.\d+)+)",
            remedy=OWN_SCRIPT, optional=True,
        ),
    )
}  # fmt: skip
#: What a study needs; the training runs inside the daemon when there is no code for it.
STUDY_ENGINES = tuple(name for name, engine in ENGINES.items() if not engine.optional)


@dataclasses.dataclass
class EngineStatus:
    """What is known of one engine: one row of ``setup --check``."""

    engine: str
    code: str | None
    path: str | None
    version: str | None
    blas: str | None
    usable: bool
    reason: str
    warning: str


def run_locally(command: str) -> str:
    """Run a shell command in an empty folder (engines litter) and return what it prints, at most 30 s."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=30, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return ""
    return done.stdout + done.stderr


def runner_of(computer: Computer | None) -> Callable[[str], str]:
    """Return a function that runs a shell command where the codes of a computer run."""
    if computer is None or computer.transport_type == "core.local":
        return run_locally

    def run_remotely(command: str) -> str:
        with computer.get_transport() as transport:
            quoted = shlex.quote(f"folder=$(mktemp -d) && cd $folder && ({command}); rm -rf $folder")
            _, stdout, stderr = transport.exec_command_wait(f"timeout 60 /bin/sh -c {quoted} </dev/null")
        return str(stdout) + str(stderr)

    return run_remotely


def find_executable(engine: Engine) -> str | None:
    """Return the path of an engine: beside this Python, or on the PATH."""
    beside = pathlib.Path(sys.executable).parent / engine.executable
    if engine.executable.startswith("siox-") and os.access(beside, os.X_OK):
        return str(beside)
    return shutil.which(engine.executable)


def identify(engine: Engine, path: str, run: Callable[[str], str] = run_locally) -> tuple[str | None, str]:
    """Start an executable and read who it says it is.

    :returns: the version (None if it is not this engine), and otherwise the reason.
    """
    quoted = shlex.quote(path)
    output = run(f"test -x {quoted} || {{ echo siox-no-executable; exit; }}; {quoted} {engine.probe} </dev/null")
    if "siox-no-executable" in output:
        return None, f"{path} does not exist or is not executable"
    found = re.search(engine.pattern, output)
    if found is None:
        first = next((line.strip() for line in output.splitlines() if line.strip()), "nothing")
        return None, f"{path} is not {engine.executable}: it says `{first[:80]}`"
    return found.group(1).replace(" ", ""), ""


def blas_of(path: str, run: Callable[[str], str] = run_locally) -> tuple[str, str]:
    """Return the name of the BLAS library that an executable loads, and a warning when it is a slow one."""
    output = run(f"ldd {shlex.quote(path)}")
    for pattern, name in (
        ("openblas", "OpenBLAS"), ("mkl", "MKL"), ("blis", "BLIS"), ("armpl", "Arm PL"), ("libsci", "LibSci"),
        ("libatlas", "ATLAS"),
    ):  # fmt: skip
        if pattern in output.lower():
            return name, ""
    if "libblas.so" in output:
        # The alternative behind libblas.so may be any library: look at the file.
        target = re.search(r"libblas\.so\S* => (\S+)", output)
        resolved = run(f"readlink -f {shlex.quote(target.group(1))}").strip() if target else ""
        if "openblas" in resolved:
            return "OpenBLAS", ""
        return "reference", "reference BLAS, about twice as slow: apt-get install libopenblas0-serial"
    if "not a dynamic executable" in output or ".so" not in output:
        return "unknown", ""
    return "built in", ""


def inspect_engine(
    engine: Engine, path: str | None, code: str | None, run: Callable[[str], str] = run_locally
) -> EngineStatus:
    """Look at one engine and say whether it can be used."""
    if path is None:
        return EngineStatus(engine.name, code, None, None, None, False, engine.missing, "")
    version, reason = identify(engine, path, run)
    blas, warning = blas_of(path, run) if engine.blas and version else (None, "")
    if version and code is None:
        reason = "not registered: run `aiida-siox setup`"
    usable = version is not None and code is not None
    return EngineStatus(engine.name, code, path, version, blas, usable, reason, warning)

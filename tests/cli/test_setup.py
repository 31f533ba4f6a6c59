"""``aiida-siox setup`` and what stands behind it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sqlite3
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator

import click
import pytest
from aiida import orm

from aiida_siox.cli.codes import executable_problem, find_code, get_codes, register_code
from aiida_siox.cli.engines import ENGINES, STUDY_ENGINES, blas_of, identify
from aiida_siox.cli.profile import CACHED

COMMAND = str(pathlib.Path(sys.executable).parent / "aiida-siox")


def call(aiida_path: pathlib.Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process and an AiiDA configuration of its own."""
    return subprocess.run(
        [COMMAND, *arguments],
        env={**os.environ, "AIIDA_PATH": str(aiida_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def script(path: pathlib.Path, body: str) -> str:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def engines_folder(tmp_path) -> pathlib.Path:
    """Return a folder with scripts that introduce themselves as the engines of Debian 12."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for executable, saying in (
        ("lmp", "Large-scale Atomic/Molecular Massively Parallel Simulator - 29 Sep 2021 - Update 2"),
        ("ld1.x", "     Program LD1 v.6.7MaX starts on 22Nov2026"),
        ("pw.x", "     Program PWSCF v.6.7MaX starts on 22Nov2026"),
        ("pp.x", "     Program POST-PROC v.6.7MaX starts on 22Nov2026"),
        ("xspectra.x", "     Program XSpectra v.6.7MaX starts on 22Nov2026"),
        ("siox-bader", "siox-bader 0.1.0 (baderkit 0.10.2)"),
        ("siox-analyse", "siox-analyse 0.1.0 (torch 2.9.0)"),
    ):
        script(folder / executable, f"echo '{saying}'")
    return folder


def code_options(folder: pathlib.Path) -> list[str]:
    """Return ``--code`` options for all engines of a folder."""
    return [part for engine in ENGINES.values() for part in ("--code", f"{engine.name}={folder / engine.executable}")]


@pytest.mark.parametrize(("group", "command"), [((), "demo"), (("run",), "melt-quench"), (("plan",), "structure")])
def test_help_does_not_import_aiida(group, command):
    """The list of commands is quick."""
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom aiida_siox.cli import main\n"
        f"result = CliRunner().invoke(main, [*{group!r}, '--help'])\n"
        f"assert result.exit_code == 0 and '{command}' in result.output, result.output\n"
        "sys.exit('aiida' in sys.modules or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_list_exists(run_cli):
    """Each line of the help is a command that has a help of its own."""
    from aiida_siox.cli import COMMANDS

    for name in COMMANDS:
        assert "Usage:" in run_cli(name, "--help").stdout


def test_unknown_command_names_the_nearest(run_cli):
    outcome = run_cli("sttus", fails=True)
    assert "Did you mean `status`?" in outcome.stderr


def test_version(run_cli):
    from aiida_siox import __version__

    assert run_cli("--version").stdout.strip() == f"aiida-siox, version {__version__}"


def test_setup_twice(tmp_path, engines_folder):
    """The first call makes profile, computer and codes; the second one changes nothing."""
    first = call(tmp_path, "setup", *code_options(engines_folder))
    assert first.returncode == 0, first.stderr
    assert "profile siox: made" in first.stdout
    assert "code pw-6.7@localhost: registered" in first.stdout
    assert "code lmp-29Sep2021@localhost: registered" in first.stdout

    second = call(tmp_path, "setup", *code_options(engines_folder))
    assert second.returncode == 0, second.stderr
    assert "profile siox: there already" in second.stdout
    assert second.stdout.count("there already") == 1 + len(ENGINES)
    assert "registered" not in second.stdout

    config = json.loads((tmp_path / ".aiida" / "config.json").read_text())
    profile = config["profiles"]["siox"]
    assert config["default_profile"] == "siox"
    assert profile["storage"]["backend"] == "core.sqlite_dos"
    assert profile["process_control"]["backend"] == "core.zeromq"
    assert profile["options"]["caching.enabled_for"] == CACHED
    (database,) = (tmp_path / ".aiida").rglob("*.sqlite")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    check = call(tmp_path, "setup", "--check", "--json")
    assert check.returncode == 0, check.stderr
    report = json.loads(check.stdout)
    assert report["profile"] == "siox"
    assert report["usable"]
    assert [row["engine"] for row in report["engines"]] == list(ENGINES)
    assert {row["engine"]: row["code"] for row in report["engines"]}["xspectra"] == "xspectra-6.7@localhost"

    (engines_folder / "pw.x").unlink()
    check = call(tmp_path, "setup", "--check", "--json")
    assert check.returncode == 1
    reasons = {row["engine"]: row["reason"] for row in json.loads(check.stdout)["engines"]}
    assert "does not exist or is not executable" in reasons["pw"]


def test_setup_refuses_a_wrong_engine(tmp_path, engines_folder):
    """An executable that says it is something else is not registered; the others are."""
    options = [*code_options(engines_folder), "--code", f"pw={engines_folder / 'pp.x'}"]
    done = call(tmp_path, "setup", *options)
    assert done.returncode == 1
    assert "is not pw.x: it says `Program POST-PROC" in done.stderr
    assert "code pp-6.7@localhost: registered" in done.stdout
    assert "pw-6.7" not in done.stdout


def test_setup_refuses_unknown_engines(tmp_path):
    done = call(tmp_path, "setup", "--code", "pv=/usr/bin/pw.x")
    assert done.returncode == 2
    assert "did you mean `pw`?" in done.stderr
    done = call(tmp_path, "setup", "--code", "pw")
    assert done.returncode == 2
    assert "ENGINE=PATH" in done.stderr


def test_check_without_anything(tmp_path):
    """No profile and no engine: a table that says so, with the remedy, and exit status 1."""
    done = call(tmp_path, "setup", "--check", PATH="/nowhere")
    assert done.returncode == 1
    assert "Engines (no profile)" in done.stdout
    assert "apt-get install quantum-espresso" in done.stdout
    assert "Traceback" not in done.stderr


def test_commands_without_a_profile_name_the_remedy(tmp_path):
    done = call(tmp_path, "status")
    assert done.returncode == 1
    assert "aiida-siox setup" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_training_is_optional(tmp_path, engines_folder):
    """A profile without `siox-analyse` can be used: a study does without it."""
    names = [name for name in ENGINES if name != "analysis"]
    options = [part for name in names for part in ("--code", f"{name}={engines_folder / ENGINES[name].executable}")]
    assert set(STUDY_ENGINES) == set(names)
    (engines_folder / "siox-analyse").unlink()
    done = call(tmp_path, "setup", *options, "--code", f"analysis={engines_folder / 'siox-bader'}")
    assert done.returncode == 1
    assert "analysis: " in done.stderr
    assert "is not siox-analyse" in done.stderr
    check = call(tmp_path, "setup", "--check", "--json")
    assert check.returncode == 0, check.stderr
    report = json.loads(check.stdout)
    rows = {row["engine"]: row for row in report["engines"]}
    assert report["usable"]
    assert not rows["analysis"]["usable"]
    assert "not registered" in rows["analysis"]["reason"]


@pytest.mark.engine
def test_setup_with_the_real_engines(tmp_path):
    """On a machine after `make engines`, everything is found, identified and uses a fast BLAS."""
    assert call(tmp_path, "setup").returncode == 0
    check = call(tmp_path, "setup", "--check", "--json")
    assert check.returncode == 0, check.stdout
    rows = {row["engine"]: row for row in json.loads(check.stdout)["engines"]}
    assert rows["pw"]["blas"] not in (None, "reference")
    assert rows["xspectra"]["warning"] == ""
    assert all(row["version"] for row in rows.values())


LDD = "\tlibblas.so.3 => /lib/x86_64-linux-gnu/libblas.so.3 (0x0)\n\tlibc.so.6 => /lib/libc.so.6 (0x0)\n"


@pytest.mark.parametrize(
    ("ldd", "resolved", "name", "slow"),
    [
        (LDD + "\tlibopenblas.so.0 => /lib/libopenblas.so.0 (0x0)\n", "", "OpenBLAS", False),
        ("\tlibmkl_core.so.2 => /opt/libmkl_core.so.2 (0x0)\n", "", "MKL", False),
        (LDD, "/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0", "reference", True),
        (LDD, "/usr/lib/x86_64-linux-gnu/openblas-serial/libblas.so.3", "OpenBLAS", False),
        ("\tlibc.so.6 => /lib/libc.so.6 (0x0)\n", "", "built in", False),
        ("\tnot a dynamic executable\n", "", "unknown", False),
    ],
)
def test_blas(ldd, resolved, name, slow):
    """The BLAS library is read from ldd; behind the alternative libblas.so from the file it stands for."""
    found, warning = blas_of("/usr/bin/pw.x", lambda command: resolved if command.startswith("readlink") else ldd)
    assert found == name
    assert bool(warning) == slow
    if slow:
        assert "libopenblas0-serial" in warning


def test_identify(tmp_path):
    """Who an executable is, is read from what it prints; spaces in paths do no harm."""
    folder = tmp_path / "with space"
    folder.mkdir()
    good = script(folder / "pw.x", "echo 'Program PWSCF v.7.4.1 starts'")
    assert identify(ENGINES["pw"], good) == ("7.4.1", "")
    version, reason = identify(ENGINES["pw"], str(folder / "none"))
    assert version is None
    assert "does not exist" in reason
    version, reason = identify(ENGINES["bader"], good)
    assert version is None
    assert "is not siox-bader" in reason
    henkelman = script(folder / "bader", "echo 'GRID BASED BADER ANALYSIS  (Version 1.05 08/19/23)'")
    assert identify(ENGINES["bader"], henkelman) == ("1.05", "")


@pytest.fixture
def own_computer(aiida_profile, tmp_path) -> Iterator[orm.Computer]:
    """Return a local computer without codes; those that it gets are hidden from other tests."""
    computer = orm.Computer(
        label=f"computer-{uuid.uuid4().hex[:8]}",
        hostname="localhost",
        transport_type="core.local",
        scheduler_type="core.direct",
        workdir=str(tmp_path / "work"),
    ).store()
    computer.configure(safe_interval=0, use_login_shell=False)
    yield computer
    query = orm.QueryBuilder().append(orm.Computer, filters={"id": computer.pk}, tag="computer")
    for code in query.append(orm.InstalledCode, with_computer="computer").all(flat=True):
        code.is_hidden = True


def test_register_code(own_computer, engines_folder):
    """The same path gives the same code, another one a new code, and the last one registered is used."""
    path = str(engines_folder / "pw.x")
    first, created = register_code("pw", path, own_computer, "6.7")
    assert created
    assert first.label == "pw-6.7"
    assert first.default_calc_job_plugin == "quantumespresso.pw"
    assert "OMP_NUM_THREADS=1" in first.prepend_text
    again, created = register_code("pw", path, own_computer, "6.7")
    assert not created
    assert again.uuid == first.uuid

    other = script(engines_folder / "pw-other.x", "true")
    second, _ = register_code("pw", other, own_computer, "6.7")
    assert second.label == "pw-6.7-2"
    assert find_code("pw", own_computer.label).uuid == second.uuid
    register_code("pw", path, own_computer, "6.7")
    assert find_code("pw", own_computer.label).uuid == first.uuid
    assert find_code("pw", "elsewhere") is None


def test_find_code_takes_one_made_by_hand(own_computer, engines_folder):
    """A code that the user made is found by its label; `pwx` is not `pw`."""
    for label in ("pwx", "pw-7.2"):
        orm.InstalledCode(label=label, computer=own_computer, filepath_executable=str(engines_folder / "pw.x")).store()
    assert find_code("pw", own_computer.label).label == "pw-7.2"
    assert find_code("xspectra", own_computer.label) is None


def test_get_codes_says_all_that_is_missing(own_computer, engines_folder):
    register_code("pw", str(engines_folder / "pw.x"), own_computer, "6.7")
    register_code("pp", str(engines_folder / "pp.x"), own_computer, "6.7")
    assert get_codes(["pw"], computer=own_computer.label)["pw"].label == "pw-6.7"
    register_code("pw", str(engines_folder / "pw.x"), own_computer, "7.0")
    assert get_codes(["pw"], selection={"pw": f"pw-7.0@{own_computer.label}"})["pw"].label == "pw-7.0"
    with pytest.raises(click.ClickException, match=r"is of quantumespresso\.pp, not of quantumespresso\.pw"):
        get_codes(["pw"], selection={"pw": f"pp-6.7@{own_computer.label}"})

    (engines_folder / "pp.x").unlink()
    assert "does not exist" in executable_problem(orm.load_code(f"pp-6.7@{own_computer.label}"))
    with pytest.raises(click.ClickException) as error:
        get_codes(["pw", "pp", "xspectra"], computer=own_computer.label)
    message = error.value.message
    assert "pp.x" in message
    assert "no code for xspectra.x is registered" in message
    assert "aiida-siox setup" in message
    with pytest.raises(click.ClickException, match="nonsense"):
        get_codes(["pw"], selection={"pw": "nonsense@localhost"})


def test_computer_of_an_archive(tmp_path):
    """A `localhost` that came with an archive has another machine's folders and is not configured."""
    code = """
from aiida_siox.cli.profile import create_profile, get_computer
create_profile("siox")
from aiida import orm
orm.Computer(
    label="localhost", hostname="localhost", transport_type="core.local", scheduler_type="core.direct",
    workdir="/home/somebody/scratch",
).store()
computer = get_computer("localhost")
assert computer.is_configured
print(computer.get_workdir(), computer.get_minimum_job_poll_interval())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AIIDA_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    workdir, interval = done.stdout.split()
    assert pathlib.Path(workdir).is_relative_to(tmp_path)
    assert float(interval) == 1.0

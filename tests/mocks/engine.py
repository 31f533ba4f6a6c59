"""Mock of pw.x, pp.x, siox-bader and xspectra.x: ``engine.py NAME [arguments of the engine]``.

It only injects failures and lets tests measure the workflow engine. It never stands in for a result: whatever numbers
it writes are those of another structure (see README.md), and no test of a number may use it.

Files named by environment variables steer it:

``SIOX_MOCK_LOG``
    Lines ``start|end FOLDER ENGINE TIME`` of all jobs, written by the codes around each job.
``SIOX_MOCK_RULES``
    JSON list of rules. A rule applies to the jobs that have all of its keys ``engine``, ``stage`` (``ground`` or
    ``hole``), ``site`` (index of the absorber), ``composition`` (``Si3O6``); ``times`` limits how often (counted in
    files beside the rules). What it does is ``mode`` (see the functions below), ``seconds`` (sleep), or ``gather``:
    wait until so many jobs have been seen at one time, at most ``timeout`` seconds, then ``linger``, so that jobs that
    should not be there can appear.

Only the standard library is used: the mock must start fast.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).parent
SAVE = pathlib.Path("out/aiida.save")
INPUT_COPY = SAVE / "mock.json"
VALENCE = {"Si": 4, "O": 6}
NUMBERS = {"Si": 14, "O": 8}
BOND_ANGSTROM = 2.0
DEFAULT_SECONDS = 0.2
HARTREE_RY = 2.0
SHIFT_RY = 0.01


def replay(name: str) -> str:
    """Return what the real engine wrote."""
    return gzip.decompress((HERE / "data" / f"{name}.gz").read_bytes()).decode()


def failure(name: str) -> str:
    """Return the output of a real failure of xspectra.x."""
    return (HERE.parent / "fixtures" / "xspectra" / "failures" / f"{name}.out").read_text()


def read_pw_input(text: str) -> dict:
    """Return cell, atoms, absorber and composition of an input file of pw.x."""
    lines = [line.split() for line in text.splitlines()]
    first = next(i for i, line in enumerate(lines) if line[:1] == ["ATOMIC_POSITIONS"]) + 1
    atoms = []
    for line in lines[first:]:
        if len(line) < 4 or line[0] == "K_POINTS":
            break
        atoms.append([line[0], [float(x) for x in line[1:4]]])
    first = next(i for i, line in enumerate(lines) if line[:1] == ["CELL_PARAMETERS"]) + 1
    cell = [[float(x) for x in line[:3]] for line in lines[first : first + 3]]
    kinds = [kind for kind, _ in atoms]
    symbols = ["Si" if kind == "Sih" else kind for kind in kinds]
    n = {symbol: symbols.count(symbol) for symbol in VALENCE}
    return {
        "cell": cell,
        "symbols": symbols,
        "positions": [position for _, position in atoms],
        "site": kinds.index("Sih") if "Sih" in kinds else None,
        "stage": "hole" if "Sih" in kinds else "ground",
        "composition": "".join(f"{symbol}{count}" for symbol, count in n.items() if count),
        "n_electrons": sum(VALENCE[symbol] * count for symbol, count in n.items()),
    }


def rules_for(engine: str, job: dict) -> list[dict]:
    """Return the rules that apply to this job, using up those that are limited."""
    path = pathlib.Path(os.environ["SIOX_MOCK_RULES"])
    found = []
    for number, rule in enumerate(json.loads(path.read_text()) if path.is_file() else []):
        about = {"engine": engine, **{key: job.get(key) for key in ("stage", "site", "composition")}}
        if any(key in rule and rule[key] != about[key] for key in about):
            continue
        if "times" in rule:
            used = next((i for i in range(rule["times"]) if _claim(path.with_name(f"{path.name}.{number}.{i}"))), None)
            if used is None:
                continue
        found.append(rule)
    return found


def _claim(path: pathlib.Path) -> bool:
    """Make a file; return whether it was not there."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def n_running() -> int:
    """Return how many jobs are between start and end, by the log."""
    running: set[str] = set()
    for line in pathlib.Path(os.environ["SIOX_MOCK_LOG"]).read_text().splitlines():
        event, folder, *_ = line.split()
        (running.add if event == "start" else running.discard)(folder)
    return len(running)


def wait(rules: list[dict]) -> None:
    """Sleep, and gather with other jobs when a rule asks for it."""
    time.sleep(next((rule["seconds"] for rule in rules if "seconds" in rule), DEFAULT_SECONDS))
    for rule in rules:
        if "gather" not in rule:
            continue
        reached = pathlib.Path(f"{os.environ['SIOX_MOCK_LOG']}.reached{rule['gather']}")
        end = time.monotonic() + rule["timeout"]
        while time.monotonic() < end and not reached.exists():
            if n_running() >= rule["gather"]:
                time.sleep(rule["linger"])
                reached.touch()
            time.sleep(0.05)


def argument(name: str) -> str:
    """Return the value after a flag of the command line."""
    return sys.argv[sys.argv.index(name) + 1]


def pw() -> int:
    """Replay pw.x. Modes: ``cut`` (killed in the middle), ``wrong_charge`` (stops by itself)."""
    job = read_pw_input(pathlib.Path(argument("-in")).read_text())
    rules = rules_for("pw", job)
    wait(rules)
    modes = {rule.get("mode") for rule in rules}
    out, xml = replay(f"pw_{job['stage']}.out"), replay(f"pw_{job['stage']}.xml")
    if "cut" in modes:
        print(out[: len(out) // 2], end="")
        return 137
    if "wrong_charge" in modes:
        head = out[: out.index("iteration #  1")]
        bar = " " + "%" * 78
        print(f"{head}\n{bar}\n     Error in routine electrons (1):\n     charge is wrong\n{bar}\n\n     stopping ...")
        return 1
    out = re.sub(r"(number of electrons\s*=\s*)\S+", rf"\g<1>{job['n_electrons']}.00", out)
    xml = re.sub(r"<nelec>.*?</nelec>", f"<nelec>{job['n_electrons']:.15e}</nelec>", xml)
    shift = SHIFT_RY * (job["site"] or 0)

    def shifted_ry(match: re.Match) -> str:
        return f"{match.group(1)}{float(match.group(2)) + shift:.8f}"

    def shifted_hartree(match: re.Match) -> str:
        return f"<etot>{float(match.group(1)) + shift / HARTREE_RY:.15e}</etot>"

    out = re.sub(r"(!\s+total energy\s+=\s+)(\S+)", shifted_ry, out)
    xml = re.sub(r"<etot>(.*?)</etot>", shifted_hartree, xml)
    SAVE.mkdir(parents=True, exist_ok=True)
    (SAVE / "data-file-schema.xml").write_text(xml)
    (SAVE / "charge-density.dat").write_text("mock")
    INPUT_COPY.write_text(json.dumps(job))
    print(out, end="")
    return 0


def scratch() -> dict | None:
    """Return what pw left for the next engine, or None."""
    return json.loads(INPUT_COPY.read_text()) if INPUT_COPY.is_file() else None


def pp() -> int:
    """Replay pp.x."""
    job = scratch()
    if job is None:
        print(replay("pp_charge.out").split("Reading xml data")[0])
        print("     Error in routine read_xml_file (1):\n     fatal error reading xml file")
        return 1
    wait(rules_for("pp", job))
    name = re.search(r"fileout\s*=\s*'(\w+)\.cube'", pathlib.Path(argument("-in")).read_text()).group(1)
    pathlib.Path(f"{name}.cube").write_text(json.dumps(job))
    print(replay(f"pp_{name}.out"), end="")
    return 0


def n_oxygen(job: dict, index: int) -> int:
    """Return the number of oxygen atoms, images included, within the bond length of an atom."""
    images = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
    count = 0
    for symbol, position in zip(job["symbols"], job["positions"], strict=True):
        for image in images:
            shift = [sum(n * a[d] for n, a in zip(image, job["cell"], strict=True)) for d in range(3)]
            other = [p + s for p, s in zip(position, shift, strict=True)]
            count += symbol == "O" and math.dist(other, job["positions"][index]) < BOND_ANGSTROM
    return count


def bader() -> int:
    """Write the charges of siox-bader: Si gives 0.8 e to each oxygen neighbour. Mode ``wrong_atoms``: one too few."""
    job = json.loads(pathlib.Path(sys.argv[2]).read_text())
    rules = rules_for("bader", job)
    wait(rules)
    content = json.loads(replay("bader.json"))
    indices = range(len(job["symbols"]))
    given = [0.8 * n_oxygen(job, i) if job["symbols"][i] == "Si" else 0.0 for i in indices]
    n_o = job["symbols"].count("O")
    electrons = [
        VALENCE[symbol] - given[i] if symbol == "Si" else VALENCE[symbol] + sum(given) / n_o
        for i, symbol in enumerate(job["symbols"])
    ]
    n_atoms = len(electrons) - any(rule.get("mode") == "wrong_atoms" for rule in rules)
    content.update(
        numbers=[NUMBERS[symbol] for symbol in job["symbols"]][:n_atoms],
        cell_A=job["cell"],
        positions_A=job["positions"][:n_atoms],
        electrons=electrons[:n_atoms],
        volumes_A3=[10.0] * n_atoms,
        basin_distances_A=[0.01] * n_atoms,
        n_basins=[1] * n_atoms,
        n_electrons=float(job["n_electrons"]),
        n_electrons_unassigned=0.0,
    )
    pathlib.Path("bader.json").write_text(json.dumps(content))
    print(replay("bader.out"), end="")
    return 0


def xspectra() -> int:
    """Replay xspectra.x. Modes: ``exhausted`` (below ``needs_xniter`` iterations, or always), ``cut``."""
    job = scratch()
    if job is None:
        print(failure("no_scratch"), end="")
        return 1
    text = pathlib.Path(argument("-in")).read_text()
    index = int(re.search(r"polarisation_(\d+)\.in", argument("-in")).group(1))
    xniter = int(re.search(r"xniter\s*=\s*(\d+)", text).group(1))
    rules = rules_for("xspectra", job)
    wait(rules if index == 0 else [{"seconds": 0.0}])
    out = replay(f"polarisation_{index}.out")
    for rule in rules:
        if rule.get("mode") == "cut":
            print(out[: len(out) // 2], end="")
            return 137
        if rule.get("mode") == "exhausted" and xniter < rule.get("needs_xniter", math.inf):
            out = re.sub(
                r"=> CONVERGED at iter +\d+ with error=.*",
                f"  XANES not converged after {xniter} iterations\n"
                f"        !   Estimated final error after {xniter}iterations: F",
                out,
            )
    for name in (f"xanes_{index}.dat", f"lanczos_{index}.sav"):
        pathlib.Path(name).write_text(replay(name))
    print(out, end="")
    return 0


if __name__ == "__main__":
    sys.exit({"pw": pw, "pp": pp, "bader": bader, "xspectra": xspectra}[sys.argv[1]]())

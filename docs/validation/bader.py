"""Bader valences against ``ecutrho``, the place of the atoms on the grid, and the method; their time and memory.

``python docs/validation/bader.py`` writes ``data/bader.csv`` through the CalcJobs of the package, with the profile and
codes of ``aiida-siox setup`` (a quarter of an hour on one core; what is in the cache costs nothing), and
``data/bader_cost.csv``, which needs no engine. ``--draw`` only makes ``figures/bader.svg`` and the tables of the page
(``tables/bader_*.md``) from the two.
"""

from __future__ import annotations

import csv
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import Any

import click
import numpy as np

FOLDER = pathlib.Path(__file__).parent
DATA, COST, FIGURE = FOLDER / "data/bader.csv", FOLDER / "data/bader_cost.csv", FOLDER / "figures/bader.svg"
TABLES = FOLDER / "tables"

#: Å; less than half a step of the grid at 200 Ry (0.11 Å) in every direction.
SHIFTS = {"shift-1": [0.037, 0.021, 0.052], "shift-2": [0.061, -0.043, 0.018], "shift-3": [0.015, 0.072, -0.033]}
STRAIN = [[-0.05, 0.03, 0.02], [0.0, 0.06, -0.03], [0.0, 0.0, 0.02]]
RATTLE_A, RATTLE_SEED = 0.1, 1
#: structure, ecutrho in Ry
RUNS = [
    *(("quartz", cutoff) for cutoff in (200, 300, 400, 600, 800)),
    *((shift, 200) for shift in SHIFTS),
    *((shift, 400) for shift in list(SHIFTS)[:2]),
    *(("triclinic", cutoff) for cutoff in (200, 400, 800)),
]
METHODS = ("weight", "neargrid", "ongrid")
Z_VALENCE = {"Si": 4.0, "O": 6.0}
#: The grid of α-quartz at 400 Ry, and how often it is repeated along each axis: 9, 72 and 243 atoms.
COST_GRID, COST_REPEATS = (60, 60, 72), (1, 2, 3)


def structures() -> dict[str, Any]:
    """Return α-quartz, the same shifted against the grid, and a strained cell without any symmetry."""
    from aiida import orm

    from aiida_siox.calculations.structures import make_crystal, transform_structure
    from aiida_siox.materials import load_material
    from aiida_siox.science import SCIENCE_VERSION
    from aiida_siox.science.cells import reference_crystal
    from aiida_siox.workflows.calibration import crystal_parameters

    version = orm.Int(SCIENCE_VERSION)
    siox = load_material("siox")
    quartz = make_crystal(orm.Dict(crystal_parameters(siox, "quartz", [1, 1, 1])), version)
    atoms = reference_crystal(siox, "quartz")
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + np.array(STRAIN)), scale_atoms=True)
    atoms.positions += np.random.default_rng(RATTLE_SEED).normal(0, RATTLE_A, atoms.positions.shape)
    atoms.set_cell(atoms.cell.array.round(6))
    atoms.positions = atoms.positions.round(6)
    return {
        "quartz": quartz,
        "triclinic": orm.StructureData(ase=atoms),
        **{name: transform_structure(quartz, orm.Dict({"shift_angstrom": s}), version) for name, s in SHIFTS.items()},
    }


def run(builder: Any, **inputs: Any) -> Any:
    """Run a process and return its node.

    :raises click.ClickException: if it fails.
    """
    from aiida.engine import run_get_node

    _, node = run_get_node(builder, **inputs)
    if not node.is_finished_ok:
        raise click.ClickException(f"{node.process_label}<{node.pk}>: {node.exit_status} {node.exit_message}")
    return node


def measure() -> None:
    """Write a row for every structure, cutoff and method, as soon as it is there."""
    from aiida import orm
    from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

    from aiida_siox.calculations.bader import BaderCalculation
    from aiida_siox.cli.codes import get_codes
    from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, atomic_data_of
    from aiida_siox.workflows.settings import pw_parameters
    from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain
    from aiida_siox.workflows.utils import job_metadata

    codes = get_codes(["ld1", "pw", "pp", "bader"])
    atomic = atomic_data_of(run(AtomicDataWorkChain.get_builder_from_protocol(codes["ld1"])))
    mesh = orm.KpointsData()
    mesh.set_kpoints_mesh([1, 1, 1])
    nodes = structures()
    rows: list[dict[str, Any]] = []
    for name, cutoff in RUNS:
        structure = nodes[name]
        scf = {"ecutwfc_Ry": 50.0, "ecutrho_Ry": float(cutoff), "conv_thr_per_atom_Ry": 1.0e-8}
        settings = StructureTargetsWorkChain.get_protocol_inputs(None, {"settings": {"scf": scf}})["settings"]
        kinds = structure.get_kind_names()
        parameters = pw_parameters(settings, len(structure.sites), hole=False, kinds=kinds)
        ground = run(
            PwBaseWorkChain,
            pw={
                "code": codes["pw"],
                "structure": structure,
                "pseudos": {kind: atomic["pseudos"][kind] for kind in kinds},
                "parameters": orm.Dict(parameters),
                "metadata": job_metadata(None, "ground state"),
            },
            kpoints=mesh,
        )
        for method in METHODS[:2] if name in SHIFTS else METHODS:
            job = run(
                BaderCalculation,
                pp_code=codes["pp"],
                bader_code=codes["bader"],
                parent_folder=ground.outputs.remote_folder,
                structure=structure,
                method=method,
            )
            rows.append(row(name, cutoff, structure, ground, job))
            click.echo(" ".join(str(value) for value in rows[-1].values()))
            write(DATA, rows)


def row(name: str, cutoff: int, structure: Any, ground: Any, job: Any) -> dict[str, Any]:
    """Return what one Bader job gave."""
    parameters = job.outputs.output_parameters.get_dict()
    symbols = np.array([structure.get_kind(site.kind_name).symbol for site in structure.sites])
    valence = np.array([Z_VALENCE[symbol] for symbol in symbols]) - job.outputs.charges.get_array("electrons")
    lengths = np.linalg.norm(structure.cell, axis=1) / np.array(parameters["grid"])
    result = {
        "structure": name,
        "ecutrho_Ry": cutoff,
        "grid": "x".join(str(n) for n in parameters["grid"]),
        "step_A": f"{lengths.mean():.4f}",
        "method": parameters["method"],
    }
    for symbol in ("Si", "O"):
        values = valence[symbols == symbol]
        result[f"{symbol}_mean_e"] = f"{values.mean():.4f}"
        result[f"{symbol}_range_e"] = f"{np.ptp(values):.4f}"
    return {
        **result,
        "valences_e": " ".join(f"{value:.4f}" for value in valence),
        "electrons_error_e": f"{parameters['n_electrons'] - parameters['n_electrons_expected']:.5f}",
        "unassigned_e": f"{parameters['n_electrons_unassigned']:.1e}",
        "n_basins": parameters["n_basins"],
        "largest_basin_distance_A": f"{parameters['largest_basin_distance_A']:.3f}",
        "pw_s": f"{ground.outputs.output_parameters['wall_time_seconds']:.1f}",
        "pp_cpu_s": f"{parameters['pp_cpu_s']:.1f}",
        "bader_cpu_s": f"{parameters['bader_cpu_s']:.2f}",
        "bader_MB": f"{parameters['bader_max_rss_MB']:.0f}",
    }


def cost() -> list[dict[str, Any]]:
    """Return time and memory of ``siox-bader`` against the size of the grid, on model densities of quartz."""
    from aiida_siox.materials import load_material
    from aiida_siox.science.bader import gaussian_density
    from aiida_siox.science.cells import reference_crystal
    from aiida_siox.science.cube import Cube, write_cube

    atoms = reference_crystal(load_material("siox"), "quartz")
    electrons = np.where(atoms.numbers == 14, 1.0, 7.5)
    widths = np.where(atoms.numbers == 14, 0.3, 0.5)
    values = gaussian_density(atoms.cell.array, atoms.get_scaled_positions(), electrons, widths, COST_GRID)
    script = shutil.which("siox-bader") or str(pathlib.Path(sys.executable).with_name("siox-bader"))
    rows = []
    for repeat in COST_REPEATS:
        large = atoms.repeat(repeat)
        cube = Cube(large.cell.array, large.numbers, large.positions, np.tile(values, (repeat,) * 3))
        with tempfile.TemporaryDirectory() as folder:
            for name in ("charge.cube", "reference.cube"):
                write_cube(pathlib.Path(folder) / name, cube)
            for method in METHODS:
                command = [script, "charge.cube", "-ref", "reference.cube", "-b", method]
                for _ in range(2):  # the first may compile
                    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
                content = json.loads((pathlib.Path(folder) / "bader.json").read_text())
                rows.append(
                    {
                        "n_atoms": len(large),
                        "n_points": cube.values.size,
                        "method": method,
                        "cpu_s": f"{content['cpu_s']:.2f}",
                        "max_rss_MB": f"{content['max_rss_MB']:.0f}",
                    }
                )
                click.echo(" ".join(str(value) for value in rows[-1].values()))
    return rows


def write(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as CSV."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: pathlib.Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def valences(entry: dict[str, str], symbol: str = "Si") -> np.ndarray:
    """Return the valences (e) of the atoms of an element; silicon comes first in all of the cells."""
    values = np.array([float(value) for value in entry["valences_e"].split()])
    return values[:3] if symbol == "Si" else values[3:]


def markdown(name: str, header: list[str], lines: list[list[str]]) -> None:
    """Write a table of the page."""
    text = ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *lines)]
    (TABLES / f"bader_{name}.md").write_text("\n".join(text) + "\n")


def tables() -> None:
    """Write the tables of the page: valences, rise with the cutoff, methods against each other, cost."""
    rows, costs = read(DATA), read(COST)
    found = {(entry["structure"], int(entry["ecutrho_Ry"]), entry["method"]): entry for entry in rows}

    lines = []
    for cutoff in sorted({cutoff for name, cutoff, _ in found if name == "quartz"}):
        line = [str(cutoff), found["quartz", cutoff, "weight"]["grid"].replace("x", "×")]
        for method in METHODS:
            values = valences(found["quartz", cutoff, method])
            line.append(f"{values.mean():.3f} ({np.ptp(values):.3f})")
        lines.append(line)
    for cutoff in sorted({cutoff for name, cutoff, _ in found if name in SHIFTS}):
        line = [f"all atoms and shifts, {cutoff}", ""]
        for method in METHODS[:2]:
            chosen = [found[name, cutoff, method] for name in ("quartz", *SHIFTS) if (name, cutoff, method) in found]
            values = np.concatenate([valences(entry) for entry in chosen])
            line.append(f"{values.min():.4f} to {values.max():.4f}")
        lines.append([*line, ""])
    markdown("valences", ["`ecutrho` (Ry)", "grid", *(f"`{method}`" for method in METHODS)], lines)

    cutoffs = sorted({cutoff for name, cutoff, _ in found if name == "triclinic"})
    lines = []
    for cutoff in cutoffs:
        line = [str(cutoff), found["triclinic", cutoff, "weight"]["grid"].replace("x", "×")]
        for method in METHODS[:2]:
            rise = valences(found["triclinic", cutoff, method]) - valences(found["triclinic", cutoffs[0], method])
            line.append(f"{rise.min():.3f} to {rise.max():.3f}")
        weight = [valences(found["triclinic", cutoff, "weight"], symbol) for symbol in Z_VALENCE]
        for method in METHODS[1:]:
            other = [valences(found["triclinic", cutoff, method], symbol) for symbol in Z_VALENCE]
            line.append(f"{max(abs(a - b).max() for a, b in zip(other, weight, strict=True)):.3f}")
        lines.append(line)
    header = ["`ecutrho` (Ry)", "grid", *(f"Si above {cutoffs[0]} Ry, `{method}`" for method in METHODS[:2])]
    markdown("triclinic", [*header, *(f"largest `{method}` − `weight`" for method in METHODS[1:])], lines)

    lines = []
    for n_atoms, n_points in dict.fromkeys((entry["n_atoms"], entry["n_points"]) for entry in costs):
        by_method = {entry["method"]: entry for entry in costs if entry["n_atoms"] == n_atoms}
        cells = [f"{float(by_method[m]['cpu_s']):.1f} s, {by_method[m]['max_rss_MB']} MB" for m in METHODS]
        lines.append([n_atoms, f"{int(n_points):,}", *cells])
    markdown("cost", ["atoms", "points", *(f"`{method}`" for method in METHODS)], lines)

    checks = [
        [label, f"{max(abs(float(entry[key])) for entry in rows):.1e} e"]
        for label, key in (
            ("largest difference of the density's electrons to those of pw.x", "electrons_error_e"),
            ("most electrons without an atom", "unassigned_e"),
        )
    ]
    maxima = " and ".join(sorted({entry["n_basins"] for entry in rows}))
    distance = max(float(entry["largest_basin_distance_A"]) for entry in rows)
    checks.append(["maxima of the density, in cells of 9 atoms", f"{maxima}, at most {distance:.2f} Å from a nucleus"])
    quartz = [found[key] for key in sorted(found) if key[0] == "quartz" and key[2] == "weight"]
    step, mean = np.array([[float(entry["step_A"]), valences(entry).mean()] for entry in quartz]).T
    line, curve = np.polyfit(step, mean, 1), np.polyfit(step, mean, 2)
    checks.append(["valence of quartz with the step, `weight`, straight line", f"{line[0]:.2f} e/Å"])
    checks.append(["the same at a step of zero, parabola to line", f"{curve[-1]:.2f} to {line[-1]:.2f} e"])
    markdown("checks", ["all runs", ""], checks)


def draw() -> None:
    """Draw valence against the step of the grid, and the cost against its points."""
    import matplotlib.pyplot as plt

    from aiida_siox.report.figures.style import FORMAL_COLOURS, style

    rows, costs = read(DATA), read(COST)
    FIGURE.parent.mkdir(exist_ok=True)
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0), layout="constrained")
        memory = right.twinx()
        for colour, method in zip(FORMAL_COLOURS, METHODS, strict=False):
            chosen = [entry for entry in rows if entry["method"] == method]
            quartz = [entry for entry in chosen if entry["structure"] == "quartz"]
            left.plot(*_columns(quartz, "step_A", "Si_mean_e"), "-", color=colour, label=method)
            for entry in chosen:
                if entry["structure"] != "triclinic":  # every silicon atom: equivalent ones must lie on each other
                    left.plot([float(entry["step_A"])] * 3, valences(entry), "_", color=colour, markersize=9)
            measured = [entry for entry in costs if entry["method"] == method]
            millions = [float(entry["n_points"]) / 1e6 for entry in measured]
            right.plot(millions, _columns(measured, "cpu_s")[0], "o-", color=colour)
            memory.plot(millions, _columns(measured, "max_rss_MB")[0], "s:", color=colour, markerfacecolor="none")
        left.set(xlabel="step of the grid (Å)", ylabel="valence of Si in α-quartz (e)", xlim=(0, None))
        left.legend(frameon=False)
        right.set(xlabel="points of the grid (million)", ylabel="CPU time (s), circles", ylim=(0, None))
        memory.set(ylabel="memory (MB), squares", ylim=(0, None))
        memory.grid(visible=False)
        figure.savefig(FIGURE, metadata={"Date": None})


def _columns(rows: list[dict[str, str]], *names: str) -> list[list[float]]:
    return [[float(entry[name]) for entry in rows] for name in names]


@click.command(help=__doc__)
@click.option("--draw", "only_draw", is_flag=True, help="Only draw the figure from the data.")
@click.option("--part", type=click.Choice(["all", "cost", "valences"]), default="all", show_default=True)
def main(only_draw: bool, part: str) -> None:
    if not only_draw and part != "valences":
        write(COST, cost())
    if not only_draw and part != "cost":
        from aiida import load_profile

        load_profile()
        measure()
    tables()
    draw()


if __name__ == "__main__":
    main()

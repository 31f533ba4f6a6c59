"""Logarithmic derivatives and ghosts of the package's pseudopotentials, with ld1.x.

``python docs/validation/pseudopotentials.py [--redraw]`` with the profile and the codes of ``aiida-siox setup``: half a
minute. It writes ``data/logarithmic_derivatives.csv`` (errors and ghosts), ``data/phases.csv`` (the curves) and the
figure, which ``--redraw`` draws from these files alone.
"""

from __future__ import annotations

import csv
import pathlib
from typing import Any

import click
import numpy as np
import yaml

HERE = pathlib.Path(__file__).parent
SUMMARY = HERE / "data" / "logarithmic_derivatives.csv"
CURVES = HERE / "data" / "phases.csv"
FIGURE = HERE / "figures" / "phases.svg"
COLUMNS = [
    "set",
    "atom",
    "channel",
    "max_error",
    "energy_of_max_Ry",
    "rms_error",
    "extra_states",
    "lowest_level_Ry",
    "ghost_levels_Ry",
]
#: Sets that are tested: keys of ``atomic_data`` in cases.yaml, protocols, and three with a ghost as a test of the test.
SETS = ["default", "p-6", "p-3-7", "p-2-6", "ultrasoft", "ghost-d-0.9", "ghost-s-degenerate", "ghost-local"]
S, S2 = ["3S", 1, 0, 2.0, 0.0, 1.6, 1.8, 0.0], ["3S", 1, 0, 0.0, 6.0, 1.6, 1.8, 0.0]
P, P2 = ["3P", 2, 1, 2.0, 0.0, 1.6, 1.8, 0.0], ["3P", 2, 1, 0.0, 6.0, 1.6, 1.8, 0.0]
D = ["3D", 3, 2, 0.0, 0.1, 1.7, 1.7, 0.0]
GHOSTS: dict[str, Any] = {
    "ghost-d-0.9": {"states": [S, S2, P, P2, ["3D", 3, 2, 0.0, 0.1, 0.9, 0.9, 0.0]]},
    "ghost-s-degenerate": {"states": [S, ["3S", 1, 0, 0.0, -0.79, 1.6, 1.8, 0.0], P, P2, D]},
    "ghost-local": {"inputp": {"lloc": -1, "rcloc": 0.8}, "states": [S, S2, P, P2]},
}
#: Sets whose curves are drawn.
DRAWN = "default"


def run(name: str, atom: str, recipes: dict[str, Any], code: Any) -> Any:
    """Test one pseudopotential; return the finished job."""
    from aiida import orm
    from aiida.engine import run_get_node

    from aiida_siox.workflows.atomic_data import AtomicDataWorkChain

    if name in GHOSTS:
        builder = AtomicDataWorkChain.get_test_builder(code, atom)
        parameters = builder.parameters.get_dict()
        parameters["inputp"] |= GHOSTS[name].get("inputp", {})
        parameters["states"] = GHOSTS[name]["states"]
        builder.parameters = orm.Dict(parameters)
    else:
        arguments = {"overrides": recipes[name]} if name in recipes else {"protocol": name}
        builder = AtomicDataWorkChain.get_test_builder(code, atom, **arguments)
    _, node = run_get_node(builder)
    if not node.is_finished_ok:
        raise click.ClickException(f"{name}, {atom}: {node.exit_message}")
    return node


def write(path: pathlib.Path, columns: list[str], table: list[dict[str, Any]]) -> None:
    """Write a table as csv."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def compute() -> None:
    """Run all tests and write the two tables."""
    from aiida import load_profile, orm

    from aiida_siox.calculations.ld1 import assess_pseudopotential
    from aiida_siox.cli.codes import get_codes
    from aiida_siox.science import SCIENCE_VERSION
    from aiida_siox.science.logarithmic_derivatives import CHANNELS, phases

    load_profile()
    code = get_codes(["ld1"])["ld1"]
    recipes = yaml.safe_load((HERE / "cases.yaml").read_text())["atomic_data"]
    summary, curves = [], []
    for name in SETS:
        for atom in ["ground"] if name in GHOSTS else ["ground", "hole", "O"]:
            node = run(name, atom, recipes, code)
            derivatives, parsed = node.outputs.logarithmic_derivatives, node.outputs.output_parameters
            result = assess_pseudopotential(derivatives, parsed, orm.Int(SCIENCE_VERSION)).get_dict()
            for channel in result["channels"]:
                l = channel["l"]  # noqa: E741 (the name of the quantum number)
                levels = parsed["levels_Ry"].get(str(l), [])
                row = {"set": name, "atom": atom, "channel": CHANNELS[l], "extra_states": channel["extra_states"]}
                row |= {key: f"{channel[key]:.4f}" for key in ("max_error", "energy_of_max_Ry", "rms_error")}
                row["lowest_level_Ry"] = f"{levels[0]:.4f}" if levels else ""
                row["ghost_levels_Ry"] = " ".join(f"{g['energy_Ry']:.3f}" for g in result["ghosts"] if g["l"] == l)
                summary.append(row)
            if name == DRAWN:
                energies = derivatives.get_array("energies")
                pair = [phases(derivatives.get_array(key)) for key in ("all_electron", "pseudo")]
                for i in range(0, energies.size, 5):
                    row = {"atom": atom, "energy_Ry": f"{energies[i]:.2f}"}
                    for label, values in zip(("ae", "ps"), pair, strict=True):
                        row |= {f"{label}_{CHANNELS[l]}": f"{values[i, l]:.4f}" for l in range(4)}  # noqa: E741
                    curves.append(row)
            click.echo(f"{name} {atom}: ghosts {result['ghosts']}")
    write(SUMMARY, COLUMNS, summary)
    write(CURVES, list(curves[0]), curves)


def draw() -> None:
    """Draw the phases of the default set."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "aiida-siox"
    import matplotlib.pyplot as plt

    with CURVES.open() as handle:
        rows = list(csv.DictReader(handle))
    atoms = list(dict.fromkeys(row["atom"] for row in rows))
    titles = {"ground": "Si", "hole": "Si with a 1s hole", "O": "O"}
    figure, axes = plt.subplots(1, len(atoms), figsize=(9, 3.2), sharey=True, layout="constrained")
    for axis, atom in zip(axes, atoms, strict=True):
        part = [row for row in rows if row["atom"] == atom]
        energies = np.array([float(row["energy_Ry"]) for row in part]) * 13.605693
        for number, channel in enumerate("spdf"):
            for kind, style in (("ae", {"lw": 1.0}), ("ps", {"lw": 2.4, "ls": ":"})):
                values = [float(row[f"{kind}_{channel}"]) for row in part]
                axis.plot(energies, values, color=f"C{number}", label=channel if kind == "ae" else None, **style)
        axis.set(title=titles[atom], xlabel="energy (eV)")
    axes[0].set_ylabel("phase / π")
    axes[-1].legend(frameon=False, title="lines: all electrons\ndots: pseudo-atom")
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE, metadata={"Date": None})


@click.command(help=__doc__)
@click.option("--redraw", is_flag=True, help="Only draw, from the tables.")
def main(redraw: bool) -> None:
    if not redraw:
        compute()
    draw()


if __name__ == "__main__":
    main()

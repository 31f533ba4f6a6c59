"""g(R) where it is known: shells of silicon, cells smaller than 5 Å, a random gas. No engine, half a minute.

``python docs/validation/rdf.py`` writes ``data/rdf.csv`` and draws ``figures/rdf.svg``.
"""

from __future__ import annotations

import csv
import pathlib

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms

from aiida_siox.materials import load_material
from aiida_siox.report.figures.style import FORMAL_COLOURS, style
from aiida_siox.science.cells import reference_crystal
from aiida_siox.science.rdf import site_rdf

FOLDER = pathlib.Path(__file__).parent
DATA, FIGURE = FOLDER / "data/rdf.csv", FOLDER / "figures/rdf.svg"
SIGMAS = (0.0, 0.05, 0.15)
#: neighbours of silicon below a radius between two shells (Å): 4 at 2.352, 12 at 3.840, 12 at 4.503, 6 at 5.431
SHELLS = {3.1: 4, 4.17: 16, 4.97: 28}
N_GASES, N_ATOMS, EDGE_A = 20, 400, 12.0


def gases() -> np.ndarray:
    """Return the mean histogram of each of the random gases, (N_GASES, n_bins)."""
    means = []
    for seed in range(N_GASES):
        positions = np.random.default_rng(seed).uniform(0, EDGE_A, (N_ATOMS, 3))
        atoms = Atoms(f"Si{N_ATOMS // 2}O{N_ATOMS // 2}", positions=positions, cell=[EDGE_A] * 3, pbc=True)
        means.append(site_rdf(atoms, range(N_ATOMS), 5.0, 50, 0.0)[1].mean(axis=0))
    return np.array(means)


def main() -> None:
    """Measure, write and draw."""
    silicon, quartz = (reference_crystal(load_material("siox"), name) for name in ("silicon", "quartz"))
    primitive = Atoms("Si2", positions=[[0, 0, 0], [1.35775] * 3], cell=2.7155 * (1 - np.eye(3)), pbc=True)
    rows: list[dict[str, str]] = []

    def add(quantity: str, sigma: float, value: float, expected: float) -> None:
        rows.append(
            {"quantity": quantity, "sigma_A": f"{sigma}", "value": f"{value:.5f}", "expected": f"{expected:.5f}"}
        )

    for sigma in SIGMAS:
        for radius, count in SHELLS.items():
            r, g = site_rdf(silicon, [0], radius, 256, sigma)
            density = len(silicon) / silicon.get_volume()
            add(
                f"neighbours of Si below {radius} Å",
                sigma,
                float((4 * np.pi * r**2 * density * g[0]).sum() * (r[1] - r[0])),
                count,
            )
        small, large = (site_rdf(cell, [0], 5.0, 256, sigma)[1] for cell in (primitive, silicon.repeat(3)))
        add(
            "largest difference of g, 2-atom cell (3.84 Å) and 216-atom cell", sigma, float(abs(small - large).max()), 0
        )
    means = gases()
    r = (np.arange(50) + 0.5) / 10
    add("random gas, mean of g above 2 Å", 0.0, float(means[:, 20:].mean()), 1 - 1 / N_ATOMS)
    error = means.std(axis=0, ddof=1) / np.sqrt(N_GASES)
    worst = abs(means.mean(axis=0) - (1 - 1 / N_ATOMS) * (1 + 1 / (12 * (np.arange(50) + 0.5) ** 2))) / error
    add("random gas, largest deviation of a bin in its standard errors, 50 bins", 0.0, float(worst.max()), 0)

    DATA.parent.mkdir(exist_ok=True)
    with DATA.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

    FIGURE.parent.mkdir(exist_ok=True)
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.6), layout="constrained")
        for colour, sigma in zip(FORMAL_COLOURS, (0.05, 0.15), strict=False):
            axes[0].plot(
                *[values.ravel() for values in site_rdf(silicon, [0], 5.0, 256, sigma)], color=colour, label=sigma
            )
        axes[0].legend(title="σ (Å)")
        for colour, pair in zip(FORMAL_COLOURS, ("total", "Si-O", "Si-Si"), strict=False):
            axes[1].plot(
                *[values.ravel() for values in site_rdf(quartz, [0], 5.0, 256, 0.15, pair)], color=colour, label=pair
            )
        axes[1].legend()
        axes[2].errorbar(r, means.mean(axis=0), error, color=FORMAL_COLOURS[0], fmt=".", markersize=3)
        axes[2].set(ylim=(0.6, 1.4))
        for axis, title in zip(axes, ("c-Si", "Si of α-quartz, σ 0.15 Å", f"{N_GASES} random gases"), strict=True):
            axis.set(title=title, xlabel="R (Å)", xlim=(0, 5))
        axes[0].set_ylabel("g(R)")
        figure.savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    main()

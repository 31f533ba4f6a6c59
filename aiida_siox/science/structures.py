"""Is a structure one that the workflows can take, and how good is an amorphous cell?"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii

from .cells import density_g_cm3
from .composition import composition_x, format_formula
from .neighbours import coordination_histogram, count_oxygen_bonds, neighbour_pairs, shortest_distances
from .rdf import site_rdf

OVERLAP_FRACTION = 0.6
"""Atoms closer than this part of the sum of their covalent radii overlap (Si–O 1.06 Å, Si–Si 1.33 Å, O–O 0.79 Å)."""


def counts_of(atoms: Atoms) -> dict[str, int]:
    """Return ``{'Si': .., 'O': ..}`` of a cell."""
    symbols = atoms.get_chemical_symbols()
    return {"Si": symbols.count("Si"), "O": symbols.count("O")}


def validate_structure(atoms: Atoms) -> None:
    """Refuse a structure that has no meaning for Si K-edge spectra of SiOₓ.

    :raises ValueError: naming what is wrong and the remedy: no atoms, no Si, another species, a cell that is not
        periodic in three directions or has no volume, positions that are not numbers, overlapping atoms.
    """
    if len(atoms) == 0:
        raise ValueError("the structure has no atoms.")
    others = sorted(set(atoms.get_chemical_symbols()) - {"Si", "O"})
    if others:
        raise ValueError(f"the structure has {', '.join(others)}: only Si and O are possible. Remove or replace them.")
    if "Si" not in atoms.get_chemical_symbols():
        raise ValueError("the structure has no Si: there would be no absorber for a Si K-edge spectrum.")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ValueError("the structure has positions or cell vectors that are not finite numbers.")
    if abs(np.linalg.det(atoms.cell.array)) < 1e-3:
        raise ValueError("the structure has no three-dimensional cell: give a periodic cell with three vectors.")
    if not atoms.pbc.all():
        raise ValueError(
            f"the structure is periodic along {int(atoms.pbc.sum())} of 3 directions: give a crystal or a cell "
            "with periodic boundaries in all three (in ASE `atoms.pbc = True`)."
        )
    radii = covalent_radii[atoms.numbers]
    first, second, distance = neighbour_pairs(atoms, OVERLAP_FRACTION * 2 * radii.max())
    ratio = distance / (radii[first] + radii[second])
    if len(ratio) and ratio.min() < OVERLAP_FRACTION:
        worst = int(np.argmin(ratio))
        i, j = int(first[worst]), int(second[worst])
        names = [f"{chemical_symbols[atoms.numbers[k]]} (index {k})" for k in (i, j)]
        where = f"{names[0]} and its own periodic image" if i == j else f"{names[0]} and {names[1]}"
        raise ValueError(
            f"atoms overlap: {where} are {distance[worst]:.2f} Å apart. "
            "Check the cell and the units of the positions (Å), or remove the double atom."
        )


def count_distinct_sites(atoms: Atoms, tolerance: float) -> int:
    """Count the Si sites whose surroundings differ.

    Two sites are one when the RMS difference of their g(R) to 5 Å (σ = 0.15 Å) is below a tolerance:
    symmetry-equivalent sites of a crystal, or a small cell that has crystallised.
    """
    silicon = np.flatnonzero(atoms.numbers == 14)
    total = site_rdf(atoms, silicon.tolist(), pair="total")[1]
    oxygen = site_rdf(atoms, silicon.tolist(), pair="Si-O")[1]
    features = np.hstack([total, oxygen])
    representatives: list[int] = []
    for row in range(len(silicon)):
        differences = [np.sqrt(np.mean((features[row] - features[other]) ** 2)) for other in representatives]
        if not differences or min(differences) > tolerance:
            representatives.append(row)
    return len(representatives)


def assess(atoms: Atoms, parameters: dict[str, Any], results: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe an amorphous cell and flag what is suspicious in it.

    :param parameters: ``cutoff_si_o_angstrom``, ``cutoff_si_si_angstrom``, ``cutoff_o_o_angstrom``,
        ``expected_density_g_cm3``, ``density_tolerance`` (relative), ``coordination_min``, ``coordination_max``
        (of Si), ``max_odd_fraction`` (of Si outside these), ``distinct_tolerance`` (of g).
    :param results: of the melt-quench: ``pressure_bar``, ``energy_eV``, ``converged``; taken over when given.
    :returns: values with units in their names, ``coordination_oxygen`` and ``coordination_total`` as counts of Si
        keyed by the number of neighbours, and ``flags``, empty for a good cell.
    """
    counts = counts_of(atoms)
    x = composition_x(counts)
    cutoff_si_o = float(parameters["cutoff_si_o_angstrom"])
    cutoff_si_si = float(parameters["cutoff_si_si_angstrom"])
    by_oxygen, total = coordination_histogram(atoms, cutoff_si_o, cutoff_si_si)
    n_oxygen_bonds = count_oxygen_bonds(atoms, float(parameters["cutoff_o_o_angstrom"]))
    density = density_g_cm3(atoms)
    n_distinct = count_distinct_sites(atoms, float(parameters["distinct_tolerance"]))
    low, high = int(parameters["coordination_min"]), int(parameters["coordination_max"])
    odd = sum(count for n, count in total.items() if not low <= int(n) <= high)

    flags = []
    if n_oxygen_bonds:
        flags.append("oxygen_bond")
    expected = parameters.get("expected_density_g_cm3")
    if expected is not None and abs(density / float(expected) - 1) > float(parameters["density_tolerance"]):
        flags.append("density")
    if odd > float(parameters["max_odd_fraction"]) * counts["Si"]:
        flags.append("coordination")
    if counts["Si"] >= 4 and n_distinct == 1:
        flags.append("identical_sites")
    if results is not None and not results.get("converged", True):
        flags.append("not_relaxed")

    quality: dict[str, Any] = {
        "formula": format_formula(counts),
        "x": x,
        "n_atoms": len(atoms),
        "n_silicon": counts["Si"],
        "density_g_cm3": density,
        "expected_density_g_cm3": None if expected is None else float(expected),
        "volume_A3": float(atoms.get_volume()),
        "coordination_oxygen": by_oxygen,
        "coordination_total": total,
        "mean_n_oxygen": sum(int(n) * count for n, count in by_oxygen.items()) / counts["Si"],
        "n_oxygen_bonds": n_oxygen_bonds,
        "n_distinct_sites": n_distinct,
        "shortest_angstrom": shortest_distances(atoms, max(cutoff_si_o, cutoff_si_si, 3.5)),
        "flags": flags,
    }
    if results is not None:
        quality["pressure_bar"] = results["pressure_bar"]
        quality["energy_per_atom_eV"] = results["energy_eV"] / len(atoms)
    return quality

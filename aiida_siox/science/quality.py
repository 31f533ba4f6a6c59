"""How good is an amorphous cell: numbers to compare with the real material, and rules that flag or reject it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from aiida_siox.checked import Checked, Count, Fraction, Number, OneOf, Whole
from aiida_siox.materials import Material

from .cells import density_g_cm3
from .composition import at_composition, format_formula
from .diffraction import Scattering, first_sharp_peak, shortest_reciprocal_vector, structure_factors
from .neighbours import coordination, coordination_histogram, count_bonds, pair_distributions, shortest_distances
from .published import density_deviations
from .rdf import TOTAL, site_rdf
from .topology import bond_angles, bond_lengths, largest_void, rings, rings_of_absorbers, void_fraction

Array = NDArray[np.float64]

ACTIONS = ("reject", "flag", "ignore")

#: Largest distance (Å), number of bins and width (Å) of the g(R) by which sites are told apart.
_DISTINCT_RDF = (5.0, 256, 0.15)
#: Å within which the shortest distances are looked for at least.
_SHORTEST = 3.5


def _against_composition(points: Any) -> Any:
    at_composition(points, 0, "part of the volume")
    return points


Neighbours = Annotated[Whole, Field(ge=0, le=20)]
PartOfVolume = Annotated[Any, BeforeValidator(_against_composition)]


class Rule(Checked):
    """A rule, and what becomes of a cell that breaks it."""

    action: Annotated[str, OneOf(ACTIONS)]


class OxygenBond(Rule):
    """Bonds between ligands."""

    max_bonds: Annotated[Whole, Field(ge=0, le=1_000_000)]


class Density(Rule):
    """Deviation from the expected density, relative to it."""

    tolerance: Annotated[Number, Field(gt=0, le=10)]


class MostAtoms(Rule):
    """The part of the atoms that may be so."""

    max_fraction: Fraction


class Coordination(MostAtoms):
    """Numbers of neighbours outside of which an absorber is odd."""

    lowest: Neighbours
    highest: Neighbours

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.lowest > self.highest:
            raise ValueError(f"`lowest` {self.lowest} is above `highest` {self.highest}: exchange them")
        return self


class Void(Rule):
    """The largest sphere without atoms, and what is far from all."""

    max_radius_angstrom: Annotated[Number, Field(gt=0, le=100)]
    max_fraction: PartOfVolume


class SilicaNetwork(Rule):
    """Absorbers with all their ligands."""

    min_fraction: Fraction


class Rules(Checked):
    """All rules, in the order in which they are told."""

    oxygen_bond: OxygenBond
    density: Density
    coordination: Coordination
    dangling_bonds: MostAtoms
    oxygen_coordination: MostAtoms
    void: Void
    identical_sites: Rule
    silica_network: SilicaNetwork
    not_relaxed: Rule


class Distributions(Checked):
    """Pair distributions."""

    r_max_angstrom: Annotated[Number, Field(gt=0, le=50)]
    n_bins: Annotated[Count, Field(le=100_000)]
    sigma_angstrom: Annotated[Number, Field(ge=0, le=2)]


class Angles(Checked):
    """Distributions of bond angles."""

    n_bins: Annotated[Count, Field(le=18_000)]


class Parameters(Checked):
    """What :func:`analyse` works with."""

    remedy = "take them from a protocol"

    distinct_tolerance: Annotated[Number, Field(ge=0, le=10)]
    void_distance_angstrom: Annotated[Number, Field(ge=0.5, le=10)]
    longest_ring: Annotated[Whole, Field(ge=3, le=24)]
    rdf: Distributions
    angles: Angles
    diffraction: Scattering
    expected_density_g_cm3: Annotated[
        Number | None,
        Field(ge=0.1, le=10, description="a number from 0.1 to 10, or null when there is none to compare with"),
    ]
    rules: Rules


#: What is said of a cell that breaks a rule.
RULE_WORDS = {
    "oxygen_bond": "O–O bond",
    "density": "density",
    "coordination": "coordination",
    "dangling_bonds": "dangling bonds",
    "oxygen_coordination": "O without two Si",
    "void": "void",
    "identical_sites": "identical sites",
    "silica_network": "few SiO₄",
    "not_relaxed": "not relaxed",
}


def count_distinct_sites(atoms: Atoms, tolerance: float, material: Material) -> int:
    """Count the absorbers whose surroundings differ.

    Two sites are one when the RMS difference of their g(R) to 5 Å (σ = 0.15 Å) is below a tolerance:
    symmetry-equivalent sites of a crystal, or a small cell that has crystallised.
    """
    sites = np.flatnonzero(atoms.numbers == atomic_numbers[material.absorber])
    pairs = [TOTAL, *(f"{material.absorber}-{ligand}" for ligand in material.ligands)]
    features = np.hstack([site_rdf(atoms, sites.tolist(), *_DISTINCT_RDF, pair)[1] for pair in pairs])
    representatives: list[int] = []
    for row in range(len(sites)):
        differences = np.sqrt(np.mean((features[representatives] - features[row]) ** 2, axis=1))
        if not (differences <= tolerance).any():
            representatives.append(row)
    return len(representatives)


def analyse(
    atoms: Atoms, parameters: Mapping[str, Any], material: Material, results: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what :func:`assess` and :func:`profiles` do, with the structure factors computed once."""
    curves = profiles(atoms, parameters, material)
    return _assess(atoms, parameters, material, results, curves), curves


def assess(
    atoms: Atoms, parameters: Mapping[str, Any], material: Material, results: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Describe an amorphous cell in numbers, and say which rules it breaks.

    :param atoms: periodic cell with at least one absorber.
    :param parameters: see :class:`Parameters`.
    :param results: of the melt-quench: ``pressure_bar``, ``energy_eV``, ``converged``; taken over when given.
    :returns: what JSON can hold, units in the names. Histograms are counts of atoms keyed by the number of neighbours
        as text: ``coordination_oxygen`` (O around Si, the [SiSi₄₋ₙOₙ] units), ``coordination_total`` (Si and O around
        Si), ``n_silicon_of_oxygen`` (Si around O). ``bond_lengths`` (Å, by pair) and ``bond_angles`` (degrees, by
        triple, the centre in the middle) have mean, standard deviation and count of each, bonds and angles counted
        once. ``rings_by_atoms`` and ``rings_by_silicon`` are shortest-path rings per Si atom, keyed by the number of
        atoms and by the number of Si in the ring; the latter are the n-membered rings of the literature on silica,
        half as many as atoms at x = 2 in a perfect network (six-membered: 12 atoms). They go to ``longest_ring`` atoms
        and to ``longest_ring // 2`` Si, which is complete at every x.
        ``density_deviations`` are relative to published densities at this x, by source: the paper's cells and measured
        ones. ``void_fraction`` is the part of the volume farther than ``void_distance_angstrom`` from all atoms,
        ``largest_void_angstrom`` the radius of the largest empty sphere between the centres of atoms,
        ``first_peak_…`` where the highest peak of S(q) in the window ``first_peak`` is, which cells whose
        ``q_min_per_angstrom`` is near it cannot tell. ``flags`` are the rules that were broken, ``rejected_by`` those
        of them whose action is reject, ``accepted`` whether there is none.
    :raises ValueError: for impossible parameters, or a cell without absorber.
    """
    return analyse(atoms, parameters, material, results)[0]


def profiles(atoms: Atoms, parameters: Mapping[str, Any], material: Material) -> dict[str, Array]:
    """Return the curves that describe an amorphous cell.

    :param parameters: see :class:`Parameters`.
    :returns: ``r`` in Å and the pair distribution functions ``g_total``, ``g_Si_Si``, … on it, one at large r (of
        :func:`aiida_siox.science.neighbours.pair_distributions`); ``q`` in Å⁻¹ and the structure factors
        ``S_neutron``, ``S_xray`` and of Faber and Ziman ``S_Si_Si``, … on it (of
        :func:`aiida_siox.science.diffraction.structure_factors`); ``angle``, the middle of each bin in degrees, and
        ``p_O_Si_O``, …, the probability density of angles per degree, without weight of the solid angle. Those of
        pairs and triples that are not there are left out.
    :raises ValueError: for impossible parameters.
    """
    parameters = Parameters.parse(parameters, "quality").plain()
    rdf, scattering = parameters["rdf"], parameters["diffraction"]
    r, distributions = pair_distributions(
        atoms, material.elements, float(rdf["r_max_angstrom"]), int(rdf["n_bins"]), float(rdf["sigma_angstrom"])
    )
    curves = {"r": r} | {f"g_{_identifier(name)}": values for name, values in distributions.items()}
    factors = structure_factors(
        atoms, float(scattering["q_max"]), float(scattering["q_step"]), float(scattering["q_width"])
    )
    curves |= {"q": factors.q, "S_neutron": factors.neutron, "S_xray": factors.xray}
    curves |= {f"S_{_identifier(name)}": values for name, values in factors.partial.items()}
    edges = np.linspace(0.0, 180.0, int(parameters["angles"]["n_bins"]) + 1)
    curves["angle"] = (edges[:-1] + edges[1:]) / 2
    for name, angles in bond_angles(atoms, material.cutoffs).items():
        curves[f"p_{_identifier(name)}"] = np.histogram(angles, bins=edges, density=True)[0]
    return curves


#: Units of the curves by the beginning of their names.
UNITS = {"r": "angstrom", "g": "1", "q": "1/angstrom", "S": "1", "angle": "degree", "p": "1/degree"}


def units_of(names: Iterable[str]) -> dict[str, str]:
    """Return the units of curves of :func:`profiles` by name."""
    return {name: UNITS[name.split("_")[0]] for name in names}


def broken_rules(quality: Mapping[str, Any], rules: Mapping[str, Any], converged: bool) -> list[str]:
    """Return the rules that a cell breaks, but those whose action is ignore.

    ``oxygen_bond``: more O–O bonds than ``max_bonds``. ``density``: relatively farther from the expected one than
    ``tolerance``, if there is one. ``coordination``: more than ``max_fraction`` of the Si with fewer neighbours than
    ``lowest`` or more than ``highest``. ``dangling_bonds``: more than ``max_fraction`` of the Si with fewer than four.
    ``oxygen_coordination``: more than ``max_fraction`` of the O without exactly two Si. ``void``: an empty sphere above
    ``max_radius_angstrom``, or a ``void_fraction`` above ``max_fraction``, which is given by x. ``identical_sites``:
    four Si or more, and all alike: a crystal. ``silica_network``: at x = 2, less than ``min_fraction`` of the Si with
    four O. ``not_relaxed``: the last minimisation did not converge.

    :param quality: numbers of :func:`assess`.
    """
    n_silicon = quality["n_silicon"]
    total = {int(n): count for n, count in quality["coordination_total"].items()}
    expected = quality["expected_density_g_cm3"]
    lowest, highest = rules["coordination"]["lowest"], rules["coordination"]["highest"]
    odd = sum(count for n, count in total.items() if not lowest <= n <= highest) / n_silicon
    dangling = sum(count for n, count in total.items() if n < 4) / n_silicon
    tetrahedra = quality["coordination_oxygen"].get("4", 0) / n_silicon
    around_oxygen = {int(n): count for n, count in quality["n_silicon_of_oxygen"].items()}
    n_oxygen = sum(around_oxygen.values())
    bridging = around_oxygen.get(2, 0) / n_oxygen if n_oxygen else 1.0
    empty = at_composition(rules["void"]["max_fraction"], quality["x"], "part of the volume")
    broken = {
        "oxygen_bond": quality["n_oxygen_bonds"] > rules["oxygen_bond"]["max_bonds"],
        "density": expected is not None
        and abs(quality["density_g_cm3"] / expected - 1) > rules["density"]["tolerance"],
        "coordination": odd > rules["coordination"]["max_fraction"],
        "dangling_bonds": dangling > rules["dangling_bonds"]["max_fraction"],
        "oxygen_coordination": 1 - bridging > rules["oxygen_coordination"]["max_fraction"],
        "void": quality["largest_void_angstrom"] > rules["void"]["max_radius_angstrom"]
        or quality["void_fraction"] > empty,
        "identical_sites": n_silicon >= 4 and quality["n_distinct_sites"] == 1,
        "silica_network": math.isclose(quality["x"], 2) and tetrahedra < rules["silica_network"]["min_fraction"],
        "not_relaxed": not converged,
    }
    return [name for name, hit in broken.items() if hit and rules[name]["action"] != "ignore"]


def _assess(
    atoms: Atoms,
    parameters: Mapping[str, Any],
    material: Material,
    results: Mapping[str, Any] | None,
    curves: Mapping[str, Array],
) -> dict[str, Any]:
    """Return the numbers of :func:`assess`, the peaks from curves."""
    absorber, ligands, cutoffs = material.absorber, material.ligands, material.cutoffs
    counts = material.count(atoms.get_chemical_symbols())
    x = material.x(counts)
    by_oxygen, total = coordination_histogram(atoms, material)
    of_ligands = np.isin(atoms.numbers, [atomic_numbers[element] for element in ligands])
    around_oxygen = coordination(atoms, cutoffs)[absorber][of_ligands]
    expected = parameters["expected_density_g_cm3"]
    longest = int(parameters["longest_ring"])
    peaks = {
        name: first_sharp_peak(curves["q"], curves[f"S_{name}"], parameters["diffraction"]["first_peak"])
        for name in ("neutron", "xray")
    }
    quality: dict[str, Any] = {
        "formula": format_formula(counts),
        "x": x,
        "n_atoms": len(atoms),
        "n_silicon": counts[absorber],
        "density_g_cm3": density_g_cm3(atoms),
        "expected_density_g_cm3": None if expected is None else float(expected),
        "density_deviations": density_deviations(round(x, 6), density_g_cm3(atoms)),
        "volume_A3": float(atoms.get_volume()),
        "coordination_oxygen": by_oxygen,
        "coordination_total": total,
        "mean_n_oxygen": sum(int(n) * count for n, count in by_oxygen.items()) / counts[absorber],
        "n_silicon_of_oxygen": {str(n): int(count) for n, count in enumerate(np.bincount(around_oxygen, minlength=4))},
        "n_oxygen_bonds": sum(
            count_bonds(atoms, element, cutoffs[element, element])
            for element in ligands
            if (element, element) in cutoffs
        ),
        "n_distinct_sites": count_distinct_sites(atoms, float(parameters["distinct_tolerance"]), material),
        "shortest_angstrom": shortest_distances(atoms, material.elements, max(*cutoffs.values(), _SHORTEST)),
        "bond_lengths": {name: _summary(values) for name, values in bond_lengths(atoms, cutoffs).items()},
        "bond_angles": {name: _summary(values) for name, values in bond_angles(atoms, cutoffs).items()},
        "rings_by_atoms": {str(n): count for n, count in rings(atoms, material, longest).items()},
        "rings_by_silicon": {str(n): count for n, count in rings_of_absorbers(atoms, material, longest // 2).items()},
        "largest_void_angstrom": largest_void(atoms),
        "void_fraction": void_fraction(atoms, float(parameters["void_distance_angstrom"])),
        "first_peak_neutron_per_angstrom": peaks["neutron"],
        "first_peak_xray_per_angstrom": peaks["xray"],
        "q_min_per_angstrom": shortest_reciprocal_vector(atoms.cell.array),
    }
    if results is not None:
        quality["pressure_bar"] = float(results["pressure_bar"])
        quality["energy_per_atom_eV"] = float(results["energy_eV"]) / len(atoms)
    rules = parameters["rules"]
    converged = results is None or bool(results.get("converged", True))
    flags = broken_rules(quality, rules, converged)
    rejected = [name for name in flags if rules[name]["action"] == "reject"]
    return {**quality, "flags": flags, "rejected_by": rejected, "accepted": not rejected}


def _identifier(name: str) -> str:
    """Return a name that an array of AiiDA can have."""
    return name.replace("-", "_")


def _summary(values: Array) -> dict[str, float | int | None]:
    """Return mean, standard deviation and count; None for the first two when there is none."""
    if not len(values):
        return {"mean": None, "std": None, "count": 0}
    return {"mean": float(values.mean()), "std": float(values.std()), "count": len(values)}

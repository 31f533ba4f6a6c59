"""Published values that amorphous cells are compared with; sources in docs/structures/published.csv."""

from __future__ import annotations

from typing import NamedTuple


class Density(NamedTuple):
    """A published density in g/cm³ at a composition."""

    x: float
    g_cm3: float
    material: str
    source: str


#: Melt-quenched cells of Phys. Chem. Chem. Phys. 2026, 28, 3682, by x, g/cm³.
PAPER_DENSITIES = {0.0: 2.25, 2.0: 2.30}
#: The first of each x is the one to compare with.
MEASURED_DENSITIES = (
    Density(0.0, 2.285, "a-Si", "Custer 1994"),
    Density(1.0, 2.13, "SiO", "handbook"),
    Density(1.0, 2.17, "SiO film", "Fernández-Perea 2009"),
    Density(2.0, 2.20, "v-SiO₂", "Brückner 1970"),
)
#: Å⁻¹ by x, and the material: the first peak of measured structure factors.
MEASURED_PEAKS = {0.0: (2.0, "a-Si"), 2.0: (1.52, "v-SiO₂")}
#: K/s: 5000 K in 3 ns.
PAPER_RATE = 1.67e12


def density_deviations(x: float, density: float) -> dict[str, float]:
    """Return how far a density is from published ones at this x, relatively, by source; empty where there is none.

    :param density: in g/cm³.
    """
    references = {"paper": PAPER_DENSITIES[x]} if x in PAPER_DENSITIES else {}
    references |= {each.source: each.g_cm3 for each in MEASURED_DENSITIES if each.x == x}
    return {source: density / value - 1 for source, value in references.items()}

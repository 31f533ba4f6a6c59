"""The network of a cell: bonds, angles, rings, voids."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray
from scipy.spatial import Voronoi, cKDTree

from aiida_siox.materials import Material

from .neighbours import elements_of, longest_bonds, neighbour_vectors, pairs_of

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_FAR = 255

Cutoffs = Mapping[tuple[str, str], float]
"""Longest bond in Å of two elements, both ways round (``Material.cutoffs``)."""


def bonds(atoms: Atoms, cutoffs: Cutoffs) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Return the bonds of a cell, each in both directions.

    :returns: first and second atom, the vector from first to second in Å ``[n, 3]``.
    """
    first, second, vector = neighbour_vectors(atoms, max(cutoffs.values()))
    longest = longest_bonds(cutoffs)[atoms.numbers[first], atoms.numbers[second]]
    bonded = np.linalg.norm(vector, axis=1) <= longest
    return first[bonded], second[bonded], vector[bonded]


def bond_lengths(atoms: Atoms, cutoffs: Cutoffs) -> dict[str, Array]:
    """Return the lengths of the bonds in Å by pair (``Si-O``, ``Si-Si``, ``O-O``), each bond once."""
    first, second, vector = bonds(atoms, cutoffs)
    lengths = np.linalg.norm(vector, axis=1)
    numbers = atoms.numbers
    found = {}
    for name, (a, b) in pairs_of(elements_of(cutoffs)).items():
        chosen = np.sort(lengths[(numbers[first] == atomic_numbers[a]) & (numbers[second] == atomic_numbers[b])])
        found[name] = chosen if a != b else chosen[::2]
    return found


def bond_angles(atoms: Atoms, cutoffs: Cutoffs) -> dict[str, Array]:
    """Return the angles between bonds in degrees by triple (``O-Si-O``, ``Si-O-Si``, …, the centre in the middle)."""
    first, second, vector = bonds(atoms, cutoffs)
    unit = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    starts = np.searchsorted(first, np.arange(len(atoms) + 1))
    found: dict[str, list[float]] = {}
    for centre in range(len(atoms)):
        mine = slice(starts[centre], starts[centre + 1])
        ends, directions = atoms.numbers[second[mine]], unit[mine]
        i, j = np.triu_indices(len(ends), 1)
        angles = np.degrees(np.arccos(np.clip(np.einsum("ij,ij->i", directions[i], directions[j]), -1, 1)))
        for a, b, angle in zip(ends[i], ends[j], angles, strict=True):
            high, low = max(a, b), min(a, b)
            name = "-".join(chemical_symbols[n] for n in (high, atoms.numbers[centre], low))
            found.setdefault(name, []).append(float(angle))
    return {name: np.sort(values) for name, values in sorted(found.items())}


def rings(atoms: Atoms, material: Material, longest: int) -> dict[int, float]:
    """Count the shortest-path rings (Franzblau, Phys. Rev. B 44 (1991) 4925) by their number of atoms, per absorber.

    :param longest: number of atoms of the longest ring that is looked for.
    :returns: number of rings per absorber by number of atoms, without those that do not occur; each ring counts once:
        α-quartz has {12: 1, 16: 5}, so that 6 rings of six Si and 40 rings of eight Si go through every Si.
    :raises ValueError: if the cell has no absorber.
    """
    n_absorbers = len(_absorbers(atoms, material))
    first, second, vector = bonds(atoms, material.cutoffs)
    counts = _Network.of(len(atoms), first, second, _offsets(atoms, first, second, vector)).rings(longest)
    return {n: count / n_absorbers for n, count in sorted(counts.items())}


def rings_of_absorbers(atoms: Atoms, material: Material, longest: int) -> dict[int, float]:
    """Count the shortest-path rings of the network of absorbers by their number of absorbers, per absorber.

    Two Si, say, are linked by a bond or by an O that both are bonded to. The n-membered rings of the glass literature
    are these: in a perfect SiO₂ network a ring of n Si has 2n atoms. Two O between the same two Si make a ring of two
    (edge-sharing tetrahedra); the triangle of three Si around one O is no ring.

    :param longest: number of absorbers of the longest ring that is looked for.
    :returns: number of rings per absorber by number of absorbers, without those that do not occur.
    :raises ValueError: if the cell has no absorber.
    """
    n_absorbers = len(_absorbers(atoms, material))
    first, second, vector = bonds(atoms, material.cutoffs)
    offset = _offsets(atoms, first, second, vector)
    is_absorber = atoms.numbers == atomic_numbers[material.absorber]
    to_absorber = is_absorber[second]
    direct = to_absorber & is_absorber[first]
    links = [np.column_stack([first, second, offset])[direct]]
    n_triangles = 0
    for ligand in np.flatnonzero(np.isin(atoms.numbers, [atomic_numbers[element] for element in material.ligands])):
        around = np.flatnonzero((first == ligand) & to_absorber)
        n_triangles += math.comb(len(around), 3)
        pairs = np.array([(a, b) for a in around for b in around if a != b], dtype=np.int64).reshape(-1, 2)
        a, b = pairs.T
        links.append(np.column_stack([second[a], second[b], offset[b] - offset[a]]))
    unique, multiplicity = np.unique(np.concatenate(links), axis=0, return_counts=True)
    counts = _Network.of(len(atoms), unique[:, 0], unique[:, 1], unique[:, 2:]).rings(longest)
    counts[2] = sum(math.comb(int(n), 2) for n in multiplicity) / 2
    counts[3] = max(0.0, counts.get(3, 0.0) - n_triangles)
    return {n: count / n_absorbers for n, count in sorted(counts.items()) if count and n <= longest}


def _absorbers(atoms: Atoms, material: Material) -> Indices:
    found = np.flatnonzero(atoms.numbers == atomic_numbers[material.absorber])
    if not len(found):
        raise ValueError(f"rings are counted per {material.absorber}, and the cell has no {material.absorber}.")
    return found


def _offsets(atoms: Atoms, first: Indices, second: Indices, vector: Array) -> Indices:
    """Return in how many cells along each vector the second atom of every bond is, shape (n, 3)."""
    wrapped = atoms.get_positions(wrap=True)
    shifts = vector - (wrapped[second] - wrapped[first])
    return np.asarray(np.rint(shifts @ np.linalg.inv(atoms.cell.array)).astype(np.int64))


@dataclasses.dataclass(frozen=True)
class _Network:
    """An infinite periodic graph, given by the links of one cell in both directions, sorted by the first vertex.

    :param starts: of each vertex in the links, shape (n_vertices + 1,).
    :param second: shape (n_links,).
    :param offset: cell of the second vertex, shape (n_links, 3).
    """

    starts: Indices
    second: Indices
    offset: Indices

    @classmethod
    def of(cls, n_vertices: int, first: Indices, second: Indices, offset: Indices) -> _Network:
        """Make a network of links sorted by the first vertex."""
        return cls(np.searchsorted(first, np.arange(n_vertices + 1)), second, offset)

    def links_from(self, vertices: Indices) -> tuple[Indices, Indices]:
        """Return all links that leave the vertices: place in the list of vertices, and number of the link."""
        degree = np.diff(self.starts)[vertices]
        place = np.repeat(np.arange(len(vertices)), degree)
        within = np.arange(len(place)) - np.repeat(np.cumsum(degree) - degree, degree)
        return place, self.starts[vertices][place] + within

    def rings(self, longest: int) -> dict[int, float]:
        """Return the number of shortest-path rings per cell by length, those that occur, of three and more.

        From every vertex of one cell as root two paths grow at the same time, each a shortest one, as far from each
        other as the vertices of a ring are: d = 2k after k steps on the first quarter of it, two less at every step
        from then on. Every ring has as many roots as vertices. Costs memory of (vertices of a cell)².
        """
        if not len(self.second):
            return {}
        found: dict[int, float] = {}
        distances = _Distances.of(self, longest // 2)
        chunk = max(1, 2**22 // 3 ** min(longest // 2, 11))
        for start in range(0, len(self.starts) - 1, chunk):
            roots = np.arange(start, min(start + chunk, len(self.starts) - 1))
            origin = distances.code(roots, np.zeros((len(roots), 3), dtype=np.int64))[:, None]
            for n, count in self._rings_through(roots, origin, distances, longest).items():
                found[n] = found.get(n, 0.0) + count / n
        return found

    def _rings_through(self, roots: Indices, origin: Indices, distances: _Distances, longest: int) -> dict[int, int]:
        """Return how often a root is on a ring, by length; ``origin`` are the codes of the roots, shape (n, 1)."""
        count: dict[int, int] = {}
        growing = (roots, origin, origin)
        for step in range(1, longest // 4 + 2):
            root, one, other, apart = self._grown(*growing, distances, step)
            for d in np.unique(apart[apart < 2 * step]).tolist():
                n = 2 * step + d
                if n > longest:
                    continue
                chosen = apart == d
                branch = (root[chosen], one[chosen], other[chosen])
                for further in range(step + 1, n // 2 + 1):
                    *branch_grown, now = self._grown(*branch, distances, further)
                    kept = now == n - 2 * further
                    branch = (branch_grown[0][kept], branch_grown[1][kept], branch_grown[2][kept])
                if number := int(np.count_nonzero(distances.is_ring(branch[1], branch[2], n))):
                    count[n] = count.get(n, 0) + number
            kept = apart == 2 * step
            growing = (root[kept], one[kept], other[kept])
        return count

    def _grown(
        self, root: Indices, one: Indices, other: Indices, distances: _Distances, step: int
    ) -> tuple[Indices, Indices, Indices, Indices]:
        """Return all pairs of paths that are one step longer and still shortest, and the distance of their ends."""
        for path in (0, 1):
            moving = one if path == 0 else other
            place, link = self.links_from(distances.vertex[moving[:, -1]])
            end = distances.code(self.second[link], distances.cell[moving[place, -1]] + self.offset[link])
            kept = distances.from_root(root[place], end) == step
            place, end = place[kept], end[kept]
            longer = np.column_stack([moving[place], end])
            root, one, other = (
                root[place],
                (longer if path == 0 else one[place]),
                (other[place] if path == 0 else longer),
            )
        if step == 1:  # the two paths have no order
            kept = one[:, 1] < other[:, 1]
            root, one, other = root[kept], one[kept], other[kept]
        return root, one, other, distances.between(one[:, -1], other[:, -1])


@dataclasses.dataclass(frozen=True)
class _Distances:
    """Numbers of links between vertices of a periodic graph up to a largest one.

    A vertex near the origin has a code: its cell and its number.

    :param reach: cells that the paths reach along each vector, shape (3,).
    :param vertex: by code.
    :param cell: by code, shape (n_codes, 3).
    :param links: from each vertex of the cell at the origin to each code, shape (n_vertices, n_codes), `_FAR` beyond.
    """

    reach: Indices
    vertex: Indices
    cell: Indices
    links: NDArray[np.uint8]

    @classmethod
    def of(cls, network: _Network, largest: int) -> _Distances:
        """Search the graph from every vertex of one cell, breadth first."""
        n_vertices = len(network.starts) - 1
        linked = np.flatnonzero(np.diff(network.starts))
        farthest = np.zeros((n_vertices, 3), dtype=np.int64)
        for _ in range(largest):
            steps = np.maximum.reduceat(farthest[network.second] + network.offset, network.starts[linked])
            farthest[linked] = np.maximum(farthest[linked], steps)
        reach = farthest.max(axis=0)
        grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
        table = cls(
            reach,
            np.tile(np.arange(n_vertices), len(grid)),
            np.repeat(grid, n_vertices, axis=0),
            np.full((n_vertices, len(grid) * n_vertices), _FAR, dtype=np.uint8),
        )
        root = np.arange(n_vertices)
        code = table.code(root, np.zeros((n_vertices, 3), dtype=np.int64))
        table.links[root, code] = 0
        for distance in range(1, largest + 1):
            place, link = network.links_from(table.vertex[code])
            root, code = root[place], table.code(network.second[link], table.cell[code[place]] + network.offset[link])
            new = table.links[root, code] == _FAR
            table.links[root[new], code[new]] = distance
            flat = np.unique(root[new] * table.links.shape[1] + code[new])
            root, code = np.divmod(flat, table.links.shape[1])
        return table

    def code(self, vertex: Indices, cell: Indices) -> Indices:
        """Return codes of vertices in cells, −1 for cells out of reach."""
        x, y, z = (cell + self.reach).T
        width = 2 * self.reach + 1
        code = ((x * width[1] + y) * width[2] + z) * len(self.links) + vertex
        return np.asarray(np.where((abs(cell) <= self.reach).all(axis=1), code, -1))

    def from_root(self, root: Indices, code: Indices) -> NDArray[np.uint8]:
        """Return the distance of codes from vertices of the cell at the origin."""
        return np.where(code < 0, np.uint8(_FAR), self.links[root, code])

    def between(self, one: Indices, other: Indices) -> Indices:
        """Return the distance between codes."""
        code = self.code(self.vertex[other], self.cell[other] - self.cell[one])
        return self.from_root(self.vertex[one], code).astype(np.int64)

    def is_ring(self, one: Indices, other: Indices, n: int) -> NDArray[np.bool_]:
        """Return whether no opposite vertices of a ring are closer in the graph than on the ring.

        :param one, other: codes on the two paths from the root, shape (n_rings, n // 2 + 1).
        """
        half = n // 2
        good = np.ones(len(one), dtype=bool)
        for total in {half, n - half}:
            for k in range(max(1, total - half), min(half, total - 1) + 1):
                good &= self.between(one[:, k], other[:, total - k]) == half
        return good


_GRID_ANGSTROM = 0.3
"""Largest spacing of the points at which the empty volume is measured."""
_GRID_POINTS = 20
"""Least number of them along an edge."""


def void_fraction(atoms: Atoms, distance: float) -> float:
    """Return the part of the volume that is farther from the centres of all atoms than a distance in Å.

    Counted on a grid, so that a crystal's value has an error of some per cent of itself.
    """
    n_points = np.maximum(_GRID_POINTS, np.ceil(atoms.cell.lengths() / _GRID_ANGSTROM)).astype(int)
    axes = [(np.arange(n) + 0.5) / n for n in n_points]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ atoms.cell.array
    reach = np.ceil(distance * np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)).astype(int)
    wrapped = atoms.get_positions(wrap=True)
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    images = (wrapped[None] + (shifts @ atoms.cell.array)[:, None]).reshape(-1, 3)
    nearest, _ = cKDTree(images).query(grid, distance_upper_bound=distance)
    return float(np.isinf(nearest).mean())


def largest_void(atoms: Atoms) -> float:
    """Return the radius in Å of the largest sphere between the centres of atoms that holds none.

    Its centre is a corner of the Voronoi cells of the atoms and their periodic images.
    """
    lengths = np.linalg.norm(atoms.cell.array, axis=1)
    repeats = [3 if length > 6 else 5 for length in lengths]
    images = atoms.copy()
    images.wrap()
    images = images.repeat(repeats)
    corners = Voronoi(images.positions)
    fractional = corners.vertices @ np.linalg.inv(atoms.cell.array)
    middle = np.array([n // 2 for n in repeats])
    inside = np.all((fractional >= middle - 1e-9) & (fractional < middle + 1 - 1e-9), axis=1)
    return float(cKDTree(images.positions).query(corners.vertices[inside])[0].max())

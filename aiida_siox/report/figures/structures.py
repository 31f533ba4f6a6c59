"""Pictures of cells: atoms and bonds seen from slightly above, what lies behind paler."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from aiida_siox.report.figures import style as st

Array = NDArray[np.float64]

ATOM_COLOURS = {14: "#4a7fb5", 8: "#d1350f"}
ATOM_RADII = {14: 0.52, 8: 0.36}
CUTOFFS = {frozenset((14, 8)): 2.0, frozenset((14,)): 2.8}
MAX_GHOST_CELL = 60


def view(atoms: Atoms, turn: float = 24.0, tilt: float = 14.0) -> Array:
    """Return the rotation (3, 3) that puts the third axis towards the reader."""
    a, b = np.radians(turn), np.radians(tilt)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_x @ about_y


def bonds_with_images(atoms: Atoms) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Return first atom, second atom and vector of every bond, both directions, images included."""
    import vesin

    calculator = vesin.NeighborList(cutoff=max(CUTOFFS.values()), full_list=True, n_threads=1)
    first, second, distance, vectors = calculator.compute(
        points=np.asarray(atoms.positions), box=np.asarray(atoms.cell.array), periodic=True, quantities="ijdD"
    )
    first, second = first.astype(np.int64), second.astype(np.int64)
    numbers = atoms.numbers
    limit = np.array(
        [CUTOFFS.get(frozenset((int(numbers[i]), int(numbers[j]))), 0.0) for i, j in zip(first, second, strict=True)]
    )
    kept = distance <= limit
    return first[kept], second[kept], np.asarray(vectors)[kept]


def faded(colour: str, depth: float, ghost: bool = False) -> tuple[float, float, float]:
    """Return a colour mixed with white: more the farther it lies (depth 0 near to 1 far), most for an image."""
    white = 0.34 * depth if not ghost else 0.68 + 0.12 * depth
    rgb = np.array(to_rgb(colour))
    red, green, blue = rgb + (1 - rgb) * white
    return float(red), float(green), float(blue)


def draw_cell(ax: Axes, atoms: Atoms) -> None:
    """Draw atoms, bonds and the edges of the cell into axes.

    Atoms of neighbouring cells that are bonded to the cell are drawn pale in small cells; in large ones such bonds end
    half way.
    """
    atoms = atoms.copy()
    atoms.wrap()
    rotation = view(atoms)
    first, second, vectors = bonds_with_images(atoms)
    positions = atoms.positions
    numbers = atoms.numbers
    ends = positions[first] + vectors
    crosses = np.linalg.norm(ends - positions[second], axis=1) > 1e-3
    ghosts = len(atoms) <= MAX_GHOST_CELL

    points = [positions]
    kinds = [numbers]
    if ghosts and crosses.any():
        images, rows = np.unique(np.round(ends[crosses], 4), axis=0, return_index=True)
        points.append(images)
        kinds.append(numbers[second[crosses][rows]])
    everything = np.vstack(points) @ rotation.T
    species = np.concatenate(kinds)
    is_ghost = np.arange(len(species)) >= len(atoms)

    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ atoms.cell.array @ rotation.T
    nearest, farthest = (
        max(corners[:, 2].max(), everything[:, 2].max()),
        min(corners[:, 2].min(), everything[:, 2].min()),
    )

    def depth(z: float) -> float:
        return float((nearest - z) / max(nearest - farthest, 1e-9))

    edges = [(corners[i], corners[j]) for i in range(8) for j in range(i + 1, 8) if bin(i ^ j).count("1") == 1]
    items: list[tuple[float, str, tuple]] = []
    for a, b in edges:
        items.append(((a[2] + b[2]) / 2 - 0.8, "edge", (a[:2], b[:2])))
    start = positions[first] @ rotation.T
    stop = ends @ rotation.T
    for row in range(len(first)):
        if not crosses[row] and first[row] > second[row]:
            continue
        a, b = start[row], stop[row]
        middle = (a + b) / 2
        items.append(((a[2] + middle[2]) / 2 - 0.1, "bond", (a[:2], middle[:2], int(numbers[first[row]]), False, a[2])))
        if crosses[row] and not ghosts:
            continue
        other = int(numbers[second[row]])
        items.append(((b[2] + middle[2]) / 2 - 0.1, "bond", (b[:2], middle[:2], other, bool(crosses[row]), b[2])))
    for i, point in enumerate(everything):
        items.append((point[2], "atom", (point[:2], int(species[i]), bool(is_ghost[i]))))
    items.sort(key=lambda item: item[0])

    for order, (z, kind, data) in enumerate(items):
        if kind == "edge":
            ax.add_collection(
                LineCollection([data], colors=["#aab4bf"], linewidths=0.8, linestyles="--", zorder=2 + order)
            )
        elif kind == "bond":
            a, b, number, ghost, height = data
            colour = faded(ATOM_COLOURS[number], depth(height), ghost)
            ax.add_collection(
                LineCollection([(a, b)], colors=[colour], linewidths=2.6 if not ghost else 1.6, zorder=2 + order)
            )
        else:
            centre, number, ghost = data
            radius = ATOM_RADII[number] * (0.66 if ghost else 1.0)
            base = faded(ATOM_COLOURS[number], depth(z), ghost)
            rim = tuple(0.62 * value for value in base) if not ghost else faded("#8b95a1", depth(z), True)
            _ball(ax, centre, radius, base, rim, ghost, 2 + order)
    span = np.vstack([everything[:, :2], corners[:, :2]])
    margin = 0.7
    ax.set_xlim(span[:, 0].min() - margin, span[:, 0].max() + margin)
    ax.set_ylim(span[:, 1].min() - margin, span[:, 1].max() + margin)
    ax.set_aspect("equal")
    ax.set_axis_off()


def _ball(
    ax: Axes, centre: Array, radius: float, base: tuple[float, ...], rim: tuple[float, ...], ghost: bool, z: float
) -> None:
    """Draw a sphere: a disc, a lighter one inside and a highlight."""
    rgb = np.array(base)
    lighter = tuple(rgb + (1 - rgb) * 0.28)
    bright = tuple(rgb + (1 - rgb) * 0.75)
    layers: list[tuple[float, tuple[float, ...], tuple[float, ...] | None, float]] = [(1.0, base, rim, 0.0)]
    if not ghost:
        layers += [(0.68, lighter, None, 0.16), (0.26, bright, None, 0.36)]
    for scale, colour, edge, shift in layers:
        size = 2 * radius * scale
        offset = centre + radius * shift * np.array([-0.7, 0.7])
        ax.add_collection(
            EllipseCollection(
                [size],
                [size],
                [0],
                units="xy",
                offsets=[offset],
                transOffset=ax.transData,
                facecolors=[colour],
                edgecolors="none" if edge is None else [edge],
                linewidths=0.6,
                zorder=z,
            )
        )


def cell_picture(atoms: Atoms) -> str:
    """Return the picture of a cell as a ``data:`` address."""
    with st.style():
        figure = Figure(figsize=(2.9, 2.7))
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        draw_cell(axes, atoms)
        return st.embed(figure, raster=True)


def coordination_figure(rows: list[tuple[str, float, dict[str, int]]], note: str) -> str:
    """Draw the share of Si by the number of O neighbours, one bar a configuration.

    :param rows: label, x and count of Si keyed by n_O of each configuration.
    :param note: protocol, for the corner.
    """
    with st.style():
        figure = st.new_figure(7.4, 0.9 + 0.27 * max(len(rows), 2))
        axes = figure.add_subplot()
        highest = max([4, *(int(n) for _, _, counts in rows for n, count in counts.items() if count)])
        left = np.zeros(len(rows))
        places = np.arange(len(rows))[::-1]
        for n in range(highest + 1):
            counts = np.array([entry[2].get(str(n), 0) for entry in rows], dtype=float)
            totals = np.array([max(sum(entry[2].values()), 1) for entry in rows], dtype=float)
            share = 100 * counts / totals
            axes.barh(places, share, left=left, height=0.74, color=st.formal_colour(n), label=st.formal_name(n), lw=0)
            for place, begin, width, count in zip(places, left, share, counts, strict=True):
                if width >= 6:
                    axes.text(
                        begin + width / 2, place, f"{count:.0f}", ha="center", va="center", color="white", fontsize=7
                    )
            left += share
        axes.set_yticks(places, [entry[0] for entry in rows])
        axes.set_xlim(0, 100)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("Si sites (%)  — numbers: sites")
        axes.set_ylabel("Configuration")
        axes.grid(False)
        axes.legend(ncols=highest + 1, loc="lower left", bbox_to_anchor=(0, 1.0), handlelength=1.0, columnspacing=1.2)
        st.stamp(figure, note)
        return st.embed(figure)

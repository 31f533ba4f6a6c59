"""Pictures of cells: atoms and bonds seen from slightly above, what lies behind paler; and their coordination."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from aiida_siox.materials import Material
from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st

Array = NDArray[np.float64]
Colour = tuple[float, float, float]

#: Radius of a sphere in units of the covalent radius.
RADIUS = 0.47
MAX_GHOST_CELL = 60


def view(turn: float = 24.0, tilt: float = 14.0) -> Array:
    """Return the rotation (3, 3) that puts the third axis towards the reader; angles in degrees."""
    a, b = np.radians(turn), np.radians(tilt)
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_x @ about_y


def bonds_with_images(atoms: Atoms, material: Material) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Return first atom, second atom and vector of every bond, both directions, images included."""
    first, second, vectors = neighbor_list("ijD", atoms, dict(material.cutoffs))
    return first, second, vectors


def faded(colour: str, depth: float, ghost: bool = False) -> Colour:
    """Return a colour mixed with white: more the farther it lies (depth 0 near to 1 far), most for an image."""
    white = 0.34 * depth if not ghost else 0.68 + 0.12 * depth
    rgb = np.array(to_rgb(colour))
    red, green, blue = rgb + (1 - rgb) * white
    return float(red), float(green), float(blue)


def draw_cell(ax: Axes, atoms: Atoms, material: Material) -> None:
    """Draw atoms, bonds and the edges of the cell into axes.

    Atoms of neighbouring cells that are bonded to the cell are drawn pale in small cells; in large ones such bonds end
    half way.
    """
    atoms = atoms.copy()
    atoms.wrap()
    first, second, vectors = bonds_with_images(atoms, material)
    ends = atoms.positions[first] + vectors
    crosses = np.linalg.norm(ends - atoms.positions[second], axis=1) > 1e-3
    ghosts = len(atoms) <= MAX_GHOST_CELL
    symbols = np.array(atoms.get_chemical_symbols())
    points, species = [atoms.positions], [symbols]
    if ghosts and crosses.any():
        images, rows = np.unique(np.round(ends[crosses], 4), axis=0, return_index=True)
        points.append(images)
        species.append(symbols[second[crosses][rows]])
    rotation = view()
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ atoms.cell.array @ rotation.T
    balls = np.vstack(points) @ rotation.T
    heights = np.concatenate([corners[:, 2], balls[:, 2]])

    def colour_of(symbol: str, z: float, ghost: bool) -> Colour:
        depth = (heights.max() - z) / max(float(np.ptp(heights)), 1e-9)
        return faded(material.colours.get(symbol, st.MUTED), depth, ghost)

    items = _edges(corners)
    start, stop = atoms.positions[first] @ rotation.T, ends @ rotation.T
    for row in range(len(first)):
        if crosses[row] or first[row] < second[row]:
            items.append(_half_bond(start[row], stop[row], colour_of(symbols[first[row]], start[row, 2], False)))
        if first[row] < second[row] if not crosses[row] else ghosts:
            far = colour_of(symbols[second[row]], stop[row, 2], bool(crosses[row]))
            items.append(_half_bond(stop[row], start[row], far, bool(crosses[row])))
    for i, (centre, symbol) in enumerate(zip(balls, np.concatenate(species), strict=True)):
        ghost = i >= len(atoms)
        radius = RADIUS * covalent_radii[atomic_numbers[symbol]] * (0.66 if ghost else 1.0)
        items.append((float(centre[2]), _ball(centre[:2], radius, colour_of(symbol, centre[2], ghost), ghost)))
    items.sort(key=lambda item: item[0])
    for order, (_, draw) in enumerate(items):
        draw(ax, 2 + order)
    span = np.vstack([balls[:, :2], corners[:, :2]])
    ax.set_xlim(span[:, 0].min() - 0.7, span[:, 0].max() + 0.7)
    ax.set_ylim(span[:, 1].min() - 0.7, span[:, 1].max() + 0.7)
    ax.set_aspect("equal")
    ax.set_axis_off()


#: Height of a thing, and what draws it into axes at an order.
Item = tuple[float, Callable[[Axes, float], None]]


def _edges(corners: Array) -> list[Item]:
    """Return the twelve edges of a cell, behind what is at their height."""
    pairs = [(i, j) for i in range(8) for j in range(i + 1, 8) if (i ^ j).bit_count() == 1]
    return [
        ((corners[i, 2] + corners[j, 2]) / 2 - 0.8, _line(corners[i], corners[j], "#aab4bf", 0.8, "--"))
        for i, j in pairs
    ]


def _half_bond(end: Array, other: Array, colour: Colour, ghost: bool = False) -> Item:
    """Return the half of a bond that begins at one of its ends."""
    middle = (end + other) / 2
    return (end[2] + middle[2]) / 2 - 0.1, _line(end, middle, colour, 1.6 if ghost else 2.6)


def _line(a: Array, b: Array, colour: str | Colour, width: float, dashes: str = "-") -> Callable[[Axes, float], None]:
    lines = LineCollection([(a[:2], b[:2])], colors=[colour], linewidths=width, linestyles=dashes)
    return lambda ax, order: ax.add_collection(lines).set_zorder(order)


def _ball(centre: Array, radius: float, base: Colour, ghost: bool) -> Callable[[Axes, float], None]:
    """Return what draws a sphere: a disc, a lighter one inside and a highlight; of an image the disc alone."""
    rgb = np.array(base)
    rim = tuple(0.62 * rgb) if not ghost else faded("#8b95a1", 0.0, True)
    layers = [(1.0, 0.0, 0.0), (0.68, 0.28, 0.16), (0.26, 0.75, 0.36)][: 1 if ghost else 3]

    def draw(ax: Axes, order: float) -> None:
        for scale, white, shift in layers:
            size = [2 * radius * scale]
            ax.add_collection(
                EllipseCollection(
                    size, size, [0], units="xy", offsets=[centre + radius * shift * np.array([-0.7, 0.7])],
                    transOffset=ax.transData, facecolors=[tuple(rgb + (1 - rgb) * white)],
                    edgecolors=[rim] if scale == 1.0 else "none", linewidths=0.6, zorder=order,
                )
            )  # fmt: skip

    return draw


def cell_picture(atoms: Atoms, material: Material) -> Figure:
    """Return the picture of a cell."""
    figure = Figure(figsize=(2.9, 2.7))
    draw_cell(figure.add_axes((0.0, 0.0, 1.0, 1.0)), atoms, material)
    return figure


def coordination_figure(
    rows: Sequence[tuple[str, float, dict[str, int]]], symbol: str, element: str, note: str
) -> Drawing:
    """Draw the share of absorbers by their number of ligands, one bar a configuration.

    :param rows: label, x and count of absorbers keyed by the number of ligands of each configuration.
    :param symbol: of that number, ``n_O``.
    :param element: symbol of the absorber.
    :param note: where the numbers come from.
    """
    highest = max([4, *(int(n) for _, _, counts in rows for n, count in counts.items() if count)])
    columns = {n: np.array([counts.get(str(n), 0) for _, _, counts in rows], dtype=float) for n in range(highest + 1)}
    totals = np.maximum(sum(columns.values()), 1.0)
    left, places = np.zeros(len(rows)), np.arange(len(rows))[::-1]
    with st.style():
        figure = st.new_figure(st.WIDTH, 0.9 + 0.27 * max(len(rows), 2))
        axes = figure.add_subplot()
        for n, counts in columns.items():
            share = 100 * counts / totals
            label = f"{st.maths(symbol)} = {n}"
            axes.barh(places, share, left=left, height=0.74, color=st.formal_colour(n), label=label, lw=0)
            look: dict[str, Any] = {"ha": "center", "va": "center", "color": "white", "fontsize": 7}
            for place, begin, width, count in zip(places, left, share, counts, strict=True):
                if width >= 6:
                    axes.text(begin + width / 2, place, f"{count:.0f}", **look)
            left = left + share
        axes.set_yticks(places, [entry[0] for entry in rows])
        axes.set_xlim(0, 100)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(f"{element} sites (%)  — numbers: sites")
        axes.grid(False)
        axes.legend(ncols=highest + 1, loc="lower left", bbox_to_anchor=(0, 1.0), handlelength=1.0, columnspacing=1.2)
        st.stamp(figure, note)
    table: dict[str, Any] = {"configuration": [row[0] for row in rows], "x": [row[1] for row in rows]}
    return Drawing(figure, {"": table | {f"{symbol} = {n} (sites)": c for n, c in columns.items()}}, note)

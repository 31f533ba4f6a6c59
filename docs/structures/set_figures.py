"""Figures of a set of amorphous cells: pictures, [SiSi₄₋ₙOₙ] units, g(r), S(q), densities, and the bias of a protocol.

Cells are described by the numbers and curves of :mod:`aiida_siox.science.quality`. Figures are made and written inside
:func:`aiida_siox.report.figures.style.style`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullLocator
from numpy.typing import NDArray

from aiida_siox.materials import load_material
from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.structures import draw_cell
from aiida_siox.science.cells import density_g_cm3
from aiida_siox.science.published import MEASURED_DENSITIES, MEASURED_PEAKS, PAPER_DENSITIES, PAPER_RATE

Array = NDArray[np.float64]
Quality = Mapping[str, Any]
Curves = Mapping[str, Array]

SIOX = load_material("siox")
PAIRS = ("Si_O", "Si_Si", "O_O")
#: Up to this distance in Å the Si–O pair distribution, whose bonds are ten times and more its other peaks, is scaled.
BOND_ANGSTROM = 2.05
BOND_SCALE = 0.2
_MODEL: Mapping[str, Any] = {"ls": "", "marker": "D", "ms": 4.2, "mfc": "white", "mec": st.INK}
_PROBES = {"neutron": "Neutron S(q)", "xray": "X-ray S(q)"}
_PROTOCOLS = {
    "free": ("free from 5000 K", "#d1495b", "s"),
    "paper": ("free from 5000 K, the paper's times", "#7b5ea7", "D"),
    "free_below_3000": ("free below 3000 K", st.ACCENT, "o"),
    "fixed": ("fixed volume", "#3b6fb6", "^"),
}


def random_bonding(x: float) -> Array:
    """Return the shares of [SiSi₄₋ₙOₙ], n = 0 to 4, when the four bonds of Si go to O at random.

    The random bonding model of Philipp, J. Phys. Chem. Solids 32 (1971) 1935: each of four bonds is one to O with
    probability x / 2.

    :raises ValueError: if x is not from 0 to 2.
    """
    if not 0 <= x <= 2:
        raise ValueError(f"x = {x}: the random bonding model is for SiOₓ with x from 0 to 2.")
    p = x / 2
    return np.array([math.comb(4, n) * p**n * (1 - p) ** (4 - n) for n in range(5)])


def unit_shares(quality: Quality) -> Array:
    """Return the shares of Si with n = 0, 1, … O neighbours, to four at least."""
    return _shares(quality["coordination_oxygen"])


def fourfold_share(quality: Quality) -> float:
    """Return the share of Si with four neighbours, Si and O together."""
    return float(_shares(quality["coordination_total"])[4])


def three_silicon_share(quality: Quality) -> float | None:
    """Return the share of O with three Si; None without O. Every O of a perfect network has two."""
    counts = {int(n): count for n, count in quality["n_silicon_of_oxygen"].items()}
    total = sum(counts.values())
    return counts.get(3, 0) / total if total else None


def _shares(histogram: Mapping[str, int]) -> Array:
    counts = np.zeros(max(5, 1 + max((int(n) for n, count in histogram.items() if count), default=0)))
    for n, count in histogram.items():
        if count:
            counts[int(n)] = count
    return counts / counts.sum()


def by_composition(qualities: Sequence[Quality]) -> dict[float, list[Quality]]:
    """Return the qualities of each x, by increasing x."""
    grouped: dict[float, list[Quality]] = {}
    for quality in sorted(qualities, key=lambda each: each["x"]):
        grouped.setdefault(round(float(quality["x"]), 6), []).append(quality)
    return grouped


def mean_curve(cells: Sequence[Curves], name: str) -> tuple[Array, Array]:
    """Return the mean of a curve over cells on the part of its axis that all of them have.

    :param name: ``g_…`` on ``r`` or ``S_…`` on ``q``.
    """
    axis = "r" if name.startswith("g_") else "q"
    low = max(float(each[axis][0]) for each in cells)
    high = min(float(each[axis][-1]) for each in cells)
    grid = np.asarray(cells[0][axis], dtype=float)
    step = grid[1] - grid[0]
    grid = grid[(grid > low - step / 2) & (grid < high + step / 2)]
    return grid, np.mean([np.interp(grid, each[axis], each[name]) for each in cells], axis=0)


def _of_composition(cells: Sequence[tuple[Quality, Curves]]) -> dict[float, list[tuple[Quality, Curves]]]:
    return {
        x: [cell for cell in cells if any(cell[0] is quality for quality in chosen)]
        for x, chosen in by_composition([quality for quality, _ in cells]).items()
    }


def composition_name(x: float) -> str:
    """Return ``Si``, ``SiO`` or ``SiO₁.₅`` as mathtext."""
    if x == 0:
        return "Si"
    return "SiO" if x == 1 else f"SiO$_{{{x:.3g}}}$"


def cells_figure(cells: Sequence[Atoms]) -> Figure:
    """Draw up to nine cells with their composition and density, as figure 1 of the paper."""
    columns = st.columns_for(len(cells))
    rows = math.ceil(len(cells) / columns)
    figure = Figure(figsize=(2.4 * columns, 2.5 * rows + 0.3))
    height = 1 - 0.3 / figure.get_figheight()
    for place, atoms in enumerate(cells):
        row, column = divmod(place, columns)
        top = height * (1 - row / rows)
        axes = figure.add_axes((column / columns, top - height / rows, 1 / columns, height / rows * 0.9))
        draw_cell(axes, atoms, SIOX)
        figure.text(
            (column + 0.5) / columns,
            top - 0.01 / rows,
            f"{composition_name(SIOX.x(SIOX.count(atoms.get_chemical_symbols())))}   {density_g_cm3(atoms):.2f} g/cm³",
            ha="center",
            va="top",
            weight="bold",
        )
    handles = [
        Line2D([], [], ls="", marker="o", ms=7, color=colour, label=symbol) for symbol, colour in SIOX.colours.items()
    ]
    handles.append(Line2D([], [], ls="--", lw=0.8, color="#aab4bf", label="cell"))
    figure.legend(handles=handles, ncols=3, loc="upper center", borderaxespad=0.2)
    return figure


def units_figure(qualities: Sequence[Quality]) -> Figure:
    """Draw the shares of Si with n O neighbours at every composition beside random bonding, as figure S2 of the paper.

    Cells of one composition count together, each Si once.
    """
    grouped = by_composition(qualities)
    columns = st.columns_for(len(grouped))
    rows = math.ceil(len(grouped) / columns)
    figure = st.new_figure(2.35 * columns + 0.3, 1.75 * rows + 0.6)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    pooled = {x: _pooled(chosen) for x, chosen in grouped.items()}
    highest = max(4, *(len(shares) - 1 for shares in pooled.values()))
    for axes, (x, shares) in zip(grid.flat, pooled.items(), strict=False):
        n = np.arange(len(shares))
        axes.bar(n, 100 * shares, width=0.72, color=[st.formal_colour(int(each)) for each in n])
        if 0 <= x <= 2:
            axes.plot(range(5), 100 * random_bonding(x), clip_on=False, zorder=5, **_MODEL)
        number = len(grouped[x])
        axes.set_title(composition_name(x))
        axes.set_title(
            f"{number} cell{'s' if number > 1 else ''}", loc="right", fontsize=7.5, color=st.MUTED, weight=400
        )
        axes.set_xticks(range(highest + 1))
        axes.set_xlim(-0.6, highest + 0.6)
        axes.set_ylim(0, 104)
        axes.grid(axis="x", visible=False)
    st.label_last_rows(grid, len(grouped))
    figure.supxlabel("n, O neighbours of Si in [SiSi$_{4-n}$O$_n$]", fontsize=9)
    figure.supylabel("share of Si (%)", fontsize=9)
    handles = [
        Line2D([], [], ls="", marker="s", ms=7, color=st.formal_colour(n), label=st.formal_name(n) if n < 5 else "more")
        for n in range(min(highest, 5) + 1)
    ]
    handles.append(Line2D([], [], label="random bonding", **_MODEL))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), handletextpad=0.2, columnspacing=1.1)
    return figure


def _pooled(qualities: Sequence[Quality]) -> Array:
    counts: dict[str, int] = {}
    for quality in qualities:
        for n, count in quality["coordination_oxygen"].items():
            counts[n] = counts.get(n, 0) + count
    return _shares(counts)


def distribution_figure(cells: Sequence[tuple[Quality, Curves]], r_max: float = 6.0) -> Figure:
    """Draw the partial g(r) of every composition, the mean over its cells, each composition above the one before.

    :param r_max: Å.
    """
    grouped = _of_composition(cells)
    figure = st.new_figure(8.4, 1.5 + 0.52 * max(len(grouped), 3))
    panels = figure.subplots(1, 3, sharey=True)
    shift = 4.0
    for axes, pair in zip(panels, PAIRS, strict=True):
        for place, (x, chosen) in enumerate(grouped.items()):
            curves = [curve for _, curve in chosen if f"g_{pair}" in curve]
            if not curves:
                continue
            r, g = mean_curve(curves, f"g_{pair}")
            if pair == "Si_O":
                g = np.where(r <= BOND_ANGSTROM, BOND_SCALE * g, g)
            shown = (r >= 1.2) & (r <= r_max)
            base = shift * place
            axes.plot(r[shown], g[shown] + base, color=st.composition_colour(x), zorder=3 + len(grouped) - place)
        for place in range(len(grouped)):
            axes.axhline(shift * place, color=st.GRID, lw=0.7, zorder=1)
        axes.set_title(pair.replace("_", "–"))
        axes.set_xlim(1.2, r_max)
        axes.set_xlabel("r (Å)")
        axes.grid(axis="y", visible=False)
    panels[0].axvline(BOND_ANGSTROM, color=st.REFERENCE, lw=0.8, ls=":")
    panels[0].set_title(
        f"r < {BOND_ANGSTROM} Å: g × {BOND_SCALE:g}", loc="right", fontsize=7.5, color=st.MUTED, weight=400
    )
    panels[0].set_ylabel(f"g(r), each composition shifted by {shift:g}")
    panels[0].yaxis.set_major_locator(MultipleLocator(shift))
    _name_curves(panels[-1], grouped, shift, 1.0)
    return figure


def _name_curves(axes: Axes, grouped: Mapping[float, Any], shift: float, level: float) -> None:
    """Write the compositions to the right of curves that tend to a level."""
    for place, x in enumerate(grouped):
        axes.annotate(
            composition_name(x),
            (1.0, shift * place + level),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=st.composition_colour(x),
            annotation_clip=False,
        )


def scattering_figure(cells: Sequence[tuple[Quality, Curves]], q_max: float = 12.0) -> Figure:
    """Draw neutron and X-ray S(q) of every composition, the mean over its cells, with the first peak of each cell.

    :param q_max: Å⁻¹.
    """
    grouped = _of_composition(cells)
    figure = st.new_figure(8.4, 1.5 + 0.52 * max(len(grouped), 3))
    panels = figure.subplots(1, 2, sharey=True)
    shift = 1.5
    for axes, (probe, title) in zip(panels, _PROBES.items(), strict=True):
        low = q_max
        for place, (x, chosen) in enumerate(grouped.items()):
            q, values = mean_curve([curves for _, curves in chosen], f"S_{probe}")
            base, colour = shift * place, st.composition_colour(x)
            shown = q <= q_max
            low = min(low, float(q[0]))
            axes.plot(q[shown], values[shown] + base, color=colour, zorder=3 + len(grouped) - place)
            peaks = [quality.get(f"first_peak_{probe}_per_angstrom") for quality, _ in chosen]
            found = np.array([peak for peak in peaks if peak is not None])
            axes.plot(
                found, np.interp(found, q, values) + base, ls="", marker="o", ms=4, mfc="white", mec=colour, zorder=40
            )
            if x in MEASURED_PEAKS:
                _tick(axes, *MEASURED_PEAKS[x], base + float(values[q <= 3].max()), place == 0, base)
        axes.set_title(title)
        axes.set_xlim(min(0.5, low), q_max)
        axes.set_xlabel("q (Å⁻¹)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_ylabel(f"S(q), each composition shifted by {shift:g}")
    _name_curves(panels[-1], grouped, shift, 1.0)
    handles = [
        Line2D([], [], ls="", marker="o", ms=4, mfc="white", mec=st.INK, label="first peak of each cell"),
        Line2D([], [], ls="", marker="|", ms=9, mew=1.6, color=st.INK, label="measured first peak"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _tick(axes: Axes, q: float, name: str, top: float, below: bool, base: float) -> None:
    """Mark a measured position above a curve, or under the lowest of the curves."""
    first, last = (base - 0.55, base - 0.1) if below else (top + 0.15, top + 0.6)
    axes.plot([q, q], [first, last], color=st.INK, lw=1.6, zorder=41)
    axes.annotate(
        f"{name} {_digits(q, 1)}",
        (q, (first + last) / 2),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
    )


def density_figure(qualities: Sequence[Quality]) -> Figure:
    """Draw the densities of the cells against x, with those of the paper's cells and measured ones."""
    figure = st.new_figure(6.6, 3.7)
    axes = figure.add_subplot()
    grouped = by_composition(qualities)
    _line(axes, {x: [q["density_g_cm3"] for q in chosen] for x, chosen in grouped.items()}, st.ACCENT, "o", "this set")
    axes.plot(
        list(PAPER_DENSITIES),
        list(PAPER_DENSITIES.values()),
        ls="",
        marker="s",
        ms=7,
        mfc="none",
        mec="#d97706",
        mew=1.5,
        label="cells of the paper",
        zorder=4,
    )
    marks = ("D", "^", "v", "P")
    for (x, value, name, source), marker in zip(MEASURED_DENSITIES, marks, strict=True):
        axes.plot(
            [x],
            [value],
            ls="",
            marker=marker,
            ms=6,
            mfc="none",
            mec=st.INK,
            label=f"measured: {name} {_digits(value, 2)} ({source})",
            zorder=5,
        )
    axes.set_xlabel("x in SiO$_x$")
    axes.set_ylabel("density (g/cm³)")
    axes.set_xlim(-0.1, 2.1)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _line(axes: Axes, values: Mapping[float, Sequence[float]], colour: Any, marker: str, label: str) -> None:
    """Draw a line through the means and a point for each cell."""
    places = sorted(values)
    axes.plot(places, [float(np.mean(values[place])) for place in places], color=colour, lw=1.2, zorder=3)
    points = [(place, value) for place in places for value in values[place]]
    axes.plot(*np.array(points).T, ls="", marker=marker, ms=4.5, color=colour, alpha=0.8, label=label, zorder=4)


def rate_figure(series: Mapping[float, Sequence[Quality]], compositions: Sequence[float] = (0.0, 1.0, 2.0)) -> Figure:
    """Draw how density, coordination of Si and O, and energy depend on the rate of the quench.

    Energies are relative to the mean at the slowest rate of the composition; open points are cells that the rules
    reject.

    :param series: qualities by rate in K/s.
    :param compositions: x that are drawn.
    """
    figure = st.new_figure(7.4, 5.6)
    panels = figure.subplots(2, 2).ravel()
    names = (
        "density (g/cm³)",
        "energy above that of the\nslowest quench (meV/atom)",
        "Si with four neighbours (%)",
        "O with three Si (%)",
    )
    unit = 1e12
    properties: tuple[Callable[[Quality], float | None], ...] = (
        lambda quality: quality["density_g_cm3"],
        lambda quality: quality.get("energy_per_atom_eV"),
        lambda quality: 100 * fourfold_share(quality),
        lambda quality: None if (share := three_silicon_share(quality)) is None else 100 * share,
    )
    for axes, name, read in zip(panels, names, properties, strict=True):
        for x in compositions:
            found = {
                rate: [(value, bool(q.get("accepted", True))) for q in cells if (value := read(q)) is not None]
                for rate, cells in ((r / unit, by_composition(c).get(x, [])) for r, c in sorted(series.items()))
            }
            found = {rate: values for rate, values in found.items() if values}
            if not found:
                continue
            if read is properties[1]:
                zero = float(np.mean([value for value, _ in found[min(found)]]))
                found = {rate: [(1000 * (v - zero), ok) for v, ok in values] for rate, values in found.items()}
            _points(axes, found, st.composition_colour(x), "o", composition_name(x))
        axes.axvline(PAPER_RATE / unit, color=st.REFERENCE, lw=1.0, ls="--", zorder=1, label="rate of the paper")
        axes.set_xscale("log")
        rates = [PAPER_RATE, *series]
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(rates) < 200 * min(rates) else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("quench rate (10$^{12}$ K/s)")
        axes.set_ylabel(name)
    _legend(figure, panels[0])
    return figure


def _digits(value: float, least: int) -> str:
    """Return a number with all its digits, so many after the point at least."""
    return str(np.format_float_positional(value, min_digits=least))


def _points(
    axes: Axes, found: Mapping[float, Sequence[tuple[float, bool]]], colour: Any, marker: str, label: str
) -> None:
    """Draw a line through the means of all cells, filled points of accepted cells and open ones of rejected cells."""
    places = sorted(found)
    means = [float(np.mean([value for value, _ in found[place]])) for place in places]
    axes.plot(places, means, color=colour, lw=1.2, zorder=3)
    axes.plot([], [], color=colour, lw=1.2, marker=marker, ms=4.5, label=label)
    for accepted in (True, False):
        points = [(place, value) for place in places for value, ok in found[place] if ok is accepted]
        if points:
            face = colour if accepted else "white"
            axes.plot(*np.array(points).T, ls="", marker=marker, ms=4.5, mfc=face, mec=colour, zorder=4)


def _legend(figure: Figure, axes: Axes) -> None:
    """Write one legend above all panels, with the meaning of open points when there are any."""
    handles, labels = axes.get_legend_handles_labels()
    if any(line.get_markerfacecolor() == "white" for each in figure.axes for line in each.lines):
        handles.append(Line2D([], [], ls="", marker="o", ms=4.5, mfc="white", mec=st.MUTED))
        labels.append("rejected by the rules")
    columns = len(handles) if sum(len(label) for label in labels) < 70 else 3
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, columnspacing=1.4)


def protocol_figure(series: Mapping[str, Sequence[Quality]]) -> Figure:
    """Draw density and empty volume against x for protocols of the pressure; open points are cells that were rejected.

    :param series: qualities by ``free``, ``paper``, ``free_below_3000`` and ``fixed``, those that there are.
    :raises ValueError: for another name.
    """
    if unknown := sorted(set(series) - set(_PROTOCOLS)):
        raise ValueError(f"unknown protocol {', '.join(unknown)}. Valid: {', '.join(_PROTOCOLS)}.")
    figure = st.new_figure(7.4, 3.4)
    panels = figure.subplots(1, 2)
    present = [name for name in _PROTOCOLS if series.get(name)]
    for axes, key, scale, name in zip(
        panels,
        ("density_g_cm3", "void_fraction"),
        (1, 100),
        ("density (g/cm³)", "void volume (%)"),
        strict=True,
    ):
        for place, protocol in enumerate(present):
            label, colour, marker = _PROTOCOLS[protocol]
            apart = 0.02 * (place - (len(present) - 1) / 2)
            found = {
                x + apart: [(scale * q[key], bool(q.get("accepted", True))) for q in cells]
                for x, cells in by_composition(series[protocol]).items()
            }
            _points(axes, found, colour, marker, label)
        places = sorted({x for name_ in present for x in by_composition(series[name_])})
        axes.set_xticks(places, [f"{x:.3g}" for x in places])
        axes.set_xlabel("x in SiO$_x$")
        axes.set_ylabel(name)
    _legend(figure, panels[0])
    return figure

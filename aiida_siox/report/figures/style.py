"""One look for all figures: colours, sizes, legends and words in corners."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from aiida_siox.report.records import SiteRecords

INK = "#1f2933"
MUTED = "#66727f"
GRID = "#e4e8ec"
ACCENT = "#0f766e"
REFERENCE = "#9aa5b1"
FILL = "#d9dfe5"
BAND = "#cfe5e2"
PREDICTED = "#b3261e"
TRAINING = "#c3cad2"
DASHED, DOTTED = (4, 3), (1, 2)
#: Width of every figure in inches: 17 cm, two columns of a journal.
WIDTH = 6.69
#: Colour and name of what reads an averaged spectrum, by the variant of its training.
VARIANTS = {
    "sites": (PREDICTED, "trained on site spectra only"),
    "mixtures": (ACCENT, "trained on mixtures as well"),
}

#: Colours of n_O = 0, 1, 2, 3, 4 and more: apart for colour-blind readers, too, in the order of the paper's figure 3.
FORMAL_COLOURS = ("#3b6fb6", "#e08a1e", "#2f9e6e", "#d1495b", "#7b4fa3", "#6b7280")

#: From silicon (x = 0) to silica (x = 2).
COMPOSITION_MAP = LinearSegmentedColormap.from_list(
    "siox", ["#27316b", "#2166ac", "#1b9e9a", "#7cb342", "#f0a202", "#d1350f"]
)

ENGINE_COLOURS = {
    "xspectra.x": "#0f766e",
    "pw.x (core hole)": "#d97706",
    "pw.x": "#f2b35e",
    "pp.x + siox-bader": "#7b4fa3",
    "lmp": "#3b6fb6",
    "ld1.x": "#94a3b8",
}

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "text.color": INK,
    "lines.linewidth": 1.4,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "aiida-siox",
    "mathtext.default": "regular",
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Apply the look while a figure is made and written."""
    with mpl.rc_context(cast(Any, STYLE)):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches that lays itself out."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.07))


def composition_colour(x: float) -> tuple[float, float, float, float]:
    """Return the colour of SiOₓ; above x = 2 that of silica."""
    return COMPOSITION_MAP(min(max(x / 2.0, 0.0), 1.0))


def formal_colour(n_oxygen: int) -> str:
    """Return the colour of a formal valence; five and more share one."""
    return FORMAL_COLOURS[min(max(int(n_oxygen), 0), len(FORMAL_COLOURS) - 1)]


def engine_colour(engine: str) -> str:
    """Return the colour of an engine."""
    return ENGINE_COLOURS.get(engine, "#6b7280")


def columns_for(number: int) -> int:
    """Return in how many columns so many panels look best."""
    return 2 if number in (2, 4) else min(3, number)


def label_last_rows(grid: NDArray[Any], number: int) -> None:
    """Write tick labels under the lowest panel of every column, and hide the panels that are not used."""
    columns = grid.shape[1]
    for column in range(columns):
        used = [row for row in range(grid.shape[0]) if row * columns + column < number]
        if used:
            grid[used[-1], column].tick_params(labelbottom=True)
    for panel in list(grid.flat)[number:]:
        panel.set_axis_off()


def scale_of(highest: float) -> tuple[float, str]:
    """Return a factor that brings numbers to between 1 and 10, and the words for it in a unit."""
    power = int(np.floor(np.log10(highest))) if highest > 0 else 0
    return (1.0, "arb. units") if power in (0, 1) else (10.0**-power, f"10$^{{{power}}}$ arb. units")


def halves(figure: Figure, ratio: tuple[float, float]) -> tuple[SubFigure, SubFigure]:
    """Divide a figure into an upper and a lower part."""
    upper, lower = cast(NDArray[Any], figure.subfigures(2, 1, height_ratios=list(ratio)))
    return upper, lower


def grid_shape(number: int) -> tuple[int, int]:
    """Return rows and columns for so many panels."""
    columns = columns_for(number) if number <= 9 else (4 if number <= 16 else 5)
    return -(-number // columns), columns


def formula_name(formula: str) -> str:
    """Return a formula with its numbers as subscripts (mathtext)."""
    return re.sub(r"(\d+)", r"$_{\1}$", formula)


def formal_marker(n_ligands: int) -> str:
    """Return the marker of a formal valence: five and more, which share grey with training, are diamonds."""
    return "D" if n_ligands >= 5 else "o"


def formal_name(n_ligands: int, symbol: str = "n_O") -> str:
    """Return the name of a formal valence in a legend."""
    return f"{maths(symbol)} {'≥' if n_ligands >= 5 else '='} {min(int(n_ligands), 5)}"


def maths(symbol: str) -> str:
    """Return ``n_O`` as mathtext."""
    head, _, below = symbol.partition("_")
    return f"${head}_{{{below}}}$"


def maths_of(state: str) -> str:
    """Return ``Si3+`` or ``n_Si 2`` as mathtext."""
    if found := re.fullmatch(r"(\D+)(\d+)\+", state):
        return f"{found[1]}$^{{{found[2]}{'+' if found[2] != '0' else ''}}}$"
    return state if "_" not in state else f"{maths(state.split()[0])} = {state.split()[-1]}"


def formal_handles(records: SiteRecords, rows: NDArray[np.int64], training: bool = False) -> list[Line2D]:
    """Return the entries of a legend for the formal valences of some sites; five and more together."""
    handles = [Line2D([], [], ls="", marker="o", ms=3.6, color=TRAINING, label="training")] if training else []
    for n in sorted({min(int(n), 5) for n in records.ligands[rows]}):
        label = formal_name(n, records.ligand_symbol)
        handles.append(Line2D([], [], ls="", marker=formal_marker(n), ms=4.8, color=formal_colour(n), label=label))
    return handles


def formal_points(
    axes: Axes, records: SiteRecords, rows: NDArray[np.int64], at: Any, heights: Any, size: float, **look: Any
) -> None:
    """Draw sites as points by their formal valence.

    :param rows: of the sites, shape (k,).
    :param at: where to draw each of them, shape (k,).
    :param heights: likewise.
    """
    for n in sorted({int(n) for n in records.ligands[rows]}):
        mine = records.ligands[rows] == n
        axes.scatter(
            at[mine], heights[mine], s=size, color=formal_colour(n), marker=formal_marker(n),
            rasterized=int(mine.sum()) > 1500, zorder=3, **look,
        )  # fmt: skip


def composition_handles(records: SiteRecords, rows: NDArray[np.int64]) -> list[Line2D]:
    """Return the entries of a legend for the compositions of some configurations."""
    return [
        Line2D([], [], color=composition_colour(x), lw=2.2, label=records.compound(x))
        for x in sorted({float(x) for x in records.x[rows]})
    ]


def composition_ticks(
    axes: Axes, records: SiteRecords, compositions: Sequence[float], first: Sequence[str] = ()
) -> None:
    """Name compositions below their places 0, 1, …, after other names that come first."""
    names = [*first, *(records.compound(float(x)) for x in compositions)]
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="x")


def stamp(figure: Figure, text: str) -> None:
    """Write where a figure comes from small above it, so that a copied figure still says it."""
    _leave(figure, 0.17)
    figure.text(0.998, 0.998, text, ha="right", va="top", fontsize=6.8, color=MUTED)


def _leave(figure: Figure, inches: float) -> None:
    """Leave some room above all panels."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0.0, 0.0, 1.0, 1.0 - inches / figure.get_figheight()))


def head(figure: Figure, note: str, handles: Sequence[Any] = (), ncols: int = 4, title: str | None = None) -> None:
    """Write above all panels where the numbers come from and, below that line, the legend that they share.

    The height of a legend is set by hand: constrained layout puts an outside legend on top of the line.
    """
    stamp(figure, note)
    if not handles:
        return
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0 - 0.16 / figure.get_figheight()), ncols=ncols,
        title=title, title_fontsize=8, alignment="left", columnspacing=1.2, borderaxespad=0.1,
    ).set_in_layout(False)  # fmt: skip
    _leave(figure, 0.24 + 0.18 * (-(-len(handles) // ncols) + (title is not None)))


def corner(axes: Axes, text: str, where: str = "lower right", size: float = 7.2) -> None:
    """Write lines of text into a corner of a panel, readable over points."""
    vertical, horizontal = where.split()
    x, y = (0.97 if horizontal == "right" else 0.03), (0.97 if vertical == "upper" else 0.03)
    axes.text(
        x, y, text, transform=axes.transAxes, ha=horizontal, va="top" if vertical == "upper" else "bottom",
        fontsize=size, linespacing=1.35, zorder=6,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
    )  # fmt: skip


def title(axes: Axes, text: str) -> None:
    """Write the title of a panel."""
    axes.set_title(text, fontsize=8.5)


def whole_ticks(axes: Axes) -> None:
    """Let the ticks below a panel be whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))

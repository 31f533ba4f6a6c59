"""One look for all figures, and the way from a figure to text inside an HTML file."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
from collections.abc import Iterator
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

INK = "#1f2933"
MUTED = "#66727f"
GRID = "#e4e8ec"
ACCENT = "#0f766e"
REFERENCE = "#9aa5b1"

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

#: Bytes from which an SVG is larger than it is worth: then the figure becomes a PNG.
LARGEST_SVG = 900_000


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure inside the HTML file.

    :param uri: ``data:`` address with the whole image.
    :param alt: what it shows, in words.
    :param caption: text under it.
    """

    uri: str
    alt: str
    caption: str


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Apply the look while a figure is made and written."""
    with mpl.rc_context(cast(Any, STYLE)):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches that lays itself out."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.07))


def embed(figure: Figure, raster: bool = False) -> str:
    """Return a figure as a ``data:`` address: SVG, or PNG where that is asked for or much smaller."""
    if not raster:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        if buffer.tell() <= LARGEST_SVG:
            return data_uri(buffer.getvalue(), "image/svg+xml")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=190, metadata={"Software": None})
    return data_uri(buffer.getvalue(), "image/png")


def data_uri(content: bytes, mime: str) -> str:
    """Return bytes as a ``data:`` address."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def composition_colour(x: float) -> tuple[float, float, float, float]:
    """Return the colour of SiOₓ; above x = 2 that of silica."""
    return COMPOSITION_MAP(min(max(x / 2.0, 0.0), 1.0))


def formal_colour(n_oxygen: int) -> str:
    """Return the colour of a formal valence; five and more share one."""
    return FORMAL_COLOURS[min(max(int(n_oxygen), 0), len(FORMAL_COLOURS) - 1)]


def formal_name(n_oxygen: int) -> str:
    """Return the name of a formal valence in a legend."""
    return f"$n_O$ = {int(n_oxygen)}"


def engine_colour(engine: str) -> str:
    """Return the colour of an engine."""
    return ENGINE_COLOURS.get(engine, "#6b7280")


def composition_name(x: float) -> str:
    """Return ``Si``, ``SiO`` or ``SiO₁.₅`` as mathtext."""
    if x == 0:
        return "Si"
    return "SiO" if x == 1 else f"SiO$_{{{x:.3g}}}$"


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


def stamp(figure: Figure, text: str) -> None:
    """Write protocol and treatment small above the figure, so that a copied figure still says it."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0.0, 0.0, 1.0, 1.0 - 0.17 / figure.get_figheight()))
    figure.text(0.998, 0.998, text, ha="right", va="top", fontsize=6.8, color=MUTED)

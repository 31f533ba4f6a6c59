"""Draw the layers of the package, and the way of one spectrum through them: `python docs/develop/draw.py`."""

from __future__ import annotations

import pathlib
from xml.sax.saxutils import escape

FOLDER = pathlib.Path(__file__).parent
WIDTH = 900
#: From the top: folders of a layer and what they are for. A layer imports from those below it only.
LAYERS = [
    [("cli", "the command aiida-siox"), ("report", "figures and pages from nodes")],
    [("workflows", "WorkChains: the order of calculations; protocols: every default")],
    [
        ("calculations", "CalcJobs and calcfunctions, shells of some 30 lines"),
        ("parsers", "text of an engine → dict → nodes"),
    ],
    [("data", "node classes: own their layout, physics as methods")],
    [("learning", "networks, training, uncertainty, the file of a model; no AiiDA")],
    [("science", "physics and chemistry on arrays; neither AiiDA nor torch")],
    [("materials", "what is computed: one yaml a material"), ("registry, checked", "named things; checked input")],
]
#: The way of a spectrum: what it is, and who makes it.
WAY = [
    ("structure", "melt-quench, or a file: science"),
    ("pw.x: ground state, core hole", "SiteSpectrumWorkChain"),
    ("xspectra.x: Lanczos coefficients", "calculations, parsers/raw"),
    ("SpectrumData: coefficients, energies", "calcfunction, science"),
    ("SiteRow: spectrum and properties", "science/site_row, science/properties"),
    ("SiteTableData: a row for each site", "data, from_rows"),
    ("DatasetData: one calibrated window", "data, from_tables; CalibrationData"),
    ("SiteSet, networks, intervals", "learning"),
    ("ModelData: the file of a model", "part `model` of an analysis"),
    ("prediction from a measured spectrum", "science/readers, learning/model"),
]


def box(x: float, y: float, width: float, height: float, title: str, text: str) -> str:
    """Return a box with a title and a line of text under it."""
    centre = x + width / 2
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="#eef3f8" stroke="#4a7fb5"/>'
        f'<text x="{centre:g}" y="{y + height / 2 - 4:g}" font-weight="bold">{escape(title)}</text>'
        f'<text x="{centre:g}" y="{y + height / 2 + 14:g}" font-size="12" fill="#444">{escape(text)}</text>'
    )


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return an arrow."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="#444" marker-end="url(#head)"/>'


def page(height: float, words: str, parts: list[str]) -> str:
    """Return an SVG file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        'font-family="sans-serif" font-size="15" text-anchor="middle">'
        f"<title>{escape(words)}</title>"
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#444"/></marker></defs>'
        f'<rect width="{WIDTH}" height="{height:g}" fill="white"/>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def layers() -> str:
    """Return the picture of the layers."""
    parts, y, height, gap = [], 10.0, 54.0, 16.0
    for number, layer in enumerate(LAYERS):
        width = (WIDTH - 20 - gap * (len(layer) - 1)) / len(layer)
        parts += [box(10 + i * (width + gap), y, width, height, *each) for i, each in enumerate(layer)]
        if number < len(LAYERS) - 1:
            parts.append(arrow(WIDTH / 2, y + height, WIDTH / 2, y + height + gap))
        y += height + gap
    return page(y - gap + 10, "Layers of the package; imports go along the arrows only", parts)


def way() -> str:
    """Return the picture of the way of a spectrum, in two columns: down the left one, then down the right one."""
    parts, height, gap, width = [], 54.0, 22.0, 410.0
    half = (len(WAY) + 1) // 2
    for number, each in enumerate(WAY):
        column, row = divmod(number, half)
        x, y = 10 + column * (width + 60), 10 + row * (height + gap)
        parts.append(box(x, y, width, height, *each))
        if row:
            parts.append(arrow(x + width / 2, y - gap, x + width / 2, y))
    bottom = 10 + (half - 1) * (height + gap) + height / 2
    middle = 10 + width + 30
    parts.append(f'<path d="M{10 + width:g} {bottom:g}H{middle:g}V{10 + height / 2:g}" fill="none" stroke="#444"/>')
    parts.append(arrow(middle, 10 + height / 2, middle + 30, 10 + height / 2))
    return page(20 + half * (height + gap) - gap, "The way of one spectrum from a structure to a prediction", parts)


PICTURES = {"layers.svg": layers, "way.svg": way}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")

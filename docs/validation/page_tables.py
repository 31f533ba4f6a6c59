"""The tables of the validation page, as markdown for the page and as csv with all digits."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from page_sites import ABOVE_WINDOW, WINDOW, Site, best_shift, l1, scf_seconds

#: Cases of larger and larger cells.
SIZES = {
    "quartz": ("quartz-9", "quartz-36", "quartz-72"),
    "silicon": ("silicon-8", "silicon-16", "silicon-64"),
}
#: Cell → treatment → case, and which of its sites.
TREATMENTS = {
    "α-quartz, 9 atoms": {"fch": ("quartz-9", 0), "xch": ("quartz-9-xch", 0), "none": ("quartz-9-none", 0)},
    "Si, 8 atoms": {"fch": ("silicon-8", 0), "xch": ("silicon-8-xch", 0), "none": ("silicon-8-none", 0)},
    "amorphous Si8O16": {"fch": ("amorphous-fch", 1), "xch": ("amorphous-xch", 1), "none": ("amorphous-none", 0)},
}
#: Cases of higher and higher cutoffs, the highest first: the first that was computed is the reference.
CUTOFFS = ("quartz-9-cut-100-800", "quartz-9-cut-70-400", "quartz-9-cut-50-400")


class Page:
    """The folder of the page and the sites that it shows; it keeps what is missing."""

    def __init__(self, sites: dict[str, list[Site]], folder: pathlib.Path) -> None:
        self.sites = sites
        self.folder = folder
        self.missing: set[str] = set()
        for name in ("figures", "data", "tables"):
            (folder / name).mkdir(exist_ok=True, parents=True)

    def one(self, name: str, position: int = 0) -> Site | None:
        """Return a site of a case, or None where it was not computed."""
        if name not in self.sites:
            self.missing.add(name)
            return None
        return self.sites[name][position]

    def several(self, names: Iterable[str]) -> list[Site]:
        """Return the first site of each of these cases that was computed."""
        return [site for name in names if (site := self.one(name)) is not None]

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write a table as markdown for the page and as csv with all digits."""
        rows = [list(row) for row in rows]
        with (self.folder / "data" / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([[f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows])

        def text(value: Any, column: str) -> str:
            if value is None:
                return "–"
            if isinstance(value, float):
                decimals = 0 if column.endswith("/ s") else 4 if column.startswith("L1") else 3
                return f"{value:.{decimals}f}"
            return str(value)

        lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
        lines += ["| " + " | ".join(text(v, c) for v, c in zip(row, columns, strict=True)) + " |" for row in rows]
        (self.folder / "tables" / f"{name}.md").write_text("\n".join(lines) + "\n")

    def curves(self, name: str, energy: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Write the curves of a figure beside it."""
        header = ",".join(["energy_eV", *columns])
        data = np.column_stack([energy, *columns.values()])
        np.savetxt(self.folder / "data" / f"{name}.csv", data, fmt="%.6g", delimiter=",", header=header, comments="")


def compare(
    page: Page, table: str, reference: str, names: Sequence[tuple[str, str]], above_window: bool = False
) -> None:
    """Write a table of cases against a reference case, with the L1 above the window if wanted."""
    target = page.one(reference)
    others = [name for name, _ in names if name != reference and page.one(name) is not None]
    if target is None or not others:
        lacking = reference if target is None else " and ".join(name for name, _ in names if name != reference)
        (page.folder / "tables" / f"{table}.md").write_text(f"*`{lacking}` is not in this archive.*\n")
        return
    columns = ["case", "transition / eV", "Δ transition / eV", "Δ white line / eV", "Δ half height / eV"]
    columns += ["L1", "L1 aligned"]
    columns += [f"L1 {ABOVE_WINDOW[0]:g} to {ABOVE_WINDOW[1]:g} eV"] if above_window else []
    columns += ["Δ valence / e", "CPU SCF / s", "CPU xspectra / s"]
    rows = []
    for name, label in names:
        site = page.one(name)
        if site is None:
            continue
        rows.append(
            [
                label,
                site.transition,
                site.transition - target.transition,
                site.white_line - target.white_line,
                site.half_height - target.half_height,
                l1(site, target),
                l1(site, target, target.white_line - site.white_line),
                *([l1(site, target, window=ABOVE_WINDOW)] if above_window else []),
                None if site.valence is None or target.valence is None else site.valence - target.valence,
                scf_seconds(site),
                site.seconds.get("xspectra.x", 0.0) / site.n_sites,
            ]
        )
    page.table(table, columns, rows)


def references(page: Page) -> None:
    """Quartz and silicon: size of the cell, and the Si → SiO₂ shift."""
    rows = []
    for compound, names in SIZES.items():
        sites = page.several(names)
        if not sites:
            continue
        last = sites[-1]
        for site in sites:
            rows.append(
                [
                    compound,
                    site.n_atoms,
                    site.transition,
                    site.half_height,
                    site.white_line,
                    l1(site, last),
                    l1(site, last, last.white_line - site.white_line),
                    site.valence,
                    scf_seconds(site),
                    site.seconds.get("xspectra.x", 0.0) / site.n_sites,
                ]
            )
    columns = [
        "compound",
        "atoms",
        "transition / eV",
        "half height / eV",
        "white line / eV",
        "L1",
        "L1 aligned",
        "valence / e",
    ]
    page.table("references", [*columns, "CPU SCF / s", "CPU xspectra / s"], rows)
    shifts = []
    pairs = [
        ("small", "silicon-8", "quartz-9"),
        ("medium", "silicon-16", "quartz-36"),
        ("large", "silicon-64", "quartz-72"),
        ("small, xspectra 3×3×3", "silicon-8-xspectra-3", "quartz-9-xspectra-3"),
        ("small, xspectra 4×4×4", "silicon-8-xspectra-4", "quartz-9-xspectra-4"),
    ]
    pairs += [("small, xch", "silicon-8-xch", "quartz-9-xch")]
    for step, low, high in pairs:
        a, b = page.one(low), page.one(high)
        if a is not None and b is not None:
            shifts.append(
                [
                    step,
                    f"{a.n_atoms} and {b.n_atoms}",
                    b.transition - a.transition,
                    b.white_line - a.white_line,
                    b.half_height - a.half_height,
                ]
            )
    shifts.append(["experiment", "–", None, "6 to 7", None])
    page.table("shifts", ["cells", "atoms", "thresholds / eV", "maxima / eV", "half heights / eV"], shifts)


def charged_cells(page: Page) -> None:
    """Transition energy of the charged hole against the size of the cell."""
    rows = []
    for compound, names in SIZES.items():
        sites = page.several(names)
        if len(sites) < 2:
            continue
        last = sites[-1]
        rows += [
            [
                compound,
                site.n_atoms,
                site.transition - last.transition,
                site.spectrum.energies["energy_zero_eV"],
                site.white_line - last.white_line,
            ]
            for site in sites
        ]
    page.table(
        "charged_cells", ["compound", "atoms", "Δ transition / eV", "energy zero / eV", "Δ white line / eV"], rows
    )


def treatments(page: Page) -> None:
    """Full core hole, excited electron, no hole; equivalent sites beside a gap level; spin."""
    rows = []
    for cell, names in TREATMENTS.items():
        reference = page.one(*names["fch"])
        for hole, (name, position) in names.items():
            site = page.one(name, position)
            if site is None or reference is None:
                continue
            shift = best_shift(site, reference) if hole == "none" else 0.0
            rows.append([cell, hole, site.transition, site.half_height, site.white_line, l1(site, reference, shift)])
    page.table(
        "treatments", ["cell", "hole", "transition / eV", "half height / eV", "white line / eV", "L1 to fch"], rows
    )
    rows = []
    for cell, name in (("quartz with a vacancy", "vacancy"), ("amorphous Si8O16", "amorphous")):
        for hole in ("fch", "xch"):
            sites = page.sites.get(f"{name}-{hole}", [])
            if not sites:
                page.missing.add(f"{name}-{hole}")
            for site in sites:
                rows.append([cell, hole, site.index, site.transition, site.half_height, site.white_line, site.valence])
    columns = ["cell", "hole", "site", "transition / eV", "half height / eV", "white line / eV", "valence / e"]
    page.table("vacancy", columns, rows)
    compare(
        page,
        "band_filling",
        "quartz-9",
        [
            ("quartz-9", "fch, SCF 1×1×1"),
            ("quartz-9-scf-2", "fch, SCF 2×2×2"),
            ("quartz-9-xch", "xch, SCF 1×1×1"),
            ("quartz-9-xch-scf-2", "xch, SCF 2×2×2"),
        ],
    )
    compare(
        page,
        "spin",
        "dangling-xch",
        [
            ("dangling-fch", "fch, nspin 1"),
            ("dangling-fch-spin", "fch, nspin 2"),
            ("dangling-xch", "xch, nspin 1"),
            ("dangling-xch-spin", "xch, nspin 2"),
        ],
    )


def onset_cut(page: Page) -> None:
    """The cut of the occupied states: with and without, from the stored Lanczos coefficients."""
    from aiida_siox.science.lanczos import spectrum_from_coefficients

    rows = []
    for name in ("quartz-9", "silicon-8", "quartz-9-xch", "silicon-8-xch", "24-atoms"):
        site = page.one(name)
        if site is None:
            continue
        spectrum = site.spectrum
        zero = spectrum.base.attributes.get("energy_zero_eV")
        energy = spectrum.get_array("energy_xspectra")
        values = {}
        for cut in (True, False):
            parts = [
                spectrum_from_coefficients(spectrum.coefficients(i), energy, zero, cut_occupied=cut, smooth_eV=0.1)
                for i in range(spectrum.n_polarisations)
            ]
            values[cut] = np.mean(parts, axis=0)
        inside = (spectrum.energy >= WINDOW[0]) & (spectrum.energy <= WINDOW[1])
        area = np.trapezoid(values[True][inside], energy[inside])
        below = inside & (energy < 0)
        rows.append(
            [
                name,
                float(np.trapezoid(np.abs(values[True] - values[False])[inside], energy[inside]) / area),
                float(np.trapezoid(values[False][below], energy[below]) / area),
                float(np.trapezoid(values[True][below], energy[below]) / area),
                float(energy[np.argmax(values[False])] - energy[np.argmax(values[True])]),
            ]
        )
    page.table(
        "onset",
        ["case", "L1 of the cut", "area below the zero, uncut", "area below the zero, cut", "Δ white line / eV"],
        rows,
    )


def pseudopotentials(page: Page) -> None:
    """Projectors, their radius, the radial mesh, the cutoffs."""
    compare(
        page,
        "p_projectors",
        "quartz-9-p-2-6",
        [
            ("quartz-9-p-2-6", "p at 2 and 6 Ry, r 1.8"),
            ("quartz-9-p-3-7", "p at 3 and 7 Ry, r 1.8"),
            ("quartz-9", "p at 3 Ry, r 1.8 (default)"),
            ("quartz-9-r-27", "p at 3 Ry, r 2.7"),
            ("quartz-9-p-6", "p at 6 Ry, r 1.8"),
            ("quartz-9-p-6-r-27", "p at 6 Ry, r 2.7"),
        ],
        above_window=True,
    )
    compare(page, "ultrasoft", "quartz-9", [("quartz-9", "PAW (default)"), ("quartz-9-ultrasoft", "ultrasoft")])
    compare(
        page,
        "cutoffs",
        next((name for name in CUTOFFS if name in page.sites), CUTOFFS[-1]),
        [(f"quartz-9-cut-{w}-{r}", f"{w} / {r} Ry") for w, r in ((40, 200),)]
        + [("quartz-9", "50 / 200 Ry (default)")]
        + [(f"quartz-9-cut-{w}-{r}", f"{w} / {r} Ry") for w, r in ((50, 400), (70, 400), (100, 800))],
    )
    compare(
        page,
        "radial_mesh",
        "quartz-9-mesh-long",
        [
            ("quartz-9-mesh-long", "to 100 bohr"),
            ("quartz-9", "to 15 bohr (default)"),
        ],
    )


def meshes(page: Page) -> None:
    """Meshes of k points at the smallest cells, and image holes."""
    compare(
        page,
        "meshes_quartz-9",
        "quartz-9-xspectra-4",
        [
            ("quartz-9-xspectra-4", "SCF 1×1×1, xspectra 4×4×4"),
            ("quartz-9-xspectra-3", "SCF 1×1×1, xspectra 3×3×3"),
            ("quartz-9", "SCF 1×1×1, xspectra 2×2×2 (fast)"),
            ("quartz-9-scf-2", "SCF 2×2×2, xspectra 2×2×2"),
        ],
    )
    compare(
        page,
        "meshes_silicon-8",
        "silicon-8-xspectra-4",
        [
            ("silicon-8-xspectra-4", "SCF 2×2×2, xspectra 4×4×4"),
            ("silicon-8-xspectra-3", "SCF 2×2×2, xspectra 3×3×3"),
            ("silicon-8", "SCF 2×2×2, xspectra 2×2×2"),
        ],
    )
    compare(
        page,
        "lanczos",
        "quartz-9-xerror-4",
        [("quartz-9-xerror-4", "xerror 1e-4"), ("quartz-9", "1e-3 (default)"), ("quartz-9-xerror-2", "1e-2")],
    )
    compare(
        page,
        "lanczos_12-atoms",
        "12-atoms-fast",
        [("12-atoms-fast", "xerror 1e-3 (default)"), ("12-atoms-xerror-2", "1e-2")],
    )
    compare(
        page,
        "image_holes",
        "12-atoms-doubled",
        [
            ("12-atoms-doubled", "24 atoms, one hole"),
            ("12-atoms", "12 atoms"),
        ],
    )


def invariance(page: Page) -> None:
    """One site renumbered and shifted; error bars of the settings."""
    compare(
        page,
        "invariance",
        "24-atoms",
        [
            ("24-atoms", "as it is"),
            ("24-atoms-renumbered", "renumbered, shifted by grid steps"),
            ("24-atoms-shifted", "shifted at will"),
        ],
    )
    rows = []
    for atoms, name, fine in ((12, "12-atoms-fast", "12-atoms-fine"), (24, "24-atoms", "24-atoms-fine")):
        site, reference = page.one(name), page.one(fine)
        if site is None or reference is None:
            continue
        per_site = {engine: seconds / site.n_sites for engine, seconds in site.seconds.items()}
        rows.append(
            [
                atoms,
                l1(site, reference),
                l1(site, reference, reference.white_line - site.white_line),
                site.white_line - reference.white_line,
                site.transition - reference.transition,
                site.valence - reference.valence,
                per_site.get("pw.x (core hole)", 0.0),
                per_site.get("xspectra.x", 0.0),
            ]
        )
    columns = ["atoms", "L1", "L1 aligned", "Δ white line / eV", "Δ transition / eV", "Δ valence / e"]
    page.table("error_bars", [*columns, "CPU core-hole SCF / s", "CPU xspectra / s"], rows)


TABLES = (references, charged_cells, treatments, onset_cut, pseudopotentials, meshes, invariance)

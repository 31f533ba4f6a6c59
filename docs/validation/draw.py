"""Draw the figures and tables of the validation page from the archive of the results, without any engine.

``python docs/validation/draw.py [--archive FILE]``; without FILE from the profile in use (that of ``recompute.py``).
Figures go to ``docs/validation/figures``, the numbers behind them to ``docs/validation/data``, and the tables of the
page to ``docs/validation/tables``.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import click
import numpy as np
import yaml

HERE = pathlib.Path(__file__).parent
GROUP = "siox/validation"
EXTRA = "siox_validation"
#: The window of the networks, 1830 to 1880 eV, on the total-energy axis (calibrated with about −12.76 eV).
WINDOW = (1842.8, 1892.8)
TARGET_EV = 1846.8
STEP_EV = 0.05
#: Cases of higher and higher cutoffs, the highest first: the first that was computed is the reference.
CUTOFFS = ("quartz-9-cut-100-800", "quartz-9-cut-70-400", "quartz-9-cut-50-400")


@dataclasses.dataclass
class Site:
    """One computed site: what the graph knows of it.

    :param spectrum: SpectrumData.
    :param valence: Bader valence in e.
    :param seconds: CPU seconds of the jobs of the case by engine (all sites of the case together).
    """

    case: str
    index: int
    n_atoms: int
    spectrum: Any
    valence: float
    seconds: dict[str, float]
    n_sites: int
    settings: dict[str, Any]

    def on(self, grid: np.ndarray, shift: float = 0.0) -> np.ndarray:
        """Return the polarisation mean on total energies, the spectrum moved up by a shift."""
        return np.asarray(self.spectrum.on_grid(grid - shift))

    @property
    def white_line(self) -> float:
        return float(self.spectrum.white_line)

    @property
    def half_height(self) -> float:
        return float(self.spectrum.half_height)

    @property
    def transition(self) -> float:
        return float(self.spectrum.energies["transition_eV"])


def read_sites() -> dict[str, list[Site]]:
    """Return the sites of every finished case of ``cases.yaml`` from the loaded profile."""
    from aiida import orm

    from aiida_siox.report.timing import study_times

    known = yaml.safe_load((HERE / "cases.yaml").read_text())["cases"]
    query = orm.QueryBuilder().append(orm.Group, filters={"label": GROUP}, tag="group")
    query.append(orm.WorkChainNode, with_group="group", filters={"attributes.exit_status": 0}, project="*")
    found: dict[str, list[Site]] = {}
    for (node,) in query.iterall():
        name = node.base.extras.get(EXTRA, {}).get("name")
        if name not in known or "site_table" not in node.outputs or name in found:
            continue
        table = node.outputs.site_table
        seconds: dict[str, float] = {}
        for job in study_times(node):
            seconds[job.engine] = seconds.get(job.engine, 0.0) + (job.cpu or 0.0)
        rows = {row["index"]: row for row in table.rows()}
        found[name] = [
            Site(
                case=name,
                index=spectrum.site_index,
                n_atoms=len(node.inputs.structure.sites),
                spectrum=spectrum,
                valence=rows[spectrum.site_index]["valence_e"],
                seconds=seconds,
                n_sites=len(rows),
                settings=table.base.attributes.get("settings"),
            )
            for _, spectrum in sorted(node.outputs.spectra.items())
        ]
    return found


def scf_seconds(site: Site) -> float:
    """Return the CPU seconds of the core-hole SCF of a case, or of the only SCF there is."""
    return site.seconds.get("pw.x (core hole)", site.seconds.get("pw.x", 0.0)) / site.n_sites


def grid() -> np.ndarray:
    """Return the energies of the comparison."""
    return np.arange(WINDOW[0], WINDOW[1], STEP_EV)


def l1(a: Site, b: Site, shift: float = 0.0, window: tuple[float, float] = WINDOW) -> float:
    """Return the L1 distance of a site to the reference b in the window, a moved up by a shift."""
    from aiida_siox.science.spectra import l1_distance

    energy = grid()
    energy = energy[(energy >= window[0]) & (energy < window[1])]
    return l1_distance(energy, a.on(energy, shift), b.on(energy))


def best_shift(a: Site, b: Site) -> float:
    """Return the shift of a that brings it closest to b: a spectrum without a hole has no position of its own."""
    shifts = np.arange(-22.0, 0.0, 0.1)
    return float(shifts[np.argmin([l1(a, b, shift) for shift in shifts])])


class Page:
    """Writes tables and figures, and says what is missing."""

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


def compare(page: Page, table: str, reference: str, names: Sequence[tuple[str, str]], extra: Any = None) -> None:
    """Write a table of cases against a reference case."""
    target = page.one(reference)
    if target is None:
        (page.folder / "tables" / f"{table}.md").write_text(f"*The reference `{reference}` is not in this archive.*\n")
        return
    columns = ["case", "transition / eV", "Δ transition / eV", "Δ white line / eV", "Δ half height / eV"]
    columns += ["L1", "L1 aligned", "Δ valence / e", "CPU SCF / s", "CPU xspectra / s"]
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
                site.valence - target.valence,
                scf_seconds(site),
                site.seconds.get("xspectra.x", 0.0) / site.n_sites,
            ]
        )
    page.table(table, columns, rows)


def figure_panels(
    page: Page, name: str, panels: Sequence[tuple[str, Sequence[tuple[str, int, str]]]], **kwargs: Any
) -> None:
    """Draw panels of spectra on the total-energy axis; each panel: title and (case, position, label)."""
    from aiida_siox.report.figures import style as look

    with look.style():
        figure = look.new_figure(4.2 * len(panels), 3.4)
        columns: dict[str, np.ndarray] = {}
        energy = np.arange(WINDOW[0] - 2, WINDOW[1], STEP_EV)
        for k, (title, curves) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), k + 1)
            reference: Site | None = None
            for i, (case, position, label) in enumerate(curves):
                site = page.one(case, position)
                if site is None:
                    continue
                if reference is None:
                    reference = site
                shift = 0.0
                if site.spectrum.treatment == "none" or kwargs.get("align"):
                    shift = best_shift(site, reference)
                values = site.on(energy, shift)
                colour = look.FORMAL_COLOURS[i % len(look.FORMAL_COLOURS)]
                axes.plot(energy, values / reference.spectrum.mean.max(), label=label, color=colour, lw=1.2)
                columns[f"{title} {label}".replace(",", ";")] = values
            axes.set_title(title)
            axes.set_xlabel("total energy (eV)")
            axes.set_xlim(*kwargs.get("xlim", (WINDOW[0], WINDOW[1])))
            axes.set_ylim(bottom=0)
            if k == 0:
                axes.set_ylabel("cross-section / maximum of the first")
            if any(not line.get_label().startswith("_") for line in axes.lines):
                axes.legend(frameon=False, fontsize=7)
        figure.savefig(page.folder / "figures" / f"{name}.png", dpi=160)
    if columns:
        page.curves(f"{name}_curves", energy, columns)


def references(page: Page) -> None:
    """Quartz and silicon: size of the cell, and the Si → SiO₂ shift (like Fig. S1 of the paper)."""
    from aiida_siox.report.figures import style as look

    rows, best = [], {}
    for compound, names in (
        ("quartz", ("quartz-9", "quartz-36", "quartz-72")),
        ("silicon", ("silicon-8", "silicon-16", "silicon-64")),
    ):
        sites = [site for name in names if (site := page.one(name)) is not None]
        if not sites:
            continue
        best[compound] = last = sites[-1]
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
    if len(best) < 2:
        return
    with look.style():
        figure = look.new_figure(5.0, 3.6)
        axes = figure.add_subplot()
        calibration = TARGET_EV - best["quartz"].white_line
        energy = np.arange(1832.0, 1880.0, STEP_EV)
        columns = {}
        for compound, colour, label in (
            ("quartz", look.FORMAL_COLOURS[4], "α-quartz"),
            ("silicon", look.FORMAL_COLOURS[0], "crystalline Si"),
        ):
            site = best[compound]
            values = site.on(energy, calibration)
            axes.plot(
                energy,
                values / best["quartz"].spectrum.mean.max(),
                color=colour,
                label=f"{label}, {site.n_atoms} atoms",
            )
            columns[compound] = values
        for position, label in ((1840.0, "Si, exp."), (1846.5, "SiO₂, exp.")):
            axes.axvline(position, color=look.REFERENCE, lw=1, ls=":")
            axes.text(position, 1.04, label, ha="center", fontsize=7, color=look.MUTED)
        axes.set_xlabel("energy, calibrated with quartz (eV)")
        axes.set_ylabel("cross-section / maximum of quartz")
        axes.set_ylim(0, 1.12)
        axes.set_xlim(1832, 1880)
        axes.legend(frameon=False, loc="upper right")
        figure.savefig(page.folder / "figures" / "references.png", dpi=160)
    page.curves("references_curves", energy, columns)


def charged_cells(page: Page) -> None:
    """Transition energy of the charged hole against the size of the cell, and what it extrapolates to."""
    from aiida_siox.report.figures import style as look

    rows = []
    with look.style():
        figure = look.new_figure(4.2, 3.2)
        axes = figure.add_subplot()
        for i, (compound, names) in enumerate(
            (("quartz", ("quartz-9", "quartz-36", "quartz-72")), ("silicon", ("silicon-8", "silicon-16", "silicon-64")))
        ):
            sites = [site for name in names if (site := page.one(name)) is not None]
            if len(sites) < 2:
                continue
            inverse = np.array([site.n_atoms ** (-1 / 3) for site in sites])
            energy = np.array([site.transition for site in sites])
            white = np.array([site.white_line for site in sites])
            colour = look.FORMAL_COLOURS[4 if compound == "quartz" else 0]
            axes.plot(inverse, energy - energy[-1], "o-", color=colour, label=f"{compound}, transition")
            axes.plot(inverse, white - white[-1], "s--", color=colour, label=f"{compound}, white line", alpha=0.7)
            for site in sites:
                rows.append(
                    [
                        compound,
                        site.n_atoms,
                        site.transition - energy[-1],
                        site.spectrum.energies["energy_zero_eV"],
                        site.white_line - white[-1],
                    ]
                )
            del i
        axes.axhline(0, color=look.GRID, zorder=0)
        axes.set_xlabel(r"$N_{\mathrm{atoms}}^{-1/3}$")
        axes.set_ylabel("difference to the largest cell (eV)")
        if rows:
            axes.legend(frameon=False, fontsize=7)
        figure.savefig(page.folder / "figures" / "charged_cells.png", dpi=160)
    page.table(
        "charged_cells", ["compound", "atoms", "Δ transition / eV", "energy zero / eV", "Δ white line / eV"], rows
    )


def treatments(page: Page) -> None:
    """Full core hole, excited electron, no hole; equivalent sites beside a gap level; spin."""
    figure_panels(
        page,
        "treatments",
        [
            (
                "α-quartz, 9 atoms",
                [("quartz-9", 0, "fch"), ("quartz-9-xch", 0, "xch"), ("quartz-9-none", 0, "none, aligned")],
            ),
            (
                "Si, 8 atoms",
                [("silicon-8", 0, "fch"), ("silicon-8-xch", 0, "xch"), ("silicon-8-none", 0, "none, aligned")],
            ),
        ],
    )
    rows = []
    for compound, name in (("quartz-9", "quartz-9"), ("silicon-8", "silicon-8")):
        for suffix in ("", "-xch", "-none"):
            site, reference = page.one(name + suffix), page.one(name)
            if site is None or reference is None:
                continue
            shift = best_shift(site, reference) if suffix == "-none" else 0.0
            rows.append(
                [
                    compound,
                    suffix[1:] or "fch",
                    site.transition,
                    site.half_height,
                    site.white_line,
                    l1(site, reference, shift),
                ]
            )
    page.table(
        "treatments", ["cell", "hole", "transition / eV", "half height / eV", "white line / eV", "L1 to fch"], rows
    )
    figure_panels(
        page,
        "vacancy",
        [
            (
                f"quartz with a vacancy, {hole}",
                [(f"vacancy-{hole}", i, label) for i, label in enumerate(("3.5 Å away", "5.0 Å away", "8.3 Å away"))],
            )
            for hole in ("fch", "xch")
        ],
        xlim=(1854, 1880),
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
                for i in range(len(spectrum.get_array("norm")))
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
    )
    figure_panels(
        page,
        "projectors",
        [
            (
                "α-quartz: p projectors of silicon",
                [
                    ("quartz-9-p-2-6", 0, "2 and 6 Ry, 1.8 bohr"),
                    ("quartz-9", 0, "3 Ry, 1.8 bohr (default)"),
                    ("quartz-9-p-6", 0, "6 Ry, 1.8 bohr"),
                    ("quartz-9-p-6-r-27", 0, "6 Ry, 2.7 bohr"),
                ],
            )
        ],
        xlim=(1854, 1905),
    )
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
        "quartz-9-xspectra-3",
        [
            ("quartz-9-xspectra-3", "SCF 1×1×1, xspectra 3×3×3"),
            ("quartz-9", "SCF 1×1×1, xspectra 2×2×2 (fast)"),
            ("quartz-9-scf-2", "SCF 2×2×2, xspectra 2×2×2"),
        ],
    )
    compare(
        page,
        "meshes_silicon-8",
        "silicon-8-xspectra-3",
        [("silicon-8-xspectra-3", "SCF 2×2×2, xspectra 3×3×3"), ("silicon-8", "SCF 2×2×2, xspectra 2×2×2")],
    )
    compare(
        page,
        "lanczos",
        "quartz-9-xerror-4",
        [("quartz-9-xerror-4", "xerror 1e-4"), ("quartz-9", "1e-3 (default)"), ("quartz-9-xerror-2", "1e-2")],
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


def draw(folder: pathlib.Path) -> Page:
    """Draw everything from the loaded profile into a folder."""
    page = Page(read_sites(), folder)
    for part in (references, charged_cells, treatments, onset_cut, pseudopotentials, meshes, invariance):
        part(page)
    return page


@click.command(help=__doc__)
@click.option("--archive", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path), help="AiiDA archive.")
@click.option("--output", type=click.Path(file_okay=False, path_type=pathlib.Path), default=HERE, help="Folder.")
def main(archive: pathlib.Path | None, output: pathlib.Path) -> None:
    if archive is None:
        from aiida import load_profile

        load_profile()
        page = draw(output)
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["AIIDA_PATH"] = folder
            from aiida.manage import get_manager
            from aiida.storage.sqlite_zip.backend import SqliteZipBackend

            profile = SqliteZipBackend.create_profile(archive)
            get_manager().load_profile(profile)
            page = draw(output)
    click.echo(f"{len(page.sites)} cases drawn.")
    if page.missing:
        click.echo(f"Not computed: {', '.join(sorted(page.missing))}.")


if __name__ == "__main__":
    main()

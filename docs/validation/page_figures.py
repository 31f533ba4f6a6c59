"""The figures of the validation page, and the curves in them as csv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from page_sites import ABOVE_WINDOW, STEP_EV, WINDOW, Site, best_shift
from page_tables import SIZES, TREATMENTS, Page

#: Maximum of quartz on the calibrated axis (eV).
TARGET_EV = 1846.8


def figure_panels(
    page: Page, name: str, panels: Sequence[tuple[str, Sequence[tuple[str, int, str]]]], **kwargs: Any
) -> None:
    """Draw panels of spectra on the total-energy axis; each panel: title and (case, position, label)."""
    from aiida_siox.report.figures import style as look

    with look.style():
        figure = look.new_figure(4.2 * len(panels), 3.4)
        columns: dict[str, np.ndarray] = {}
        xlim = kwargs.get("xlim", WINDOW)
        energy = np.arange(WINDOW[0] - 2, max(WINDOW[1], xlim[1]), STEP_EV)
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
            axes.set_xlim(*xlim)
            axes.set_ylim(bottom=0)
            if k == 0:
                axes.set_ylabel("cross-section / maximum of the first")
            if any(not line.get_label().startswith("_") for line in axes.lines):
                axes.legend(frameon=False, fontsize=7)
        figure.savefig(page.folder / "figures" / f"{name}.png", dpi=160)
    if columns:
        page.curves(f"{name}_curves", energy, columns)


def references(page: Page) -> None:
    """Draw quartz and silicon in their largest cells, calibrated with quartz (like Fig. S1 of the paper)."""
    from aiida_siox.report.figures import style as look

    best = {compound: sites[-1] for compound, names in SIZES.items() if (sites := page.several(names))}
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
    """Draw the transition energy of the charged hole against the size of the cell."""
    from aiida_siox.report.figures import style as look

    with look.style():
        figure = look.new_figure(4.2, 3.2)
        axes = figure.add_subplot()
        for compound, names in SIZES.items():
            sites = page.several(names)
            if len(sites) < 2:
                continue
            inverse = np.array([site.n_atoms ** (-1 / 3) for site in sites])
            energy = np.array([site.transition for site in sites])
            white = np.array([site.white_line for site in sites])
            colour = look.FORMAL_COLOURS[4 if compound == "quartz" else 0]
            axes.plot(inverse, energy - energy[-1], "o-", color=colour, label=f"{compound}, transition")
            axes.plot(inverse, white - white[-1], "s--", color=colour, label=f"{compound}, white line", alpha=0.7)
        axes.axhline(0, color=look.GRID, zorder=0)
        axes.set_xlabel(r"$N_{\mathrm{atoms}}^{-1/3}$")
        axes.set_ylabel("difference to the largest cell (eV)")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=7)
        figure.savefig(page.folder / "figures" / "charged_cells.png", dpi=160)


def treatments(page: Page) -> None:
    """Draw the treatments of the hole, and equivalent sites beside a gap level."""
    labels = {"fch": "fch", "xch": "xch", "none": "none, aligned"}
    panels = [
        (cell, [(name, position, labels[hole]) for hole, (name, position) in names.items()])
        for cell, names in TREATMENTS.items()
    ]
    figure_panels(page, "treatments", panels)
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


def pseudopotentials(page: Page) -> None:
    """Draw what the p projectors do to the spectrum."""
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
        xlim=(1854, ABOVE_WINDOW[1]),
    )


FIGURES = (references, charged_cells, treatments, pseudopotentials)

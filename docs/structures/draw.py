"""Figures and tables of the set of amorphous structures, from its archive, without an engine.

``python docs/structures/draw.py [--archive FILE | --profile]`` writes ``figures/*.png``, ``tables/*.csv`` and, for the
page to include, ``tables/*.md``. Processes are found by the extra ``siox_structures`` of StructureSetWorkChains:
``set``, ``large``, ``rate/2.5e+12`` (K/s), and ``protocol/free``, ``protocol/paper``, ``protocol/free_below_3000`` or
``protocol/fixed``; another name is told. Figures and
tables of a series that is not in the archive are left out, and the command says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import numpy as np
from aiida import orm
from ase import Atoms
from matplotlib.figure import Figure
from PIL import Image

from aiida_siox.report.figures.style import style
from aiida_siox.science import diffraction
from aiida_siox.science.acceptance import count_acceptance
from aiida_siox.science.published import MEASURED_DENSITIES, PAPER_DENSITIES
from aiida_siox.workflows.configuration_lane import configuration_label
from aiida_siox.workflows.diffraction import DiffractionProtocol

FOLDER = pathlib.Path(__file__).parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "reference_data")]
import set_figures as figures  # noqa: E402
from describe import opened, write  # noqa: E402

del sys.path[:2]

EXTRA = "siox_structures"
DPI = 150
MAX_BYTES = 400_000
UNITS = {
    "_g_cm3": "g/cm³",
    "_K_per_s": "K/s",
    "_percent": "%",
    "_per_angstrom": "Å⁻¹",
    "_angstrom": "Å",
    "_degrees": "°",
    "_eV_per_atom": "eV/atom",
}
HEADINGS = {
    **{f"SiO{n}_percent": f"[SiSi{4 - n}O{n}]" if n < 4 else f"[SiO{n}]" for n in range(9)},
    "SiO0_percent": "[SiSi4]",
    "SiO1_percent": "[SiSi3O]",
    "SiO3_percent": "[SiSiO3]",
    "from_paper_percent": "Δ paper",
    "from_measured_percent": "Δ measured",
    "Si_O_angstrom": "Si–O",
    "Si_Si_angstrom": "Si–Si",
    "Si_O_Si_degrees": "Si–O–Si",
    "O_Si_O_degrees": "O–Si–O",
    "O_with_three_Si_percent": "O with three Si",
    "void_percent": "void volume",
    "fourfold_Si_percent": "four-fold Si",
    "first_peak_neutron_per_angstrom": "first peak, neutrons",
    "first_peak_xray_per_angstrom": "first peak, X-rays",
}
PROTOCOLS = ("free", "paper", "free_below_3000", "fixed")
#: Of the series whose mean S(q) is read at x = 2: words for the table.
LARGE = "large"


@dataclasses.dataclass
class Cell:
    """Numbers and atoms of a cell."""

    quality: dict[str, Any]
    atoms: Atoms


@dataclasses.dataclass
class Series:
    """What the StructureSetWorkChains of one name gave, by label; the last one where labels are the same.

    :param requested: formula and seed by label.
    :param rejected: qualities of rejected cells.
    :param rate: of the quench in K/s.
    """

    requested: dict[str, tuple[str, int]] = dataclasses.field(default_factory=dict)
    qualities: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    profiles: dict[str, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    structures: dict[str, Any] = dataclasses.field(default_factory=dict)
    attempts: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    rejected: dict[str, list[Cell]] = dataclasses.field(default_factory=dict)
    rate: float | None = None

    @property
    def labels(self) -> list[str]:
        """Labels of accepted cells by composition and seed."""
        return sorted(self.qualities, key=lambda label: (self.qualities[label]["x"], self.requested[label][1]))

    @property
    def all_qualities(self) -> list[dict[str, Any]]:
        """Qualities of accepted and of rejected cells."""
        return [cell.quality for cell in self.cells]

    @property
    def cells(self) -> list[Cell]:
        """Accepted and rejected cells."""
        accepted = [Cell(quality, self.structures[label]) for label, quality in self.qualities.items()]
        return [*accepted, *(cell for each in self.rejected.values() for cell in each)]

    def add(self, node: orm.WorkChainNode) -> None:
        """Add the outputs of a StructureSetWorkChain."""
        labels = {configuration_label(formula, seed): (formula, seed) for formula, seed in configurations_of(node)}
        for label in labels:
            for field in (self.qualities, self.profiles, self.structures, self.attempts, self.rejected):
                field.pop(label, None)
        self.requested |= labels
        self.rate = rate_of(node)
        self.qualities |= {label: each.get_dict() for label, each in outputs(node, "qualities", orm.Dict)}
        self.attempts |= {label: each.get_dict() for label, each in outputs(node, "attempts", orm.Dict)}
        self.structures |= {label: each.get_ase() for label, each in outputs(node, "structures", orm.StructureData)}
        for label, each in outputs(node, "profiles", orm.ArrayData):
            self.profiles[label] = {name: each.get_array(name) for name in each.get_arraynames()}
        for label, cell in rejected_of(node):
            self.rejected.setdefault(label, []).append(cell)


def configurations_of(node: orm.WorkChainNode) -> list[list[Any]]:
    """Return formula and seed of the configurations that a set was asked for."""
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={"uuid": node.uuid}, tag="set")
    query.append(orm.List, with_outgoing="set", edge_filters={"label": "configurations"})
    return query.one()[0].get_list()


def rate_of(node: orm.WorkChainNode) -> float | None:
    """Return the rate of the quench in K/s of the first formula of a set."""
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={"uuid": node.uuid}, tag="set")
    query.append(orm.Dict, with_outgoing="set", edge_filters={"label": {"like": "melt_quench__%__parameters"}})
    found = query.first(flat=True)
    if found is None:
        return None
    parameters = found.get_dict()
    return float(parameters["melt_temperature_K"] - parameters["final_temperature_K"]) / (
        parameters["quench_time_ps"] * 1e-12
    )


def outputs(node: orm.WorkChainNode, namespace: str, kind: type) -> list[tuple[str, Any]]:
    """Return label and node of each output in a namespace."""
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={"uuid": node.uuid}, tag="set")
    query.append(
        kind,
        with_incoming="set",
        edge_filters={"label": {"like": f"{namespace}__%"}},
        edge_project="label",
        project="*",
    )
    return [(link.removeprefix(f"{namespace}__"), found) for found, link in query.all()]


def rejected_of(node: orm.WorkChainNode) -> list[tuple[str, Cell]]:
    """Return label and cell of what ConfigurationWorkChains under a set have rejected."""
    found: dict[str, dict[tuple[str, str], Any]] = {}
    for namespace, kind in (("rejected_qualities", orm.Dict), ("rejected", orm.StructureData)):
        query = orm.QueryBuilder().append(orm.WorkChainNode, filters={"uuid": node.uuid}, tag="set")
        query.append(orm.WorkChainNode, with_incoming="set", tag="lane")
        query.append(orm.WorkChainNode, with_incoming="lane", edge_project="label", tag="configuration")
        query.append(
            kind,
            with_incoming="configuration",
            edge_filters={"label": {"like": f"{namespace}\\_\\_%"}},
            edge_project="label",
            project="*",
        )
        found[namespace] = {(label, link.removeprefix(f"{namespace}__")): each for each, label, link in query.all()}
    return [
        (key[0].removeprefix("melt_quench_"), Cell(quality.get_dict(), found["rejected"][key].get_ase()))
        for key, quality in found["rejected_qualities"].items()
    ]


def read() -> dict[str, Series]:
    """Return the series of the loaded profile by name."""
    query = orm.QueryBuilder().append(
        orm.WorkChainNode,
        filters={"extras": {"has_key": EXTRA}, "attributes.process_label": "StructureSetWorkChain"},
        project=["*", f"extras.{EXTRA}"],
        tag="set",
    )
    found: dict[str, Series] = {}
    for node, name in query.order_by({"set": "ctime"}).all():
        found.setdefault(name, Series()).add(node)
    return found


def number(value: float | None, decimals: int) -> str:
    """Return a number as text, nothing for none."""
    return "" if value is None else f"{value:.{decimals}f}"


def deviation(value: float, reference: float | None) -> str:
    """Return a relative deviation in percent."""
    return "" if reference is None else f"{100 * (value / reference - 1):+.1f}"


def three_silicon_percent(quality: dict[str, Any]) -> float | None:
    """Return the share of O with three Si; None without O."""
    share = figures.three_silicon_share(quality)
    return None if share is None else 100 * share


def configuration_rows(series: Series) -> list[dict[str, Any]]:
    """Return one line for each accepted cell."""
    measured = {x: value for x, value, *_ in reversed(MEASURED_DENSITIES)}
    highest = max(len(figures.unit_shares(quality)) for quality in series.qualities.values())
    lines = []
    for label in series.labels:
        quality = series.qualities[label]
        x, density = round(quality["x"], 6), quality["density_g_cm3"]
        own = figures.unit_shares(quality)
        shares = np.pad(own, (0, highest - len(own)))
        total = {int(n): count for n, count in quality["coordination_total"].items()}
        lengths, angles = quality["bond_lengths"], quality["bond_angles"]
        accepted = series.attempts.get(label, {}).get("accepted_seed")
        lines.append(
            {
                "label": label,
                "seed": series.requested[label][1] if accepted is None else accepted,
                "x": number(x, 2),
                "density_g_cm3": number(density, 3),
                "from_paper_percent": deviation(density, PAPER_DENSITIES.get(x)),
                "from_measured_percent": deviation(density, measured.get(x)),
                **{f"SiO{n}_percent": number(100 * share, 1) for n, share in enumerate(shares)},
                "neighbours_of_Si": number(sum(n * count for n, count in total.items()) / sum(total.values()), 2),
                "O_around_Si": number(quality["mean_n_oxygen"], 2),
                "Si_O_angstrom": number(lengths.get("Si-O", {}).get("mean"), 3),
                "Si_Si_angstrom": number(lengths.get("Si-Si", {}).get("mean"), 3),
                "Si_O_Si_degrees": number(angles.get("Si-O-Si", {}).get("mean"), 1),
                "O_Si_O_degrees": number(angles.get("O-Si-O", {}).get("mean"), 1),
                "O_with_three_Si_percent": number(three_silicon_percent(quality), 0),
                "void_percent": number(100 * quality["void_fraction"], 2),
                "largest_void_angstrom": number(quality["largest_void_angstrom"], 2),
                "first_peak_neutron_per_angstrom": number(quality.get("first_peak_neutron_per_angstrom"), 2),
                "first_peak_xray_per_angstrom": number(quality.get("first_peak_xray_per_angstrom"), 2),
                "energy_eV_per_atom": number(quality.get("energy_per_atom_eV"), 4),
                "flags": ", ".join(quality["flags"]) or "none",
            }
        )
    return lines


def acceptance_rows(series: Series) -> list[dict[str, Any]]:
    """Return requested and accepted cells by composition, by the science function of the workflow."""
    counted = count_acceptance(
        [formula for formula, _ in series.requested.values()], list(series.attempts.values()), figures.SIOX
    )
    order = sorted(counted["order"], key=lambda formula: counted[formula]["x"])
    return [
        {
            "formula": formula,
            "x": number(counted[formula]["x"], 2),
            **{name: counted[formula][name] for name in ("requested", "accepted", "attempts")},
            "rate": number(counted[formula]["rate"], 2),
            "rejected_by": ", ".join(f"{rule} ({n})" for rule, n in counted[formula]["reasons"].items()) or "–",
        }
        for formula in order
    ]


def series_rows(column: str, series: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return mean and half of the range over all cells, rejected ones too, by name of the series and composition."""

    def spread(values: Sequence[float | None], decimals: int) -> str:
        known = [value for value in values if value is not None]
        if not known:
            return ""
        text = f"{np.mean(known):.{decimals}f}"
        return text if len(known) == 1 else f"{text} ± {(max(known) - min(known)) / 2:.{decimals}f}"

    return [
        {
            column: name,
            "x": number(x, 2),
            "cells": len(cells),
            "rejected": sum(not cell.get("accepted", True) for cell in cells),
            "density_g_cm3": spread([cell["density_g_cm3"] for cell in cells], 3),
            "fourfold_Si_percent": spread([100 * figures.fourfold_share(cell) for cell in cells], 1),
            "O_with_three_Si_percent": spread([three_silicon_percent(cell) for cell in cells], 0),
            "void_percent": spread([100 * cell["void_fraction"] for cell in cells], 1),
            "energy_eV_per_atom": spread([cell.get("energy_per_atom_eV") for cell in cells], 4),
        }
        for name, qualities in series.items()
        for x, cells in figures.by_composition(qualities).items()
    ]


def heading(column: str) -> str:
    """Return the name of a column for readers, its unit in brackets."""
    for ending, unit in UNITS.items():
        if column.endswith(ending):
            return f"{HEADINGS.get(column, column.removesuffix(ending).replace('_', ' '))} ({unit})"
    return HEADINGS.get(column, column.replace("_", " "))


def table(
    folder: pathlib.Path, name: str, lines: list[dict[str, Any]], fragments: dict[str, tuple[str, ...]] | None = None
) -> None:
    """Write a table as csv, and as markdown: all columns, or those of each fragment by name."""
    write(folder, name, lines)
    for fragment, columns in (fragments or {name: tuple(lines[0])}).items():
        text = ["| " + " | ".join(heading(column) for column in columns) + " |", "|" + " --- |" * len(columns)]
        text += ["| " + " | ".join(str(line[column]) or "–" for column in columns) + " |" for line in lines]
        (folder / "tables" / f"{fragment}.md").write_text("\n".join(text) + "\n")


def save(folder: pathlib.Path, name: str, make: Callable[[], Figure]) -> None:
    """Write a figure as PNG of 256 colours, at a lower resolution when it would be too large."""
    with style():
        figure = make()
        for dpi in (DPI, 125, 100, 80):
            buffer, small = io.BytesIO(), io.BytesIO()
            figure.savefig(buffer, format="png", dpi=dpi)
            image = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
            image.save(small, format="png", optimize=True, dpi=(dpi, dpi))
            if small.tell() <= MAX_BYTES:
                break
    path = folder / "figures" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small.getvalue())


def draw_set(folder: pathlib.Path, series: Series) -> None:
    """Draw what the set itself shows."""
    labels = series.labels
    qualities = [series.qualities[label] for label in labels]
    curves = [(series.qualities[label], series.profiles[label]) for label in labels if label in series.profiles]
    first = {round(series.qualities[label]["x"], 6): label for label in reversed(labels) if label in series.structures}
    save(folder, "cells", lambda: figures.cells_figure([series.structures[first[x]] for x in sorted(first)]))
    save(folder, "units", lambda: figures.units_figure(qualities))
    save(folder, "density", lambda: figures.density_figure(qualities))
    if curves:
        save(folder, "distributions", lambda: figures.distribution_figure(curves))
        save(folder, "scattering", lambda: figures.scattering_figure(curves))
    else:
        click.echo("No profiles in the set: figures/distributions.png and figures/scattering.png are left out.")
    lines = configuration_rows(series)
    names = list(lines[0])
    middle = names.index("neighbours_of_Si")
    fragments = {
        "configurations": (*names[:middle], "flags"),
        "geometry": (names[0], *(name for name in names[middle:] if name != "flags")),
    }
    table(folder, "configurations", lines, fragments)


def silica_peaks(found: dict[str, Series]) -> list[dict[str, Any]]:
    """Return the first sharp peak of the mean neutron S(q) of silica, of accepted and of all cells of a series.

    ``error`` is that of the jackknife over cells, ``height`` is S(q) at the peak; both peaks are in Å⁻¹.
    """
    numbers = DiffractionProtocol.get_parameters()
    grid = [numbers[key] for key in ("q_max", "q_step", "q_width")]

    def peak(some: Sequence[diffraction.StructureFactors]) -> tuple[float, float]:
        mean = diffraction.mean_structure_factors(some)
        place = diffraction.first_sharp_peak(mean.q, mean.neutron, numbers["first_peak"])
        return (np.nan, np.nan) if place is None else (place, float(np.interp(place, mean.q, mean.neutron)))

    peaks = []
    for name, only_accepted in (("set", True), ("set", False), (LARGE, False)):
        cells = [cell for cell in found.get(name, Series()).cells if round(cell.quality["x"], 6) == 2]
        cells = [cell for cell in cells if cell.quality["accepted"] or not only_accepted]
        if not cells:
            continue
        factors = [diffraction.structure_factors(cell.atoms, *grid) for cell in cells]
        place, height = peak(factors)
        n = len(factors)
        without = np.array([peak([*factors[:i], *factors[i + 1 :]])[0] for i in range(n)] if n > 1 else [np.nan])
        peaks.append(
            {
                "series": name,
                "only_accepted": only_accepted,
                "qualities": [cell.quality for cell in cells],
                "peak": place,
                "error": float(np.sqrt((n - 1) * np.mean((without - without.mean()) ** 2))),
                "height": height,
            }
        )
    return peaks


def peak_rows(peaks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the table of :func:`silica_peaks`."""
    return [
        {
            "cells of silica": f"{entry['series']}, {'accepted' if entry['only_accepted'] else 'all'}",
            "cells": len(entry["qualities"]),
            "atoms of each": "/".join(sorted({str(quality["n_atoms"]) for quality in entry["qualities"]})),
            "density_g_cm3": f"{np.mean([quality['density_g_cm3'] for quality in entry['qualities']]):.3f}",
            "first_peak_neutron_per_angstrom": f"{entry['peak']:.2f} ± {entry['error']:.2f}",
            "S(q) at the peak": f"{entry['height']:.2f}",
        }
        for entry in peaks
    ]


def rates_of(found: dict[str, Series]) -> dict[float, list[dict[str, Any]]]:
    """Return the qualities by quench rate, those of the set among them where it has the same compositions."""
    rates = {
        float(name.removeprefix("rate/")): series.all_qualities
        for name, series in found.items()
        if name.startswith("rate/") and series.all_qualities
    }
    if rates and "set" in found and (own := found["set"].rate) is not None:
        compositions = {x for qualities in rates.values() for x in figures.by_composition(qualities)}
        cells = [cell for cell in found["set"].all_qualities if round(cell["x"], 6) in compositions]
        own = float(f"{own:.3g}")
        if cells and own not in rates:
            rates[own] = cells
    return dict(sorted(rates.items()))


def draw(folder: pathlib.Path) -> None:
    """Draw everything that the loaded profile has."""
    found = read()
    whole = found.get("set")
    if whole is not None and whole.qualities:
        draw_set(folder, whole)
        click.echo(f"set: {len(whole.qualities)} of {len(whole.requested)} cells.")
    else:
        click.echo("No accepted cells of `set`: cells, units, densities, g(r), S(q) and their table are left out.")
    if whole is not None:
        table(folder, "acceptance", acceptance_rows(whole))
    rates = rates_of(found)
    if rates:
        save(folder, "rates", lambda: figures.rate_figure(rates))
        table(folder, "rates", series_rows("rate_K_per_s", {f"{rate:g}": cells for rate, cells in rates.items()}))
        click.echo(f"rates: {', '.join(f'{rate:g}' for rate in rates)} K/s.")
    else:
        click.echo("No cells of `rate/…`: figure and table of quench rates are left out.")
    if peaks := silica_peaks(found):
        table(folder, "peaks", peak_rows(peaks))
    if others := [name for name in found if name not in ("set", LARGE) and name.partition("/")[0] != "rate"
                  and name not in {f"protocol/{each}" for each in PROTOCOLS}]:  # fmt: skip
        click.echo(f"Not drawn, since no figure is for them: {', '.join(others)}.")
    protocols = {
        name: found[f"protocol/{name}"].all_qualities
        for name in PROTOCOLS
        if f"protocol/{name}" in found and found[f"protocol/{name}"].all_qualities
    }
    if protocols:
        save(folder, "protocols", lambda: figures.protocol_figure(protocols))
        table(folder, "protocols", series_rows("protocol", protocols))
        click.echo(f"protocols: {', '.join(protocols)}.")
    else:
        click.echo("No cells of `protocol/…`: figure and table of pressure protocols are left out.")


@click.command(help=__doc__)
@click.option("--archive", default=FOLDER / "set.aiida.xz", type=click.Path(dir_okay=False, path_type=pathlib.Path))
@click.option("--profile", is_flag=True, help="Read the default profile instead of an archive.")
@click.option("--output", default=FOLDER, type=click.Path(file_okay=False, path_type=pathlib.Path), help="Folder.")
def main(archive: pathlib.Path, profile: bool, output: pathlib.Path) -> None:
    if not profile and not archive.exists():
        raise click.ClickException(f"{archive} does not exist.")
    if profile:
        from aiida import load_profile

        load_profile()
    with contextlib.nullcontext() if profile else opened(archive):
        draw(output)


if __name__ == "__main__":
    main()

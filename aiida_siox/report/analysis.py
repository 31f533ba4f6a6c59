"""The report of an analysis: one folder with a page, its figures as PNG and PDF, and their numbers as CSV."""

from __future__ import annotations

import datetime
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from aiida_siox import __version__
from aiida_siox.report.analysis_words import Words, figures_of
from aiida_siox.report.figures.scores import METHODS, SPLITS, score_of, scored
from aiida_siox.report.figures.style import VARIANTS
from aiida_siox.report.page import Absent, Block, Page, Section, Table, Tile, Undrawn, number, signed, write_page
from aiida_siox.report.reading import dataset_records
from aiida_siox.report.records import (
    AnalysisPart,
    NotDrawn,
    Parts,
    SiteRecords,
    estimate,
    label_of,
    plural,
    r2_words,
    unit_of,
    with_note,
)
from aiida_siox.science.quantity import Kind

SECTIONS = {
    "scores": "Scores",
    "spectra": "Spectra",
    "averages": "Averaged spectra",
    "uncertainty": "Trust",
}
PAGE = "report.html"
#: Numbers of a list in a model card that are written out.
MOST_NUMBERS = 12


def write_analysis_report(
    folder: str | pathlib.Path, dataset: Any, parts: Mapping[str, Any], models: Mapping[str, Any]
) -> pathlib.Path:
    """Write the report of an analysis into a folder; files of the same names are written over.

    A figure that cannot be drawn is left out, and the page says why.

    :param folder: made when it is not there; gets ``report.html`` and ``figures/``.
    :param dataset: DatasetData node.
    :param parts: AnalysisData nodes by the name of the part.
    :param models: ModelData nodes by the property that they read; may be empty.
    :returns: the absolute path of the page.
    :raises ValueError: if a part belongs to another data set.
    """
    digest = str(dataset.base.attributes.get("digest", None) or "unknown")
    read = {name: AnalysisPart.of(name, node) for name, node in parts.items()}
    for name, part in read.items():
        other = part.attributes.get("dataset_digest")
        if other not in (None, digest):
            raise ValueError(
                f"the part `{name}` is of the data set {str(other)[:12]}, the report of {digest[:12]}: analyse "
                "this data set, or give the other one."
            )
    page = analysis_page(dataset_records(dataset), read, models, node_facts(dataset, parts))
    folder = pathlib.Path(folder).expanduser().resolve()
    return write_page(page, folder / PAGE, folder / "figures")


def analysis_page(
    records: SiteRecords, parts: Parts, models: Mapping[str, Any], facts: Sequence[tuple[str, str]] = ()
) -> Page:
    """Return the report of an analysis.

    :param facts: names and values of what else the head of the page says.
    """
    blocks: dict[str, list[Block]] = {"scores": score_tables(records, parts), "spectra": []}
    if not blocks["scores"]:
        blocks["scores"] = [Absent("the splits were not analysed")]
    titles = dict(SECTIONS)
    for name, quantity in records.quantities.items():
        blocks[name], titles[name] = [], quantity.title
    blocks["averages"], blocks["uncertainty"] = average_table(records, parts), []
    for words, draw in figures_of(records, parts):
        blocks[words.section].append(drawn(words, functools.partial(draw, records, parts)))
    sections = [Section(key, titles[key], found) for key, found in blocks.items() if found]
    missing = [f"{block.title}: {block.reason}" for found in blocks.values() for block in found
               if isinstance(block, Undrawn)]  # fmt: skip
    for part in parts.values():
        unavailable = part.attributes.get("scores_unavailable") or {}
        missing += [f"the {kind} split: {reason}" for kind, reason in unavailable.items()]
    cards: list[Block] = [card_table(records, name, model) for name, model in models.items()]
    material = records.material
    return Page(
        title=f"Analysis of {records.origin}",
        heading=f"{material.title}: what the spectra tell",
        lead=f"Analysis of {records.origin}: networks read properties of the {material.absorber} sites from computed "
        f"{material.absorber} {material.edge}-edge spectra. Every score stands beside what no skill would give, and "
        "beside the test on glasses that were never learned from.",
        protocol=records.protocol,
        tiles=tiles(records, parts),
        facts=[*facts, *part_facts(records, parts)],
        missing=missing,
        sections=[
            Section("data", "Data set", [count_table(records)]),
            *sections,
            Section("models", "Models", cards or [Absent("no model was kept")]),
        ],
    )


def drawn(words: Words, draw: Callable[[], Any]) -> Block:
    """Return a figure for the page, or the reason why there is none."""
    try:
        drawing = draw()
    except NotDrawn as exception:
        return Undrawn(words.title, str(exception))
    described: Block = drawing.described(
        name=words.name, title=words.title, explanation=words.explanation, paper=words.paper
    )
    return described


def node_facts(dataset: Any, parts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the nodes say of themselves."""
    attributes = dataset.base.attributes
    gamma, digest, shift = (attributes.get(key, None) for key in ("gamma_eV", "settings_digest", "shift_eV"))
    pks = [f"{name} {node.pk}" for name, node in parts.items() if getattr(node, "pk", None)]
    rows = [
        ("Data set", f"PK {dataset.pk}"),
        ("UUID", str(dataset.uuid)),
        ("Data set digest", str(attributes.get("digest", None) or "unknown")),
        ("Broadening", "" if gamma is None else f"Lorentzian, half width {float(gamma):g} eV"),
        ("Settings digest", str(digest or "")),
        ("Calibration", "" if shift is None else f"{signed(float(shift), 3)} eV"),
        ("Parts (PK)", ", ".join(pks)),
    ]
    return [(name, value) for name, value in rows if value]


def part_facts(records: SiteRecords, parts: Parts) -> list[tuple[str, str]]:
    """Return what was analysed, as pairs of name and value."""
    energy = f"{records.energy[0]:.2f} to {records.energy[-1]:.2f} eV, {len(records.energy)} points, calibrated axis"
    notes = [f"{quantity.title} {quantity.note}" for quantity in records.quantities.values() if quantity.note]
    counted = [f"{name} {part.seeds()}" for name, part in parts.items() if part.attributes.get("n_seeds") is not None]
    seconds = [part.attributes.get("seconds") for part in parts.values()]
    known = [float(value) for value in seconds if value is not None]
    rows = [
        ("Computed with", f"{records.protocol}, core hole {records.treatment}"),
        ("Energies", energy),
        ("Broadening of properties", ", ".join(notes)),
        ("Parts", ", ".join(parts) or "none"),
        ("Seeds", ", ".join(counted)),
        ("Time of the analysis", f"{sum(known) / 60:.1f} min" if known else ""),
        ("Report written", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, aiida-siox {__version__}"),
    ]
    return [(name, value) for name, value in rows if value]


def tiles(records: SiteRecords, parts: Parts) -> list[Tile]:
    """Return the headline numbers."""
    compositions = plural(len(np.unique(records.x)), "composition")
    found = [Tile(str(len(records)), f"{records.element} sites", f"{records.counted}, {compositions}")]
    nothing = AnalysisPart("", {}, {})
    splits, averages, uncertainty = (parts.get(name, nothing) for name in ("splits", "averages", "uncertainty"))
    for name, quantity in records.quantities.items():
        unit, title = unit_of(quantity), quantity.title
        for kind in ("grouped", "random"):
            value = estimate(splits.find("scores", name, kind))
            if value is None:
                continue
            none = estimate(splits.find("scores", name, kind, "rmse_no_skill"))
            beside = f"{kind} split, {splits.seeds(name, kind)}" + (f", no skill {none.mean:.3f}" if none else "")
            found.append(Tile(f"{value.mean:.3f}{unit}", f"RMSE of {title}", with_note(beside, quantity)))
        if quantity.kind is not Kind.SCALAR:
            continue
        for variant in ("mixtures", "sites"):
            value = estimate(averages.find("scores", name, variant))
            if value is not None:
                beside = f"averaged spectra, trained on {variant}"
                found.append(Tile(f"{value.mean:.3f}{unit}", f"RMSE of the mean {title}", beside))
                break
        value = estimate(uncertainty.find("coverage", name, "coverage"))
        if value is not None:
            level = uncertainty.level("coverage")
            found.append(Tile(f"{value.mean:.1%}", f"of {title} inside their {level}interval", "grouped split"))
    return found


def count_table(records: SiteRecords) -> Table:
    """Return how many configurations and sites of each composition there are, and with how many ligands."""
    last = records.material.max_ligands + 1
    states = np.minimum(records.ligands, last)
    scalars = records.of_kind(Kind.SCALAR)
    rows = []
    for value in [*np.unique(records.x).tolist(), None]:
        cells = [cell for cell in records.cells if value in (None, cell.x)]
        mine = np.full(len(records), True) if value is None else records.site_x == value
        means = [records.values[quantity.name][mine, 0] for quantity in scalars]
        rows.append([
            "all" if value is None else f"{value:g}",
            "" if value is None else ", ".join(sorted({cell.formula for cell in cells})),
            str(len(cells)), str(sum(cell.complete for cell in cells)),
            f"{int(mine.sum())}/{sum(cell.n_absorbers for cell in cells)}",
            *(str(int((states[mine] == n).sum())) for n in range(last + 1)),
            *(number(float(np.nanmean(mean)), 3) if np.isfinite(mean).any() else "–" for mean in means),
        ])  # fmt: skip
    symbol = records.ligand_symbol
    head = ["x", "Formulas", "Configurations", "Averaged", "Sites done", *(f"{symbol} = {n}" for n in range(last))]
    return Table(
        [*head, f"{symbol} ≥ {last}", *(label_of(quantity, "Mean ") for quantity in scalars)], rows,
        f"Sites of the {records.origin} by composition and number of ligands ({records.protocol}). Averaged: "
        f"configurations with at least 95 % of their {records.element} sites.", left=2, kind="total",
    )  # fmt: skip


def score_tables(records: SiteRecords, parts: Parts) -> list[Block]:
    """Return a table for each property: networks, baselines and no skill below each other, splits side by side."""
    if "splits" not in parts:
        return []
    part, blocks = parts["splits"], []
    for quantity, found in scored(records, part).items():
        kinds = [kind for kind in SPLITS if kind in found]
        counts = [" / ".join(str(found[kind].get(key, "–")) for key in ("n_train", "n_test")) for kind in kinds]
        rows = [["training / test sites", *counts]]
        for method, (words, *_) in METHODS.items():
            values = [score_of(found[kind], method) for kind in kinds]
            if any(value is not None for value in values):
                rows.append([words, *("–" if value is None else value.words() for value in values)])
        r2, skill = ([estimate(found[kind].get(key)) for kind in kinds] for key in ("r2", "skill"))
        rows.append(["R² of the networks", *("–" if value is None else r2_words(value.mean) for value in r2)])
        rows.append(["skill of the networks", *("–" if value is None else number(value.mean, 2) for value in skill)])
        seeds = ", ".join(f"{kind} {part.seeds(quantity.name, kind)}" for kind in kinds)
        name = with_note(f"RMSE of {label_of(quantity)}", quantity)
        blocks.append(
            Table(
                [name, *kinds], rows,
                f"{name} on the test sites ({records.protocol}; {seeds}); in brackets the {part.level('confidence')}"
                "confidence interval of the mean over seeds. Composition: one composition left out at a time. "
                "Skill: 1 − RMSE / no skill.",
            )
        )  # fmt: skip
    return list(blocks)


def average_table(records: SiteRecords, parts: Parts) -> list[Block]:
    """Return the scores of averaged spectra."""
    if "averages" not in parts:
        return []
    part, rows = parts["averages"], []
    for quantity, found in scored(records, part).items():
        for variant, (_, words) in VARIANTS.items():
            if not found.get(variant):
                continue
            keys = ("rmse", "r2", "rmse_no_skill", "total_variation")
            rmse, r2, none, distance = (estimate(found[variant].get(key)) for key in keys)
            bias = found[variant].get("bias")
            rows.append([
                label_of(quantity), words, "–" if rmse is None else rmse.words(),
                "–" if r2 is None else r2_words(r2.mean), number(none.mean if none else None, 3),
                "–" if bias is None else signed(float(bias), 3), number(distance.mean if distance else None, 3),
            ])  # fmt: skip
    head = ["Property", "Networks", "RMSE", "R²", "No skill", "Bias", "Total variation"]
    notes = [with_note(quantity.title, quantity) for quantity in records.quantities.values() if quantity.note]
    words = f"Averaged spectra of configurations that were never in training ({records.protocol}, {part.seeds()}; "
    return [Table(head, rows, f"{words}{'; '.join(notes)}).", left=2)] if rows else []


def card_table(records: SiteRecords, name: str, model: Any) -> Table:
    """Return the card of a model as pairs of name and text."""
    card = model.base.attributes.get("card", None) or {"card": "this model has none"}
    title = f"Model of {records.quantities[name].title if name in records.quantities else name}, PK {model.pk}"
    return Table((), flattened(card), f"Model card ({records.protocol}).", left=2, kind="card", title=title)


def flattened(card: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as pairs of ``a · b`` and text: a group of plain values in one row, long lists cut."""
    rows: list[tuple[str, str]] = []
    for key, value in card.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            if any(isinstance(entry, Mapping | list | tuple) for entry in value.values()):
                rows += flattened(value, f"{prefix}{key} · ")
            else:
                plain = [f"{k.replace('_', ' ')} {_text(v)}" for k, v in value.items() if v is not None]
                rows.append((name, ", ".join(plain) or "–"))
        elif value is not None:
            rows.append((name, _text(value)))
    return rows


def _text(value: Any) -> str:
    """Return a value of a card as text: four digits, lists of sentences one after another."""
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(entry)}" for key, entry in value.items())
    if not isinstance(value, list | tuple):
        return str(value)
    if len(value) > MOST_NUMBERS and not any(isinstance(entry, str) for entry in value):
        return f"{len(value)} numbers, {_text(value[0])} to {_text(value[-1])}"
    sentences = all(isinstance(entry, str) and entry.endswith(".") for entry in value)
    return (" " if sentences else ", ").join(_text(entry) for entry in value)

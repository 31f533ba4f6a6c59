"""The report of an analysis: one folder with a page, its figures as PNG and PDF, and their numbers as CSV."""

from __future__ import annotations

import datetime
import os
import pathlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from aiida_siox import __version__
from aiida_siox.report.analysis_figures import FIGURES, FigureOf
from aiida_siox.report.analysis_tables import average_rows, card_rows, count_rows, score_blocks
from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.analysis_common import NotDrawn, Part, Parts, Source, estimate
from aiida_siox.report.figures.analysis_files import write_drawing
from aiida_siox.report.page import environment, signed

SECTIONS = {
    "scores": "Scores",
    "spectra": "Spectra",
    "valence": "Valence",
    "rdf": "Distances",
    "averages": "Averaged spectra",
    "uncertainty": "Trust",
}
PAGE = "report.html"


def write_analysis_report(
    folder: str | pathlib.Path, dataset: Any, parts: Mapping[str, Any], models: Mapping[str, Any]
) -> pathlib.Path:
    """Write the report of an analysis into a folder; files of the same names are written over.

    A figure that cannot be drawn is left out, and the page says why.

    :param folder: made when it is not there; gets ``report.html`` and ``figures/``.
    :param dataset: DatasetData node.
    :param parts: AnalysisData nodes (or anything with ``arrays`` and ``attributes``) by the name of the part.
    :param models: ModelData nodes by target; may be empty.
    :returns: the absolute path of the page.
    :raises ValueError: if a part belongs to another data set.
    """
    source = Source.of(dataset)
    read = {name: Part.of(name, node) for name, node in parts.items()}
    for name, part in read.items():
        digest = part.attributes.get("dataset_digest")
        if digest not in (None, source.digest):
            raise ValueError(
                f"the part `{name}` is of the data set {str(digest)[:12]}, the report of {source.digest[:12]}: analyse "
                "this data set, or give the other one."
            )
    facts = _facts(dataset, parts)
    return write_page(pathlib.Path(folder), source, read, models, facts)


def write_page(
    folder: pathlib.Path,
    source: Source,
    parts: Parts,
    models: Mapping[str, Any],
    facts: list[tuple[str, str]],
) -> pathlib.Path:
    """Draw everything and write the page; see :func:`write_analysis_report`.

    :param facts: name and value of what else the head of the page says.
    """
    folder = folder.expanduser().resolve()
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    figures = [_drawn(spec, source, parts, folder) for spec in FIGURES]
    missing = [f"{entry['title']}: {entry['reason']}" for entry in figures if entry["reason"]]
    for part in parts.values():
        unavailable = part.attributes.get("scores_unavailable") or {}
        missing += [f"the {kind} split: {reason}" for kind, reason in unavailable.items()]
    context = {
        "title": f"Analysis of data set {source.digest[:8]}",
        "version": __version__,
        "protocol": source.protocol,
        "tiles": _tiles(source, parts),
        "missing": missing,
        "header": _header(source, parts, facts),
        "counts": count_rows(source),
        "scores": score_blocks(source, parts),
        "averages": average_rows(source, parts),
        "sections": [
            (key, name, [entry for entry in figures if entry["section"] == key]) for key, name in SECTIONS.items()
        ],
        "models": [card_rows(target, model) for target, model in models.items()],
    }
    page = folder / PAGE
    page.write_text(environment().get_template("analysis.html.j2").render(**context), encoding="utf-8")
    return page


def _drawn(spec: FigureOf, source: Source, parts: Parts, folder: pathlib.Path) -> dict[str, Any]:
    """Return a figure for the page, or the reason why there is none; write its files."""
    entry: dict[str, Any] = {
        key: getattr(spec, key) for key in ("name", "section", "title", "paper", "explanation")
    } | {"uri": None, "files": [], "note": "", "reason": ""}
    try:
        drawing = spec.draw(source, parts)
    except NotDrawn as exception:
        return entry | {"reason": str(exception)}
    written = write_drawing(drawing, folder / "figures", spec.name, spec.title)
    files = [("PNG", written.png), ("PDF", written.pdf)]
    files += [("CSV" if len(written.csv) == 1 else f"CSV {path.stem.removeprefix(spec.name).strip('_')}", path)
              for path in written.csv]  # fmt: skip
    return entry | {
        "uri": st.data_uri(written.png.read_bytes(), "image/png"),
        "note": drawing.note,
        "files": [(name, os.fspath(path.relative_to(folder))) for name, path in files],
    }


def _facts(dataset: Any, parts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the nodes say of themselves."""
    rows = [("Data set", f"PK {dataset.pk}"), ("UUID", str(dataset.uuid))]
    digest = dataset.base.attributes.get("settings_digest", None)
    gamma = dataset.base.attributes.get("gamma_eV", None)
    if gamma is not None:
        rows.append(("Broadening", f"Lorentzian, half width {float(gamma):g} eV"))
    if digest:
        rows.append(("Settings digest", str(digest)))
    pks = [f"{name} {node.pk}" for name, node in parts.items() if getattr(node, "pk", None)]
    if pks:
        rows.append(("Parts (PK)", ", ".join(pks)))
    return rows


def _header(source: Source, parts: Parts, facts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what was analysed, as pairs of name and value."""
    sites = source.sites
    seconds = {name: part.attributes.get("seconds") for name, part in parts.items()}
    rows = [
        *facts,
        ("Data set digest", source.digest),
        ("Computed with", f"{source.protocol}, core hole {source.treatment}"),
        (
            "Energies",
            f"{sites.energy[0]:.2f} to {sites.energy[-1]:.2f} eV, {len(sites.energy)} points, calibrated axis",
        ),
        ("Broadening of g(R)", f"Gaussian, σ = {sites.sigma_angstrom:g} Å"),
        ("Parts", ", ".join(parts) or "none"),
    ]
    if source.shift_eV is not None:
        rows.append(("Calibration", f"{signed(source.shift_eV, 3)} eV"))
    counted = {name: part.seeds() for name, part in parts.items() if part.attributes.get("n_seeds") is not None}
    if counted:
        rows.append(("Seeds", ", ".join(f"{name} {words}" for name, words in counted.items())))
    if any(value is not None for value in seconds.values()):
        total = sum(float(value) for value in seconds.values() if value is not None)
        rows.append(("Time of the analysis", f"{total / 60:.1f} min"))
    written = datetime.datetime.now(datetime.UTC)
    rows.append(("Report written", f"{written:%Y-%m-%d %H:%M} UTC, aiida-siox {__version__}"))
    return rows


def _tiles(source: Source, parts: Parts) -> list[tuple[str, str, str]]:
    """Return the headline numbers: value, what it is, and what stands beside it."""
    sites = source.sites
    counts = Counter(float(value) for value in sites.x)
    tiles = [
        (
            str(len(sites)),
            "silicon sites",
            f"{source.configurations}, {len(counts)} compositions",
        )
    ]
    splits = parts.get("splits")
    for target, words, unit in (("valence", "RMSE of the valence", " e"), ("rdf", "RMSE of g(R)", "")):
        for kind in ("grouped", "random"):
            found = None if splits is None else estimate(splits.find("scores", target, kind))
            if splits is None or found is None:
                continue
            none = estimate(splits.find("scores", target, kind, "rmse_no_skill"))
            beside = f"{kind} split, {splits.seeds(target, kind)}"
            beside += f", no skill {none.mean:.3f}" if none else ""
            beside += f", σ = {sites.sigma_angstrom:g} Å" if target == "rdf" else ""
            tiles.append((f"{found.mean:.3f}{unit}", words, beside))
    averages = parts.get("averages")
    for variant in ("mixtures", "sites"):
        found = None if averages is None else estimate(averages.find("scores", "valence", variant))
        if found is not None:
            tiles.append((f"{found.mean:.3f} e", "RMSE of the mean valence", f"averaged spectra, trained on {variant}"))
            break
    uncertainty = parts.get("uncertainty")
    coverage = None if uncertainty is None else estimate(uncertainty.find("coverage", "valence", "coverage"))
    if coverage is not None and np.isfinite(coverage.mean):
        tiles.append((f"{coverage.mean:.1%}", "of valences inside their 90 % interval", "grouped split"))
    return tiles

"""Valences read from spectra against Bader valences: whole spectra (Figs. 3, S4) and energy windows (Figs. 5, S5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.analysis_common import (
    TRAINING,
    WIDTH,
    Array,
    Drawing,
    NotDrawn,
    Part,
    Parts,
    Source,
    corner,
    estimate,
    formal_handles,
    formal_marker,
    head,
    known_rows,
    part_of,
    plural,
    r2_of,
    rmse_of,
)
from aiida_siox.report.figures.parity import r2_words

REFERENCE_LABEL = "Bader valence (e)"
PREDICTED_LABEL = "Valence read from the spectrum (e)"


def parity_limits(values: Sequence[Array]) -> tuple[float, float]:
    """Return limits with a margin around all numbers that are known."""
    everything = np.concatenate([np.ravel(v) for v in values])
    everything = everything[np.isfinite(everything)]
    margin = 0.05 * max(float(np.ptp(everything)), 0.5)
    return float(everything.min()) - margin, float(everything.max()) + margin


def parity_panel(
    axes: Axes,
    source: Source,
    predicted: Array,
    fitted: Array | None,
    limits: tuple[float, float],
    small: bool = False,
) -> NDArray[np.int64]:
    """Draw training sites in grey and test sites by formal valence; return the rows of the test sites.

    :param predicted: valence in e of the test sites, NaN elsewhere, shape (n,).
    :param fitted: the same of the training sites, or None.
    """
    sites = source.sites
    rows = known_rows(predicted)
    size = (5.0 if small else 13.0) * (1.0 if len(rows) < 400 else 0.5)
    axes.plot(limits, limits, color=st.REFERENCE, lw=0.9, zorder=1)
    if fitted is not None:
        train = known_rows(fitted)
        many = len(train) > 1500
        axes.scatter(
            sites.valence[train], fitted[train], s=0.6 * size, color=TRAINING, linewidths=0, zorder=2, rasterized=many
        )
    for n in sorted({int(n) for n in sites.n_oxygen[rows]}):
        mine = rows[sites.n_oxygen[rows] == n]
        axes.scatter(
            sites.valence[mine], predicted[mine], s=size, color=st.formal_colour(n), marker=formal_marker(n),
            edgecolors="white", linewidths=0.15 if small else 0.35, zorder=3, rasterized=len(mine) > 1500,
        )  # fmt: skip
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    axes.set_aspect("equal")
    return rows


def _table(source: Source, predicted: Array, fitted: Array | None) -> dict[str, Any]:
    """Return the rows behind a panel, training after test."""
    parts = [("test", predicted)] + ([("training", fitted)] if fitted is not None else [])
    columns: dict[str, list[Any]] = {}
    for word, values in parts:
        rows = known_rows(values)
        block = {
            **source.site_columns(rows),
            "set": [word] * len(rows),
            "Bader valence (e)": source.sites.valence[rows],
            "valence from the spectrum (e)": values[rows],
        }
        for key, column in block.items():
            columns.setdefault(key, []).extend(column)
    return columns


def _score_words(scores: Any, rmse: float, r2: float | None, seeds: str) -> str:
    """Return RMSE, R² and no skill for the corner of a panel."""
    lines = [f"RMSE {rmse:.3f} e   R² {r2_words(r2)}"]
    scores = scores or {}
    mean = estimate(scores.get("rmse"))
    if mean is not None:
        lines.append(f"{seeds}: {mean.words(' e')}")
    none = estimate(scores.get("rmse_no_skill"))
    if none is not None:
        lines.append(f"no skill {none.mean:.3f} e")
    return "\n".join(lines)


def _split_parity(source: Source, part: Part, suffix: str, network: bool) -> Drawing:
    """Draw a panel for the random and one for the grouped split."""
    wanted = [kind for kind in ("random", "grouped") if f"valence_{kind}_{suffix}" in part.arrays]
    if not wanted:
        raise NotDrawn(f"the part `{part.name}` has no `valence_random_{suffix}` and no `valence_grouped_{suffix}`")
    predicted = {kind: part.array(f"valence_{kind}_{suffix}").astype(float) for kind in wanted}
    fitted = {
        kind: part.array(f"valence_{kind}_fitted").astype(float)
        for kind in wanted
        if network and f"valence_{kind}_fitted" in part.arrays
    }
    limits = parity_limits([source.sites.valence, *predicted.values(), *fitted.values()])
    note = source.note(part.seeds("valence", wanted[-1]))
    tables = {}
    with st.style():
        figure = st.new_figure(WIDTH if len(wanted) > 1 else 0.6 * WIDTH, 3.8)
        panels = figure.subplots(1, len(wanted), sharex=True, sharey=True, squeeze=False)[0]
        for axes, kind in zip(panels, wanted, strict=True):
            rows = parity_panel(axes, source, predicted[kind], fitted.get(kind), limits)
            reference, found = source.sites.valence[rows], predicted[kind][rows]
            scores = part.find("scores", "valence", kind) or {}
            if not network:
                descriptors = (scores.get("baselines") or {}).get("descriptors")
                scores = {"rmse": descriptors, "rmse_no_skill": scores.get("rmse_no_skill")}
            text = _score_words(scores, rmse_of(found, reference), r2_of(found, reference), part.seeds("valence", kind))
            corner(axes, f"{text}\n{plural(len(rows), 'test site')}", "upper left")
            words = "unseen configurations" if kind == "grouped" else "80/20 over sites"
            axes.set_title(f"{kind} split: {words}", fontsize=8.5)
            axes.set_xlabel(REFERENCE_LABEL)
            tables[f"_{kind}"] = _table(source, predicted[kind], fitted.get(kind))
        panels[0].set_ylabel(PREDICTED_LABEL if network else "Valence from three descriptors (e)")
        shown = np.concatenate([source.sites.n_oxygen[known_rows(values)] for values in predicted.values()])
        handles = formal_handles(shown, bool(fitted))
        head(figure, note, handles, ncols=7)
    return Drawing(figure, tables, note)


def valence_parity(source: Source, parts: Parts) -> Drawing:
    """Draw the parity of the valence for the random and the grouped split (Fig. 3)."""
    return _split_parity(source, part_of(parts, "splits"), "predicted", network=True)


def descriptor_parity(source: Source, parts: Parts) -> Drawing:
    """Draw the same for the linear regression on three descriptors (Fig. S4)."""
    return _split_parity(source, part_of(parts, "splits"), "descriptors_predicted", network=False)


def _window_parity(source: Source, parts: Parts, narrow: bool) -> Drawing:
    part = part_of(parts, "windows")
    names = [str(name) for name in part.array("window_names")]
    wanted = [i for i, name in enumerate(names) if (len(name) == 1) == narrow or name == "full"]
    if len(wanted) < 2:
        raise NotDrawn(f"the part `windows` has only the windows {', '.join(names)}")
    predicted = part.array("valence_window_predicted").astype(float)
    fitted = part.array("valence_window_fitted").astype(float) if "valence_window_fitted" in part.arrays else None
    shown = [predicted[wanted]] + ([] if fitted is None else [fitted[wanted]])
    limits = parity_limits([source.sites.valence, *shown])
    rows = -(-len(wanted) // 3)
    note = source.note("random split", f"first of {part.seeds('valence', names[wanted[-1]])}")
    table: dict[str, list[Any]] = {}
    with st.style():
        figure = st.new_figure(WIDTH, 0.75 + 2.2 * rows)
        grid = figure.subplots(rows, 3, sharex=True, sharey=True, squeeze=False)
        for axes, index in zip(grid.flat, wanted, strict=False):
            training = None if fitted is None else fitted[index]
            test = parity_panel(axes, source, predicted[index], training, limits, small=True)
            reference, found = source.sites.valence[test], predicted[index][test]
            low, high = part.array("windows_eV")[index]
            axes.set_title(f"{names[index]}  {low:.2f}–{high:.2f} eV", fontsize=8.5)
            corner(
                axes,
                f"RMSE {rmse_of(found, reference):.3f} e\nR² {r2_words(r2_of(found, reference))}",
                where="upper left",
                size=7,
            )
            block = {"window": [names[index]] * len(test)} | _table(source, predicted[index], None)
            if training is not None:
                full = _table(source, predicted[index], training)
                block = {"window": [names[index]] * len(full["set"])} | full
            for key, column in block.items():
                table.setdefault(key, []).extend(column)
        st.label_last_rows(grid, len(wanted))
        none = estimate(part.find("scores", "valence", names[wanted[-1]], "rmse_no_skill"))
        figure.supxlabel(REFERENCE_LABEL, fontsize=9)
        figure.supylabel("Predicted valence (e)", fontsize=9)
        n_oxygen = source.sites.n_oxygen[known_rows(predicted[wanted[0]])]
        handles = formal_handles(n_oxygen, fitted is not None)
        title = None if none is None else f"No skill: RMSE {none.mean:.3f} e"
        head(figure, note, handles, ncols=7, title=title)
    return Drawing(figure, {"": table}, note)


def window_parity(source: Source, parts: Parts) -> Drawing:
    """Draw the parity of networks that see one narrow window each, and of the full spectrum (Fig. 5)."""
    return _window_parity(source, parts, narrow=True)


def band_parity(source: Source, parts: Parts) -> Drawing:
    """Draw the same for the two bands of 25 eV (Fig. S5)."""
    return _window_parity(source, parts, narrow=False)

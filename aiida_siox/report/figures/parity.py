"""Scalars read from spectra against their references: whole spectra (Figs. 3, S4) and energy windows (Figs. 5, S5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st
from aiida_siox.report.records import (
    AnalysisPart,
    Array,
    NotDrawn,
    Parts,
    Readings,
    SiteRecords,
    columns_of,
    estimate,
    known_rows,
    label_of,
    part_of,
    plural,
    r2_of,
    r2_words,
    rmse_of,
    unit_of,
)
from aiida_siox.science.quantity import Quantity

SPLIT_WORDS = {"random": "80/20 over sites", "grouped": "unseen configurations"}


def limits_of(found: Sequence[Readings]) -> tuple[float, float]:
    """Return limits with a margin around all numbers of readings of one property."""
    values = [array for r in found for array in (r.reference, r.predicted, r.fitted) if array is not None]
    return limits_around(values, found[0].quantity.error_scale)


def limits_around(values: Sequence[Array], error_scale: float) -> tuple[float, float]:
    """Return limits with a margin around all numbers that are known."""
    everything = np.concatenate([np.ravel(v) for v in values])
    everything = everything[np.isfinite(everything)]
    margin = 0.05 * max(float(np.ptp(everything)), 5 * error_scale)
    return float(everything.min()) - margin, float(everything.max()) + margin


def parity_panel(
    axes: Axes, records: SiteRecords, readings: Readings, limits: tuple[float, float], small: bool = False
) -> None:
    """Draw training sites in grey and test sites by formal valence."""
    reference, rows = readings.reference[:, 0], readings.test
    size = (5.0 if small else 13.0) * (1.0 if len(rows) < 400 else 0.5)
    axes.plot(limits, limits, color=st.REFERENCE, lw=0.9, zorder=1)
    if readings.fitted is not None:
        train = known_rows(readings.fitted)
        axes.scatter(
            reference[train], readings.fitted[train, 0], s=0.6 * size, color=st.TRAINING, linewidths=0, zorder=2,
            rasterized=len(train) > 1500,
        )  # fmt: skip
    st.formal_points(
        axes, records, rows, reference[rows], readings.predicted[rows, 0], size, edgecolors="white",
        linewidths=0.15 if small else 0.35,
    )  # fmt: skip
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    axes.set_aspect("equal")


def parity_columns(records: SiteRecords, readings: Readings) -> dict[str, Any]:
    """Return the rows behind a panel, training after test."""
    label = label_of(readings.quantity)
    columns: dict[str, list[Any]] = {}
    for word, values in (("test", readings.predicted), ("training", readings.fitted)):
        if values is None:
            continue
        rows = known_rows(values)
        block = {
            **records.site_columns(rows), "set": [word] * len(rows), label: readings.reference[rows, 0],
            f"{label}, read from the spectrum": values[rows, 0],
        }  # fmt: skip
        for key, column in block.items():
            columns.setdefault(key, []).extend(column)
    return columns


def score_words(readings: Readings) -> str:
    """Return RMSE and R² of what is drawn, and the scores over seeds, for the corner of a panel."""
    rows, unit = readings.test, unit_of(readings.quantity)
    found, reference = readings.predicted[rows], readings.reference[rows]
    lines = [f"RMSE {rmse_of(found, reference):.3f}{unit}   R² {r2_words(r2_of(found, reference))}"]
    means = {
        f"{readings.seeds}:": estimate(readings.scores.get("rmse")) if readings.seeds else None,
        "no skill": estimate(readings.scores.get("rmse_no_skill")),
        "composition mean": estimate((readings.scores.get("baselines") or {}).get("composition_mean")),
    }
    lines += [
        f"{words} {value.words(unit) if words.endswith(':') else f'{value.mean:.3f}{unit}'}"
        for words, value in means.items()
        if value is not None
    ]
    return "\n".join([*lines, plural(len(rows), "test site")])


def split_parity(records: SiteRecords, found: Sequence[Readings], read_by: str = "read from the spectrum") -> Drawing:
    """Draw a panel for each split.

    :param found: readings of one scalar.
    :param read_by: how, for the axis.
    """
    quantity = found[0].quantity
    limits = limits_of(found)
    note = records.note(quantity.note, found[-1].seeds)
    with st.style():
        figure = st.new_figure(st.WIDTH if len(found) > 1 else 0.6 * st.WIDTH, 3.98)
        panels = figure.subplots(1, len(found), sharex=True, sharey=True, squeeze=False)[0]
        for axes, readings in zip(panels, found, strict=True):
            parity_panel(axes, records, readings, limits)
            st.corner(axes, score_words(readings), "upper left")
            st.title(axes, f"{readings.split} split: {SPLIT_WORDS.get(readings.split, 'unseen compositions')}")
            axes.set_xlabel(label_of(quantity))
        panels[0].set_ylabel(f"{label_of(quantity)}, {read_by}")
        shown = np.concatenate([readings.test for readings in found])
        trained = any(readings.fitted is not None for readings in found)
        st.head(figure, note, st.formal_handles(records, shown, trained), ncols=7)
    return Drawing(figure, {f"_{r.split}": parity_columns(records, r) for r in found}, note)


def readings_of(
    records: SiteRecords, part: AnalysisPart, quantity: Quantity, descriptors: bool = False
) -> list[Readings]:
    """Return what the part `splits` read of a property in the random and the grouped split.

    :param descriptors: by the linear regression on three descriptors, not by the networks.
    :raises NotDrawn: if there is neither.
    """
    name, end = quantity.name, "_descriptors_predicted" if descriptors else "_predicted"
    found = []
    for split in SPLIT_WORDS:
        if f"{name}_{split}{end}" not in part.arrays:
            continue
        fitted = None if descriptors else part.arrays.get(f"{name}_{split}_fitted")
        scores: Mapping[str, Any] = part.find("scores", name, split) or {}
        if descriptors:
            rmse = (scores.get("baselines") or {}).get("descriptors")
            scores = {"rmse": rmse, "rmse_no_skill": scores.get("rmse_no_skill")}
        errors = None if descriptors else part.arrays.get(f"{name}_{split}_site_rmse")
        found.append(
            Readings(
                quantity, split, records.values[name], columns_of(part.array(f"{name}_{split}{end}")),
                None if fitted is None else columns_of(fitted), scores, part.seeds(name, split),
                None if errors is None else np.atleast_2d(errors)[0].astype(float),
            )
        )  # fmt: skip
    if not found:
        raise NotDrawn(f"the part `{part.name}` has no `{name}_random{end}` and no `{name}_grouped{end}`")
    return found


def networks(records: SiteRecords, parts: Parts, quantity: Quantity) -> Drawing:
    """Draw the parity of the networks for the random and the grouped split (Fig. 3)."""
    return split_parity(records, readings_of(records, part_of(parts, "splits"), quantity))


def descriptors(records: SiteRecords, parts: Parts, quantity: Quantity) -> Drawing:
    """Draw the same for the linear regression on three descriptors (Fig. S4)."""
    found = readings_of(records, part_of(parts, "splits"), quantity, descriptors=True)
    return split_parity(records, found, "from three descriptors")


def chosen_windows(part: AnalysisPart, narrow: bool) -> tuple[list[str], list[int]]:
    """Return the names of all windows, and which of them are drawn: narrow ones or bands, and the full spectrum.

    :raises NotDrawn: if there are none of that kind.
    """
    names = [str(name) for name in part.array("window_names")]
    wanted = [i for i, name in enumerate(names) if (len(name) == 1) == narrow or name == "full"]
    if len(wanted) < 2:
        raise NotDrawn(f"the part `windows` has only the windows {', '.join(names)}")
    return names, wanted


def windows(records: SiteRecords, parts: Parts, quantity: Quantity, narrow: bool = True) -> Drawing:
    """Draw the parity of networks that see one narrow window each (Fig. 5), or one band (Fig. S5), and of the whole."""
    part, name = part_of(parts, "windows"), quantity.name
    names, wanted = chosen_windows(part, narrow)
    predicted, fitted = part.array(f"{name}_window_predicted"), part.arrays.get(f"{name}_window_fitted")
    found = {
        i: Readings(
            quantity, "random", records.values[name], columns_of(predicted[i]),
            None if fitted is None else columns_of(fitted[i]), part.find("scores", name, names[i]) or {},
        )
        for i in wanted
    }  # fmt: skip
    limits = limits_of(list(found.values()))
    n_rows = -(-len(wanted) // 3)
    note = records.note("random split", f"first of {part.seeds(name, names[wanted[-1]])}")
    table: dict[str, list[Any]] = {}
    with st.style():
        figure = st.new_figure(st.WIDTH, 0.75 + 2.2 * n_rows)
        grid = figure.subplots(n_rows, 3, sharex=True, sharey=True, squeeze=False)
        for axes, (i, readings) in zip(grid.flat, found.items(), strict=False):
            parity_panel(axes, records, readings, limits, small=True)
            low, high = part.array("windows_eV")[i]
            st.title(axes, f"{names[i]}  {low:.2f}–{high:.2f} eV")
            st.corner(axes, "\n".join(score_words(readings).split("\n")[0].split("   ")), "upper left", 7)
            columns = parity_columns(records, readings)
            for key, column in ({"window": [names[i]] * len(columns["set"])} | columns).items():
                table.setdefault(key, []).extend(column)
        st.label_last_rows(grid, len(wanted))
        figure.supxlabel(label_of(quantity), fontsize=9)
        figure.supylabel(label_of(quantity, "Predicted "), fontsize=9)
        none = estimate(found[wanted[-1]].scores.get("rmse_no_skill"))
        st.head(
            figure, note, st.formal_handles(records, found[wanted[0]].test, fitted is not None), ncols=7,
            title=None if none is None else f"No skill: RMSE {none.mean:.3f}{unit_of(quantity)}",
        )  # fmt: skip
    return Drawing(figure, {"": table}, note)

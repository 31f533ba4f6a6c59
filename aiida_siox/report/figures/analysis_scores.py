"""Scores of all splits side by side, and the learning curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from aiida_siox.report.figures import style as st
from aiida_siox.report.figures.analysis_common import (
    PREDICTED,
    WIDTH,
    Array,
    Drawing,
    Estimate,
    NotDrawn,
    Parts,
    Source,
    corner,
    estimate,
    head,
    part_of,
)

#: Split → its name below the axis; the last leaves one composition out at a time.
SPLITS = {"random": "random", "grouped": "grouped", "composition": "left-out x"}
#: Target → how its RMSE is called.
TARGETS = {"valence": "valence (e)", "rdf": "g(R)", "oxidation": "oxidation (share)"}
#: Key in the scores → name, colour, marker; the last is whether it is a baseline.
METHODS: dict[str, tuple[str, str, str, bool]] = {
    "rmse": ("networks (ensemble)", PREDICTED, "o", False),
    "rmse_single": ("one network", "#e08a1e", "D", False),
    "kernel_ridge": ("kernel ridge", "#3b6fb6", "s", True),
    "descriptors": ("three descriptors, linear", "#7b4fa3", "^", True),
    "composition_mean": ("mean of the composition", "#2f9e6e", "v", True),
    "rmse_no_skill": ("no skill (mean)", st.INK, "_", False),
    "shuffled": ("shuffled targets", "#66727f", "x", True),
}


def score_of(scores: Any, method: str) -> Estimate | None:
    """Return the RMSE of a method from the scores of one target and split, None where there is none."""
    scores = scores or {}
    return estimate((scores.get("baselines") or {}).get(method) if METHODS[method][3] else scores.get(method))


def splits_side_by_side(source: Source, parts: Parts) -> Drawing:
    """Draw the RMSE of networks, baselines and no skill for every split, with confidence intervals over seeds."""
    part = part_of(parts, "splits")
    found = part.find("scores") or {}
    targets = [target for target in TARGETS if found.get(target)]
    if not targets:
        raise NotDrawn("the part `splits` has no scores")
    sigma = source.sites.sigma_angstrom
    seeds = {target: part.seeds(target, next(iter(found[target]))) for target in targets}
    same = len(set(seeds.values())) == 1
    note = source.note(next(iter(seeds.values())) if same else ", ".join(f"{t}: {n}" for t, n in seeds.items()))
    table: dict[str, list[Any]] = {}
    used: list[str] = []
    with st.style():
        figure = st.new_figure(WIDTH if len(targets) > 1 else 0.6 * WIDTH, 3.5)
        panels = figure.subplots(1, len(targets), squeeze=False)[0]
        for axes, target in zip(panels, targets, strict=True):
            kinds = [kind for kind in SPLITS if kind in found[target]]
            for place, kind in enumerate(kinds):
                for number, (method, (words, colour, marker, _)) in enumerate(METHODS.items()):
                    value = score_of(found[target][kind], method)
                    if value is None:
                        continue
                    used.append(method)
                    spot = place + 0.105 * (number - (len(METHODS) - 1) / 2)
                    if value.low is not None and value.high is not None:
                        axes.plot([spot, spot], [value.low, value.high], color=colour, lw=1.3, zorder=2)
                    axes.plot([spot], [value.mean], ls="", marker=marker, ms=5, color=colour, zorder=3)
                    row = {
                        "target": target, "split": kind, "method": words, "RMSE (unit of the target)": value.mean,
                        "90 % interval low": _or_nan(value.low), "90 % interval high": _or_nan(value.high),
                    }  # fmt: skip
                    for key, cell in row.items():
                        table.setdefault(key, []).append(cell)
            unit = TARGETS[target] + (f", σ = {sigma:g} Å" if target == "rdf" else "")
            axes.set_title(unit, fontsize=8.5)
            axes.set_xticks(range(len(kinds)), [SPLITS[kind] for kind in kinds])
            axes.set_xlim(-0.5, len(kinds) - 0.5)
            axes.grid(visible=False, axis="x")
            for border in range(1, len(kinds)):
                axes.axvline(border - 0.5, color=st.GRID, lw=1.0)
            axes.set_ylim(bottom=0)
            axes.tick_params(axis="x", length=0)
        panels[0].set_ylabel("RMSE of the test sites")
        handles = [
            Line2D([], [], ls="", marker=marker, ms=5, color=colour, label=words)
            for method, (words, colour, marker, _) in METHODS.items()
            if method in used
        ]
        head(figure, note, handles, ncols=4)
    return Drawing(figure, {"": table}, note)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def power_law(n: Array, fit: Mapping[str, Any]) -> Array:
    """Return a · n^(−b) + c."""
    return float(fit["a"]) * np.asarray(n, dtype=float) ** -float(fit["b"]) + float(fit.get("c") or 0.0)


def learning_curves(source: Source, parts: Parts) -> Drawing:
    """Draw the RMSE of the grouped split against the number of training sites, with its power law and no skill."""
    part = part_of(parts, "learning_curve")
    n_sites = part.array("n_sites").astype(float)
    n_sites = n_sites[:, None] if n_sites.ndim == 1 else n_sites
    targets = [target for target in TARGETS if f"{target}_rmse" in part.arrays]
    if not targets or not n_sites.size:
        raise NotDrawn("the part `learning_curve` has no RMSE")
    sigma = source.sites.sigma_angstrom
    note = source.note("grouped split", f"{n_sites.shape[1]} repetitions")
    table: dict[str, Any] = {"repetition": np.tile(np.arange(1, n_sites.shape[1] + 1), len(n_sites))}
    table["training sites"] = n_sites.ravel()
    if "n_configurations" in part.arrays:
        table["training configurations"] = np.repeat(part.array("n_configurations"), n_sites.shape[1])
    with st.style():
        figure = st.new_figure(WIDTH if len(targets) > 1 else 0.6 * WIDTH, 3.3)
        panels = figure.subplots(1, len(targets), squeeze=False)[0]
        for axes, target in zip(panels, targets, strict=True):
            values = part.array(f"{target}_rmse").astype(float).reshape(n_sites.shape)
            table[f"RMSE of {TARGETS[target]}"] = values.ravel()
            axes.plot(
                n_sites.ravel(), values.ravel(), ls="", marker="o", ms=3.5, color=st.REFERENCE, label="repetitions"
            )
            axes.plot(
                n_sites.mean(axis=1), np.nanmean(values, axis=1), ls="", marker="o", ms=6, color=PREDICTED, mec="white",
                label="mean",
            )  # fmt: skip
            if f"{target}_rmse_linear" in part.arrays:
                linear = part.array(f"{target}_rmse_linear").astype(float).reshape(n_sites.shape)
                table[f"RMSE of {TARGETS[target]}, linear regression"] = linear.ravel()
                axes.plot(
                    n_sites.mean(axis=1), linear.mean(axis=1), ls="-", lw=1.0, marker="s", ms=4, color=st.INK,
                    mfc="white", label="linear regression",
                )  # fmt: skip
            needed = _needed(part.find("sites_needed", target))
            words = _fit_line(axes, n_sites, part.find("fit", target), needed)
            if f"{target}_rmse_no_skill" in part.arrays:
                none = float(np.nanmean(part.array(f"{target}_rmse_no_skill").astype(float)))
                axes.axhline(none, color=st.INK, lw=1.0, dashes=(4, 3), label="no skill")
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_title(TARGETS[target] + (f", σ = {sigma:g} Å" if target == "rdf" else ""), fontsize=8.5)
            axes.set_xlabel("Training sites")
            _plain_ticks(axes)
            for goal, number in needed.items():
                reached = "is not reached" if number is None else f"needs about {number:,.0f} sites".replace(",", " ")
                words.append(f"RMSE {goal:g} {reached}")
            if words:
                low, high = axes.get_ylim()
                axes.set_ylim(low * (low / high) ** (0.1 * len(words)), high)  # room for the words below the points
                corner(axes, "\n".join(words), "lower left")
        panels[0].set_ylabel("RMSE on unseen configurations")
        handles = {
            label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        head(figure, note, list(handles.values()), ncols=6)
    return Drawing(figure, {"": table}, note)


def _needed(value: Any) -> dict[float, float | None]:
    """Return the sites that each RMSE needs, None where the curve never gets there; empty where none is stated."""
    if not isinstance(value, Mapping):
        return {}
    return {float(goal): None if number is None else float(number) for goal, number in value.items()}


def _fit_line(axes: Axes, n_sites: Array, fit: Any, needed: Mapping[float, float | None]) -> list[str]:
    """Draw the power law, dotted beyond the computed range up to the sites that are needed; return it in words."""
    if not isinstance(fit, Mapping) or estimate(fit.get("a")) is None or estimate(fit.get("b")) is None:
        return []
    low, high = float(n_sites.min()), float(n_sites.max())
    inside = np.geomspace(low, high, 60)
    axes.plot(inside, power_law(inside, fit), color=st.ACCENT, lw=1.4, label="power law a n$^{-b}$ + c")
    furthest = max((number for number in needed.values() if number is not None), default=0.0)
    if furthest > high:
        beyond = np.geomspace(high, min(furthest, 30 * high), 40)
        axes.plot(beyond, power_law(beyond, fit), color=st.ACCENT, lw=1.2, ls=":", label="extrapolated")
    return [f"{float(fit['a']):.3g} n$^{{-{float(fit['b']):.2f}}}$ + {round(float(fit.get('c') or 0), 3):g}"]


def _plain_ticks(axes: Axes) -> None:
    """Write the ticks of a logarithmic panel as plain numbers, few enough to read."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())

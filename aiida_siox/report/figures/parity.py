"""Predicted against reference: valences, and g(R) site by site."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from aiida_siox.report.figures import style as st

Array = NDArray[np.float64]


#: R² below this says only that the references hardly differ from each other.
LEAST_R2 = -10.0


def r2_words(r2: float | None) -> str:
    """Return R² as text; far below zero only that it is."""
    if r2 is None:
        return "not defined"
    return f"{r2:.3f}".replace("-", "−") if r2 >= LEAST_R2 else f"< {LEAST_R2:.0f}".replace("-", "−")


def score_lines(scores: dict[str, Any], unit: str) -> list[str]:
    """Return the scores of a split as the lines of a legend."""
    lines = [
        f"RMSE {scores['rmse']:.3f}{unit}",
        f"R² {r2_words(scores.get('r2'))}",
        f"no skill {scores['rmse_no_skill']:.3f}{unit}",
    ]
    if scores.get("rmse_composition_mean") is not None:
        lines.append(f"composition mean {scores['rmse_composition_mean']:.3f}{unit}")
    return lines


def parity_figure(parities: list[Any], scores: dict[str, dict[str, Any]], note: str) -> str | None:
    """Draw valences predicted by the network over Bader valences, a panel for each split; None without any.

    :param parities: :class:`~aiida_siox.data.model.Parity` of each split.
    :param scores: scores of each split, of its test sites.
    :param note: protocol, for the corner.
    """
    if not parities:
        return None
    with st.style():
        figure = st.new_figure(7.4 if len(parities) > 1 else 4.4, 3.9)
        row = figure.subplots(1, len(parities), sharex=True, sharey=True, squeeze=False)[0]
        everything = np.concatenate([np.concatenate([p.reference, p.predicted]) for p in parities])
        margin = 0.06 * max(float(np.ptp(everything)), 0.5)
        limits = (float(everything.min()) - margin, float(everything.max()) + margin)
        for axes, parity in zip(row, parities, strict=True):
            test = np.asarray(parity.test)
            size = 24 if len(test) < 400 else 8
            axes.plot(limits, limits, color=st.REFERENCE, lw=1.0, zorder=1)
            axes.scatter(
                parity.reference[~test],
                parity.predicted[~test],
                s=0.7 * size,
                color="#c3cad2",
                linewidths=0,
                label=f"training (n = {int((~test).sum())})",
                zorder=2,
                rasterized=len(test) > 2000,
            )
            for n in sorted(set(np.asarray(parity.n_oxygen)[test].tolist())):
                rows = test & (np.asarray(parity.n_oxygen) == n)
                axes.scatter(
                    parity.reference[rows],
                    parity.predicted[rows],
                    s=1.25 * size,
                    color=st.formal_colour(n),
                    edgecolors="white",
                    linewidths=0.5,
                    label=f"test, {st.formal_name(n)} (n = {int(rows.sum())})",
                    zorder=3,
                )
            text = "\n".join([*score_lines(scores[parity.split], " e"), f"n = {int(test.sum())} test sites"])
            axes.text(
                0.97, 0.03, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=7.8, linespacing=1.4
            )
            axes.set_title(f"{parity.split} split")
            axes.set_xlim(*limits)
            axes.set_ylim(*limits)
            axes.set_aspect("equal")
            axes.legend(loc="upper left", handletextpad=0.2, borderpad=0.1, labelspacing=0.25, fontsize=7.2)
            axes.set_xlabel("Bader valence (e)")
        row[0].set_ylabel("Valence read from the spectrum (e)")
        st.stamp(figure, note)
        return st.embed(figure)


def chosen_sites(parity: Any, number: int) -> list[int]:
    """Return test rows from the best to the worst g(R), evenly spread over the sorted RMSE."""
    rows = np.flatnonzero(parity.test)
    order = rows[np.argsort(parity.rmse_per_site[rows], kind="stable")]
    picks = np.unique(np.round(np.linspace(0, len(order) - 1, min(number, len(order)))).astype(int))
    return [int(order[pick]) for pick in picks]


def rdf_error_figure(parities: list[Any], scores: dict[str, dict[str, Any]], sigma: float, note: str) -> str | None:
    """Draw the RMSE of g(R) of every test site in ascending order, a panel for each split; None without any."""
    if not parities:
        return None
    with st.style():
        figure = st.new_figure(7.4 if len(parities) > 1 else 4.4, 3.3)
        row = figure.subplots(1, len(parities), sharey=True, squeeze=False)[0]
        highest = 0.0
        for axes, parity in zip(row, parities, strict=True):
            rows = np.flatnonzero(parity.test)
            rows = rows[np.argsort(parity.rmse_per_site[rows], kind="stable")]
            error = parity.rmse_per_site[rows]
            found = scores[parity.split]
            highest = max(highest, float(error.max()), found["rmse_no_skill"])
            places = np.arange(1, len(rows) + 1)
            axes.vlines(places, 0, error, color=st.GRID, lw=1.2, zorder=1)
            n_oxygen = np.asarray(parity.n_oxygen)[rows]
            for n in sorted(set(n_oxygen.tolist())):
                axes.scatter(
                    places[n_oxygen == n],
                    error[n_oxygen == n],
                    s=24,
                    color=st.formal_colour(n),
                    zorder=3,
                    linewidths=0,
                )
            for key, words, dashes in (
                ("rmse_no_skill", "no skill (training mean)", (4, 3)),
                ("rmse_composition_mean", "composition mean", (1, 2)),
            ):
                if found.get(key) is not None:
                    axes.axhline(found[key], color=st.INK, lw=1.0, dashes=dashes, label=f"{words} {found[key]:.3f}")
            axes.axhline(found["rmse"], color=st.ACCENT, lw=1.6, label=f"network, pooled {found['rmse']:.3f}")
            axes.set_title(f"{parity.split} split, {len(rows)} test sites")
            axes.set_xlabel("Test site, best first")
            axes.set_xlim(0.2, len(rows) + 0.8)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend(fontsize=7.2, loc="upper left", handlelength=1.8, labelspacing=0.3)
        shown = sorted({int(n) for parity in parities for n in np.asarray(parity.n_oxygen)[np.asarray(parity.test)]})
        dots = [
            Line2D([], [], ls="", marker="o", ms=5, color=st.formal_colour(n), label=st.formal_name(n)) for n in shown
        ]
        figure.legend(handles=dots, loc="outside upper left", ncols=6, handletextpad=0.1, columnspacing=1.2)
        row[0].set_ylim(0, 1.7 * highest)
        row[0].set_ylabel(f"RMSE of g(R), σ = {sigma:g} Å")
        st.stamp(figure, note)
        return st.embed(figure)


def rdf_figure(parity: Any, r: Array, sigma: float, note: str, number: int = 6) -> str | None:
    """Draw predicted and reference g(R) of a few test sites from the best to the worst; None without any.

    :param parity: of the RDF network, one split.
    :param r: distances in Å, shape (n_r,).
    :param sigma: broadening of g(R) in Å.
    :param note: protocol, for the corner.
    :param number: how many sites at most.
    """
    rows = chosen_sites(parity, number)
    if not rows:
        return None
    columns = st.columns_for(len(rows))
    lines = -(-len(rows) // columns)
    with st.style():
        figure = st.new_figure(7.4, 0.8 + 1.95 * lines)
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for letter, axes, row in zip("ABCDEFGHIJKL", grid.flat, rows, strict=False):
            reference, predicted = parity.reference[row], parity.predicted[row]
            axes.fill_between(r, reference, color="#d9dfe5", lw=0, label="reference")
            axes.plot(r, reference, color=st.REFERENCE, lw=1.0)
            axes.plot(r, predicted, color="#b3261e", lw=1.5, label="read from the spectrum")
            title = f"{letter}  {parity.formula[row]}, site {int(parity.site_index[row])}"
            axes.set_title(title)
            text = f"$n_O$ = {int(parity.n_oxygen[row])}\nRMSE {parity.rmse_per_site[row]:.3f}"
            axes.text(0.97, 0.97, text, transform=axes.transAxes, ha="right", va="top", fontsize=7.6, linespacing=1.4)
        st.label_last_rows(grid, len(rows))
        grid[0, 0].set_xlim(1.0, float(np.ceil(r[-1])))
        highest = max(float(max(parity.reference[row].max(), parity.predicted[row].max())) for row in rows)
        grid[0, 0].set_ylim(0, 1.3 * highest)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        figure.supxlabel("R (Å)", fontsize=9)
        figure.supylabel(f"g(R), σ = {sigma:g} Å", fontsize=9)
        st.stamp(figure, f"{note} · {parity.split} split")
        return st.embed(figure)

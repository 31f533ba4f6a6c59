"""Scalar properties of sites by the number of ligands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import style as st
from aiida_siox.report.records import Array, Indices, NotDrawn, SiteRecords, label_of
from aiida_siox.science.quantity import Quantity

GOLDEN_ANGLE = 2.39996


def by_ligands(records: SiteRecords, quantity: Quantity) -> Drawing:
    """Draw a scalar of every site over its number of ligands, coloured by composition, with the means.

    :raises NotDrawn: if no site has it.
    """
    values = records.values[quantity.name][:, 0]
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        raise NotDrawn(f"no site has a known {quantity.title}")
    digits = max(0, 1 - math.floor(math.log10(quantity.error_scale)))
    n_ligands, note = records.ligands[rows], records.note(quantity.note)
    with st.style():
        figure = st.new_figure(st.WIDTH, 3.4)
        axes = figure.add_subplot()
        for n in np.unique(n_ligands):
            mine = rows[n_ligands == n]
            mine = mine[np.argsort(values[mine], kind="stable")]
            spread = 0.26 * np.sin(GOLDEN_ANGLE * np.arange(len(mine))) if len(mine) > 1 else np.zeros(1)
            colours = [st.composition_colour(x) for x in records.site_x[mine]]
            size = 26 if len(rows) < 400 else 8
            axes.scatter(n + spread, values[mine], s=size, c=colours, edgecolors="white", linewidths=0.4, zorder=3)
            mean = float(values[mine].mean())
            axes.plot([n - 0.36, n + 0.36], [mean, mean], color=st.INK, lw=1.6, zorder=4)
            axes.text(n + 0.39, mean, f"{mean:.{digits}f}", va="center", fontsize=7.5, color=st.INK)
        axes.plot([], [], color=st.INK, lw=1.6, label="mean of the group")
        axes.legend(loc="upper left")
        last = max(int(n_ligands.max()), records.material.max_ligands)
        axes.set_xticks(range(int(n_ligands.min()), last + 1))
        axes.set_xlim(int(n_ligands.min()) - 0.6, last + 0.7)
        ligands = " and ".join(records.material.ligands)
        axes.set_xlabel(f"{ligands} neighbours of the {records.element} site, {st.maths(records.ligand_symbol)}")
        axes.set_ylabel(label_of(quantity))
        cells = np.unique(records.configuration[rows])
        figure.legend(handles=st.composition_handles(records, cells), loc="outside right center", handlelength=1.3)
        st.stamp(figure, note)
    return Drawing(figure, {"": {**records.site_columns(rows), label_of(quantity): values[rows]}}, note)


def ligand_rows(n_ligands: Indices, values: Array) -> list[dict[str, Any]]:
    """Return count, mean, standard deviation and range of a scalar for each number of ligands.

    :param n_ligands: shape (n,).
    :param values: shape (n,); NaN is left out.
    """
    known = np.isfinite(values)
    rows: list[dict[str, Any]] = []
    for n in np.unique(n_ligands[known].astype(int)):
        group = values[known & (n_ligands == n)]
        spread = float(group.std(ddof=1)) if len(group) > 1 else None
        low, high = float(group.min()), float(group.max())
        rows.append({"n": int(n), "count": len(group), "mean": float(group.mean()), "std": spread, "low": low,
                     "high": high})  # fmt: skip
    return rows

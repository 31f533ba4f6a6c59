"""A spectrum, or those of a table, with another broadening than that of the run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aiida_siox.report.figures import style as st

Array = NDArray[np.float64]


def broadened_figure(
    energy: Array,
    curves: Mapping[str, Array],
    axis: str,
    note: str,
    average: Array | None = None,
    reference: Array | None = None,
    half_width: Array | None = None,
) -> Figure:
    """Draw spectra over the energy and, under them, the half width where there is one.

    :param energy: eV on the axis of the figure, shape (n,).
    :param curves: cross-sections by name, shape (n,) each.
    :param axis: what the energies are.
    :param note: line under the figure.
    :param average: mean over the sites, shape (n,).
    :param reference: the same spectrum with the broadening of the run, shape (n,).
    :param half_width: in eV, shape (n,).
    """
    factor, unit = st.scale_of(max(float(np.nanmax(curve)) for curve in curves.values()))
    figure = st.new_figure(6.4, 3.4 if half_width is None else 4.4)
    if half_width is None:
        panels = [figure.add_subplot()]
    else:
        panels = list(figure.subplots(2, 1, sharex=True, height_ratios=[3, 1]))
    many = len(curves) > 1
    if reference is not None:
        panels[0].plot(energy, factor * reference, color=st.REFERENCE, lw=1.2, label="as computed")
    for name, curve in curves.items():
        if many:
            panels[0].plot(energy, factor * curve, color=st.ACCENT, lw=0.6, alpha=0.45)
        else:
            panels[0].plot(energy, factor * curve, color=st.ACCENT, lw=1.8, label=name)
    if average is not None and many:
        panels[0].plot(energy, factor * average, color=st.ACCENT, lw=2.0, label="averaged")
    panels[0].set_ylabel(f"Cross-section per Si ({unit})")
    panels[0].set_ylim(bottom=0)
    if panels[0].get_legend_handles_labels()[0]:
        panels[0].legend(loc="upper right")
    if half_width is not None:
        panels[1].plot(energy, half_width, color=st.INK, lw=1.2)
        panels[1].set_ylabel("Γ (eV)")
        panels[1].set_ylim(bottom=0)
    panels[-1].set_xlim(float(energy[0]), float(energy[-1]))
    panels[-1].set_xlabel(axis)
    st.stamp(figure, note)
    return figure

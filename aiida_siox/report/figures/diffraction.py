"""Structure factors of cells, beside a measured one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from aiida_siox.report.figures import style as st
from aiida_siox.science.diffraction import Misfit, StructureFactors


def diffraction_figure(
    mean: StructureFactors,
    cells: Mapping[str, StructureFactors],
    probe: str,
    peak: float | None,
    fit: Misfit | None = None,
    window: Sequence[float] | None = None,
) -> Figure:
    """Draw S(q) of the cells and their mean, and the measured one with the difference under it.

    :param mean: over the cells.
    :param cells: each of them by name.
    :param probe: ``neutron`` or ``xray``.
    :param peak: position of the first sharp peak in Å⁻¹, marked.
    :param fit: comparison with a measured S(q).
    :param window: q in Å⁻¹ that are drawn; all when None.
    """
    figure = st.new_figure(6.4, 4.4 if fit is not None else 3.4)
    panels = [figure.add_subplot()] if fit is None else list(figure.subplots(2, 1, sharex=True, height_ratios=[3, 1]))
    upper = panels[0]
    if len(cells) > 1:
        for number, each in enumerate(cells.values()):
            label = "single cells" if number == 0 else None
            upper.plot(each.q, getattr(each, probe), color=st.ACCENT, lw=0.5, alpha=0.4, label=label)
    upper.axhline(1, color=st.MUTED, lw=0.7)
    if fit is not None:
        upper.errorbar(
            fit.q, fit.measured, fit.uncertainty, ls="", marker="o", ms=2.4, elinewidth=0.6, color=st.INK,
            label="measured", zorder=3,
        )  # fmt: skip
        if fit.uncertainty is not None:
            spread = 2 * fit.uncertainty
            panels[1].fill_between(fit.q, -spread, spread, color=st.MUTED, alpha=0.3, lw=0, label="measured ± 2σ")
            panels[1].legend(loc="upper right", fontsize=6.5)
        panels[1].plot(fit.q, fit.computed - fit.measured, color=st.ACCENT, lw=1.0)
        panels[1].axhline(0, color=st.MUTED, lw=0.7)
        panels[1].set_ylabel("computed −\nmeasured")
        upper.set_title(f"misfit {fit.relative:.3f} (0: agreement, 1: as good as S = 1)", fontsize=8.5, loc="right")
    label = "computed" if len(cells) == 1 else f"computed, mean of {len(cells)} cells"
    upper.plot(mean.q, getattr(mean, probe), color=st.ACCENT, lw=1.6, label=label)
    if peak is not None:
        upper.axvline(peak, color=st.REFERENCE, lw=0.9, ls="--", label=f"first peak {peak:.2f} Å⁻¹")
    upper.set_ylabel({"neutron": "Neutron S(q)", "xray": "X-ray S(q)"}[probe])
    upper.set_title(", ".join(cells) if len(cells) <= 2 else f"{len(cells)} cells", loc="left")
    upper.legend(loc="upper right", frameon=True, framealpha=0.9, edgecolor="none")
    limits = (0.0, float(mean.q[-1])) if window is None else (float(window[0]), float(window[1]))
    panels[-1].set_xlim(*limits)
    panels[-1].set_xlabel("q (Å⁻¹)")
    return figure

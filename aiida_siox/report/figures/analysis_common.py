"""What the figures of an analysis share: where the numbers come from, and what a figure is made of."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from aiida_siox.learning import metrics
from aiida_siox.learning.sites import SiteSet
from aiida_siox.report.figures import style as st

Array = NDArray[np.float64]

#: Width of every figure in inches: 17 cm, two columns of a journal.
WIDTH = 6.69
#: Colour and name of what reads an averaged spectrum, by the variant of its training.
VARIANTS = {
    "sites": ("#b3261e", "trained on site spectra only"),
    "mixtures": ("#0f766e", "trained on mixtures as well"),
}
PREDICTED = "#b3261e"
TRAINING = "#c3cad2"


class NotDrawn(ValueError):
    """A figure cannot be drawn from what is there; the message says why."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The data set of an analysis.

    :param sites: its sites as arrays.
    :param digest: of its contents.
    :param n_silicon: silicon sites of each configuration, finished or not.
    :param protocol: how it was computed.
    :param treatment: of the core hole.
    :param shift_eV: from the total-energy axis to the calibrated one.
    """

    sites: SiteSet
    digest: str
    n_silicon: tuple[int, ...]
    protocol: str = "unknown protocol"
    treatment: str = "unknown treatment"
    shift_eV: float | None = None

    @classmethod
    def of(cls, dataset: Any) -> Source:
        """Read a DatasetData node."""
        attributes = dataset.base.attributes
        shift = attributes.get("shift_eV", None)
        return cls(
            sites=dataset.site_set(),
            digest=str(attributes.get("digest", None) or "unknown"),
            n_silicon=tuple(int(entry["n_absorbers"]) for entry in dataset.configurations),
            protocol=str(attributes.get("protocol", None) or "unknown protocol"),
            treatment=str(attributes.get("treatment", None) or "unknown treatment"),
            shift_eV=None if shift is None else float(shift),
        )

    @property
    def site_x(self) -> Array:
        """Composition of the configuration of each site, shape (n,)."""
        return np.asarray(self.sites.x)[self.sites.configuration]

    @property
    def site_formulas(self) -> NDArray[np.str_]:
        """Formula of the configuration of each site, shape (n,)."""
        return np.array(self.sites.formulas)[self.sites.configuration]

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each configuration: formula, beginning of its digest, and a number where it equals another."""
        names = [f"{f}_{d[:6]}" for f, d in zip(self.sites.formulas, self.sites.digests, strict=True)]
        counts = [names[:i].count(name) for i, name in enumerate(names)]
        return tuple(f"{name}-{n + 1}" if n else name for name, n in zip(names, counts, strict=True))

    @property
    def configurations(self) -> str:
        """Number of configurations in words, and of those that differ."""
        n, different = len(self.sites.formulas), len(set(self.sites.digests))
        return plural(n, "configuration") + (f" ({different} different)" if different < n else "")

    @property
    def axis(self) -> str:
        """Label of the energy axis."""
        return "Energy, calibrated axis (eV)"

    def note(self, *words: str) -> str:
        """Return where a figure comes from, for its corner."""
        parts = [
            f"data set {self.digest[:8]}",
            f"{plural(len(self.sites), 'site')}, {self.configurations}",
            f"{self.protocol}, {self.treatment}",
            *words,
        ]
        return " · ".join(parts)

    def site_columns(self, rows: NDArray[Any]) -> dict[str, Sequence[Any]]:
        """Return the columns that say which sites the rows of a table are."""
        sites = self.sites
        labels = self.labels
        return {
            "configuration": [labels[i] for i in sites.configuration[rows]],
            "x": self.site_x[rows],
            "site index": sites.site_index[rows],
            "n_O": sites.n_oxygen[rows],
        }


@dataclasses.dataclass(frozen=True)
class Part:
    """Arrays and attributes of one part of an analysis.

    :param name: of the part.
    :param arrays: by name.
    :param attributes: plain values.
    """

    name: str
    arrays: Mapping[str, NDArray[Any]]
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, node: Any) -> Part:
        """Read an AnalysisData node, or anything with ``arrays`` and ``attributes``."""
        if isinstance(node, Part):
            return node
        if hasattr(node, "base"):
            return cls(name, dict(node.arrays), dict(node.base.attributes.all))
        return cls(name, dict(node.arrays), dict(node.attributes))

    def array(self, key: str) -> NDArray[Any]:
        """Return an array.

        :raises NotDrawn: if there is none.
        """
        if key not in self.arrays:
            raise NotDrawn(f"the part `{self.name}` has no `{key}`")
        return np.asarray(self.arrays[key])

    def find(self, *keys: str) -> Any:
        """Return a nested attribute, None where there is none."""
        value: Any = self.attributes
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        return value

    def seeds(self, *keys: str) -> str:
        """Return how many seeds the scores under these keys come from, in words; of the part where they do not say."""
        values = (self.find("scores", *keys, "rmse", "seeds") if keys else None) or []
        return seed_words(len(values) or self.attributes.get("n_seeds"))


def seed_words(n_seeds: Any) -> str:
    """Return numbers of seeds in words.

    :param n_seeds: a number, nested mappings of numbers, or None.
    """
    numbers = sorted(_numbers(n_seeds))
    if not numbers:
        return "number of seeds not stated"
    if numbers[0] == numbers[-1]:
        return plural(numbers[0], "seed")
    return f"{numbers[0]} to {numbers[-1]} seeds"


def _numbers(value: Any) -> list[int]:
    if isinstance(value, Mapping):
        return [number for entry in value.values() for number in _numbers(entry)]
    return [] if value is None else [int(value)]


Parts = Mapping[str, Part]


def part_of(parts: Parts, name: str) -> Part:
    """Return a part.

    :raises NotDrawn: if the analysis has not got it.
    """
    if name not in parts:
        raise NotDrawn(f"the analysis has no part `{name}`")
    return parts[name]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 90 % confidence interval where there is one."""

    mean: float
    low: float | None = None
    high: float | None = None

    def words(self, unit: str = "") -> str:
        """Return it as text."""
        text = f"{self.mean:.3f}{unit}"
        if self.low is not None and self.high is not None:
            text += f" ({self.low:.3f}–{self.high:.3f})"
        return text.replace("-", "−")


def estimate(value: Any) -> Estimate | None:
    """Read a score: a number, ``{mean, low, high}``, or either inside ``{rmse: …}``; None where there is none."""
    if isinstance(value, Mapping):
        if "mean" not in value:
            return estimate(value.get("rmse"))
        if not _finite(value["mean"]):
            return None
        low, high = (float(value[key]) if _finite(value.get(key)) else math.nan for key in ("low", "high"))
        # a single seed has no interval: low and high are the mean itself
        return Estimate(float(value["mean"]), low, high) if low < high else Estimate(float(value["mean"]))
    return Estimate(float(value)) if _finite(value) else None


def known(value: Any) -> float:
    """Return a number of a node; NaN for None, which is what a node keeps of a number that is not finite."""
    return float(value) if _finite(value) else math.nan


def _finite(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure and the numbers in it.

    :param figure: drawn.
    :param tables: columns by their heading (with the unit), each of one length; by the end of the file's name.
    :param note: where the numbers come from.
    """

    figure: Figure
    tables: Mapping[str, Mapping[str, Sequence[Any] | NDArray[Any]]]
    note: str


def halves(figure: Figure, ratio: tuple[float, float]) -> tuple[SubFigure, SubFigure]:
    """Divide a figure into an upper and a lower part."""
    upper, lower = cast(NDArray[Any], figure.subfigures(2, 1, height_ratios=list(ratio)))
    return upper, lower


def plural(number: int, word: str) -> str:
    """Return ``1 site``, ``2 sites``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def formula_name(formula: str) -> str:
    """Return a formula with its numbers as subscripts (mathtext)."""
    return re.sub(r"(\d+)", r"$_{\1}$", formula)


def rmse_of(predicted: Array, reference: Array) -> float:
    """Return the RMSE over everything."""
    return metrics.rmse(np.asarray(predicted, dtype=float), np.asarray(reference, dtype=float))


def r2_of(predicted: Array, reference: Array) -> float | None:
    """Return R², None where the references do not vary."""
    return metrics.r_squared(np.asarray(predicted, dtype=float), np.asarray(reference, dtype=float))


def known_rows(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the rows in which every number is known."""
    values = np.asarray(values)
    return np.flatnonzero(np.isfinite(values.reshape(len(values), -1)).all(axis=1))


def grid_shape(number: int) -> tuple[int, int]:
    """Return rows and columns for so many panels."""
    columns = st.columns_for(number) if number <= 9 else (4 if number <= 16 else 5)
    return -(-number // columns), columns


def formal_handles(n_oxygen: NDArray[np.int64], training: bool) -> list[Line2D]:
    """Return the entries of a legend for the formal valences that are there; five and more together."""
    handles = [Line2D([], [], ls="", marker="o", ms=3.6, color=TRAINING, label="training")] if training else []
    for n in sorted({min(int(n), 5) for n in n_oxygen}):
        label = st.formal_name(n) if n < 5 else "$n_O$ ≥ 5"
        handles.append(Line2D([], [], ls="", marker=formal_marker(n), ms=4.8, color=st.formal_colour(n), label=label))
    return handles


def formal_marker(n_oxygen: int) -> str:
    """Return the marker of a formal valence: five and more, which share grey with training, are diamonds."""
    return "D" if n_oxygen >= 5 else "o"


def composition_handles(compositions: Sequence[float]) -> list[Line2D]:
    """Return the entries of a legend for compositions."""
    return [
        Line2D([], [], color=st.composition_colour(x), lw=2.2, label=st.composition_name(x))
        for x in sorted(set(compositions))
    ]


def head(figure: Figure, note: str, handles: Sequence[Any] = (), ncols: int = 4, title: str | None = None) -> None:
    """Write above all panels where the numbers come from and, below that line, the legend that they share.

    The height of a legend is set by hand: constrained layout puts an outside legend on top of the line.
    """
    st.stamp(figure, note)
    if not handles:
        return
    height = figure.get_figheight()
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, 1.0 - 0.16 / height), ncols=ncols, title=title,
        title_fontsize=8, alignment="left", columnspacing=1.2, borderaxespad=0.1,
    ).set_in_layout(False)  # fmt: skip
    rows = -(-len(handles) // ncols) + (title is not None)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0.0, 0.0, 1.0, 1.0 - (0.24 + 0.18 * rows) / height))


def corner(axes: Axes, text: str, where: str = "lower right", size: float = 7.2) -> None:
    """Write lines of text into a corner of a panel, readable over points."""
    vertical, horizontal = where.split()
    x, y = (0.97 if horizontal == "right" else 0.03), (0.97 if vertical == "upper" else 0.03)
    axes.text(
        x, y, text, transform=axes.transAxes, ha=horizontal, va="top" if vertical == "upper" else "bottom",
        fontsize=size, linespacing=1.35, zorder=6,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
    )  # fmt: skip

"""The sites that a report is about, the parts of an analysis, and the words that stand beside their numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.learning import metrics
from aiida_siox.science.quantity import Kind, Quantity

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


#: Ligands that take electrons: the number of them is the charge of the absorber.
ANIONS = frozenset({"N", "O", "F", "S", "Cl", "Se", "Br", "Te", "I"})


class NotDrawn(ValueError):
    """A figure cannot be drawn from what is there; the message says why."""


@dataclasses.dataclass(frozen=True)
class Substance:
    """What was computed, as far as words and axes of a report need it.

    :param title: for people.
    :param absorber: element.
    :param edge: such as ``K``.
    :param ligands: elements whose number beside the absorber is its oxidation state.
    :param species: all elements, in the order of formulas.
    :param max_ligands: most of them that count apart.
    """

    title: str
    absorber: str
    edge: str
    ligands: tuple[str, ...]
    species: tuple[str, ...]
    max_ligands: int


@dataclasses.dataclass(frozen=True)
class CellRecord:
    """A configuration.

    :param label: name in figures and tables.
    :param formula: such as ``Si8O4``.
    :param x: composition.
    :param n_absorbers: absorber sites, finished or not.
    :param complete: whether enough of them are here for an averaged spectrum.
    :param group: equal for configurations that ended in the same cell.
    """

    label: str
    formula: str
    x: float
    n_absorbers: int
    complete: bool
    group: str


@dataclasses.dataclass(frozen=True)
class SiteRecords:
    """Spectra and properties of n sites, and where they come from.

    :param origin: what they are of, such as ``data set 5e4b1a2c``.
    :param energy: eV, shape (n_e,).
    :param spectra: cross-sections, shape (n, n_e).
    :param quantities: what the properties are, by name.
    :param values: of the properties, shape (n, m) each; NaN where a site has none.
    :param ligands: number of ligands bound to each absorber, shape (n,).
    :param site_index: in its structure, shape (n,).
    :param configuration: index into ``cells``, shape (n,).
    :param cells: the configurations.
    :param material: absorber, edge and ligands.
    :param protocol: how it was computed.
    :param treatment: of the core hole.
    :param axis: label of the energies.
    """

    origin: str
    energy: Array
    spectra: Array
    quantities: Mapping[str, Quantity]
    values: Mapping[str, Array]
    ligands: Indices
    site_index: Indices
    configuration: Indices
    cells: tuple[CellRecord, ...]
    material: Substance
    protocol: str = "unknown protocol"
    treatment: str = "unknown treatment"
    axis: str = "Energy, calibrated axis (eV)"

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.spectra)

    @property
    def x(self) -> Array:
        """Composition of each configuration, shape (c,)."""
        return np.array([cell.x for cell in self.cells], dtype=float)

    @property
    def site_x(self) -> Array:
        """Composition of the configuration of each site, shape (n,)."""
        return self.x[self.configuration]

    def of_kind(self, *kinds: Kind) -> list[Quantity]:
        """Return the properties of these kinds."""
        return [quantity for quantity in self.quantities.values() if quantity.kind in kinds]

    def site_name(self, row: int) -> str:
        """Return the configuration and the index of a site."""
        return f"{self.cells[self.configuration[row]].label} site {self.site_index[row]}"

    def formula(self, row: int) -> str:
        """Return the formula of the configuration of a site."""
        return self.cells[self.configuration[row]].formula

    @property
    def counted(self) -> str:
        """Number of configurations in words, and of those that differ."""
        n, different = len(self.cells), len({cell.group for cell in self.cells})
        return plural(n, "configuration") + (f" ({different} different)" if different < n else "")

    def note(self, *words: str) -> str:
        """Return where a figure comes from, for its corner."""
        own = (self.origin, f"{plural(len(self), 'site')}, {self.counted}", f"{self.protocol}, {self.treatment}")
        return " · ".join([*own, *(word for word in words if word)])

    def averages(self) -> tuple[Indices, Array]:
        """Return the complete configurations (c,) and the mean spectra of their sites (c, n_e)."""
        rows = [i for i, cell in enumerate(self.cells) if cell.complete and (self.configuration == i).any()]
        means = [self.spectra[self.configuration == i].mean(axis=0) for i in rows]
        return np.array(rows, dtype=int), np.array(means).reshape(len(rows), len(self.energy))

    def site_columns(self, rows: NDArray[Any]) -> dict[str, Sequence[Any]]:
        """Return the columns that say which sites the rows of a table are."""
        return {
            "configuration": [self.cells[i].label for i in self.configuration[rows]],
            "x": self.site_x[rows],
            "site index": self.site_index[rows],
            self.ligand_symbol: self.ligands[rows],
        }

    def cell_columns(self, rows: NDArray[Any]) -> dict[str, Sequence[Any]]:
        """Return the columns that say which configurations the rows of a table are."""
        return {"configuration": [self.cells[i].label for i in rows], "x": self.x[rows]}

    @property
    def ligand_symbol(self) -> str:
        """Symbol of the number of ligands, such as ``n_O``."""
        return f"n_{'+'.join(self.material.ligands)}"

    @property
    def element(self) -> str:
        """Symbol of the absorber."""
        return self.material.absorber

    def state(self, n_ligands: int) -> str:
        """Return the name of an absorber with so many ligands: ``Si3+`` if they take its electrons, else ``n_Si 2``."""
        if self.element not in ANIONS and set(self.material.ligands) <= ANIONS:
            return f"{self.element}{n_ligands}+"
        return f"{self.ligand_symbol} {n_ligands}"

    @property
    def series(self) -> str:
        """Name of the compositions, ``SiO$_x$``."""
        first, *_, last = self.material.species
        return f"{first}{last}$_x$"

    def compound(self, x: float) -> str:
        """Return the name of a composition, such as ``SiO₁.₅`` as mathtext."""
        first, *_, last = self.material.species
        if x == 0:
            return first
        return f"{first}{last}" if x == 1 else f"{first}{last}$_{{{x:.3g}}}$"


@dataclasses.dataclass(frozen=True)
class AnalysisPart:
    """Arrays and attributes of one part of an analysis.

    :param name: of the part.
    :param arrays: by name.
    :param attributes: plain values.
    """

    name: str
    arrays: Mapping[str, NDArray[Any]]
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, node: Any) -> AnalysisPart:
        """Read an AnalysisData node."""
        return cls(name, dict(node.arrays), dict(node.base.attributes.all))

    def array(self, key: str) -> NDArray[Any]:
        """Return an array, numbers as double precision.

        :raises NotDrawn: if there is none.
        """
        if key not in self.arrays:
            raise NotDrawn(f"the part `{self.name}` has no `{key}`")
        values = np.asarray(self.arrays[key])
        return values.astype(float) if values.dtype.kind == "f" else values

    def find(self, *keys: str) -> Any:
        """Return a nested attribute, None where there is none."""
        value: Any = self.attributes
        for key in keys:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        return value

    def covers(self, name: str) -> bool:
        """Return whether it says anything of a property."""
        scored = (self.find("scores", name), self.find("coverage", name), self.find("fit", name))
        return any(scored) or any(key.startswith(f"{name}_") for key in self.arrays)

    def seeds(self, *keys: str) -> str:
        """Return how many seeds the scores under these keys come from, in words; of the part where they do not say."""
        values = (self.find("scores", *keys, "rmse", "seeds") if keys else None) or []
        return seed_words(len(values) or self.attributes.get("n_seeds"))

    def level(self, key: str) -> str:
        """Return ``coverage`` or ``confidence`` of the settings as the beginning of a label, ``90 %`` or nothing."""
        value = self.number(key)
        return "" if value is None else f"{100 * value:.3g} % "

    def number(self, key: str) -> float | None:
        """Return ``coverage`` or ``confidence`` of the settings that the part was computed with, None if unknown."""
        value = self.find("parameters", "training", key)
        return float(value) if _finite(value) else None


Parts = Mapping[str, AnalysisPart]


def part_of(parts: Parts, name: str) -> AnalysisPart:
    """Return a part.

    :raises NotDrawn: if the analysis has not got it.
    """
    if name not in parts:
        raise NotDrawn(f"the analysis has no part `{name}`")
    return parts[name]


@dataclasses.dataclass(frozen=True)
class Readings:
    """What networks read from the spectra of sites, beside the references.

    :param quantity: what is read.
    :param split: of the sites into training and test.
    :param reference: what is true, shape (n, m).
    :param predicted: of the test sites, NaN elsewhere, shape (n, m).
    :param fitted: of the training sites, NaN elsewhere, shape (n, m); None where it was not kept.
    :param scores: ``rmse``, ``rmse_no_skill``, ``baselines`` …: numbers or ``{mean, low, high}``.
    :param seeds: how many seeds the scores come from, in words.
    :param site_rmse: of each test site, shape (n,); that of ``predicted`` when None.
    """

    quantity: Quantity
    split: str
    reference: Array
    predicted: Array
    fitted: Array | None
    scores: Mapping[str, Any]
    seeds: str = ""
    site_rmse: Array | None = None

    @property
    def test(self) -> Indices:
        """Rows of the test sites."""
        return known_rows(self.predicted - self.reference)

    @property
    def errors(self) -> Array:
        """RMSE of each test site over its columns, NaN elsewhere, shape (n,)."""
        if self.site_rmse is not None:
            return self.site_rmse
        return np.sqrt(((self.predicted - self.reference) ** 2).mean(axis=1))


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its confidence interval where there is one."""

    mean: float
    low: float | None = None
    high: float | None = None

    def words(self, unit: str = "") -> str:
        """Return it as text, with a unit such as `` e`` behind the mean."""
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


def plural(number: int, word: str) -> str:
    """Return ``1 site``, ``2 sites``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def columns_of(values: NDArray[Any]) -> Array:
    """Return one number a site, shape (n,), as a column, shape (n, 1); others as they are."""
    values = np.asarray(values, dtype=float)
    return values[:, None] if values.ndim == 1 else values


def known_rows(values: NDArray[Any]) -> Indices:
    """Return the rows in which every number is known."""
    values = np.asarray(values)
    return np.flatnonzero(np.isfinite(values.reshape(len(values), -1)).all(axis=1))


def rmse_of(predicted: Array, reference: Array) -> float:
    """Return the RMSE over everything."""
    return metrics.rmse(np.asarray(predicted, dtype=float), np.asarray(reference, dtype=float))


def r2_of(predicted: Array, reference: Array) -> float | None:
    """Return R², None where the references do not vary."""
    return metrics.r_squared(np.asarray(predicted, dtype=float), np.asarray(reference, dtype=float))


#: R² below this says only that the references hardly differ from each other.
LEAST_R2 = -10.0


def r2_words(r2: float | None) -> str:
    """Return R² as text; far below zero only that it is."""
    if r2 is None:
        return "not defined"
    return f"{r2:.3f}".replace("-", "−") if r2 >= LEAST_R2 else f"< {LEAST_R2:.0f}".replace("-", "−")


def spread_over(n: int, number: int) -> list[int]:
    """Return so many places of a ranking of n, evenly from the first to the last."""
    return [int(i) for i in np.unique(np.round(np.linspace(0, n - 1, min(number, n))).astype(int))]


def ranking(errors: Array) -> Indices:
    """Return the rows of the test sites from the smallest error to the largest."""
    rows = known_rows(errors)
    return np.asarray(rows[np.argsort(errors[rows], kind="stable")])


def label_of(quantity: Quantity, before: str = "") -> str:
    """Return a property with its unit, for axes and tables: ``Bader valence (e)``, ``g(R)``."""
    name = f"{before}{quantity.title}"
    return f"{name} ({quantity.unit})" if unit_of(quantity) else name


def unit_of(quantity: Quantity) -> str:
    """Return the unit behind a number, `` e``; nothing for pure numbers."""
    return "" if quantity.unit in ("", "1") else f" {quantity.unit}".replace(" °", "°")


def with_note(text: str, quantity: Quantity) -> str:
    """Return text with what the numbers of a property depend on, such as ``RMSE of g(R), σ 0.15 Å``."""
    return f"{text}, {quantity.note}" if quantity.note else text

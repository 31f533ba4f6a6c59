"""What the values of a property of a site are, whatever computes them: enough to learn, score, draw and say them."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.science.plain import plain


class Kind(enum.StrEnum):
    """What the values of a property are: how they are scored, drawn and said in words."""

    SCALAR = "scalar"
    """One number a site."""
    CURVE = "curve"
    """A function sampled on an axis."""
    FRACTIONS = "fractions"
    """Parts of one over the labels of an axis; their mean over sites is a distribution."""
    COUNTS = "counts"
    """Numbers of things, over the labels of an axis."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """What the columns of a property stand for.

    :param name: such as ``r``.
    :param unit: such as ``Å``; empty for labels.
    :param values: numbers, shape (m,), or labels.
    """

    name: str
    unit: str
    values: tuple[float, ...] | tuple[str, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Axis:
        """Build from what ``dataclasses.asdict`` gave.

        :raises TypeError: if a key is missing or unknown.
        """
        return cls(**{**values, "values": tuple(values["values"])})


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A property without its computation.

    :param name: key in tables, data sets, models and yaml files.
    :param title: in words, for people: ``Bader valence``.
    :param symbol: for axes of figures, mathtext.
    :param unit: of the values.
    :param kind: see :class:`Kind`.
    :param axis: of the columns; None for a scalar.
    :param limits: what the numbers can be: intervals are cut there.
    :param error_scale: error that would still be good, in the unit: scale of error axes.
    :param note: what the numbers depend on and readers must know: ``σ 0.15 Å``.
    """

    name: str
    title: str
    symbol: str
    unit: str
    kind: Kind
    axis: Axis | None = None
    limits: tuple[float, float] = (-math.inf, math.inf)
    error_scale: float = 1.0
    note: str = ""

    @property
    def is_scalar(self) -> bool:
        """Whether there is one number a site."""
        return self.kind is Kind.SCALAR

    def as_stored(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values (..., m) without the last axis where the property is a scalar."""
        return values[..., 0] if self.is_scalar else values

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; an infinite limit is None."""
        return dict(plain({**dataclasses.asdict(self), "kind": str(self.kind)}))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Quantity:
        """Build from what :meth:`to_dict` gave.

        :raises ValueError: if a key is missing or unknown, or there is no such kind.
        """
        try:
            low, high = values["limits"]
            axis = None if values["axis"] is None else Axis.from_dict(values["axis"])
            limits = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
            return cls(**{**values, "kind": Kind(values["kind"]), "axis": axis, "limits": limits})
        except (KeyError, TypeError) as exception:
            raise ValueError(f"not the description of a property ({type(exception).__name__}: {exception})") from None

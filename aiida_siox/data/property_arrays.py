"""How properties of sites lie in a node: one array each, and their axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_siox.data.base import FilledArrayData, checked_array
from aiida_siox.science.properties import PROPERTIES, Axis, Kind

Array = NDArray[np.float64]

_VALUES, _AXIS = "property_", "axis_"


class PropertyArrays(FilledArrayData):
    """A node with properties of n sites.

    Arrays: ``property_<name>`` (n, m) and, of an axis of numbers, ``axis_<name>`` (m,). Attribute ``properties``: by
    name ``kind``, ``unit`` and ``axis``, None or ``name``, ``unit`` and, of an axis of labels, ``labels``.
    """

    @property
    def properties(self) -> dict[str, Array]:
        """Values by name, shape (n, m); of scalars (n, 1)."""
        return {name: np.asarray(self.get_array(_VALUES + name)) for name in self.base.attributes.get("properties")}

    @property
    def kinds(self) -> dict[str, Kind]:
        """What the values of each property are."""
        return {name: Kind(entry["kind"]) for name, entry in self.base.attributes.get("properties").items()}

    @property
    def axes(self) -> dict[str, Axis]:
        """What the columns of the properties stand for; scalars have none."""
        found = {}
        for name, entry in self.base.attributes.get("properties").items():
            if entry["axis"] is not None:
                labels = entry["axis"].get("labels")
                values = tuple(self.get_array(_AXIS + name).tolist() if labels is None else labels)
                found[name] = Axis(entry["axis"]["name"], entry["axis"]["unit"], values)
        return found

    @property
    def n_ligands(self) -> NDArray[np.int64]:
        """Number of ligands bonded to each absorber, shape (n,)."""
        labels = self.axes["coordination"].values
        columns = [labels.index(ligand) for ligand in self.base.attributes.get("material")["ligands"]]
        return np.asarray(self.properties["coordination"][:, columns].sum(axis=1), dtype=np.int64)


def property_layout(
    n: int, properties: Mapping[str, Array], axes: Mapping[str, Axis | None]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return arrays and attributes of properties of n sites.

    :param properties: values by name, shape (n, m), finite or NaN.
    :param axes: of those that are no scalars.
    :raises ValueError: for a property that is not known, or values of another shape.
    """
    arrays: dict[str, Array] = {}
    described = {}
    for name, values in properties.items():
        entry, axis = PROPERTIES.named(name), axes.get(name)
        if (axis is None) != (entry.kind is Kind.SCALAR):
            raise ValueError(
                f"the property `{name}` is a {entry.kind}: it needs {'an' if axis is None else 'no'} axis."
            )
        m = 1 if axis is None else len(axis.values)
        array = checked_array(f"the property `{name}`", values, (n, m), finite=False).astype(float)
        if np.isinf(array).any():
            raise ValueError(f"the property `{name}` has infinite values.")
        arrays[_VALUES + name] = array
        place: dict[str, Any] | None = None
        if axis is not None:
            place = {"name": axis.name, "unit": axis.unit}
            if all(isinstance(value, str) for value in axis.values):
                place["labels"] = list(axis.values)
            else:
                what = f"the axis of `{name}`"
                arrays[_AXIS + name] = checked_array(what, np.array(axis.values), (m,), increasing=True)
        described[name] = {"kind": str(entry.kind), "unit": entry.unit, "axis": place}
    return arrays, {"properties": described}

"""What the nodes of this package have in common: attributes without what AiiDA adds, and checks of arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from aiida import orm
from numpy.typing import ArrayLike, NDArray

from aiida_siox.registry import nearest

#: Attributes with these beginnings are AiiDA's own: names and shapes of arrays.
ADDED_BY_AIIDA = ("array|", "default_")


def own_attributes(node: orm.Data) -> dict[str, Any]:
    """Return the attributes of a node without what AiiDA adds."""
    return {key: value for key, value in node.base.attributes.all.items() if not key.startswith(ADDED_BY_AIIDA)}


def own_arrays(node: orm.ArrayData) -> dict[str, NDArray[Any]]:
    """Return the arrays of a node by name."""
    return {name: node.get_array(name) for name in node.get_arraynames()}


def check_keys(what: str, values: Mapping[str, Any], required: Collection[str], optional: Collection[str] = ()) -> None:
    """Refuse keys that are missing or unknown.

    :param what: is described, for messages: ``a site table``.
    :raises ValueError: naming every such key.
    """
    missing = [key for key in required if key not in values]
    unknown = [key for key in values if key not in required and key not in optional]
    if missing:
        raise ValueError(f"{what} lacks {', '.join(missing)}.")
    if unknown:
        raise ValueError(f"{what} has no key `{unknown[0]}`: {nearest(unknown[0], [*required, *optional])}")


def checked_array(
    what: str, values: ArrayLike, shape: tuple[int | None, ...], *, finite: bool = True, increasing: bool = False
) -> NDArray[Any]:
    """Return an array of numbers after a check.

    :param what: it is, for messages: ``the energies of a spectrum``.
    :param shape: that it must have; None for any length.
    :param finite: refuse NaN and infinities.
    :param increasing: refuse values that do not increase.
    :raises ValueError: naming what is wrong.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{what} must be numbers, got the type {array.dtype}.")
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        wanted = "×".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{what} must have the shape {wanted}, got {'×'.join(map(str, array.shape)) or 'one number'}.")
    if finite and not np.isfinite(array).all():
        place = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f"{what} must be finite, but the number at {place} is {array[tuple(place)]}.")
    if increasing and np.any(np.diff(array) <= 0):
        raise ValueError(f"{what} must increase.")
    return array


class FilledArrayData(orm.ArrayData):
    """Arrays and attributes that a constructor of the class has checked.

    A class names the attributes without which it is not stored.
    """

    REQUIRED: tuple[str, ...] = ()
    CONSTRUCTOR = ""

    @classmethod
    def filled(cls, arrays: Mapping[str, NDArray[Any]], attributes: Mapping[str, Any]) -> Any:
        """Return an unstored node with arrays and attributes."""
        node = cls()
        for name, array in arrays.items():
            node.set_array(name, array)
        node.base.attributes.set_many(dict(attributes))
        return node

    def _validate(self) -> bool:
        """Refuse to store a node that its constructor did not make."""
        super()._validate()
        missing = [key for key in self.REQUIRED if key not in self.base.attributes.all]
        if missing:
            name = type(self).__name__
            raise ValueError(f"a {name} comes from {name}.{self.CONSTRUCTOR}; this one lacks {', '.join(missing)}.")
        return True

    @property
    def attributes(self) -> dict[str, Any]:
        """What the node says, without what AiiDA adds."""
        return own_attributes(self)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name."""
        return own_arrays(self)

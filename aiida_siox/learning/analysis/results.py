"""What one part of the analysis gives, as an object and as files: the same for a function call and for a job."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aiida_siox.science.plain import plain

SCHEMA = 1
"""Raise it whenever a key of ``result.json`` changes its name or meaning."""

RESULT_JSON = "result.json"
RESULT_NPZ = "result.npz"
MODEL_PATTERN = "model_{name}.pt"


class Model(Protocol):
    """A trained model that knows how to become one file."""

    @property
    def card(self) -> Mapping[str, Any]:
        """What is to be known of it."""

    def to_bytes(self) -> bytes:
        """Return the content of its file."""


@dataclasses.dataclass(frozen=True)
class PartResult:
    """What one part of the analysis gives.

    :param arrays: numbers, truth values or texts by name.
    :param attributes: plain values: scores, counts, settings.
    :param models: by property; of the part ``model`` only.
    """

    arrays: Mapping[str, NDArray[Any]]
    attributes: Mapping[str, Any]
    models: Mapping[str, Model] = dataclasses.field(default_factory=dict)


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a file under this name is always complete; numbers that are not finite become null."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(plain(content), allow_nan=False, indent=1) + "\n")
    os.replace(partial, path)


def write_result(folder: pathlib.Path, result: PartResult, description: Mapping[str, Any]) -> None:
    """Write ``result.npz``, a file for each model, and last ``result.json``: where it is, the rest is complete.

    :param folder: that exists.
    :param result: of a part.
    :param description: what else the JSON file says: part, parameters, versions, times.
    """
    arrays = {name: np.asarray(array) for name, array in result.arrays.items()}
    for name, array in arrays.items():
        if array.dtype == object:
            raise TypeError(f"the array `{name}` holds Python objects.")
    np.savez_compressed(folder / RESULT_NPZ, **arrays)  # type: ignore[arg-type]
    for name, model in result.models.items():
        (folder / MODEL_PATTERN.format(name=name)).write_bytes(model.to_bytes())
    write_json(
        folder / RESULT_JSON,
        {"schema": SCHEMA, **description, "models": sorted(result.models), "attributes": result.attributes},
    )

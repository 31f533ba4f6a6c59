"""A reader: curves in JSON, ``{"energy": [...], "mu": [...]}``."""

import json
import pathlib

import numpy as np
from numpy.typing import NDArray

from aiida_siox.science.readers import Reader


def read(path: pathlib.Path) -> NDArray[np.float64]:
    """Return the columns, shape (n, 2)."""
    values = json.loads(path.read_text(encoding="utf-8"))
    try:
        return np.column_stack([values["energy"], values["mu"]])
    except KeyError as exception:
        raise ValueError(f"the key {exception} is missing.") from None


JSON_CURVE = Reader("curve in JSON", read, suffixes=(".json",))

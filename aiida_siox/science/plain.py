"""Values that JSON and a database can hold."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Return a value that JSON can hold: numpy arrays as lists, NaN and infinities as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

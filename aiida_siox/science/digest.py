"""Content digests: what nodes say of other nodes in their attributes, so that cached copies still agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

#: Decimals of Å kept before hashing: far below any physical meaning, far above the noise of text round trips.
DECIMALS = 6


def structure_digest(symbols: Sequence[str], cell: ArrayLike, positions: ArrayLike) -> str:
    """Return the sha256 of element symbols, cell (3, 3) and positions (n, 3), both in Å and in their given order."""
    digest = hashlib.sha256(" ".join(symbols).encode())
    for array in (cell, positions):
        rounded = np.round(np.asarray(array, dtype=float), DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0
        digest.update(np.ascontiguousarray(rounded).tobytes())
    return digest.hexdigest()


def mapping_digest(mapping: dict[str, Any]) -> str:
    """Return the sha256 of a nested mapping of plain values, independent of the order of its keys."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [plain(entry) for entry in value]
        # 1 and 1.0 are the same setting, whichever way yaml or a database wrote it
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    text = json.dumps(plain(mapping), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

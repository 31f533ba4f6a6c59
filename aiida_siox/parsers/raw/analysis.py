"""Files of ``siox-analyse`` → plain values and arrays."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCHEMA = 1
"""Version of ``result.json`` that is understood here."""

_PROGRESS = re.compile(r"^progress (\d+\.\d+) ?(.*)$", re.MULTILINE)


def parse_progress(text: str) -> tuple[float, str] | None:
    """Return fraction and text of the last line of progress in the standard output, None where there is none."""
    found = _PROGRESS.findall(text)
    return (float(found[-1][0]), found[-1][1]) if found else None


def parse_result(text: str) -> dict[str, Any]:
    """Read ``result.json``.

    :returns: its content: with ``error`` (``kind``, ``message``) if the run was stopped, else with ``part``,
        ``parameters``, ``part_version``, ``models`` and ``attributes``.
    :raises ValueError: if it is not such a file, or of another schema.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise ValueError(f"schema {found!r} of result.json is not {SCHEMA}: use the siox-analyse of this aiida_siox")
    wanted = {"error"} if "error" in content else {"part", "parameters", "part_version", "models", "attributes"}
    if missing := wanted - set(content):
        raise ValueError(f"result.json lacks {', '.join(sorted(missing))}")
    return content


def parse_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Read ``result.npz``.

    :raises ValueError: if it is damaged, or holds Python objects.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as exception:
        raise ValueError(f"result.npz is damaged: {exception}") from exception

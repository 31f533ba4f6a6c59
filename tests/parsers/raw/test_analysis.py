"""Files of siox-analyse."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from aiida_siox.learning.analysis import results
from aiida_siox.parsers.raw.analysis import SCHEMA, parse_arrays, parse_progress, parse_result


def test_last_line_of_progress():
    assert parse_progress("progress 0.100 one\nnoise\nprogress 0.350 two words\nsiox") == (0.35, "two words")
    assert parse_progress("progress 1.000\n") == (1.0, "")
    assert parse_progress("nothing yet") is None


def test_result_file():
    content = {"schema": 1, "part": "splits", "parameters": {}, "part_version": 1, "models": [], "attributes": {}}
    assert parse_result(json.dumps(content)) == content
    assert parse_result('{"schema": 1, "error": {"kind": "sites"}}')["error"] == {"kind": "sites"}
    assert SCHEMA == results.SCHEMA


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ("[]", "schema None"),
        ('{"schema": 7}', "schema 7 of"),
        ('{"schema": 1}', "lacks attributes"),
    ],
)
def test_what_is_no_result_file(text, message):
    with pytest.raises(ValueError, match=message):
        parse_result(text)


def test_arrays():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.arange(3), names=np.array(["x"]))
    arrays = parse_arrays(buffer.getvalue())
    assert arrays["a"].tolist() == [0, 1, 2]
    assert arrays["names"].tolist() == ["x"]
    with pytest.raises(ValueError, match="damaged"):
        parse_arrays(buffer.getvalue()[:50])
    with pytest.raises(ValueError, match="damaged"):
        parse_arrays(b"")
    objects = io.BytesIO()
    np.savez_compressed(objects, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        parse_arrays(objects.getvalue())

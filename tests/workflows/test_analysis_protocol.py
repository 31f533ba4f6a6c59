"""Protocols of the analysis."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.workflows.analysis import AnalysisProtocol

PARTS = {"splits", "windows", "averages", "uncertainty", "learning_curve", "model"}


@pytest.mark.parametrize("name", ["fast", "balanced", "paper"])
def test_every_protocol_is_valid(name):
    parameters = AnalysisProtocol.get_parameters(name)
    assert set(parameters) == PARTS
    for section in parameters.values():
        assert (section["training"]["learning_rate"], section["training"]["batch_size"]) == (1e-3, 128)
        assert section["training"]["n_folds"] == 5
        assert "description" not in section
        assert section["training"]["coverage"] == 0.90


def test_windows_of_the_paper():
    """Eight windows of 6.25 eV that cover the data set without a gap, and two bands of four windows each."""
    section = AnalysisProtocol.get_parameters()["windows"]
    windows = dict(zip(section["names"], section["windows_eV"], strict=True))
    narrow = np.array([windows[name] for name in "abcdefgh"])
    assert np.array_equal(np.diff(narrow, axis=1), np.full((8, 1), 6.25))
    assert np.array_equal(narrow[1:, 0], narrow[:-1, 1])
    assert windows["low"] == [narrow[0, 0], narrow[3, 1]] == [1830.0, 1855.0]
    assert windows["high"] == [narrow[4, 0], narrow[7, 1]] == [1855.0, 1880.0]


def test_a_section_belongs_to_its_part_alone():
    """What changes in one section must not reach the others: their results stay in the cache."""
    before = AnalysisProtocol.get_parameters("fast")
    after = AnalysisProtocol.get_parameters("fast", {"splits": {"n_seeds": {"valence": {"random": 9}}}})
    assert {part for part in PARTS if before[part] != after[part]} == {"splits"}
    assert after["splits"]["n_seeds"]["valence"] == {"random": 9, "grouped": 1, "composition": 1}, (
        "the rest as for scalars"
    )
    after = AnalysisProtocol.get_parameters("fast", {"training": {"seed": 7}})
    assert {part for part in PARTS if before[part] != after[part]} == PARTS


def test_overrides_are_checked():
    with pytest.raises(ValueError, match=r"`splits.n_seed`: did you mean `n_seeds`"):
        AnalysisProtocol.get_parameters("fast", {"splits": {"n_seed": 7}})
    with pytest.raises(ValueError, match=r"`training.epoch`: did you mean `epochs`"):
        AnalysisProtocol.get_parameters("fast", {"training": {"epoch": 7}})
    with pytest.raises(ValueError, match="epochs"):
        AnalysisProtocol.get_parameters("fast", {"training": {"epochs": 0}})
    with pytest.raises(ValueError, match="unknown protocol `quick`"):
        AnalysisProtocol.get_parameters("quick")


def test_targets_and_names():
    parameters = AnalysisProtocol.get_parameters("fast", None, ("bridge_angle",))
    assert all(section["targets"] == ["bridge_angle"] for section in parameters.values())
    with pytest.raises(ValueError, match="unknown property of a site `bridge_angel`: did you mean `bridge_angle`"):
        AnalysisProtocol.get_parameters("fast", None, ("bridge_angel",))
    with pytest.raises(ValueError, match=r"`splits.n_seeds.valense` is neither a property nor a kind"):
        AnalysisProtocol.get_parameters("fast", {"splits": {"n_seeds": {"valense": {"random": 9}}}})
    with pytest.raises(ValueError, match=r"`windows.names`: 2 for 1 windows_eV"):
        AnalysisProtocol.get_parameters("fast", {"windows": {"names": ["a", "b"], "windows_eV": [[1830, 1840]]}})

"""Protocols of the training."""

from __future__ import annotations

import pytest

from aiida_siox.workflows.training import TrainingProtocol


@pytest.mark.parametrize("name", ["fast", "balanced", "paper"])
def test_every_protocol_is_valid(name):
    parameters = TrainingProtocol.get_parameters(name)
    assert (parameters["learning_rate"], parameters["batch_size"]) == (1e-3, 128)
    assert parameters["normalisation"] == "none"
    assert "description" not in parameters


def test_overrides_are_merged_and_checked():
    parameters = TrainingProtocol.get_parameters("fast", {"seed": 7, "networks": {"valence": {"hidden": [8]}}})
    assert parameters["seed"] == 7
    assert parameters["networks"]["valence"] == {"hidden": [8], "activation": "leaky_relu"}, "the rest as for scalars"
    with pytest.raises(ValueError, match="did you mean `epochs`"):
        TrainingProtocol.get_parameters("fast", {"epoch": 7})
    with pytest.raises(ValueError, match="unknown protocol `quick`"):
        TrainingProtocol.get_parameters("quick")
    with pytest.raises(ValueError, match="must be one of none, post_edge, got 'area'"):
        TrainingProtocol.get_parameters("fast", {"normalisation": "area"})

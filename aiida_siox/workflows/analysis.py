"""Protocols of the analysis: every number of the `analyse_part` calcfunction and of `TrainCalculation`."""

from __future__ import annotations

from typing import Any

from aiida_siox.learning.parameters import Hyperparameters
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.training import TrainingProtocol


class AnalysisProtocol(SioxProtocolMixin):
    """Parameters by part and protocol, from ``protocols/analysis.yaml``."""

    _protocol_name = "analysis"
    _protocol_children = {"training": TrainingProtocol}

    @classmethod
    def get_parameters(cls, protocol: str | None = None, overrides: Any = None) -> dict[str, dict[str, Any]]:
        """Return the parameters of :func:`~aiida_siox.calculations.analysis.analyse_part` for each part, checked.

        :param protocol: name of the protocol; the default of the file when None.
        :param overrides: mapping of parameters that differ, or the path of a yaml file with one.
        :returns: part → its own section with ``training`` beside it.
        :raises ValueError: for an unknown protocol, an unknown key or a value out of its range.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        training = inputs.pop("training")
        Hyperparameters.from_dict(training)
        return {part: {**section, "training": training} for part, section in inputs.items()}

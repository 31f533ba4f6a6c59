"""Protocols of the training: the hyperparameters of the `train` calcfunction."""

from __future__ import annotations

from typing import Any

from aiida_siox.learning.parameters import Hyperparameters
from aiida_siox.workflows.protocol import SioxProtocolMixin


class TrainingProtocol(SioxProtocolMixin):
    """Hyperparameters by protocol, from ``protocols/training.yaml``."""

    _protocol_name = "training"

    @classmethod
    def get_parameters(cls, protocol: str | None = None, overrides: Any = None) -> dict[str, Any]:
        """Return the parameters of :func:`~aiida_siox.calculations.training.train`, checked.

        :param protocol: name of the protocol; the default of the file when None.
        :param overrides: mapping of parameters that differ, or the path of a yaml file with one.
        :raises ValueError: for an unknown protocol, an unknown key or a value out of its range.
        """
        parameters = cls.get_protocol_inputs(protocol, overrides)
        Hyperparameters.from_dict(parameters)
        return parameters

"""Protocols of the broadening after the run: the parameters of the lifetime models."""

from __future__ import annotations

from typing import Any

from aiida_siox.workflows.protocol import SioxProtocolMixin


class BroadeningProtocol(SioxProtocolMixin):
    """Parameters by model, from ``protocols/broadening.yaml``."""

    _protocol_name = "broadening"

    @classmethod
    def get_parameters(cls, model: str | None = None, overrides: Any = None) -> dict[str, Any]:
        """Return the parameters of a model, as ``SpectrumData.broadened`` takes them.

        :param model: ``constant``, ``arctan`` or ``seah-dench``; the default of the file when None.
        :param overrides: mapping of parameters that differ, or the path of a yaml file with one.
        :raises ValueError: for an unknown model or an override that the model does not have.
        """
        return cls.get_protocol_inputs(model, overrides)

"""Protocol of structure factors: grid, width and window of the first peak."""

from __future__ import annotations

from typing import Any

from aiida_siox.science.diffraction import Scattering
from aiida_siox.workflows.protocol import SioxProtocolMixin


class DiffractionProtocol(SioxProtocolMixin):
    """Parameters from ``protocols/diffraction.yaml``."""

    _protocol_name = "diffraction"

    @classmethod
    def get_parameters(cls, overrides: Any = None) -> dict[str, Any]:
        """Return the parameters as the calcfunction ``diffract`` takes them.

        :param overrides: mapping of parameters that differ, or the path of a yaml file with one.
        :raises ValueError: for an unknown override, or a number out of range.
        """
        return Scattering.parse(cls.get_protocol_inputs(None, overrides), "diffraction").plain()

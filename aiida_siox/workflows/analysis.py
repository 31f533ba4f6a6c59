"""Protocols of the analysis: every number of the `analyse_part` calcfunction and of `AnalysisCalculation`."""

from __future__ import annotations

from typing import Any

from aiida_siox.learning.analysis.parameters import BY_PROPERTY, PARAMETERS
from aiida_siox.science.properties import PROPERTIES
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.training import TrainingProtocol, by_property, checked_training


class AnalysisProtocol(SioxProtocolMixin):
    """Parameters by part and protocol, from ``protocols/analysis.yaml``."""

    _protocol_name = "analysis"
    _protocol_children = {"training": TrainingProtocol}
    _protocol_open_keys = BY_PROPERTY

    @classmethod
    def get_parameters(
        cls, protocol: str | None = None, overrides: Any = None, targets: tuple[str, ...] = ()
    ) -> dict[str, dict[str, Any]]:
        """Return the parameters of :func:`~aiida_siox.calculations.analysis.analyse_part` for each part, checked.

        :param protocol: name of the protocol; the default of the file when None.
        :param overrides: mapping of parameters that differ, or the path of a yaml file with one.
        :param targets: names of properties, instead of those that the parts name.
        :returns: part → its own section with ``training`` beside it.
        :raises ValueError: for an unknown protocol, an unknown key or property, or a value out of its range.
        """
        inputs = cls.get_protocol_inputs(protocol, overrides)
        training = checked_training(inputs.pop("training"))
        found = {}
        for part, given in inputs.items():
            section = {**given, **({"targets": list(targets)} if targets else {})}
            section |= {key: by_property(section[key], f"{part}.{key}") for key in BY_PROPERTY if key in section}
            PARAMETERS[part].parse(section, part)
            for name in section["targets"]:
                PROPERTIES.named(name)
            found[part] = {**section, "training": training}
        return found

"""Parameters of trainings by protocol, and the job that runs a part of the analysis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder

from aiida_siox.calculations.analysis import ANALYSIS_VERSION
from aiida_siox.calculations.analysis_job import AnalysisCalculation
from aiida_siox.data.dataset import DatasetData
from aiida_siox.learning.training.parameters import Hyperparameters, check_keys
from aiida_siox.learning.uncertainty.methods import check_methods
from aiida_siox.science.properties import PROPERTIES
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.utils import job_metadata


class TrainingProtocol(SioxProtocolMixin):
    """Hyperparameters by protocol, from ``protocols/training.yaml``."""

    _protocol_name = "training"
    _protocol_open_keys = ("networks", "options")

    @classmethod
    def get_parameters(cls, protocol: str | None = None, overrides: Any = None) -> dict[str, Any]:
        """Return ``training``, which every part of the analysis is told, checked.

        :param protocol: name of the protocol; the default of the file when None.
        :param overrides: mapping of parameters that differ, or the path of a yaml file with one.
        :raises ValueError: for an unknown protocol, an unknown key or a value out of its range.
        """
        return checked_training(cls.get_protocol_inputs(protocol, overrides))


def checked_training(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters that fit, networks of properties completed by those of their kind.

    :raises ValueError: naming the key, the value and the nearest name.
    """
    whole = {**parameters, "networks": by_property(parameters["networks"], "training.networks")}
    check_methods(Hyperparameters.parse(whole, "training").uncertainty)
    return whole


def by_property(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return values that stand by property or its kind; what a property does not say is as for its kind.

    :param key: of the values, for messages.
    :raises ValueError: for a key that is neither, with the nearest name.
    """
    check_keys(values, PROPERTIES, key)
    found = dict(values)
    for name, entry in values.items():
        if name in PROPERTIES and isinstance(entry, Mapping):
            found[name] = {**values.get(str(PROPERTIES[name].kind), {}), **entry}
    return found


def job_builder(
    code: orm.AbstractCode,
    dataset: DatasetData,
    part: str,
    parameters: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
) -> ProcessBuilder:
    """Return the builder of a job of ``siox-analyse``: one process with as many cores as it has threads.

    :param code: of ``siox-analyse``.
    :param part: a part of the analysis.
    :param parameters: what the part is told, with ``training``.
    :param options: scheduler options of the user.
    """
    threads = int(parameters["training"]["threads"])
    resources = {"num_machines": 1, "num_mpiprocs_per_machine": 1, "num_cores_per_mpiproc": threads}
    builder = AnalysisCalculation.get_builder()
    builder.code = code
    builder.dataset = dataset
    builder.part = orm.Str(part)
    builder.parameters = orm.Dict(dict(parameters))
    builder.version = orm.Int(ANALYSIS_VERSION)
    builder.metadata = job_metadata({"resources": resources, **(options or {})}, f"analysis: {part}")
    return builder

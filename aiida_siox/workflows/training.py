"""Training as workflows order it: the hyperparameters by protocol, and the job that runs a part of the analysis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder

from aiida_siox.calculations.analysis import ANALYSIS_VERSION
from aiida_siox.calculations.train import TrainCalculation
from aiida_siox.data.dataset import DatasetData
from aiida_siox.learning.parameters import Hyperparameters
from aiida_siox.workflows.protocol import SioxProtocolMixin
from aiida_siox.workflows.utils import job_metadata


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


def job_builder(
    code: orm.AbstractCode,
    dataset: DatasetData,
    part: str,
    parameters: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
) -> ProcessBuilder:
    """Return the builder of a job of ``siox-train``: one process with as many cores as it has threads.

    :param code: of ``siox-train``.
    :param part: a part of the analysis.
    :param parameters: what the part is told, with ``training``.
    :param options: scheduler options of the user.
    """
    threads = int(parameters["training"]["threads"])
    resources = {"num_machines": 1, "num_mpiprocs_per_machine": 1, "num_cores_per_mpiproc": threads}
    builder = TrainCalculation.get_builder()
    builder.code = code
    builder.dataset = dataset
    builder.part = orm.Str(part)
    builder.parameters = orm.Dict(dict(parameters))
    builder.version = orm.Int(ANALYSIS_VERSION)
    builder.metadata = job_metadata({"resources": resources, **(options or {})}, f"analysis: {part}")
    return builder

"""The calcfunction that runs one part of the analysis of a data set, and the nodes of its results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, calcfunction
from numpy.typing import NDArray

from aiida_siox.data.analysis import AnalysisData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.learning.analysis.parameters import check_request
from aiida_siox.learning.analysis.parts import run_part

#: Raise when `learning` changes what the same inputs give: calcfunctions and jobs are cached by their inputs.
ANALYSIS_VERSION = 4

ERROR_INVALID_PARAMETERS = 201
ERROR_UNSUITABLE_DATASET = 202

#: What a model repeats of its data set.
_DATASET_ATTRIBUTES = ("protocol", "treatment", "sigma_angstrom", "gamma_eV", "settings_digest", "shift_eV")

Progress = Callable[[float, str], None]

#: Who is told how far a part is: in the process that called, not an input, so that the cache does not see it.
_listener: ContextVar[Progress | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def listening(listener: Progress) -> Iterator[None]:
    """Tell a function how far the parts are that run inside the block, as a fraction and a line of text.

    What the function raises ends the part: its node is excepted and never taken from the cache.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def _tell(fraction: float, text: str) -> None:
    listener = _listener.get()
    if listener is not None:
        listener(fraction, text)


@calcfunction
def analyse_part(
    dataset: DatasetData, part: orm.Str, parameters: orm.Dict, version: orm.Int
) -> dict[str, Any] | ExitCode:
    """Run one part of the analysis.

    :param dataset: sites of many configurations on one calibrated grid.
    :param part: its name, a key of ``learning.analysis.parameters.PARAMETERS``.
    :param parameters: what it is told, from :meth:`~aiida_siox.workflows.analysis.AnalysisProtocol.get_parameters`.
    :param version: :data:`ANALYSIS_VERSION`.
    :returns: ``analysis``, an AnalysisData, and for the part ``model`` also ``models``, a ModelData for each property;
        or exit status 201 (bad part or parameters) or 202 (the data set cannot be learned from), with the reason as
        exit message.
    """
    values = parameters.get_dict()
    try:
        check_request(part.value, values)
    except ValueError as exception:
        return ExitCode(ERROR_INVALID_PARAMETERS, str(exception))
    _tell(0.0, part.value)
    try:
        result = run_part(part.value, dataset.site_set(), values, _tell)
    except ValueError as exception:
        return ExitCode(ERROR_UNSUITABLE_DATASET, str(exception))
    models = {name: model.to_bytes() for name, model in result.models.items()}
    return result_nodes(dataset, part.value, values, version.value, result.arrays, result.attributes, models)


def result_nodes(
    dataset: DatasetData,
    part: str,
    parameters: Mapping[str, Any],
    version: int,
    arrays: Mapping[str, NDArray[Any]],
    attributes: Mapping[str, Any],
    models: Mapping[str, bytes],
) -> dict[str, Any]:
    """Return the unstored nodes of a result, the same for the calcfunction and for the job.

    :param models: content of the file of each model, by property.
    :returns: ``analysis``, and ``models`` by property where there are any.
    :raises ValueError: if a model cannot be read, or an array or attribute cannot be stored.
    """
    nodes: dict[str, Any] = {
        "analysis": AnalysisData.from_result(dataset, part, parameters, version, arrays, attributes)
    }
    if models:
        nodes["models"] = {name: model_node(dataset, content, version) for name, content in models.items()}
    return nodes


def model_node(dataset: DatasetData, content: bytes, version: int) -> ModelData:
    """Return the unstored node of a model.

    :param dataset: what it was trained on.
    :param content: of its file.
    :param version: of the training.
    :raises ValueError: if the file cannot be read.
    """
    own = dataset.base.attributes
    description: dict[str, Any] = {key: own.get(key, None) for key in _DATASET_ATTRIBUTES}
    description |= {"dataset_digest": own.get("digest", None), "training_version": version}
    return ModelData.from_spectrum_model(content, description)

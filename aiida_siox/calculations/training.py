"""The calcfunction that trains a model from a data set."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.learning.model_training import train_model
from aiida_siox.learning.parameters import Hyperparameters, Target

#: Raise when `learning` changes what the same inputs give: calcfunctions are cached by their inputs.
TRAINING_VERSION = 4

ERROR_INVALID_PARAMETERS = 201
ERROR_UNSUITABLE_DATASET = 202

#: What a model repeats of its data set.
_DATASET_ATTRIBUTES = ("protocol", "treatment", "sigma_angstrom", "gamma_eV", "settings_digest", "shift_eV")


@calcfunction
def train(dataset: DatasetData, target: orm.Str, parameters: orm.Dict, version: orm.Int) -> ModelData | ExitCode:
    """Train a model on all sites of a data set, and score its recipe on random and grouped splits.

    :param dataset: sites of many configurations on one calibrated grid.
    :param target: ``valence``, ``rdf`` or ``oxidation``.
    :param parameters: all hyperparameters, from
        :meth:`~aiida_siox.workflows.training.TrainingProtocol.get_parameters`.
    :param version: :data:`TRAINING_VERSION`.
    :returns: the model; or exit status 201 (bad target or parameters) or 202 (the data set cannot be learned from),
        with the reason as exit message.
    """
    try:
        kind = Target(target.value)
        hyper = Hyperparameters.from_dict(parameters.get_dict())
        hyper.architecture(kind, 1, 1)
    except ValueError as exception:
        return ExitCode(ERROR_INVALID_PARAMETERS, str(exception))
    try:
        model = train_model(dataset.site_set(), kind, hyper)
    except ValueError as exception:
        return ExitCode(ERROR_UNSUITABLE_DATASET, str(exception))
    return model_node(dataset, model.to_bytes(), version.value)


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

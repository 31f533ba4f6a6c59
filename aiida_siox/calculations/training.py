"""The calcfunction that trains a network from a data set."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, calcfunction

from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.learning.evaluation import LearningData, train_and_score
from aiida_siox.learning.parameters import Hyperparameters, Target

#: Raise when `learning` changes what the same inputs give: calcfunctions are cached by their inputs.
TRAINING_VERSION = 1

ERROR_INVALID_PARAMETERS = 201
ERROR_UNSUITABLE_DATASET = 202

#: What the model repeats of its data set.
_DATASET_ATTRIBUTES = ("protocol", "treatment", "sigma_angstrom", "gamma_eV", "settings_digest", "shift_eV")


@calcfunction
def train(dataset: DatasetData, target: orm.Str, parameters: orm.Dict, version: orm.Int) -> ModelData | ExitCode:
    """Train a network on a data set with every split, and keep the one of the chosen split.

    :param dataset: sites of many configurations on one calibrated grid.
    :param target: ``valence`` or ``rdf``.
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
    configurations = dataset.configurations
    rows = [configurations[i] for i in dataset.configuration]
    try:
        data = LearningData.checked(
            dataset.energy,
            dataset.spectra,
            dataset.valence if kind is Target.VALENCE else dataset.rdf,
            groups=[row["structure_digest"] for row in rows],
            compositions=[f"{row['x']:.4f}" for row in rows],
        )
        outcome = train_and_score(data, kind, hyper)
    except ValueError as exception:
        return ExitCode(ERROR_UNSUITABLE_DATASET, str(exception))
    attributes = dataset.base.attributes
    return ModelData.from_training(
        data,
        kind,
        hyper,
        outcome,
        identity={
            "site_index": dataset.get_array("site_index"),
            "n_oxygen": dataset.n_oxygen,
            "configuration": dataset.configuration,
        },
        description={
            **{key: attributes.get(key, None) for key in _DATASET_ATTRIBUTES},
            "dataset_digest": attributes.get("digest"),
            "configurations": configurations,
            "r_angstrom": dataset.r.tolist(),
            "training_version": version.value,
        },
    )

"""Hyperparameters: what is refused and how the remedy is named."""

from __future__ import annotations

import pytest

from aiida_siox.learning.parameters import Architecture, Hyperparameters, Target
from aiida_siox.workflows.training import TrainingProtocol


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "random"}, "unknown training parameter split"),
        ({"coverage": 1.0}, "`coverage` is 1.0"),
        ({"n_folds": 1}, "`n_folds` must be an integer of at least 2"),
        ({"grid": {"epochs": [1]}}, "`grid` must map learning_rate and weight_decay"),
        ({"grid": {"learning_rate": []}}, "`grid.learning_rate` must be a list with at least one value"),
        ({"grid": {"learning_rate": [0.0]}}, "`grid.learning_rate` is 0.0"),
        ({"mixture_sizes": [5, 2]}, "`mixture_sizes` must be"),
        ({"normalisation": "area"}, "must be one of none, post_edge"),
        ({"test_fraction": 1.0}, "`test_fraction` is 1.0"),
        ({"test_fraction": float("nan")}, "`test_fraction` must be a number"),
        ({"epochs": 0}, "`epochs` must be an integer of at least 1"),
        ({"seed": 1.5}, "`seed` must be an integer"),
        ({"learning_rate": 0}, "`learning_rate`"),
        ({"post_edge_window_eV": [1880, 1865]}, "post_edge_window_eV"),
        ({"networks": {"charge": {}}}, "`networks` must map valence, rdf"),
        ({"networks": {"valence": {"hidden": [3], "activation": "tanh"}}}, "one of relu, leaky_relu"),
        ({"networks": {"valence": {"hidden": [], "activation": "relu"}}}, "list of layer sizes"),
        ({"networks": {"valence": {"hidden": [3]}}}, "keys hidden and activation"),
        ({"dropout": 0.1}, "unknown training parameter dropout"),
    ],
)
def test_refused(change, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        Hyperparameters.from_dict({**TrainingProtocol.get_parameters(), **change})


def test_missing():
    parameters = TrainingProtocol.get_parameters()
    del parameters["seed"]
    with pytest.raises(ValueError, match="lack seed: start from a protocol"):
        Hyperparameters.from_dict(parameters)


def test_networks_of_the_paper():
    hyper = Hyperparameters.from_dict(TrainingProtocol.get_parameters("paper"))
    charge = hyper.architecture(Target.VALENCE, 256, 1)
    assert (charge.hidden, charge.activation) == ((256, 256, 256), "leaky_relu")
    rdf = hyper.architecture(Target.RDF, 256, 256)
    assert (rdf.hidden, rdf.activation) == ((512, 512, 512), "relu")
    assert Architecture.from_dict(rdf.to_dict()) == rdf

"""Hyperparameters: what is refused and how the remedy is named."""

from __future__ import annotations

import pytest

from aiida_siox.learning.networks.architecture import Architecture
from aiida_siox.learning.training.parameters import Hyperparameters, check_keys, choose
from aiida_siox.workflows.training import TrainingProtocol
from tests.learning.toy import QUANTITIES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patiance": 3}, "unknown key `training.patiance`: did you mean `patience`?"),
        ({"coverage": 1.0}, "`training.coverage`: .* less than 1, got 1.0"),
        ({"n_folds": 1}, "`training.n_folds`: .* greater than or equal to 2, got 1"),
        ({"grid": {"epochs": [1]}}, "unknown key `training.grid.epochs`: .*learning_rate, weight_decay"),
        ({"grid": {"learning_rate": []}}, "`training.grid.learning_rate`: .* at least 1 item"),
        ({"grid": {"learning_rate": [0.0]}}, "`training.grid.learning_rate.0`: .* greater than 0, got 0.0"),
        ({"mixture_sizes": [5, 2]}, r"mixture_sizes must be \[least, largest\], got \[5, 2\]"),
        ({"normalisation": "area"}, "`training.normalisation`: .*'none' or 'post_edge', got 'area'"),
        ({"test_fraction": 1.0}, "`training.test_fraction`"),
        ({"test_fraction": float("nan")}, "`training.test_fraction`: .* finite number"),
        ({"epochs": 0}, "`training.epochs`: .* greater than or equal to 1, got 0"),
        ({"seed": 1.5}, "`training.seed`: .* integer"),
        ({"learning_rate": 0}, "`training.learning_rate`: .* greater than 0"),
        ({"post_edge_window_eV": [1880, 1865]}, r"`training.post_edge_window_eV`: must be \[lowest, highest\]"),
        ({"networks": {"scalar": {"hidden": [3], "activation": "tanh"}}}, "'relu' or 'leaky_relu', got 'tanh'"),
        ({"networks": {"scalar": {"hidden": [], "activation": "relu"}}}, "hidden`: .* at least 1 item"),
        ({"networks": {"scalar": {"hidden": [3]}}}, "`training.networks.scalar.activation` is missing"),
        ({"novelty": {"quantile": 0.9}}, "`training.novelty.n_folds` is missing"),
    ],
)
def test_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Hyperparameters.parse({**TrainingProtocol.get_parameters(), **change}, "training")


def test_missing():
    parameters = TrainingProtocol.get_parameters()
    del parameters["seed"]
    with pytest.raises(ValueError, match="`seed` is missing"):
        Hyperparameters.parse(parameters)


def test_networks_of_the_paper():
    hyper = Hyperparameters.parse(TrainingProtocol.get_parameters("paper"))
    valence = hyper.architecture(QUANTITIES["valence"], 256, 1)
    assert (valence.hidden, valence.activation) == ((256, 256, 256), "leaky_relu")
    rdf = hyper.architecture(QUANTITIES["rdf"], 256, 256)
    assert (rdf.hidden, rdf.activation) == ((512, 512, 512), "relu")
    assert Architecture.parse(rdf.plain()) == rdf


def test_a_new_property_has_the_network_of_its_kind_and_its_name_goes_before():
    hyper = Hyperparameters.parse(TrainingProtocol.get_parameters())
    angle = QUANTITIES["bridge_angle"]
    assert hyper.architecture(angle, 256, 1) == hyper.architecture(QUANTITIES["valence"], 256, 1)
    overrides = {"networks": {"bridge_angle": {"hidden": [8], "activation": "relu"}}}
    hyper = Hyperparameters.parse(TrainingProtocol.get_parameters(None, overrides))
    assert hyper.architecture(angle, 256, 1).hidden == (8,)
    assert hyper.architecture(QUANTITIES["valence"], 256, 1).hidden == (256, 256, 256)


def test_names_that_are_neither_a_property_nor_a_kind():
    with pytest.raises(ValueError, match="`n_seeds` says nothing of `valence`: give its name or its kind"):
        choose({"curve": 1}, QUANTITIES["valence"], "n_seeds")
    with pytest.raises(ValueError, match=r"`networks.valense` is neither a property nor a kind .* mean `valence`"):
        check_keys({"scalar": 1, "valense": 1}, QUANTITIES, "networks")
    with pytest.raises(ValueError, match=r"`training.networks.valense` is neither"):
        TrainingProtocol.get_parameters(None, {"networks": {"valense": {"hidden": [8], "activation": "relu"}}})
    with pytest.raises(ValueError, match="unknown calibrator `cv_pluss`: did you mean `cv_plus`"):
        TrainingProtocol.get_parameters(None, {"uncertainty": {"calibrator": "cv_pluss"}})

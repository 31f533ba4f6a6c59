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
        ({"patiance": 3}, "unknown key `training.patiance` .*: did you mean `patience`"),
        ({"coverage": 1.0}, "`training.coverage` must be a number above 0 below 1, got 1.0"),
        ({"n_folds": 1}, "`training.n_folds` must be an integer from 2 on, got 1"),
        ({"grid": {"epoch": [1]}}, "unknown key `training.grid.epoch` .* Valid: learning_rate, weight_decay"),
        ({"grid": {"learning_rate": []}}, "`training.grid.learning_rate` must be a list, one or more"),
        ({"grid": {"learning_rate": [0.0]}}, "`training.grid.learning_rate.0` must be a number above 0, got 0.0"),
        ({"mixture_sizes": [5, 2]}, r"`training.mixture_sizes` must be \[least, largest\], got \[5, 2\]"),
        ({"normalisation": "nonne"}, "must be one of none, post_edge, got 'nonne'. Did you mean `none`"),
        ({"test_fraction": 1.0}, "`training.test_fraction` must be a number above 0 below 1"),
        ({"test_fraction": float("nan")}, "`training.test_fraction` must be a number"),
        ({"epochs": 0}, "`training.epochs` must be an integer from 1 on, got 0"),
        ({"seed": 1.5}, "`training.seed` must be an integer from 0 on, got 1.5"),
        ({"seed": True}, "`training.seed` must be an integer"),
        ({"learning_rate": 0}, "`training.learning_rate` must be a number above 0"),
        ({"learning_rate": "1e-3"}, "with a dot: yaml reads 1e-8 as text"),
        ({"post_edge_window_eV": [1880, 1865]}, r"`training.post_edge_window_eV`: must be \[lowest, highest\]"),
        ({"networks": {"scalar": {"hidden": [3], "activation": "tanh"}}}, "one of relu, leaky_relu, got 'tanh'"),
        ({"networks": {"scalar": {"hidden": [], "activation": "relu"}}}, "hidden` must be a list, one or more"),
        ({"networks": {"scalar": {"hidden": [3]}}}, "`training.networks.scalar` lacks `activation`"),
        ({"novelty": {"quantile": 0.9}}, "`training.novelty` lacks `n_folds`"),
    ],
)
def test_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Hyperparameters.parse({**TrainingProtocol.get_parameters(), **change}, "training")


def test_missing():
    parameters = TrainingProtocol.get_parameters()
    del parameters["seed"]
    with pytest.raises(ValueError, match="lacks `seed`: start from a protocol"):
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

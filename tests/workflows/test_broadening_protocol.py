"""Protocols of the broadening: one for each model, complete but for the half width of the run."""

from __future__ import annotations

import pytest

from aiida_siox.science.broadening import MODELS, broadening_from_dict
from aiida_siox.workflows.broadening import BroadeningProtocol


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_its_parameters(model):
    parameters = BroadeningProtocol.get_parameters(model)
    assert parameters.pop("gamma_eV") is None
    assert broadening_from_dict({**parameters, "gamma_eV": 0.8}).name == model


def test_the_default_is_constant():
    assert BroadeningProtocol.get_parameters() == {"model": "constant", "gamma_eV": None, "gaussian_fwhm_eV": 0.0}


def test_overrides_are_checked():
    assert BroadeningProtocol.get_parameters("seah-dench", {"solid": "element"})["solid"] == "element"
    with pytest.raises(ValueError, match="`center_eV`"):
        BroadeningProtocol.get_parameters("constant", {"center_eV": 20.0})
    with pytest.raises(ValueError, match="unknown protocol `seah`: did you mean `seah-dench`"):
        BroadeningProtocol.get_parameters("seah")

"""The network: shape, scalers inside, state dict there and back."""

from __future__ import annotations

import pytest
import torch

from aiida_siox.learning.data.spectrum import Normalisation
from aiida_siox.learning.networks.architecture import Activation, Architecture
from aiida_siox.learning.networks.layers import SpectrumNetwork

ENERGY = torch.linspace(1.0, 5.0, 5, dtype=torch.float64)


def make(normalisation: Normalisation = Normalisation.NONE) -> SpectrumNetwork:
    torch.manual_seed(0)
    shape = {"n_inputs": 5, "n_outputs": 2, "hidden": (4, 4), "activation": Activation.RELU}
    network = SpectrumNetwork(Architecture(**shape, normalisation=normalisation))
    network.set_grid(ENERGY, (4.0, 5.0))
    return network


def test_constant_columns_give_no_nan():
    network = make()
    spectra = torch.ones(6, 5, dtype=torch.float64) * 0.1
    spectra[:, 2] = torch.arange(6)
    targets = torch.ones(6, 2, dtype=torch.float64) * 3.3
    network.fit_scalers(spectra, targets, scale_floor=0.0)
    assert torch.isfinite(network(spectra)).all()
    assert torch.equal(network.input_scale[[0, 1, 3, 4]], torch.ones(4, dtype=torch.float64))
    assert torch.equal(network.output_scale, torch.ones((), dtype=torch.float64))
    network.fit_scalers(torch.zeros(6, 5, dtype=torch.float64), targets * 0, scale_floor=0.01)
    assert torch.isfinite(network(spectra)).all()


def test_flat_columns_are_not_blown_up():
    network = make()
    spectra = torch.zeros(6, 5, dtype=torch.float64)
    spectra[:, 0] = 1e-6 * torch.arange(6)
    spectra[:, 2] = torch.arange(6)
    network.fit_scalers(spectra, torch.rand(6, 2, dtype=torch.float64), scale_floor=0.01)
    assert network.input_scale[0] == pytest.approx(0.01 * network.input_scale[2])


def test_scalers_standardise():
    network = make()
    spectra = 1e-6 * torch.rand(50, 5, dtype=torch.float64) + 7
    network.fit_scalers(spectra, torch.rand(50, 2, dtype=torch.float64), scale_floor=0.0)
    seen = network.scaled(spectra)
    assert seen.dtype == torch.float32
    assert torch.allclose(seen.mean(dim=0), torch.zeros(5), atol=1e-5)
    assert torch.allclose(seen.std(dim=0, correction=0), torch.ones(5), atol=1e-5)


def test_post_edge_makes_the_unit_of_the_spectrum_irrelevant():
    network = make(Normalisation.POST_EDGE)
    spectra = torch.rand(10, 5, dtype=torch.float64) + 1
    network.fit_scalers(spectra, torch.rand(10, 2, dtype=torch.float64), 0.01)
    assert torch.allclose(network(spectra), network(spectra * 137.0), atol=1e-6)
    assert torch.allclose(network.normalise(spectra)[:, 3:].mean(dim=1), torch.ones(10, dtype=torch.float64))
    with pytest.raises(ValueError, match="post-edge window is not positive"):
        network(-spectra)
    with pytest.raises(ValueError, match="change `post_edge_window_eV`"):
        network.set_grid(ENERGY, (4.0, 6.0))

"""Network from a raw spectrum to a physical target, with its normalisation and its scalers inside."""

from __future__ import annotations

import itertools
import pickle

import torch
from torch import Tensor, nn

from aiida_siox.learning.data.spectrum import Normalisation, check_post_edge, post_edge_weights
from aiida_siox.learning.networks.architecture import Activation, Architecture

#: What torch.load raises for files that are cut, altered, or something else altogether: it has no error of its own.
LOAD_ERRORS = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    OSError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
)

LAYERS: dict[Activation, type[nn.Module]] = {Activation.RELU: nn.ReLU, Activation.LEAKY_RELU: nn.LeakyReLU}


class SpectrumNetwork(nn.Module):
    """Fully connected network whose buffers hold the energy grid, the normalisation and the scalers.

    Raw spectra on ``energy_eV`` go in, physical units come out; what the layers see is standardised. So a state dict is
    all that has to be kept, and nobody can forget to scale.

    :param architecture: the shape; new weights come from torch's global generator.
    """

    energy_eV: Tensor
    post_edge: Tensor
    input_mean: Tensor
    input_scale: Tensor
    output_mean: Tensor
    output_scale: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        n_inputs, n_outputs = architecture.n_inputs, architecture.n_outputs
        for name, size in (("energy_eV", n_inputs), ("post_edge", n_inputs), ("input_mean", n_inputs)):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
        self.register_buffer("input_scale", torch.ones(n_inputs, dtype=torch.float64))
        self.register_buffer("output_mean", torch.zeros(n_outputs, dtype=torch.float64))
        self.register_buffer("output_scale", torch.ones((), dtype=torch.float64))
        layers: list[nn.Module] = []
        for size_in, size_out in itertools.pairwise((n_inputs, *architecture.hidden)):
            layers += [nn.Linear(size_in, size_out), LAYERS[architecture.activation]()]
        layers.append(nn.Linear(architecture.hidden[-1], n_outputs))
        self.body = nn.Sequential(*layers)

    def set_grid(self, energy: Tensor, post_edge_window: tuple[float, float]) -> None:
        """Store the energies and, for the ``post_edge`` normalisation, the window of its mean.

        :param energy: increasing energies in eV, shape (n_inputs,).
        :param post_edge_window: lowest and highest energy of the mean in eV; unused without normalisation.
        :raises ValueError: if the window is not inside the energies.
        """
        self.energy_eV.copy_(energy)
        if self.architecture.normalisation is Normalisation.NONE:
            return
        self.post_edge.copy_(torch.from_numpy(post_edge_weights(energy.numpy(), post_edge_window)))

    def fit_scalers(self, spectra: Tensor, targets: Tensor, scale_floor: float) -> None:
        """Take mean and spread from the training sites; no other site may be among them.

        Spectra are scaled energy by energy. Targets are centred bin by bin and divided by one number, so that the
        mean squared error that is minimised is the one in physical units.

        :param spectra: raw spectra, shape (n, n_inputs).
        :param targets: in physical units, shape (n, n_outputs).
        :param scale_floor: least scale of an energy as a part of the largest one.
        """
        normalised = self.normalise(spectra)
        spread = normalised.std(dim=0, correction=0)
        floor = scale_floor * float(spread.max())
        self.input_mean.copy_(normalised.mean(dim=0))
        self.input_scale.copy_(_no_zero(spread.clamp(min=floor), normalised.abs().max()))
        mean = targets.mean(dim=0)
        self.output_mean.copy_(mean)
        self.output_scale.copy_(_no_zero((targets - mean).square().mean().sqrt(), targets.abs().max()))

    def normalise(self, spectra: Tensor) -> Tensor:
        """Return spectra divided by their post-edge mean, or as they are when the network has no normalisation.

        :param spectra: raw spectra, shape (n, n_inputs).
        :raises ValueError: if a post-edge mean is not positive.
        """
        if self.architecture.normalisation is Normalisation.NONE:
            return spectra
        mean = spectra @ self.post_edge
        check_post_edge(mean.numpy())
        return spectra / mean[:, None]

    def scaled(self, spectra: Tensor) -> Tensor:
        """Return what the first layer sees, shape (n, n_inputs), float32."""
        return ((self.normalise(spectra.double()) - self.input_mean) / self.input_scale).float()

    def forward(self, spectra: Tensor) -> Tensor:
        """Return the target in physical units.

        :param spectra: raw spectra on ``energy_eV``, shape (n, n_inputs).
        :returns: shape (n, n_outputs), float64.
        """
        return self.output_mean + self.output_scale * self.body(self.scaled(spectra)).double()


def _no_zero(scale: Tensor, size: Tensor) -> Tensor:
    """Replace scales that are nothing but rounding of values of that size by 1, so that constants divide by 1."""
    return torch.where(scale > 1e-12 * size, scale, torch.ones_like(scale))

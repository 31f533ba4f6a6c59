"""Shape of a network: enough, with a state dict, to build it again. Without torch."""

from __future__ import annotations

import enum
from typing import Annotated

from pydantic import Field

from aiida_siox.checked import Checked, Count
from aiida_siox.learning.data.spectrum import Normalisation

Layers = Annotated[tuple[Count, ...], Field(min_length=1)]


class Activation(enum.StrEnum):
    """Non-linearity between the layers."""

    RELU = "relu"
    LEAKY_RELU = "leaky_relu"


class Body(Checked):
    """What is between spectrum and result.

    :param hidden: number of nodes of each hidden layer.
    :param activation: non-linearity after each hidden layer.
    """

    hidden: Layers
    activation: Activation


class Architecture(Body):
    """Shape of a network.

    :param n_inputs: number of energies.
    :param n_outputs: 1 for a scalar, the number of columns else.
    :param normalisation: what a spectrum is divided by inside the network.
    """

    n_inputs: Count
    n_outputs: Count
    normalisation: Normalisation = Normalisation.NONE

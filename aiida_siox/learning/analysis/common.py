"""What the parts of the analysis share."""

from __future__ import annotations

from collections.abc import Callable

from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.spectrum import Normalisation
from aiida_siox.learning.training.parameters import Hyperparameters

#: Called with the part that is done, 0 to 1, and a line of text.
Report = Callable[[float, str], None]


def as_read(sites: SiteSet, hyper: Hyperparameters) -> SiteSet:
    """Return the sites with their spectra as the networks normalise them: for what is not a network."""
    if hyper.normalisation is Normalisation.NONE:
        return sites
    return sites.normalised(hyper.post_edge_window_eV)


def steps(progress: Report, n: int) -> Callable[[int, str], Callable[[float], None]]:
    """Return a function that makes the progress of step i of n out of its own part done."""
    return lambda i, text: lambda part: progress((i + part) / n, text)

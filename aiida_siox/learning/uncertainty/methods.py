"""The registries of what makes and judges intervals, together."""

from __future__ import annotations

from aiida_siox.learning.training.parameters import UncertaintySettings
from aiida_siox.learning.uncertainty.calibrator import CALIBRATORS
from aiida_siox.learning.uncertainty.estimator import ESTIMATORS
from aiida_siox.learning.uncertainty.evaluator import EVALUATORS
from aiida_siox.registry import nearest


def check_methods(settings: UncertaintySettings) -> None:
    """Refuse names that no registry knows.

    :raises ValueError: with the nearest name.
    """
    for registry, name in (
        (ESTIMATORS, settings.estimator),
        (CALIBRATORS, settings.calibrator),
        (EVALUATORS, settings.evaluator),
    ):
        registry.named(name)
    known = [*ESTIMATORS, *CALIBRATORS, *EVALUATORS]
    for name in settings.options:
        if name not in known:
            raise ValueError(f"`uncertainty.options.{name}` is of nothing that there is: {nearest(name, known)}")

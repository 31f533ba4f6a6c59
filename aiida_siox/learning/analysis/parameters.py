"""What each part of the analysis is told, checked; every value comes from ``analysis.yaml``. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from aiida_siox.checked import Checked, Count, Fraction, NotNegative, Number, Positive, Whole
from aiida_siox.learning.data.splits import SplitKind
from aiida_siox.learning.training.parameters import Folds, Hyperparameters, Strengths, Window
from aiida_siox.registry import nearest

Targets = Annotated[tuple[str, ...], Field(min_length=1)]


class Section(Checked):
    """What every part is told.

    :param targets: names of the properties.
    """

    targets: Targets


class DescriptorOptions(Checked):
    """Of the linear regression on descriptors.

    :param window_eV: limits of the integral relative to the edge.
    """

    window_eV: Window


class KernelRidgeOptions(Checked):
    """Of the kernel ridge regression.

    :param alphas: ridge strengths to choose from; the kernel of a spectrum with itself is 1.
    :param gammas: inverse squared widths to choose from, per squared distance of standardised spectra.
    :param n_folds: of configurations, inside the training sites.
    :param scale_floor: least spread of an energy as a part of the largest one.
    :param most_rows: from which the two numbers are chosen at most: an eigendecomposition costs n³.
    """

    alphas: Strengths
    gammas: Strengths
    n_folds: Folds
    scale_floor: Fraction
    most_rows: Annotated[Whole, Field(ge=10)]


class BaselineOptions(Checked):
    """Of the baselines that have any."""

    descriptors: DescriptorOptions
    kernel_ridge: KernelRidgeOptions


class SplitSeeds(Checked):
    """Repetitions by kind of split."""

    random: Count
    grouped: Count
    composition: Count


class Splits(Section):
    """Random, grouped and leave-one-composition-out splits side by side, with the baselines.

    :param kinds: of splits.
    :param n_seeds: repetitions, by property or its kind.
    :param n_shuffled: repetitions with shuffled values, of scalars, grouped split.
    :param baselines: what networks must beat.
    :param baseline_options: of these.
    """

    kinds: Annotated[tuple[SplitKind, ...], Field(min_length=1)]
    n_seeds: Mapping[str, SplitSeeds]
    n_shuffled: Count
    baselines: tuple[Literal["descriptors", "kernel_ridge", "shuffled", "composition_mean"], ...]
    baseline_options: BaselineOptions


class Windows(Section):
    """What each window of energies tells; the full window is added.

    :param names: of the windows.
    :param windows_eV: lowest and highest energy of each.
    :param n_seeds: repetitions, by property or its kind.
    """

    names: tuple[str, ...]
    windows_eV: tuple[Window, ...]
    n_seeds: Mapping[str, Count]

    @model_validator(mode="after")
    def _one_name_each(self) -> Self:
        if len(self.names) != len(self.windows_eV):
            raise ValueError(f"`names`: {len(self.names)} for {len(self.windows_eV)} windows_eV, give one for each")
        return self


class Averages(Section):
    """Averaged spectra of configurations that were never in training.

    :param n_seeds: repetitions, by property or its kind.
    """

    n_seeds: Mapping[str, Count]


class Uncertainty(Section):
    """How often intervals of held-out configurations hold the truth, and what is refused as out of distribution.

    :param n_repetitions: with other folds each time, by property or its kind.
    :param n_bootstrap: draws of configurations for the error of the coverage.
    :param probe_shift_eV: by which averaged end members are moved to both sides.
    :param n_noise: draws of white noise.
    """

    n_repetitions: Mapping[str, Count]
    n_bootstrap: Count
    probe_shift_eV: Positive
    n_noise: Annotated[Whole, Field(ge=0)]


class LearningCurve(Section):
    """RMSE against the number of sites.

    :param fractions: of the configurations that are not in the test.
    :param n_repeats: other tests and orders of configurations.
    :param wanted_rmse: whose number of sites is asked for, by property; none where it is not named.
    :param linear_factor: for scalars also the RMSE of the linear regression on all of them divided by this.
    :param descriptors: options of that regression.
    """

    fractions: Annotated[tuple[Annotated[Number, Field(gt=0, le=1)], ...], Field(min_length=1)]
    n_repeats: Count
    wanted_rmse: Mapping[str, tuple[NotNegative, ...]]
    linear_factor: Positive
    descriptors: DescriptorOptions


class Model(Section):
    """The models to keep, trained on all sites."""


#: Parts of the analysis in the order in which they run, with what they are told.
PARAMETERS: dict[str, type[Section]] = {
    "splits": Splits,
    "windows": Windows,
    "averages": Averages,
    "uncertainty": Uncertainty,
    "learning_curve": LearningCurve,
    "model": Model,
}
#: Keys under which numbers stand by property or its kind.
BY_PROPERTY = ("n_seeds", "n_repetitions", "wanted_rmse", "networks")


def check_request(part: str, parameters: Mapping[str, Any]) -> tuple[Section, Hyperparameters]:
    """Read what a part is told, before anything is trained.

    :param part: which part of the analysis.
    :param parameters: its own section of a protocol, with ``training``.
    :raises ValueError: naming what is wrong, with the remedy.
    """
    if part not in PARAMETERS:
        raise ValueError(f"there is no part `{part}` of the analysis: {nearest(part, list(PARAMETERS))}")
    own = dict(parameters)
    if "training" not in own:
        raise ValueError(
            f"the parameters of the part `{part}` lack `training`: start from a protocol "
            "(AnalysisProtocol.get_parameters)."
        )
    # with torch, which this module does without
    from aiida_siox.learning.uncertainty.methods import check_methods

    hyper = Hyperparameters.parse(own.pop("training"), "training")
    check_methods(hyper.uncertainty)
    return PARAMETERS[part].parse(own, part), hyper

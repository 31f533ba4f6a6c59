"""What a training is told, checked before anything is trained; every value comes from ``training.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from aiida_siox.checked import Checked, Count, Fraction, NotNegative, Number, Positive, Whole
from aiida_siox.learning.data.spectrum import Normalisation
from aiida_siox.learning.networks.architecture import Architecture, Body
from aiida_siox.registry import nearest
from aiida_siox.science.quantity import Kind, Quantity

T = TypeVar("T")


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] < ends[1]:
        raise ValueError(f"must be [lowest, highest], got {list(ends)}")
    return ends


def _around_zero(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] < 0 < ends[1]:
        raise ValueError(f"must hold the edge at 0 eV, got {list(ends)}")
    return ends


Part = Annotated[Number, Field(gt=0, lt=1)]
Folds = Annotated[Whole, Field(ge=2)]
Window = Annotated[tuple[Number, Number], AfterValidator(_rising)]
Strengths = Annotated[tuple[Positive, ...], Field(min_length=1)]
Rates = Annotated[tuple[Positive, ...], Field(min_length=1)]
Decays = Annotated[tuple[NotNegative, ...], Field(min_length=1)]


def choose(values: Mapping[str, T], quantity: Quantity, key: str) -> T:
    """Return what is said of a property: under its own name, or else under its kind.

    :param key: of the values, for the message.
    :raises ValueError: if there is neither.
    """
    for name in (quantity.name, str(quantity.kind)):
        if name in values:
            return values[name]
    raise ValueError(
        f"`{key}` says nothing of `{quantity.name}`: give its name or its kind ({quantity.kind}) as a key there."
    )


def check_keys(values: Mapping[str, Any], names: Mapping[str, Any], key: str) -> None:
    """Refuse keys that are neither a kind nor the name of a property.

    :param names: properties that there are.
    :param key: of the values, for the message.
    :raises ValueError: with the nearest name.
    """
    valid = [*Kind, *names]
    for name in values:
        if name not in valid:
            raise ValueError(f"`{key}.{name}` is neither a property nor a kind of one: {nearest(name, valid)}")


class Grid(Checked):
    """Values among which the cross-validation chooses; the own value of the training where there are none."""

    learning_rate: Rates | None = None
    weight_decay: Decays | None = None


class NoveltySettings(Checked):
    """How unlike spectra are told from those of training.

    :param quantile: of the scores of held-out sites: what is above it is flagged.
    :param n_folds: of configurations that are held out.
    :param variance: part of the variance that the principal components hold.
    :param components_per_site: most components as a part of the training sites.
    :param scale_floor: least spread of an energy as a part of the largest one, for the components.
    :param aligned_eV: energies relative to the edge at which aligned spectra are compared, where the window has them.
    :param aligned_step_eV: step of these energies.
    :param aligned_floor: least spread of an energy as a part of the largest one, for aligned spectra.
    :param alphas: ridge strengths of the regression of the edge to choose from.
    :param fewest_edges: training spectra with a rising edge below which nothing is said of the energy axis.
    :param most_rows: from which the ridge strength is chosen at most.
    """

    quantile: Part
    n_folds: Folds
    variance: Fraction
    components_per_site: Fraction
    scale_floor: Fraction
    aligned_eV: Annotated[tuple[Number, Number], AfterValidator(_around_zero)]
    aligned_step_eV: Positive
    aligned_floor: Fraction
    alphas: Strengths
    fewest_edges: Annotated[Whole, Field(ge=3)]
    most_rows: Annotated[Whole, Field(ge=10)]


class UncertaintySettings(Checked):
    """How intervals are made and judged; the names are those of ``aiida_siox.learning.uncertainty``.

    :param estimator: of the size of errors from one spectrum to the next, for calibrators that scale by it.
    :param calibrator: what makes intervals of the errors that were left out.
    :param evaluator: what judges intervals.
    :param options: by the name of an estimator, calibrator or evaluator, what it is told.
    """

    estimator: str
    calibrator: str
    evaluator: str
    options: Mapping[str, Mapping[str, Any]]

    def options_of(self, name: str) -> Mapping[str, Any]:
        """Return what an estimator, calibrator or evaluator is told."""
        return self.options.get(name, {})


class Hyperparameters(Checked):
    """Everything a training needs besides its data.

    :param test_fraction: part of the sites kept for the test.
    :param n_folds: folds of the training sites: each network stops by the fold that it has not fitted.
    :param seeds_per_fold: networks of different seeds for each fold.
    :param grouped_min_configurations: with fewer training configurations, folds are made of sites.
    :param grid: values of ``learning_rate`` and ``weight_decay`` among which the cross-validation chooses.
    :param mixture_sizes: least and largest number of sites in a random mixture, where mixtures are trained on.
    :param n_mixtures: random mixtures in each fold of a network that is to read averaged spectra.
    :param n_test_folds: of configurations, of which each in turn is the test of a score.
    :param confidence: of the intervals of scores.
    :param coverage: of the intervals of predictions.
    :param uncertainty: how intervals are made.
    :param novelty: how unlike spectra are told.
    :param seed: of splits, folds, initial weights and the order of the batches.
    :param epochs: most passes over the training sites.
    :param patience: epochs without a better validation loss after which training stops.
    :param batch_size: sites per step.
    :param learning_rate: of Adam.
    :param weight_decay: of Adam.
    :param threads: of torch; the result depends on it in the last bits.
    :param normalisation: ``none`` (cross-section per absorber) or ``post_edge``.
    :param post_edge_window_eV: energies (calibrated axis) over which ``post_edge`` takes the mean.
    :param scale_floor: an energy whose spread over the training sites is smaller than this part of the largest
        spread is scaled as if it had that part, so that flat pre-edge columns are not blown up.
    :param max_step_eV: largest energy step inside the window of a spectrum to be predicted.
    :param intensity_factor: a spectrum whose mean is farther from those of training than this is in other units.
    :param networks: by kind of the property, or by its name.
    """

    test_fraction: Part
    n_folds: Folds
    seeds_per_fold: Count
    grouped_min_configurations: Folds
    grid: Grid
    mixture_sizes: tuple[Count, Count]
    n_mixtures: Annotated[Whole, Field(ge=0)]
    n_test_folds: Folds
    confidence: Part
    coverage: Part
    uncertainty: UncertaintySettings
    novelty: NoveltySettings
    seed: Annotated[Whole, Field(ge=0)]
    epochs: Count
    patience: Count
    batch_size: Count
    learning_rate: Positive
    weight_decay: NotNegative
    threads: Count
    normalisation: Normalisation
    post_edge_window_eV: Window
    scale_floor: Fraction
    max_step_eV: Positive
    intensity_factor: Annotated[Number, Field(ge=1)]
    networks: Mapping[str, Body]

    remedy = "start from a protocol"

    @model_validator(mode="after")
    def _sizes_rise(self) -> Self:
        if self.mixture_sizes[0] > self.mixture_sizes[1]:
            raise ValueError(f"`mixture_sizes` must be [least, largest], got {list(self.mixture_sizes)}")
        return self

    def architecture(self, quantity: Quantity, n_inputs: int, n_outputs: int) -> Architecture:
        """Return the architecture of the network for a property.

        :raises ValueError: if no network is given for it or its kind.
        """
        body = choose(self.networks, quantity, "networks")
        return Architecture(
            hidden=body.hidden,
            activation=body.activation,
            n_inputs=n_inputs,
            n_outputs=n_outputs,
            normalisation=self.normalisation,
        )

    def points(self) -> list[dict[str, float]]:
        """Return the points of the grid of hyperparameters."""
        rates = self.grid.learning_rate or (self.learning_rate,)
        decays = self.grid.weight_decay or (self.weight_decay,)
        return [{"learning_rate": rate, "weight_decay": decay} for rate in rates for decay in decays]

    @property
    def own_point(self) -> dict[str, float]:
        """The point that is taken where the cross-validation does not choose."""
        return {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}

    def with_seed(self, seed: int) -> Hyperparameters:
        """Return the same with another seed."""
        return self.model_copy(update={"seed": seed})

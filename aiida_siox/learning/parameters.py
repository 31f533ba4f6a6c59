"""What a training is told: target, architecture and hyperparameters, checked before anything is trained."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence
from typing import Any

#: States of the oxidation target: zero to four oxygen neighbours.
N_OXIDATION = 5


class Target(enum.StrEnum):
    """What a network reads from a spectrum."""

    VALENCE = "valence"
    RDF = "rdf"
    OXIDATION = "oxidation"

    @property
    def unit(self) -> str:
        """Unit: e for the Bader valence, g(R) for the RDF, a fraction for each of the states Si⁰ to Si⁴⁺."""
        return {"valence": "e", "rdf": "g(R)", "oxidation": "fraction"}[self.value]

    @property
    def limits(self) -> tuple[float, float]:
        """What the numbers can be: intervals are cut there."""
        return {"valence": (-math.inf, math.inf), "rdf": (0.0, math.inf), "oxidation": (0.0, 1.0)}[self.value]


class Normalisation(enum.StrEnum):
    """What the network divides a spectrum by before it reads it."""

    NONE = "none"
    POST_EDGE = "post_edge"


class SpectrumKind(enum.StrEnum):
    """What a spectrum is of."""

    SITE = "site"
    AVERAGE = "average"


class SplitKind(enum.StrEnum):
    """How sites are divided into training and test."""

    RANDOM = "random"
    GROUPED = "grouped"
    COMPOSITION = "composition"


class Activation(enum.StrEnum):
    """Non-linearity between the layers."""

    RELU = "relu"
    LEAKY_RELU = "leaky_relu"


def _choice(kind: type[enum.StrEnum], name: str, value: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"`{name}` is {value!r}: it must be one of {', '.join(kind)}.") from None


def _number(name: str, value: Any, low: float, high: float = math.inf, *, strict: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"`{name}` must be a number, got {value!r}.")
    if value > high or value < low or (strict and value in (low, high)):
        raise ValueError(f"`{name}` is {value}: it must lie between {low} and {high}{', exclusive' if strict else ''}.")
    return float(value)


def _integer(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < low:
        raise ValueError(f"`{name}` must be an integer of at least {low}, got {value!r}.")
    return int(value)


def _grid(values: Any) -> dict[str, list[float]]:
    if not isinstance(values, Mapping) or not set(values) <= {"learning_rate", "weight_decay"}:
        raise ValueError(f"`grid` must map learning_rate and weight_decay to lists of values, got {values!r}.")
    for name, entries in values.items():
        if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
            raise ValueError(f"`grid.{name}` must be a list with at least one value, got {entries!r}.")
    strict = {"learning_rate": True, "weight_decay": False}
    return {
        name: [_number(f"grid.{name}", entry, 0, strict=strict[name]) for entry in entries]
        for name, entries in values.items()
    }


def _sizes(values: Any) -> tuple[int, int]:
    if not isinstance(values, Sequence) or len(values) != 2 or not 1 <= values[0] <= values[1]:
        raise ValueError(f"`mixture_sizes` must be [least, largest] number of sites, got {values!r}.")
    return _integer("mixture_sizes", values[0], 1), _integer("mixture_sizes", values[1], 1)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Shape of a network; enough, with a state dict, to build it again.

    :param n_inputs: number of energies.
    :param hidden: number of nodes of each hidden layer.
    :param activation: non-linearity after each hidden layer.
    :param n_outputs: 1 for the valence, the number of bins for the RDF.
    :param normalisation: what a spectrum is divided by inside the network.
    """

    n_inputs: int
    hidden: tuple[int, ...]
    activation: Activation
    n_outputs: int
    normalisation: Normalisation = Normalisation.NONE

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """Build from what :meth:`to_dict` gave.

        :raises ValueError: if a key is missing or a value does not fit.
        """
        missing = {field.name for field in dataclasses.fields(cls)} - set(values)
        if missing:
            raise ValueError(f"the architecture lacks {', '.join(sorted(missing))}.")
        hidden = values["hidden"]
        if not isinstance(hidden, Sequence) or isinstance(hidden, str) or not hidden:
            raise ValueError(f"`hidden` must be a list of layer sizes, got {hidden!r}.")
        return cls(
            n_inputs=_integer("n_inputs", values["n_inputs"], 1),
            hidden=tuple(_integer("hidden", size, 1) for size in hidden),
            activation=_choice(Activation, "activation", values["activation"]),
            n_outputs=_integer("n_outputs", values["n_outputs"], 1),
            normalisation=_choice(Normalisation, "normalisation", values["normalisation"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "n_inputs": self.n_inputs,
            "hidden": list(self.hidden),
            "activation": str(self.activation),
            "n_outputs": self.n_outputs,
            "normalisation": str(self.normalisation),
        }


@dataclasses.dataclass(frozen=True)
class NoveltySettings:
    """How unlike spectra are told from those of training; values come from ``workflows/protocols/training.yaml``.

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
    """

    quantile: float
    n_folds: int
    variance: float
    components_per_site: float
    scale_floor: float
    aligned_eV: tuple[float, float]
    aligned_step_eV: float
    aligned_floor: float
    alphas: tuple[float, ...]
    fewest_edges: int

    @classmethod
    def from_dict(cls, values: Any) -> NoveltySettings:
        """Build from a mapping with all keys and no other.

        :raises ValueError: naming the key and what it may be.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, Mapping) or set(values) != names:
            raise ValueError(f"`novelty` must have the keys {', '.join(sorted(names))}, got {values!r}.")
        low, high = (float(value) for value in values["aligned_eV"])
        if not low < 0 < high:
            raise ValueError(f"`novelty.aligned_eV` must hold the edge at 0 eV, got {values['aligned_eV']!r}.")
        parts = ("quantile", "variance", "components_per_site", "scale_floor", "aligned_floor")
        return cls(
            **{key: _number(f"novelty.{key}", values[key], 0, 1, strict=key == "quantile") for key in parts},
            n_folds=_integer("novelty.n_folds", values["n_folds"], 2),
            aligned_eV=(low, high),
            aligned_step_eV=_number("novelty.aligned_step_eV", values["aligned_step_eV"], 0, strict=True),
            alphas=tuple(_number("novelty.alphas", value, 0, strict=True) for value in values["alphas"]),
            fewest_edges=_integer("novelty.fewest_edges", values["fewest_edges"], 3),
        )


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """Everything a training needs besides its data; every value comes from ``workflows/protocols/training.yaml``.

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
    :param networks: ``{target: {hidden: [...], activation: ...}}``.
    """

    test_fraction: float
    n_folds: int
    seeds_per_fold: int
    grouped_min_configurations: int
    grid: Mapping[str, Sequence[float]]
    mixture_sizes: tuple[int, int]
    n_mixtures: int
    n_test_folds: int
    confidence: float
    coverage: float
    novelty: NoveltySettings
    seed: int
    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    threads: int
    normalisation: Normalisation
    post_edge_window_eV: tuple[float, float]
    scale_floor: float
    max_step_eV: float
    networks: Mapping[str, Mapping[str, Any]]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Hyperparameters:
        """Build from a mapping with all keys and no other.

        :raises ValueError: naming the key and what it may be.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - names:
            raise ValueError(
                f"unknown training parameter {', '.join(sorted(unknown))}. Valid: {', '.join(sorted(names))}."
            )
        if missing := names - set(values):
            raise ValueError(f"the training parameters lack {', '.join(sorted(missing))}: start from a protocol.")
        window = values["post_edge_window_eV"]
        if not isinstance(window, Sequence) or len(window) != 2 or not float(window[0]) < float(window[1]):
            raise ValueError(f"`post_edge_window_eV` must be [lowest, highest] energy in eV, got {window!r}.")
        networks = values["networks"]
        if not isinstance(networks, Mapping) or not set(networks) <= set(Target):
            raise ValueError(f"`networks` must map {', '.join(Target)} to hidden and activation, got {networks!r}.")
        hyper = cls(
            test_fraction=_number("test_fraction", values["test_fraction"], 0, 1, strict=True),
            n_folds=_integer("n_folds", values["n_folds"], 2),
            seeds_per_fold=_integer("seeds_per_fold", values["seeds_per_fold"], 1),
            grouped_min_configurations=_integer("grouped_min_configurations", values["grouped_min_configurations"], 2),
            grid=_grid(values["grid"]),
            mixture_sizes=_sizes(values["mixture_sizes"]),
            n_mixtures=_integer("n_mixtures", values["n_mixtures"], 0),
            n_test_folds=_integer("n_test_folds", values["n_test_folds"], 2),
            **{key: _number(key, values[key], 0, 1, strict=True) for key in ("confidence", "coverage")},
            novelty=NoveltySettings.from_dict(values["novelty"]),
            seed=_integer("seed", values["seed"], 0),
            epochs=_integer("epochs", values["epochs"], 1),
            patience=_integer("patience", values["patience"], 1),
            batch_size=_integer("batch_size", values["batch_size"], 1),
            learning_rate=_number("learning_rate", values["learning_rate"], 0, strict=True),
            weight_decay=_number("weight_decay", values["weight_decay"], 0),
            threads=_integer("threads", values["threads"], 1),
            normalisation=_choice(Normalisation, "normalisation", values["normalisation"]),
            post_edge_window_eV=(float(window[0]), float(window[1])),
            scale_floor=_number("scale_floor", values["scale_floor"], 0, 1),
            max_step_eV=_number("max_step_eV", values["max_step_eV"], 0, strict=True),
            networks=networks,
        )
        for target in networks:
            hyper.architecture(Target(target), 1, 1)
        return hyper

    def architecture(self, target: Target, n_inputs: int, n_outputs: int) -> Architecture:
        """Return the architecture of the network for a target.

        :raises ValueError: if no network is given for the target, or it is not one.
        """
        if target not in self.networks:
            raise ValueError(f"`networks` says nothing of the target `{target}`.")
        shape = self.networks[target]
        if set(shape) != {"hidden", "activation"}:
            raise ValueError(f"`networks.{target}` must have the keys hidden and activation, got {sorted(shape)}.")
        return Architecture.from_dict(
            {**shape, "n_inputs": n_inputs, "n_outputs": n_outputs, "normalisation": self.normalisation}
        )

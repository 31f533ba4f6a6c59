"""A model that can be kept and given away: ensemble, intervals, novelty score and card in one file, without AiiDA.

from aiida_siox.learning.model import SpectrumModel
model = SpectrumModel.load("valence.pt")
print(model.predict(energy_eV, absorption))
"""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning import card as cards
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.data.spectrum import Normalisation, SpectrumKind, onto_grid
from aiida_siox.learning.networks.ensemble import Ensemble
from aiida_siox.learning.networks.layers import LOAD_ERRORS
from aiida_siox.learning.parity import Evaluation
from aiida_siox.learning.training.cross_validation import Trained
from aiida_siox.learning.training.parameters import Hyperparameters
from aiida_siox.learning.training.scores import Held
from aiida_siox.learning.uncertainty.calibrator import CALIBRATORS, Calibrator
from aiida_siox.learning.uncertainty.left_out import of_averages, of_sites
from aiida_siox.learning.uncertainty.novelty import NoveltyReference
from aiida_siox.science.plain import plain
from aiida_siox.science.quantity import Quantity

Array = NDArray[np.float64]

FORMAT = "aiida_siox spectrum model"
#: Raise it when the content of the file changes.
FORMAT_VERSION = 4


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model reads from one spectrum.

    :param quantity: what it is: name, title, unit, axis, note.
    :param value: a number for a scalar, else on the axis, shape (m,).
    :param low: lower end of the interval, of the shape of ``value``; −∞, or the least value there can be, where the
        data are too few for one.
    :param high: its upper end.
    :param kind: ``site`` or ``average``: what the interval and the RMSE are of.
    :param coverage: how many such spectra such intervals hold.
    :param novelty: how unlike the spectra of training this one is.
    :param novelty_threshold: what is above is unlike.
    :param flagged: whether it is: the value then means nothing.
    :param rmse: RMSE of the model on such spectra that it did not fit, in the unit.
    :param split: the split that gave it: ``grouped``, or ``out_of_fold`` and ``averages`` for folds of training.
    :param normalisation: what the model takes the absorption to be.
    :param notes: what the reader must know to trust the value.
    """

    quantity: Quantity
    kind: str
    value: float | Array
    low: float | Array
    high: float | Array
    coverage: float
    novelty: float
    novelty_threshold: float
    flagged: bool
    rmse: float
    split: str
    normalisation: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold, those of the quantity beside the others; infinite ends are null."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "quantity"}
        described = self.quantity.to_dict()
        named = {"target": described["name"], **{key: described[key] for key in ("title", "unit", "axis", "note")}}
        return dict(plain({**named, **own}))


class SpectrumModel:
    """Networks that read one property from a spectrum, how sure they are, and what they know.

    :param ensemble: networks of the folds.
    :param calibrator: name of what made the intervals.
    :param intervals: what it learned from what the networks left out, of sites and of averaged spectra.
    :param novelty: what tells unlike spectra.
    :param card: from :func:`~aiida_siox.learning.card.build_card`.
    :param evaluation: references and predictions of the splits that were scored, where they were kept.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        calibrator: str,
        intervals: Mapping[SpectrumKind, Calibrator],
        novelty: NoveltyReference,
        card: Mapping[str, Any],
        evaluation: Evaluation | None = None,
    ) -> None:
        self.ensemble, self.novelty = ensemble, novelty
        self.calibrator, self.intervals = calibrator, dict(intervals)
        self.card, self.evaluation = dict(card), evaluation

    @classmethod
    def from_trained(
        cls,
        sites: SiteSet,
        target: str,
        hyper: Hyperparameters,
        trained: Trained,
        *,
        scores: Mapping[str, Any] | None = None,
        unavailable: Mapping[str, str] | None = None,
        held: Mapping[str, Held] | None = None,
    ) -> SpectrumModel:
        """Build from an ensemble and the sites that it was trained on.

        :param sites: the data set.
        :param target: name of the property that was learned.
        :param hyper: how.
        :param trained: of :func:`~aiida_siox.learning.training.cross_validation.fit_ensembles`.
        :param scores: of splits, by kind, for the card.
        :param unavailable: why splits could not be made, by kind, for the card.
        :param held: what gave the scores, by kind, for parity plots.
        :raises ValueError: if something does not fit.
        """
        examples = sites.examples(target)
        inside, ensemble = examples.subset(trained.rows), trained.ensemble
        left_out = {
            SpectrumKind.SITE: of_sites(examples, trained),
            SpectrumKind.AVERAGE: of_averages(examples, trained),
        }
        calibrator = CALIBRATORS.named(hyper.uncertainty.calibrator)
        intervals = {kind: calibrator.fit(found, hyper.uncertainty) for kind, found in left_out.items()}
        read = ensemble.normalise(inside.spectra)
        novelty = NoveltyReference.fit(sites.energy, read, inside.group, hyper.novelty, hyper.seed)
        members = ensemble.member_predictions(inside.spectra)
        ends = {kind: found.interval(members, read, hyper.coverage) for kind, found in intervals.items()}
        widths = {kind: float((high - low).mean()) for kind, (low, high) in ends.items()}
        names = {SpectrumKind.SITE: "out_of_fold", SpectrumKind.AVERAGE: "averages"}
        card = cards.build_card(
            sites,
            target,
            hyper,
            trained,
            novelty,
            inside.spectra.mean(axis=1),
            scores={names[kind]: found.scores() for kind, found in left_out.items() if len(found.fold)},
            intervals={
                "n_left_out": {kind: found.n_groups for kind, found in left_out.items()},
                "mean_width": {kind: width if np.isfinite(width) else None for kind, width in widths.items()},
            },
        )
        card = cards.described(card, {"scores": scores or {}})
        card["scores_unavailable"] = dict(unavailable or {})
        evaluation = None if held is None else Evaluation.of(sites, target, held)
        return cls(ensemble, hyper.uncertainty.calibrator, intervals, novelty, card, evaluation)

    @property
    def quantity(self) -> Quantity:
        """What is read."""
        return self.ensemble.quantity

    @property
    def target(self) -> str:
        """Name of the property that is read."""
        return self.quantity.name

    @property
    def energy(self) -> Array:
        """Energies that are read, in eV on the calibrated axis, shape (n_e,)."""
        return self.ensemble.energy

    @property
    def normalisation(self) -> Normalisation:
        """What the networks divide a spectrum by."""
        return self.ensemble.architecture.normalisation

    @property
    def coverage(self) -> float:
        """How many sites the intervals hold."""
        return float(self.card["intervals"]["coverage"])

    def described(self, description: Mapping[str, Any]) -> SpectrumModel:
        """Return the model with more on its card (see :func:`~aiida_siox.learning.card.described`)."""
        card = cards.described(self.card, description)
        return SpectrumModel(self.ensemble, self.calibrator, self.intervals, self.novelty, card, self.evaluation)

    @property
    def mean_scores(self) -> dict[str, dict[str, Any]]:
        """Scores of each split, as one number each: the mean over seeds where there are several."""
        return {
            split: {
                key: value["mean"] if isinstance(value, Mapping) else value
                for key, value in scores.items()
                if isinstance(value, int | float | None) or (isinstance(value, Mapping) and "mean" in value)
            }
            for split, scores in self.card["scores"].items()
        }

    def card_text(self) -> str:
        """Return the card as Markdown."""
        return cards.render(self.card)

    def predict_on_grid(self, spectra: ArrayLike) -> Array:
        """Predict many spectra that are on :attr:`energy` already, without any check of what they are.

        :param spectra: raw spectra, shape (m, n_e).
        :returns: shape (m,) of a scalar, (m, n_outputs) else.
        :raises ValueError: if the shape does not fit or a number is not finite.
        """
        return self.quantity.as_stored(self.ensemble.predict(self._checked(spectra)))

    def intervals_on_grid(self, spectra: ArrayLike, kind: SpectrumKind = SpectrumKind.SITE) -> tuple[Array, Array]:
        """Return the ends of the intervals of many spectra, of the shape of :meth:`predict_on_grid`.

        :param kind: what the spectra are of.
        """
        rows = self._checked(spectra)
        members, read = self.ensemble.member_predictions(rows), self.ensemble.normalise(rows)
        ends = self.intervals[kind].interval(members, read, self.coverage)
        low, high = (self.quantity.as_stored(np.clip(end, *self.quantity.limits)) for end in ends)
        return low, high

    def predict(
        self,
        energy: ArrayLike,
        values: ArrayLike,
        normalisation: Normalisation | None = None,
        kind: SpectrumKind = SpectrumKind.AVERAGE,
    ) -> Prediction:
        """Predict from one spectrum, or refuse it.

        :param energy: increasing energies in eV on the calibrated (measured) axis, shape (n,).
        :param values: absorption, shape (n,).
        :param normalisation: how the absorption is normalised, if the caller knows it: ``none`` for a cross-section per
            absorber.
        :param kind: ``average`` of many sites, as measured spectra are, or of one ``site``: what the interval is of.
        :raises ValueError: if the spectrum does not cover the window, is not in order, or is not what the model reads.
        """
        row = onto_grid(energy, values, self.energy, float(self.card["range"]["max_step_eV"]))[None]
        self._refuse_other_units(row, normalisation)
        score, threshold = float(self.novelty.score(self.ensemble.normalise(row))[0]), float(self.novelty.threshold)
        low, high = self.intervals_on_grid(row, kind)
        found = (self.predict_on_grid(row), low, high)
        ends = [float(a[0]) if self.quantity.is_scalar else np.asarray(a[0]) for a in found]
        split, rmse = self.quoted_score(kind)
        return Prediction(
            quantity=self.quantity,
            kind=str(kind),
            value=ends[0],
            low=ends[1],
            high=ends[2],
            coverage=self.coverage,
            novelty=score,
            novelty_threshold=threshold,
            flagged=score > threshold,
            rmse=rmse,
            split=split,
            normalisation=str(self.card["range"]["normalisation"]),
            notes=tuple(self._notes(score, threshold, kind)),
        )

    def quoted_score(self, kind: SpectrumKind = SpectrumKind.SITE) -> tuple[str, float]:
        """Return the split that says what to expect of a configuration that was never seen, with its RMSE."""
        scores = self.mean_scores
        if kind is SpectrumKind.AVERAGE and "averages" in scores:
            return "averages", float(scores["averages"]["rmse"])
        split = "grouped" if "rmse" in scores.get("grouped", {}) else "out_of_fold"
        return split, float(scores[split]["rmse"])

    def _notes(self, score: float, threshold: float, kind: SpectrumKind) -> list[str]:
        notes = []
        if score > threshold:
            notes.append(
                f"WARNING: the spectrum is unlike those of training (novelty {score:.2f}, threshold {threshold:.2f}): "
                "the value means nothing. Check the energy calibration, the normalisation and the background."
            )
        if not self.intervals[kind].suffice(self.coverage):
            n = self.card["intervals"]["n_left_out"][kind]
            notes.append(
                f"No interval: {n} configurations that training left out are too few for {self.coverage:.0%} of them. "
                "Train on more."
            )
        return notes

    def _refuse_other_units(self, row: Array, normalisation: Normalisation | None) -> None:
        if self.normalisation is not Normalisation.NONE:
            return  # whatever the scale, the networks divide by it
        remedy = "Give the cross-section per absorber, or use a model trained with `normalisation: post_edge`."
        if normalisation is not None and normalisation is not Normalisation.NONE:
            raise ValueError(
                f"the spectrum is normalised ({normalisation}), but the model reads unnormalised cross-sections: the "
                f"scale carries information that was divided out. {remedy}"
            )
        low, high = self.card["range"]["intensity"]
        mean = float(row.mean())
        factor = float(self.card["range"]["intensity_factor"])
        if not low / factor <= mean <= high * factor:
            raise ValueError(
                f"the mean absorption is {mean:.4g}, but {low:.4g} to {high:.4g} in training: the spectrum is "
                f"normalised, or in other units than the model. {remedy}"
            )

    def _checked(self, spectra: ArrayLike) -> Array:
        array = np.asarray(spectra, dtype=float)
        if array.ndim != 2 or array.shape[1] != len(self.energy):
            raise ValueError(f"spectra must have the shape (n, {len(self.energy)}), got {array.shape}.")
        if not np.isfinite(array).all():
            raise ValueError("the spectra contain numbers that are not finite.")
        return array

    def to_bytes(self) -> bytes:
        """Return the content of the file of this model."""
        content = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "ensemble": self.ensemble.state(),
            "calibrator": self.calibrator,
            "intervals": {str(kind): _tensors(each.state()) for kind, each in self.intervals.items()},
            "novelty": self.novelty.state(),
            "card": json.dumps(plain(self.card), sort_keys=True),
            "evaluation": None if self.evaluation is None else self.evaluation.state(),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> SpectrumModel:
        """Build from the content of a file, without unpickling anything but tensors and plain values.

        :raises ValueError: if it is not such a file, or damaged.
        """
        try:
            state = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        except LOAD_ERRORS as exception:
            raise ValueError(f"not a readable torch file ({type(exception).__name__}: {exception})") from exception
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ValueError("not the file of a spectrum model: `aiida-siox model export` writes such files.")
        if state.get("version") != FORMAT_VERSION:
            raise ValueError(
                f"the file has version {state.get('version')}, but this aiida_siox reads version {FORMAT_VERSION}: "
                "install the version that wrote it, or export the model again."
            )
        try:
            if state["calibrator"] not in CALIBRATORS:
                raise ValueError(
                    f"its intervals are of the calibrator `{state['calibrator']}`, which is not here: install the "
                    "package that brings it"
                )
            calibrator = CALIBRATORS[state["calibrator"]]
            model = cls(
                Ensemble.from_state(state["ensemble"]),
                state["calibrator"],
                {kind: calibrator.from_state(_arrays(state["intervals"][str(kind)])) for kind in SpectrumKind},
                NoveltyReference.from_state(state["novelty"]),
                json.loads(state["card"]),
                None if state["evaluation"] is None else Evaluation.from_state(state["evaluation"]),
            )
            _ = (model.coverage, model.quoted_score(), model.card["range"]["max_step_eV"])
        except (KeyError, TypeError, AttributeError, ValueError) as exception:
            raise ValueError(f"the file of the model is damaged ({exception})") from exception
        return model

    def save(self, path: str | pathlib.Path) -> None:
        """Write the model into one file."""
        pathlib.Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | pathlib.Path) -> SpectrumModel:
        """Read what :meth:`save` wrote.

        :raises ValueError: if there is no such file, or it is not a model.
        """
        try:
            content = pathlib.Path(path).read_bytes()
        except OSError as exception:
            raise ValueError(f"{path} cannot be read: {exception.strerror}.") from exception
        try:
            return cls.from_bytes(content)
        except ValueError as exception:
            raise ValueError(f"{path}: {exception}") from exception


def _tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays as tensors, the rest as it is."""
    return {
        key: torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value
        for key, value in state.items()
    }


def _arrays(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors as arrays, the rest as it is."""
    return {key: value.numpy() if isinstance(value, torch.Tensor) else value for key, value in state.items()}

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
from aiida_siox.learning.ensemble import Ensemble, Trained
from aiida_siox.learning.evaluation import Held
from aiida_siox.learning.networks import LOAD_ERRORS
from aiida_siox.learning.novelty import NoveltyReference
from aiida_siox.learning.parameters import Hyperparameters, Normalisation, SpectrumKind, Target
from aiida_siox.learning.parity import Evaluation
from aiida_siox.learning.residuals import Residuals, of_averages, of_sites
from aiida_siox.learning.sites import SiteSet
from aiida_siox.learning.spectrum import onto_grid
from aiida_siox.science.plain import plain

Array = NDArray[np.float64]

FORMAT = "aiida_siox spectrum model"
#: Raise it when the content of the file changes.
FORMAT_VERSION = 3

#: A mean absorption outside the range of training by more than this factor is not in the model's units.
_INTENSITY_FACTOR = 2.0


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model reads from one spectrum.

    :param target: ``valence``, ``rdf`` or ``oxidation``.
    :param value: valence in e; g(R) on ``r_angstrom``, shape (n_r,); or fractions of Si⁰ to Si⁴⁺, shape (5,).
    :param low: lower end of the interval, of the shape of ``value``; −∞, or the least value there can be, where the
        data are too few for one.
    :param high: its upper end.
    :param kind: ``site`` or ``average``: what the interval and the RMSE are of.
    :param coverage: how many such spectra such intervals hold.
    :param unit: ``e``, ``g(R)`` or ``fraction``.
    :param novelty: how unlike the spectra of training this one is.
    :param novelty_threshold: what is above is unlike.
    :param flagged: whether it is: the value then means nothing.
    :param r_angstrom: distances in Å, shape (n_r,); None unless the target is the RDF.
    :param sigma_angstrom: Gaussian broadening of the g(R) that the model learned; None unless the target is the RDF.
    :param rmse: RMSE of the model on such spectra that it did not fit, in ``unit``.
    :param split: the split that gave it: ``grouped``, or ``out_of_fold`` and ``averages`` for folds of training.
    :param normalisation: what the model takes the absorption to be.
    :param notes: what the reader must know to trust the value.
    """

    target: str
    kind: str
    value: float | Array
    low: float | Array
    high: float | Array
    coverage: float
    unit: str
    novelty: float
    novelty_threshold: float
    flagged: bool
    r_angstrom: Array | None
    sigma_angstrom: float | None
    rmse: float
    split: str
    normalisation: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; infinite ends are null."""
        return plain(dataclasses.asdict(self))


class SpectrumModel:
    """Networks that read one target from a spectrum, how sure they are, and what they know.

    :param ensemble: networks of the folds.
    :param residuals: errors of what the networks left out, of sites and of averaged spectra.
    :param novelty: what tells unlike spectra.
    :param card: from :func:`~aiida_siox.learning.card.build_card`.
    :param evaluation: references and predictions of the splits that were scored, where they were kept.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        residuals: Mapping[SpectrumKind, Residuals],
        novelty: NoveltyReference,
        card: Mapping[str, Any],
        evaluation: Evaluation | None = None,
    ) -> None:
        self.ensemble, self.residuals, self.novelty = ensemble, dict(residuals), novelty
        self.card, self.evaluation = dict(card), evaluation

    @classmethod
    def from_trained(
        cls,
        sites: SiteSet,
        target: Target,
        hyper: Hyperparameters,
        trained: Trained,
        *,
        coverage: float,
        scores: Mapping[str, Any] | None = None,
        unavailable: Mapping[str, str] | None = None,
        held: Mapping[str, Held] | None = None,
    ) -> SpectrumModel:
        """Build from an ensemble and the sites that it was trained on.

        :param sites: the data set.
        :param target: what was learned.
        :param hyper: how.
        :param trained: of :func:`~aiida_siox.learning.ensemble.fit_ensembles`.
        :param coverage: of the intervals.
        :param scores: of splits, by kind, for the card.
        :param unavailable: why splits could not be made, by kind, for the card.
        :param held: what gave the scores, by kind, for parity plots.
        :raises ValueError: if something does not fit.
        """
        rows = trained.rows
        left_out = {
            SpectrumKind.SITE: of_sites(sites, target, trained),
            SpectrumKind.AVERAGE: of_averages(sites, target, trained),
        }
        residuals = {kind: found.residuals() for kind, found in left_out.items()}
        novelty = NoveltyReference.fit(
            sites.energy,
            _normalised(trained.ensemble, sites.spectra[rows]),
            sites.groups[rows],
            hyper.novelty,
            hyper.seed,
        )
        members = trained.ensemble.member_predictions(sites.spectra[rows])
        ends = {kind: found.interval(members, coverage) for kind, found in residuals.items()}
        widths = {kind: float((high - low).mean()) for kind, (low, high) in ends.items()}
        names = {SpectrumKind.SITE: "out_of_fold", SpectrumKind.AVERAGE: "averages"}
        card = cards.build_card(
            sites,
            target,
            hyper,
            trained,
            novelty,
            sites.spectra[rows].mean(axis=1),
            scores={names[kind]: found.scores() for kind, found in left_out.items() if len(found.fold)},
            intervals={
                "coverage": coverage,
                "mean_width": {kind: width if np.isfinite(width) else None for kind, width in widths.items()},
            },
        )
        card = cards.described(card, {"scores": scores or {}})
        card["scores_unavailable"] = dict(unavailable or {})
        evaluation = None if held is None else Evaluation.of(sites, target, held)
        return cls(trained.ensemble, residuals, novelty, card, evaluation)

    @property
    def target(self) -> Target:
        """What is read."""
        return self.ensemble.target

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
        return SpectrumModel(self.ensemble, self.residuals, self.novelty, card, self.evaluation)

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
        :returns: e, shape (m,); g(R), shape (m, n_r); or fractions, shape (m, 5).
        :raises ValueError: if the shape does not fit or a number is not finite.
        """
        return self._flat(self.ensemble.predict(self._checked(spectra)))

    def intervals_on_grid(self, spectra: ArrayLike, kind: SpectrumKind = SpectrumKind.SITE) -> tuple[Array, Array]:
        """Return the ends of the CV+ intervals of many spectra, of the shape of :meth:`predict_on_grid`.

        :param kind: what the spectra are of.
        """
        members = self.ensemble.member_predictions(self._checked(spectra))
        low, high = self.residuals[kind].interval(members, self.coverage)
        ends = (np.clip(end, *self.target.limits) for end in (low, high))
        lower, upper = (self._flat(end) for end in ends)
        return lower, upper

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
        normalised = _normalised(self.ensemble, row)
        score, threshold = float(self.novelty.score(normalised)[0]), float(self.novelty.threshold)
        low, high = self.intervals_on_grid(row, kind)
        scalar = self.target is Target.VALENCE
        value = self.predict_on_grid(row)
        ends = [float(a[0]) if scalar else np.asarray(a[0]) for a in (value, low, high)]
        split, rmse = self.quoted_score(kind)
        limits = self.card["range"]
        return Prediction(
            target=str(self.target),
            kind=str(kind),
            value=ends[0],
            low=ends[1],
            high=ends[2],
            coverage=self.coverage,
            unit=self.target.unit,
            novelty=score,
            novelty_threshold=threshold,
            flagged=score > threshold,
            r_angstrom=None if limits["r_angstrom"] is None else np.asarray(limits["r_angstrom"], dtype=float),
            sigma_angstrom=limits["sigma_angstrom"],
            rmse=rmse,
            split=split,
            normalisation=str(limits["normalisation"]),
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
        residuals = self.residuals[kind]
        if not residuals.suffice(self.coverage):
            notes.append(
                f"No interval: {residuals.n_groups} configurations that training left out are too few for "
                f"{self.coverage:.0%} of them. Train on more."
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
        if not low / _INTENSITY_FACTOR <= mean <= high * _INTENSITY_FACTOR:
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

    def _flat(self, values: Array) -> Array:
        return np.asarray(values[:, 0] if self.target is Target.VALENCE else values)

    def to_bytes(self) -> bytes:
        """Return the content of the file of this model."""
        content = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "ensemble": self.ensemble.state(),
            "residuals": {
                str(kind): (
                    torch.from_numpy(each.values.astype(np.float32)),
                    torch.from_numpy(each.fold),
                    torch.from_numpy(each.group),
                )
                for kind, each in self.residuals.items()
            },
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
            model = cls(
                Ensemble.from_state(state["ensemble"]),
                {
                    SpectrumKind(kind): Residuals(values.numpy().astype(float), fold.numpy(), group.numpy())
                    for kind, (values, fold, group) in state["residuals"].items()
                },
                NoveltyReference.from_state(state["novelty"]),
                json.loads(state["card"]),
                None if state["evaluation"] is None else Evaluation.from_state(state["evaluation"]),
            )
            for kind in SpectrumKind:
                residuals = model.residuals[kind]
                lengths = {len(residuals.values), len(residuals.fold), len(residuals.group)}
                if len(lengths) > 1 or not np.isfinite(residuals.values).all():
                    raise ValueError("residuals, folds and groups do not fit")
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


def _normalised(ensemble: Ensemble, spectra: Array) -> Array:
    """Return spectra as the networks normalise them, shape (m, n_e)."""
    return np.asarray(ensemble.networks[0][0].normalise(torch.from_numpy(np.ascontiguousarray(spectra))).numpy())

"""ModelData: a trained network with its scalers, its scores and what it was trained on."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from aiida.orm import Data
from numpy.typing import ArrayLike, NDArray

from aiida_siox.learning.model import Prediction as IntervalPrediction
from aiida_siox.learning.model import SpectrumModel
from aiida_siox.learning.networks import SpectrumNetwork, from_bytes, to_bytes
from aiida_siox.learning.parameters import Architecture, Hyperparameters, Normalisation, SplitKind, Target
from aiida_siox.learning.spectrum import onto_grid
from aiida_siox.science.plain import plain

if TYPE_CHECKING:
    from aiida_siox.learning.evaluation import LearningData, Outcome

Array = NDArray[np.float64]

#: A mean absorption outside the range of training by more than this factor is remarked on.
_INTENSITY_FACTOR = 2.0

NORMALISATION_TEXT = {
    Normalisation.NONE: "none: cross-section per absorber",
    Normalisation.POST_EDGE: "divided by the mean from {low:g} to {high:g} eV",
}


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model reads from one spectrum.

    :param target: ``valence`` or ``rdf``.
    :param value: valence in e, or g(R) on ``r_angstrom``, shape (n_r,).
    :param unit: ``e`` or ``g(R)``.
    :param r_angstrom: distances in Å, shape (n_r,); None for the valence.
    :param sigma_angstrom: Gaussian broadening of the g(R) that the model learned; None for the valence.
    :param rmse: RMSE of the model on its test sites, in ``unit``, with the split that gave it.
    :param split: that split.
    :param normalisation: what the model takes the absorption to be.
    :param notes: what the reader must know to trust the value.
    """

    target: str
    value: float | Array
    unit: str
    r_angstrom: Array | None
    sigma_angstrom: float | None
    rmse: float
    split: str
    normalisation: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        values = dataclasses.asdict(self)
        for key in ("value", "r_angstrom"):
            if isinstance(values[key], np.ndarray):
                values[key] = values[key].tolist()
        return {**values, "notes": list(self.notes)}


@dataclasses.dataclass(frozen=True)
class Parity:
    """References and predictions of every site of the data set for one split, row by row.

    :param split: ``random`` or ``grouped``.
    :param unit: ``e`` or ``g(R)``.
    :param reference: shape (n,) for the valence, (n, n_r) for the RDF.
    :param predicted: the same shape.
    :param part: ``fit``, ``validation`` (both training) or ``test``, shape (n,).
    :param site_index: index of the site in its structure, shape (n,).
    :param n_oxygen: formal valence, shape (n,).
    :param formula: of the configuration, shape (n,).
    :param structure_digest: of the configuration, shape (n,).
    """

    split: str
    unit: str
    reference: Array
    predicted: Array
    part: NDArray[np.str_]
    site_index: NDArray[np.int64]
    n_oxygen: NDArray[np.int64]
    formula: NDArray[np.str_]
    structure_digest: NDArray[np.str_]

    @property
    def test(self) -> NDArray[np.bool_]:
        """Which rows are test sites, shape (n,)."""
        return np.asarray(self.part == "test")

    @property
    def rmse_per_site(self) -> Array:
        """RMSE of each row over its bins (the absolute error for the valence), shape (n,)."""
        error = (self.predicted - self.reference).reshape(len(self.part), -1)
        return np.sqrt((error**2).mean(axis=1))


class ModelData(Data):
    """A network that reads the valence or the RDF from a spectrum on the calibrated axis.

    Files: ``network.pt``, the state dict with the scalers, read with ``weights_only=True``; ``evaluation.npz``,
    references and predictions of every row for each split, without pickle.
    Attributes, all queryable: ``target``, ``unit``, ``architecture``, ``dataset_digest``, ``n_train`` (validation
    included), ``n_validation``, ``n_test``, ``rmse``, ``r2``, ``rmse_no_skill``, ``skill`` of the ``split`` whose
    network is kept; ``scores`` of each split and ``scores_unavailable`` with the reason for a split that could not be
    made; ``seed``, ``hyperparameters``, ``window_eV``, ``energy_eV``, ``max_step_eV``, ``normalisation`` (a sentence),
    ``intensity_range``; ``r_angstrom``, ``sigma_angstrom``, ``gamma_eV``, ``protocol``, ``treatment``,
    ``settings_digest``, ``shift_eV``, ``configurations`` of the data set; ``torch_version``, ``threads``,
    ``network_sha256``.
    """

    NETWORK_FILE = "network.pt"
    EVALUATION_FILE = "evaluation.npz"
    #: The one file of a node made by :meth:`from_spectrum_model`, which has the attribute ``card`` beside the others.
    MODEL_FILE = "model.pt"

    @classmethod
    def from_spectrum_model(cls, content: bytes, description: Mapping[str, Any]) -> ModelData:
        """Return an unstored node of a model with its intervals, novelty score and card.

        :param content: of the file of a :class:`~aiida_siox.learning.model.SpectrumModel`.
        :param description: what the data set says of itself; it also goes onto the card.
        :raises ValueError: if the content is no such file, or damaged.
        """
        model = SpectrumModel.from_bytes(content).described(description)
        content, card, node = model.to_bytes(), plain(model.card), cls()
        split, rmse = model._best_score()
        node.base.attributes.set_many(
            {
                **plain(dict(description)),
                "card": card,
                "target": str(model.target),
                "unit": model.target.unit,
                "architecture": card["training"]["architecture"],
                "scores": card["scores"],
                "scores_unavailable": {},
                "split": split,
                "rmse": rmse,
                "n_train": card["data"]["n_sites"],
                "seed": card["training"]["seed"],
                "threads": card["training"]["threads"],
                "window_eV": card["range"]["window_eV"],
                "energy_eV": model.energy.tolist(),
                "max_step_eV": card["range"]["max_step_eV"],
                "normalisation": card["range"]["normalisation"],
                "intensity_range": card["range"]["intensity"],
                "r_angstrom": card["range"]["r_angstrom"],
                "torch_version": card["versions"]["torch"],
                "network_sha256": hashlib.sha256(content).hexdigest(),
            }
        )
        node.base.repository.put_object_from_bytes(content, cls.MODEL_FILE)
        return node

    @property
    def has_intervals(self) -> bool:
        """Whether the node was made by :meth:`from_spectrum_model`."""
        return "card" in self.base.attributes.all

    @property
    def spectrum_model(self) -> SpectrumModel:
        """The model without AiiDA: ``save`` writes it into one file.

        :raises ValueError: if the node holds a single network, or its file is missing or corrupted.
        """
        if not self.has_intervals:
            raise ValueError(f"model {self.pk} is a single network without intervals: run `aiida-siox analyse`.")
        content = self._read(self.MODEL_FILE)
        if hashlib.sha256(content).hexdigest() != self.base.attributes.get("network_sha256"):
            raise self._corrupted(self.MODEL_FILE, "its sha256 is not the one that was stored with it")
        try:
            return SpectrumModel.from_bytes(content)
        except ValueError as exception:
            raise self._corrupted(self.MODEL_FILE, str(exception)) from exception

    @classmethod
    def from_training(
        cls,
        data: LearningData,
        target: Target,
        hyper: Hyperparameters,
        outcome: Outcome,
        identity: Mapping[str, ArrayLike],
        description: Mapping[str, Any],
    ) -> ModelData:
        """Return an unstored node of what a training gave.

        :param data: what was learned from.
        :param target: what was learned.
        :param hyper: how.
        :param outcome: the networks of all splits.
        :param identity: arrays ``site_index``, ``n_oxygen`` and ``configuration`` of the rows, shape (n,).
        :param description: further attributes: what the data set says of itself.
        """
        node = cls()
        best = outcome.best
        content = to_bytes(best.fit.network)
        intensity = data.spectra[best.split.train].mean(axis=1)
        low, high = hyper.post_edge_window_eV
        node.base.attributes.set_many(
            {
                **description,
                "target": str(target),
                "unit": target.unit,
                "architecture": best.fit.network.architecture.to_dict(),
                "hyperparameters": {
                    key: list(value) if isinstance(value, tuple) else value
                    for key, value in dataclasses.asdict(hyper).items()
                    if key != "networks"
                },
                "split": str(outcome.chosen),
                **{key: value for key, value in best.scores.to_dict().items() if key not in ("epochs", "best_epoch")},
                "scores": {str(kind): result.scores.to_dict() for kind, result in outcome.results.items()},
                "scores_unavailable": {str(kind): reason for kind, reason in outcome.unavailable.items()},
                "seed": hyper.seed,
                "window_eV": [float(data.energy[0]), float(data.energy[-1])],
                "energy_eV": data.energy.tolist(),
                "max_step_eV": hyper.max_step_eV,
                "normalisation": NORMALISATION_TEXT[hyper.normalisation].format(low=low, high=high),
                "intensity_range": [float(intensity.min()), float(intensity.max())],
                "torch_version": str(torch.__version__),
                "threads": hyper.threads,
                "network_sha256": hashlib.sha256(content).hexdigest(),
            }
        )
        arrays: dict[str, Any] = {"reference": data.targets, **{key: np.asarray(v) for key, v in identity.items()}}
        for kind, result in outcome.results.items():
            arrays[f"{kind}_predicted"] = result.predicted.astype(np.float32)
            arrays[f"{kind}_part"] = result.split.parts
            arrays[f"{kind}_history"] = result.fit.history
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        node.base.repository.put_object_from_bytes(content, cls.NETWORK_FILE)
        node.base.repository.put_object_from_bytes(buffer.getvalue(), cls.EVALUATION_FILE)
        return node

    def _validate(self) -> bool:
        """Check before storing that the node is whole."""
        super()._validate()
        missing = {"target", "architecture", "energy_eV", "network_sha256"} - set(self.base.attributes.all)
        if missing:
            raise ValueError(
                f"a ModelData comes from ModelData.from_training; this one lacks {', '.join(sorted(missing))}."
            )
        _ = self.spectrum_model if self.has_intervals else self.network
        return True

    @property
    def target(self) -> Target:
        """What the network reads."""
        return Target(self.base.attributes.get("target"))

    @property
    def energy(self) -> Array:
        """Energies of the network in eV on the calibrated axis, shape (n_e,)."""
        return np.asarray(self.base.attributes.get("energy_eV"), dtype=float)

    @property
    def window_eV(self) -> tuple[float, float]:
        """Lowest and highest energy that the network reads."""
        low, high = self.base.attributes.get("window_eV")
        return float(low), float(high)

    @property
    def r(self) -> Array | None:
        """Distances in Å of the predicted g(R), shape (n_r,); None for the valence."""
        if self.target is not Target.RDF:
            return None
        return np.asarray(self.base.attributes.get("r_angstrom"), dtype=float)

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Scores of every split that could be made, side by side."""
        return dict(self.base.attributes.get("scores"))

    @property
    def dataset_uuid(self) -> str | None:
        """UUID of the data set, through the link of ``train`` (an attribute would survive caching and mislead)."""
        creator = self.creator
        return None if creator is None else str(creator.inputs.dataset.uuid)

    @property
    def network(self) -> SpectrumNetwork:
        """The network, ready to predict: raw spectra on :attr:`energy` in, e or g(R) out.

        :raises ValueError: if the file is missing or corrupted, or does not fit the attributes.
        """
        content = self._read(self.NETWORK_FILE)
        if hashlib.sha256(content).hexdigest() != self.base.attributes.get("network_sha256"):
            raise self._corrupted(self.NETWORK_FILE, "its sha256 is not the one that was stored with it")
        try:
            network = from_bytes(content, Architecture.from_dict(self.base.attributes.get("architecture")))
        except ValueError as exception:
            raise self._corrupted(self.NETWORK_FILE, str(exception)) from exception
        # the database rounds floats in the last digits
        if not np.allclose(network.energy_eV.numpy(), self.energy, rtol=0, atol=1e-6):
            raise self._corrupted(self.NETWORK_FILE, "its energies are not those of the node")
        return network

    def predict_on_grid(self, spectra: ArrayLike) -> Array:
        """Predict many spectra that are on :attr:`energy` already.

        :param spectra: unnormalised spectra, shape (n, n_e).
        :returns: e, shape (n,), or g(R), shape (n, n_r).
        :raises ValueError: if the shape does not fit, a number is not finite, or the model file is corrupted.
        """
        array = np.asarray(spectra, dtype=float)
        if array.ndim != 2 or array.shape[1] != len(self.energy):
            raise ValueError(f"spectra must have the shape (n, {len(self.energy)}), got {array.shape}.")
        if not np.isfinite(array).all():
            raise ValueError("the spectra contain numbers that are not finite.")
        if self.has_intervals:
            return self.spectrum_model.predict_on_grid(array)
        with torch.no_grad():
            predicted = self.network(torch.from_numpy(array)).numpy()
        return np.asarray(predicted[:, 0] if self.target is Target.VALENCE else predicted)

    def predict(self, spectrum: Any) -> Prediction | IntervalPrediction:
        """Predict from one spectrum; a model with intervals refuses one that is normalised differently.

        :param spectrum: a SpectrumData or SiteData (total-energy axis: the model's ``shift_eV`` is added), or
            ``(energy_eV, values)`` on the calibrated (measured) axis, each of shape (n,).
        :raises ValueError: if the spectrum does not cover the window, is not in order, or the model is corrupted.
        """
        notes = []
        attributes = self.base.attributes
        if hasattr(spectrum, "energy") and (hasattr(spectrum, "mean") or hasattr(spectrum, "spectrum")):
            energy = np.asarray(spectrum.energy) + attributes.get("shift_eV")
            values = spectrum.mean if hasattr(spectrum, "mean") else spectrum.spectrum
            for key in ("treatment", "gamma_eV"):
                theirs, ours = spectrum.base.attributes.get(key, None), attributes.get(key, None)
                if theirs != ours and None not in (theirs, ours):
                    notes.append(f"{key} of the spectrum is {theirs}, the model was trained with {ours}.")
        elif isinstance(spectrum, tuple | list) and len(spectrum) == 2:
            energy, values = spectrum
            notes.append(f"Energies are taken to be on the measured axis (computed energies {self._shift_text()}).")
            notes.append(self._units_text())
        else:
            raise ValueError(
                f"cannot read a spectrum from {type(spectrum).__name__}: give a SpectrumData or (energy_eV, values)."
            )
        if self.has_intervals:
            read = self.spectrum_model.predict(energy, values)
            return dataclasses.replace(read, notes=(*notes, *read.notes))
        row = onto_grid(energy, values, self.energy, float(attributes.get("max_step_eV")))
        low, high = attributes.get("intensity_range")
        mean = float(row.mean())
        if (
            self._normalisation is Normalisation.NONE
            and not low / _INTENSITY_FACTOR <= mean <= high * _INTENSITY_FACTOR
        ):
            notes.append(
                f"WARNING: the mean absorption is {mean:.4g}, but {low:.4g} to {high:.4g} in training: the spectrum "
                "is not in the units of the model, and the value means nothing. Scale it, or use a model trained with "
                "`normalisation: post_edge`."
            )
        value = self.predict_on_grid(row[None])[0]
        rdf = self.target is Target.RDF
        return Prediction(
            target=str(self.target),
            value=np.asarray(value) if rdf else float(value),
            unit=self.target.unit,
            r_angstrom=self.r,
            sigma_angstrom=attributes.get("sigma_angstrom") if rdf else None,
            rmse=float(attributes.get("rmse")),
            split=str(attributes.get("split")),
            normalisation=str(attributes.get("normalisation")),
            notes=tuple(notes),
        )

    def parity(self, split: str | None = None) -> Parity:
        """Return references and predictions of every site for one split.

        :param split: ``random`` or ``grouped``; the split of the network that is kept when None.
        :raises ValueError: if that split was not made, or the file is corrupted.
        """
        kind = str(self.base.attributes.get("split") if split is None else split)
        if kind not in self.scores:
            reason = self.base.attributes.get("scores_unavailable").get(kind, f"splits are {', '.join(SplitKind)}.")
            raise ValueError(f"no parity for the split `{kind}`: {reason}")
        arrays = self._evaluation()
        reference, predicted = arrays["reference"], arrays[f"{kind}_predicted"].astype(float)
        if self.target is Target.VALENCE:
            reference, predicted = reference[:, 0], predicted[:, 0]
        configurations = self.base.attributes.get("configurations")
        rows = [configurations[i] for i in arrays["configuration"]]
        return Parity(
            split=kind,
            unit=self.target.unit,
            reference=reference,
            predicted=predicted,
            part=arrays[f"{kind}_part"],
            site_index=arrays["site_index"],
            n_oxygen=arrays["n_oxygen"],
            formula=np.array([row["formula"] for row in rows]),
            structure_digest=np.array([row["structure_digest"] for row in rows]),
        )

    def history(self, split: str | None = None) -> Array:
        """Return the loss of fitted and validation sites after each epoch (scaled units), shape (epochs, 2).

        :param split: ``random`` or ``grouped``; the split of the network that is kept when None.
        :raises ValueError: if that split was not made, or the file is corrupted.
        """
        kind = str(self.base.attributes.get("split") if split is None else split)
        if kind not in self.scores:
            raise ValueError(f"no history for the split `{kind}`: there is {', '.join(self.scores)}.")
        return self._evaluation()[f"{kind}_history"]

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        keys = (
            *("target", "unit", "split", "n_train", "n_validation", "n_test", "rmse", "r2", "rmse_no_skill", "skill"),
            *("rmse_composition_mean", "scores", "scores_unavailable", "seed", "window_eV", "normalisation"),
            *("protocol", "treatment", "sigma_angstrom", "gamma_eV", "shift_eV", "settings_digest", "dataset_digest"),
            *("architecture", "torch_version", "threads"),
        )
        return {
            "type": "model",
            "uuid": self.uuid,
            "dataset_uuid": self.dataset_uuid,
            **{key: self.base.attributes.get(key, None) for key in keys},
            **({"card": self.base.attributes.get("card")} if self.has_intervals else {}),
        }

    @property
    def _normalisation(self) -> Normalisation:
        return Normalisation(self.base.attributes.get("architecture")["normalisation"])

    def _shift_text(self) -> str:
        return f"are shifted by {self.base.attributes.get('shift_eV'):+.2f} eV in this model"

    def _units_text(self) -> str:
        if self._normalisation is Normalisation.NONE:
            return (
                "This model reads the unnormalised cross-section per absorber as it was computed; a measured spectrum "
                "in arbitrary units must be brought to that scale first."
            )
        how = self.base.attributes.get("normalisation")
        return f"This model normalises by itself ({how}); give a spectrum without pre-edge background."

    def _evaluation(self) -> dict[str, NDArray[Any]]:
        content = self._read(self.EVALUATION_FILE)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as exception:
            raise self._corrupted(self.EVALUATION_FILE, str(exception)) from exception

    def _read(self, name: str) -> bytes:
        try:
            return bytes(self.base.repository.get_object_content(name, mode="rb"))
        except (FileNotFoundError, OSError) as exception:
            raise self._corrupted(name, f"it cannot be read ({exception})") from exception

    def _corrupted(self, name: str, reason: str) -> ValueError:
        return ValueError(
            f"the file {name} of ModelData<{self.pk or 'unstored'}> ({self.uuid}) is corrupted: {reason}. "
            "Import the archive that it came with again, or train the model again from its data set."
        )

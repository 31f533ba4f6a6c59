"""ModelData: a trained model as one file, with its card as attributes and the scores of its data set."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.orm import Data
from numpy.typing import ArrayLike, NDArray

from aiida_siox.data.site import SiteData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.learning.card import RANGE_KEYS
from aiida_siox.learning.data.spectrum import Normalisation, SpectrumKind
from aiida_siox.learning.data.splits import SplitKind
from aiida_siox.learning.model import Prediction, SpectrumModel
from aiida_siox.learning.parity import Parity
from aiida_siox.science.plain import plain
from aiida_siox.science.quantity import Quantity

Array = NDArray[np.float64]

__all__ = ["ModelData", "Parity", "Prediction"]

#: What the card says of the data set and attributes repeat: an imported file gives the attributes of the node it was.
_REPEATED = (
    *("dataset_digest", "settings_digest", "protocol", "sigma_angstrom", "training_version"),
    *("treatment", "gamma_eV", "shift_eV"),
)


class ModelData(Data):
    """A model that reads one property from a spectrum on the calibrated axis: a shell around ``SpectrumModel``.

    File: ``model.pt``, which ``aiida_siox.learning.model`` reads without AiiDA.
    Attributes, all queryable: the ``card`` of the model (data, training, scores, intervals, novelty, range, limits,
    versions); ``target``, the name of the property, ``unit`` and the whole ``quantity``; what the data set says of
    itself, such as ``dataset_digest``, ``protocol``, ``treatment``, ``gamma_eV``, ``shift_eV``, ``sigma_angstrom``,
    ``settings_digest``; ``scores`` of each split (means over seeds) and ``scores_unavailable`` with the reason for a
    split that could not be made; ``split``, ``rmse``, ``r2``, ``rmse_no_skill``, ``skill`` of the split that
    predictions quote; ``n_train``; ``seed``, ``threads``, ``architecture``, ``window_eV``, ``energy_eV``,
    ``normalisation`` (a sentence), ``torch_version``; ``network_sha256`` of the file.
    """

    MODEL_FILE = "model.pt"

    @classmethod
    def from_spectrum_model(
        cls, model: SpectrumModel | bytes, description: Mapping[str, Any] | None = None
    ) -> ModelData:
        """Return an unstored node of a model.

        :param model: the model, or the content of its file.
        :param description: what the data set says of itself: ``dataset_digest``, ``protocol``, ``treatment``,
            ``gamma_eV``, ``shift_eV``, ``settings_digest`` ``training_version``. It becomes part of the card.
        :raises ValueError: if the content is no such file, or damaged.
        """
        if isinstance(model, bytes):
            model = SpectrumModel.from_bytes(model)
        model = model.described(description or {})
        content, card, scores = model.to_bytes(), plain(model.card), plain(model.mean_scores)
        split, _ = model.quoted_score()
        known = {**card["data"], **{key: value for key, value in card["range"].items() if key in RANGE_KEYS}}
        node = cls()
        node.base.attributes.set_many(
            {
                **{key: known[key] for key in _REPEATED if key in known},
                "card": card,
                "target": model.target,
                "unit": model.quantity.unit,
                "quantity": model.quantity.to_dict(),
                "scores": {kind: values for kind, values in scores.items() if kind in list(SplitKind)},
                "scores_unavailable": card["scores_unavailable"],
                "split": split,
                **{key: scores[split].get(key) for key in ("rmse", "r2", "rmse_no_skill", "skill")},
                "n_train": card["data"]["n_sites"],
                **{key: card["training"][key] for key in ("seed", "threads", "architecture")},
                **{key: card["range"][key] for key in ("window_eV", "normalisation")},
                "energy_eV": model.energy.tolist(),
                "torch_version": card["versions"]["torch"],
                "network_sha256": hashlib.sha256(content).hexdigest(),
            }
        )
        node.base.repository.put_object_from_bytes(content, cls.MODEL_FILE)
        return node

    def _validate(self) -> bool:
        """Check before storing that the node is whole."""
        super()._validate()
        missing = {"target", "quantity", "card", "energy_eV", "network_sha256"} - set(self.base.attributes.all)
        if missing:
            raise ValueError(
                f"a ModelData comes from ModelData.from_spectrum_model; this one lacks {', '.join(sorted(missing))}."
            )
        _ = self.spectrum_model
        return True

    @property
    def spectrum_model(self) -> SpectrumModel:
        """The model without AiiDA, ready to predict; its ``save`` writes it into one file.

        :raises ValueError: if the file is missing or corrupted.
        """
        content = self.content
        try:
            return SpectrumModel.from_bytes(content)
        except ValueError as exception:
            raise self._corrupted(self.MODEL_FILE, str(exception)) from exception

    @property
    def content(self) -> bytes:
        """The file that ``SpectrumModel.load`` reads anywhere.

        :raises ValueError: if it is missing or altered.
        """
        content = self._read(self.MODEL_FILE)
        if hashlib.sha256(content).hexdigest() != self.base.attributes.get("network_sha256"):
            raise self._corrupted(self.MODEL_FILE, "its sha256 is not the one that was stored with it")
        return content

    @property
    def quantity(self) -> Quantity:
        """What the model reads."""
        return Quantity.from_dict(self.base.attributes.get("quantity"))

    @property
    def target(self) -> str:
        """Name of the property that the model reads."""
        return str(self.base.attributes.get("target"))

    @property
    def energy(self) -> Array:
        """Energies of the networks in eV on the calibrated axis, shape (n_e,)."""
        return np.asarray(self.base.attributes.get("energy_eV"), dtype=float)

    @property
    def window_eV(self) -> tuple[float, float]:
        """Lowest and highest energy that the networks read."""
        low, high = self.base.attributes.get("window_eV")
        return float(low), float(high)

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Scores of every split that could be made (means over seeds), side by side."""
        return dict(self.base.attributes.get("scores"))

    @property
    def dataset_uuid(self) -> str | None:
        """UUID of the data set, through the link of what made the model (an attribute would survive caching)."""
        creator = self.creator
        if creator is None or "dataset" not in creator.inputs:
            return None
        return str(creator.inputs.dataset.uuid)

    def card_text(self) -> str:
        """Return the model card as Markdown."""
        return self.spectrum_model.card_text()

    def predict_on_grid(self, spectra: ArrayLike) -> Array:
        """Predict many spectra that are on :attr:`energy` already, without any check of what they are.

        :param spectra: raw spectra, shape (n, n_e).
        :returns: shape (n,) of a scalar, (n, n_outputs) else.
        :raises ValueError: if the shape does not fit, a number is not finite, or the model file is corrupted.
        """
        return self.spectrum_model.predict_on_grid(spectra)

    def predict(
        self, spectrum: Any, normalisation: Normalisation | None = None, kind: SpectrumKind | None = None
    ) -> Prediction:
        """Predict from one spectrum.

        :param spectrum: a SpectrumData or SiteData (total-energy axis: the model's ``shift_eV`` is added), or
            ``(energy_eV, values)`` on the calibrated (measured) axis, each of shape (n,).
        :param normalisation: how the absorption is normalised, if the caller knows it.
        :param kind: whether it is of a site or an average of many. When None, nodes are of a site, and numbers are an
            average, as measured spectra are.
        :raises ValueError: if the spectrum does not cover the window, is not in order, is not in the units of the
            model, or the model is corrupted.
        """
        model, notes = self.spectrum_model, []
        attributes = self.base.attributes
        spectrum = spectrum.spectrum if isinstance(spectrum, SiteData) else spectrum
        if isinstance(spectrum, SpectrumData):
            shift = attributes.get("shift_eV", None)
            if shift is None:
                raise ValueError(
                    "the model does not say by how much it shifted computed energies: give (energy_eV, values) on the "
                    "calibrated axis."
                )
            kind = kind or SpectrumKind.SITE
            energy, values = spectrum.energy + shift, spectrum.mean
            for key in ("treatment", "gamma_eV"):
                theirs, ours = spectrum.base.attributes.get(key, None), attributes.get(key, None)
                if theirs != ours and None not in (theirs, ours):
                    notes.append(f"{key} of the spectrum is {theirs}, the model was trained with {ours}.")
        elif isinstance(spectrum, tuple | list) and len(spectrum) == 2:
            kind = kind or SpectrumKind.AVERAGE
            energy, values = spectrum
            notes.append(f"Energies are taken to be on the measured axis{self._shift_text()}.")
            notes.append(self._units_text(model))
        else:
            raise ValueError(
                f"cannot read a spectrum from {type(spectrum).__name__}: give a SpectrumData or (energy_eV, values)."
            )
        prediction = model.predict(energy, values, normalisation, kind)
        return dataclasses.replace(prediction, notes=(*notes, *prediction.notes))

    def parity(self, split: str | None = None) -> Parity:
        """Return references and predictions of every site for one split.

        :param split: ``random``, ``grouped``, ``composition``; the one that predictions quote when None.
        :raises ValueError: if that split was not made or kept, or the file is corrupted.
        """
        kind = str(self.base.attributes.get("split") if split is None else split)
        if kind in (unavailable := self.base.attributes.get("scores_unavailable")):
            raise ValueError(f"no parity for the split `{kind}`: {unavailable[kind]}")
        evaluation = self.spectrum_model.evaluation
        if evaluation is None:
            raise ValueError(f"no parity for the split `{kind}`: the model was kept without its evaluation.")
        return evaluation.parity(kind, self.quantity)

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        keys = (
            *("target", "unit", "split", "rmse", "r2", "rmse_no_skill", "skill", "scores", "scores_unavailable"),
            *("protocol", "treatment", "sigma_angstrom", "gamma_eV", "shift_eV", "settings_digest", "dataset_digest"),
            *("n_train", "seed", "window_eV", "normalisation", "architecture", "torch_version", "threads", "card"),
        )
        values = {key: self.base.attributes.get(key, None) for key in keys}
        return {"type": "model", "uuid": self.uuid, "dataset_uuid": self.dataset_uuid, **values}

    def _shift_text(self) -> str:
        shift = self.base.attributes.get("shift_eV", None)
        return "" if shift is None else f" (computed energies are shifted by {shift:+.2f} eV in this model)"

    @staticmethod
    def _units_text(model: SpectrumModel) -> str:
        if model.normalisation is Normalisation.NONE:
            return (
                "This model reads the unnormalised cross-section per absorber as it was computed; a measured spectrum "
                "in arbitrary units must be brought to that scale first."
            )
        how = model.card["range"]["normalisation"]
        return f"This model normalises by itself ({how}); give a spectrum without pre-edge background."

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

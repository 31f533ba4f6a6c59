"""CalibrationData: the one constant that brings total energies to the measured axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aiida.orm import Data

from aiida_siox.data.base import check_keys, own_attributes


class CalibrationData(Data):
    """Shift of the total-energy axis from one site of a reference crystal.

    Attributes: ``shift_eV``, ``target_eV`` (measured main peak of the crystal), ``white_line_eV`` (computed,
    total-energy axis), ``reference`` (the crystal), ``treatment``, ``protocol``, ``settings_digest``.
    """

    REQUIRED = ("target_eV", "white_line_eV", "reference", "treatment", "protocol", "settings_digest")

    @classmethod
    def from_white_line(cls, description: Mapping[str, Any]) -> CalibrationData:
        """Return an unstored calibration.

        :param description: values of :data:`REQUIRED`.
        :raises ValueError: naming what is missing, unknown or not finite.
        """
        check_keys("a calibration", description, cls.REQUIRED)
        shift = float(description["target_eV"]) - float(description["white_line_eV"])
        if not math.isfinite(shift):
            raise ValueError(
                f"target_eV {description['target_eV']} and white_line_eV {description['white_line_eV']} must be finite."
            )
        node = cls()
        node.base.attributes.set_many({**description, "shift_eV": shift})
        return node

    @property
    def shift(self) -> float:
        """Constant in eV to add to the total-energy axis."""
        return float(self.base.attributes.get("shift_eV"))

    @property
    def settings_digest(self) -> str:
        """Digest of the settings that the reference site was computed with."""
        return str(self.base.attributes.get("settings_digest"))

    def check_settings(self, digest: str, what: str) -> None:
        """Refuse a node that was computed with other settings.

        :param digest: of the settings of the node.
        :param what: it is, for the message.
        :raises ValueError: with both digests and the remedy.
        """
        if digest != self.settings_digest:
            raise ValueError(
                f"{what} has the settings {digest[:12]}, the calibration those of {self.settings_digest[:12]}: name a "
                "calibration of the same treatment, cutoffs, meshes, thresholds, atomic data and engine versions."
            )

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        return {"type": "calibration", "uuid": self.uuid, **own_attributes(self)}

"""CalibrationData: the one constant that brings total energies to the measured axis."""

from __future__ import annotations

from typing import Any

from aiida.orm import Data


class CalibrationData(Data):
    """Shift of the total-energy axis from one site of α-quartz.

    Attributes: ``shift_eV``, ``target_eV`` (measured main peak of quartz), ``white_line_eV`` (computed, total-energy
    axis), ``treatment``, ``protocol``, ``settings_digest``.
    """

    @property
    def shift(self) -> float:
        """Constant in eV to add to the total-energy axis."""
        return float(self.base.attributes.get("shift_eV"))

    @property
    def settings_digest(self) -> str:
        """Digest of the settings that the quartz site was computed with."""
        return str(self.base.attributes.get("settings_digest"))

    def summary(self) -> dict[str, Any]:
        """Return what ``aiida-siox show`` prints of this node."""
        return {"type": "calibration", "uuid": self.uuid, **self.base.attributes.all}

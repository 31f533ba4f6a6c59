"""The spectrum of the first silicon atom of α-quartz, put together from what the real engines wrote (tests/mocks)."""

from __future__ import annotations

import gzip
import pathlib
from typing import Any

import numpy as np

from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.parsers.raw.xspectra import normalised_weights, parse_save_file, parse_spectrum, parse_stdout
from tests.factories import make_spectrum

FOLDER = pathlib.Path(__file__).parent / "mocks" / "data"

#: Total energies of docs/develop/engine_facts.md for this run: 50/400 Ry, SCF mesh 1×1×1, full core hole.
ENERGIES = {
    "ground_Ry": -391.10607781,
    "hole_Ry": -388.22426609,
    "core_correction_eV": 1809.516,
    "transition_eV": 1848.725,
    "energy_zero_eV": 2.6065,
    "fermi_eV": 3.6867,
    "offset_eV": 1851.3315,
}


def text(name: str) -> str:
    return gzip.decompress((FOLDER / f"{name}.gz").read_bytes()).decode()


def quartz_spectrum(gamma_eV: float = 0.8, **attributes: Any) -> SpectrumData:
    """Return an unstored node with the coefficients of the three polarisations, which converged for 0.8 eV."""
    saved = [parse_save_file(text(f"lanczos_{i}.sav")) for i in range(3)]
    n_max = max(one["a"].shape[1] for one in saved)
    coefficients = {
        key: np.array([np.pad(one[key], ((0, 0), (0, n_max - one[key].shape[1]))) for one in saved]) for key in "ab"
    }
    coefficients |= {key: np.array([one[key] for one in saved]) for key in ("norm", "n_iterations")}
    coefficients["weights"] = normalised_weights(parse_stdout(text("polarisation_0.out"))["weights"])
    return make_spectrum(
        coefficients=coefficients,
        energies=ENERGIES,
        run={
            "energy_zero_eV": saved[0]["fermi_energy_eV"],
            "core_energy_eV": saved[0]["core_energy_eV"],
            "check_interval": 10,
            "terminator": True,
            "gamma_eV": gamma_eV,
        },
        **{"site_index": 0, **attributes},
    )


def engine_curve() -> np.ndarray:
    """Return the polarisation mean that xspectra.x wrote itself, at ``factories.ENERGY``."""
    return np.mean([parse_spectrum(text(f"xanes_{i}.dat"))[1] for i in range(3)], axis=0)

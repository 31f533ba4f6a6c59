"""Nodes for tests, made through the constructors of their classes. No physics is claimed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.site import SiteData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.materials import load_material
from aiida_siox.science.constants import RYDBERG_QE_EV
from aiida_siox.science.properties import Axis, property_axes
from aiida_siox.science.site_row import SiteRow

MATERIAL = load_material("siox")
IDENTITY = {key: getattr(MATERIAL, key) for key in ("name", "title", "absorber", "edge", "ligands")}
RDF = {"r_max_angstrom": 5.0, "n_bins": 256, "sigma_angstrom": 0.15, "pair": "total"}
AXES = property_axes(MATERIAL, {"rdf": RDF})
R = np.array(AXES["rdf"].values)
SETTINGS_DIGEST = "f" * 64
SHIFT_EV = -12.8

#: Of the run of tests/quartz.py; the zero of xspectra's axis is at 1851.3315 eV.
ENERGIES = {
    "ground_Ry": -391.10607781,
    "hole_Ry": -388.22426609,
    "core_correction_eV": 1809.516,
    "transition_eV": 1848.725,
    "energy_zero_eV": 2.6065,
    "fermi_eV": 3.6867,
}
RUN = {
    "energy_zero_eV": 2.6065,
    "core_energy_eV": 1839.0,
    "check_interval": 2,
    "gamma_eV": 0.8,
    "terminator": False,
    "cut_occ_states": True,
    "smooth_eV": 0.1,
}
#: Energies of xspectra.x in the protocols.
ENERGY = np.linspace(-25.0, 60.0, 851)


def pole_coefficients(
    peaks: Sequence[Sequence[float]], heights: Sequence[Sequence[float]], zero_eV: float = RUN["energy_zero_eV"]
) -> dict[str, np.ndarray]:
    """Return Lanczos coefficients of Lorentzians: each k point is one empty state, and its chain ends there.

    :param peaks: of each polarisation, eV above the energy zero.
    :param heights: at the peaks, whatever the half width of :data:`RUN`.
    """
    peaks, heights = np.asarray(peaks, dtype=float), np.asarray(heights, dtype=float)
    n_polarisations, n_k = peaks.shape
    a = np.zeros((n_polarisations, n_k, 4))
    energy = (peaks + zero_eV) / RYDBERG_QE_EV
    a[:, :, 0] = energy
    prefactor = 4 * np.pi / 137.04 * (energy + RUN["core_energy_eV"] / RYDBERG_QE_EV)
    weights = np.full(n_k, 2.0 / n_k)
    return {
        "a": a,
        "b": np.zeros_like(a),
        "norm": np.sqrt(heights * (RUN["gamma_eV"] / RYDBERG_QE_EV) / prefactor / weights),
        "n_iterations": np.full((n_polarisations, n_k), 4),
        "weights": weights,
    }


def make_spectrum(
    peaks: Sequence[float] = (8.0, 8.0, 8.0),
    heights: Sequence[float] | None = None,
    *,
    energy: np.ndarray = ENERGY,
    energies: Mapping[str, float] | None = None,
    coefficients: Mapping[str, np.ndarray] | None = None,
    run: Mapping[str, Any] | None = None,
    **absorber: Any,
) -> SpectrumData:
    """Return an unstored spectrum of three polarisations.

    :param peaks: one of each polarisation, eV above the energy zero.
    :param heights: of the peaks; 1 by default.
    :param energies: that differ from :data:`ENERGIES`.
    :param coefficients: instead of peaks.
    :param run: values that differ from :data:`RUN`.
    :param absorber: values that differ from those of site 2 of quartz.
    """
    known = {**ENERGIES, **(energies or {})}
    zero = known["energy_zero_eV"]
    if coefficients is None:
        heights = np.ones(len(peaks)) if heights is None else np.asarray(heights)
        coefficients = pole_coefficients(np.reshape(peaks, (-1, 1)), np.reshape(heights, (-1, 1)), zero)
    described = {
        "site_index": 2,
        "formula": "O6Si3",
        "treatment": "fch",
        "structure_digest": "quartz",
        "polarisations": np.eye(3).tolist(),
        "engines": {"pw": "6.7MaX", "xspectra": "6.7MaX"},
        "energies": known,
        **absorber,
    }
    return SpectrumData.from_coefficients(
        coefficients, {**RUN, "energy_zero_eV": zero, **(run or {})}, described, energy
    )


def make_properties(
    n_ligands: int = 4, valence: float | None = None, rdf: np.ndarray | None = None, n_absorbers: int | None = None
) -> dict[str, np.ndarray]:
    """Return the properties of one site of SiOₓ.

    :param valence: 0.8 e a ligand by default.
    :param rdf: shape (256,); ones by default.
    :param n_absorbers: bonded; what is missing to four by default.
    """
    others = max(4 - n_ligands, 0) if n_absorbers is None else n_absorbers
    return {
        "valence": np.array([0.8 * n_ligands if valence is None else valence]),
        "rdf": np.ones(len(R)) if rdf is None else np.asarray(rdf, dtype=float),
        "oxidation": np.eye(5)[min(n_ligands, 4)],
        "coordination": np.array([others, n_ligands], dtype=float),
        "bridge_angle": np.array([143.7 if n_ligands else np.nan]),
    }


def make_row(
    site: int, spectrum: np.ndarray | None, *, energies: Any = None, reason: str = "killed", **of: Any
) -> SiteRow:
    """Return a row, failed if there is no spectrum; further keywords as for :func:`make_properties`."""
    properties = make_properties(**of)
    if spectrum is None:
        return SiteRow(site, properties, reason=reason)
    return SiteRow(site, properties, spectrum, {**ENERGIES, "offset_eV": 1851.3315, **(energies or {})})


def make_table(
    rows: Sequence[SiteRow],
    energy: np.ndarray,
    axes: Mapping[str, Axis | None] = AXES,
    **description: Any,
) -> SiteTableData:
    """Return an unstored table; ``description`` are values that differ from those of quartz."""
    described = {
        "formula": "Si3O6",
        "x": 2.0,
        "material": IDENTITY,
        "protocol": "fast",
        "changed": [],
        "treatment": "fch",
        "sigma_angstrom": 0.15,
        "gamma_eV": 0.8,
        "settings": {"material": MATERIAL.spectral()},
        "engines": {"pw": "6.7MaX", "xspectra": "6.7MaX"},
        "atomic_data": {},
        "settings_digest": SETTINGS_DIGEST,
        "structure_digest": "quartz",
        "n_absorbers": len(rows),
        **description,
    }
    return SiteTableData.from_rows(rows, energy, axes, described)


def make_site(row: SiteRow, **description: Any) -> SiteData:
    """Return an unstored site of a row."""
    table = make_table([row], np.linspace(0, 1, 1 if row.spectrum is None else len(row.spectrum)))
    common = {key: table.base.attributes.get(key) for key in SiteData.REQUIRED}
    return SiteData.from_row(row, table.kinds, table.axes, {**common, "material": MATERIAL.name, **description})


def make_calibration(
    shift: float = SHIFT_EV, settings_digest: str = SETTINGS_DIGEST, **description: Any
) -> CalibrationData:
    """Return an unstored calibration of quartz."""
    described = {
        "target_eV": 1846.8,
        "white_line_eV": 1846.8 - shift,
        "reference": "quartz",
        "treatment": "fch",
        "protocol": "fast",
        "settings_digest": settings_digest,
        **description,
    }
    return CalibrationData.from_white_line(described)


def make_dataset(
    energy: np.ndarray,
    spectra: np.ndarray,
    properties: Mapping[str, np.ndarray],
    configuration: Sequence[int],
    configurations: Sequence[Mapping[str, Any]],
    site_index: Sequence[int] | None = None,
    axes: Mapping[str, Axis | None] = AXES,
    **description: Any,
) -> DatasetData:
    """Return an unstored data set of arrays.

    :param properties: by name, shape (n, m).
    :param configurations: ``formula``, ``x`` and what differs from a configuration that is whole.
    """
    counts = np.bincount(configuration, minlength=len(configurations)).tolist()
    whole = [
        {"structure_digest": f"cell {i}", **dict.fromkeys(("n_requested", "n_done", "n_absorbers"), n), **entry}
        for i, (n, entry) in enumerate(zip(counts, configurations, strict=True))
    ]
    described = {
        "material": IDENTITY,
        "protocol": "fast",
        "changed": [],
        "treatment": "fch",
        "sigma_angstrom": 0.15,
        "gamma_eV": 0.8,
        "settings_digest": SETTINGS_DIGEST,
        "shift_eV": SHIFT_EV,
        **description,
    }
    return DatasetData.from_arrays(
        energy=energy,
        spectra=spectra,
        properties=properties,
        axes=axes,
        site_index=np.arange(len(spectra)) if site_index is None else site_index,
        configuration=configuration,
        configurations=whole,
        description=described,
    )


def stack_properties(sites: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return properties of sites, shape (n, m) each, from those of single sites."""
    return {name: np.array([site[name] for site in sites]) for name in sites[0]}

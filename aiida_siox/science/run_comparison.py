"""Which runs of pw.x may be combined: what must agree for the difference of two total energies to mean anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: Keys of the parsed output of pw.x that ground state and hole cell must share, with what they are.
COMPARED = {
    "creator_name": "program",
    "creator_version": "version of the program",
    "number_of_atoms": "atoms",
    "volume": "volume of the cell, Å³",
    "fft_grid": "grid of the density",
    "smooth_fft_grid": "grid of the wavefunctions",
    "wfc_cutoff": "cutoff of the wavefunctions, eV",
    "rho_cutoff": "cutoff of the density, eV",
    "monkhorst_pack_grid": "k mesh",
    "monkhorst_pack_offset": "shift of the k mesh",
    "occupations": "occupations",
    "smearing_type": "smearing",
    "degauss": "width of the smearing, eV",
    "dft_exchange_correlation": "functional",
    "number_of_spin_components": "spin components",
    "lda_plus_u_calculation": "Hubbard U",
    "q_real_space": "augmentation in real space",
}


def same(a: Any, b: Any) -> bool:
    """Return whether two parsed values agree: numbers to 1e-9 of themselves, lists element by element."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(one, other) for one, other in zip(a, b, strict=True))
    numbers = (int, float)
    if isinstance(a, numbers) and isinstance(b, numbers):
        return math.isclose(a, b, rel_tol=1e-9)
    return bool(a == b)


def run_differences(ground: Mapping[str, Any], hole: Mapping[str, Any]) -> list[str]:
    """Return what keeps two runs of pw.x from being combined, one sentence part for each difference.

    A key that only one of them has is a difference: a smearing in one run makes its energy another quantity.

    :param ground: parsed output of pw.x for the ground state.
    :param hole: the same for the cell with the core hole.
    """
    differences = []
    for key, words in COMPARED.items():
        a, b = ground.get(key), hole.get(key)
        if not same(a, b):
            one, other = ("none" if value is None else value for value in (a, b))
            differences.append(f"{key} ({words}: {one} and {other})")
    return differences


def free_energy(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what quantity the ``!`` line of pw.x is.

    With smearing it is F = E - TS, without it (fixed occupations) E.

    :param parameters: parsed output of pw.x.
    :returns: ``quantity``, ``smearing`` and ``degauss_eV``; the latter are None without smearing.
    """
    smearing = parameters.get("smearing_type")
    return {
        "quantity": "E" if smearing is None else "F = E - TS",
        "smearing": smearing,
        "degauss_eV": parameters.get("degauss"),
    }

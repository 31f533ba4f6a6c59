"""The settings of spectra and targets: checked before anything is submitted, turned into inputs of the engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from aiida_siox.materials import load_material
from aiida_siox.science.bader import METHODS
from aiida_siox.science.energies import TREATMENTS
from aiida_siox.science.rdf import TOTAL
from aiida_siox.workflows.protocol import PROTOCOL_FOLDER, check_overrides

#: Below these an absorber's spectrum does not cover the window of the networks (FACTS: quartz and Si).
WIDEST_ENERGY_MIN_EV = -25.0
LEAST_ENERGY_MAX_EV = 50.0

#: Keys that say where settings come from and change nothing that is computed.
LABELS = ("protocol", "changed")

POSITIVE = {
    "scf": ("ecutwfc_Ry", "conv_thr_per_atom_Ry", "degauss_Ry", "mixing_beta", "electron_maxstep"),
    "xspectra": ("gamma_eV", "n_points", "xerror", "xcheck_conv", "xniter", "r_paw_bohr", "cut_desmooth_eV"),
    "rdf": ("r_max_angstrom", "n_bins"),
}


def _mesh_error(path: str, stage: Mapping[str, Any]) -> str | None:
    mesh = stage["kpoints_mesh"]
    if mesh is not None and not (
        isinstance(mesh, list) and len(mesh) == 3 and all(isinstance(n, int) and n > 0 for n in mesh)
    ):
        return f"`{path}.kpoints_mesh` must be three positive integers such as [2, 2, 2], got {mesh!r}."
    if mesh is None and stage["kpoints_distance"] <= 0:
        return f"`{path}.kpoints_distance` must be positive (1/Å), got {stage['kpoints_distance']!r}."
    return None


def changed_keys(defaults: Mapping[str, Any], settings: Mapping[str, Any], path: str = "") -> list[str]:
    """Return the dotted keys whose values differ from the defaults, sorted."""
    changed = []
    for key, value in settings.items():
        full = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and isinstance(defaults.get(key), Mapping):
            changed += changed_keys(defaults[key], value, full)
        elif value != defaults.get(key):
            changed.append(full)
    return sorted(changed)


def settings_error(settings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the settings, naming the key, the value and the remedy, or None."""
    defaults = yaml.safe_load((PROTOCOL_FOLDER / "structure_targets.yaml").read_text())["default_inputs"]["settings"]
    settings = {key: value for key, value in settings.items() if key not in LABELS}
    material = load_material(settings.pop("material", {}))
    missing = [key for key in defaults if key not in settings]
    for key, section in defaults.items():
        if isinstance(section, dict) and isinstance(settings.get(key), Mapping):
            missing += [f"{key}.{entry}" for entry in section if entry not in settings[key]]
    if missing:
        return f"settings lack {', '.join(missing)}: begin with get_builder_from_protocol, which fills them."
    try:
        check_overrides(settings, defaults, "settings")
    except ValueError as exception:
        return str(exception)
    if settings["treatment"] not in TREATMENTS:
        return f"`settings.treatment` must be one of {', '.join(TREATMENTS)}, got {settings['treatment']!r}."
    for section, keys in POSITIVE.items():
        for key in keys:
            if settings[section][key] <= 0:
                return f"`settings.{section}.{key}` must be positive, got {settings[section][key]!r}."
    scf, xspectra, rdf, grid = (settings[key] for key in ("scf", "xspectra", "rdf", "grid"))
    if scf["ecutrho_Ry"] < 4 * scf["ecutwfc_Ry"]:
        return (
            f"`settings.scf.ecutrho_Ry` ({scf['ecutrho_Ry']}) is below four times ecutwfc_Ry ({scf['ecutwfc_Ry']}): "
            f"give at least {4 * scf['ecutwfc_Ry']}."
        )
    if scf["nspin"] not in (1, 2):
        return f"`settings.scf.nspin` must be 1 or 2 (spin-polarised), got {scf['nspin']!r}."
    if scf["nspin"] == 2 and not 0 < abs(scf["starting_magnetization"]) <= 1:
        return (
            f"`settings.scf.starting_magnetization` must lie between -1 and 1 and not be 0 with nspin 2, got "
            f"{scf['starting_magnetization']!r}."
        )
    for path, stage in (("settings.scf", scf), ("settings.xspectra", xspectra)):
        if message := _mesh_error(path, stage):
            return message
    if xspectra["energy_min_eV"] > WIDEST_ENERGY_MIN_EV or xspectra["energy_max_eV"] < LEAST_ENERGY_MAX_EV:
        return (
            f"`settings.xspectra` covers {xspectra['energy_min_eV']} to {xspectra['energy_max_eV']} eV, which "
            f"leaves out a part of 1830-1880 eV: give at most {WIDEST_ENERGY_MIN_EV} and at least "
            f"{LEAST_ENERGY_MAX_EV}."
        )
    step = (xspectra["energy_max_eV"] - xspectra["energy_min_eV"]) / max(xspectra["n_points"] - 1, 1)
    if xspectra["cut_occ_states"] and xspectra["cut_desmooth_eV"] < step * (1 - 1e-9):
        return (
            f"`settings.xspectra.cut_desmooth_eV` ({xspectra['cut_desmooth_eV']}) is below the energy step "
            f"({step:.3f} eV with n_points {xspectra['n_points']}), which leaves a spike at the energy zero: "
            "raise it or n_points."
        )
    if settings["bader"]["method"] not in METHODS:
        return f"`settings.bader.method` must be one of {', '.join(METHODS)}, got {settings['bader']['method']!r}."
    if rdf["sigma_angstrom"] < 0:
        return f"`settings.rdf.sigma_angstrom` must not be negative, got {rdf['sigma_angstrom']!r}."
    pairs = [TOTAL, *(f"{material.absorber}-{element}" for element in material.elements)]
    if rdf["pair"] not in pairs:
        return f"`settings.rdf.pair` must be {' or '.join(pairs)}, got {rdf['pair']!r}."
    if grid["step_eV"] <= 0 or grid["energy_max_eV"] <= grid["energy_min_eV"]:
        return f"`settings.grid` is empty: {dict(grid)!r}."
    return None


def pw_parameters(settings: Mapping[str, Any], n_atoms: int, hole: bool, kinds: Iterable[str]) -> dict[str, Any]:
    """Return the namelists of pw.x for the ground state or the core-hole cell.

    Every value the energies rely on is set here: the protocols of aiida-quantumespresso would bring cold smearing.

    :param n_atoms: atoms of the cell, for the convergence threshold.
    :param hole: whether the cell holds the core hole; it is then charged by +1 with the treatment ``fch``.
    :param kinds: of the cell; with ``nspin: 2`` those of the absorber begin with ``starting_magnetization``.
    """
    scf, material = settings["scf"], settings["material"]
    absorbers = (material["absorber"], material["hole_kind"])
    system: dict[str, Any] = {
        "ecutwfc": scf["ecutwfc_Ry"],
        "ecutrho": scf["ecutrho_Ry"],
        "occupations": "smearing",
        "smearing": "gaussian",
        "degauss": scf["degauss_Ry"],
        "nspin": scf["nspin"],
        "tot_charge": 1.0 if hole and settings["treatment"] == "fch" else 0.0,
    }
    if scf["nspin"] == 2:
        system["starting_magnetization"] = {kind: scf["starting_magnetization"] for kind in kinds if kind in absorbers}
    return {
        "CONTROL": {"calculation": "scf", "tstress": False, "tprnfor": False},
        "SYSTEM": system,
        "ELECTRONS": {
            "conv_thr": scf["conv_thr_per_atom_Ry"] * n_atoms,
            "mixing_beta": scf["mixing_beta"],
            "electron_maxstep": scf["electron_maxstep"],
        },
    }


def xspectra_parameters(settings: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the namelists of xspectra.x, without what belongs to a polarisation.

    :param overrides: values of ``input_xspectra`` that an error handler has changed.
    """
    xspectra = settings["xspectra"]
    return {
        "input_xspectra": {
            "edge": settings["material"]["edge"],
            "xniter": xspectra["xniter"],
            "xcheck_conv": xspectra["xcheck_conv"],
            "xerror": xspectra["xerror"],
            **(overrides or {}),
        },
        "plot": {
            "xnepoint": xspectra["n_points"],
            "xgamma": xspectra["gamma_eV"],
            "xemin": xspectra["energy_min_eV"],
            "xemax": xspectra["energy_max_eV"],
            "terminator": xspectra["terminator"],
            "cut_occ_states": xspectra["cut_occ_states"],
        },
        "pseudos": {"r_paw": xspectra["r_paw_bohr"]},
        "cut_occ": {"cut_desmooth": xspectra["cut_desmooth_eV"]},
    }

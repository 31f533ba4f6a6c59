"""Calcfunctions from the raw output of the engines to the spectrum of one absorber, and the calibration."""

from __future__ import annotations

import math
from typing import Any

from aiida import orm
from aiida.engine import calcfunction
from aiida.orm.nodes.data.structure import Kind, Site

from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science import spectra as sp
from aiida_siox.science.digest import structure_digest
from aiida_siox.science.energies import RYDBERG_EV, free_atom_transition, transition_energy

HOLE_KIND = "Sih"
ELEMENTS = ("Si", "O")


def is_normalised(structure: orm.StructureData) -> bool:
    """Return whether the kinds of a structure are named after their elements."""
    return all(kind.name == kind.symbol and kind.name in ELEMENTS for kind in structure.kinds)


@calcfunction
def normalise_kinds(structure: orm.StructureData) -> orm.StructureData:
    """Return the structure with the kinds Si and O, in the same order of sites.

    :raises ValueError: if it holds another element.
    """
    return with_kinds(structure, [structure.get_kind(site.kind_name).symbol for site in structure.sites])


@calcfunction
def mark_absorber(structure: orm.StructureData, site: orm.Int) -> orm.StructureData:
    """Return the structure in which one silicon atom has the kind of the core hole.

    :param site: index of the absorber in the normalised structure.
    :raises ValueError: if the index is not that of a silicon atom.
    """
    names = [entry.kind_name for entry in structure.sites]
    index = site.value
    if not 0 <= index < len(names) or names[index] != "Si":
        raise ValueError(f"site {index} is not a silicon atom of {structure.get_formula()}.")
    names[index] = HOLE_KIND
    return with_kinds(structure, names)


def with_kinds(structure: orm.StructureData, names: list[str]) -> orm.StructureData:
    """Return an unstored copy of a structure with other kind names, one a site."""
    copy = orm.StructureData(cell=structure.cell, pbc=structure.pbc)
    for name in dict.fromkeys(names):
        if name not in (*ELEMENTS, HOLE_KIND):
            raise ValueError(f"the structure holds {name}: only silicon and oxygen are known here.")
        copy.append_kind(Kind(name=name, symbols="Si" if name == HOLE_KIND else name))
    for site, name in zip(structure.sites, names, strict=True):
        copy.append_site(Site(kind_name=name, position=site.position))
    return copy


@calcfunction
def make_kpoints(structure: orm.StructureData, settings: orm.Dict, stage: orm.Str) -> orm.KpointsData:
    """Return the Γ-centred mesh of the SCF (``scf``) or of xspectra (``xspectra``) for a cell."""
    section = settings.get_dict()[stage.value]
    kpoints = orm.KpointsData()
    kpoints.set_cell_from_structure(structure)
    if section["kpoints_mesh"] is not None:
        kpoints.set_kpoints_mesh(section["kpoints_mesh"])
    else:
        kpoints.set_kpoints_mesh_from_density(distance=section["kpoints_distance"])
    return kpoints


def digest_of(structure: orm.StructureData) -> str:
    """Return the content digest of a structure node, the absorber counted as silicon."""
    symbols = [structure.get_kind(site.kind_name).symbol for site in structure.sites]
    return structure_digest(symbols, structure.cell, [site.position for site in structure.sites])


def total_energy_ry(parameters: dict[str, Any]) -> float:
    """Return the energy of pw.x's ``!`` line in Ry from the parsed output."""
    return float(parameters["energy"]) / RYDBERG_EV


def engine_name(parameters: dict[str, Any]) -> str:
    """Return name and version of the program that wrote a parsed pw.x output."""
    return str(parameters.get("creator_version", "unknown"))


@calcfunction
def assemble_spectrum(
    structure: orm.StructureData,
    site: orm.Int,
    settings: orm.Dict,
    ground_parameters: orm.Dict,
    hole_parameters: orm.Dict,
    atomic_energies: orm.Dict,
    curves: orm.ArrayData,
    lanczos: orm.ArrayData,
    xspectra_parameters: orm.Dict,
    version: orm.Int,
) -> SpectrumData:
    """Return the spectrum of one absorber with every energy of its transition.

    :param structure: the normalised structure (kinds Si and O).
    :param site: index of the absorber in it.
    :param ground_parameters: parsed output of pw.x for the ground state.
    :param hole_parameters: the same for the cell with the core hole.
    :param atomic_energies: from AtomicDataWorkChain; its ``core_correction_eV`` is used.
    :param curves: from XspectraCalculation.
    :param version: of ``science``; a calcfunction does not notice when that changes.
    :raises ValueError: if ground state and hole cell were computed with different settings.
    """
    del version
    ground, hole, xspectra = (node.get_dict() for node in (ground_parameters, hole_parameters, xspectra_parameters))
    for key in ("wfc_cutoff", "rho_cutoff", "smearing_type", "degauss", "creator_version"):
        if key in ground and key in hole and not _same(ground[key], hole[key]):
            raise ValueError(
                f"ground state and hole cell differ in {key} ({ground[key]} and {hole[key]}): their total energies "
                "cannot be subtracted. Compute both with the same settings."
            )
    treatment = settings.get_dict()["treatment"]
    atomic = atomic_energies.get_dict()
    core = float(atomic["core_correction_eV"])
    ground_ry, hole_ry = total_energy_ry(ground), total_energy_ry(hole)
    energies = {
        "ground_Ry": ground_ry,
        "hole_Ry": hole_ry,
        "core_correction_eV": core,
        "transition_eV": (
            free_atom_transition(atomic["ground_all_electron_Ry"], atomic["hole_all_electron_Ry"])
            if treatment == "none"
            else transition_energy(ground_ry, hole_ry, core)
        ),
        "energy_zero_eV": float(xspectra["energy_zero_eV"]),
        "fermi_eV": float(hole["fermi_energy"]),
    }
    if not all(math.isfinite(value) for value in energies.values()):
        raise ValueError(f"an energy of site {site.value} is not a number: {energies}.")
    spectrum = SpectrumData()
    spectrum.set_array("energy_xspectra", curves.get_array("energy_eV"))
    spectrum.set_array("sigma", curves.get_array("sigma"))
    for name in lanczos.get_arraynames():
        spectrum.set_array(name, lanczos.get_array(name))
    for key, value in lanczos.base.attributes.all.items():
        if not key.startswith(("array|", "default_")):
            spectrum.base.attributes.set(key, value)
    spectrum.base.attributes.set_many(
        {
            "site_index": site.value,
            "formula": structure.get_formula("hill_compact"),
            "treatment": treatment,
            "structure_digest": digest_of(structure),
            "gamma_eV": settings.get_dict()["xspectra"]["gamma_eV"],
            "polarisations": lanczos.get_array("polarisations").tolist(),
            "energies": energies,
            "engines": {"pw": engine_name(hole), "xspectra": str(xspectra.get("version"))},
        }
    )
    return spectrum


def _same(a: Any, b: Any) -> bool:
    return math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else bool(a == b)


@calcfunction
def calibrate(site_table: SiteTableData, target: orm.Float, version: orm.Int) -> CalibrationData:
    """Return the constant that puts the white line of one quartz site on its measured energy.

    :param site_table: of α-quartz; its first finished site is used.
    :param target: measured energy of the main peak in eV.
    :raises ValueError: if no site is finished.
    """
    del version
    done = site_table.done
    if not done.any():
        raise ValueError("the quartz cell has no finished site: nothing to calibrate with.")
    white_line = sp.maximum_position(site_table.energy, site_table.spectra[done][0])
    attributes = site_table.base.attributes
    calibration = CalibrationData()
    calibration.base.attributes.set_many(
        {
            "shift_eV": target.value - white_line,
            "target_eV": target.value,
            "white_line_eV": white_line,
            "reference": "alpha-quartz",
            "treatment": attributes.get("treatment"),
            "protocol": attributes.get("protocol"),
            "settings_digest": attributes.get("settings_digest"),
        }
    )
    return calibration

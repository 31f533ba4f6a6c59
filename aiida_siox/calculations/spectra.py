"""Calcfunctions from the raw output of the engines to the spectrum of one absorber, and the calibration."""

from __future__ import annotations

import math
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import calcfunction
from aiida.orm.nodes.data.structure import Kind, Site

from aiida_siox.data.base import own_attributes
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.materials import Material, load_material
from aiida_siox.science import spectra as sp
from aiida_siox.science.constants import RYDBERG_AIIDA_EV
from aiida_siox.science.digest import structure_digest
from aiida_siox.science.energies import band_edges, free_atom_transition, total_energy_offset, transition_energy
from aiida_siox.science.run_comparison import free_energy, run_differences, same

#: What ld1.x says of the free atom, the terms of the core correction.
ATOMIC_ENERGIES = ("ground_all_electron_Ry", "ground_pseudo_Ry", "hole_all_electron_Ry", "hole_pseudo_Ry")
#: Keys of the namelist SYSTEM in which ground state and hole cell may differ: charge, bands, and what goes by kind.
FREE_SYSTEM_KEYS = ("tot_charge", "nbnd", "starting_magnetization", "tot_magnetization", "ntyp", "nat")


def symbols_of(structure: orm.StructureData) -> list[str]:
    """Return the element of every site."""
    return [structure.get_kind(site.kind_name).symbol for site in structure.sites]


def is_normalised(structure: orm.StructureData) -> bool:
    """Return whether the kinds of a structure are named after their elements."""
    return all(kind.name == kind.symbol for kind in structure.kinds)


@calcfunction
def normalise_kinds(structure: orm.StructureData) -> orm.StructureData:
    """Return the structure with kinds named after their elements, in the same order of sites."""
    return with_kinds(structure, symbols_of(structure))


@calcfunction
def mark_absorber(structure: orm.StructureData, site: orm.Int, kind: orm.Str) -> orm.StructureData:
    """Return the structure in which one atom has the kind of the core hole.

    :param site: index of the absorber in the normalised structure.
    :param kind: name of the kind: the symbol of the absorber with letters after it.
    :raises ValueError: if there is no such atom, or it is of another element.
    """
    names = [entry.kind_name for entry in structure.sites]
    index = site.value
    if not 0 <= index < len(names) or not kind.value.startswith(names[index]):
        raise ValueError(f"site {index} of {structure.get_formula()} cannot be the absorber `{kind.value}`.")
    names[index] = kind.value
    return with_kinds(structure, names)


def with_kinds(structure: orm.StructureData, names: list[str]) -> orm.StructureData:
    """Return an unstored copy of a structure with other kind names, one a site."""
    copy = orm.StructureData(cell=structure.cell, pbc=structure.pbc)
    symbols = dict(zip(names, symbols_of(structure), strict=True))
    for name in dict.fromkeys(names):
        copy.append_kind(Kind(name=name, symbols=symbols[name]))
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
    """Return the content digest of a structure node, of elements, not of kinds."""
    return structure_digest(symbols_of(structure), structure.cell, [site.position for site in structure.sites])


def total_energy_ry(parameters: dict[str, Any]) -> float:
    """Return the energy of pw.x's ``!`` line in Ry from the parsed output."""
    return float(parameters["energy"]) / RYDBERG_AIIDA_EV


def engine_name(parameters: dict[str, Any]) -> str:
    """Return name and version of the program that wrote a parsed pw.x output."""
    return str(parameters.get("creator_version", "unknown"))


def run_inputs(parameters: orm.Dict) -> Any:
    """Return the inputs of the job that wrote a parsed output; None if no job is linked to it."""
    creator = parameters.creator
    return creator.inputs if isinstance(creator, orm.CalcJobNode) else None


def input_differences(structure: orm.StructureData, ground: orm.Dict, hole: orm.Dict) -> list[str]:
    """Return in what the inputs of two pw.x runs differ that their outputs do not tell, by the links.

    :param structure: the configuration.
    :param ground: parsed output of the ground state.
    :param hole: parsed output of the cell with the core hole.
    """
    runs = {"ground state": run_inputs(ground), "hole cell": run_inputs(hole)}
    differences = []
    for name, run in runs.items():
        if run is not None and digest_of(run.structure) != digest_of(structure):
            differences.append(f"cell or positions (those of the {name} are not those of the structure)")
    one, other = runs.values()
    if one is None or other is None:
        return differences
    for kind in sorted(set(one.pseudos) & set(other.pseudos)):
        if one.pseudos[kind].md5 != other.pseudos[kind].md5:
            names = f"{one.pseudos[kind].filename} and {other.pseudos[kind].filename}"
            differences.append(f"the pseudopotential of {kind} ({names})")
    systems = [run.parameters.get_dict().get("SYSTEM", {}) for run in (one, other)]
    for key in sorted(set(systems[0]) | set(systems[1])):
        values = [system.get(key) for system in systems]
        if key not in FREE_SYSTEM_KEYS and not same(*values):
            differences.append(f"SYSTEM.{key} ({values[0]} and {values[1]})")
    thresholds = [run.parameters.get_dict().get("ELECTRONS", {}).get("conv_thr") for run in (one, other)]
    if not same(*thresholds):
        differences.append(f"ELECTRONS.conv_thr ({thresholds[0]} and {thresholds[1]})")
    meshes = [kpoints_of(run.kpoints) for run in (one, other)]
    if not same(*meshes):
        differences.append(f"k points ({meshes[0]} and {meshes[1]})")
    return differences


def kpoints_of(kpoints: orm.KpointsData) -> list[Any]:
    """Return mesh and shift, or the list of explicit points."""
    try:
        return list(kpoints.get_kpoints_mesh())
    except AttributeError:
        return kpoints.get_kpoints().tolist()


def check_atomic_energies(
    treatment: str, material: Material, atomic: orm.Dict, ground: orm.Dict, hole: orm.Dict
) -> None:
    """Refuse a core correction that belongs to other pseudopotentials than the runs used.

    :raises ValueError: naming the kind and both files. Energies that no ld1.x job is linked to are taken as they are.
    """
    if atomic.creator is None:
        return
    inputs = atomic.creator.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all()
    sources = {link.link_label: link.node.creator for link in inputs}
    kinds = (material.absorber, material.hole_kind)
    for name, kind, run in zip(("ground", "hole"), kinds, map(run_inputs, (ground, hole)), strict=True):
        if run is None or kind not in run.pseudos or sources.get(name) is None:
            continue
        if treatment == "none" and name == "hole":  # the absorber is an atom like the others
            continue
        made, used = sources[name].outputs.pseudo, run.pseudos[kind]
        if made.md5 != used.md5:
            raise ValueError(
                f"the core correction belongs to another pseudopotential of {kind} ({made.filename}, md5 "
                f"{made.md5[:8]}) than the run used ({used.filename}, md5 {used.md5[:8]}): take pseudopotentials and "
                "energies of one AtomicDataWorkChain."
            )


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
    bands: orm.BandsData,
    version: orm.Int,
) -> SpectrumData:
    """Return the spectrum of one absorber with every energy of its transition.

    :param structure: the normalised structure (kinds named after elements).
    :param site: index of the absorber in it.
    :param ground_parameters: parsed output of pw.x for the ground state.
    :param hole_parameters: the same for the cell with the core hole.
    :param atomic_energies: from AtomicDataWorkChain; its ``core_correction_eV`` is used.
    :param curves: from XspectraCalculation; the spectrum gets its energies.
    :param bands: levels and occupations of the hole cell from pw.x.
    :param version: of ``science``; a calcfunction does not notice when that changes.
    :raises ValueError: if ground state and hole cell were computed with different settings.
    """
    del version
    ground, hole, xspectra = (node.get_dict() for node in (ground_parameters, hole_parameters, xspectra_parameters))
    treatment, material = settings["treatment"], load_material(settings["material"])
    differences = run_differences(ground, hole) + input_differences(structure, ground_parameters, hole_parameters)
    if differences:
        raise ValueError(
            f"ground state and hole cell differ in {' and '.join(differences)}: their total energies cannot be "
            "subtracted. Compute both with the same settings."
        )
    check_atomic_energies(treatment, material, atomic_energies, ground_parameters, hole_parameters)
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
    energies["offset_eV"] = total_energy_offset(
        treatment, energies["transition_eV"], energies["energy_zero_eV"], energies["fermi_eV"]
    )
    levels, occupations = bands.get_bands(also_occupations=True)
    edges = band_edges(levels, occupations * (int(hole.get("number_of_spin_components", 1)) / 2))
    energies |= dict(zip(("highest_occupied_eV", "lowest_empty_eV"), edges, strict=True))
    for name, run in (("ground", ground), ("hole", hole)):
        if "energy_smearing" in run:  # -TS, which the energy contains
            energies[f"{name}_smearing_Ry"] = float(run["energy_smearing"]) / RYDBERG_AIIDA_EV
    if not all(math.isfinite(value) for value in energies.values()):
        raise ValueError(f"an energy of site {site.value} is not a number: {energies}.")
    run = own_attributes(lanczos)
    return SpectrumData.from_coefficients(
        {name: lanczos.get_array(name) for name in SpectrumData.COEFFICIENTS},
        {key: run[key] for key in SpectrumData.RUN},
        {
            "site_index": site.value,
            "formula": structure.get_formula("hill_compact"),
            "treatment": treatment,
            "structure_digest": digest_of(structure),
            "polarisations": lanczos.get_array("polarisations").tolist(),
            "energies": energies,
            "atomic_energies": (
                {key: atomic[key] for key in ATOMIC_ENERGIES} if set(ATOMIC_ENERGIES) <= set(atomic) else None
            ),
            "free_energy": free_energy(hole),
            "engines": {"pw": engine_name(hole), "xspectra": str(xspectra.get("version"))},
        },
        curves.get_array("energy_eV"),
    )


@calcfunction
def calibrate(site_table: SiteTableData, target: orm.Float, version: orm.Int) -> CalibrationData:
    """Return the constant that puts the white line of one site of a crystal on its measured energy.

    :param site_table: of the crystal that the material names; its first finished site is used.
    :param target: measured energy of the main peak in eV.
    :raises ValueError: if no site is finished.
    """
    del version
    name = load_material(site_table.base.attributes.get("settings")["material"]).calibration.crystal
    done = site_table.done
    if not done.any():
        raise ValueError(f"the {name} cell has no finished site: nothing to calibrate with.")
    attributes = site_table.base.attributes
    return CalibrationData.from_white_line(
        {
            "target_eV": target.value,
            "white_line_eV": sp.maximum_position(site_table.energy, site_table.spectra[done][0]),
            "reference": name,
            **{key: attributes.get(key) for key in ("treatment", "protocol", "settings_digest")},
        }
    )

"""Calcfunctions that gather sites into tables and tables into a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from aiida_pseudo.data.pseudo.upf import UpfData
from numpy.typing import NDArray

from aiida_siox.calculations.spectra import digest_of, engine_name
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.site import SiteData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.materials import Material, load_material
from aiida_siox.science import spectra as sp
from aiida_siox.science.composition import format_formula
from aiida_siox.science.digest import mapping_digest
from aiida_siox.science.properties import Cell, compute_properties, property_axes
from aiida_siox.science.run_comparison import same
from aiida_siox.science.site_row import SiteRow, site_label

Array = NDArray[np.float64]

N_LAST_LINES = 15


def last_lines(retrieved: orm.FolderData) -> str:
    """Return the last lines of the engine outputs in a retrieved folder, skipping AiiDA's own empty files."""
    names = [
        n for n in retrieved.base.repository.list_object_names() if n.endswith((".out", "-stderr.txt")) or n == "CRASH"
    ]
    parts = []
    for name in sorted(names):
        text = retrieved.base.repository.get_object_content(name, mode="rb").decode(errors="replace")
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        if lines:
            parts.append(f"[{name}]\n" + "\n".join(lines[-N_LAST_LINES:]))
    return "\n".join(parts)


@calcfunction
def record_failure(site: orm.Int, reason: orm.Str, **retrieved: orm.FolderData) -> orm.Dict:
    """Return why a site has no spectrum, with the last lines of the engines.

    :param site: index of the absorber.
    :param reason: process and exit message.
    :param retrieved: ``retrieved=`` of the job that failed, when there is one.
    """
    lines = "\n".join(last_lines(folder) for folder in retrieved.values())
    return orm.Dict({"site_index": site.value, "reason": reason.value, "last_lines": lines})


#: What the spectra of one table have in common, beside their settings: energies of the free atom, kind of energy.
ORIGIN = ("atomic_energies", "free_energy")


def check_spectra(structure: orm.StructureData, treatment: str, spectra: dict[str, SpectrumData]) -> None:
    """Refuse spectra that do not belong into one table.

    :param structure: the configuration.
    :param treatment: of the core hole, from the settings.
    :param spectra: by ``site_0007``.
    :raises ValueError: naming the site, what differs and both values.
    """
    expected: dict[str, Any] = {"structure_digest": digest_of(structure), "treatment": treatment}
    for label in sorted(spectra):
        spectrum = spectra[label]
        found = spectrum.base.attributes.all
        values = {
            **{key: found.get(key) for key in ("structure_digest", "treatment", "gamma_eV", "engines", *ORIGIN)},
            "ground_Ry": spectrum.energies["ground_Ry"],
        }
        if label != site_label(spectrum.site_index):
            raise ValueError(f"the spectrum of {label} is that of site {spectrum.site_index}: give it by its own site.")
        for key, value in values.items():
            if not same(expected.setdefault(key, value), value):
                raise ValueError(
                    f"the spectrum of {label} has another {key} ({value}) than the others or the settings "
                    f"({expected[key]}): collect spectra of one structure, one ground state and one set of settings."
                )


@calcfunction
def collect(
    structure: orm.StructureData,
    settings: orm.Dict,
    sites: orm.List,
    charges: orm.ArrayData,
    bader_parameters: orm.Dict,
    ground_parameters: orm.Dict,
    core_wavefunction: orm.SinglefileData,
    version: orm.Int,
    **nested: Any,
) -> dict:
    """Return the SiteTableData of a configuration (``site_table``) and a SiteData for every site (``sites``).

    :param structure: normalised structure, n_atoms.
    :param sites: indices of the requested absorbers.
    :param charges: ``electrons`` (n_atoms,) of the Bader basins, ground state.
    :param nested: namespaces, which a calcfunction takes as keywords only. ``pseudos``: UPF nodes of the kinds.
        ``spectra``: SpectrumData nodes by ``site_0007``. ``failures``: Dict nodes of ``record_failure`` by the same
        keys; every requested site is in one of the two. ``hole_charges``: as ``charges``, of the cells with a hole.
    """
    del version
    pseudos, spectra, failures, holes = (
        nested.get(name, {}) for name in ("pseudos", "spectra", "failures", "hole_charges")
    )
    values = settings.get_dict()
    material = load_material(values["material"])
    check_spectra(structure, values["treatment"], spectra)
    check_pseudos(material, pseudos)
    atoms = structure.get_ase()
    atoms.set_tags(0)
    electrons = {label: np.asarray(node.get_array("electrons"), dtype=float) for label, node in holes.items()}
    hole_electrons = {site: electrons[site_label(site)] for site in sites.get_list() if site_label(site) in electrons}
    cell = Cell(atoms, material, values, np.asarray(charges.get_array("electrons"), dtype=float), hole_electrons)
    window = material.window.energy_min_eV, material.window.energy_max_eV
    ranges = [spectrum.converged_range for spectrum in spectra.values()] or [window]
    energy = sp.common_energies(ranges, values["xspectra"]["step_eV"])
    rows = site_rows(cell, sorted(int(i) for i in sites.get_list()), spectra, failures, energy)
    engines = {
        "pw": engine_name(ground_parameters.get_dict()),
        "bader": bader_parameters.get_dict().get("version"),
        "bader_method": bader_parameters.get_dict().get("method"),
    }
    first = next(iter(spectra.values()), None)  # they agree in these (check_spectra)
    if first is not None:
        engines["xspectra"] = first.base.attributes.get("engines")["xspectra"]
    physical = {key: value for key, value in values.items() if key not in ("protocol", "changed")}
    atomic = {kind: node.base.attributes.get("md5") for kind, node in pseudos.items()}
    atomic["core_wavefunction"] = mapping_digest({"text": core_wavefunction.get_content("r")})
    counts = {species: atoms.get_chemical_symbols().count(species) for species in material.species}
    common = {
        "formula": format_formula(counts),
        "x": material.x(counts),
        "protocol": values.get("protocol", "custom"),
        "treatment": values["treatment"],
        "settings_digest": mapping_digest({"settings": physical, "atomic_data": atomic, "engines": engines}),
        "structure_digest": digest_of(structure),
    }
    description = {
        **common,
        "material": {key: getattr(material, key) for key in ("name", "title", "absorber", "edge", "ligands")},
        "changed": values.get("changed", []),
        "sigma_angstrom": values["rdf"]["sigma_angstrom"],
        "gamma_eV": values["xspectra"]["gamma_eV"],
        "settings": physical,
        "engines": engines,
        "atomic_data": atomic,
        "n_absorbers": counts[material.absorber],
        **({} if first is None else {key: first.base.attributes.get(key, None) for key in ORIGIN}),
    }
    table = SiteTableData.from_rows(rows, energy, property_axes(material, values), description)
    kinds, axes = table.kinds, table.axes
    nodes = {row.label: SiteData.from_row(row, kinds, axes, {**common, "material": material.name}) for row in rows}
    return {"site_table": table, "sites": nodes}


def check_pseudos(material: Material, pseudos: Mapping[str, UpfData]) -> None:
    """Refuse data sets whose valence electrons are not those of the material: valences would be off by a constant.

    :raises ValueError: naming file, both numbers and the remedy.
    """
    expectations = {**material.species, material.hole_kind: material.species[material.absorber] + 1}
    for kind, pseudo in pseudos.items():
        expected = expectations.get(kind)
        if expected is not None and pseudo.z_valence != expected:
            raise ValueError(
                f"the data set {pseudo.filename} of {kind} has {pseudo.z_valence:g} valence electrons, the material "
                f"{material.name} says {expected:g} (`species`; the hole has one more): take sets of one material."
            )


def site_rows(
    cell: Cell, sites: list[int], spectra: Mapping[str, SpectrumData], failures: Mapping[str, orm.Dict], energy: Array
) -> list[SiteRow]:
    """Return a row for every site, done or failed.

    :param spectra: by ``site_0007``.
    :param failures: of ``record_failure`` by the same keys.
    :param energy: total energies in eV, shape (n_e,).
    """
    properties = compute_properties(cell, np.array(sites, dtype=np.int64))
    rows = []
    for i, site in enumerate(sites):
        own = {name: values[i] for name, values in properties.items()}
        spectrum = spectra.get(site_label(site))
        if spectrum is not None:
            rows.append(SiteRow(site, own, spectrum.on_grid(energy), spectrum.energies))
        else:
            failure = failures[site_label(site)].get_dict()
            rows.append(SiteRow(site, own, reason="\n".join(filter(None, [failure["reason"], failure["last_lines"]]))))
    return rows


@calcfunction
def assemble(calibration: CalibrationData, window: orm.Dict, version: orm.Int, **nested: Any) -> DatasetData:
    """Return the finished sites of several tables on a common calibrated grid (:meth:`DatasetData.from_tables`).

    :param nested: the namespace ``tables``: SiteTableData by label.
    """
    del version
    return DatasetData.from_tables(nested["tables"], calibration, window.get_dict())

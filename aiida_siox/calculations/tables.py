"""Calcfunctions that gather sites into tables and tables into a data set."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_siox.calculations.spectra import digest_of, engine_name, symbols_of
from aiida_siox.data.calibration import CalibrationData
from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.site import SiteData
from aiida_siox.data.site_table import ENERGY_COLUMNS, SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.materials import load_material
from aiida_siox.science import spectra as sp
from aiida_siox.science.composition import format_formula
from aiida_siox.science.digest import mapping_digest
from aiida_siox.science.neighbours import coordination
from aiida_siox.science.rdf import site_rdf
from aiida_siox.science.run_comparison import same

N_LAST_LINES = 15


def site_label(index: int) -> str:
    """Return the key of a site in namespaces, ``site_0007``."""
    return f"site_{index:04d}"


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


def valence_electrons(upf_text: str) -> float:
    """Return the valence charge in the header of a UPF file.

    :raises ValueError: if the header has none.
    """
    match = re.search(r'z_valence\s*=\s*"\s*([^"\s]+)\s*"', upf_text)
    if match is None:
        raise ValueError("the UPF file has no z_valence in its header.")
    return float(match.group(1).replace("D", "E").replace("d", "e"))


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
    :param sites: indices of the requested silicon sites.
    :param charges: ``electrons`` (n_atoms,) of the Bader basins, ground state.
    :param nested: namespaces, which a calcfunction takes as keywords only. ``pseudos``: UPF nodes of the kinds; the
        valence of Si comes from the ground-state one. ``spectra``: SpectrumData nodes by ``site_0007``. ``failures``:
        Dict nodes of ``record_failure`` by the same keys; every requested site is in one of the two.
    """
    del version
    pseudos, spectra, failures = (nested.get(name, {}) for name in ("pseudos", "spectra", "failures"))
    values = settings.get_dict()
    check_spectra(structure, values["treatment"], spectra)
    atoms = structure.get_ase()
    atoms.set_tags(0)
    requested = sorted(int(i) for i in sites.get_list())
    material = load_material(values["material"])
    counts = material.count(symbols_of(structure))
    neighbours = coordination(atoms, material.cutoffs)
    n_oxygen = sum(neighbours[element] for element in material.ligands)
    n_silicon = neighbours[material.absorber]
    rdf_settings = values["rdf"]
    r, rdf = site_rdf(
        atoms,
        requested,
        r_max=rdf_settings["r_max_angstrom"],
        n_bins=rdf_settings["n_bins"],
        sigma=rdf_settings["sigma_angstrom"],
        pair=rdf_settings["pair"],
    )
    grid = sp.energy_grid(*(values["grid"][key] for key in ("energy_min_eV", "energy_max_eV", "step_eV")))
    z_valence = valence_electrons(pseudos[material.absorber].get_content())
    valence = z_valence - np.asarray(charges.get_array("electrons"), dtype=float)[requested]

    spectrum_rows = np.full((len(requested), len(grid)), np.nan)
    energy_rows = np.full((len(requested), len(ENERGY_COLUMNS)), np.nan)
    done = np.zeros(len(requested), dtype=bool)
    reasons: dict[str, str] = {}
    engines: dict[str, Any] = {
        "pw": engine_name(ground_parameters.get_dict()),
        "bader": bader_parameters.get_dict().get("version"),
        "bader_method": bader_parameters.get_dict().get("method"),
    }
    for row, index in enumerate(requested):
        label = site_label(index)
        if label in spectra:
            spectrum: SpectrumData = spectra[label]
            spectrum_rows[row] = spectrum.on_grid(grid)
            energies = spectrum.energies
            energy_rows[row] = [energies.get(key, np.nan) for key in ENERGY_COLUMNS]
            done[row] = True
            engines["xspectra"] = spectrum.base.attributes.get("engines")["xspectra"]
        else:
            failure = failures[label].get_dict()
            reasons[str(index)] = "\n".join(filter(None, [failure["reason"], failure["last_lines"]]))

    physical = {key: value for key, value in values.items() if key not in ("protocol", "changed")}
    atomic = {kind: node.base.attributes.get("md5") for kind, node in pseudos.items()}
    atomic["core_wavefunction"] = mapping_digest({"text": core_wavefunction.get_content("r")})
    digest = mapping_digest({"settings": physical, "atomic_data": atomic, "engines": engines})
    common = {
        "formula": format_formula(counts),
        "x": material.x(counts),
        "protocol": values.get("protocol", "custom"),
        "changed": values.get("changed", []),
        "treatment": values["treatment"],
        "sigma_angstrom": rdf_settings["sigma_angstrom"],
        "gamma_eV": values["xspectra"]["gamma_eV"],
        "settings_digest": digest,
        "structure_digest": digest_of(structure),
    }

    first = next(iter(spectra.values()), None)  # they agree in these (check_spectra)
    origin = {} if first is None else {key: first.base.attributes.get(key, None) for key in ORIGIN}
    table = SiteTableData()
    arrays = {
        "energy_eV": grid,
        "spectra": spectrum_rows,
        "r_angstrom": r,
        "rdf": rdf,
        "index": np.array(requested),
        "n_oxygen": np.asarray(n_oxygen)[requested],
        "n_silicon": np.asarray(n_silicon)[requested],
        "valence_e": valence,
        "energies": energy_rows,
        "done": done,
    }
    for name, array in arrays.items():
        table.set_array(name, array)
    table.base.attributes.set_many(
        {
            **common,
            "settings": physical,
            "engines": engines,
            "atomic_data": atomic,
            **origin,
            "n_silicon_total": counts["Si"],
            "n_requested": len(requested),
            "n_done": int(done.sum()),
            "reasons": reasons,
        }
    )

    nodes = {}
    for row, index in enumerate(requested):
        site = SiteData()
        site.set_array("r_angstrom", r)
        site.set_array("rdf", rdf[row])
        if done[row]:
            site.set_array("energy_eV", grid)
            site.set_array("spectrum", spectrum_rows[row])
        site.base.attributes.set_many(
            {
                **common,
                "site_index": index,
                "n_oxygen": int(n_oxygen[index]),
                "n_silicon": int(n_silicon[index]),
                "valence_e": float(valence[row]),
                "transition_eV": float(energy_rows[row][3]) if done[row] else None,
                **({"energies": spectra[site_label(index)].energies, **origin} if done[row] else {}),
                "status": "done" if done[row] else "failed",
                "reason": reasons.get(str(index)),
            }
        )
        nodes[site_label(index)] = site
    return {"site_table": table, "sites": nodes}


@calcfunction
def assemble(calibration: CalibrationData, window: orm.Dict, version: orm.Int, **nested: Any) -> DatasetData:
    """Return the finished sites of several tables on a common calibrated grid.

    :param calibration: its shift brings the total-energy axes of the tables to the measured one.
    :param window: ``energy_min_eV``, ``energy_max_eV`` (calibrated) and ``n_points``.
    :param nested: the namespace ``tables``: SiteTableData by label.
    :raises ValueError: if settings digests differ, a configuration comes twice, or no site is finished.
    """
    del version
    tables: dict[str, SiteTableData] = nested["tables"]
    limits = window.get_dict()
    low, high, n_points = float(limits["energy_min_eV"]), float(limits["energy_max_eV"]), int(limits["n_points"])
    grid = np.linspace(low, high, n_points)
    labels = sorted(tables)
    nodes = [tables[label] for label in labels]
    digests = {calibration.settings_digest: ["the calibration"]}
    finished = [label for label in sorted(tables) if tables[label].done.any()]
    if not finished:
        raise ValueError("no site of any table is finished: there is no data set to make.")
    for label in finished:  # a table without a spectrum has no version of xspectra.x in its digest
        digests.setdefault(tables[label].settings_digest, []).append(label)
    if len(digests) > 1:
        groups = "; ".join(f"{digest[:12]}: {', '.join(names)}" for digest, names in digests.items())
        raise ValueError(
            f"tables computed with different settings cannot be combined ({groups}). Compute all of them, and the "
            "calibration, with the same treatment, cutoffs, meshes, thresholds, atomic data and engine versions."
        )
    if tables[finished[0]].base.attributes.get("treatment") == "none":
        raise ValueError(
            "tables with the treatment `none` cannot make a data set: without a core hole the sites have no core-level "
            "shift against each other. Compute them with fch."
        )
    seen: dict[str, str] = {}
    for label in sorted(tables):
        digest = tables[label].base.attributes.get("structure_digest")
        if digest in seen:
            raise ValueError(f"the tables {seen[digest]} and {label} hold the same configuration: give it once.")
        seen[digest] = label
    columns: dict[str, list[np.ndarray]] = {
        key: [] for key in ("spectra", "valence_e", "rdf", "n_oxygen", "n_silicon", "site_index", "configuration")
    }
    configurations = []
    for i, table in enumerate(nodes):
        done = table.done
        attributes = table.base.attributes
        configurations.append(
            {
                key: attributes.get(key)
                for key in ("formula", "x", "structure_digest", "n_requested", "n_done", "n_silicon_total")
            }
        )
        if not done.any():
            continue
        energy = table.energy + calibration.shift
        if low < energy[0] - 1e-6 or high > energy[-1] + 1e-6:
            raise ValueError(
                f"the table {labels[i]} covers {energy[0]:.2f} to {energy[-1]:.2f} eV on the calibrated axis, but the "
                f"window is {low:.2f} to {high:.2f} eV: compute it with `settings.grid` from at most "
                f"{low - calibration.shift:.2f} to at least {high - calibration.shift:.2f} eV (total energy), or "
                "narrow the window."
            )
        columns["spectra"].append(sp.interpolate(energy, table.spectra[done], grid))
        for key, name in (
            ("valence_e", "valence_e"),
            ("rdf", "rdf"),
            ("n_oxygen", "n_oxygen"),
            ("n_silicon", "n_silicon"),
            ("site_index", "index"),
        ):
            columns[key].append(table.get_array(name)[done])
        columns["configuration"].append(np.full(int(done.sum()), i))
    first = tables[finished[0]]
    dataset = DatasetData()
    dataset.set_array("energy_eV", grid)
    dataset.set_array("r_angstrom", first.get_array("r_angstrom"))
    for key, parts in columns.items():
        dataset.set_array(key, np.concatenate(parts))
    common = {
        key: first.base.attributes.get(key)
        for key in ("protocol", "changed", "treatment", "sigma_angstrom", "gamma_eV", "settings_digest")
    }
    if "broadening" in first.base.attributes.all:
        common["broadening"] = first.base.attributes.get("broadening")
    contents = mapping_digest(
        {
            "settings_digest": common["settings_digest"],
            "shift_eV": round(calibration.shift, 6),
            "window": limits,
            "rows": [
                [configurations[c]["structure_digest"], int(s)]
                for c, s in zip(
                    np.concatenate(columns["configuration"]), np.concatenate(columns["site_index"]), strict=True
                )
            ],
        }
    )
    dataset.base.attributes.set_many(
        {
            **common,
            "shift_eV": calibration.shift,
            "window_eV": [low, high],
            "n_sites": int(sum(len(part) for part in columns["valence_e"])),
            "configurations": configurations,
            "digest": contents,
        }
    )
    return dataset

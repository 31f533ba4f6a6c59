"""The calcfunction that compares the spectra of reference crystals."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_siox.data.site_table import SiteTableData
from aiida_siox.materials import Crystal
from aiida_siox.science import references
from aiida_siox.science.cells import build_crystal, mesh_from_distance


@calcfunction
def compare_references(cases: orm.Dict, experiment: orm.Dict, version: orm.Int, **nested: Any) -> orm.Dict:
    """Return convergence and edge shift of reference crystals.

    :param cases: by name ``compound``, ``step``, ``crystal`` and ``supercell``; ``order``: the names, coarse to fine.
    :param experiment: the ``references`` of the material: ``peaks_eV``, the two compounds of the ``shift``, ``source``.
    :param nested: the namespace ``tables``: SiteTableData by name, those that have a finished site.
    :returns: ``rows`` (see :func:`aiida_siox.science.references.convergence`), ``shifts``, ``experiment`` with its
        ``shift_eV``, and ``missing``, the cases without a table.
    """
    del version
    content = cases.get_dict()
    tables: dict[str, SiteTableData] = nested.get("tables", {})
    spectra = []
    for name in content["order"]:
        if name not in tables:
            continue
        table, case = tables[name], content[name]
        row = next(row for row in table.rows() if row.done)
        attributes = table.base.attributes
        settings = attributes.get("settings")
        crystal = build_crystal(Crystal.parse(case["crystal"]), case["supercell"])
        meshes = {
            f"mesh_{stage}": settings[stage]["kpoints_mesh"]
            or list(mesh_from_distance(crystal.cell, settings[stage]["kpoints_distance"]))
            for stage in ("scf", "xspectra")
        }
        spectra.append(
            references.ReferenceSpectrum(
                name=name,
                compound=case["compound"],
                step=case["step"],
                energy=table.energy,
                spectrum=table.spectra[table.done][0],
                values={
                    "n_atoms": len(crystal),
                    "treatment": attributes.get("treatment"),
                    "ecutwfc_Ry": settings["scf"]["ecutwfc_Ry"],
                    "ecutrho_Ry": settings["scf"]["ecutrho_Ry"],
                    "xerror": settings["xspectra"]["xerror"],
                    **meshes,
                    "transition_eV": row.energies["transition_eV"],
                    "valence_e": float(row.properties["valence"][0]),
                },
            )
        )
    rows = references.convergence(spectra)
    measured = experiment.get_dict()
    low, high = measured["shift"]
    return orm.Dict(
        {
            "rows": rows,
            "shifts": references.edge_shifts(rows, measured["shift"]),
            "experiment": {**measured, "shift_eV": measured["peaks_eV"][high] - measured["peaks_eV"][low]},
            "missing": [name for name in content["order"] if name not in tables],
        }
    )

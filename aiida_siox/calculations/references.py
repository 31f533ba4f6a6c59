"""The calcfunction that compares the spectra of reference crystals."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_siox.data.site_table import SiteTableData
from aiida_siox.science import references
from aiida_siox.science.cells import mesh_from_distance, reference_crystal


@calcfunction
def compare_references(cases: orm.Dict, experiment: orm.Dict, version: orm.Int, **nested: Any) -> orm.Dict:
    """Return convergence and edge shift of reference crystals.

    :param cases: by name ``compound``, ``step`` and ``supercell``; ``order``: the names, coarse to fine.
    :param experiment: measured main peaks in eV: ``silicon_eV``, ``quartz_eV`` and ``source``.
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
        crystal = reference_crystal(case["compound"], case["supercell"])
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
    return orm.Dict(
        {
            "rows": rows,
            "shifts": references.edge_shifts(rows),
            "experiment": {**measured, "shift_eV": measured["quartz_eV"] - measured["silicon_eV"]},
            "missing": [name for name in content["order"] if name not in tables],
        }
    )

"""Calcfunctions that broaden finished spectra anew, one by one or a table at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science import spectra as sp
from aiida_siox.science.digest import mapping_digest
from aiida_siox.science.site_row import SiteRow


def energy_grid(grid: dict[str, float] | None) -> np.ndarray | None:
    """Return the total energies of ``energy_min_eV``, ``energy_max_eV`` and ``step_eV``; None for none."""
    return None if grid is None else sp.Grid.parse(grid, "grid").energies()


@calcfunction
def broaden(spectrum: SpectrumData, parameters: orm.Dict, version: orm.Int) -> SpectrumData:
    """Return a spectrum with another broadening and other energies, on the same total-energy axis.

    It keeps the Lanczos coefficients, so that it can be broadened again, and tells its broadening.

    :param spectrum: with the coefficients.
    :param parameters: ``broadening``: a model with its parameters, see :mod:`aiida_siox.science.broadening`; ``grid``
        (optional): ``energy_min_eV``, ``energy_max_eV`` (total energies) and ``step_eV``.
    :param version: of ``science``; a calcfunction does not notice when that changes.
    :raises ValueError: for half widths or energies for which the coefficients did not converge.
    """
    del version
    values = parameters.get_dict()
    return spectrum.rebroadened(values["broadening"], energy_grid(values.get("grid")))


@calcfunction
def broaden_table(
    site_table: SiteTableData, structure: orm.StructureData, parameters: orm.Dict, version: orm.Int, **nested: Any
) -> SiteTableData:
    """Return a table with the spectra of all its sites broadened anew; everything else stays.

    Its settings digest is another one, the same for all tables of one digest that are broadened alike: tables of
    different broadening cannot be combined, and the calibration must come from a quartz table broadened like them.

    :param site_table: the table.
    :param structure: the configuration of the table.
    :param parameters: as for :func:`broaden`; without ``grid`` the energies of the table stay.
    :param nested: the namespace ``spectra``: SpectrumData by ``site_0007``, one for every finished site
        (:attr:`SiteTableData.site_spectra`).
    :raises ValueError: if a spectrum is missing, or for what the coefficients do not give.
    """
    del version
    spectra: dict[str, SpectrumData] = nested.get("spectra", {})
    values = parameters.get_dict()
    grid = energy_grid(values.get("grid"))
    energy = site_table.energy if grid is None else grid
    rows: list[SiteRow] = []
    used: list[dict[str, Any]] = []
    for row in site_table.rows():
        if row.done and row.label not in spectra:
            raise ValueError(f"`spectra` lacks {row.label}, a finished site of the table: pass table.site_spectra.")
        if row.done:
            model = spectra[row.label].resolve(values["broadening"])
            row = dataclasses.replace(row, spectrum=spectra[row.label].broadened(model, energy))
            used.append(model.to_dict())
        rows.append(row)
    if not used:
        raise ValueError("no site of the table is finished: there is nothing to broaden.")
    if any(model != used[0] for model in used):
        raise ValueError("the sites converged for different half widths: give `broadening.gamma_eV` a value.")
    digest = mapping_digest({"settings_digest": site_table.settings_digest, "broadening": used[0]})
    changed = {"broadening": used[0], "gamma_eV": used[0]["gamma_eV"], "settings_digest": digest}
    return SiteTableData.from_rows(rows, energy, site_table.axes, {**site_table.common, **changed})

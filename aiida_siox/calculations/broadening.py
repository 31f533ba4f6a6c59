"""Calcfunctions that broaden finished spectra anew, one by one or a table at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_siox.calculations.tables import site_label
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.science import spectra as sp
from aiida_siox.science.digest import mapping_digest


def energy_grid(grid: dict[str, float] | None) -> np.ndarray | None:
    """Return the total energies of ``energy_min_eV``, ``energy_max_eV`` and ``step_eV``; None for none."""
    if grid is None:
        return None
    keys = ("energy_min_eV", "energy_max_eV", "step_eV")
    missing = [key for key in keys if key not in grid]
    if missing:
        raise ValueError(f"`grid` lacks {', '.join(missing)}: it needs {', '.join(keys)}.")
    return sp.energy_grid(*(float(grid[key]) for key in keys))


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
    model = spectrum.resolve(values["broadening"])
    energy = energy_grid(values.get("grid"))
    energy = spectrum.energy if energy is None else energy
    broadened = SpectrumData()
    for name in spectrum.get_arraynames():
        broadened.set_array(name, spectrum.get_array(name))
    broadened.set_array("energy_xspectra", energy - spectrum.offset)
    broadened.set_array("sigma", spectrum.broadened_polarisations(model, energy))
    for key, value in spectrum.base.attributes.all.items():
        if not key.startswith(("array|", "default_")):
            broadened.base.attributes.set(key, value)
    low, high = spectrum.converged_range
    broadened.base.attributes.set_many(
        {"broadening": model.to_dict(), "converged_range_eV": [low - spectrum.offset, high - spectrum.offset]}
    )
    return broadened


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
    index, done = site_table.get_array("index"), site_table.done
    rows = np.full((len(index), len(energy)), np.nan)
    used: list[dict[str, Any]] = []
    for row in np.flatnonzero(done):
        label = site_label(int(index[row]))
        if label not in spectra:
            raise ValueError(f"`spectra` lacks {label}, a finished site of the table: pass table.site_spectra.")
        model = spectra[label].resolve(values["broadening"])
        rows[row] = spectra[label].broadened(model, energy)
        used.append(model.to_dict())
    if not used:
        raise ValueError("no site of the table is finished: there is nothing to broaden.")
    if any(model != used[0] for model in used):
        raise ValueError("the sites converged for different half widths: give `broadening.gamma_eV` a value.")
    table = SiteTableData()
    for name in site_table.get_arraynames():
        table.set_array(name, site_table.get_array(name))
    table.set_array("energy_eV", energy)
    table.set_array("spectra", rows)
    for key, value in site_table.base.attributes.all.items():
        if not key.startswith(("array|", "default_")):
            table.base.attributes.set(key, value)
    digest = mapping_digest({"settings_digest": site_table.settings_digest, "broadening": used[0]})
    table.base.attributes.set_many({"broadening": used[0], "gamma_eV": used[0]["gamma_eV"], "settings_digest": digest})
    return table

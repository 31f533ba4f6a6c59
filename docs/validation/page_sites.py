"""What the validation page shows: the computed sites of the cases, read from the graph, and how they are compared."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import yaml

from aiida_siox.science import spectra as sp

HERE = pathlib.Path(__file__).parent
GROUP = "siox/validation"
EXTRA = "siox_validation"
#: The window of the networks, 1830 to 1880 eV, on the total-energy axis (calibrated with about −12.76 eV).
WINDOW = (1842.8, 1892.8)
#: From there to 50 eV above the half height of quartz.
ABOVE_WINDOW = (1892.8, 1908.5)
STEP_EV = 0.05


@dataclasses.dataclass
class Site:
    """One computed site: what the graph knows of it.

    :param spectrum: SpectrumData.
    :param valence: Bader valence in e, None for a case with spectra only.
    :param seconds: CPU seconds of the jobs of the case by engine (all sites of the case together).
    """

    case: str
    index: int
    n_atoms: int
    spectrum: Any
    valence: float | None
    seconds: dict[str, float]
    n_sites: int

    def on(self, grid: np.ndarray, shift: float = 0.0) -> np.ndarray:
        """Return the polarisation mean on total energies, the spectrum moved up by a shift."""
        return sp.interpolate(self.spectrum.energy, self.spectrum.mean, grid - shift)

    @property
    def white_line(self) -> float:
        return float(self.spectrum.white_line)

    @property
    def half_height(self) -> float:
        return float(self.spectrum.half_height)

    @property
    def transition(self) -> float:
        return float(self.spectrum.energies["transition_eV"])


def read_sites() -> dict[str, list[Site]]:
    """Return the sites of every finished case of ``cases.yaml`` from the loaded profile."""
    from aiida import orm

    from aiida_siox.report.timing import study_times

    known = yaml.safe_load((HERE / "cases.yaml").read_text())["cases"]
    query = orm.QueryBuilder().append(orm.Group, filters={"label": GROUP}, tag="group")
    query.append(orm.WorkChainNode, with_group="group", filters={"attributes.exit_status": 0}, project="*")
    found: dict[str, list[Site]] = {}
    for (node,) in query.all():
        name = node.base.extras.get(EXTRA, {}).get("name")
        if name not in known or name in found:
            continue
        if "site_table" in node.outputs:
            spectra = [spectrum for _, spectrum in sorted(node.outputs.spectra.items())]
            valences = {row.site_index: float(row.properties["valence"][0]) for row in node.outputs.site_table.rows()}
        elif "spectrum" in node.outputs:
            spectra = [node.outputs.spectrum]
            valences = {spectra[0].site_index: None}
        else:
            continue
        seconds: dict[str, float] = {}
        for job in study_times(node):
            seconds[job.engine] = seconds.get(job.engine, 0.0) + (job.cpu or 0.0)
        found[name] = [
            Site(
                case=name,
                index=spectrum.site_index,
                n_atoms=len(node.inputs.structure.sites),
                spectrum=spectrum,
                valence=valences[spectrum.site_index],
                seconds=seconds,
                n_sites=len(valences),
            )
            for spectrum in spectra
        ]
    return found


def scf_seconds(site: Site) -> float:
    """Return the CPU seconds of the core-hole SCF of a case, or of the only SCF there is."""
    return site.seconds.get("pw.x (core hole)", site.seconds.get("pw.x", 0.0)) / site.n_sites


def l1(a: Site, b: Site, shift: float = 0.0, window: tuple[float, float] = WINDOW) -> float:
    """Return the L1 distance of a site to the reference b in the window, a moved up by a shift."""
    from aiida_siox.science.spectra import l1_distance

    energy = np.arange(*window, STEP_EV)
    return l1_distance(energy, a.on(energy, shift), b.on(energy))


def best_shift(a: Site, b: Site) -> float:
    """Return the shift of a that brings it closest to b: a spectrum without a hole has no position of its own."""
    shifts = np.arange(-22.0, 0.0, 0.1)
    return float(shifts[np.argmin([l1(a, b, shift) for shift in shifts])])

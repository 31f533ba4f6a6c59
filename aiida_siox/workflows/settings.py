"""The settings of spectra and targets: checked before anything is submitted, turned into inputs of the engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from aiida import orm
from pydantic import Field, model_validator

from aiida_siox.calculations.xspectra import (
    CheckInterval,
    Convergence,
    HalfWidth,
    Iterations,
    ProjectorRadius,
    Smoothing,
)
from aiida_siox.checked import Checked, Count, Flag, Number, OneOf
from aiida_siox.materials import Material, load_material
from aiida_siox.science.bader import METHODS
from aiida_siox.science.energies import TREATMENTS

#: Keys that say where settings come from and change nothing that is computed.
LABELS = ("protocol", "changed")

Margin = Annotated[Number, Field(ge=0, le=200)]
MeshSize = Annotated[Count, Field(le=100)]
Mesh = Annotated[
    tuple[MeshSize, MeshSize, MeshSize] | None, Field(description="three positive integers such as [2, 2, 2]")
]
Distance = Annotated[Number, Field(ge=0.02, le=10, description="a distance of k points from 0.02 up to 10 (1/Å)")]


class Scf(Checked):
    """Runs of pw.x, the same for ground state and core hole; Ry where nothing else is said."""

    ecutwfc_Ry: Annotated[Number, Field(gt=0, le=1000)]
    ecutrho_Ry: Annotated[Number, Field(gt=0, le=10_000)]
    conv_thr_per_atom_Ry: Annotated[Number, Field(gt=0, le=0.01)]
    degauss_Ry: Annotated[Number, Field(gt=0, le=0.5)]
    mixing_beta: Annotated[Number, Field(gt=0, le=1)]
    electron_maxstep: Annotated[Count, Field(le=10_000)]
    nspin: Literal[1, 2]
    starting_magnetization: Annotated[Number, Field(ge=-1, le=1)]
    kpoints_distance: Distance
    kpoints_mesh: Mesh

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.ecutrho_Ry < 4 * self.ecutwfc_Ry:
            raise ValueError(
                f"`ecutrho_Ry` ({self.ecutrho_Ry:g}) is below four times ecutwfc_Ry ({self.ecutwfc_Ry:g}): "
                f"give at least {4 * self.ecutwfc_Ry:g}"
            )
        if self.nspin == 2 and self.starting_magnetization == 0:
            raise ValueError("`starting_magnetization` must not be 0 with nspin 2: give a number between -1 and 1")
        return self


class Xspectra(Checked):
    """Runs of xspectra.x, with the limits of :class:`~aiida_siox.calculations.xspectra.XspectraCalculation`."""

    kpoints_distance: Distance
    kpoints_mesh: Mesh
    gamma_eV: HalfWidth
    margin_eV: tuple[Margin, Margin]
    step_eV: Annotated[Number, Field(ge=0.001, le=10)]
    xerror: Convergence
    xcheck_conv: CheckInterval
    xniter: Iterations
    terminator: Flag
    cut_occ_states: Flag
    cut_desmooth_eV: Smoothing
    r_paw_bohr: ProjectorRadius

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.cut_occ_states and self.cut_desmooth_eV < self.step_eV:
            raise ValueError(
                f"`cut_desmooth_eV` ({self.cut_desmooth_eV:g}) is below the energy step (step_eV {self.step_eV:g}), at "
                "which xspectra.x leaves a spike at the energy zero: raise it, or take a smaller step"
            )
        if self.xniter < self.xcheck_conv:
            raise ValueError(f"`xcheck_conv` must be at most xniter ({self.xniter}), got {self.xcheck_conv}")
        return self


class Bader(Checked):
    """How basins are found."""

    method: Annotated[str, OneOf(METHODS)]


class Rdf(Checked):
    """g(R) of a site; ``pair`` is `total`, or the absorber and one of the species."""

    r_max_angstrom: Annotated[Number, Field(gt=0, le=50)]
    n_bins: Annotated[Count, Field(le=100_000)]
    sigma_angstrom: Annotated[Number, Field(ge=0, le=2)]
    pair: str


class Settings(Checked):
    """All that decides a spectrum and its targets. What stands open (null) is taken from the material."""

    remedy = "begin with get_builder_from_protocol, which fills them"

    treatment: Annotated[str, OneOf(TREATMENTS)]
    material: Material
    scf: Scf
    xspectra: Xspectra
    screening_charge: Flag
    bader: Bader
    rdf: Rdf

    @model_validator(mode="before")
    @classmethod
    def _of_material(cls, values: Any) -> Any:
        """Leave labels out, read the material, and fill what it knows."""
        if not isinstance(values, Mapping):
            return values
        values = {key: value for key, value in values.items() if key not in LABELS}
        if "material" not in values:
            return values
        values["material"] = material = load_material(values["material"])
        if isinstance(xspectra := values.get("xspectra"), Mapping) and xspectra.get("r_paw_bohr", 0) is None:
            values["xspectra"] = {**xspectra, "r_paw_bohr": material.r_paw_bohr}
        return values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.screening_charge and self.treatment == "none":
            raise ValueError("`screening_charge` must be false with the treatment none: there is no hole")
        pairs = ["total", *(f"{self.material.absorber}-{element}" for element in self.material.species)]
        if self.rdf.pair not in pairs:
            raise ValueError(f"`rdf.pair` must be one of {', '.join(pairs)}, got {self.rdf.pair!r}")
        return self

    @property
    def run_range(self) -> tuple[float, float]:
        """First and last energy of xspectra.x in eV, relative to its zero: what covers the window of the material.

        The zero, the highest occupied level of a site, may lie ``margin_eV[0]`` above the lower end of the window and
        ``margin_eV[1]`` below it. Tables hold what their spectra cover, data sets the window.
        """
        window, (above, below) = self.material.window, self.xspectra.margin_eV
        return -above, window.energy_max_eV - window.energy_min_eV + below


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


def validate_settings(node: orm.Dict, _: Any = None) -> str | None:
    """Port validator: settings that hold everything, the material included, so that digests cover it."""
    values = node.get_dict()
    if message := Settings.fault(values, "settings"):
        return message
    full = Settings.parse(values).plain()
    if left := [key for key in changed_keys(values, full) if key not in LABELS]:
        return f"settings leave {', '.join(left)} open: begin with get_builder_from_protocol, which fills them."
    return None


def pw_parameters(settings: Mapping[str, Any], n_atoms: int, hole: bool, kinds: Iterable[str]) -> dict[str, Any]:
    """Return the namelists of pw.x for the ground state or the core-hole cell.

    Every value the energies rely on is set here: the protocols of aiida-quantumespresso would bring cold smearing.

    :param n_atoms: atoms of the cell, for the convergence threshold.
    :param hole: whether the cell holds the core hole; it is then charged by +1 with the treatment ``fch``.
    :param kinds: of the cell; with ``nspin: 2`` the absorbers' begin with ``starting_magnetization``.
    """
    checked = Settings.parse(settings, "settings")
    scf, absorbers = checked.scf, (checked.material.absorber, checked.material.hole_kind)
    system: dict[str, Any] = {
        "ecutwfc": scf.ecutwfc_Ry,
        "ecutrho": scf.ecutrho_Ry,
        "occupations": "smearing",
        "smearing": "gaussian",
        "degauss": scf.degauss_Ry,
        "nspin": scf.nspin,
        "tot_charge": 1.0 if hole and checked.treatment == "fch" else 0.0,
    }
    if scf.nspin == 2:
        system["starting_magnetization"] = {kind: scf.starting_magnetization for kind in kinds if kind in absorbers}
    return {
        "CONTROL": {"calculation": "scf", "tstress": False, "tprnfor": False},
        "SYSTEM": system,
        "ELECTRONS": {
            "conv_thr": scf.conv_thr_per_atom_Ry * n_atoms,
            "mixing_beta": scf.mixing_beta,
            "electron_maxstep": scf.electron_maxstep,
        },
    }


def xspectra_parameters(settings: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the namelists of xspectra.x, without what belongs to a polarisation.

    :param overrides: values of ``input_xspectra`` that an error handler has changed.
    """
    checked = Settings.parse(settings, "settings")
    xspectra, (low, high) = checked.xspectra, checked.run_range
    return {
        "input_xspectra": {
            "edge": checked.material.edge,
            "xniter": xspectra.xniter,
            "xcheck_conv": xspectra.xcheck_conv,
            "xerror": xspectra.xerror,
            **(overrides or {}),
        },
        "plot": {
            "xnepoint": round((high - low) / xspectra.step_eV) + 1,
            "xgamma": xspectra.gamma_eV,
            "xemin": low,
            "xemax": high,
            "terminator": xspectra.terminator,
            "cut_occ_states": xspectra.cut_occ_states,
        },
        "pseudos": {"r_paw": xspectra.r_paw_bohr},
        "cut_occ": {"cut_desmooth": xspectra.cut_desmooth_eV},
    }

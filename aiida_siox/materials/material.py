"""A material: absorber and edge, the atoms beside it, its crystals, windows and data sets. Imports no AiiDA."""

from __future__ import annotations

import pathlib
import types
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

import yaml
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from aiida_siox.checked import Checked
from aiida_siox.registry import Registry

FOLDER = pathlib.Path(__file__).parent


class Crystal(Checked):
    """A crystal by its space group.

    :param spacegroup: number in the International Tables.
    :param setting: as in ``ase.spacegroup``.
    :param cell: a, b, c in Å and the angles in degrees.
    :param basis: fractional coordinates of the distinct sites, ``[element, x, y, z]``.
    :param source: where the numbers are from.
    """

    spacegroup: Annotated[int, Field(ge=1, le=230)]
    setting: int = 1
    cell: Annotated[list[PositiveFloat], Field(min_length=6, max_length=6)]
    basis: list[tuple[str, float, float, float]]
    source: str


class Calibration(Checked):
    """The crystal whose measured white line fixes the energy axis.

    :param crystal: its name among the crystals of the material.
    :param white_line_eV: its measured main peak.
    :param plausible_eV: range in which such a peak can lie; others are taken for a mistake.
    """

    crystal: str
    white_line_eV: PositiveFloat
    plausible_eV: tuple[PositiveFloat, PositiveFloat]


class Window(Checked):
    """The calibrated energies that a data set holds.

    :param energy_min_eV: lowest.
    :param energy_max_eV: highest.
    :param n_points: how many.
    """

    energy_min_eV: float
    energy_max_eV: float
    n_points: PositiveInt


class Melt(Checked):
    """What a melt-quench needs to know of the material.

    :param potential: name in ``protocols/potentials.yaml``.
    :param crystal: whose sites starting cells are drawn from.
    :param largest_x: most ligands for one absorber atom that the material can bind.
    :param expected_densities: ``[x, g/cm³]``, linear between.
    :param densities: of starting cells, likewise.
    """

    potential: str
    crystal: str
    largest_x: PositiveFloat
    expected_densities: list[tuple[float, PositiveFloat]]
    densities: list[tuple[float, PositiveFloat]]


class Plausible(Checked):
    """What a structure of the material can be; others are doubted when they are read.

    :param density_g_cm3: lowest and highest.
    :param neighbours: fewest and most bonds of an atom, by element.
    """

    density_g_cm3: tuple[PositiveFloat, PositiveFloat]
    neighbours: dict[str, tuple[int, int]]


class Material(Checked):
    """One absorber at one edge, and what surrounds it.

    :param name: of the file.
    :param title: for people: figures, reports and cards.
    :param absorber: element whose core electron is excited.
    :param edge: such as ``K``.
    :param core_level: of the hole as ld1.x names it, such as ``1S``.
    :param core_width_eV: lifetime width of the core level, full width at half maximum.
    :param ligands: elements whose number beside the absorber is its oxidation state.
    :param max_ligands: most of them that count apart.
    :param species: every element and its valence electrons in the data sets, in the order of formulas.
    :param hole_kind: name of the kind of the absorber with the hole.
    :param r_paw_bohr: cutoff radius of the projectors in xspectra.x.
    :param bonds_angstrom: longest bond of each pair, ``Si-O``; pairs that are not named have none.
    :param plausible: see :class:`Plausible`; None doubts the least.
    :param crystals: by name.
    :param calibration: see :class:`Calibration`.
    :param window: see :class:`Window`.
    :param melt: see :class:`Melt`; None where no potential is known, and a melt-quench is refused.
    :param atomic_data: parameters of ld1.x: ``ground`` and ``hole`` of the absorber, the other elements by name.
    :param colours: of the elements in drawings.
    """

    name: str
    title: str
    absorber: str
    edge: str
    core_level: str
    core_width_eV: PositiveFloat
    ligands: list[str]
    max_ligands: PositiveInt
    species: dict[str, PositiveFloat]
    hole_kind: str
    r_paw_bohr: PositiveFloat
    bonds_angstrom: dict[str, PositiveFloat]
    plausible: Plausible | None = None
    crystals: dict[str, Crystal]
    calibration: Calibration
    window: Window
    melt: Melt | None = None
    atomic_data: dict[str, Any]
    colours: dict[str, str]

    @model_validator(mode="after")
    def _fits(self) -> Material:
        for what, names in {"absorber": [self.absorber], "ligands": self.ligands}.items():
            if wrong := sorted(set(names) - set(self.species)):
                raise ValueError(f"{what} {', '.join(wrong)} not among the species {', '.join(self.species)}")
        for pair in self.bonds_angstrom:
            if not set(pair.split("-")) <= set(self.species) or len(pair.split("-")) != 2:
                raise ValueError(f"bonds_angstrom has `{pair}`: write two of the species, such as Si-O")
        if self.calibration.crystal not in self.crystals:
            raise ValueError(f"calibration.crystal {self.calibration.crystal} is none of {', '.join(self.crystals)}")
        if self.hole_kind in self.species:
            raise ValueError(f"hole_kind {self.hole_kind} is the name of a species")
        return self

    @cached_property
    def cutoffs(self) -> dict[tuple[str, str], float]:
        """Longest bond of each pair of elements in Å, both ways round."""
        found = {}
        for pair, value in self.bonds_angstrom.items():
            one, other = pair.split("-")
            found[one, other] = found[other, one] = value
        return found

    @property
    def others(self) -> list[str]:
        """The species that are not the absorber."""
        return [element for element in self.species if element != self.absorber]


#: Files by name; another package gives itself, in which there is a file of that name.
MATERIALS: Registry[pathlib.Path | types.ModuleType] = Registry("material", "aiida_siox.materials")
for _path in sorted(FOLDER.glob("*.yaml")):
    MATERIALS.register(_path.stem, _path)


def _file_of(name: str) -> pathlib.Path:
    """Return the file of a material that a registry knows."""
    found = MATERIALS.named(name)
    return found if isinstance(found, pathlib.Path) else pathlib.Path(str(found.__file__)).parent / f"{name}.yaml"


def load_material(material: str | pathlib.Path | Mapping[str, Any]) -> Material:
    """Return a material by its name, from a yaml file, or from plain values (those that a node holds).

    :raises ValueError: for an unknown name, a file that is none, or values that do not make a material.
    """
    if isinstance(material, Mapping):
        return Material.parse(dict(material), "material")
    is_file = isinstance(material, pathlib.Path) or pathlib.PurePath(material).suffix in (".yaml", ".yml")
    path = pathlib.Path(material) if is_file else _file_of(str(material))
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exception:
        raise ValueError(f"the material {path} cannot be read: {exception}") from exception
    if not isinstance(values, Mapping):
        raise ValueError(f"the material {path} must hold a mapping of keys to values, got {values!r}.")
    return Material.parse({"name": path.stem, **values}, path.name)

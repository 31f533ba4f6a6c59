"""A material: absorber and edge, the atoms beside it, its crystals, windows and data sets. Imports no AiiDA."""

from __future__ import annotations

import pathlib
import re
import types
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any

import yaml
from ase.data import chemical_symbols
from pydantic import Field, model_validator

from aiida_siox.checked import Checked, Count, Number, Positive, Whole
from aiida_siox.registry import Registry, nearest

FOLDER = pathlib.Path(__file__).parent
#: Edges that are possible and the core level of each, as ld1.x names it: s levels, whose electron goes to p.
CORE_LEVELS = {"K": "1S", "L1": "2S"}


class Crystal(Checked):
    """A crystal by its space group.

    :param spacegroup: number in the International Tables.
    :param setting: as in ``ase.spacegroup``.
    :param cell: a, b, c in Å and the angles in degrees.
    :param basis: fractional coordinates of the distinct sites, ``[element, x, y, z]``.
    :param supercell: rows of integers that make larger cell vectors of these, such as a rectangular cell.
    :param source: where the numbers are from.
    """

    spacegroup: Annotated[Whole, Field(ge=1, le=230)]
    setting: Whole = 1
    cell: Annotated[list[Positive], Field(min_length=6, max_length=6)]
    basis: Annotated[list[tuple[str, Number, Number, Number]], Field(min_length=1)]
    supercell: Annotated[list[tuple[Whole, Whole, Whole]], Field(min_length=3, max_length=3)] | None = None
    source: str


class Calibration(Checked):
    """The crystal whose measured white line fixes the energy axis.

    :param crystal: its name among the crystals of the material.
    :param white_line_eV: its measured main peak.
    :param plausible_eV: range in which such a peak can lie; others are taken for a mistake.
    """

    crystal: str
    white_line_eV: Positive
    plausible_eV: tuple[Positive, Positive]

    @model_validator(mode="after")
    def _fits(self) -> Calibration:
        self.check(self.white_line_eV)
        return self

    def check(self, energy_eV: float) -> None:
        """Refuse an energy that cannot be the main peak.

        :raises ValueError: naming the range.
        """
        low, high = self.plausible_eV
        if not low <= energy_eV <= high:
            raise ValueError(f"the main peak of {self.crystal} lies between {low:g} and {high:g} eV, got {energy_eV:g}")


class References(Checked):
    """Crystals whose measured edges test the method.

    :param peaks_eV: their measured main peaks, by the name of the crystal.
    :param shift: the two whose distance is compared: of the second against the first.
    :param source: of the energies.
    """

    peaks_eV: dict[str, Positive]
    shift: tuple[str, str]
    source: str


class Window(Checked):
    """The calibrated energies that a data set holds.

    :param energy_min_eV: lowest.
    :param energy_max_eV: highest.
    :param n_points: how many.
    """

    energy_min_eV: Positive
    energy_max_eV: Positive
    n_points: Annotated[Whole, Field(ge=2, le=100_000)]

    @model_validator(mode="after")
    def _fits(self) -> Window:
        if self.energy_min_eV >= self.energy_max_eV:
            raise ValueError(
                f"is empty: energy_min_eV {self.energy_min_eV:g} is not below energy_max_eV {self.energy_max_eV:g}"
            )
        return self


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
    largest_x: Positive
    expected_densities: list[tuple[Number, Positive]]
    densities: list[tuple[Number, Positive]]


class Plausible(Checked):
    """What a structure of the material can be; others are doubted when they are read.

    :param density_g_cm3: lowest and highest.
    :param neighbours: fewest and most bonds of an atom, by element.
    """

    density_g_cm3: tuple[Positive, Positive]
    neighbours: dict[str, tuple[Whole, Whole]]


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
    :param species: every element and its valence electrons in the data sets, in the order of formulas: absorber first.
    :param hole_kind: name of the kind of the absorber with the hole.
    :param r_paw_bohr: cutoff radius of the projectors in xspectra.x.
    :param bonds_angstrom: longest bond of each pair, ``Si-O``; pairs that are not named have none.
    :param plausible: see :class:`Plausible`; None doubts the least.
    :param crystals: by name.
    :param calibration: see :class:`Calibration`.
    :param window: see :class:`Window`.
    :param melt: see :class:`Melt`; None where no potential is known, and a melt-quench is refused.
    :param atomic_data: parameters of ld1.x: ``ground`` and ``hole`` of the absorber, the other elements by name.
    :param atomic_variants: by name, what other data sets change of these: ``ultrasoft``.
    :param references: see :class:`References`.
    :param protocols: what the material changes in the protocols, by the name of a protocol (``default``: of each), then
        by the file in ``workflows/protocols``: cutoffs, sizes of cells, formulas.
    :param colours: of the elements in drawings.
    """

    name: str
    title: str
    absorber: str
    edge: str
    core_level: str
    core_width_eV: Positive
    ligands: list[str]
    max_ligands: Count
    species: dict[str, Positive]
    hole_kind: str
    r_paw_bohr: Positive
    bonds_angstrom: dict[str, Positive]
    plausible: Plausible | None = None
    crystals: dict[str, Crystal]
    calibration: Calibration
    window: Window
    melt: Melt | None = None
    atomic_data: dict[str, dict[str, Any]]
    atomic_variants: dict[str, dict[str, dict[str, Any]]] = {}
    references: References | None = None
    protocols: dict[str, dict[str, dict[str, Any]]] = {}
    colours: dict[str, str]

    @model_validator(mode="after")
    def _fits(self) -> Material:
        if wrong := sorted({*self.species} - set(chemical_symbols)):
            raise ValueError(f"species {', '.join(wrong)}: no chemical element")
        for what, names in {"absorber": [self.absorber], "ligands": self.ligands}.items():
            if wrong := sorted(set(names) - set(self.species)):
                raise ValueError(f"{what} {', '.join(wrong)} not among the species {', '.join(self.species)}")
        if next(iter(self.species), None) != self.absorber:
            raise ValueError(f"species must begin with the absorber {self.absorber}, got {', '.join(self.species)}")
        if CORE_LEVELS.get(self.edge) != self.core_level:
            levels = ", ".join(f"{edge} ({level})" for edge, level in CORE_LEVELS.items())
            raise ValueError(f"edge {self.edge} with core_level {self.core_level}: possible are {levels}")
        for pair in self.bonds_angstrom:
            if not set(pair.split("-")) <= set(self.species) or len(pair.split("-")) != 2:
                raise ValueError(
                    f"bonds_angstrom has `{pair}`: write two of the species, such as {'-'.join(self.elements[:2])}"
                )
        named = {"calibration.crystal": [self.calibration.crystal]}
        if self.melt is not None:
            named["melt.crystal"] = [self.melt.crystal]
        if self.references is not None:
            named["references"] = [*self.references.peaks_eV, *self.references.shift]
        for where, crystals in named.items():
            for name in crystals:
                if name not in self.crystals:
                    raise ValueError(f"{where} {name}: {nearest(name, self.crystals)}")
        for name, crystal in self.crystals.items():
            if wrong := sorted({element for element, *_ in crystal.basis} - set(self.species)):
                raise ValueError(f"crystal {name} has {', '.join(wrong)}: not among the species")
        if self.hole_kind in chemical_symbols or not re.fullmatch(f"{self.absorber}[A-Za-z0-9]{{1,2}}", self.hole_kind):
            raise ValueError(
                f"hole_kind {self.hole_kind}: pw.x wants the symbol of the absorber with one or two more letters, and "
                f"no other element: {self.absorber}h"
            )
        runs = {"ground", "hole", *self.others}
        if set(self.atomic_data) != runs:
            raise ValueError(f"atomic_data needs exactly {', '.join(sorted(runs))}, got {', '.join(self.atomic_data)}")
        return self

    @cached_property
    def cutoffs(self) -> dict[tuple[str, str], float]:
        """Longest bond of each pair of elements in Å, both ways round, in the order of the species."""
        found = {}
        for one in self.species:
            for other in self.species:
                value = self.bonds_angstrom.get(f"{one}-{other}", self.bonds_angstrom.get(f"{other}-{one}"))
                if value is not None:
                    found[one, other] = value
        return found

    @property
    def elements(self) -> list[str]:
        """The species, absorber first."""
        return list(self.species)

    @property
    def others(self) -> list[str]:
        """The species that are not the absorber."""
        return [element for element in self.species if element != self.absorber]

    @property
    def runs(self) -> dict[str, str]:
        """The run of ld1.x that makes the data set of each kind."""
        return {self.absorber: "ground", **{element: element for element in self.others}, self.hole_kind: "hole"}

    @property
    def edge_name(self) -> str:
        """The edge in words: ``Si K edge``."""
        return f"{self.absorber} {self.edge} edge"

    @property
    def melting(self) -> Melt:
        """What a melt-quench needs.

        :raises ValueError: for a material that cannot be melted.
        """
        if self.melt is None:
            raise ValueError(
                f"the material {self.name} has no potential for a melt: give structures (`run structure FILE`), or add "
                "`melt` to the yaml of the material."
            )
        return self.melt

    def data_sets(self, variant: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the parameters of ld1.x by run, as they stand or with the changes of a variant.

        :raises ValueError: for an unknown variant.
        """
        if variant is not None and variant not in self.atomic_variants:
            known = nearest(variant, self.atomic_variants) if self.atomic_variants else "it has none."
            raise ValueError(f"the material {self.name} has no data sets `{variant}`: {known}")
        changes = {} if variant is None else self.atomic_variants[variant]
        sets: dict[str, dict[str, Any]] = {
            run: merged(self.atomic_data[run], changes.get(run, {})) for run in self.runs.values()
        }
        sets["ground"]["core_level"] = self.core_level
        return sets

    def element_of(self, kind: str) -> str:
        """Return the element of a kind of a structure."""
        return self.absorber if kind == self.hole_kind else kind

    def count(self, symbols: Iterable[str]) -> dict[str, int]:
        """Return how many atoms of each species there are, those that there are none of too, absorber first."""
        found = list(symbols)
        return {element: found.count(element) for element in self.species}

    def x(self, counts: Mapping[str, int]) -> float:
        """Return ligands per absorber of a composition.

        :raises ValueError: if there is no absorber.
        """
        if not counts.get(self.absorber):
            raise ValueError(f"a composition without {self.absorber} has no x: there would be no absorber.")
        return sum(counts.get(ligand, 0) for ligand in self.ligands) / counts[self.absorber]

    def spectral(self) -> dict[str, Any]:
        """Return what spectra and properties of sites depend on: what their settings hold, and so their digest."""
        return self.model_copy(update={"melt": None, "references": None, "protocols": {}}).plain()


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with changes."""
    result = dict(values)
    for key, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else value
    return result


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

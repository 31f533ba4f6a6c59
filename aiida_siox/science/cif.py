"""Crystals from CIF files: everything that the file says of them is used, and must agree, or the file is refused.

The syntax, the symbols of space groups and their settings are those of gemmi (Wojdyr, J. Open Source Softw. 7, 4200
(2022)); names of tags are those of the core dictionary of the IUCr, written with an underscore or with a point.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gemmi
import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.data import atomic_numbers
from ase.io.formats import open_with_compression
from numpy.typing import NDArray

from aiida_siox.science.cells import density_g_cm3
from aiida_siox.science.neighbours import neighbour_pairs

Array = NDArray[np.float64]
Tags = Mapping[str, Sequence[str]]

#: Images of a site that are closer (Å) are one atom: coordinates are rounded, ``0.667`` for 2/3.
SAME_PLACE = 0.1
#: A site that is occupied more than this is an atom.
WHOLE = 0.999
#: Relative deviations of volume and density from those that the file states which are rounding.
VOLUME_TOLERANCE, DENSITY_TOLERANCE = 0.01, 0.03
#: Å: crystals whose distances agree to here are the same.
RANGE, PRECISION = 4.0, 1e-3

CELL_TOLERANCE = 0.01
NO_SYMMETRY = "P 1, for want of symmetry"

CELL = ("a", "b", "c", "alpha", "beta", "gamma")
OPERATIONS = ("space_group_symop_operation_xyz", "symmetry_equiv_pos_as_xyz")
SYMBOLS = ("space_group_name_h-m_alt", "symmetry_space_group_name_h-m", "space_group_name_h-m_full")
HALL = ("space_group_name_hall", "symmetry_space_group_name_hall")
NUMBERS = ("space_group_it_number", "symmetry_int_tables_number")
CODES = ("space_group_it_coordinate_system_code", "symmetry_space_group_setting")
TRANSFORMS = ("space_group_transform_pp_abc", "space_group_transform_qq_xyz")
MULTIPLICITIES = ("atom_site_symmetry_multiplicity", "atom_site_site_symmetry_multiplicity")
#: Names of settings beside ``1``, ``2``, ``H``, ``R`` and those of monoclinic axes: origin choices of the ICSD.
ALIASES = {"S": "1", "Z": "2"}
REMEDY = (
    "Write the setting behind the symbol (`F d -3 m :2`), or list the operations (_space_group_symop_operation_xyz)."
)


@dataclasses.dataclass(frozen=True)
class Site:
    """One row of the atoms of a file: its label, element, and fractional coordinates (3,)."""

    label: str
    element: str
    fract: Array


@dataclasses.dataclass(frozen=True)
class Setting:
    """A space group in one setting: its name, and operations x' = Rx + t, shapes (n, 3, 3) and (n, 3)."""

    name: str
    rotations: Array
    translations: Array

    @classmethod
    def of(cls, name: str, group: gemmi.GroupOps) -> Setting:
        """Return the setting with the operations of a group."""
        operations = list(group)
        return cls(
            name,
            np.array([operation.rot for operation in operations]) / gemmi.Op.DEN,
            np.array([operation.tran for operation in operations]) / gemmi.Op.DEN,
        )


def read_cif(path: str | pathlib.Path) -> tuple[list[Atoms], list[str]]:
    """Read the crystals of a CIF file, all atoms of their cells.

    :returns: one crystal for each block that has one, and what had to be taken for granted of the last.
    :raises ValueError: if the file is no CIF, a crystal is not ordered, has no cell, or a setting that is not known
        for certain, or if what the file says of it does not agree.
    """
    with open_with_compression(str(path), "rb") as file:
        content = file.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    try:
        blocks = [tags_of(block) for block in gemmi.cif.read_string(text)]
    except (ValueError, RuntimeError) as exception:
        said = re.sub(r"^string:(\d+):.*?: ", r"line \1: ", str(exception))
        raise ValueError(f"it is no CIF file ({said}). Text with blanks in it wants quotes.") from None
    blocks = [tags for tags in blocks if any(tag.startswith("atom_site_") for tag in tags)]
    if not blocks:
        raise ValueError("the CIF file lists no atoms (_atom_site_label, _atom_site_fract_x, ...).")
    crystals = [crystal_of(tags) for tags in blocks]
    return [atoms for atoms, _ in crystals], crystals[-1][1]


def tags_of(block: gemmi.cif.Block) -> dict[str, list[str]]:
    """Return the values of a block by tag, in lower case without the first underscore; ``.`` and ``?`` are empty."""
    found: dict[str, list[str]] = {}
    items: Iterable[Any] = block
    for item in items:
        if item.pair is not None:
            columns = {item.pair[0]: [item.pair[1]]}
        elif item.loop is not None:
            width = item.loop.width()
            columns = {name: list(item.loop.values[number::width]) for number, name in enumerate(item.loop.tags)}
        else:
            columns = {}
        for name, values in columns.items():
            found[name[1:].lower().replace(".", "_", 1)] = [gemmi.cif.as_string(value).strip() for value in values]
    return found


def crystal_of(tags: Tags) -> tuple[Atoms, list[str]]:
    """Return the crystal of a block and remarks on it.

    :raises ValueError: see :func:`read_cif`.
    """
    cell = cell_of(tags)
    refuse_disorder(tags)
    sites = sites_of(tags)
    outcomes: dict[str, Atoms] = {}
    wrong: dict[str, str] = {}
    for setting in settings_of(tags, cell):
        try:
            atoms, multiplicities = expand(sites, setting, cell)
        except ValueError as exception:
            wrong[setting.name] = str(exception)
            continue
        if said := contradictions(tags, atoms, multiplicities):
            wrong[setting.name] = "; ".join(said)
        elif not any(is_same_crystal(atoms, other) for other in outcomes.values()):
            outcomes[setting.name] = atoms
    if not outcomes:
        told = "; or ".join(f"read as {name}, {text}" for name, text in wrong.items())
        raise ValueError(
            f"the file contradicts itself: {told}. Mend its sites, its formula or the setting of its group."
        )
    if len(outcomes) > 1:
        told = ", ".join(f"{name} would be {_words(each)}" for name, each in outcomes.items())
        raise ValueError(f"the file does not say which setting (origin choice, axes) it is in: {told}. {REMEDY}")
    ((name, atoms),) = outcomes.items()
    if name == NO_SYMMETRY:
        return atoms, ["the file says nothing of symmetry: its atoms are taken for all atoms of the cell."]
    if wrong:
        other, text = next(iter(wrong.items()))
        return atoms, [f"the file does not say which setting it is in: {name} is taken, since as {other} {text}."]
    return atoms, []


def cell_of(tags: Tags) -> Cell:
    """Return the cell of a block.

    :raises ValueError: if a length or an angle is missing.
    """
    names = [f"cell_{'length' if key in ('a', 'b', 'c') else 'angle'}_{key}" for key in CELL]
    values = [_number(_first(tags, name)) for name in names]
    if missing := [f"_{name}" for name, value in zip(names, values, strict=True) if not value > 0]:
        raise ValueError(f"the file has no cell: {', '.join(missing)} missing or no positive number.")
    return Cell.fromcellpar(values)


def refuse_disorder(tags: Tags) -> None:
    """Refuse a crystal whose sites are not all one whole atom each.

    :raises ValueError: naming sites and occupancies, and the remedy.
    """
    labels = _labels(tags)
    remedy = "Choose one ordered configuration (a supercell, if need be) and write it with occupancies of 1."
    partial = []
    for label, text in zip(labels, tags.get("atom_site_occupancy", []), strict=False):
        value = _number(text) if text else 1.0
        if not WHOLE <= value <= 2 - WHOLE:
            partial.append(f"{label} has the occupancy {text}")
    if partial:
        more = f" and {len(partial) - 4} more sites" if len(partial) > 4 else ""
        raise ValueError(f"the structure is disordered: site {', site '.join(partial[:4])}{more}. {remedy}")
    groups = {text for text in tags.get("atom_site_disorder_group", []) if text not in ("", "0")}
    if len(groups) > 1:
        raise ValueError(f"the structure is disordered: its sites are in groups {', '.join(sorted(groups))}. {remedy}")
    for label, text in zip(labels, tags.get("atom_site_attached_hydrogens", []), strict=False):
        if text and _number(text) != 0:
            raise ValueError(f"site {label} has {text} hydrogen atoms that the file does not place: add them.")
    if _number(_first(tags, "cell_modulation_dimension")) > 0:
        raise ValueError("the structure is modulated: give an ordered approximant (a supercell).")


def sites_of(tags: Tags) -> list[Site]:
    """Return the sites of a block.

    :raises ValueError: for a coordinate that is no number, or an element that is not to be known.
    """
    labels = _labels(tags)
    types = tags.get("atom_site_type_symbol") or [""] * len(labels)
    columns = [tags.get(f"atom_site_fract_{axis}", []) for axis in "xyz"]
    if any(len(column) != len(labels) for column in (types, *columns)):
        raise ValueError("the atoms have no fractional coordinates (_atom_site_fract_x, y and z): add them.")
    found = []
    for label, text, *coordinates in zip(labels, types, *columns, strict=True):
        fract = np.array([_number(value) for value in coordinates])
        if not np.isfinite(fract).all():
            raise ValueError(f"site {label} has the coordinates {', '.join(coordinates)}: give three numbers.")
        match = re.fullmatch(r"([A-Za-z]+)[\d+\-]*", text) if text else re.match(r"([A-Za-z]+)", label)
        element = match.group(1).capitalize() if match else ""
        if element not in atomic_numbers or element == "X":
            raise ValueError(f"site {label} is of no known element, `{text}`: write it in _atom_site_type_symbol.")
        found.append(Site(label, element, fract))
    return found


def settings_of(tags: Tags, cell: Cell) -> list[Setting]:
    """Return the settings that a block can be in: one, where it says so.

    :raises ValueError: for a symbol or a list of operations that cannot be read, or statements that exclude each other.
    """
    said = {tag: text for tag in (*SYMBOLS, *NUMBERS, *CODES) if (text := _first(tags, tag))}
    words = ", ".join(f"_{tag} `{text}`" for tag, text in said.items())
    group = _group_of(tags)
    if group is not None:
        return [_listed(group, said, words, cell)]
    if not any(tag not in CODES for tag in said):
        return [Setting.of(NO_SYMMETRY, gemmi.SpaceGroup("P 1").operations())]
    candidates = _meant(said, cell)
    if not candidates:
        raise ValueError(f"the space group or its setting is not known, or contradicts itself: {words}. {REMEDY}")
    if moved := [tag for tag in TRANSFORMS if _first(tags, tag)]:
        raise ValueError(f"_{moved[0]} is not read: list the operations (_space_group_symop_operation_xyz) instead.")
    parameters = gemmi.UnitCell(*cell.cellpar())
    fitting = [each for each in candidates if parameters.is_compatible_with_spacegroup(each, CELL_TOLERANCE)]
    if not fitting:
        lengths = ", ".join(f"{value:g}" for value in cell.cellpar())
        raise ValueError(f"the cell ({lengths}) does not have the symmetry that the file states: {words}. {REMEDY}")
    return [Setting.of(each.xhm(), each.operations()) for each in fitting]


def _meant(said: Mapping[str, str], cell: Cell) -> list[gemmi.SpaceGroup]:
    """Return the space groups, each in a setting, that suit all of what a file says."""
    # a number alone means one of the settings of the International Tables, Vol. A
    table = gemmi.spacegroup_table() if any(tag in SYMBOLS for tag in said) else gemmi.spacegroup_table_itb()
    return [group for group in table if all(_suits(group, tag, text, cell) for tag, text in said.items())]


def _listed(group: gemmi.GroupOps, said: Mapping[str, str], words: str, cell: Cell) -> Setting:
    """Return the setting with operations that a file lists: they count, and a symbol that is understood must agree.

    :raises ValueError: if number, origin or axes of the group are not those that the file states beside them.
    """
    found = gemmi.find_spacegroup_by_ops(group)
    order = len(list(group))
    for tag, text in said.items():
        if tag in CODES or not (meant := _meant({tag: text}, cell)):
            continue
        agrees = {each.number for each in meant} == {found.number} if found else order in map(_order, meant)
        if not agrees or (found and found.ext not in {each.ext for each in meant}):
            raise ValueError(f"the operations of the file ({order}) are not those of {words}: delete what is wrong.")
    return Setting.of(found.xhm() if found else f"its {order} operations", group)


def _suits(group: gemmi.SpaceGroup, tag: str, text: str, cell: Cell) -> bool:
    """Return whether a space group in a setting is one that a tag of the file means."""
    if tag in NUMBERS:
        return bool(_number(text) == group.number)
    if tag in CODES:
        return not group.ext.strip("\0") + group.qualifier or text.lower() in (group.ext.lower(), group.qualifier)
    name, extension = _symbol(text, cell)
    only = group.ext == "\0" and extension == "1"
    return bool(name == group.hm and (only or extension in ("", group.ext)))


@functools.cache
def _named(name: str, alpha: float, gamma: float) -> str:
    found = gemmi.find_spacegroup_by_name(name, alpha, gamma)
    return "" if found is None else str(found.hm)


def _symbol(text: str, cell: Cell) -> tuple[str, str]:
    """Return the full symbol that a Hermann–Mauguin symbol means, empty if none, and its setting, empty if not said."""
    extension = ""
    while match := re.fullmatch(r"(.+?)\s*(?::\s*([12HRSZhrsz])|\(?origin (?:choice )?([12])\)?|([HRSZ]))", text):
        text, extension = match.group(1), next(filter(None, match.groups()[1:])).upper()
        extension = ALIASES.get(extension, extension)
    return _named(text, round(cell.cellpar()[3], 2), round(cell.cellpar()[5], 2)), extension


def _group_of(tags: Tags) -> gemmi.GroupOps | None:
    """Return the operations that a block lists, or has as a Hall symbol; None if it has neither.

    :raises ValueError: if they cannot be read, or are no group.
    """
    listed = [text for tag in OPERATIONS for text in tags.get(tag, []) if text]
    try:
        operations = {gemmi.Op(text).wrap().triplet() for text in listed}
    except RuntimeError as exception:
        raise ValueError(
            f"an operation of symmetry cannot be read ({exception}): put it in quotes, as x,y,z."
        ) from None
    if operations:
        group = gemmi.GroupOps([gemmi.Op(text) for text in sorted(operations, key=lambda text: text != "x,y,z")])
        group.add_missing_elements()
        if {operation.wrap().triplet() for operation in group} != operations:
            raise ValueError(f"the {len(operations)} operations of symmetry are no group, some are missing: list all.")
        return group
    hall = next((text for tag in HALL if (text := _first(tags, tag))), "")
    try:
        return gemmi.symops_from_hall(hall) if hall else None
    except RuntimeError as exception:
        raise ValueError(f"the Hall symbol `{hall}` cannot be read ({exception}). {REMEDY}") from None


def _order(group: gemmi.SpaceGroup) -> int:
    return len(list(group.operations()))


def expand(sites: Sequence[Site], setting: Setting, cell: Cell) -> tuple[Atoms, list[int]]:
    """Return all atoms of the cell, site by site, and how many each site makes.

    Images of a site that fall together are one atom at their mean: where that is special, it is so exactly.

    :raises ValueError: if two sites are one place.
    """
    places: list[Array] = []
    for index, site in enumerate(sites):
        found = _orbit(setting.rotations @ site.fract + setting.translations, cell)
        for other, before in zip(sites, places, strict=False):
            if _distance(found[0] - before, cell).min() < SAME_PLACE:
                raise ValueError(
                    f"sites {other.label} and {sites[index].label} are at one place, where one whole atom can be, "
                    "and the symmetry makes all images of a site"
                )
        places.append(found)
    symbols = [site.element for site, found in zip(sites, places, strict=True) for _ in found]
    atoms = Atoms(symbols, scaled_positions=np.concatenate(places), cell=cell, pbc=True)
    return atoms, [len(found) for found in places]


def _orbit(images: Array, cell: Cell) -> Array:
    """Return the distinct places of images (n, 3) in fractional coordinates, each the mean of those that fall on it."""
    places: list[Array] = []
    counts: list[int] = []
    for image in images:
        if places:
            deltas = image - np.array(places)
            nearest = int(np.argmin(_distance(deltas, cell)))
            delta = deltas[nearest] - np.round(deltas[nearest])
            if _distance(delta, cell) < SAME_PLACE:
                counts[nearest] += 1
                places[nearest] = places[nearest] + delta / counts[nearest]
                continue
        places.append(image)
        counts.append(1)
    return np.array(places) % 1.0


def _distance(deltas: Array, cell: Cell) -> Array:
    """Return the lengths in Å of differences of fractional coordinates (..., 3), to the image that is close."""
    return np.asarray(np.linalg.norm((deltas - np.round(deltas)) @ cell.array, axis=-1))


def contradictions(tags: Tags, atoms: Atoms, multiplicities: Sequence[int]) -> list[str]:
    """Return in words what the file says of formula, content, density, volume and sites that the crystal is not."""
    wrong = []
    stated = next((tags[tag] for tag in MULTIPLICITIES if tag in tags), [])
    for label, text, made in zip(_labels(tags), stated, multiplicities, strict=False):
        if text and _number(text) != made:
            wrong.append(f"site {label} makes {made} atoms, where its multiplicity is {text}")
    wrong += _of_formula(tags, atoms)
    for tag, value, tolerance, unit in (
        ("cell_volume", float(atoms.get_volume()), VOLUME_TOLERANCE, "Å³"),
        ("exptl_crystal_density_diffrn", density_g_cm3(atoms), DENSITY_TOLERANCE, "g/cm³"),
    ):
        said = _number(_first(tags, tag))
        if math.isfinite(said) and abs(value - said) > tolerance * max(value, said):
            wrong.append(f"it makes {value:.4g} {unit}, where _{tag} is {said:g}")
    return wrong


def _of_formula(tags: Tags, atoms: Atoms) -> list[str]:
    """Return in words how a crystal differs from the formula and the number of formula units of its file."""
    formula = _first(tags, "chemical_formula_sum")
    if not re.fullmatch(r"(?:[A-Z][a-z]?\s*(?:\d+\.?\d*)?\s*)+", formula):
        return []
    wanted: dict[str, float] = {}
    for element, number in re.findall(r"([A-Z][a-z]?)\s*([\d.]*)", formula):
        wanted[element] = wanted.get(element, 0.0) + float(number or 1)
    made = Counter(atoms.get_chemical_symbols())
    times = [made[element] / number if number else 0.0 for element, number in wanted.items()]
    whole = math.isclose(times[0], round(times[0]), abs_tol=1e-6) and round(times[0]) > 0
    if set(made) != set(wanted) or not whole or not np.allclose(times, times[0]):
        return [f"its sites make {atoms.symbols.formula}, no multiple of its formula {formula}"]
    units = _number(_first(tags, "cell_formula_units_z"))
    # some programs give the formula of the cell, and Z of the reduced one
    valid = {times[0], float(math.gcd(*made.values())) if round(times[0]) == 1 else times[0]}
    if math.isfinite(units) and units not in valid:
        return [f"its sites make {times[0]:g} times its formula {formula}, where Z is {units:g}"]
    return []


def is_same_crystal(one: Atoms, other: Atoms) -> bool:
    """Return whether two crystals in one cell have the same elements at the same distances."""
    if Counter(one.get_chemical_symbols()) != Counter(other.get_chemical_symbols()):
        return False
    found = []
    for atoms in (one, other):
        first, second, distance = neighbour_pairs(atoms, RANGE)
        found.append(sorted(zip(atoms.numbers[first], atoms.numbers[second], distance, strict=True)))
    return len(found[0]) == len(found[1]) and bool(np.allclose(found[0], found[1], atol=PRECISION))


def _words(atoms: Atoms) -> str:
    return f"{atoms.symbols.formula} of {density_g_cm3(atoms):.2f} g/cm³"


def _labels(tags: Tags) -> list[str]:
    """Return the names of the sites, of their types where they have none."""
    return list(tags.get("atom_site_label") or tags.get("atom_site_type_symbol") or [])


def _first(tags: Tags, tag: str) -> str:
    return next(iter(tags.get(tag, [])), "")


def _number(text: str) -> float:
    """Return a number without its uncertainty, ``4.913(2)``; NaN for what is none."""
    return float(gemmi.cif.as_number(text.replace(" ", "")))

"""Interatomic potentials of LAMMPS: what defines one, and where its files are."""

from __future__ import annotations

import difflib
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Annotated, Self

from ase.data import atomic_numbers
from pydantic import Field, model_validator

from aiida_siox.checked import Checked, Number

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")
#: Signs of formulas and assignments of LAMMPS, which stand in no name of a file.
_SIGNS = frozenset("*()=:,")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


#: Text that says something.
Word = Annotated[str, Field(min_length=1, description="text that is not empty")]


class Potential(Checked):
    """A pair style of LAMMPS in metal units (eV, Å, ps, e) with its coefficients.

    In ``pair_coeff`` and ``commands``, ``{species}`` stands for the elements of the cell in the order of their types,
    ``{Si}`` for the number of the type of an element; a line that names a type that is not in the cell is left out.

    :param name: for people.
    :param source: paper or package.
    :param species: elements that it knows.
    :param pair_style: the words after ``pair_style``.
    :param pair_coeff: the words after each ``pair_coeff``.
    :param files: names of the files that the lines refer to, and of files beside one of them whose names begin with
        its name (``gap.xml.sparseX.GAP1`` beside ``gap.xml``).
    :param charges: in e by species; of all species or of none.
    :param commands: further lines, such as ``kspace_style pppm 1.0e-4``.
    """

    name: Word
    source: Word
    species: Annotated[tuple[Word, ...], Field(min_length=1)]
    pair_style: Word
    pair_coeff: Annotated[tuple[Word, ...], Field(min_length=1)]
    files: tuple[Word, ...] = ()
    charges: dict[str, Number] = Field(default_factory=dict)
    commands: tuple[Word, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if wrong := [symbol for symbol in self.species if symbol not in atomic_numbers]:
            raise ValueError(f"`species` names {wrong[0]}: it must name chemical elements")
        if self.charges and set(self.charges) != set(self.species):
            raise ValueError(f"`charges` must be given for all of its species, got {self.charges}")
        self._check_lines()
        return self

    def _check_lines(self) -> None:
        """Refuse lines that name a file which is not given, files that no line names, and unknown placeholders."""
        lines = (self.pair_style, *self.pair_coeff, *self.commands)
        for line in lines:
            if "\n" in line or "&" in line:
                raise ValueError(f"a line of a potential must be one command of LAMMPS, got {line!r}.")
        for line in lines[1:]:
            for placeholder in _PLACEHOLDER.findall(line):
                if placeholder != "species" and placeholder not in self.species:
                    valid = ", ".join(f"{{{word}}}" for word in ("species", *self.species))
                    raise ValueError(f"`{{{placeholder}}}` in `{line}` stands for nothing. Valid: {valid}.")
        words = {word: line for line in lines for word in _words(line)}
        named = tuple(name for name in self.files if name in words)
        for name in self.files:
            if not name.startswith(named):
                near = difflib.get_close_matches(name, [word for word in words if _looks_like_file(word)], n=1)
                hint = f"Did you mean `{near[0]}`, which a line names? " if near else ""
                raise ValueError(
                    f"the file {name} of the potential stands in none of its lines. {hint}Name it in pair_style, "
                    "pair_coeff or commands, or take it out of `files`. Only a file beside one that is named needs no "
                    "line, if its name begins with that name, as gap.xml.sparseX.GAP1 beside gap.xml."
                )
            if pathlib.PurePath(name).name != name:
                raise ValueError(f"`files` of a potential must be names without folders, got {name}.")
        for word, line in words.items():
            if _looks_like_file(word) and word not in self.files:
                raise ValueError(
                    f"`{word}` in `{line}` looks like a file: add it to `files` of the potential, or, if LAMMPS is to "
                    "write it, name it without a point."
                )

    @property
    def atom_style(self) -> str:
        """The atom style that LAMMPS needs for it."""
        return "charge" if self.charges else "atomic"

    def check_species(self, symbols: Sequence[str]) -> None:
        """Refuse a cell with an element that the potential does not know.

        :raises ValueError: naming it.
        """
        if others := sorted(set(symbols) - set(self.species)):
            raise ValueError(
                f"the potential {self.name} knows {' and '.join(self.species)} only, the cell has {', '.join(others)}: "
                "take another potential or formula."
            )

    def commands_for(self, species: Sequence[str]) -> list[str]:
        """Return the commands of LAMMPS for the species of a cell, in the order of their types.

        :raises ValueError: for a species that the potential does not know.
        """
        self.check_species(species)
        values = {"species": " ".join(species)} | {symbol: str(i) for i, symbol in enumerate(species, start=1)}
        lines = [f"pair_style {self.pair_style}"]
        for command, entries in (("pair_coeff ", self.pair_coeff), ("", self.commands)):
            for entry in entries:
                if set(_PLACEHOLDER.findall(entry)) <= set(values):
                    lines.append(command + _PLACEHOLDER.sub(lambda match: values[match.group(1)], entry))
        return lines


def _words(line: str) -> list[str]:
    """Return the words of a line without quotes."""
    return [word.strip("\"'") for word in line.split()]


def _looks_like_file(word: str) -> bool:
    """Return whether a word with a point and letters is neither a number (``1.0e-4``) nor a formula (``2.0*PI``)."""
    letters = any(sign.isalpha() for sign in word)
    return "." in word and letters and not _NUMBER.match(word) and not _SIGNS & set(word)


def potential_folders() -> list[pathlib.Path]:
    """Return the folders in which LAMMPS installations keep their potentials, those of the user first."""
    folders = [pathlib.Path(item) for item in os.environ.get("LAMMPS_POTENTIALS", "").split(os.pathsep) if item]
    prefixes = [os.environ.get("CONDA_PREFIX"), sys.prefix]
    executable = shutil.which("lmp")
    if executable:
        prefixes.append(str(pathlib.Path(executable).resolve().parent.parent))
    prefixes += ["/usr", "/usr/local"]
    folders += [pathlib.Path(prefix) / "share" / "lammps" / "potentials" for prefix in prefixes if prefix]
    return list(dict.fromkeys(folders))


def find_potential_file(name: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path of a potential file: a path of the user, or a name in the LAMMPS installation of this machine.

    :raises FileNotFoundError: naming the folders that were searched and the remedy.
    """
    path = pathlib.Path(name).expanduser()
    if path.is_file():
        return path
    folders = potential_folders() if path.name == str(name) else []
    for folder in folders:
        if (folder / path).is_file():
            return folder / path
    searched = ", ".join(str(folder) for folder in [pathlib.Path.cwd(), *folders])
    raise FileNotFoundError(
        f"the potential file {name} was not found in {searched}. Install it (package lammps-data of Debian and Ubuntu, "
        "lammps of conda-forge), give its path, or set LAMMPS_POTENTIALS to the folder that holds it."
    )


def species_of_tersoff(text: str) -> set[str]:
    """Return the elements for which a Tersoff file has a complete set of their own (the entries ``X X X``)."""
    words = " ".join(line.split("#")[0] for line in text.splitlines()).split()
    found = set()
    for start in range(0, len(words) - 2, 17):
        triple = words[start : start + 3]
        if len(set(triple)) == 1:
            found.add(triple[0])
    return found

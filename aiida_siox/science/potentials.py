"""Find the interatomic potential that an installed LAMMPS brings along."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys

TERSOFF_FILE = "SiO.tersoff"
"""Munetoh et al., Comput. Mater. Sci. 2007, 39, 334–339, as distributed with LAMMPS."""


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


def find_tersoff_potential(name: str = TERSOFF_FILE) -> pathlib.Path:
    """Return the path of a potential file of the LAMMPS installation on this machine.

    :raises FileNotFoundError: naming the folders that were searched and the remedy.
    """
    folders = potential_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    searched = ", ".join(str(folder) for folder in folders)
    raise FileNotFoundError(
        f"the potential file {name} was not found in {searched}. Install it (package lammps-data of Debian and Ubuntu, "
        "lammps of conda-forge), or set LAMMPS_POTENTIALS to the folder that holds it."
    )


def species_of_potential(text: str) -> set[str]:
    """Return the elements for which a Tersoff file has a complete set of their own (the entries ``X X X``)."""
    words = " ".join(line.split("#")[0] for line in text.splitlines()).split()
    found = set()
    for start in range(0, len(words) - 2, 17):
        triple = words[start : start + 3]
        if len(set(triple)) == 1:
            found.add(triple[0])
    return found

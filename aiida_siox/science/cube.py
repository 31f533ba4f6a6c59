"""Volumetric data in Gaussian cube files: reading and writing with numpy alone.

The format is the one that pp.x of Quantum ESPRESSO writes (``output_format = 6``): the third index runs fastest, voxel
vectors are in bohr, densities in electrons per cubic bohr. baderkit 0.10.2 reads it wrongly when the first and the last
number of points differ, hence our own reading.
"""

from __future__ import annotations

import pathlib
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_siox.science.constants import BOHR_ANGSTROM

_VALUES_PER_LINE = 6


class CubeError(ValueError):
    """A cube file that cannot be used, with what is wrong and where."""


@dataclass(frozen=True)
class Cube:
    """A scalar field on the regular grid of a periodic cell.

    :param cell: lattice vectors as rows, (3, 3), Å.
    :param numbers: atomic numbers, (n_atoms,).
    :param positions: Cartesian positions relative to the first grid point, (n_atoms, 3), Å.
    :param values: field, (n_x, n_y, n_z); a density is in electrons per Å³.
    """

    cell: NDArray[np.float64]
    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def volume(self) -> float:
        """Return the volume of the cell in Å³."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def voxel_volume(self) -> float:
        """Return the volume that belongs to one grid point in Å³."""
        return self.volume / self.values.size

    @property
    def integral(self) -> float:
        """Return the integral of the field over the cell; for a density the number of electrons."""
        return float(self.values.sum()) * self.voxel_volume

    def same_grid(self, other: Cube) -> bool:
        """Say whether another cube has the same cell (to 1e-4 Å), atoms and grid."""
        return (
            self.values.shape == other.values.shape
            and np.array_equal(self.numbers, other.numbers)
            and np.allclose(self.cell, other.cell, rtol=0.0, atol=1e-4)
            and np.allclose(self.positions, other.positions, rtol=0.0, atol=1e-4)
        )


def _numbers(text: bytes, count: int, path: pathlib.Path) -> NDArray[np.float64]:
    """Return the values of the grid from the text below the header.

    :raises CubeError: if a value cannot be read or their number differs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # what numpy gives for text that is not a number
        try:
            values = np.fromstring(text, dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            # Fortran leaves out the letter of an exponent of three digits: 0.12345-103
            try:
                values = np.array([_fortran_float(word) for word in text.split()])
            except ValueError as exception:
                raise CubeError(f"{path}: a value of the grid cannot be read: {exception}") from exception
    if len(values) != count:
        raise CubeError(
            f"{path}: {len(values)} values for a grid of {count} points: the file is incomplete or damaged."
        )
    if not np.isfinite(values).all():
        raise CubeError(f"{path}: the grid holds values that are not finite numbers.")
    return values


def _fortran_float(word: bytes) -> float:
    """Return a number as Fortran writes it, with D for E or without the letter of a long exponent."""
    text = word.decode("ascii", errors="replace").upper().replace("D", "E")
    if "E" not in text:
        for sign in "+-":
            mantissa, separator, exponent = text[1:].partition(sign)
            if separator:
                return float(f"{text[0]}{mantissa}E{sign}{exponent}")
    return float(text)


def read_cube(path: pathlib.Path | str) -> Cube:
    """Read a density from a Gaussian cube file.

    :param path: file with voxel vectors in bohr (in Å if the numbers of points are negative) and one value a point in
        electrons per cubic bohr (per Å³).
    :returns: lengths in Å, values in electrons per Å³.
    :raises CubeError: if the file is damaged, incomplete or not a cube file of one field.
    """
    path = pathlib.Path(path)
    try:
        content = path.read_bytes()
    except OSError as exception:
        raise CubeError(f"{path} cannot be read: {exception.strerror}.") from exception
    head = content.split(b"\n", 6)
    try:
        if len(head) < 7:
            raise ValueError("the header ends early")
        words = head[2].split()
        n_atoms, origin = int(words[0]), np.array(words[1:4], dtype=np.float64)
        if n_atoms < 0:
            raise ValueError("files of orbitals (a negative number of atoms) are not densities")
        if len(words) > 4 and int(words[4]) != 1:
            raise ValueError("more than one value a point")
        voxels = [line.split() for line in head[3:6]]
        shape = np.array([row[0] for row in voxels], dtype=np.int64)
        vectors = np.array([row[1:4] for row in voxels], dtype=np.float64)
        body = head[6].split(b"\n", n_atoms)
        if len(body) <= n_atoms:
            raise ValueError("the list of atoms ends early")
        atoms = np.array([line.split()[:5] for line in body[:n_atoms]], dtype=np.float64).reshape(n_atoms, 5)
    except (ValueError, IndexError) as exception:
        raise CubeError(f"{path} is not a readable cube file: {exception}.") from exception
    if (shape == 0).any() or ((shape < 0).any() and (shape > 0).any()):
        raise CubeError(f"{path}: numbers of points {shape.tolist()}.")
    unit = BOHR_ANGSTROM if shape[0] > 0 else 1.0
    shape = np.abs(shape)
    cell = vectors * shape[:, None] * unit
    if abs(np.linalg.det(cell)) < 1e-6:
        raise CubeError(f"{path}: the three voxel vectors do not span a volume.")
    values = _numbers(body[n_atoms], int(shape.prod()), path)
    return Cube(
        cell=cell,
        numbers=atoms[:, 0].astype(np.int64),
        positions=(atoms[:, 2:5] - origin) * unit,
        values=values.reshape(shape) / unit**3,
    )


def write_cube(path: pathlib.Path | str, cube: Cube, comment: str = "aiida_siox") -> None:
    """Write a density to a Gaussian cube file as pp.x does: bohr, electrons per cubic bohr, third index fastest.

    :param path: file to write.
    :param cube: field, electrons per Å³.
    :param comment: first line of the file.
    """
    values = cube.values * BOHR_ANGSTROM**3
    lines = [comment, "density in electrons per cubic bohr", f"{len(cube.numbers):5d}" + 3 * f"{0.0:14.8f}"]
    for points, vector in zip(values.shape, cube.cell, strict=True):
        lines.append(f"{points:5d}" + "".join(f"{x:14.8f}" for x in vector / points / BOHR_ANGSTROM))
    for number, position in zip(cube.numbers, cube.positions, strict=True):
        lines.append(f"{number:5d}{float(number):14.8f}" + "".join(f"{x:14.8f}" for x in position / BOHR_ANGSTROM))
    for row in values.reshape(-1, values.shape[2]):
        for start in range(0, len(row), _VALUES_PER_LINE):
            lines.append("".join(f"{x:16.8E}" for x in row[start : start + _VALUES_PER_LINE]))
    pathlib.Path(path).write_text("\n".join(lines) + "\n")

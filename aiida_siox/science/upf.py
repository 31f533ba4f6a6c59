"""Repair of the UPF files that ld1.x 6.7 writes, so that pw.x and xspectra.x can read and use them.

ld1.x 6.7 cannot write GIPAW data together with PAW data, writes ``PP_MULTIPOLES`` of PAW data as one line that is too
long for the xml reader of pw.x, and stamps the date into every file (so that no two runs give the same content). The
functions here are pure: text and arrays in, text out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: pw.x 6.7 reads xml in lines of at most 1024 characters; attributes of the header stay below that.
MAX_LINE = 1024
#: Numbers on one line of the data this module writes.
COLUMNS = 4
#: What takes the place of the generation date.
NO_DATE = "not recorded"

ANGULAR_MOMENTUM = {"S": 0, "P": 1, "D": 2, "F": 3}

_DATE_INFO = re.compile(r"^([ \t]*Generation date:).*$", re.MULTILINE)
_HEADER = re.compile(r"<PP_HEADER\b[^>]*?/?>", re.DOTALL)
_ORBITAL = re.compile(r"^(\d)([SPDF])$")
_GENERATION = re.compile(r"Generation configuration:\s*\n((?:\s*\d[A-Z]\s.*\n)+)")


@dataclass(frozen=True)
class Orbitals:
    """Radial functions of a free atom.

    :param r: radial mesh in bohr, shape (n_r,).
    :param values: r·ψ(r) by label such as ``1S``, each of shape (n_r,), in bohr^-1/2.
    """

    r: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]


def read_orbitals(text: str) -> Orbitals:
    """Read the all-electron orbitals that ld1.x writes to ``ld1.wfc``.

    Columns are found by the names in the header line, not by their position.

    :param text: the file: a line ``# r 3D 3P ... 1S`` and rows of numbers.
    :returns: mesh and orbitals.
    :raises ValueError: if there is no header, no data, or the table is torn.
    """
    lines = text.splitlines()
    if not lines or not lines[0].lstrip().startswith("#"):
        raise ValueError("the orbitals file has no header line `# r <orbitals>`.")
    names = lines[0].replace("#", " ").split()
    if not names or names[0] != "r":
        raise ValueError(f"the first column of the orbitals file must be `r`, the header is `{lines[0].strip()}`.")
    rows = [line.split() for line in lines[1:] if line.strip() and not line.lstrip().startswith("#")]
    if not rows:
        raise ValueError("the orbitals file holds no data.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise ValueError(f"row {number} of the orbitals file has {len(row)} columns where {len(names)} are named.")
    data = np.array(rows, dtype=float)
    return Orbitals(r=data[:, 0], values={name: data[:, column] for column, name in enumerate(names) if column})


def quantum_numbers(label: str) -> tuple[int, int]:
    """Return (n, l) of an orbital label such as ``2P``.

    :raises ValueError: if the label is not a digit and one of S, P, D, F.
    """
    match = _ORBITAL.match(label.upper())
    if match is None:
        raise ValueError(f"`{label}` is not the label of an orbital such as 1S or 2P.")
    return int(match.group(1)), ANGULAR_MOMENTUM[match.group(2)]


def core_labels(upf: str, orbitals: Orbitals) -> list[str]:
    """Return the labels of the core orbitals, innermost first.

    Core is what the all-electron run has and the generation configuration (valence, projectors and the orbital of the
    local potential) has not.

    :param upf: text of the UPF file as ld1.x wrote it.
    :param orbitals: the all-electron orbitals of the same run.
    :raises ValueError: if the file does not tell its generation configuration.
    """
    match = _GENERATION.search(upf)
    if match is None:
        raise ValueError("the UPF file has no `Generation configuration` in its PP_INFO.")
    valence = {line.split()[0].upper() for line in match.group(1).splitlines() if line.strip()}
    return sorted((label for label in orbitals.values if label.upper() not in valence), key=quantum_numbers)


def header_attributes(upf: str) -> dict[str, str]:
    """Return the attributes of ``PP_HEADER``.

    :raises ValueError: if there is no such section.
    """
    match = _HEADER.search(upf)
    if match is None:
        raise ValueError("the UPF file has no PP_HEADER.")
    return {name: value.strip() for name, value in re.findall(r'(\w+)\s*=\s*"([^"]*)"', match.group(0))}


def radial_mesh(upf: str) -> NDArray[np.float64]:
    """Return the radial mesh ``PP_R`` in bohr, shape (n_r,).

    :raises ValueError: if there is none.
    """
    match = re.search(r"<PP_R\b[^>]*>(.*?)</PP_R>", upf, re.DOTALL)
    if match is None:
        raise ValueError("the UPF file has no PP_R.")
    return np.array(match.group(1).split(), dtype=float)


def strip_date(upf: str) -> str:
    """Take the generation date out, so that equal inputs give equal files (and AiiDA can cache)."""
    upf = _DATE_INFO.sub(rf"\g<1> {NO_DATE}", upf)
    return _HEADER.sub(lambda m: re.sub(r'(\bdate\s*=\s*)"[^"]*"', rf'\1"{NO_DATE}"', m.group(0)), upf, count=1)


def wrap_long_lines(upf: str, columns: int = COLUMNS, max_length: int = 132) -> str:
    """Break lines of bare numbers that are longer than ``max_length`` into lines of ``columns`` numbers.

    Lines with a tag are left alone: an attribute must not be broken.

    :raises ValueError: if a line with a tag exceeds what pw.x can read.
    """
    lines: list[str] = []
    for line in upf.split("\n"):
        if len(line) <= max_length or "<" in line or ">" in line:
            if len(line) > MAX_LINE:
                raise ValueError(f"a line with a tag has {len(line)} characters; pw.x reads {MAX_LINE}.")
            lines.append(line)
            continue
        numbers = line.split()
        lines.extend("  " + "  ".join(numbers[i : i + columns]) for i in range(0, len(numbers), columns))
    return "\n".join(lines)


def set_header_flags(upf: str, **flags: bool) -> str:
    """Set logical attributes of ``PP_HEADER``, such as ``has_gipaw=True``.

    :raises ValueError: if the header lacks one of them.
    """

    def replace(match: re.Match[str]) -> str:
        header = match.group(0)
        for name, value in flags.items():
            header, count = re.subn(rf'(\b{name}\s*=\s*)"[^"]*"', rf'\1"{str(value).lower()}"', header)
            if count != 1:
                raise ValueError(f"PP_HEADER has no attribute `{name}`.")
        return header

    result, count = _HEADER.subn(replace, upf, count=1)
    if count != 1:
        raise ValueError("the UPF file has no PP_HEADER.")
    return result


def gipaw_section(orbitals: Orbitals, labels: list[str]) -> str:
    """Return the ``PP_GIPAW`` section with core orbitals only (format 2, for PAW sets read as GIPAW).

    :param orbitals: all-electron orbitals on the mesh of the UPF file.
    :param labels: the core orbitals to write, in this order.
    """
    lines = [
        '  <PP_GIPAW gipaw_data_format="2">',
        f'    <PP_GIPAW_CORE_ORBITALS number_of_core_orbitals="{len(labels)}">',
    ]
    for index, label in enumerate(labels, start=1):
        n, l = quantum_numbers(label)  # noqa: E741 (the name of the quantum number)
        tag = f"PP_GIPAW_CORE_ORBITAL.{index}"
        size = orbitals.r.size
        lines.append(
            f'      <{tag} type="real" size="{size}" columns="{COLUMNS}" index="{index}" label="{label}" '
            f'n="{n:.15E}" l="{l:.15E}">'
        )
        values = orbitals.values[label]
        for start in range(0, size, COLUMNS):
            lines.append(" ".join(f"{value: .15E}" for value in values[start : start + COLUMNS]))
        lines.append(f"      </{tag}>")
    lines += ["    </PP_GIPAW_CORE_ORBITALS>", "  </PP_GIPAW>"]
    return "\n".join(lines) + "\n"


def repair(upf: str, orbitals: Orbitals) -> str:
    """Return a UPF file that pw.x and xspectra.x 6.7 read, from what ld1.x 6.7 wrote.

    Long lines are wrapped, the date is taken out and, where a PAW file has none, a PP_GIPAW section with the
    all-electron core orbitals is added. A file that is already complete (ultrasoft, or of a newer ld1.x) keeps its own
    section; applying the repair twice changes nothing.

    :param upf: text of the UPF file.
    :param orbitals: all-electron orbitals of the same run (``ld1.wfc``).
    :raises ValueError: if the file is torn, is neither PAW nor ultrasoft, or the meshes differ.
    """
    header = header_attributes(upf)
    if not upf.rstrip().endswith("</UPF>"):
        raise ValueError("the UPF file does not end with </UPF>: it was not written to its end.")
    if header.get("pseudo_type") not in ("PAW", "USPP"):
        raise ValueError(f"the UPF file holds `{header.get('pseudo_type')}` data, PAW or ultrasoft is needed.")
    mesh = radial_mesh(upf)
    if int(header["mesh_size"]) != mesh.size:
        raise ValueError(f"PP_R has {mesh.size} points where the header says {header['mesh_size']}.")
    upf = strip_date(upf)
    if header["pseudo_type"] == "USPP":  # ld1.x writes the reconstruction itself, if it is asked to
        return wrap_long_lines(upf)
    if "<PP_GIPAW" not in upf:
        if orbitals.r.size != mesh.size or not np.allclose(orbitals.r, mesh, rtol=1e-6, atol=2e-12):
            raise ValueError("the mesh of the orbitals is not the mesh of the UPF file: they are of different runs.")
        labels = core_labels(upf, orbitals)
        if not labels:
            raise ValueError("the all-electron run has no core orbital to write into PP_GIPAW.")
        body, _, _ = upf.rpartition("</UPF>")
        upf = body + gipaw_section(orbitals, labels) + "</UPF>\n"
    return wrap_long_lines(set_header_flags(upf, has_gipaw=True, paw_as_gipaw=True))


def core_wavefunction(orbitals: Orbitals, label: str) -> str | None:
    """Return the core wavefunction file of xspectra.x: one ``#`` line, then r and r·ψ in two columns.

    :param orbitals: all-electron orbitals of the ground-state set.
    :param label: the core level.
    :returns: the text, or None where the atom has no such orbital.
    """
    values = orbitals.values.get(label)
    if values is None:
        return None
    lines = [f"# {label}: r (bohr), r*psi(r)"]
    lines += [f"{r:.12E} {value:.12E}" for r, value in zip(orbitals.r, values, strict=True)]
    return "\n".join(lines) + "\n"


def is_paw(text: str) -> bool | None:
    """Return what the header of a UPF file says of PAW; None when it does not say."""
    match = re.search(r'is_paw\s*=\s*"\s*\.?(\w)', text)
    return None if match is None else match.group(1).lower() == "t"

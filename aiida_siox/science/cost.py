"""What an engine job costs: a table by engine, each with one exponent of the size of the cell.

The size is (N² N_pw)^⅓ with the atoms N and the plane waves N_pw of a wavefunction (of the density where the engine
works on its grid): at one cutoff and density it is proportional to N, and its cube is the work of orthogonalising bands
in a plane-wave code (P. Giannozzi et al., J. Phys.: Condens. Matter 21, 395502 (2009)), vacuum included. LAMMPS knows
no plane waves: N counts. The numbers were measured; `docs/validation/cost.py` fits them and says how far they are off.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from aiida_siox.science.constants import BOHR_ANGSTROM

#: Engine jobs by the name of their code, in the order in which they run.
ENGINES = ("lmp", "ld1", "pw", "bader", "xspectra")

BYTES_COMPLEX = 16
#: Bytes of a value in a cube file (6 a line of 13 characters each) and in pp.x's filplot (5 a line of 17).
BYTES_OF_CUBE_VALUE = (6 * 13 + 1) / 6 + (5 * 17 + 1) / 5
#: Beyond the largest cell that was measured by more than this factor a job counts as extrapolated.
RANGE_TOLERANCE = 1.1


@dataclasses.dataclass(frozen=True)
class Job:
    """What drives the cost of one engine job; what an engine does not know stays at its default.

    :param engine: one of :data:`ENGINES`.
    :param n_atoms: of the cell.
    :param n_plane_waves: of a wavefunction, or of the density for Bader charges; 0 where only atoms count.
    :param repeats: how often the engine does its work: steps of molecular dynamics, k points of an SCF, Lanczos chains
        times √(cutoff / half width).
    :param n_kpoints: whose wavefunctions stay in the scratch.
    :param digits: −log₁₀ of the convergence threshold: Ry per atom for pw.x, `xerror` for xspectra.x.
    """

    engine: str
    n_atoms: int = 0
    n_plane_waves: float = 0.0
    repeats: float = 1.0
    n_kpoints: int = 0
    digits: float = 1.0

    def __post_init__(self) -> None:
        """Refuse an engine that nobody knows.

        :raises ValueError: naming the engine and those that are known.
        """
        if self.engine not in ENGINES:
            raise ValueError(f"no cost is known for the engine `{self.engine}`. Valid: {', '.join(ENGINES)}.")

    @property
    def size(self) -> float:
        """Size of the cell, proportional to the number of atoms at one density and cutoff."""
        return (self.n_atoms**2 * (self.n_plane_waves or self.n_atoms)) ** (1 / 3)


def plane_waves(volume_A3: float, cutoff_Ry: float) -> float:
    """Return V k³ / 6π², the plane waves below a cutoff (hbar² k² / 2m = E, so k = √E in bohr⁻¹ with E in Ry)."""
    return volume_A3 / BOHR_ANGSTROM**3 * cutoff_Ry**1.5 / (6 * math.pi**2)


def scf_kpoints(mesh: Sequence[int]) -> int:
    """Return the k points pw.x runs of a Γ-centred mesh with time reversal and no symmetry of the cell."""
    invariant = math.prod(2 if n % 2 == 0 else 1 for n in mesh)
    return (math.prod(mesh) + invariant) // 2


def lanczos_repeats(n_chains: int, ecutwfc_Ry: float, gamma_eV: float) -> float:
    """Return what the iterations of xspectra.x are proportional to at one `xerror`.

    The Lanczos chain resolves a broadening γ near the lower end of a spectrum that the cutoff spans, which takes
    √(cutoff / γ) iterations.

    :param n_chains: k points times polarisations.
    """
    return n_chains * math.sqrt(ecutwfc_Ry / gamma_eV)


def scratch_passing(job: Job) -> float:
    """Return the bytes a job writes and removes again: for Bader two densities, each as filplot and as cube file.

    The Fourier grid V (k / π)³ of a density holds 6 / π times its plane waves.
    """
    return 2 * BYTES_OF_CUBE_VALUE * 6 / math.pi * job.n_plane_waves if job.engine == "bader" else 0.0


@dataclasses.dataclass(frozen=True)
class EngineCost:
    """One row of the table.

    :param start_s: seconds of one core of any job.
    :param atom_s: seconds of an atom and a digit of convergence.
    :param unit_s: seconds of one repeat in a cell of size 1.
    :param exponent: of the size.
    :param per_digit: factor of the iterations for each digit of convergence; None: proportional to the digits.
    :param largest: atoms of the largest cell that was measured; 0 where size does not matter.
    :param stored_bytes: that a job adds to the profile; the next two for each atom, and each repeat and iteration.
    :param scratch_bytes: that a job leaves beside its wavefunctions.
    :param bands_per_atom: whose wavefunctions it leaves.
    """

    start_s: float = 0.0
    atom_s: float = 0.0
    unit_s: float = 0.0
    exponent: float = 1.0
    per_digit: float | None = None
    largest: int = 0
    stored_bytes: float = 0.0
    stored_per_atom: float = 0.0
    stored_per_repeat: float = 0.0
    scratch_bytes: float = 0.0
    bands_per_atom: float = 0.0

    def iterations(self, job: Job) -> float:
        """Return what the number of iterations is proportional to."""
        return job.digits if self.per_digit is None else self.per_digit**job.digits


@dataclasses.dataclass(frozen=True)
class CostTable:
    """What jobs of all engines cost.

    :param engines: rows by engine.
    :param overhead_s: seconds of AiiDA around a job.
    :param about: when and with what it was measured.
    """

    engines: dict[str, EngineCost]
    overhead_s: float
    about: dict[str, Any]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostTable:
        """Return the table of a mapping as in protocols/cost.yaml.

        :raises ValueError: if the mapping is something else.
        """
        try:
            rows = {engine: EngineCost(**data["engines"][engine]) for engine in ENGINES}
            return cls(rows, float(data["overhead_s"]), dict(data["about"]))
        except (KeyError, TypeError) as exception:
            raise ValueError(
                f"this is no table of costs ({exception!r}): print one with docs/validation/cost.py."
            ) from None

    def seconds(self, job: Job) -> float:
        """Return the seconds of one core of a job."""
        row = self.engines[job.engine]
        work = row.atom_s * job.n_atoms + row.unit_s * job.repeats * job.size**row.exponent
        return row.start_s + row.iterations(job) * work

    def stored_bytes(self, job: Job) -> float:
        """Return what a job adds to the profile, repository and database."""
        row = self.engines[job.engine]
        return (
            row.stored_bytes
            + row.stored_per_atom * job.n_atoms
            + row.stored_per_repeat * job.repeats * row.iterations(job)
        )

    def scratch_bytes(self, job: Job) -> float:
        """Return what a job leaves in its scratch: for pw.x the wavefunctions and the density, eight times as large."""
        row = self.engines[job.engine]
        arrays = (job.n_kpoints * row.bands_per_atom * job.n_atoms + 8) if row.bands_per_atom else 0.0
        return row.scratch_bytes + BYTES_COMPLEX * arrays * job.n_plane_waves

    def is_extrapolated(self, job: Job) -> bool:
        """Return whether the cell is larger than all that were measured with its engine."""
        largest = self.engines[job.engine].largest
        return bool(largest) and job.n_atoms > RANGE_TOLERANCE * largest

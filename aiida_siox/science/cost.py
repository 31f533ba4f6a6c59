"""What an engine job costs: seconds of one core, scratch and repository bytes, from what drives each engine.

The seconds of a job are a sum of terms, each a product of counts that follow from how the engine works (cell, mesh,
cutoffs, iterations); their coefficients are fitted to measured jobs and are never negative, so that the model stays
sensible beyond the sizes that were measured. The terms of pw.x are those of a plane-wave code (P. Giannozzi et al.,
J. Phys.: Condens. Matter 21, 395502 (2009)): per SCF iteration and k point N_b N_g ln N_g for the Fourier transforms,
and N_b² N_g for projectors and orthogonalisation. xspectra.x (C. Gougoussis et al., Phys. Rev. B 80, 075102 (2009))
applies the same Hamiltonian, and S⁻¹, to one vector in each Lanczos iteration.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

#: Engine jobs by the name of their code.
ENGINES = ("lmp", "ld1", "pw", "bader", "xspectra")

BOHR_ANGSTROM = 0.529177210903
BYTES_COMPLEX = 16
#: Bytes of a value in a cube file (6 a line of 13 characters each) and in pp.x's filplot (5 a line of 17).
BYTES_OF_CUBE_VALUE = (6 * 13 + 1) / 6 + (5 * 17 + 1) / 5
#: Beyond the measured range by more than this factor a job counts as extrapolated.
RANGE_TOLERANCE = 1.1
#: The same for the digits of convergence, absolute.
DIGITS_TOLERANCE = 0.5


@dataclasses.dataclass(frozen=True)
class JobSize:
    """What drives the cost of one engine job; 0 where an engine knows no such thing.

    :param engine: one of :data:`ENGINES`.
    :param kind: ``ground`` or ``hole`` for pw.x: the cell without and with the core hole.
    :param n_atoms: of the cell.
    :param volume_A3: of the cell.
    :param n_bands: of pw.x.
    :param n_kpoints: those that the engine runs through.
    :param n_polarisations: of xspectra.x.
    :param ecutwfc_Ry: cutoff of the wavefunctions.
    :param ecutrho_Ry: cutoff of the density.
    :param digits: −log₁₀ of the convergence threshold: Ry per atom for pw.x, `xerror` for xspectra.x.
    :param gamma_eV: half width of the Lorentzian down to which xspectra.x converges.
    :param iterations: steps of molecular dynamics, of the SCF, or of the Lanczos chain of a k point; 0 when unknown.
    :param n_records: rows of the thermodynamic series that LAMMPS prints.
    """

    engine: str
    kind: str = ""
    n_atoms: int = 0
    volume_A3: float = 0.0
    n_bands: int = 0
    n_kpoints: int = 0
    n_polarisations: int = 0
    ecutwfc_Ry: float = 0.0
    ecutrho_Ry: float = 0.0
    digits: float = 0.0
    gamma_eV: float = 0.0
    iterations: float = 0.0
    n_records: int = 0

    def __post_init__(self) -> None:
        """Refuse an engine that nobody knows.

        :raises ValueError: naming the engine and those that are known.
        """
        if self.engine not in ENGINES:
            raise ValueError(f"no cost is known for the engine `{self.engine}`. Valid: {', '.join(ENGINES)}.")

    @property
    def n_plane_waves(self) -> float:
        """Plane waves of a wavefunction, a sphere in reciprocal space."""
        return plane_waves(self.volume_A3, self.ecutwfc_Ry)

    @property
    def n_grid(self) -> float:
        """Points of the real-space grid of the density."""
        return grid_points(self.volume_A3, self.ecutrho_Ry)


def plane_waves(volume_A3: float, ecutwfc_Ry: float) -> float:
    """Return V k³ / 6π², the plane waves below a cutoff (hbar² k² / 2m = E, so k = √E in bohr⁻¹ with E in Ry)."""
    return volume_A3 / BOHR_ANGSTROM**3 * ecutwfc_Ry**1.5 / (6 * math.pi**2)


def grid_points(volume_A3: float, ecutrho_Ry: float) -> float:
    """Return V (k / π)³: the Fourier grid that holds all vectors up to k = √ecutrho (bohr⁻¹) in both directions."""
    return volume_A3 / BOHR_ANGSTROM**3 * (math.sqrt(ecutrho_Ry) / math.pi) ** 3


def count_bands(counts: Mapping[str, int], valence: Mapping[str, float]) -> int:
    """Return the bands pw.x takes with smearing: 1.2 times those that are filled, at least 4 more (INPUT_PW, nbnd).

    With the core hole (``fch``) the number of valence electrons is the same.

    :param counts: atoms by element.
    :param valence: electrons of an atom by element.
    """
    filled = sum(valence[element] * number for element, number in counts.items()) / 2
    return max(round(1.2 * filled), round(filled) + 4)


def scf_kpoints(mesh: Sequence[int]) -> int:
    """Return the k points pw.x runs of a Γ-centred mesh with time reversal and no symmetry of the cell."""
    invariant = math.prod(2 if n % 2 == 0 else 1 for n in mesh)
    return (math.prod(mesh) + invariant) // 2


def terms(size: JobSize) -> dict[str, float]:
    """Return the terms of the seconds of a job, by name; its coefficients multiply them."""
    steps, atoms = size.iterations, float(size.n_atoms)
    if size.engine == "ld1":
        return {"start": 1.0}
    if size.engine == "lmp":
        return {"start": 1.0, "steps": steps, "atom_steps": steps * atoms}
    if size.engine == "bader":
        return {"start": 1.0, "grid": size.n_grid}
    waves = size.n_plane_waves
    transforms = waves * math.log(max(waves, math.e))
    if size.engine == "pw":
        return {
            "start": 1.0,
            "paw": steps * atoms,
            "transforms": steps * size.n_kpoints * size.n_bands * transforms,
            "orthogonalisation": steps * size.n_kpoints * size.n_bands**2 * waves,
        }
    chains = size.n_kpoints * size.n_polarisations
    return {
        "start": float(size.n_polarisations),
        "transforms": chains * steps * transforms,
        "projectors": chains * steps * atoms * waves,
    }


def iteration_driver(size: JobSize) -> float:
    """Return what the number of iterations is proportional to at a given threshold.

    An SCF converges linearly: so many iterations for each digit. The Lanczos chain resolves a broadening γ near the
    lower end of a spectrum that the cutoff spans, which takes √(cutoff / γ) iterations.
    """
    return size.digits if size.engine == "pw" else math.sqrt(size.ecutwfc_Ry / size.gamma_eV)


def repository_terms(size: JobSize) -> dict[str, float]:
    """Return the terms of the repository bytes of a job, by name: what its files hold many of."""
    counts = {
        "lmp": {"records": float(size.n_records), "atoms": float(size.n_atoms)},
        "ld1": {},
        "pw": {"atoms": float(size.n_atoms), "levels": float(size.n_kpoints * size.n_bands)},
        "bader": {"atoms": float(size.n_atoms)},
        "xspectra": {"lanczos": float(size.n_kpoints * size.n_polarisations * size.iterations)},
    }
    return {"constant": 1.0, **counts[size.engine]}


def scratch_arrays(size: JobSize) -> float:
    """Return the bytes of the arrays a job leaves in its scratch: wavefunctions and density of pw.x."""
    if size.engine != "pw":
        return 0.0
    wavefunctions = size.n_kpoints * size.n_bands * size.n_plane_waves
    return BYTES_COMPLEX * (wavefunctions + plane_waves(size.volume_A3, size.ecutrho_Ry))


def scratch_passing(size: JobSize) -> float:
    """Return the bytes a job writes and removes again: for Bader two densities, each as filplot and as cube file."""
    return 2 * BYTES_OF_CUBE_VALUE * size.n_grid if size.engine == "bader" else 0.0


@dataclasses.dataclass(frozen=True)
class LinearFit:
    """Coefficients of a sum of terms.

    :param coefficients: by term, none negative.
    :param covariance: of the coefficients, shape (n_terms, n_terms), in their order.
    :param spread: standard deviation of ln(measured / estimated).
    :param n_points: measured jobs.
    :param ranges: least and largest value measured of each driver.
    """

    coefficients: dict[str, float]
    covariance: list[list[float]]
    spread: float
    n_points: int
    ranges: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    def value(self, sums: Mapping[str, float]) -> float:
        """Return the sum of the terms."""
        return sum(self.coefficients[name] * sums[name] for name in self.coefficients)

    def variance(self, sums: Mapping[str, float]) -> float:
        """Return the variance of the sum: that of the coefficients, and the spread as if all jobs shared it."""
        row = np.array([sums[name] for name in self.coefficients])
        return float(row @ np.array(self.covariance) @ row) + (self.spread * self.value(sums)) ** 2


@dataclasses.dataclass(frozen=True)
class IterationFit:
    """Iterations = factor · driver · 10^(exponent · digits), see :func:`iteration_driver`.

    :param digits: least and largest number of digits measured.
    """

    factor: float
    exponent: float
    spread: float
    n_points: int
    digits: list[float]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What jobs cost.

    :param seconds: of one core.
    :param variance: of the seconds.
    """

    seconds: float = 0.0
    variance: float = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        """Add the cost of other engines, whose errors are independent."""
        return Estimate(self.seconds + other.seconds, self.variance + other.variance)

    @property
    def relative_error(self) -> float:
        """Standard deviation over the value; an error r means from 1/(1 + r) to 1 + r times the value."""
        return math.sqrt(self.variance) / self.seconds if self.seconds > 0 else 0.0


@dataclasses.dataclass(frozen=True)
class CostModel:
    """Everything that is fitted.

    :param seconds: by engine.
    :param iterations: by ``ground``, ``hole`` and ``xspectra``.
    :param repository: bytes by engine.
    :param scratch: bytes beside the arrays of :func:`scratch_arrays`, by engine.
    :param overhead_s: seconds of AiiDA around a job.
    :param storage_factor: bytes of repository and database for each byte of a job's own files.
    :param about: when, where and with what it was measured.
    """

    seconds: dict[str, LinearFit]
    iterations: dict[str, IterationFit]
    repository: dict[str, LinearFit]
    scratch: dict[str, float]
    overhead_s: float
    storage_factor: float
    about: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostModel:
        """Return the model of a mapping that :meth:`as_dict` made.

        :raises ValueError: if the mapping is not that of a model.
        """
        try:
            return cls(
                seconds={key: LinearFit(**value) for key, value in data["seconds"].items()},
                iterations={key: IterationFit(**value) for key, value in data["iterations"].items()},
                repository={key: LinearFit(**value) for key, value in data["repository"].items()},
                scratch=dict(data["scratch"]),
                overhead_s=float(data["overhead_s"]),
                storage_factor=float(data["storage_factor"]),
                about=dict(data["about"]),
            )
        except (KeyError, TypeError, AttributeError) as exception:
            raise ValueError(f"this is no cost model ({exception!r}): write it with `aiida-siox plan fit`.") from None

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return dataclasses.asdict(self)

    def iterations_of(self, size: JobSize) -> IterationFit:
        """Return the fit of the number of iterations of a pw.x or xspectra.x job."""
        return self.iterations[size.kind if size.engine == "pw" else "xspectra"]

    def complete(self, size: JobSize) -> JobSize:
        """Return a size with the number of iterations that is to be expected, where it has none."""
        if size.engine not in ("pw", "xspectra") or size.iterations:
            return size
        fit = self.iterations_of(size)
        return dataclasses.replace(
            size, iterations=fit.factor * iteration_driver(size) * 10 ** (fit.exponent * size.digits)
        )

    def estimate(self, jobs: Iterable[tuple[JobSize, int]]) -> dict[str, Estimate]:
        """Return the seconds of jobs by engine.

        :param jobs: sizes with the number of such jobs.
        """
        sums: dict[str, dict[str, float]] = {}
        for size, count in jobs:
            mine = sums.setdefault(size.engine, {})
            for name, value in terms(self.complete(size)).items():
                mine[name] = mine.get(name, 0.0) + count * value
        return {
            engine: Estimate(self.seconds[engine].value(row), self.seconds[engine].variance(row))
            for engine, row in sums.items()
        }

    def job_seconds(self, size: JobSize) -> float:
        """Return the seconds of one job."""
        return self.seconds[size.engine].value(terms(self.complete(size)))

    def repository_bytes(self, size: JobSize) -> float:
        """Return what one job adds to the storage of the profile."""
        return self.storage_factor * self.repository[size.engine].value(repository_terms(self.complete(size)))

    def scratch_bytes(self, size: JobSize) -> float:
        """Return what one job leaves in its scratch."""
        return self.scratch.get(size.engine, 0.0) + scratch_arrays(size)

    def extrapolations(self, size: JobSize) -> dict[str, tuple[float, float, float]]:
        """Return the drivers that lie outside what was measured, with their value and the measured range."""
        outside = {}
        for name, (low, high) in self.seconds[size.engine].ranges.items():
            value = float(getattr(size, name))
            if not low / RANGE_TOLERANCE <= value <= high * RANGE_TOLERANCE:
                outside[name] = (value, low, high)
        if size.engine in ("pw", "xspectra"):
            low, high = self.iterations_of(size).digits
            if not low - DIGITS_TOLERANCE <= size.digits <= high + DIGITS_TOLERANCE:
                outside["digits"] = (size.digits, low, high)
        return outside

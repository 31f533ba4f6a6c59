"""Absorption cross-section from the Lanczos coefficients of xspectra.x.

For one k point, Lanczos recursion from the dipole-excited core state gives a tridiagonal Hamiltonian with diagonal
``a`` and off-diagonal ``b``. The Green's function is the continued fraction ::

    G(z) = 1 / (a[0] - z - b[0]² / (a[1] - z - b[1]² / ...)),    z = E + iΓ,

closed by the *terminator* T, the self-consistent tail of a chain of constant coefficients A and B,
``T = A - z - B² / T``. The cross-section is ``4π α (E + E_core) Σ_k w_k |norm_k|² Im G_k(E + iΓ)`` with E in Ry,
``α = 1/137.04`` as in the engine and the weights of the k points summing to 2 (spin). Γ is the half width of the
Lorentzian. See Taillefumier, Cabaret, Flank and Mauri, Phys. Rev. B 66, 195107 (2002), and Gougoussis, Calandra,
Seitsonen and Mauri, Phys. Rev. B 80, 075102 (2009).

*Cut of the occupied states.* What is wanted is the Lorentzian convolution of the spectrum above E0 alone,
``∫_{E0}^∞ dE'/π Im G(E' + i0) Γ / ((E - E')² + Γ²)``. Deforming the contour onto the vertical line above E0 gives
``θ(E - E0) Im G(E + iΓ) + P(E)`` with ::

    P(E) = 1/2π Im ∫_0^∞ dt [ G(E0 + it) / (E0 - E + i(t - Γ)) + G*(E0 + it) / (E0 - E - i(t + Γ)) ],

which needs no eigenvalues. Γ may depend on E: each E has a Lorentzian of its own. Both terms jump at E0 and their sum
does not; within ``smooth`` of E0 it is replaced by the cubic through value and slope of both sides, as xspectra does.
The integral is done here on Gauss–Legendre panels in ln t, graded towards t = Γ where the integrand peaks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aiida_siox.science.constants import RYDBERG_QE_EV

INVERSE_FINE_STRUCTURE = 137.04
"""The value that xspectra writes into its prefactor."""

Array = npt.NDArray[np.float64]
HalfWidth = Callable[[Array], Array]
"""Half width in eV at energies in eV relative to the energy zero, shape (n,) each; its text says what it is."""


@dataclasses.dataclass(frozen=True)
class LanczosCoefficients:
    """Coefficients of one polarisation of one absorber, as xspectra.x saved them.

    :param a: diagonal, shape (n_k, n_max), Ry, zero beyond the iterations of that k point.
    :param b: off-diagonal, shape (n_k, n_max), Ry; ``b[k, i]`` couples the vectors i and i + 1.
    :param norm: norm of the initial vector, shape (n_k,), atomic units.
    :param n_iterations: number of valid coefficients of each k point, shape (n_k,).
    :param weights: weights of the k points, summing to 2 without spin polarisation, shape (n_k,).
    :param core_energy_eV: tabulated binding energy of the core level (1839 eV for Si 1s), positive.
    :param check_interval: `xcheck_conv`; half of it is the number of coefficients averaged by the terminator.
    :param gamma_eV: half width for which the coefficients were converged.
    """

    a: Array
    b: Array
    norm: Array
    n_iterations: npt.NDArray[np.int64]
    weights: Array
    core_energy_eV: float
    check_interval: int
    gamma_eV: float

    def __post_init__(self) -> None:
        n_k = self.norm.shape[0]
        if self.a.ndim != 2 or self.a.shape != self.b.shape or self.a.shape[0] != n_k:
            raise ValueError(f"a {self.a.shape}, b {self.b.shape} and norm {self.norm.shape} do not fit together.")
        if self.n_iterations.shape != (n_k,) or self.weights.shape != (n_k,):
            raise ValueError("there must be one number of iterations and one weight for each k point.")
        if self.n_iterations.max() > self.a.shape[1]:
            raise ValueError(f"{self.n_iterations.max()} iterations are stated, {self.a.shape[1]} are stored.")
        if self.n_iterations.min() <= self.check_interval // 2 + 1:
            raise ValueError(
                f"{self.n_iterations.min()} iterations are too few for a terminator averaged over "
                f"{self.check_interval // 2} coefficients."
            )

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[Any]], attributes: Mapping[str, Any], polarisation: int
    ) -> LanczosCoefficients:
        """Take one polarisation out of stacked arrays, such as the output `lanczos` of XspectraCalculation.

        :param arrays: `a`, `b` (n_polarisations, n_k, n_max), `norm`, `n_iterations` (n_polarisations, n_k) and
            `weights` (n_k,).
        :param attributes: `core_energy_eV`, `check_interval` and `gamma_eV`.
        :param polarisation: index of the polarisation.
        """
        return cls(
            a=np.asarray(arrays["a"][polarisation], dtype=float),
            b=np.asarray(arrays["b"][polarisation], dtype=float),
            norm=arrays["norm"][polarisation],
            n_iterations=arrays["n_iterations"][polarisation],
            weights=arrays["weights"],
            core_energy_eV=float(attributes["core_energy_eV"]),
            check_interval=int(attributes["check_interval"]),
            gamma_eV=float(attributes["gamma_eV"]),
        )


def terminator(mean_a: float, mean_b: float, z: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Return the tail T of a chain with constant coefficients, ``T = A - z - B²/T`` with Im T of the sign of -Im z.

    :param mean_a: A, Ry.
    :param mean_b: B, Ry.
    :param z: complex energies, Ry, any shape, Im z > 0.
    """
    gap = mean_a - z
    root = np.sqrt(gap * gap - 4.0 * mean_b * mean_b)
    root = np.where(root.imag > 0.0, -root, root)
    return 0.5 * (gap + root)


def green_function(
    a: Array, b: Array, z: npt.NDArray[np.complex128], check_interval: int, use_terminator: bool = True
) -> npt.NDArray[np.complex128]:
    """Return the continued fraction G(z) of one k point.

    Like xspectra, of n valid coefficients the first n - 1 enter: level n - 1 is replaced by the tail, whose constants
    are the means over the ``check_interval // 2`` coefficients before it.

    :param a: the valid diagonal coefficients, shape (n,), Ry.
    :param b: the valid off-diagonal coefficients, shape (n,), Ry.
    :param z: complex energies, Ry, Im z > 0.
    :param check_interval: `xcheck_conv` of the run.
    :param use_terminator: close the chain with its self-consistent tail instead of cutting it.
    """
    last = a.shape[0] - 2
    if use_terminator:
        span = max(check_interval // 2, 1)
        tail = terminator(float(a[last - span : last].mean()), float(b[last - span : last].mean()), z)
    else:
        tail = a[last] - z  # a new array: it is overwritten
    squares = -(b**2)
    for level in range(last - 1, -1, -1):  # a - z - b² / tail, in place: half of the time
        np.divide(squares[level], tail, out=tail)
        tail -= z
        tail += a[level]
    return 1.0 / tail


def graded_log_nodes(
    position: float | Array, distance: float | Array, lowest: float = 1e-7, highest: float = 1e5
) -> tuple[Array, Array]:
    """Return nodes and weights of ∫ dt on (lowest, highest), dense where poles of the integrand come near.

    Ten-point Gauss–Legendre panels in u = ln t, where a pole at t = p ± i d lies at ln(p ± i d). A panel is at most 0.7
    times as wide as its lower end is far from the nearest pole, so that the rule converges to some 1e-10.

    :param position: real parts p of the poles, positive, a number or shape (n_poles,), Ry.
    :param distance: imaginary parts d, their distances from the line of integration, same shape, Ry.
    :param lowest: lower end, Ry.
    :param highest: upper end, Ry.
    :returns: t and dt, both shape (n,), Ry.
    """
    poles = np.log(np.atleast_1d(position) + 1j * np.abs(np.atleast_1d(distance)))
    edges, end = [np.log(lowest)], np.log(highest)
    while edges[-1] < end:
        nearest = max(float(np.abs(poles - edges[-1]).min()), 1e-4)
        edges.append(min(edges[-1] + min(0.7 * nearest, 0.5), end))
    points, weights = np.polynomial.legendre.leggauss(10)
    half = 0.5 * np.diff(edges)[:, None]
    u = 0.5 * (np.array(edges[1:]) + edges[:-1])[:, None] + half * points
    t = np.exp(u).ravel()
    return t, (half * weights).ravel() * t


def _cubic(left: float, right: float, values: Array, slopes: Array, x: Array) -> Array:
    """Return the Hermite cubic between two points at x, for many k points.

    :param values: (2, n_k) at left and right; :param slopes: (2, n_k); :param x: (n_x,).
    :returns: shape (n_k, n_x).
    """
    width = right - left
    s = (x - left) / width
    basis = np.stack([(1 + 2 * s) * (1 - s) ** 2, s * (1 - s) ** 2 * width, s**2 * (3 - 2 * s), s**2 * (s - 1) * width])
    return np.stack([values[0], slopes[0], values[1], slopes[1]], axis=1) @ basis


def half_widths(gamma_eV: float | HalfWidth, energy_eV: Array) -> Array:
    """Return the half width at each energy, both eV, shape (n,); see :func:`spectrum_from_coefficients`."""
    return np.asarray(gamma_eV(energy_eV) if callable(gamma_eV) else np.full(energy_eV.shape, float(gamma_eV)))


def check_converged(coefficients: LanczosCoefficients, gamma_eV: float | HalfWidth, energy_eV: Array) -> None:
    """Refuse a half width below the one for which the coefficients converged.

    :raises ValueError: naming the lowest half width and its energy.
    """
    gamma = half_widths(gamma_eV, energy_eV)
    lowest = int(np.argmin(gamma))
    if not gamma[lowest] >= coefficients.gamma_eV * (1 - 1e-9):
        where = f" of {gamma_eV} at {energy_eV[lowest]:.2f} eV above the energy zero" if callable(gamma_eV) else ""
        raise ValueError(
            f"the coefficients converged for a half width of {coefficients.gamma_eV:g} eV: the {gamma[lowest]:.4g} eV"
            f"{where} would show structure that is not there. Give a half width of at least "
            f"{coefficients.gamma_eV:g} eV, or run xspectra.x again with a smaller xgamma."
        )


def spectrum_from_coefficients(
    coefficients: LanczosCoefficients,
    energy_eV: Array,
    energy_zero_eV: float,
    gamma_eV: float | HalfWidth | None = None,
    cut_occupied: bool = True,
    cut_eV: float = 0.0,
    smooth_eV: float | None = None,
    use_terminator: bool = True,
) -> Array:
    """Return the cross-section of one polarisation, normalised as in the file that xspectra.x writes.

    With a half width that depends on the energy, the value at E is that of the Lorentzian with the half width Γ(E)
    centred at E, as in FDMNES: both terms of the cut are taken at Γ(E).

    :param coefficients: Lanczos coefficients of the polarisation.
    :param energy_eV: energies relative to the energy zero, ascending, shape (n_e,), eV.
    :param energy_zero_eV: energy zero on the eigenvalue axis of the run, eV.
    :param gamma_eV: half width of the Lorentzian, eV, or a function that returns it for energies relative to the
        energy zero (eV, shape (n,)); that of the run when None.
    :param cut_occupied: remove the states below the cut (`cut_occ_states`).
    :param cut_eV: where they are cut, eV relative to the energy zero; xspectra.x cuts at the energy zero itself.
    :param smooth_eV: half width of the interval around the cut that the cubic bridges (`cut_desmooth`), eV; the step of
        the energies when None.
    :param use_terminator: as in the run (`terminator`).
    :returns: cross-section, shape (n_e,), in the units of xspectra.
    :raises ValueError: for a half width below the one for which the coefficients converged, or unordered energies.
    """
    energy_eV = np.asarray(energy_eV, dtype=float)
    if energy_eV.ndim != 1 or energy_eV.size < 2 or np.any(np.diff(energy_eV) <= 0):
        raise ValueError("the energies must be a one-dimensional ascending array of at least two values.")
    gamma_eV = coefficients.gamma_eV if gamma_eV is None else gamma_eV
    check_converged(coefficients, gamma_eV, energy_eV)
    if smooth_eV is None:
        smooth_eV = float(np.diff(energy_eV).max())
    if cut_occupied and not smooth_eV > 0:
        raise ValueError(f"the smoothing interval must be positive, got {smooth_eV} eV.")

    energy, zero = (energy_eV - cut_eV) / RYDBERG_QE_EV, (energy_zero_eV + cut_eV) / RYDBERG_QE_EV  # from the cut on
    smooth = smooth_eV / RYDBERG_QE_EV
    slope_step = float(np.diff(energy).min())
    # Beside the energies asked for: two points on either side of the bridge, for its values and slopes.
    bridge = np.array([-smooth - slope_step, -smooth, smooth, smooth + slope_step])
    at = np.concatenate([energy, bridge])
    gamma = half_widths(gamma_eV, at * RYDBERG_QE_EV + cut_eV) / RYDBERG_QE_EV
    nodes, node_weights = np.empty(0), np.empty(0)
    if cut_occupied:
        outside = np.abs(at) >= smooth  # what lies inside is bridged
        nodes, node_weights = graded_log_nodes(gamma[outside], at[outside])
    z = np.concatenate([zero + at + 1j * gamma, zero + 1j * nodes])

    n_at = at.size
    values = np.empty((coefficients.norm.size, n_at))
    line = np.empty((coefficients.norm.size, nodes.size), dtype=complex)
    for k, count in enumerate(coefficients.n_iterations):
        green = green_function(
            coefficients.a[k, :count], coefficients.b[k, :count], z, coefficients.check_interval, use_terminator
        )
        values[k], line[k] = green[:n_at].imag, green[n_at:]

    if cut_occupied:
        values *= at > 0
        kernel = 1.0 / (-at[:, None] + 1j * (nodes - gamma[:, None]))
        kernel_conjugate = 1.0 / (-at[:, None] - 1j * (nodes + gamma[:, None]))
        weighted = line * node_weights
        values += (weighted @ kernel.T + weighted.conj() @ kernel_conjugate.T).imag / (2 * np.pi)
        inside = np.abs(energy) < smooth
        far_left, left, right, far_right = values[:, -4:].T
        slopes = np.stack([left - far_left, far_right - right]) / slope_step
        values = values[:, :-4]
        values[:, inside] = _cubic(-smooth, smooth, np.stack([left, right]), slopes, energy[inside])
    else:
        values = values[:, :-4]

    summed = (coefficients.weights * coefficients.norm**2) @ values
    prefactor = 4 * np.pi / INVERSE_FINE_STRUCTURE * (energy + zero + coefficients.core_energy_eV / RYDBERG_QE_EV)
    return np.asarray(prefactor * summed)

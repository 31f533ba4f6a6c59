"""Structure factors against sums by hand, an ideal gas, and tabulated scattering lengths."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from aiida_siox.science import diffraction
from aiida_siox.science.diffraction import (
    as_structure_factor,
    first_sharp_peak,
    mean_structure_factors,
    misfit,
    reciprocal_vectors,
    shortest_reciprocal_vector,
)
from aiida_siox.science.diffraction import structure_factors as of_cell
from tests import crystals

TRICLINIC = np.array([[7.0, 0.3, 0.0], [1.0, 8.0, 0.5], [0.2, -0.6, 9.0]])


def structure_factors(atoms: Atoms, q_max: float, q_step: float = 0.02, width: float = 0.05):
    """Return the structure factors on the grid of these tests."""
    return of_cell(atoms, q_max, q_step, width)


def random_cell(n_si: int, n_o: int, edge: float, seed: int = 1) -> Atoms:
    """Return an ideal gas in a box."""
    positions = np.random.default_rng(seed).uniform(0, edge, (n_si + n_o, 3))
    return Atoms(f"Si{n_si}O{n_o}" if n_o else f"Si{n_si}", positions=positions, cell=[edge] * 3, pbc=True)


def test_every_vector_of_the_lattice_once():
    basis = 2 * np.pi * np.linalg.inv(TRICLINIC).T
    grid = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.sort(np.linalg.norm(grid @ basis, axis=1))
    wanted = lengths[(lengths > 0) & (lengths <= 2.5)]
    found, stands_for = reciprocal_vectors(TRICLINIC, 2.5)
    np.testing.assert_allclose(np.repeat(np.linalg.norm(found, axis=1), 2), wanted)
    assert not np.isclose(found[:, None], -found[None]).all(axis=2).any(), "a vector and its opposite count once"
    np.testing.assert_array_equal(stands_for, 1)


def test_thinned_shells_reach_as_far():
    points, stands_for = reciprocal_vectors(3 * TRICLINIC, 12.0)
    found = np.linalg.norm(points, axis=1)
    assert found.max() > 11.99
    assert len(found) < 60 * 12 / 0.02 + 60
    np.testing.assert_array_equal(points, reciprocal_vectors(3 * TRICLINIC, 12.0)[0])
    volume = abs(np.linalg.det(3 * TRICLINIC))
    everything = volume / (2 * np.pi) ** 3 * 4 / 3 * np.pi * 12**3 / 2
    assert stands_for.sum() == pytest.approx(everything, rel=0.01)
    assert stands_for.max() > 3


def test_bragg_peak_of_silicon_by_hand():
    """(111) of diamond: |F|² / N = |4 (1 − i)|² / 8 = 4, (200) is extinct, both at the lengths of the lattice."""
    silicon = crystals.diamond_silicon()
    found = structure_factors(silicon, q_max=4.0, q_step=0.001, width=0.01)
    edge = 2 * np.pi / 5.431
    at = {name: int(np.argmin(abs(found.q - edge * np.sqrt(n)))) for name, n in (("111", 3), ("200", 4), ("220", 8))}
    assert found.partial["Si-Si"][at["111"]] == pytest.approx(4, rel=1e-3)
    assert found.partial["Si-Si"][at["200"]] == pytest.approx(0, abs=1e-3)
    assert found.partial["Si-Si"][at["220"]] == pytest.approx(8, rel=1e-3)
    assert list(found.partial) == ["Si-Si"]
    np.testing.assert_allclose(found.neutron, found.partial["Si-Si"])
    np.testing.assert_allclose(found.xray, found.partial["Si-Si"])


def test_ideal_gas_has_none():
    found = structure_factors(random_cell(400, 800, 26.0), q_max=12.0)
    beyond = found.q > 3
    for values in (*found.partial.values(), found.neutron, found.xray):
        assert values[beyond].mean() == pytest.approx(1, abs=0.05)


def test_totals_are_weighted_partials():
    """Sears' scattering lengths, 4.15 and 5.80 fm, and form factors that are the numbers of electrons at q = 0."""
    found = structure_factors(crystals.beta_cristobalite(), q_max=6.0)
    b_si, b_o = 4.1507, 5.8037  # fm
    mean = (b_si + 2 * b_o) / 3
    expected = 1 + sum(
        share * (found.partial[name] - 1)
        for name, share in {
            "Si-Si": b_si**2 / 9 / mean**2, "Si-O": 4 * b_si * b_o / 9 / mean**2, "O-O": 4 * b_o**2 / 9 / mean**2,
        }.items()
    )  # fmt: skip
    np.testing.assert_allclose(found.neutron, expected, rtol=1e-4, atol=1e-4)
    small = found.q < 1.0
    z = (14 + 2 * 8) / 3
    electrons = 1 + sum(
        share * (found.partial[name] - 1)
        for name, share in {"Si-Si": 196 / 9 / z**2, "Si-O": 448 / 9 / z**2, "O-O": 256 / 9 / z**2}.items()
    )
    np.testing.assert_allclose(found.xray[small], electrons[small], atol=0.1)


def test_neither_origin_nor_order_matter():
    cell = random_cell(6, 10, 7.0)
    moved = cell[np.random.default_rng(5).permutation(16)]
    moved.translate([0.3, 11.0, -4.0])
    one, other = (structure_factors(atoms, q_max=5.0) for atoms in (cell, moved))
    np.testing.assert_allclose(other.neutron, one.neutron, atol=1e-9)
    np.testing.assert_allclose(other.partial["Si-O"], one.partial["Si-O"], atol=1e-9)


@pytest.mark.parametrize("arguments", [{"q_max": 0.0}, {"q_max": 5.0, "width": -1.0}, {"q_max": 5.0, "q_step": 0.0}])
def test_refused(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        structure_factors(crystals.diamond_silicon(), **arguments)


def test_too_small_q_max():
    with pytest.raises(ValueError, match="less than the shortest vector"):
        structure_factors(crystals.diamond_silicon(), q_max=1.0)


def test_first_sharp_peak():
    q = np.arange(0.5, 4, 0.05)
    assert first_sharp_peak(q, 1.3 * np.exp(-(((q - 1.513) / 0.3) ** 2)), (1.0, 2.2)) == pytest.approx(1.513, abs=2e-3)
    assert first_sharp_peak(q, q, (1.0, 2.2)) is None
    assert first_sharp_peak(q[:12], q[:12], (1.0, 2.2)) is None


def test_first_peak_on_a_step():
    """Where S(q) goes in steps the middle of the highest one counts, and none when the step leaves the window."""
    q = np.arange(1, 3, 0.02)
    step = np.where((q > 1.4) & (q < 1.8), 2.0, 1.0)
    assert first_sharp_peak(q, step, (1.0, 2.2)) == pytest.approx(1.6, abs=0.02)
    assert first_sharp_peak(q, step, (1.5, 2.2)) is None
    assert first_sharp_peak(q, np.ones_like(q), (1.0, 2.2)) is None


def test_shortest_vector():
    assert shortest_reciprocal_vector(np.diag([5.0, 8.0, 6.0])) == pytest.approx(2 * np.pi / 8)
    basis = 2 * np.pi * np.linalg.inv(TRICLINIC).T
    grid = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ basis
    lengths = np.sort(np.linalg.norm(grid, axis=1))
    assert shortest_reciprocal_vector(TRICLINIC) == pytest.approx(lengths[1])
    # a skewed description of a cube: the shortest is none of the basis
    skewed = np.array([[4.0, 0, 0], [12.0, 4.0, 0], [8.0, 20.0, 4.0]])
    assert shortest_reciprocal_vector(skewed) == pytest.approx(2 * np.pi / 4)


def test_narrow_gaussians_between_far_vectors():
    """The nearest vector counts where the Gaussians of all are zero in floating point."""
    found = structure_factors(crystals.diamond_silicon(), q_max=4.0, q_step=0.01, width=0.002)
    assert np.isfinite(found.neutron).all()
    edge = 2 * np.pi / 5.431
    near_111 = abs(found.q - edge * np.sqrt(3)) < 0.03
    np.testing.assert_allclose(found.neutron[near_111], 4, rtol=1e-6)


def test_weights_are_those_of_all_vectors():
    """The mean over the vectors near each q, each with 1/q², is that over all."""
    cell = random_cell(5, 9, 6.0)
    found = structure_factors(cell, q_max=5.0, q_step=0.1, width=0.06)
    points, _ = reciprocal_vectors(cell.cell.array, 5.0 + 4 * 0.06)
    silicon = cell.positions[cell.numbers == 14]
    intensity = abs(np.exp(1j * points @ silicon.T).sum(axis=1)) ** 2 / 14 / (5 / 14) ** 2
    lengths = np.linalg.norm(points, axis=1)
    weights = np.exp(-0.5 * ((found.q[:, None] - lengths) / 0.06) ** 2) / lengths**2
    expected = 1 - 14 / 5 + weights @ intensity / weights.sum(axis=1)
    np.testing.assert_allclose(found.partial["Si-Si"], expected, rtol=1e-8)


def test_a_peak_stays_where_it_is():
    """A peak as that of silica glass, read on the vectors of a cell of 15 Å; thinned shells change nothing."""
    q = np.arange(0.5, 4.0, 0.01)
    for edge, error in ((15.0, 0.012), (40.0, 0.001)):
        points, stands_for = reciprocal_vectors(np.eye(3) * edge + np.diag([0.3, 0.1], 1), 5.0)
        lengths = np.linalg.norm(points, axis=1)
        values = 1 / (1 + ((lengths - 1.52) / 0.3) ** 2)
        smooth = diffraction._smoothed(q, lengths, stands_for / lengths**2, values[None], 0.1)[0]
        assert first_sharp_peak(q, smooth, (1.0, 2.2)) == pytest.approx(1.52, abs=error)


def test_mean_over_cells():
    """On the q of the smallest cell; cells with other species have none."""
    small, large = (structure_factors(random_cell(5, 9, edge), q_max=6.0) for edge in (6.0, 8.0))
    mean = mean_structure_factors([large, small])
    np.testing.assert_allclose(mean.q, small.q)
    np.testing.assert_allclose(mean.xray, (small.xray + large.xray[-len(small.q) :]) / 2)
    np.testing.assert_allclose(
        mean.partial["Si-O"], (small.partial["Si-O"] + large.partial["Si-O"][-len(small.q) :]) / 2
    )
    with pytest.raises(ValueError, match="other species"):
        mean_structure_factors([small, structure_factors(random_cell(5, 0, 6.0), q_max=6.0)])


def test_forms_of_measured_data():
    q, s = np.array([0.5, 1.0, 2.0]), np.array([0.2, 1.4, 0.9])
    np.testing.assert_allclose(as_structure_factor(q, s - 1, "i"), s)
    np.testing.assert_allclose(as_structure_factor(q, q * (s - 1), "F"), s)
    np.testing.assert_allclose(as_structure_factor(q, s, "S"), s)
    with pytest.raises(ValueError, match="unknown form `T`"):
        as_structure_factor(q, s, "T")
    with pytest.raises(ValueError, match="increase"):
        as_structure_factor(q[::-1], s, "S")


def test_misfit_by_hand():
    q = np.linspace(1, 10, 19)
    measured = 1 + 0.5 * np.sin(q)
    same = misfit(q, measured, q, measured, None)
    assert (same.rms, same.relative, len(same.q)) == (0, 0, 19)
    flat = misfit(q, measured, q, np.ones(19), None)
    assert flat.relative == pytest.approx(1)
    part = misfit(q, measured, q, measured + 0.1, (2.0, 8.0))
    assert part.rms == pytest.approx(0.1)
    assert (part.q.min(), part.q.max()) == (2.0, 8.0)
    with pytest.raises(ValueError, match="Is q in Å⁻¹"):
        misfit(10 * q, measured, q, measured, None)


def test_doubts():
    """An S(q) passes; nm⁻¹, counts and q[S(q) − 1] given as S(q) do not."""
    q = np.linspace(0.5, 20, 200)
    values = 1 + np.exp(-0.2 * q) * np.sin(3 * q)
    assert diffraction.doubts(q, values, (0.45, 20.0)) == []
    (nanometres,) = diffraction.doubts(10 * q, values, (0.45, 20.0))
    assert "only 16 of 200 points" in nanometres
    assert "last fifth has a mean of 500" in diffraction.doubts(q, 500 * np.ones(200), (0.45, 20.0))[0]
    as_f = diffraction.doubts(q, q * (values - 1), (0.45, 20.0))
    assert "least value is" in as_f[-1]

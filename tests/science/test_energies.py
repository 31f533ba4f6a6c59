"""Energies against the values measured with the real engines (α-quartz, c-Si)."""

import numpy as np
import pytest

from aiida_siox.science import energies as en
from aiida_siox.science.energies import core_correction, free_atom_transition, total_energy_offset, transition_energy

GROUND_ATOM = (-579.674871, -46.329006)
HOLE_ATOM = (-442.845440, -42.496530)


def test_core_correction_of_silicon():
    assert core_correction(*GROUND_ATOM, *HOLE_ATOM) == pytest.approx(1809.516, abs=2e-3)


@pytest.mark.parametrize(
    ("ground", "hole", "expected"),
    [(-391.10607781, -388.22426609, 1848.725), (-391.10607781, -387.63861346, 1856.693)],
    ids=["quartz fch", "quartz xch"],
)
def test_transition_energy_of_quartz(ground, hole, expected):
    assert transition_energy(ground, hole, core_correction(*GROUND_ATOM, *HOLE_ATOM)) == pytest.approx(
        expected, abs=2e-3
    )


def test_treatments_put_the_same_threshold_on_one_axis():
    """In fch the Fermi energy plays no role; in xch xspectra's zero is the Fermi energy and both cancel."""
    assert total_energy_offset("fch", 1848.725, 2.6065, 3.6867) == pytest.approx(1851.3315)
    assert total_energy_offset("xch", 1856.693, 7.9365, 7.9365) == pytest.approx(1856.693)


def test_without_a_hole_the_free_atom_gives_the_edge():
    """The all-electron energies of docs/develop/engine_facts.md; the lowest empty level lies at the constant."""
    transition = free_atom_transition(GROUND_ATOM[0], HOLE_ATOM[0])
    assert transition == pytest.approx((579.674871 - 442.845440) * 13.6056931, abs=1e-3)
    assert total_energy_offset("none", transition, 5.0743, 5.0743) == pytest.approx(transition)


def test_unknown_treatment_names_the_valid_ones():
    with pytest.raises(ValueError, match=r"'half'.*fch, xch"):
        total_energy_offset("half", 0, 0, 0)


def test_band_edges_over_k_points_and_spins():
    """A level filled by a thousandth and more counts as occupied, as for xspectra.x."""
    levels = np.array([[1.0, 3.0, 5.0], [2.0, 3.5, 4.0]])
    occupations = np.array([[1.0, 0.9, 0.0], [1.0, 0.002, 0.0009]])
    assert en.band_edges(levels, occupations) == (3.5, 4.0)
    assert en.band_edges(levels[None], occupations[None]) == (3.5, 4.0)
    with pytest.raises(ValueError, match="none of the 6 levels are occupied"):
        en.band_edges(levels, 0 * occupations)


@pytest.mark.parametrize(("lowest", "cut"), [(5.0, 4.0), (3.2, 3.1), (3.06, 3.05)])
def test_occupied_cut(lowest, cut):
    assert en.occupied_cut(3.0, lowest) == pytest.approx(cut)

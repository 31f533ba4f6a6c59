"""Phases of logarithmic derivatives and ghosts, on potentials whose states are known."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.science.logarithmic_derivatives import compare, ghost_levels, phases

ENERGIES = np.arange(0.1, 40.0, 0.02)
RADIUS = 2.0


def free_particle(energies, shift=0.0):
    """Return u'/u of an s wave, u = sin(kr + shift) with k² = E in Ry."""
    k = np.sqrt(energies)
    return (k / np.tan(k * RADIUS + shift))[:, None]


def with_resonance(energies, position, width):
    """Return the s wave of :func:`free_particle` with one state more: its phase shift rises by π."""
    return free_particle(energies, np.pi / 2 + np.arctan((energies - position) / width))


def test_phase_falls_by_one_for_each_half_wave_within_the_radius():
    phase = phases(free_particle(ENERGIES))[:, 0]
    assert np.all(np.diff(phase) < 0)
    k = np.sqrt(ENERGIES)
    nodes = np.floor(k * RADIUS / np.pi)
    # a node at the radius is a pole of u'/u, where the phase passes an odd multiple of π/2
    assert np.array_equal(np.floor(0.5 - phase), nodes)
    assert nodes[-1] == 4


def test_equal_atoms_have_no_error():
    (channel,) = compare(ENERGIES, free_particle(ENERGIES), free_particle(ENERGIES))
    assert (channel["max_error"], channel["rms_error"], channel["extra_states"]) == (0.0, 0.0, 0)


@pytest.mark.parametrize("width", [0.05, 0.3])
def test_one_state_more_is_an_extra_state(width):
    (channel,) = compare(ENERGIES, free_particle(ENERGIES), with_resonance(ENERGIES, 20.0, width))
    assert channel["extra_states"] == 1
    assert channel["max_error"] > 0.9
    (reverse,) = compare(ENERGIES, with_resonance(ENERGIES, 20.0, width), free_particle(ENERGIES))
    assert reverse["extra_states"] == -1


def test_small_phase_error_is_measured_where_it_is():
    """A difference of δ in kr + δ is a difference of the phase, and not of the poles of the derivative."""
    shift = np.where(np.abs(ENERGIES - 30.0) < 1.0, 0.02, 0.0)
    (channel,) = compare(ENERGIES, free_particle(ENERGIES), free_particle(ENERGIES, shift))
    k = np.sqrt(ENERGIES)
    # d arctan(k cot x) / dx = -k / (sin²x + k² cos²x), at most k
    expected = 0.02 * k / (np.sin(k * RADIUS) ** 2 + (k * np.cos(k * RADIUS)) ** 2) / np.pi
    inside = np.abs(ENERGIES - 30.0) < 1.0
    assert channel["max_error"] == pytest.approx(expected[inside].max(), rel=0.1)
    assert abs(channel["energy_of_max_Ry"] - 30.0) < 1.0
    assert channel["rms_error"] == pytest.approx(np.sqrt(np.mean((expected * inside) ** 2)), rel=0.1)
    assert channel["extra_states"] == 0


def test_a_pole_between_the_two_atoms_at_the_lowest_energy_is_no_state():
    first = (np.pi / RADIUS) ** 2  # kr = π: a pole of u'/u
    energies = first + np.arange(0.0, 30.0, 0.02)
    (channel,) = compare(energies, free_particle(energies, 0.01), free_particle(energies, -0.01))
    assert channel["extra_states"] == 0
    assert channel["max_error"] < 0.05


@pytest.mark.parametrize(
    ("energies", "reference", "pseudo", "message"),
    [
        (ENERGIES[::-1], free_particle(ENERGIES), free_particle(ENERGIES), "must rise"),
        (ENERGIES[:-1], free_particle(ENERGIES), free_particle(ENERGIES), "do not fit"),
        (ENERGIES, free_particle(ENERGIES), free_particle(ENERGIES) * np.nan, "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(energies, reference, pseudo, message):
    with pytest.raises(ValueError, match=message):
        compare(energies, reference, pseudo)


def test_ghost_levels_lie_below_the_valence_or_below_the_derivatives():
    valence = {0: -0.7947, 1: -0.3000}
    good = {0: [-0.7947, 0.03], 1: [-0.2999, 0.15], 2: [0.14, 0.45]}
    assert ghost_levels(good, valence, -3.0) == []
    deep = {**good, 0: [-4.05, -0.7947, 0.03]}
    assert ghost_levels(deep, valence, -3.0) == [{"l": 0, "energy_Ry": -4.05}]
    between = {**good, 1: [-0.5, -0.2999]}
    assert ghost_levels(between, valence, -3.0) == [{"l": 1, "energy_Ry": -0.5}]
    # without valence electrons only what lies below the logarithmic derivatives, which see the rest
    empty = {**good, 2: [-3.5, -1.0]}
    assert ghost_levels(empty, valence, -3.0) == [{"l": 2, "energy_Ry": -3.5}]

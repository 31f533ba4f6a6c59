"""Figures from arrays: what they leave out and how they get into the file."""

from __future__ import annotations

import base64
import types

import numpy as np
import pytest

from aiida_siox.report.figures import charges, parity, spectra, structures, style
from aiida_siox.report.figures import timing as timing_figures
from aiida_siox.report.timing import JobTime, engine_summary
from tests.crystals import alpha_quartz, beta_cristobalite

NOTE = "protocol: fast · fch"


def test_svg_becomes_png_where_it_would_be_large(monkeypatch):
    with style.style():
        figure = style.new_figure(2, 2)
        figure.add_subplot().plot([0, 1], [0, 1])
        assert style.embed(figure).startswith("data:image/svg+xml;base64,")
        monkeypatch.setattr(style, "LARGEST_SVG", 10)
        assert style.embed(figure).startswith("data:image/png;base64,")


def test_a_figure_is_the_same_every_time():
    def draw():
        return charges.charge_figure(np.array([0, 4]), np.array([0.1, 3.1]), np.array([0.0, 2.0]), NOTE)

    assert draw() == draw()


@pytest.mark.parametrize(
    ("highest", "factor"), [(2e-3, 1e3), (0.5, 10.0), (7.0, 1.0), (15.0, 1.0), (2e4, 1e-4), (0.0, 1.0)]
)
def test_scale_names_its_unit(highest, factor):
    found, unit = style.scale_of(highest)
    assert found == pytest.approx(factor)
    assert unit.endswith("arb. units")
    assert ("10" in unit) == (factor != 1.0)


def test_colours_run_from_silicon_to_silica():
    assert style.composition_colour(0) != style.composition_colour(2)
    assert style.composition_colour(2.5) == style.composition_colour(2)
    assert style.formal_colour(5) == style.formal_colour(7)


@pytest.mark.parametrize("atoms", [alpha_quartz(), beta_cristobalite().repeat(2)], ids=["small", "large"])
def test_cell_picture(atoms):
    uri = structures.cell_picture(atoms)
    assert base64.b64decode(uri.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


def test_bonds_cross_the_border_of_the_cell():
    atoms = alpha_quartz()
    first, second, vectors = structures.bonds_with_images(atoms)
    assert np.bincount(first[atoms.numbers[first] == 14], minlength=9).max() == 4
    assert set(atoms.numbers[second[atoms.numbers[first] == 14]]) == {8}
    assert np.linalg.norm(vectors, axis=1).max() < 1.7


def test_no_average_no_figure():
    energy = np.linspace(1830, 1880, 50)
    entry = spectra.ConfigurationSpectra("Si4O8_1", 2.0, energy, np.ones((3, 50)), 4, None)
    assert spectra.averaged_figure([entry], "Energy (eV)", (1830, 1880), NOTE) is None
    assert spectra.site_figure([entry], "Energy (eV)", (1830, 1880), NOTE)
    empty = spectra.ConfigurationSpectra("Si4O8_1", 2.0, energy, np.ones((0, 50)), 4, None)
    assert spectra.site_figure([empty], "Energy (eV)", (1830, 1880), NOTE) is None


def test_charges_leave_out_what_is_unknown():
    rows = charges.charge_rows(np.array([0, 0, 4, 4, 2]), np.array([0.1, 0.3, 3.1, np.nan, np.nan]))
    assert [(row["n_oxygen"], row["count"]) for row in rows] == [(0, 2), (4, 1)]
    assert rows[0]["mean"] == pytest.approx(0.2)
    assert rows[0]["std"] == pytest.approx(0.1 * np.sqrt(2))
    assert rows[1]["std"] is None
    assert charges.charge_figure(np.array([1]), np.array([np.nan]), np.array([0.5]), NOTE) is None


def test_chosen_sites_run_from_best_to_worst_of_the_test_sites():
    error = np.array([0.5, 0.1, 0.9, 0.3, 0.7, 0.2])
    fake = types.SimpleNamespace(test=np.array([True, True, True, True, True, False]), rmse_per_site=error)
    assert parity.chosen_sites(fake, 3) == [1, 0, 2]
    assert parity.chosen_sites(fake, 99) == [1, 3, 0, 4, 2]


def test_scores_without_a_spread_have_no_r2():
    lines = parity.score_lines({"rmse": 0.1234, "r2": None, "rmse_no_skill": 0.5}, " e")
    assert lines == ["RMSE 0.123 e", "R² not defined", "no skill 0.500 e"]


@pytest.mark.parametrize(("r2", "words"), [(0.9914, "0.991"), (-0.5, "−0.500"), (-3e6, "< −10"), (None, "not defined")])
def test_r2_far_below_zero_is_only_that(r2, words):
    assert parity.r2_words(r2) == words


def test_cached_jobs_are_in_the_shares_but_not_on_the_time_line():
    jobs = [JobTime(1, "xspectra.x", 10.0, 70.0, 50.0, 1.0, True)]
    assert timing_figures.share_figure(engine_summary(jobs), NOTE)
    assert timing_figures.timeline_figure(jobs, NOTE) is None
    assert timing_figures.share_figure([], NOTE) is None

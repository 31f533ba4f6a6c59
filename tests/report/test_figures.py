"""Figures from arrays: what they leave out and how they get into the file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, LineCollection

from aiida_siox.materials import load_material
from aiida_siox.report import drawing
from aiida_siox.report.figures import properties, structures, style
from aiida_siox.report.figures import timing as timing_figures
from aiida_siox.report.page import pretty
from aiida_siox.report.records import NotDrawn, r2_words
from aiida_siox.report.timing import JobTime, engine_summary
from tests.crystals import alpha_quartz, beta_cristobalite

from . import synthetic

NOTE = "protocol: fast · fch"


SILICA = load_material("siox")


@pytest.fixture
def sites():
    """Return a few synthetic sites."""
    return synthetic.source((("Si4", 4, 0.0), ("Si4O8", 4, 2.0)), copies=1, n_energies=20)


def with_valence(sites, valence, ligands):
    """Return the first sites with other numbers."""
    n = len(valence)
    values = {"valence": np.array(valence, dtype=float)[:, None]}
    return dataclasses.replace(
        sites, values=values, ligands=np.array(ligands), spectra=sites.spectra[:n], site_index=sites.site_index[:n],
        configuration=sites.configuration[:n],
    )  # fmt: skip


def test_svg_becomes_png_and_tables_no_links_where_they_would_be_large(monkeypatch, sites):
    figure = properties.by_ligands(sites, sites.quantities["valence"])
    uri, links = figure.embedded()
    assert uri.startswith("data:image/svg+xml;base64,")
    assert [(name, address.partition(",")[0]) for name, address in links] == [("CSV", "data:text/csv;base64")]
    monkeypatch.setattr(drawing, "LARGEST", 10)
    uri, links = figure.embedded()
    assert uri.startswith("data:image/png;base64,")
    assert links == []


def test_a_figure_is_the_same_every_time(sites):
    few = with_valence(sites, [0.1, 3.1], [0, 4])
    first, second = (properties.by_ligands(few, sites.quantities["valence"]).embedded() for _ in range(2))
    assert first == second


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


@pytest.mark.parametrize(("atoms", "ghosts"), [(alpha_quartz(), True), (beta_cristobalite().repeat(2), False)])
def test_cell_picture(atoms, ghosts):
    with style.style():
        figure = structures.cell_picture(atoms, SILICA)
    discs = [c for c in figure.axes[0].collections if isinstance(c, EllipseCollection)]
    lines = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert (len(discs) > 3 * len(atoms)) == ghosts
    n_bonds = len(structures.bonds_with_images(atoms, SILICA)[0]) // 2
    assert len(lines) >= 12 + 2 * n_bonds
    assert drawing.png_bytes(figure).startswith(b"\x89PNG")


def test_bonds_cross_the_border_of_the_cell():
    atoms = alpha_quartz()
    first, second, vectors = structures.bonds_with_images(atoms, SILICA)
    assert np.bincount(first[atoms.numbers[first] == 14], minlength=9).max() == 4
    assert set(atoms.numbers[second[atoms.numbers[first] == 14]]) == {8}
    assert np.linalg.norm(vectors, axis=1).max() < 1.7


def test_properties_leave_out_what_is_unknown(sites):
    rows = properties.ligand_rows(np.array([0, 0, 4, 4, 2]), np.array([0.1, 0.3, 3.1, np.nan, np.nan]))
    assert [(row["n"], row["count"]) for row in rows] == [(0, 2), (4, 1)]
    assert rows[0]["mean"] == pytest.approx(0.2)
    assert rows[0]["std"] == pytest.approx(0.1 * np.sqrt(2))
    assert rows[1]["std"] is None
    with pytest.raises(NotDrawn):
        properties.by_ligands(with_valence(sites, [np.nan], [1]), sites.quantities["valence"])


def test_states_are_charges_of_what_gives_electrons_and_numbers_of_ligands_else(sites):
    assert sites.state(3) == "Si3+"
    assert style.maths_of("Si3+") == "Si$^{3+}$"
    assert style.maths_of("Si0+") == "Si$^{0}$"
    oxygen = dataclasses.replace(synthetic.SILICA, absorber="O", ligands=("Si",))
    assert dataclasses.replace(sites, material=oxygen).state(2) == "n_Si 2"
    assert style.maths_of("n_Si 2") == "$n_{Si}$ = 2"


def test_indices_are_set_and_nothing_else():
    assert pretty("n_O = 3 & n_sites") == "<i>n</i><sub>O</sub> = 3 &amp; n_sites"


@pytest.mark.parametrize(("r2", "words"), [(0.9914, "0.991"), (-0.5, "−0.500"), (-3e6, "< −10"), (None, "not defined")])
def test_r2_far_below_zero_is_only_that(r2, words):
    assert r2_words(r2) == words


def test_cached_jobs_are_in_the_shares_but_not_on_the_time_line():
    jobs = [JobTime(1, "xspectra.x", 10.0, 70.0, 50.0, 1.0, True)]
    assert timing_figures.share_figure(engine_summary(jobs), NOTE).tables[""]["CPU time (s)"] == [51.0]
    with pytest.raises(NotDrawn):
        timing_figures.timeline_figure(jobs, NOTE)
    with pytest.raises(NotDrawn):
        timing_figures.share_figure([], NOTE)


def test_jobs_take_the_first_lane_that_is_free():
    times = [(0.0, 10.0), (1.0, 4.0), (5.0, 9.0), (6.0, 7.0), (11.0, 12.0)]
    jobs = [JobTime(i, "lmp", start, end, 1.0, 0.0, False) for i, (start, end) in enumerate(times)]
    assert [(job.pk, lane) for job, lane in timing_figures.on_lanes(jobs)] == [(0, 0), (1, 1), (2, 1), (3, 2), (4, 0)]

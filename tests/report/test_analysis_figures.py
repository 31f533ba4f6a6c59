"""Figures of an analysis from synthetic arrays: what is drawn, and the numbers beside it."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_hex

from aiida_siox.report.analysis_figures import FIGURES
from aiida_siox.report.figures import (
    analysis_averages,
    analysis_parity,
    analysis_rdf,
    analysis_scores,
    analysis_spectra,
    analysis_uncertainty,
    style,
)
from aiida_siox.report.figures.analysis_common import NotDrawn, Part, Source, estimate, grid_shape
from aiida_siox.report.figures.analysis_files import write_drawing, write_table

from . import synthetic

FEW = (("Si14", 14, 0.0), ("Si4O4", 4, 1.0), ("Si4O9", 4, 2.25))


@pytest.fixture(scope="module")
def data() -> Source:
    """Return the synthetic data set."""
    return synthetic.source()


@pytest.fixture(scope="module")
def parts(data) -> dict[str, Part]:
    """Return the synthetic analysis."""
    return synthetic.parts(data)


def texts(figure) -> str:
    """Return all that is written in a figure."""
    from matplotlib.text import Text

    return "\n".join(found.get_text() for found in figure.findobj(Text))


def with_arrays(parts, name, **arrays):
    """Return the parts with other arrays in one of them; None takes an array away."""
    part = parts[name]
    merged = {key: value for key, value in {**part.arrays, **arrays}.items() if value is not None}
    return {**parts, name: dataclasses.replace(part, arrays=merged)}


@pytest.mark.parametrize("spec", FIGURES, ids=lambda spec: spec.name)
def test_every_figure_says_where_it_is_from_and_its_columns_have_one_length(spec, data, parts):
    drawing = spec.draw(data, parts)
    assert "data set 5e4b1a2c" in drawing.note
    assert "256 sites, 36 configurations" in drawing.note
    assert drawing.note in texts(drawing.figure)
    assert drawing.figure.get_figwidth() == pytest.approx(17 / 2.54, abs=0.01)
    assert drawing.tables
    for columns in drawing.tables.values():
        assert len({len(column) for column in columns.values()}) == 1


@pytest.mark.parametrize("spec", FIGURES, ids=lambda spec: spec.name)
def test_three_configurations_are_enough_and_x_may_exceed_two(spec):
    few = synthetic.source(FEW, copies=1, n_energies=40)
    spec.draw(few, synthetic.parts(few, seeds=1))


@pytest.mark.parametrize("spec", FIGURES[2:], ids=lambda spec: spec.name)
def test_without_the_analysis_there_is_a_reason(spec, data):
    with pytest.raises(NotDrawn, match="has no part `"):
        spec.draw(data, {})


def test_averaged_spectra_are_means_of_complete_configurations(data, parts):
    complete = np.array(data.sites.complete)
    complete[5] = False
    partial = dataclasses.replace(data, sites=dataclasses.replace(data.sites, complete=complete))
    drawing = analysis_spectra.averaged_spectra(partial, parts)
    lines = drawing.figure.axes[0].get_lines()
    assert len(lines) == 35
    columns = drawing.tables[""]
    assert len(columns) == 36
    heading = "Si8O4_08synt, x = 0.5 (arb. units)"
    mean = data.sites.spectra[data.sites.configuration == 8].mean(axis=0)
    assert columns[heading] == pytest.approx(mean)
    assert not any("05synt" in name for name in columns)
    assert len({to_hex(line.get_color()) for line in lines}) == 9
    letters = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert letters == list("abcdefgh")


def test_equal_configurations_have_names_and_columns_of_their_own(data, parts):
    sites = dataclasses.replace(data.sites, digests=(data.sites.digests[0],) * 3 + data.sites.digests[3:])
    source = dataclasses.replace(data, sites=sites)
    assert source.labels[:3] == tuple(f"{source.labels[0]}{end}" for end in ("", "-2", "-3"))
    assert len(set(source.labels)) == 36
    assert source.configurations == "36 configurations (34 different)"
    assert len(analysis_spectra.averaged_spectra(source, parts).tables[""]) == 37


def test_no_complete_configuration_no_average(data, parts):
    none = dataclasses.replace(data.sites, complete=np.zeros(36, dtype=bool))
    with pytest.raises(NotDrawn, match="95 %"):
        analysis_spectra.averaged_spectra(dataclasses.replace(data, sites=none), parts)


def test_windows_are_those_of_the_analysis_or_eight_equal_ones(data, parts):
    assert analysis_spectra.energy_windows(data, {})[1] == ("b", 1836.25, 1842.5)
    part = dataclasses.replace(
        parts["windows"], arrays={"window_names": np.array(["a", "full"]), "windows_eV": np.array([[1, 2], [1, 9]])}
    )
    assert analysis_spectra.energy_windows(data, {"windows": part}) == [("a", 1.0, 2.0)]


def test_site_spectra_have_a_panel_for_each_composition(data, parts):
    drawing = analysis_spectra.site_spectra(data, parts)
    panels = drawing.figure.axes
    assert len(panels) == 9
    # the first composition: 4 × 14 sites, and an outline with a line for each of four averages
    assert len(panels[0].get_lines()) == 56 + 8
    assert "56/56 sites" in panels[0].get_title(loc="left")
    assert len(drawing.tables[""]["x"]) == 256


def test_parity_quotes_the_error_of_what_is_drawn(data, parts):
    predicted = np.full(256, np.nan)
    predicted[:50] = data.sites.valence[:50] + 0.25
    drawing = analysis_parity.valence_parity(data, with_arrays(parts, "splits", valence_grouped_predicted=predicted))
    left, right = drawing.figure.axes
    said = "\n".join(text.get_text() for text in right.texts)
    assert "RMSE 0.250 e" in said
    assert "5 seeds: 0.140 e (0.133–0.147)" in said
    assert "no skill 1.100 e" in said
    assert "50 test sites" in said
    assert drawing.tables["_grouped"]["valence from the spectrum (e)"] == pytest.approx(predicted[:50])
    assert set(drawing.tables["_grouped"]["set"]) == {"test"}
    assert drawing.tables["_random"]["set"].count("training") == 205
    assert "grouped split" in right.get_title(loc="left")
    assert len(left.collections[0].get_offsets()) == 205


def test_parity_colours_follow_the_oxygen_neighbours(data, parts):
    right = analysis_parity.valence_parity(data, parts).figure.axes[1]
    counts = {to_hex(c.get_facecolor()[0]): len(c.get_offsets()) for c in right.collections}
    for n in range(5):
        assert counts[style.formal_colour(n)] == int((data.sites.n_oxygen == n).sum())


def test_the_regression_has_its_own_score(data, parts):
    drawing = analysis_parity.descriptor_parity(data, parts)
    assert "0.308 e" in "\n".join(text.get_text() for text in drawing.figure.axes[1].texts)  # 2.2 × 0.14
    gone = with_arrays(
        parts, "splits", valence_random_descriptors_predicted=None, valence_grouped_descriptors_predicted=None
    )
    with pytest.raises(NotDrawn, match="valence_random_descriptors_predicted"):
        analysis_parity.descriptor_parity(data, gone)


def test_one_split_alone_is_drawn(data, parts):
    figure = analysis_parity.valence_parity(data, with_arrays(parts, "splits", valence_random_predicted=None)).figure
    assert len(figure.axes) == 1


def test_windows_and_bands_are_told_apart(data, parts):
    narrow, bands = analysis_parity.window_parity(data, parts), analysis_parity.band_parity(data, parts)
    titles = [axes.get_title(loc="left") for axes in narrow.figure.axes]
    assert titles[1] == "b  1836.25–1842.50 eV"
    assert [title.split()[0] for title in titles] == [*"abcdefgh", "full"]
    assert [axes.get_title(loc="left").split()[0] for axes in bands.figure.axes] == ["low", "high", "full"]
    assert set(bands.tables[""]["window"]) == {"low", "high", "full"}


def test_rdf_cases_run_from_best_to_worst_of_the_grouped_split(data, parts):
    errors = np.full((2, 256), np.nan)
    errors[0] = np.linspace(1.0, 0.0, 256)  # the last row is the best
    drawing = analysis_rdf.rdf_of_cases(data, with_arrays(parts, "splits", rdf_grouped_site_rmse=errors))
    ranked = drawing.tables["a_grouped"]["RMSE of g(R) (no unit)"]
    assert list(ranked) == sorted(ranked)
    columns = drawing.tables["b"]
    assert len(columns) == 1 + 2 * 6
    first = next(name for name in columns if name.startswith("A "))
    assert columns[first] == pytest.approx(data.sites.rdf[255])
    assert next(name for name in columns if name.startswith("F ")).startswith("F Si14 site 0 n_O")
    said = texts(drawing.figure)
    assert "σ = 0.15 Å" in said
    assert "no skill (training mean) 0.900" in said
    assert {"A", "B", "C", "D", "E", "F"} <= set(said.splitlines())


def test_places_are_spread_over_the_ranking():
    assert analysis_rdf.spread_over(51, 6) == [0, 10, 20, 30, 40, 50]
    assert analysis_rdf.spread_over(2, 6) == [0, 1]


def test_window_errors_are_sorted_and_pooled(data, parts):
    errors = np.full((11, 256), np.nan)
    errors[:, 10:14] = [0.4, 0.2, 0.3, 0.1]
    errors[10, 10:14] = [3.0, 4.0, 0.0, 0.0]  # the full window
    drawing = analysis_rdf.window_errors(data, with_arrays(parts, "windows", rdf_window_site_rmse=errors))
    lines = drawing.figure.axes[0].get_lines()
    assert list(lines[0].get_ydata()) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert "full  1830.00–1880.00 eV: 2.500" in [line.get_label() for line in lines]
    assert len(lines) == 9 + 1
    assert len(analysis_rdf.band_errors(data, parts).figure.axes[0].get_lines()) == 3 + 1


def test_bias_of_averages_is_seen(data, parts):
    drawing = analysis_averages.averaged_valence(data, parts)
    left, right = drawing.figure.axes
    sites = parts["averages"].array("valence_sites_predicted") - parts["averages"].array("valence_reference")
    mean_line = right.get_lines()[0]
    assert mean_line.get_ydata() == pytest.approx([sites[data.sites.x == x].mean() for x in np.unique(data.sites.x)])
    said = "\n".join(text.get_text() for text in left.texts)
    assert f"bias {sites.mean():+.3f} e".replace("-", "−") in said
    low = drawing.tables[""]["90 % interval low, trained on mixtures as well (e)"]
    assert low == pytest.approx(parts["averages"].array("valence_mixtures_low"))


def test_worst_mean_rdf_of_each_composition(data, parts):
    predicted = np.array(parts["averages"].array("rdf_sites_predicted"))
    predicted[18] += 0.5  # third configuration of x = 1
    drawing = analysis_averages.averaged_rdf(data, with_arrays(parts, "averages", rdf_sites_predicted=predicted))
    assert "Si6O6_18synt, reference g(R)" in drawing.tables["b"]
    assert drawing.tables["a"]["RMSE of mean g(R), trained on site spectra only (no unit)"][18] > 0.45
    assert len(drawing.tables["b"]) == 1 + 9 * 3
    assert "off the scale" not in texts(drawing.figure)


def test_total_variation_is_half_the_sum_of_differences(data, parts):
    reference = np.tile([1.0, 0, 0, 0, 0], (36, 1))
    predicted = np.tile([0.75, 0.25, 0, 0, 0], (36, 1))
    drawing = analysis_averages.oxidation_distribution(
        data, with_arrays(parts, "averages", oxidation_reference=reference, oxidation_mixtures_predicted=predicted)
    )
    assert drawing.tables[""]["total variation, trained on mixtures as well (no unit)"] == pytest.approx([0.25] * 36)
    assert len(drawing.figure.axes[0].patches) == 36 * 2 * 5
    assert "trained on mixtures as well: mean 0.250" in texts(drawing.figure)


def test_many_configurations_are_merged_by_composition(monkeypatch, data, parts):
    monkeypatch.setattr(analysis_averages, "MOST_BARS", 35)
    drawing = analysis_averages.oxidation_distribution(data, parts)
    assert len(drawing.figure.axes[0].patches) == 9 * 2 * 5
    assert len(drawing.tables[""]["x"]) == 36


def test_scores_table_holds_every_method(data, parts):
    table = analysis_scores.splits_side_by_side(data, parts).tables[""]
    rows = list(zip(table["target"], table["split"], table["method"], table["RMSE (unit of the target)"], strict=True))
    assert len(rows) == 9 * 7 - 6
    assert ("valence", "grouped", "three descriptors, linear", pytest.approx(0.308)) in rows
    assert ("rdf", "random", "no skill (mean)", 0.9) in rows


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, (0.5, None, None)),
        ({"mean": 0.5, "low": 0.4, "high": 0.6}, (0.5, 0.4, 0.6)),
        ({"rmse": {"mean": 0.5, "low": 0.5, "high": 0.5}}, (0.5, None, None)),
        ({"mean": None, "low": None, "high": None}, None),
        (float("nan"), None),
        (None, None),
    ],
)
def test_estimate_reads_what_parts_write(value, expected):
    found = estimate(value)
    assert (None if found is None else dataclasses.astuple(found)) == expected


def test_power_law_and_the_sites_that_are_needed(data, parts):
    assert analysis_scores.power_law(np.array([100.0]), {"a": 2, "b": 0.5, "c": 0.1}) == pytest.approx([0.3])
    drawing = analysis_scores.learning_curves(data, parts)
    said = texts(drawing.figure)
    assert "RMSE 0.11 needs about 625 sites" in said
    assert "RMSE 0.04 is not reached" in said
    assert list(drawing.tables[""]["training sites"][:3]) == [30, 34, 28]
    no_law = dataclasses.replace(parts["learning_curve"], attributes={"fit": {"valence": {}}, "sites_needed": {}})
    assert "power law" not in texts(analysis_scores.learning_curves(data, {"learning_curve": no_law}).figure)


def test_coverage_counts_what_lies_inside(data, parts):
    low, high = np.full((1, 256), -9.0), np.full((1, 256), 9.0)
    low[0, data.site_x == 2.0] = 8.0  # no reference of x = 2 is inside
    changed = with_arrays(parts, "uncertainty", valence_low=low, valence_high=high)
    drawing = analysis_uncertainty.uncertainty_figure(data, changed)
    shares = drawing.tables["b"]["share of references inside the 90 % interval"]
    assert shares[1:] == [1.0] * 8 + [0.0]
    assert sum(drawing.tables["a"]["inside"]) == 240
    assert len(drawing.figure.axes) == 5
    # a node keeps None of a number that is not finite
    unknown = {
        "valence": {"coverage": None, "low": None, "high": None, "mean_width": None, "by_x": [[0.0, 1.0, None, None]]}
    }
    blank = dataclasses.replace(changed["uncertainty"], attributes={"coverage": unknown})
    drawing = analysis_uncertainty.uncertainty_figure(data, {"uncertainty": blank})
    assert drawing.tables["b"]["share of references inside the 90 % interval"][0] == pytest.approx(240 / 256)
    without = with_arrays(changed, "uncertainty", rdf_low=None)
    assert len(analysis_uncertainty.uncertainty_figure(data, without).figure.axes) == 2


def test_novelty_counts_false_alarms_and_names_what_was_missed(data, parts):
    scores = np.ones(256)
    scores[:64] = 3.0
    missed = [
        {"name": "averaged spectrum, x = 0.00, moved by +3 eV", "score": 1.5, "flagged": False},
        {"name": "averaged spectrum, x = 0.00, where it is", "score": 2.5, "flagged": True},
        {"name": "averaged spectrum, x = 2.00, where it is", "score": 0.5, "flagged": False},
        {"name": "noise", "score": 9.0, "flagged": True},
    ]
    part = parts["uncertainty"]
    part = dataclasses.replace(
        part, arrays={**part.arrays, "novelty": scores}, attributes={**part.attributes, "probes": missed}
    )
    drawing = analysis_uncertainty.novelty_figure(data, {"uncertainty": part})
    said = texts(drawing.figure)
    assert "25.0% of 256 sites above it" in said
    assert "\nx = 0.00, moved by +3 eV (missed)\n" in said
    assert "\nx = 0.00, where it is (false alarm)\n" in said
    assert "\nx = 2.00, where it is\n" in said
    assert "\nnoise\n" in said + "\n"
    assert sum(drawing.tables["a"]["above the threshold"]) == 64
    assert drawing.tables["b"]["flagged"] == [0, 1, 0, 1]


def test_many_probes_of_one_kind_are_summed_up():
    noise = [{"name": f"noise {i}", "score": 5.0 + i, "flagged": i > 0} for i in range(100)]
    rows = analysis_uncertainty.summed_up([{"name": "Si +3 eV", "score": 4.0, "flagged": True}, *noise])
    assert rows == [("Si +3 eV", 4.0, True), ("noise: lowest of 100, 99 flagged", 5.0, False)]


@pytest.mark.parametrize(("number", "shape"), [(1, (1, 1)), (4, (2, 2)), (9, (3, 3)), (10, (3, 4)), (21, (5, 5))])
def test_grids_hold_all_panels(number, shape):
    assert grid_shape(number) == shape


def test_files_of_a_figure(data, parts, tmp_path):
    drawing = analysis_parity.valence_parity(data, parts)
    written = write_drawing(drawing, tmp_path, "fig3", "Valence")
    assert written.png.read_bytes().startswith(b"\x89PNG")
    assert b"data set 5e4b1a2c" in written.png.read_bytes()
    assert written.pdf.read_bytes().startswith(b"%PDF")
    assert [path.name for path in written.csv] == ["fig3_random.csv", "fig3_grouped.csv"]
    with written.csv[1].open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 256
    assert rows[7]["configuration"] == "Si14_00synt"
    assert float(rows[7]["Bader valence (e)"]) == pytest.approx(data.sites.valence[7], rel=1e-6)
    again = tmp_path / "again"
    again.mkdir()
    fresh = analysis_parity.valence_parity(data, parts)
    assert write_drawing(fresh, again, "fig3", "Valence").pdf.read_bytes() == written.pdf.read_bytes()


def test_a_table_with_gaps(tmp_path):
    write_table({"x": [0.5, np.nan], "name (e)": ["a", "b"]}, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "x,name (e)\n0.5,a\n,b\n"
    with pytest.raises(ValueError, match="differ in length"):
        write_table({"x": [1], "y": []}, tmp_path / "t.csv")

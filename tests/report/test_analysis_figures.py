"""Figures of an analysis from synthetic arrays: what is drawn, and the numbers beside it."""

from __future__ import annotations

import csv
import dataclasses
import re

import numpy as np
import pytest
from matplotlib.colors import to_hex

from aiida_siox.report.analysis_words import figures_of
from aiida_siox.report.drawing import Drawing, csv_text
from aiida_siox.report.figures import averages, curves, novelty, parity, scores, spectra, style, uncertainty
from aiida_siox.report.records import AnalysisPart, NotDrawn, SiteRecords, estimate, spread_over
from aiida_siox.science.quantity import Kind, Quantity

from . import synthetic

FEW = (("Si14", 14, 0.0), ("Si4O4", 4, 1.0), ("Si4O9", 4, 2.25))


@pytest.fixture(scope="module")
def data() -> SiteRecords:
    """Return the synthetic data set."""
    return synthetic.source()


@pytest.fixture(scope="module")
def parts(data) -> dict[str, AnalysisPart]:
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


def valence(data: SiteRecords) -> np.ndarray:
    """Return the valences of the sites."""
    return data.values["valence"][:, 0]


def drawn(draw, data, parts, name, **options) -> Drawing:
    """Return a figure of a property."""
    return draw(data, parts, data.quantities[name], **options)


NAMES = [words.name for words, _ in figures_of(synthetic.source(FEW, copies=1, n_energies=40), {})]


def figure_named(name, data, parts) -> Drawing:
    """Return a figure of the report by the name of its files."""
    return next(draw for words, draw in figures_of(data, parts) if words.name == name)(data, parts)


def test_every_figure_of_the_paper_is_there(data, parts):
    assert {words.paper for words, _ in figures_of(data, parts)} == {
        *("", "Fig. 2", "Fig. 3", "Fig. 4", "Fig. 5", "Fig. 6", "Fig. 7", "Fig. 8"),
        *("Fig. S3", "Fig. S4", "Fig. S5", "Fig. S6"),
    }
    more = {"oxidation", "scores", "uncertainty", "novelty", "learning_curve"}
    assert more <= {words.name for words, _ in figures_of(data, parts)}


@pytest.mark.parametrize("name", [*NAMES, "rdf_intervals"])
def test_every_figure_says_where_it_is_from_and_its_columns_have_one_length(name, data, parts):
    drawing = figure_named(name, data, parts)
    assert "data set 5e4b1a2c" in drawing.note
    assert "256 sites, 36 configurations" in drawing.note
    assert drawing.note in texts(drawing.figure)
    assert drawing.figure.get_figwidth() == pytest.approx(17 / 2.54, abs=0.01)
    assert drawing.tables
    for columns in drawing.tables.values():
        assert len({len(column) for column in columns.values()}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_three_configurations_are_enough_and_x_may_exceed_two(name):
    few = synthetic.source(FEW, copies=1, n_energies=40)
    figure_named(name, few, synthetic.parts(few, seeds=1))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("fig2", "figS3")])
def test_without_the_analysis_there_is_a_reason(name, data):
    with pytest.raises(NotDrawn, match="has no part `"):
        figure_named(name, data, {})


@pytest.mark.parametrize("name", [*NAMES, "rdf_intervals"])
def test_no_level_is_written_that_the_settings_do_not_say(name, data, parts):
    """Coverage is 0.8 and confidence 0.7 in the synthetic analysis."""
    words = next(words for words, _ in figures_of(data, parts) if words.name == name)
    drawing = figure_named(name, data, parts)
    said = [words.title, words.explanation, *(key for table in drawing.tables.values() for key in table)]
    said += [text for text in texts(drawing.figure).splitlines() if not re.search(r"(inside|above it)", text)]
    assert not [text for text in said if re.search(r"\b90\b|0\.9\b|nine of ten|10 %", text)]
    whole = "\n".join(said)
    for figure, level in (("uncertainty", "80 % interval"), ("fig7", "80 % interval"), ("rdf_intervals", "80 % band")):
        assert (level in whole) or name != figure
    assert "70 % confidence interval" in whole or name != "scores"


def test_without_settings_no_level_is_said(data, parts):
    part = dataclasses.replace(parts["uncertainty"], attributes={})
    drawing = drawn(uncertainty.intervals, data, {"uncertainty": part}, "valence")
    assert "interval low" in drawing.tables["a"]
    assert "%" not in "".join(drawing.tables["a"])


def test_a_new_scalar_gets_the_figures_of_its_kind(data, parts):
    """A property that this package does not know: parity, windows, averages, intervals, without a line here."""
    angle = Quantity("angle", "mean angle", "$\\theta$", "°", Kind.SCALAR, error_scale=5.0)
    values = {**data.values, "angle": 30 * data.values["valence"] + 60}
    more = dataclasses.replace(data, quantities={**data.quantities, "angle": angle}, values=values)
    twins = {
        name: dataclasses.replace(
            part,
            arrays={**part.arrays, **{key.replace("valence", "angle"): array for key, array in part.arrays.items()}},
            attributes={
                key: {**value, "angle": value["valence"]} if isinstance(value, dict) and "valence" in value else value
                for key, value in part.attributes.items()
            },
        )
        for name, part in parts.items()
    }
    assert not [words for words, _ in figures_of(more, parts) if words.section == "angle"]
    found = {words.name: draw(more, twins) for words, draw in figures_of(more, twins) if words.name.startswith("angle")}
    kinds = ("networks", "descriptors", "windows", "bands", "averages", "intervals")
    assert sorted(found) == sorted(f"angle_{kind}" for kind in kinds)
    assert "mean angle (°)" in found["angle_networks"].tables["_grouped"]
    assert "mean angle" in texts(scores.splits_side_by_side(more, twins).figure)


def test_sites_without_a_value_are_not_drawn(data, parts):
    lacking = data.values["valence"].copy()
    lacking[:10] = np.nan
    some = dataclasses.replace(data, values={**data.values, "valence": lacking})
    drawing = drawn(parity.networks, some, parts, "valence")
    assert "246 test sites" in texts(drawing.figure)


def with_cells(data: SiteRecords, **changes) -> SiteRecords:
    """Return the sites with other values of their configurations, by index."""
    cells = [
        dataclasses.replace(cell, **{key: values[i] for key, values in changes.items() if i in values})
        for i, cell in enumerate(data.cells)
    ]
    return dataclasses.replace(data, cells=tuple(cells))


def test_averaged_spectra_are_means_of_complete_configurations(data, parts):
    partial = with_cells(data, complete={5: False})
    drawing = spectra.averaged_spectra(partial, spectra.energy_windows(data, parts))
    lines = drawing.figure.axes[0].get_lines()
    assert len(lines) == 35
    columns = drawing.tables[""]
    assert len(columns) == 36
    mean = data.spectra[data.configuration == 8].mean(axis=0)
    assert columns["Si8O4_08, x = 0.5 (arb. units)"] == pytest.approx(mean)
    assert not any(name.startswith("Si8O2_05") for name in columns)
    assert len({to_hex(line.get_color()) for line in lines}) == 9
    letters = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert letters == list("abcdefgh")


def test_equal_configurations_are_counted_once(data):
    assert with_cells(data, group={1: "00", 2: "00"}).counted == "36 configurations (34 different)"


def test_no_complete_configuration_no_average(data):
    with pytest.raises(NotDrawn, match="95 %"):
        spectra.averaged_spectra(with_cells(data, complete=dict.fromkeys(range(36), False)))


def test_windows_are_those_of_the_analysis_or_eight_equal_ones(data, parts):
    assert spectra.energy_windows(data, {})[1] == ("b", 1836.25, 1842.5)
    part = dataclasses.replace(
        parts["windows"], arrays={"window_names": np.array(["a", "full"]), "windows_eV": np.array([[1, 2], [1, 9]])}
    )
    assert spectra.energy_windows(data, {"windows": part}) == [("a", 1.0, 2.0)]


def test_site_spectra_have_a_panel_for_each_composition(data, parts):
    drawing = spectra.site_spectra(data)
    panels = drawing.figure.axes
    assert len(panels) == 9
    # the first composition: 4 × 14 sites, and an outline with a line for each of four averages
    assert len(panels[0].get_lines()) == 56 + 8
    assert "56/56 sites" in panels[0].get_title(loc="left")
    assert len(drawing.tables[""]["x"]) == 256


def test_parity_quotes_the_error_of_what_is_drawn(data, parts):
    predicted = np.full(256, np.nan)
    predicted[:50] = valence(data)[:50] + 0.25
    drawing = drawn(parity.networks, data, with_arrays(parts, "splits", valence_grouped_predicted=predicted), "valence")
    left, right = drawing.figure.axes
    said = "\n".join(text.get_text() for text in right.texts)
    assert "RMSE 0.250 e" in said
    assert "5 seeds: 0.140 e (0.133–0.147)" in said
    assert "no skill 1.100 e" in said
    assert "50 test sites" in said
    assert drawing.tables["_grouped"]["Bader valence (e), read from the spectrum"] == pytest.approx(predicted[:50])
    assert set(drawing.tables["_grouped"]["set"]) == {"test"}
    assert drawing.tables["_random"]["set"].count("training") == 205
    assert "grouped split" in right.get_title(loc="left")
    assert len(left.collections[0].get_offsets()) == 205


def test_parity_colours_follow_the_oxygen_neighbours(data, parts):
    right = drawn(parity.networks, data, parts, "valence").figure.axes[1]
    counts = {to_hex(c.get_facecolor()[0]): len(c.get_offsets()) for c in right.collections}
    for n in range(5):
        assert counts[style.formal_colour(n)] == int((data.ligands == n).sum())


def test_the_regression_has_its_own_score(data, parts):
    drawing = drawn(parity.descriptors, data, parts, "valence")
    assert "0.308 e" in "\n".join(text.get_text() for text in drawing.figure.axes[1].texts)  # 2.2 × 0.14
    gone = with_arrays(
        parts, "splits", valence_random_descriptors_predicted=None, valence_grouped_descriptors_predicted=None
    )
    with pytest.raises(NotDrawn, match="valence_random_descriptors_predicted"):
        drawn(parity.descriptors, data, gone, "valence")


def test_one_split_alone_is_drawn(data, parts):
    figure = drawn(parity.networks, data, with_arrays(parts, "splits", valence_random_predicted=None), "valence").figure
    assert len(figure.axes) == 1


def test_windows_and_bands_are_told_apart(data, parts):
    narrow, bands = (drawn(parity.windows, data, parts, "valence", narrow=narrow) for narrow in (True, False))
    titles = [axes.get_title(loc="left") for axes in narrow.figure.axes]
    assert titles[1] == "b  1836.25–1842.50 eV"
    assert [title.split()[0] for title in titles] == [*"abcdefgh", "full"]
    assert [axes.get_title(loc="left").split()[0] for axes in bands.figure.axes] == ["low", "high", "full"]
    assert set(bands.tables[""]["window"]) == {"low", "high", "full"}


def test_rdf_cases_run_from_best_to_worst_of_the_grouped_split(data, parts):
    errors = np.full((2, 256), np.nan)
    errors[0] = np.linspace(1.0, 0.0, 256)  # the last row is the best
    drawing = drawn(curves.networks, data, with_arrays(parts, "splits", rdf_grouped_site_rmse=errors), "rdf")
    ranked = drawing.tables["a_grouped"]["RMSE of g(R)"]
    assert list(ranked) == sorted(ranked)
    columns = drawing.tables["b"]
    assert len(columns) == 1 + 2 * 6
    first = next(name for name in columns if name.startswith("A "))
    assert columns[first] == pytest.approx(data.values["rdf"][255])
    assert next(name for name in columns if name.startswith("F ")).startswith("F Si14_00 site 0 n_O")
    said = texts(drawing.figure)
    assert "σ = 0.15 Å" in said
    assert "no skill (training mean) 0.900" in said
    assert {"A", "B", "C", "D", "E", "F"} <= set(said.splitlines())


def test_places_are_spread_over_the_ranking():
    assert spread_over(51, 6) == [0, 10, 20, 30, 40, 50]
    assert spread_over(2, 6) == [0, 1]


def test_window_errors_are_sorted_and_pooled(data, parts):
    errors = np.full((11, 256), np.nan)
    errors[:, 10:14] = [0.4, 0.2, 0.3, 0.1]
    errors[10, 10:14] = [3.0, 4.0, 0.0, 0.0]  # the full window
    drawing = drawn(curves.windows, data, with_arrays(parts, "windows", rdf_window_site_rmse=errors), "rdf")
    lines = drawing.figure.axes[0].get_lines()
    assert list(lines[0].get_ydata()) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert "full  1830.00–1880.00 eV: 2.500" in [line.get_label() for line in lines]
    assert len(lines) == 9 + 1
    assert len(drawn(curves.windows, data, parts, "rdf", narrow=False).figure.axes[0].get_lines()) == 3 + 1


def test_bias_of_averages_is_seen(data, parts):
    drawing = drawn(averages.scalars, data, parts, "valence")
    left, right = drawing.figure.axes
    sites = parts["averages"].array("valence_sites_predicted") - parts["averages"].array("valence_reference")
    mean_line = right.get_lines()[0]
    assert mean_line.get_ydata() == pytest.approx([sites[data.x == x].mean() for x in np.unique(data.x)])
    said = "\n".join(text.get_text() for text in left.texts)
    assert f"bias {sites.mean():+.3f}".replace("-", "−") in said
    low = drawing.tables[""]["80 % interval low, trained on mixtures as well"]
    assert low == pytest.approx(parts["averages"].array("valence_mixtures_low"))


def test_worst_mean_rdf_of_each_composition(data, parts):
    predicted = np.array(parts["averages"].array("rdf_sites_predicted"))
    predicted[18] += 0.5  # third configuration of x = 1
    drawing = drawn(averages.curves, data, with_arrays(parts, "averages", rdf_sites_predicted=predicted), "rdf")
    assert "Si6O6_18, reference g(R)" in drawing.tables["b"]
    assert drawing.tables["a"]["RMSE of mean g(R), trained on site spectra only"][18] > 0.45
    assert len(drawing.tables["b"]) == 1 + 9 * 3
    assert "off the scale" not in texts(drawing.figure)


def test_total_variation_is_half_the_sum_of_differences(data, parts):
    reference = np.tile([1.0, 0, 0, 0, 0], (36, 1))
    predicted = np.tile([0.75, 0.25, 0, 0, 0], (36, 1))
    changed = with_arrays(parts, "averages", oxidation_reference=reference, oxidation_mixtures_predicted=predicted)
    drawing = drawn(averages.distributions, data, changed, "oxidation")
    assert drawing.tables[""]["Si4+ reference (share)"] == pytest.approx([0.0] * 36)
    assert drawing.tables[""]["total variation, trained on mixtures as well (no unit)"] == pytest.approx([0.25] * 36)
    assert len(drawing.figure.axes[0].patches) == 36 * 2 * 5
    assert "trained on mixtures as well: mean 0.250" in texts(drawing.figure)


def test_many_configurations_are_merged_by_composition(monkeypatch, data, parts):
    monkeypatch.setattr(averages, "MOST_BARS", 35)
    drawing = drawn(averages.distributions, data, parts, "oxidation")
    assert len(drawing.figure.axes[0].patches) == 9 * 2 * 5
    assert len(drawing.tables[""]["x"]) == 36


def test_scores_table_holds_every_method(data, parts):
    table = scores.splits_side_by_side(data, parts).tables[""]
    rows = list(zip(table["property"], table["split"], table["method"], table["RMSE"], strict=True))
    assert len(rows) == 9 * 7 - 6
    assert ("Bader valence", "grouped", "three descriptors, linear", pytest.approx(0.308)) in rows
    assert ("g(R)", "random", "no skill (mean)", 0.9) in rows


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
    assert scores.power_law(np.array([100.0]), {"a": 2, "b": 0.5, "c": 0.1}) == pytest.approx([0.3])
    drawing = scores.learning_curves(data, parts)
    said = texts(drawing.figure)
    assert "RMSE 0.11 needs about 625 sites" in said
    assert "RMSE 0.04 is not reached" in said
    assert list(drawing.tables[""]["training sites of Bader valence"][:3]) == [30, 34, 28]
    no_law = dataclasses.replace(parts["learning_curve"], attributes={"fit": {"valence": {}}, "sites_needed": {}})
    assert "power law" not in texts(scores.learning_curves(data, {"learning_curve": no_law}).figure)


def test_coverage_counts_what_lies_inside(data, parts):
    low, high = np.full((1, 256), -9.0), np.full((1, 256), 9.0)
    low[0, data.site_x == 2.0] = 8.0  # no reference of x = 2 is inside
    changed = with_arrays(parts, "uncertainty", valence_low=low, valence_high=high)
    drawing = drawn(uncertainty.intervals, data, changed, "valence")
    shares = drawing.tables["b"]["share of references inside the 80 % interval"]
    assert shares[1:] == [1.0] * 8 + [0.0]
    assert sum(drawing.tables["a"]["inside"]) == 240
    assert len(drawing.figure.axes) == 2
    # a node keeps None of a number that is not finite
    unknown = {
        "valence": {"coverage": None, "low": None, "high": None, "mean_width": None, "by_x": [[0.0, 1.0, None, None]]}
    }
    blank = dataclasses.replace(changed["uncertainty"], attributes={"coverage": unknown})
    drawing = drawn(uncertainty.intervals, data, {"uncertainty": blank}, "valence")
    assert drawing.tables["b"]["share of references inside the interval"][0] == pytest.approx(240 / 256)
    assert len(drawn(uncertainty.intervals, data, parts, "rdf").figure.axes) == 4
    gone = with_arrays(changed, "uncertainty", rdf_low=None)
    with pytest.raises(NotDrawn, match="rdf_low"):
        drawn(uncertainty.intervals, data, gone, "rdf")


def test_novelty_counts_false_alarms_and_names_what_was_missed(data, parts):
    novel = np.ones(256)
    novel[:64] = 3.0
    missed = [
        {"name": "averaged spectrum, x = 0.00, moved by +3 eV", "score": 1.5, "flagged": False},
        {"name": "averaged spectrum, x = 0.00, where it is", "score": 2.5, "flagged": True},
        {"name": "averaged spectrum, x = 2.00, where it is", "score": 0.5, "flagged": False},
        {"name": "noise", "score": 9.0, "flagged": True},
    ]
    part = parts["uncertainty"]
    part = dataclasses.replace(
        part, arrays={**part.arrays, "novelty": novel}, attributes={**part.attributes, "probes": missed}
    )
    drawing = novelty.novelty(data, {"uncertainty": part})
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
    rows = novelty.summed_up([{"name": "Si +3 eV", "score": 4.0, "flagged": True}, *noise])
    assert rows == [("Si +3 eV", 4.0, True), ("noise: lowest of 100, 99 flagged", 5.0, False)]


@pytest.mark.parametrize(("number", "shape"), [(1, (1, 1)), (4, (2, 2)), (9, (3, 3)), (10, (3, 4)), (21, (5, 5))])
def test_grids_hold_all_panels(number, shape):
    assert style.grid_shape(number) == shape


def test_files_of_a_figure(data, parts, tmp_path):
    drawing = drawn(parity.networks, data, parts, "valence").described(name="fig3", title="Valence")
    uri, links = drawing.written(tmp_path)
    assert uri.startswith("data:image/png;base64,")
    assert b"data set 5e4b1a2c" in (tmp_path / "fig3.png").read_bytes()
    assert (tmp_path / "fig3.pdf").read_bytes().startswith(b"%PDF")
    names = ["fig3.png", "fig3.pdf", "fig3_random.csv", "fig3_grouped.csv"]
    assert links == list(zip(["PNG", "PDF", "CSV random", "CSV grouped"], names, strict=True))
    with (tmp_path / names[-1]).open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 256
    assert rows[7]["configuration"] == "Si14_00"
    assert float(rows[7]["Bader valence (e)"]) == pytest.approx(valence(data)[7], rel=1e-6)
    again = tmp_path / "again"
    again.mkdir()
    drawn(parity.networks, data, parts, "valence").described(name="fig3", title="Valence").written(again)
    assert (again / "fig3.pdf").read_bytes() == (tmp_path / "fig3.pdf").read_bytes()


def test_a_table_with_gaps():
    assert csv_text({"x": [0.5, np.nan], "name (e)": ["a", "b"]}) == "x,name (e)\n0.5,a\n,b\n"
    with pytest.raises(ValueError, match="differ in length"):
        csv_text({"x": [1], "y": []})

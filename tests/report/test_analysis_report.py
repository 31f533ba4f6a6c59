"""The page of an analysis, from synthetic numbers."""

from __future__ import annotations

import dataclasses
import re
import types

import pytest

from aiida_siox.data.analysis import AnalysisData
from aiida_siox.report.analysis import (
    analysis_page,
    card_table,
    count_table,
    node_facts,
    score_tables,
    tiles,
    write_analysis_report,
)
from aiida_siox.report.analysis_words import figures_of
from aiida_siox.report.page import Undrawn, render, write_page

from ..factories import make_dataset, make_properties, stack_properties
from . import synthetic

CARD = {"data": {"n_sites": 256, "compositions": [0.0, 2.0]}, "intended": "Si K edge of SiOx", "rmse": -0.12345678}


class Attributes(dict):
    """Attributes of a node."""

    @property
    def all(self):
        """Return them as a plain dictionary."""
        return dict(self)


def model_node(card):
    """Return what looks like the ModelData node of a card."""
    return types.SimpleNamespace(pk=12, base=types.SimpleNamespace(attributes=Attributes(card=card)))


@pytest.fixture(scope="module")
def source():
    """Return a small synthetic data set."""
    return synthetic.source(copies=2, n_energies=64)


@pytest.fixture(scope="module")
def parts(source):
    """Return the synthetic analysis of it."""
    return synthetic.parts(source)


@pytest.fixture(scope="module")
def page(source, parts, tmp_path_factory):
    """Return the page of a whole analysis."""
    folder = tmp_path_factory.mktemp("analysis") / "new"
    facts = [("Data set", "PK 7")]
    found = analysis_page(source, parts, {"valence": model_node(CARD)}, facts)
    return write_page(found, folder / "report.html", folder / "figures")


def test_the_folder_holds_every_figure(page, source, parts):
    text = page.read_text()
    figures = [words for words, _ in figures_of(source, parts)]
    for words in figures:
        assert (page.parent / "figures" / f"{words.name}.png").exists()
        assert (page.parent / "figures" / f"{words.name}.pdf").exists()
        assert list((page.parent / "figures").glob(f"{words.name}*.csv"))
        assert f'href="figures/{words.name}.pdf"' in text
        assert words.title in text
    assert text.count("data:image/png;base64,") == len(figures) == 17
    assert "Not drawn" not in text
    links = [piece.split('"')[0] for piece in text.split('href="')[1:]]
    assert all((page.parent / link).exists() for link in links if not link.startswith("#"))


def test_the_page_says_scores_counts_and_card(page):
    text = page.read_text()
    for words in ("5e4b1a2c", "0.140 (0.133–0.147)", "σ = 0.15 Å", "data · n sites", "−0.1235", "PK 7", "n_" + "O"):
        assert words in text or words == "n_O"
    assert "<i>n</i><sub>O</sub> = 4" in text
    assert "Seeds" in text
    assert "splits 5 seeds" in text


def test_no_level_is_written_that_the_settings_do_not_say(page):
    """Coverage is 0.8 and confidence 0.7 in the synthetic analysis."""
    text = page.read_text().split("<body>")[1]
    words = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    assert not re.search(r"\b90 ?% (conf|int|band|of the true)|nine of ten", words)
    assert "80 % interval" in words
    assert "70 % confidence interval of the mean over seeds" in words


def section(page, key):
    """Return the blocks of a section."""
    return next(section.blocks for section in page.sections if section.key == key)


def test_what_is_missing_is_said(source, parts):
    splits = dataclasses.replace(
        parts["splits"],
        attributes={**parts["splits"].attributes, "scores_unavailable": {"composition": "one composition only"}},
    )
    found = analysis_page(source, {"splits": splits}, {})
    undrawn = [block for block in section(found, "averages") if isinstance(block, Undrawn)]
    assert {block.reason for block in undrawn} == {"the analysis has no part `averages`"}
    assert "the composition split: one composition only" in found.missing
    assert section(found, "models")[0].what == "no model was kept"


def test_a_data_set_alone_has_a_page(source):
    found = analysis_page(source, {}, {})
    text = render(found)
    assert text.count("data:image/") == 2
    assert "Not available: the splits were not analysed." in text
    assert "Not drawn: the analysis has no part `splits`." in text


@pytest.fixture
def dataset(aiida_profile, source):
    """Return a data set node of the synthetic sites."""
    rows = zip(source.ligands.tolist(), source.values["valence"][:, 0], source.values["rdf"], strict=True)
    cells = [
        {"formula": cell.formula, "x": cell.x, "structure_digest": f"{cell.group}digest",
         "n_absorbers": cell.n_absorbers}
        for cell in source.cells
    ]  # fmt: skip
    properties = stack_properties([make_properties(*row) for row in rows])
    return make_dataset(
        source.energy, source.spectra, properties, source.configuration, cells, source.site_index, protocol="synthetic"
    )


def nodes_of(dataset, parts):
    """Return the nodes of an analysis."""
    return {
        name: AnalysisData.from_result(dataset, name, part.attributes.get("parameters", {}), 1, part.arrays, {
            key: value for key, value in part.attributes.items() if key != "parameters"
        })
        for name, part in parts.items()
    }  # fmt: skip


def test_a_part_of_another_data_set_is_refused(dataset, parts, tmp_path):
    splits = nodes_of(dataset, parts)["splits"]
    splits.base.attributes.set("dataset_digest", "somebody else's")
    with pytest.raises(ValueError, match="the part `splits` is of the data set"):
        write_analysis_report(tmp_path, dataset, {"splits": splits}, {})


def test_nodes_are_read(dataset, source, parts, tmp_path, monkeypatch):
    def three(records, read):
        return [found for found in figures_of(records, read) if found[0].name in ("fig2", "fig3", "fig7")]

    monkeypatch.setattr("aiida_siox.report.analysis.figures_of", three)
    page = write_analysis_report(tmp_path, dataset, nodes_of(dataset, parts), {})
    text = page.read_text()
    assert "Not drawn" not in text
    assert "80 % interval" in text
    assert {path.name for path in (tmp_path / "figures").glob("*.png")} == {"fig2.png", "fig3.png", "fig7.png"}
    digest = dataset.base.attributes.get("digest")
    assert f'<dd class="mono">{digest}</dd>' in text
    assert dict(node_facts(dataset, {}))["Calibration"] == "−12.800 eV"


def test_tiles_are_scores_of_every_property(source, parts):
    found = {(tile.words, tile.value) for tile in tiles(source, parts)}
    assert ("RMSE of Bader valence", "0.140 e") in found
    assert ("RMSE of g(R)", "0.420") in found
    assert ("RMSE of the mean Bader valence", "0.100 e") in found
    assert any(words == "of Bader valence inside their 80 % interval" for words, _ in found)


def test_counts_add_up(source):
    rows = count_table(source).rows
    assert len(rows) == 9 + 1
    assert rows[0][:5] == ["0", "Si14", "2", "2", "28/28"]
    assert rows[-1][4] == "128/128"
    assert [sum(int(row[column]) for row in rows[:-1]) for column in range(5, 11)] == [int(v) for v in rows[-1][5:11]]


def test_score_rows_hold_baselines_and_no_skill(source, parts):
    valence, rdf, _ = score_tables(source, parts)
    assert valence.head == ["RMSE of Bader valence (e)", "random", "grouped", "composition"]
    rows = {row[0]: row[2] for row in valence.rows}  # the grouped split
    assert rows["three descriptors, linear"] == "0.308 (0.293–0.323)"
    assert rows["no skill (mean)"].startswith("1.100")
    assert rows["training / test sites"] == "200 / 50"
    assert rows["skill of the networks"] == "0.87"
    assert rdf.head[0] == "RMSE of g(R), σ = 0.15 Å"
    assert "three descriptors, linear" not in {row[0] for row in rdf.rows}


def test_a_card_is_flattened_to_rows_that_can_be_read():
    card = {
        "data": {"n_sites": 256, "formulas": ["Si14", "Si4O8"]},
        "scores": {"grouped": {"rmse": -0.123456, "r2": None}},
        "range": {"r_angstrom": [0.5 * i for i in range(20)], "treatment": "fch"},
        "limits": ["No hydrogen.", "No interfaces."],
        "empty": None,
    }
    found = card_table(synthetic.source(copies=1), "valence", model_node(card))
    assert found.title == "Model of Bader valence, PK 12"
    assert found.rows == [
        ("data · n sites", "256"),
        ("data · formulas", "Si14, Si4O8"),
        ("scores · grouped", "rmse −0.1235"),
        ("range · r angstrom", "20 numbers, 0 to 9.5"),
        ("range · treatment", "fch"),
        ("limits", "No hydrogen. No interfaces."),
    ]


def test_a_model_without_a_card(source):
    assert card_table(source, "rdf", model_node(None)).rows == [("card", "this model has none")]

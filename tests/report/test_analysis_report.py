"""The page of an analysis, from synthetic numbers."""

from __future__ import annotations

import types

import pytest

from aiida_siox.report.analysis import write_analysis_report
from aiida_siox.report.analysis_figures import FIGURES
from aiida_siox.report.analysis_tables import card_rows, count_rows, score_blocks

from . import synthetic

CARD = {"data": {"n_sites": 256, "compositions": [0.0, 2.0]}, "intended": "Si K edge of SiOx", "rmse": -0.12345678}


class Attributes(dict):
    """Attributes of a node."""

    @property
    def all(self):
        """Return them as a plain dictionary."""
        return dict(self)


def node_of(source):
    """Return what looks like the DatasetData node of a synthetic data set."""
    attributes = Attributes(
        digest=source.digest, protocol=source.protocol, treatment=source.treatment, shift_eV=source.shift_eV,
        settings_digest="abc123", gamma_eV=0.8,
    )  # fmt: skip
    return types.SimpleNamespace(
        pk=7, uuid="0000-synthetic", base=types.SimpleNamespace(attributes=attributes),
        site_set=lambda: source.sites, configurations=[{"n_absorbers": n} for n in source.n_silicon],
    )  # fmt: skip


def part_node(part, **more):
    """Return what looks like the AnalysisData node of a part."""
    return types.SimpleNamespace(
        pk=11, arrays=dict(part.arrays), base=types.SimpleNamespace(attributes=Attributes(part.attributes, **more))
    )


@pytest.fixture(scope="module")
def source():
    """Return a small synthetic data set."""
    return synthetic.source(copies=2, n_energies=64)


@pytest.fixture(scope="module")
def page(source, tmp_path_factory):
    """Return the page of a whole analysis."""
    parts = {name: part_node(part) for name, part in synthetic.parts(source).items()}
    folder = tmp_path_factory.mktemp("analysis") / "new"
    models = {"valence": types.SimpleNamespace(pk=12, card=CARD)}
    return write_analysis_report(folder, node_of(source), parts, models)


def test_the_folder_holds_every_figure(page):
    text = page.read_text()
    for spec in FIGURES:
        assert (page.parent / "figures" / f"{spec.name}.png").exists()
        assert (page.parent / "figures" / f"{spec.name}.pdf").exists()
        assert f'href="figures/{spec.name}.pdf"' in text
        assert spec.title in text
    assert text.count("data:image/png;base64,") == len(FIGURES)
    assert "Not drawn" not in text
    links = [piece.split('"')[0] for piece in text.split('href="')[1:]]
    assert all((page.parent / link).exists() for link in links if not link.startswith("#"))


def test_the_page_says_scores_counts_and_card(page):
    text = page.read_text()
    for words in ("5e4b1a2c99", "0.140 (0.133–0.147)", "σ = 0.15 Å", "data · n sites", "−0.1235", "PK 7", "−12.800 eV"):
        assert words in text
    assert "Seeds" in text
    assert "splits 5 seeds" in text


@pytest.fixture
def three_figures(monkeypatch):
    """Draw three figures only: each takes a second."""
    chosen = [spec for spec in FIGURES if spec.name in ("fig2", "fig3", "fig7")]
    monkeypatch.setattr("aiida_siox.report.analysis.FIGURES", chosen)


def test_what_is_missing_is_said(source, tmp_path, three_figures):
    splits = part_node(synthetic.parts(source)["splits"], scores_unavailable={"composition": "one composition only"})
    text = write_analysis_report(tmp_path, node_of(source), {"splits": splits}, {}).read_text()
    assert "Not drawn: the analysis has no part `averages`." in text
    assert "the composition split: one composition only" in text
    assert "Not available: no model was kept." in text
    assert not (tmp_path / "figures" / "fig7.png").exists()


def test_a_data_set_alone_has_a_page(source, tmp_path, three_figures):
    text = write_analysis_report(tmp_path, node_of(source), {}, {}).read_text()
    assert text.count("data:image/png;base64,") == 1
    assert "the splits were not analysed" in text


def test_a_part_of_another_data_set_is_refused(source, tmp_path):
    splits = part_node(synthetic.parts(source)["splits"], dataset_digest="somebody else's")
    with pytest.raises(ValueError, match="the part `splits` is of the data set"):
        write_analysis_report(tmp_path, node_of(source), {"splits": splits}, {})


def test_nodes_are_read(aiida_profile, source, tmp_path, three_figures):
    from aiida_siox.data.analysis import AnalysisData
    from tests.factories import make_dataset, make_properties, stack_properties

    sites = source.sites
    rows = zip(sites.n_oxygen.tolist(), sites.valence, sites.rdf, strict=True)
    node = make_dataset(
        sites.energy, sites.spectra, stack_properties([make_properties(*row) for row in rows]), sites.configuration,
        [
            {"formula": formula, "x": float(x), "structure_digest": digest, "n_absorbers": n}
            for formula, x, digest, n in zip(sites.formulas, sites.x, sites.digests, source.n_silicon, strict=True)
        ],
        sites.site_index, protocol="synthetic",
    )  # fmt: skip
    parts = {
        name: AnalysisData.from_result(node, name, {}, 1, part.arrays, part.attributes)
        for name, part in synthetic.parts(source).items()
    }
    page = write_analysis_report(tmp_path, node, parts, {})
    assert "Not drawn" not in page.read_text()
    assert {path.name for path in (tmp_path / "figures").glob("*.png")} == {"fig2.png", "fig3.png", "fig7.png"}


def test_counts_add_up(source):
    rows = count_rows(source)["rows"]
    assert len(rows) == 9 + 1
    assert rows[0][:5] == ["0", "Si14", "2", "2", "28/28"]
    assert rows[-1][4] == "128/128"
    assert [sum(int(row[column]) for row in rows[:-1]) for column in range(5, 11)] == [int(v) for v in rows[-1][5:11]]


def test_score_rows_hold_baselines_and_no_skill(source):
    valence, rdf, _ = score_blocks(source, synthetic.parts(source))
    assert valence["head"] == ["RMSE of valence (e)", "random", "grouped", "composition"]
    rows = {row[0]: row[2] for row in valence["rows"]}  # the grouped split
    assert rows["three descriptors, linear"] == "0.308 (0.293–0.323)"
    assert rows["no skill (mean)"].startswith("1.100")
    assert rows["training / test sites"] == "200 / 50"
    assert rows["skill of the networks"] == "0.87"
    assert rdf["head"][0] == "RMSE of g(R), σ = 0.15 Å"
    assert "three descriptors, linear" not in {row[0] for row in rdf["rows"]}


def test_a_card_is_flattened_to_rows_that_can_be_read():
    card = {
        "data": {"n_sites": 256, "formulas": ["Si14", "Si4O8"]},
        "scores": {"grouped": {"rmse": -0.123456, "r2": None}},
        "range": {"r_angstrom": [0.5 * i for i in range(20)], "treatment": "fch"},
        "limits": ["No hydrogen.", "No interfaces."],
        "empty": None,
    }
    assert card_rows("valence", types.SimpleNamespace(pk=12, card=card)) == {
        "title": "Model of the valence (e), PK 12",
        "rows": [
            ("data · n sites", "256"),
            ("data · formulas", "Si14, Si4O8"),
            ("scores · grouped", "rmse −0.1235"),
            ("range · r angstrom", "20 numbers, 0 to 9.5"),
            ("range · treatment", "fch"),
            ("limits", "No hydrogen. No interfaces."),
        ],
    }


def test_a_model_without_a_card():
    assert card_rows("rdf", types.SimpleNamespace(pk=3))["rows"] == [("card", "this model has none")]
    assert card_rows("valence", types.SimpleNamespace(pk=3, card="A text."))["rows"] == [("card", "A text.")]

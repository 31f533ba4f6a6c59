"""The HTML report."""

from __future__ import annotations

import html.parser

import pytest
from aiida import orm

from aiida_siox.report import graph, write_report
from aiida_siox.report.study_nodes import read_study
from aiida_siox.science.acceptance import attempts_of, count_acceptance
from tests.crystals import SIOX


class Addresses(html.parser.HTMLParser):
    """Collects everything that a browser would load."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        """Keep addresses, but not the links to sections."""
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data") and not value.startswith("#"):
                self.found.append(value)


@pytest.fixture(scope="module")
def text(whole_study, tmp_path_factory):
    """Return the report of the whole study."""
    path = write_report(whole_study, tmp_path_factory.mktemp("report") / "new" / "report.html")
    assert path.is_absolute()
    return path.read_text()


def test_needs_no_network(text):
    addresses = Addresses()
    addresses.feed(text)
    assert len(addresses.found) >= 10
    assert all(address.startswith("data:") for address in addresses.found)
    assert "@import" not in text
    assert "url(" not in text
    assert "<script" not in text


def test_every_figure_and_table_names_the_protocol(text):
    captions = text.split("<figcaption>")[1:] + text.split("<caption>")[1:]
    assert len(captions) >= 14
    for caption in captions:
        assert caption.lstrip().startswith('<span class="badge">fast</span> ')


def test_header(text, whole_study):
    for words in (
        f"PK {whole_study.pk}",
        whole_study.uuid,
        "fch",
        "pp.x 6.7, pw.x 6.7, siox-bader 0.1.0",
        "aiida-core 2.9.4",
        "−12.800 eV",
    ):
        assert words in text
    assert "finished with exit status 401" in text


def test_failures_are_told_with_their_reason(text):
    section = text.split('id="failures"')[1].split("</section>")[0]
    assert "Si4O4_1, site" in section
    assert "XANES not converged after 3000 iterations" in section
    assert "Si8O10_3 (melt-quench)" in section
    assert "The dynamics blew up" in section
    assert section.count("<tr><td>") == 3
    assert "the site table of Si8O10_3" in text.split("Incomplete study")[1].split("</div>")[0]


def test_no_averaged_spectrum_with_a_failed_site(text):
    section = text.split('id="spectra"')[1].split("</section>")[0]
    assert "No averaged spectrum" in section
    assert "Si4O4_1 (3/4 sites)" in section
    assert "<td>Si4O4_1</td>" not in section
    assert "<td>Si4O2_1</td>" in section


def test_scores_quote_no_skill_and_sigma(text):
    section = text.split('id="rdf"')[1].split("</section>")[0]
    for words in ("RMSE no skill", "σ 0.15 Å", "grouped", "random", "composition mean"):
        assert words in section


def test_timing_and_utilisation(text):
    section = text.split('id="timing"')[1].split("</section>")[0]
    for words in ("xspectra.x", "pw.x (core hole)", "lmp", "CPU utilisation", "of 2 cores"):
        assert words in section


def test_a_study_of_which_nothing_came(study_maker, tmp_path):
    maker = study_maker()
    maker.begin([["Si4O2", 1]])
    maker.melt("Si4O2", 1, ok=False)
    text = write_report(maker.end(402, "All configurations failed."), tmp_path / "report.html").read_text()
    assert "All configurations failed." in text
    assert text.count("Not available") >= 5
    assert "the data set" in text.split("Incomplete study")[1].split("</div>")[0]


def test_acceptance_is_a_table(study_maker, tmp_path, text):
    maker = study_maker()
    maker.begin([["Si4O2", 11]])
    maker.melt("Si4O2", 11)
    attempts = attempts_of("Si4O2", [11, 12, 13], {11: {"accepted": False, "rejected_by": ["void"]}}, failed=[13])
    maker.outputs["acceptance"] = orm.Dict(count_acceptance(["Si4O2"], [attempts], SIOX)).store()
    section = write_report(maker.end(303, "No site."), tmp_path / "report.html").read_text().split('id="structures"')[1]
    row = section.split("Not accepted: why")[1].split("</tbody>")[0]
    assert [cell.split("</td>")[0].split(">")[1] for cell in row.split("<td")[1:]] == [
        *("Si4O2", "0.5", "1", "0", "3", "0%", "void (1), dynamics blew up (1), job failed (1)"),
    ]
    assert "Not accepted: why" not in text, "a study of before this was counted has no such table"


def test_a_study_without_failures_says_none(study_maker, tmp_path):
    maker = study_maker(cached=True)
    maker.begin([["Si4O8", 7]])
    maker.melt("Si4O8", 7)
    maker.targets("Si4O8", 7)
    text = write_report(maker.end(), tmp_path / "report.html").read_text()
    assert "<p>none</p>" in text.split('id="failures"')[1].split("</section>")[0]
    assert "pw.x (core hole) and xspectra.x came from the cache" in text
    assert "not calibrated" in text


def test_a_mixture_is_refused(study_maker, tmp_path):
    maker = study_maker()
    maker.begin([["Si4O2", 5], ["Si4O4", 5]])
    for formula in ("Si4O2", "Si4O4"):
        maker.melt(formula, 5)
        maker.targets(formula, 5, n_sites=1)
        maker.protocol = "balanced"
        maker.settings = {**maker.settings, "protocol": "balanced"}
    with pytest.raises(ValueError, match=r"protocol `fast` and table Si4O4_5 has `balanced`|has protocol `balanced`"):
        write_report(maker.end(), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_tables_of_other_settings_are_refused(study_maker, tmp_path):
    maker = study_maker()
    maker.begin([["Si4O2", 6], ["Si4O4", 6]])
    for formula, half_width in (("Si4O2", 0.8), ("Si4O4", 0.5)):
        maker.settings["xspectra"] = {**maker.settings["xspectra"], "gamma_eV": half_width}
        maker.melt(formula, 6)
        maker.targets(formula, 6, n_sites=1)
    with pytest.raises(ValueError, match="settings_digest"):
        write_report(maker.end(), tmp_path / "report.html")


def test_only_a_study_has_a_report(whole_study, tmp_path):
    with pytest.raises(ValueError, match="give the PK of a StudyWorkChain"):
        write_report(whole_study.outputs.dataset, tmp_path / "report.html")


def test_without_graphviz_the_provenance_is_written_as_text(whole_study, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    section = write_report(whole_study, tmp_path / "report.html").read_text().split('id="provenance"')[1]
    assert "Graphviz has no <code>dot</code>" in section
    tree = section.split("<pre>")[1].split("</pre>")[0].splitlines()
    assert tree[0].startswith("site 0 of Si4 (")
    assert any(line.strip().startswith("└─ lmp (") for line in tree)
    assert any("xspectra.x" in line for line in tree)
    assert sum("pw.x (core hole)" in line for line in tree) == 1


def test_the_provenance_is_that_of_one_site(text):
    section = text.split('id="provenance"')[1].split("</section>")[0]
    assert "data:image/svg+xml" in section
    assert "site 0 of Si4" in section


def test_the_provenance_names_the_potential(whole_study):
    table = whole_study.outputs.site_tables["Si4_1"]
    site, spectrum = graph.pick_site(table)
    links, _ = graph.thread(site, spectrum)
    nodes = {pk: orm.load_node(pk) for link in links for pk in link[:2]}
    lines = graph.text_tree(links, nodes, site.pk).splitlines()
    assert sum("potential Munetoh 2007" in line for line in lines) == 1
    assert not any("SiO.tersoff" in line for line in lines)
    drawn = graph.draw(links, nodes).source
    assert "potential Munetoh 2007" in drawn
    assert '" potential"' in drawn
    assert "potential__" not in drawn


def test_seed_of_a_replaced_cell(study_maker, tmp_path):
    """Si4O8_2 was made with seed 4, since the cell of seed 2 was rejected; of Si4O2_2 none was accepted."""
    maker = study_maker()
    maker.begin([["Si4O8", 2], ["Si4O8", 3], ["Si4O2", 2], ["Si4O6", 2]])
    for formula, seed in (("Si4O8", 2), ("Si4O8", 3), ("Si4O6", 2)):
        maker.melt(formula, seed)
    for label, accepted in (("Si4O8_2", 4), ("Si4O8_3", 3), ("Si4O2_2", None)):
        node = orm.Dict({"formula": label[:-2], "seeds": [int(label[-1]), 4], "accepted_seed": accepted})
        maker.outputs[f"attempts__{label}"] = node.store()
    study = maker.end()
    configurations = read_study(study).configurations
    assert [(entry.label, entry.formula, entry.seed) for entry in configurations] == [
        ("Si4O2_2", "Si4O2", "2"),
        ("Si4O6_2", "Si4O6", "2"),  # a study of before there were attempts
        ("Si4O8_3", "Si4O8", "3"),
        ("Si4O8_2", "Si4O8", "4"),
    ]
    text = write_report(study, tmp_path / "report.html").read_text()
    assert [card.split(",")[0] for card in text.split('<span class="muted">seed ')[1:]] == ["2", "3", "4"]


def test_what_was_changed_is_named(study_maker, tmp_path):
    maker = study_maker()
    maker.settings["changed"] = ["scf.ecutwfc_Ry"]
    maker.begin([["Si4O2", 8]])
    maker.melt("Si4O2", 8)
    maker.targets("Si4O2", 8, n_sites=1)
    maker.outputs["failures__calibration"] = orm.Dict({"reason": "The quartz site failed.", "last_lines": "STOP"})
    maker.outputs["failures__calibration"].store()
    text = write_report(maker.end(302, "The calibration failed."), tmp_path / "report.html").read_text()
    assert "<dt>Changed settings</dt><dd>scf.ecutwfc_Ry</dd>" in text
    assert "fast, changed" in text.split("<figcaption>")[1].split("</figcaption>")[0]
    assert "The quartz site failed.\nSTOP" in text.split('id="failures"')[1]


def test_a_running_study_has_a_report(study_maker, tmp_path):
    maker = study_maker()
    maker.begin([["Si4O2", 9]])
    maker.study.set_process_state("waiting")
    text = write_report(maker.study, tmp_path / "report.html").read_text()
    assert "The study is still running." in text
    assert "<p>none</p>" in text.split('id="failures"')[1].split("</section>")[0]

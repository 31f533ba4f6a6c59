"""The provenance graph of a study: every number leads back to its calculations, as the documented queries show."""

import pathlib
import re

import numpy as np
import pytest
from aiida import orm
from aiida.tools.visualization import Graph
from aiida_quantumespresso.calculations.pw import PwCalculation

from aiida_siox.calculations.ld1 import Ld1Calculation
from aiida_siox.calculations.melt_quench import MeltQuenchCalculation
from aiida_siox.calculations.xspectra import XspectraCalculation
from aiida_siox.data.site import SiteData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.science.site_row import site_label
from tests.factories import make_row, make_site

# the study runs ld1.x and LAMMPS; it runs once, in the worker that has test_study as well
pytestmark = pytest.mark.xdist_group("mock_study")

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "how-to" / "query.md"


def ancestors(node, process_class):
    """Return the UUIDs of the processes of a class that a node comes from."""
    query = orm.QueryBuilder()
    query.append(orm.Node, filters={"id": node.pk}, tag="node")
    query.append(process_class, with_descendants="node", project="uuid")
    return set(query.all(flat=True))


@pytest.fixture(scope="module")
def tables(mock_study):
    """Return the tables of the data set, as its `assemble` took them."""
    creator = mock_study.node.outputs.dataset.creator
    found = [link.node for link in creator.base.links.get_incoming().all() if isinstance(link.node, SiteTableData)]
    assert len(found) == 3
    return found


def test_every_finished_row_has_its_calculations(tables):
    for table in tables:
        inputs = table.creator.inputs
        index = table.site_index
        finished = {site_label(int(i)) for i in index[table.done]}
        assert set(inputs.spectra) == finished
        xspectra, pw = set(), set()
        for label in finished:
            spectrum = inputs.spectra[label]
            assert site_label(spectrum.site_index) == label
            of_xspectra, of_pw = ancestors(spectrum, XspectraCalculation), ancestors(spectrum, PwCalculation)
            assert len(of_xspectra) == 1
            kinds = [orm.load_node(uuid).inputs.structure.get_kind_names() for uuid in of_pw]
            assert sorted("Sih" in names for names in kinds) == [False, True]  # ground state and core hole
            job = orm.load_node(next(iter(of_xspectra)))
            names = [site.kind_name for site in job.inputs.structure.sites]
            assert names.index("Sih") == spectrum.site_index
            xspectra |= of_xspectra
            pw |= of_pw
        assert len(xspectra) == len(finished) == table.base.attributes.get("n_done")
        assert len(pw) == len(finished) + 1  # they share the ground state


def test_failed_rows_lead_to_the_failed_job(tables):
    (table,) = [table for table in tables if not table.done.all()]
    (failure,) = table.creator.inputs.failures.values()
    retrieved = failure.creator.inputs.retrieved
    assert retrieved.creator.process_class is XspectraCalculation
    assert not retrieved.creator.is_finished_ok
    assert table.done.sum() + 1 == len(table.done)


def test_rows_of_the_data_set_are_the_finished_rows(mock_study, tables):
    dataset = mock_study.node.outputs.dataset
    expected = sorted(
        (table.base.attributes.get("structure_digest"), int(i))
        for table in tables
        for i in table.site_index[table.done]
    )
    digests = [entry["structure_digest"] for entry in dataset.configurations]
    found = sorted((digests[c], int(i)) for c, i in zip(dataset.configuration, dataset.site_index, strict=True))
    assert found == expected


@pytest.mark.parametrize("name", ["valence", "rdf"])
def test_a_model_leads_back_to_the_melt(mock_study, name):
    model = mock_study.node.outputs.models[name]
    assert len(ancestors(model, MeltQuenchCalculation)) == 3
    assert len(ancestors(model, Ld1Calculation)) == 3
    graph = Graph()
    graph.recurse_ancestors(model.pk)
    nodes = [orm.load_node(pk) for pk in graph.nodes]
    drawn = {node.process_class for node in nodes if isinstance(node, orm.CalcJobNode)}
    assert {MeltQuenchCalculation, Ld1Calculation, PwCalculation, XspectraCalculation} <= drawn


@pytest.fixture(scope="module")
def blocks():
    """Return the python blocks of the page by the heading they stand under."""
    found = re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    assert len(found) == 4
    return dict(found)


def run_block(blocks, word, **names):
    """Run the block under the heading with a word, and return its variables."""
    (text,) = [text for heading, text in blocks.items() if word in heading]
    exec(compile(text, str(PAGE), "exec"), names)
    return names


def test_documented_query_of_sites(blocks, mock_study):
    sites = run_block(blocks, "two oxygen neighbours")["sites"]
    expected = {
        node.uuid
        for (node,) in orm.QueryBuilder().append(SiteData).iterall()
        if node.base.attributes.get("coordination")["O"] == 2 and node.base.attributes.get("valence") > 1.5
    }
    assert {site.uuid for site in sites} == expected
    everything = orm.QueryBuilder().append(SiteData).count()
    assert len(expected) < everything


def test_documented_query_finds_a_site_that_is_there(blocks, aiida_profile):
    nodes = {}
    for n_oxygen, valence in ((2, 1.6), (2, 1.5), (3, 1.6)):
        node = make_site(make_row(0, np.ones(3), n_ligands=n_oxygen, valence=valence))
        nodes[n_oxygen, valence] = node.store()
    uuids = {site.uuid for site in run_block(blocks, "two oxygen neighbours")["sites"]}
    assert nodes[2, 1.6].uuid in uuids
    assert not uuids & {nodes[2, 1.5].uuid, nodes[3, 1.6].uuid}


def test_documented_query_of_spectra(blocks, tables):
    for table in tables:
        spectra = run_block(blocks, "spectra of one configuration", structure_uuid=table.structure.uuid)["spectra"]
        assert [spectrum.site_index for spectrum in spectra] == table.site_index[table.done].tolist()
        assert {spectrum.uuid for spectrum in spectra} == {node.uuid for node in table.creator.inputs.spectra.values()}


def test_documented_query_of_ancestors(blocks, tables):
    spectra = list(tables[0].creator.inputs.spectra.values())
    found = run_block(blocks, "back to its calculations", spectra=spectra)["ancestors"]
    assert {name: len(jobs) for name, jobs in found.items()} == {"siox.xspectra": 1, "quantumespresso.pw": 2}


def test_documented_query_of_cells(blocks, mock_study):
    """The two cells of Si2O4 and what they were rejected by, nothing."""
    cells = run_block(blocks, "Accepted and rejected")["cells"]
    assert len(cells) >= 2
    assert all(density > 2.1 for _, density, _ in cells)
    assert [rejected for status, _, rejected in cells if status == 0] == [[]] * sum(status == 0 for status, *_ in cells)

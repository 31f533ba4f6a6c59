"""The reference data set: what is committed is what its archive gives, and nothing is left out silently."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import yaml
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.learning import metrics
from aiida_siox.learning.analysis import probes
from aiida_siox.learning.analysis.parts import run_part
from aiida_siox.learning.data.sites import SiteSet
from aiida_siox.learning.uncertainty.novelty import NoveltyReference
from aiida_siox.workflows.analysis import AnalysisProtocol
from tests.factories import make_row, make_table
from tests.learning.toy import toy_novelty

pytestmark = pytest.mark.xdist_group("reference_data")

FOLDER = pathlib.Path(__file__).parent.parent / "docs" / "reference_data"


def table(folder, name):
    with (folder / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Return the folder of what describe.py makes of the archive."""
    folder = tmp_path_factory.mktemp("reference_data")
    command = [
        sys.executable,
        str(FOLDER / "describe.py"),
        "--output",
        str(folder),
        "--sites",
        str(folder / "sites.npz"),
    ]
    environment = {**os.environ, "AIIDA_PATH": str(folder)}
    subprocess.run(command, check=True, env=environment, timeout=300, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def sites(described):
    return SiteSet.from_npz(described / "sites.npz")


def test_tables_are_those_of_the_archive(described):
    for name in ("configurations", "jobs"):
        assert table(described, name) == table(FOLDER, name)
    assert (described / "figures" / "distributions.svg").stat().st_size > 10_000


def test_every_configuration_is_one_of_the_recipe_and_whole():
    recipe = yaml.safe_load((FOLDER / "recipe.yaml").read_text())
    wanted = {(formula, str(seed)) for formula in recipe["formulas"] for seed in recipe["seeds"]}
    found = [(line["formula"], line["seed"]) for line in table(FOLDER, "configurations")]
    assert len(set(found)) == len(found)
    assert set(found) <= wanted
    for line in table(FOLDER, "configurations"):
        done, requested = line["sites"].split("/")
        assert len(line["n_oxygen"].split()) == int(done)
        assert int(done) == int(requested), "then the page must say which site failed and why"


class TestMeltOfATable:
    """Seed and quality are those of the melt-quench that made the cell, not of what asked for it."""

    @pytest.fixture(scope="class")
    def describe(self):
        """Return docs/reference_data/describe.py as a module."""
        spec = importlib.util.spec_from_file_location("describe_reference_data", FOLDER / "describe.py")
        module = importlib.util.module_from_spec(spec)
        path = list(sys.path)
        spec.loader.exec_module(module)
        sys.path[:] = path
        return module

    @staticmethod
    def chain(name, label, seed, structure, density):
        """Store a WorkChain of a seed that returned a structure and its quality."""
        node = orm.WorkChainNode()
        node.process_type = f"aiida.workflows:siox.{name}"
        node.set_process_label(label)
        node.base.links.add_incoming(orm.Int(seed).store(), LinkType.INPUT_WORK, "seed")
        node.store()
        quality = orm.Dict({"density_g_cm3": density}).store()
        for link, output in (("structure", structure), ("quality", quality)):
            output.base.links.add_incoming(node, LinkType.RETURN, link)
        node.seal()

    @pytest.fixture
    def table(self, aiida_profile):
        """Return a stored table and its structure."""
        structure = orm.StructureData(cell=[[5, 0, 0], [0, 5, 0], [0, 0, 5]])
        structure.append_atom(position=(0, 0, 0), symbols="Si")
        collect = orm.CalcFunctionNode()
        collect.base.links.add_incoming(structure.store(), LinkType.INPUT_CALC, "structure")
        collect.store()
        table = make_table([make_row(0, np.ones(3))], np.arange(3))
        table.base.links.add_incoming(collect, LinkType.CREATE, "site_table")
        return table.store(), structure

    def test_replaced_cell(self, describe, table):
        node, structure = table
        self.chain("configuration", "ConfigurationWorkChain", 1, structure, 1.0)
        self.chain("melt_quench", "MeltQuenchWorkChain", 4, structure, 2.2)
        assert describe.seed_of(node) == 4
        assert describe.quality_of(node) == {"density_g_cm3": 2.2}

    def test_before_cells_were_replaced(self, describe, table):
        node, structure = table
        self.chain("melt_quench", "MeltQuenchWorkChain", 3, structure, 2.3)
        assert describe.seed_of(node) == 3
        assert describe.quality_of(node) == {"density_g_cm3": 2.3}


def test_archive_fits_into_the_repository():
    assert (FOLDER / "v0.aiida.xz").stat().st_size < 40e6


class TestWhatIsReadFromIt:
    """On real spectra, with fewer seeds than the documentation: bounds that faults break and chance does not."""

    @staticmethod
    def run(sites, part, **section):
        parameters = AnalysisProtocol.get_parameters("fast", {part: {"targets": ["valence"], **section}})
        return run_part(part, sites, parameters[part], lambda *_: None).attributes

    def test_networks_beat_the_linear_regression_and_no_skill(self, sites):
        scores = self.run(sites, "splits", kinds=["random", "grouped"])["scores"]["valence"]
        for kind, most in (("random", 0.22), ("grouped", 0.27)):
            rmse, none = scores[kind]["rmse"]["mean"], scores[kind]["rmse_no_skill"]["mean"]
            assert rmse < most * none
            assert rmse < 0.65 * scores[kind]["baselines"]["descriptors"]["rmse"]["mean"]
        shuffled = scores["grouped"]["baselines"]["shuffled"]
        assert shuffled["rmse"]["mean"] == pytest.approx(shuffled["rmse_no_skill"]["mean"], rel=0.1)

    def test_intervals_hold_what_they_say(self, sites):
        found = self.run(sites, "uncertainty", n_repetitions={"valence": 2})
        assert 0.85 <= found["coverage"]["valence"]["coverage"] <= 0.96
        assert found["false_alarms"] <= 0.1
        for probe in found["probes"]:
            assert probe["flagged"] == ("where it is" not in probe["name"]), probe

    def test_diamond_is_no_silicon(self, sites):
        """The C K edge of the Quantum ESPRESSO examples, moved onto the window and scaled to these spectra."""
        path = pathlib.Path(__file__).parent / "fixtures/xspectra/diamond/diamondh.xspectra.dat.gz"
        with gzip.open(path, "rt") as file:
            energy, sigma = np.loadtxt(file).T
        edge = energy[np.argmax(np.diff(sigma))]
        detector = NoveltyReference.fit(sites.energy, sites.spectra, sites.group, toy_novelty(), 1)
        for centre in (1840.0, 1843.0, 1846.0, 1849.0):
            spectrum = np.interp(sites.energy, energy + centre - edge, sigma)
            spectrum *= sites.spectra.mean() / spectrum.mean()
            assert detector.flagged(spectrum[None]).all()
        assert not detector.flagged(np.array(list(probes.end_members(sites).values()))).any()

    def test_valence_follows_the_oxygen_neighbours(self, sites):
        """What XPS is read by: 0.6 to 0.9 e of Bader charge for each of them (tests of the labels, not of networks)."""
        valence = sites.values("valence")
        slope, _ = np.polyfit(sites.n_ligands, valence, 1)
        assert 0.6 < slope < 0.9
        assert metrics.r_squared(np.polyval(np.polyfit(sites.n_ligands, valence, 1), sites.n_ligands)[:, None],
                                 valence[:, None]) > 0.9  # fmt: skip

"""The set of amorphous structures in the repository: what a referee asks of it, from the archive, without an engine."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys
import uuid

import pytest
from aiida import orm
from click.testing import CliRunner

FOLDER = pathlib.Path(__file__).parent.parent / "docs" / "structures"
SCRIPT = """
import json, pathlib, sys
sys.path.insert(0, str(pathlib.Path({folder!r}) / "reference_data"))
sys.path.insert(0, str(pathlib.Path({folder!r}) / "structures"))
from describe import opened
import draw
with opened(pathlib.Path({folder!r}) / "structures" / "set.aiida.xz"):
    series = draw.read()
    found = series["set"]
    print(json.dumps({{
        "peaks": {{each["series"] + " accepted" * each["only_accepted"]: each for each in draw.silica_peaks(series)}},
        "qualities": found.qualities,
        "attempts": found.attempts,
        "series": {{name: [cell.quality for cell in each.cells] for name, each in series.items()}},
    }}))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return what the archive holds, read in a process of its own: it needs a profile of its own."""
    import json
    import os

    assert importlib.util.find_spec("aiida_siox")
    environment = {**os.environ, "AIIDA_PATH": str(tmp_path_factory.mktemp("structures"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(folder=str(FOLDER.parent))],
        capture_output=True, text=True, env=environment, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def of_composition(archive, x):
    return [quality for quality in archive["qualities"].values() if quality["x"] == x]


@pytest.mark.parametrize("x", [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2])
def test_every_composition_has_accepted_cells_of_200_atoms(archive, x):
    cells = of_composition(archive, x)
    assert len(cells) >= 2
    for quality in cells:
        assert quality["accepted"]
        assert quality["n_atoms"] >= 200
        assert quality["n_oxygen_bonds"] == 0


@pytest.mark.parametrize(("x", "density"), [(0, 2.25), (2, 2.30)])
def test_density_of_the_paper(archive, x, density):
    for quality in of_composition(archive, x):
        assert quality["density_g_cm3"] == pytest.approx(density, rel=0.05)


def test_silica(archive):
    """SiO₄ in every cell. The first sharp peak in the mean of the largest: one of 15 Å has too few vectors there."""
    large = archive["peaks"]["large"]
    for quality in [*of_composition(archive, 2), *large["qualities"]]:
        assert quality["coordination_oxygen"]["4"] / quality["n_silicon"] >= 0.75
    for quality in large["qualities"]:
        assert quality["n_atoms"] == 648
        assert quality["density_g_cm3"] == pytest.approx(2.30, rel=0.05)
    assert 1.4 <= large["peak"] <= 1.6


def test_peaks_of_small_and_large_cells_agree(archive):
    """Rejected cells included: what was rejected does not decide where the peak is."""
    small, large = archive["peaks"]["set"], archive["peaks"]["large"]
    assert len(small["qualities"]) > len(archive["peaks"]["set accepted"]["qualities"])
    assert abs(small["peak"] - large["peak"]) < 2 * (small["error"] ** 2 + large["error"] ** 2) ** 0.5


def test_oxygen_of_suboxides(archive):
    """What the page says of O with three Si; silica has few."""

    def threefold(x):
        cells = [quality["n_silicon_of_oxygen"] for quality in of_composition(archive, x)]
        return sum(counts.get("3", 0) for counts in cells) / sum(sum(counts.values()) for counts in cells)

    shares = [threefold(x) for x in (0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2)]
    assert shares[0] > 0.9
    assert shares[3] > 0.6
    assert shares[-1] < 0.06
    assert shares == sorted(shares, reverse=True)


def test_voids_are_those_of_melts_that_were_free(archive):
    """Void volume at 1 ≤ x ≤ 1.5: the rule tells the protocols apart."""
    void = {
        name: [cell["void_fraction"] for cell in archive["series"][f"protocol/{name}"]]
        for name in ("free", "free_below_3000", "fixed")
    }
    assert sum(each > 0.02 for each in void["free"]) >= 5
    assert max([*void["free_below_3000"], *void["fixed"]]) < 0.02


def test_amorphous_silicon(archive):
    """First peak near 2 Å⁻¹ (Dahal et al., arXiv:2010.16096), bonds of 2.35 Å, four neighbours."""
    for quality in of_composition(archive, 0):
        assert quality["first_peak_neutron_per_angstrom"] == pytest.approx(1.95, abs=0.1)
        assert quality["bond_lengths"]["Si-Si"]["mean"] == pytest.approx(2.37, abs=0.03)
        neighbours = sum(int(n) * count for n, count in quality["coordination_total"].items())
        assert neighbours / quality["n_silicon"] == pytest.approx(4, abs=0.1)


def test_what_was_rejected_is_counted(archive):
    tried = [entry for entry in archive["attempts"].values() if entry["formula"] == "Si72O144"]
    assert sum(len(entry["seeds"]) for entry in tried) > len(tried)
    assert {rule for entry in tried for rules in entry["rejected_by"].values() for rule in rules} >= {"density"}


class TestCompute:
    """compute.py: which series it computes again, and what it says about it. Nothing is run."""

    @pytest.fixture
    def compute(self, monkeypatch, aiida_profile):
        """Return docs/structures/compute.py as a module; what it submits has ended at once."""
        monkeypatch.syspath_prepend(str(FOLDER.parent))
        spec = importlib.util.spec_from_file_location("compute_structures", FOLDER / "compute.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(module, "SERIES_EXTRA", f"series_{uuid.uuid4()}")  # not the processes of another test
        monkeypatch.setattr(module, "POLL_SECONDS", 0.0)
        monkeypatch.setattr(module, "load_profile", lambda: None)
        monkeypatch.setattr(module, "ensure_daemon", lambda: None)
        monkeypatch.setattr(module, "get_codes", lambda names: dict.fromkeys(names))
        monkeypatch.setattr(module, "collect", lambda *_: None)
        monkeypatch.setattr(
            module.StructureSetWorkChain, "get_builder_from_protocol", lambda *arguments, **keywords: keywords
        )
        monkeypatch.setattr(module, "submit", lambda builder: process("finished", 0))
        return module

    def test_settings_are_stored_and_compared(self, compute, capsys):
        """As they stand in series.yaml: what the database makes of numbers must not look like a change."""
        for name, settings in compute.SETTINGS.items():
            node = compute.compute(name, settings, 2)
            assert compute.compute(name, settings, 2).pk == node.pk
        assert "again" not in capsys.readouterr().out

    def test_changed_settings(self, compute, capsys):
        settings = compute.SETTINGS["large silica"]
        first = compute.compute("large silica", settings, 2)
        second = compute.compute("large silica", {**settings, "seeds": [1, 2, 3]}, 2)
        assert second.pk != first.pk
        assert f"WorkChain<{first.pk}>: its settings in series.yaml have changed" in capsys.readouterr().out

    def test_a_process_of_before_settings_were_stored(self, compute):
        node = process("finished", 0)
        node.base.extras.set(compute.SERIES_EXTRA, "paper")
        assert compute.compute("paper", compute.SETTINGS["paper"], 2).pk == node.pk

    @pytest.mark.parametrize(
        ("state", "status", "words"),
        [("finished", 11, "it ended: 11 No cell was accepted."), ("killed", None, "it ended: killed")],
    )
    def test_what_did_not_end_well(self, compute, capsys, state, status, words):
        node = process(state, status)
        node.base.extras.set(compute.SERIES_EXTRA, "paper")
        assert compute.compute("paper", compute.SETTINGS["paper"], 2).pk != node.pk
        assert f"computed again after WorkChain<{node.pk}>: {words}" in capsys.readouterr().out

    def test_a_process_that_goes_on_is_waited_for(self, compute, monkeypatch, capsys):
        """With the same settings it is taken, however it ends; with others another one follows it."""
        settings = compute.SETTINGS["paper"]
        node = process("waiting", None)
        node.base.extras.set_many({compute.SERIES_EXTRA: "paper", compute.SETTINGS_EXTRA: settings})
        monkeypatch.setattr(compute.time, "sleep", lambda _: node.set_process_state("finished"))
        assert compute.compute("paper", settings, 2).pk == node.pk
        node.set_process_state("waiting")
        assert compute.compute("paper", {**settings, "seeds": [2]}, 2).pk != node.pk
        assert node.is_terminated
        assert f"waits for WorkChain<{node.pk}>" in capsys.readouterr().out

    def test_again(self, compute):
        """Two series that are done: one is asked for again, the other is left alone."""
        runner = CliRunner()
        assert runner.invoke(compute.main, ["--only", "set", "--only", "paper"]).exit_code == 0
        first = {name: compute.latest(name).pk for name in ("set", "paper")}
        done = runner.invoke(compute.main, ["--only", "set", "--again", "paper"])
        assert done.exit_code == 0, done.output
        assert f"paper: computed again after WorkChain<{first['paper']}>: asked for with --again" in done.output
        assert compute.latest("set").pk == first["set"]
        assert compute.latest("paper").pk > first["paper"]

    @pytest.mark.parametrize("option", ["--only", "--again"])
    def test_unknown_series(self, compute, option):
        done = CliRunner().invoke(compute.main, [option, "papers"])
        assert done.exit_code == 2
        assert "'papers' is not one of 'set', 'set of silica'" in done.output


def process(state, status):
    """Store a StructureSetWorkChain that ended so, or goes on."""
    node = orm.WorkChainNode()
    node.process_type = "aiida.workflows:siox.structure_set"
    node.set_process_state(state)
    if status is not None:
        node.set_exit_status(status)
        if status:
            node.set_exit_message("No cell was accepted.")
    return node.store()

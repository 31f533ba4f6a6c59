"""``aiida-siox status`` on studies made by hand."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.cli.output.numbers import duration
from aiida_siox.cli.progress import one_line, study_progress


def process(process_type, caller=None, link="CALL", state="finished", status=0, job=False, label=""):
    """Return a stored process node that another one called."""
    node = orm.CalcJobNode() if job else orm.WorkChainNode()
    node.process_type = process_type
    node.label = label
    node.set_process_state(state)
    if state == "finished":
        node.set_exit_status(status)
    if caller is not None:
        kind = LinkType.CALL_CALC if job else LinkType.CALL_WORK
        node.base.links.add_incoming(caller, link_type=kind, link_label=link)
    if job:
        node.computer = orm.Computer.collection.all()[0]
    return node.store()


@pytest.fixture
def study(aiida_profile, aiida_localhost):
    """Return a running study of Si4O6 and Si8O4: two sites done, one failed, one running."""
    root = orm.WorkChainNode()
    root.process_type = "aiida.workflows:siox.study"
    root.set_process_state("waiting")
    root.base.links.add_incoming(
        orm.List([["Si4O6", 1], ["Si8O4", 1]]).store(), link_type=LinkType.INPUT_WORK, link_label="configurations"
    )
    root.base.links.add_incoming(orm.Int(2).store(), link_type=LinkType.INPUT_WORK, link_label="max_concurrent")
    root.store()
    lane = process("aiida.workflows:siox.configuration_lane", root, "lane_0", state="waiting")
    targets = process("aiida.workflows:siox.structure_targets", lane, "targets_Si4O6_1", state="waiting")
    process("aiida.calculations:siox.bader", targets, "bader", job=True)
    sites = process("aiida.workflows:siox.site_lane", targets, "lane_0", state="waiting")
    spectrum = "aiida.workflows:siox.site_spectrum"
    for index, (state, status) in enumerate((("finished", 0), ("finished", 0), ("finished", 301))):
        site = process(spectrum, sites, f"site_{index:04d}", state=state, status=status)
        process("aiida.calculations:siox.xspectra", site, "xspectra", job=True)
    site = process(spectrum, sites, "site_0003", state="waiting")
    base = process("aiida.workflows:quantumespresso.pw.base", site, "core_hole_scf", state="waiting")
    process("aiida.calculations:quantumespresso.pw", base, "iteration_01", state="waiting", job=True)
    return root


def test_progress_counts(study):
    state = study_progress(study)
    assert state.n_sites == 4 + 8 + 1
    assert (state.n_done, state.n_failed, state.n_running, state.n_left) == (2, 1, 1, 10)
    assert state.running == ["pw.x core-hole SCF, site 3 of Si4O6_1"]
    assert state.n_jobs == 4
    assert not state.is_over
    assert state.remaining_s > 0
    assert "sites 2 done, 1 failed, 10 left" in one_line(state)


def test_progress_needs_few_queries(study, monkeypatch):
    """One query for each level of calls, however many sites there are."""
    calls = []
    original = orm.QueryBuilder.all
    monkeypatch.setattr(orm.QueryBuilder, "all", lambda self, *a, **k: calls.append(1) or original(self, *a, **k))
    study_progress(study)
    assert len(calls) <= 12


def test_progress_of_one_structure(aiida_profile):
    """A structure says by itself how many sites it has."""
    structure = orm.StructureData(cell=[[5, 0, 0], [0, 5, 0], [0, 0, 5]])
    for x, symbol in enumerate(("Si", "Si", "O")):
        structure.append_atom(position=(1.6 * x, 0, 0), symbols=symbol)
    node = orm.WorkChainNode()
    node.process_type = "aiida.workflows:siox.structure_targets"
    node.set_process_state("waiting")
    node.base.links.add_incoming(structure.store(), link_type=LinkType.INPUT_WORK, link_label="structure")
    node.store()
    assert study_progress(node).n_sites == 2


def test_progress_of_one_job(aiida_profile):
    """A job alone, such as a part of an analysis on a cluster, is counted as the job that it is."""
    job = orm.CalcJobNode()
    job.process_type = "aiida.calculations:siox.analysis"
    job.set_process_state("finished")
    job.set_exit_status(0)
    assert study_progress(job.store()).n_jobs == 1


def test_status_of_a_study(study, run_cli):
    out = run_cli("status", study.pk).stdout
    assert "2 done, 1 failed, 10 left (1 running) of 13" in out
    assert "site 3 of Si4O6_1" in out
    state = run_cli("status", study.pk, "--json").json
    assert state["n_left"] == 10
    assert state["kind"] == "siox.study"


def test_status_lists(study, run_cli):
    outcome = run_cli("status", "--limit", 1)
    assert "siox.study" in outcome.stdout
    assert "2/1/10" in outcome.stdout
    assert "site_spectrum" not in outcome.stdout
    assert run_cli("status", "--json").json[0]["pk"] == study.pk


def test_status_without_processes(run_cli, monkeypatch):
    monkeypatch.setattr("aiida_siox.cli.status.latest_processes", lambda limit: [])
    assert "No processes yet" in run_cli("status").stdout


def test_status_of_nothing(aiida_profile, run_cli):
    assert "no node" in run_cli("status", "99999", fails=True).stderr


@pytest.mark.parametrize(("seconds", "text"), [(7.4, "7 s"), (423, "7 min 03 s"), (3900, "1 h 05 min")])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_cells_of_a_structure_set(run_cli, aiida_localhost):
    """One accepted, one without an accepted cell, one being quenched, one to come."""
    root = orm.WorkChainNode()
    root.process_type = "aiida.workflows:siox.structure_set"
    root.set_process_state("waiting")
    items = [[formula, seed] for formula in ("Si8O4", "Si4O8") for seed in (1, 2)]
    for label, node in (("configurations", orm.List(items)), ("max_concurrent", orm.Int(2))):
        root.base.links.add_incoming(node.store(), link_type=LinkType.INPUT_WORK, link_label=label)
    root.store()
    lane = process("aiida.workflows:siox.structure_lane", root, "lane_0", state="waiting")
    for (formula, seed), (state, status) in zip(items, (("finished", 0), ("finished", 310)), strict=False):
        process("aiida.workflows:siox.configuration", lane, f"melt_quench_{formula}_{seed}", state=state, status=status)
    cell = process("aiida.workflows:siox.configuration", lane, "melt_quench_Si4O8_1", state="waiting")
    attempt = process("aiida.workflows:siox.melt_quench", cell, "seed_1", state="waiting")
    process("aiida.calculations:siox.melt_quench", attempt, "iteration_01", state="waiting", job=True)
    state = study_progress(root)
    assert (state.n_cells, state.n_cells_done, state.n_cells_failed) == (4, 1, 1)
    assert state.running == ["LAMMPS melt-quench, Si4O8_1"]
    assert state.remaining_s is not None
    assert "cells 1 of 4 accepted, 1 failed" in one_line(state)
    assert "1 of 4 accepted, 1 failed" in run_cli("status", root.pk).stdout

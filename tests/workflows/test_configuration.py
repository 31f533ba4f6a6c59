"""ConfigurationWorkChain without engines: which seed comes next, and what ends it."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common import AttributeDict, LinkType
from aiida.engine import ProcessState
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.workflows.configuration import ConfigurationWorkChain, stride_of
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain


def test_stride_keeps_seeds_apart():
    """Attempts of several seeds never meet."""
    for seeds in ([1], [1, 2, 3, 4, 5], [3, 9], [2, 7, 4]):
        stride = stride_of(seeds)
        tried = [seed + attempt * stride for seed in seeds for attempt in range(5)]
        assert len(set(tried)) == len(tried)
    assert stride_of([1, 2, 3]) == 3


@pytest.fixture
def process(computer):
    code = orm.InstalledCode(computer=computer, filepath_executable="/bin/true").store()
    builder = ConfigurationWorkChain.get_builder_from_protocol(code, "Si8O4", 2, overrides={"max_attempts": 3})
    builder.seed_stride = orm.Int(10)
    workchain = instantiate_process(get_manager().get_runner(), builder)
    workchain.setup()
    return workchain


def melt(quality=None, exit_status=0):
    """Return a finished melt-quench with a quality."""
    node = orm.WorkChainNode(process_type="aiida.workflows:siox.melt_quench")
    node.store()
    if quality is not None:
        structure = orm.StructureData(cell=[[6, 0, 0], [0, 6, 0], [0, 0, 6]])
        structure.append_atom(symbols="Si", position=(0, 0, 0))
        results = {"structure": structure, "quality": orm.Dict(quality), "profiles": orm.ArrayData()}
        results |= {"thermo": orm.ArrayData(), "starting_structure": structure.clone()}
        for label, output in results.items():
            output.store()
            output.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=label)
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(exit_status)
    return node


GOOD = {"accepted": True, "rejected_by": [], "flags": ["dangling_bonds"]}
BAD = {"accepted": False, "rejected_by": ["void"], "flags": ["void"]}


def attempt(process, node, monkeypatch):
    """Let the work chain run its next attempt, whose outcome is given, and return the inputs it was given."""
    submitted = []
    monkeypatch.setattr(process, "submit", lambda cls, **inputs: submitted.append((cls, inputs)) or node)
    process.run_attempt()
    process.ctx.attempt = node
    outcome = process.inspect_attempt()
    assert submitted[0][0] is MeltQuenchWorkChain
    return AttributeDict(submitted[0][1]), outcome


def test_goes_on_until_a_cell_is_accepted(process, monkeypatch):
    assert process.should_try()
    first, _ = attempt(process, melt(BAD), monkeypatch)
    assert first.seed is process.inputs.seed
    assert process.should_try()
    second, _ = attempt(process, melt(GOOD), monkeypatch)
    assert second.seed.value == 12
    assert second.metadata == {"call_link_label": "seed_12"}
    assert not process.should_try()
    assert process.results() is None
    outputs = process.outputs
    assert outputs["attempts"].get_dict() == {
        "formula": "Si8O4", "seeds": [2, 12], "accepted_seed": 12, "rejected_by": {"2": ["void"]},
    }  # fmt: skip
    assert outputs["quality"].get_dict() == GOOD
    assert list(outputs["rejected"]) == list(outputs["rejected_qualities"]) == ["seed_2"]


def test_none_accepted(process, monkeypatch):
    for _ in range(3):
        assert process.should_try()
        attempt(process, melt(BAD), monkeypatch)
    assert not process.should_try()
    exit_code = process.results()
    assert exit_code.status == 310
    assert "None of 3 cells of Si8O4" in exit_code.message
    assert "seed 22: void" in exit_code.message
    assert "change the rules" in exit_code.message
    assert len(process.outputs["rejected"]) == 3
    assert "structure" not in process.outputs


def test_dynamics_that_blew_up_are_an_attempt(process, monkeypatch):
    status = MeltQuenchWorkChain.exit_codes.ERROR_UNSTABLE_DYNAMICS.status
    _, outcome = attempt(process, melt(exit_status=status), monkeypatch)
    assert outcome is None
    attempt(process, melt(GOOD), monkeypatch)
    assert process.results() is None
    assert process.outputs["attempts"]["rejected_by"] == {"2": ["dynamics_blew_up"]}


def test_remedy_where_all_dynamics_blew_up(process, monkeypatch):
    status = MeltQuenchWorkChain.exit_codes.ERROR_UNSTABLE_DYNAMICS.status
    for _ in range(3):
        attempt(process, melt(exit_status=status), monkeypatch)
    assert "look at the potential" in process.results().message


def test_another_failure_is_not_tried_again(process, monkeypatch):
    attempt(process, melt(BAD), monkeypatch)
    _, outcome = attempt(process, melt(exit_status=421), monkeypatch)
    assert outcome.status == 320
    assert "seed 12" in outcome.message
    assert process.outputs["attempts"]["accepted_seed"] is None
    assert process.outputs["attempts"]["rejected_by"] == {"2": ["void"], "12": ["failed"]}
    assert list(process.outputs["rejected"]) == ["seed_2"], "what was made is kept"


@pytest.mark.parametrize("name", ["max_attempts", "seed_stride"])
def test_refuses(process, name):
    builder = process.inputs
    with pytest.raises(ValueError, match="must be an integer from 1 on, got"):
        instantiate_process(get_manager().get_runner(), ConfigurationWorkChain, **{**builder, name: orm.Int(0)})


def test_inputs_are_checked_as_those_of_a_melt_quench(process):
    inputs = {**process.inputs, "starting_cell": orm.Dict({"crystal": "coesite", "density_g_cm3": 2.4})}
    with pytest.raises(ValueError, match="siox has no crystal `coesite`"):
        instantiate_process(get_manager().get_runner(), ConfigurationWorkChain, **inputs)

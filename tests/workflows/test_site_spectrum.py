"""One site: which failures are tried again, and what is refused. Whole runs are in test_structure_targets."""

import io

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida_quantumespresso.calculations.pw import PwCalculation

from aiida_siox.calculations.bader import BaderCalculation
from aiida_siox.calculations.xspectra import XspectraCalculation
from aiida_siox.workflows.site_spectrum import (
    SiteSpectrumWorkChain,
    failure_message,
    interrupted,
    last_job,
    may_run_again,
)
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain
from aiida_siox.workflows.utils import CACHED_FROM

ENTRY_POINTS = {
    PwCalculation: "aiida.calculations:quantumespresso.pw",
    XspectraCalculation: "aiida.calculations:siox.xspectra",
    BaderCalculation: "aiida.calculations:siox.bader",
}


@pytest.fixture
def make_job(computer):
    """Return a function that stores a finished CalcJobNode with some retrieved files."""

    def make(process_class, status, files=("aiida.out",), parent=None):
        job = orm.CalcJobNode(computer=computer, process_type=ENTRY_POINTS[process_class])
        if parent is not None:
            job.base.links.add_incoming(parent, LinkType.CALL_CALC, "job")
        job.set_process_label(process_class.__name__)
        job.store()
        job.set_process_state("finished")
        job.set_exit_status(status)
        retrieved = orm.FolderData()
        for name in files:
            retrieved.put_object_from_filelike(io.StringIO("text"), name)
        retrieved.base.links.add_incoming(job, LinkType.CREATE, "retrieved")
        retrieved.store()
        return job

    return make


@pytest.mark.parametrize(
    ("process_class", "label", "files", "expected"),
    [
        # what a killed pw.x leaves (measured): half an output, no XML, no CRASH
        (PwCalculation, "ERROR_OUTPUT_FILES", ("aiida.out",), True),
        (PwCalculation, "ERROR_OUTPUT_FILES", ("aiida.out", "CRASH"), False),
        (PwCalculation, "ERROR_OUTPUT_STDOUT_INCOMPLETE", ("aiida.out",), True),
        (PwCalculation, "ERROR_ELECTRONIC_CONVERGENCE_NOT_REACHED", ("aiida.out",), False),
        (PwCalculation, "ERROR_CHARGE_IS_WRONG", ("aiida.out",), False),
        (XspectraCalculation, "ERROR_OUTPUT_STDOUT_INCOMPLETE", (), True),
        (XspectraCalculation, "ERROR_LANCZOS_NOT_CONVERGED", (), False),
        (XspectraCalculation, "ERROR_CORE_WAVEFUNCTION", (), False),
        (BaderCalculation, "ERROR_OUTPUT_STDOUT_MISSING", (), True),
        (BaderCalculation, "ERROR_ATOM_WITHOUT_BASIN", (), False),
    ],
)
def test_interrupted(make_job, process_class, label, files, expected):
    assert interrupted(make_job(process_class, process_class.exit_codes[label].status, files)) is expected


def test_a_cached_failure_may_run_again(make_job):
    chain = orm.WorkChainNode().store()
    job = make_job(PwCalculation, PwCalculation.exit_codes.ERROR_CHARGE_IS_WRONG.status, parent=chain)
    assert last_job(chain).pk == job.pk
    assert not may_run_again(chain)
    job.base.extras.set(CACHED_FROM, "some uuid")
    assert may_run_again(chain)


def test_failure_message_names_process_and_job(make_job):
    chain = orm.WorkChainNode()
    chain.set_process_label("PwBaseWorkChain")
    chain.store()
    job = make_job(PwCalculation, 305, parent=chain)
    chain.set_process_state("finished")
    chain.set_exit_status(300)
    chain.set_exit_message("an unrecoverable error")
    message = failure_message(chain)
    assert message.startswith(f"PwBaseWorkChain<{chain.pk}> exit status 300: an unrecoverable error; ")
    assert f"PwCalculation<{job.pk}> exit status 305" in message


def test_failure_message_of_what_was_killed_or_broke_off(aiida_profile):
    killed, broken = orm.WorkChainNode(), orm.WorkChainNode()
    for node in (killed, broken):
        node.set_process_label("MeltQuenchWorkChain")
    killed.set_process_state("killed")
    broken.set_process_state("excepted")
    broken.set_exception("Traceback (most recent call last):\n  File ...\nValueError: no such key\n")
    assert failure_message(killed.store()) == f"MeltQuenchWorkChain<{killed.pk}> was killed"
    assert failure_message(broken.store()) == f"MeltQuenchWorkChain<{broken.pk}> excepted: ValueError: no such key"


def test_failure_message_says_everything_once(make_job):
    """The message of the WorkChain of a site holds that of its job already."""
    chain = orm.WorkChainNode()
    chain.set_process_label("SiteSpectrumWorkChain")
    chain.store()
    job = make_job(XspectraCalculation, 305, parent=chain)
    job.set_exit_message("xspectra.x stopped with an error: xiabs")
    chain.set_process_state("finished")
    chain.set_exit_status(302)
    chain.set_exit_message(f"xspectra.x of site 3 failed: {failure_message(job)}")
    message = failure_message(chain)
    assert message.count("xiabs") == message.count(f"XspectraCalculation<{job.pk}>") == 1
    assert message.startswith(f"SiteSpectrumWorkChain<{chain.pk}> exit status 302: xspectra.x of site 3 failed: ")


@pytest.fixture
def inputs(mock_engines, mock_atomic_data, mock_quartz):
    settings = StructureTargetsWorkChain.settings_from(StructureTargetsWorkChain.get_protocol_inputs("fast"), "fast")
    return {
        "structure": mock_quartz,
        "site": orm.Int(0),
        "ground_parameters": orm.Dict({}),
        "settings": orm.Dict(settings),
        "codes": {engine: mock_engines.codes[engine] for engine in ("pw", "xspectra")},
        "atomic_data": mock_atomic_data,
    }


@pytest.mark.parametrize("site", [3, 9, -1])
def test_a_site_that_is_no_silicon(inputs, site):
    n_processes = orm.QueryBuilder().append(orm.ProcessNode).count()
    with pytest.raises(ValueError, match=rf"`site` {site} is no Si atom. Si sites .*: \[0, 1, 2\]"):
        run_get_node(SiteSpectrumWorkChain, **{**inputs, "site": orm.Int(site)})
    assert orm.QueryBuilder().append(orm.ProcessNode).count() == n_processes


def test_kinds_must_be_normalised(inputs):
    structure = orm.StructureData(cell=inputs["structure"].cell)
    structure.append_atom(symbols="Si", position=(0.0, 0.0, 0.0), name="Si1")
    with pytest.raises(ValueError, match=r"must have the kinds Si and O .*\['Si1'\]"):
        run_get_node(SiteSpectrumWorkChain, **{**inputs, "structure": structure})


def test_settings_are_checked(inputs):
    settings = inputs["settings"].get_dict()
    del settings["scf"]["degauss_Ry"]
    with pytest.raises(ValueError, match=r"`settings\.scf` lacks `degauss_Ry`"):
        run_get_node(SiteSpectrumWorkChain, **{**inputs, "settings": orm.Dict(settings)})

"""AtomicDataWorkChain without engines: builder, checks, failures of atoms, families."""

from __future__ import annotations

import copy
import io

import pytest
from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ProcessState
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida_pseudo.data.pseudo.upf import UpfData
from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

from aiida_siox.workflows.atomic_data import (
    AtomicDataWorkChain,
    check_atomic_parameters,
    family_label,
    find_atomic_data,
    get_or_create_family,
)


@pytest.fixture
def code(computer):
    return orm.InstalledCode(computer=computer, filepath_executable="/bin/true").store()


@pytest.fixture
def process(code):
    """Return an AtomicDataWorkChain that has run nothing yet."""
    builder = AtomicDataWorkChain.get_builder_from_protocol(code)
    return instantiate_process(get_manager().get_runner(), builder)


def make_upf(element: str, z_valence: int, comment: str = "") -> UpfData:
    text = f'<UPF version="2.0.1"><PP_HEADER element="{element}" z_valence="{z_valence}" comment="{comment}"/></UPF>'
    return UpfData(io.BytesIO(text.encode()), filename=f"{element}.UPF").store()


def make_job(exit_status: int, message: str | None = None, **outputs) -> AttributeDict:
    node = orm.CalcJobNode()
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(exit_status)
    if message:
        node.set_exit_message(message)
    return node


@pytest.mark.parametrize("protocol", [None, "fast", "balanced", "paper"])
def test_builder(code, protocol, data_regression):
    builder = AtomicDataWorkChain.get_builder_from_protocol(code, protocol=protocol)
    assert builder.code.uuid == code.uuid
    assert builder.options == {}
    # one file for all protocols: they have the same atoms
    data_regression.check({"parameters": builder.parameters.get_dict()}, basename="test_builder")


def test_builder_takes_overrides_and_options(code):
    builder = AtomicDataWorkChain.get_builder_from_protocol(
        code,
        overrides={"parameters": {"ground": {"inputp": {"rcore": 1.5}}}},
        options={"max_wallclock_seconds": 60},
    )
    assert builder.parameters["ground"]["inputp"]["rcore"] == 1.5
    assert builder.parameters["hole"]["inputp"]["rcore"] == 1.4
    assert builder.options == {"max_wallclock_seconds": 60}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "quick"}, "unknown protocol `quick`"),
        ({"overrides": {"parameters": {"ground": {"inputp": {"rcoer": 1.5}}}}}, "did you mean `rcore`"),
        ({"overrides": {"parameters": {"ground": {"inputp": {"rcore": "1.5"}}}}}, "must be a number"),
        ({"overrides": {"parameters": {"hole": {"input": {"zed": 15.0}}}}}, "same element"),
        ({"overrides": {"parameters": {"hole": {"input": {"config": "[Ne] 3s2 3p2 3d-1"}}}}}, "there is no hole"),
        ({"overrides": {"parameters": {"O": {"input": {"dft": "LDA"}}}}}, "functional must be the same"),
        ({"overrides": {"parameters": {"hole": {"inputp": {"file_pseudopw": "O.pbe-kjpaw.UPF"}}}}}, "must differ"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(code, arguments, message):
    with pytest.raises(ValueError, match=message):
        AtomicDataWorkChain.get_builder_from_protocol(code, **arguments)


def test_code_of_another_engine_is_refused(computer):
    code = orm.InstalledCode(
        label="pw", computer=computer, filepath_executable="/bin/true", default_calc_job_plugin="quantumespresso.pw"
    )
    with pytest.raises(ValueError, match=r"must be ld1\.x"):
        AtomicDataWorkChain.get_builder_from_protocol(code)


def test_missing_run_is_refused():
    parameters = AtomicDataWorkChain.get_protocol_inputs()["parameters"]
    assert check_atomic_parameters(parameters) is None
    for key in list(parameters):
        wrong = copy.deepcopy(parameters)
        del wrong[key]
        assert check_atomic_parameters(wrong) is not None
    parameters["family"]["colour"] = "blue"
    assert "unknown key `family.colour`" in check_atomic_parameters(parameters)


def test_all_failed_atoms_are_named(process):
    process.setup()
    process.ctx.update(
        atom_ground=make_job(0), atom_hole=make_job(312, "it ends early"), atom_O=make_job(330, "no convergence")
    )
    result = process.inspect_atoms()
    assert result == process.exit_codes.ERROR_SUB_PROCESS_FAILED.format(failures=result.message.split(": ", 1)[1])
    assert result.status == 301
    assert result.invalidates_cache
    assert "hole" in result.message
    assert "it ends early" in result.message
    assert "no convergence" in result.message
    assert "ground" not in result.message


def test_ground_state_without_core_wavefunction_is_a_failure(process):
    process.setup()
    process.ctx.update(atom_ground=make_job(0), atom_hole=make_job(0), atom_O=make_job(0))
    assert process.inspect_atoms() == process.exit_codes.ERROR_NO_CORE_WAVEFUNCTION.format(level="1S")


def test_excepted_atom_is_a_failure(process):
    excepted = orm.CalcJobNode()
    excepted.set_process_state(ProcessState.EXCEPTED)
    process.setup()
    process.ctx.update(atom_ground=make_job(0), atom_hole=excepted, atom_O=make_job(0))
    result = process.inspect_atoms()
    assert result.status == 301
    assert "excepted" in result.message


@pytest.mark.parametrize(
    ("version", "label"),
    [("6.7MaX", "siox/PBE/ld1-6.7/hole"), ("7.2", "siox/PBE/ld1-7.2/hole"), ("git", "siox/PBE/ld1-git/hole")],
)
def test_family_label(version, label):
    assert family_label("siox", "PBE", version, "hole") == label


CUTOFFS = {"stringency": "normal", "cutoff_wfc_ry": 50.0, "cutoff_rho_ry": 400.0}


@pytest.fixture
def label(aiida_profile, request):
    """Return the label of a family that no other test has."""
    return f"test/{request.node.name}"


def count_families(label: str) -> int:
    return CutoffsPseudoPotentialFamily.collection.count(filters={"label": {"like": f"{label}%"}})


def test_family_is_created_and_found_by_query(label):
    pseudos = {"Si": make_upf("Si", 4), "O": make_upf("O", 6)}
    family = get_or_create_family(label, pseudos, **CUTOFFS)
    query = orm.QueryBuilder()
    query.append(CutoffsPseudoPotentialFamily, filters={"label": label}, tag="family")
    query.append(UpfData, with_group="family", filters={"attributes.element": "Si"})
    assert query.one()[0].uuid == pseudos["Si"].uuid
    assert family.get_recommended_cutoffs(elements=("Si", "O"), unit="Ry") == (50.0, 400.0)


def test_same_content_again_adds_nothing_to_a_family(label):
    first = get_or_create_family(label, {"Si": make_upf("Si", 5)}, **CUTOFFS)
    again = get_or_create_family(label, {"Si": make_upf("Si", 5)}, **CUTOFFS)
    assert again.pk == first.pk
    assert again.count() == 1
    assert count_families(label) == 1


def test_other_content_gets_a_family_of_its_own(label):
    first = get_or_create_family(label, {"Si": make_upf("Si", 5)}, **CUTOFFS)
    changed = {"Si": make_upf("Si", 5, comment="other radii")}
    other = get_or_create_family(label, changed, **CUTOFFS)
    assert other.pk != first.pk
    assert other.label.startswith(f"{label}-")
    assert first.get_pseudo("Si").md5 != other.get_pseudo("Si").md5
    assert get_or_create_family(label, changed, **CUTOFFS).pk == other.pk
    assert count_families(label) == 2


def test_family_left_empty_by_a_crash_is_filled(label):
    CutoffsPseudoPotentialFamily(label=label).store()
    family = get_or_create_family(label, {"Si": make_upf("Si", 5)}, **CUTOFFS)
    assert family.label == label
    assert family.elements == ["Si"]


def test_nothing_is_found_where_nothing_was_made(code):
    assert find_atomic_data(code) is None

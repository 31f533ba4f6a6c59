"""Ld1Calculation: input file, checks of the parameters, energies."""

from __future__ import annotations

import copy
import re

import pytest
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager

from aiida_siox.calculations.ld1 import (
    Ld1Calculation,
    Ld1Parameters,
    Ld1Test,
    collect_energies,
    fortran_literal,
    ld1_input,
    split_parameters,
)
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain


@pytest.fixture
def parameters():
    return AtomicDataWorkChain.get_protocol_inputs()["parameters"]


@pytest.fixture
def code(computer):
    return orm.InstalledCode(computer=computer, filepath_executable="/bin/true", default_calc_job_plugin="siox.ld1")


@pytest.mark.parametrize("run", ["ground", "hole"])
def test_input_file_of_a_test(run, file_regression):
    """A test has the parameters of the data set; the partial waves of an ultrasoft one are not written."""
    inputs = AtomicDataWorkChain.get_protocol_inputs("ultrasoft" if run == "hole" else None)
    file_regression.check(ld1_input(inputs["parameters"][run], inputs["test"]), extension=".in")


def test_input_file_of_an_ultrasoft_set(file_regression):
    parameters = AtomicDataWorkChain.get_protocol_inputs("ultrasoft")["parameters"]
    file_regression.check(ld1_input(parameters["hole"]), extension=".in")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nld": 5}, "`test.nld` must be an integer from 1 up to 4, got 5"),
        ({"rlderiv": 20.0}, "`test.rlderiv` (20.0) must be below `rm` (12.0)"),
        ({"emaxld": -5.0}, "`test.eminld` (-3.0) must be below `emaxld` (-5.0)"),
        ({"decut": 0.0}, "`test.decut` must be a number above 0, got 0.0"),
        ({"rm": "12"}, "`test.rm` must be a number above 0, got '12'"),
        ({"radius": 2.0}, "unknown key `test.radius`"),
    ],
)
def test_wrong_tests_are_refused(changes, message):
    test = AtomicDataWorkChain.get_protocol_inputs()["test"]
    assert Ld1Test.fault(test) is None
    assert message in Ld1Test.fault(test | changes, "test")


@pytest.mark.parametrize("run", ["ground", "hole", "O"])
def test_input_file(parameters, run, file_regression):
    file_regression.check(ld1_input(parameters[run]), extension=".in")


def test_job(code, parameters):
    process = instantiate_process(
        get_manager().get_runner(),
        Ld1Calculation,
        code=code.store(),
        parameters=orm.Dict(parameters["ground"]),
        metadata={"options": {"resources": {"num_machines": 1}}},
    )
    with SandboxFolder() as folder:
        info = process.prepare_for_submission(folder)
        assert folder.get_content_list() == ["aiida.in"]
        with folder.open("aiida.in") as handle:
            assert handle.read() == ld1_input(parameters["ground"])
    (codeinfo,) = info.codes_info
    assert (codeinfo.stdin_name, codeinfo.stdout_name) == ("aiida.in", "aiida.out")
    assert codeinfo.cmdline_params is None
    assert info.retrieve_list == ["aiida.out"]
    assert info.retrieve_temporary_list == ["Si.pbe-gs-kjpaw.UPF", "ld1.wfc"]
    assert process.node.get_option("withmpi") is False
    assert process.node.get_option("parser_name") == "siox.ld1"


@pytest.mark.parametrize(
    ("value", "text"), [(True, ".true."), (False, ".false."), (3, "3"), (1.4, "1.4"), (1e-8, "1e-08"), ("PBE", "'PBE'")]
)
def test_fortran_literal(value, text):
    assert fortran_literal(value) == text


@pytest.mark.parametrize("value", ["it's", "a\n/", None, [1], {}])
def test_what_no_namelist_can_hold(value):
    with pytest.raises(ValueError, match="cannot be written"):
        fortran_literal(value)


def change(**entries):
    """Return a function that sets dotted entries of the parameters; None removes them."""

    def edit(parameters):
        for path, value in entries.items():
            *parents, key = path.split("__")
            target = parameters
            for parent in parents:
                target = target[parent]
            if value is None:
                del target[key]
            else:
                target[key] = value
        return parameters

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(inputp=None), "`parameters` lacks `inputp`"),
        (change(extra={}), "unknown key `parameters.extra`"),
        (change(input__zed=None), "`parameters.input` lacks `zed`"),
        (change(input__iswitch=1), "`parameters.input.iswitch` must be 3: a pseudopotential is generated, got 1"),
        (change(input__title="it's"), "input.title"),
        (change(input__prefix="x"), "file names are set"),
        (change(inputp__lpaw=None), "`parameters.inputp` lacks `lpaw`"),
        (change(inputp__lpaw=1), "must be true (PAW) or false (ultrasoft), got 1"),
        (change(inputp__pseudotype=2), "`parameters.inputp.pseudotype` must be 3, got 2"),
        (change(inputp__lgipaw_reconstruction=True), "belong together"),
        (change(gipaw_states=[["3S", 1, 0, 2.0, 0.0, 1.6, 1.8]]), "belong together"),
        (change(inputp__file_pseudopw="../Si.UPF"), "plain file name"),
        (change(inputp__file_pseudopw="Si.psf"), "plain file name"),
        (change(inputp__file_recon="x"), "remove file_recon"),
        (change(states=[]), "`parameters.states` must be a list, one or more, each a row"),
        (change(states=[["3S", 1, 0, 2.0]]), "a row with a label and 7 numbers"),
        (change(states=[["3S", 1, 0, 2.0, 0.0, 1.6, 1.8, "0"]]), "`parameters.states.0.7` must be a number, got '0'"),
        (
            change(states=[["3S", 1.5, 0, 2.0, 0.0, 1.6, 1.8, 0.0]]),
            "`parameters.states.0.1` must be an integer, got 1.5",
        ),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(code, parameters, edit, message):
    assert Ld1Parameters.fault(parameters["ground"]) is None
    wrong = edit(copy.deepcopy(parameters["ground"]))
    assert message in Ld1Parameters.fault(wrong, "parameters")
    builder = Ld1Calculation.get_builder()
    with pytest.raises(ValueError, match=re.escape(message)):
        builder.parameters = orm.Dict(wrong)


def test_all_failures_leave_nothing_in_the_cache():
    own = [code for code in Ld1Calculation.spec().exit_codes.values() if code.status >= 300]
    assert len(own) >= 8
    assert all(code.invalidates_cache for code in own)


def test_core_correction(aiida_profile):
    """The value of docs/develop/engine_facts.md: 132.996955 Ry."""
    ground = orm.Dict({"all_electron_Ry": -579.674871, "pseudo_Ry": -46.329006, "version": "6.7MaX"})
    hole = orm.Dict({"all_electron_Ry": -442.845440, "pseudo_Ry": -42.496530, "version": "6.7MaX"})
    result = collect_energies(ground=ground, hole=hole, version=orm.Int(0))
    assert result["core_correction_eV"] == pytest.approx(1809.516, abs=1e-3)
    assert result["ground_all_electron_Ry"] == -579.674871
    assert result["hole_pseudo_Ry"] == -42.496530
    assert (result["engine"], result["version"]) == ("ld1.x", "6.7MaX")
    assert result.creator.inputs.hole.uuid == hole.uuid


def test_split_parameters(aiida_profile, parameters):
    parts = split_parameters(orm.Dict(parameters))
    assert set(parts) == {"ground", "hole", "O"}
    for run, node in parts.items():
        assert node.get_dict() == parameters[run]


def test_rows_of_the_partial_waves_are_checked():
    parameters = AtomicDataWorkChain.get_protocol_inputs("ultrasoft")["parameters"]["hole"]
    assert Ld1Parameters.fault(parameters) is None
    parameters["gipaw_states"][0] = parameters["states"][0]
    assert "`gipaw_states.0` must be a row with a label and 6 numbers" in Ld1Parameters.fault(parameters)

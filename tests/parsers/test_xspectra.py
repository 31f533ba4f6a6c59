"""XspectraParser on files of real runs, whole and spoiled."""

from __future__ import annotations

import copy
import gzip
import io

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.calculations.xspectra import XspectraCalculation
from aiida_siox.parsers.xspectra import XspectraParser

PARAMETERS = {
    "input_xspectra": {"xniter": 2000, "xcheck_conv": 50, "xerror": 0.001},
    "plot": {
        "xnepoint": 1000,
        "xgamma": 0.8,
        "xemin": -10.0,
        "xemax": 100.0,
        "terminator": True,
        "cut_occ_states": True,
    },
    "pseudos": {"r_paw": 2.4},
    "cut_occ": {"cut_desmooth": 0.1},
}


@pytest.fixture
def good(fixtures_path):
    """Return the files of one polarisation by their kind."""
    folder = fixtures_path / "xspectra" / "c_axis"
    return {
        kind: gzip.decompress((folder / f"{name}.gz").read_bytes()).decode()
        for kind, name in XspectraCalculation.names(0).items()
        if kind != "input"
    }


@pytest.fixture
def failure(fixtures_path):
    """Return a reader of the outputs of runs that failed."""
    return lambda name: (fixtures_path / "xspectra" / "failures" / f"{name}.out").read_text()


@pytest.fixture
def parse(computer, tmp_path):
    """Return a function that parses a job with the given files of each polarisation."""

    def run(*polarisations, stderr="", extra=(), parameters=PARAMETERS):
        node = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:siox.xspectra")
        node.set_option("scheduler_stderr", "_scheduler-stderr.txt")
        vectors = [[0.0, 0.0, 1.0]] * len(polarisations)
        for label, value in {"polarisations": orm.List(vectors), "parameters": orm.Dict(parameters)}.items():
            node.base.links.add_incoming(value.store(), LinkType.INPUT_CALC, label)
        node.store()
        retrieved = orm.FolderData()
        retrieved.base.repository.put_object_from_filelike(io.BytesIO(stderr.encode()), "_scheduler-stderr.txt")
        for name in extra:
            retrieved.base.repository.put_object_from_filelike(io.BytesIO(b"x"), name)
        for index, files in enumerate(polarisations):
            names = XspectraCalculation.names(index)
            for kind in ("output", "spectrum"):
                if kind in files:
                    content = io.BytesIO(files[kind].encode())
                    retrieved.base.repository.put_object_from_filelike(content, names[kind])
            if "coefficients" in files:
                (tmp_path / names["coefficients"]).write_text(files["coefficients"])
        retrieved.base.links.add_incoming(node, LinkType.CREATE, "retrieved")
        retrieved.store()
        results, process = XspectraParser.parse_from_node(
            node, store_provenance=False, retrieved_temporary_folder=str(tmp_path)
        )
        return results, process

    return run


def test_two_polarisations(parse, good):
    results, process = parse(good, good)
    assert process.exit_status == 0, process.exit_message
    summary = results["output_parameters"].get_dict()
    assert summary.pop("replot_deviation") == pytest.approx([0, 0], abs=5e-6)
    assert summary == {
        "version": "6.7MaX",
        "energy_zero_eV": pytest.approx(2.5348678238),
        "fermi_energy_eV": 2.5349,
        "xgamma_eV": 0.8,
        "n_k_points": 1,
        "n_iterations": [300, 300],
        "error": [0.00056485, 0.00056485],
        "converged": [True, True],
        "hilbert_saturated": True,
        "cpu_s": pytest.approx(3.68),
        "wall_s": pytest.approx(3.86),
    }
    curves, lanczos = results["curves"], results["lanczos"]
    assert curves.get_array("sigma").shape == (2, 1000)
    np.testing.assert_allclose(curves.get_array("energy_eV"), np.linspace(-10, 100, 1000))
    shapes = {name: lanczos.get_array(name).shape for name in lanczos.get_arraynames()}
    assert shapes == {
        "a": (2, 1, 300),
        "b": (2, 1, 300),
        "norm": (2, 1),
        "n_iterations": (2, 1),
        "weights": (1,),
        "polarisations": (2, 3),
    }
    attributes = lanczos.base.attributes.all
    assert attributes["energy_zero_eV"] == pytest.approx(2.5348678238)
    assert {key: attributes[key] for key in ("check_interval", "gamma_eV", "smooth_eV", "core_energy_eV")} == {
        "check_interval": 50,
        "gamma_eV": 0.8,
        "smooth_eV": 0.1,
        "core_energy_eV": 1839.0,
    }


@pytest.mark.parametrize(
    ("name", "label", "told"),
    [
        ("no_scratch", "ERROR_PARENT_SCRATCH_MISSING", "data-file-schema.xml not found"),
        ("no_wavefunctions", "ERROR_PARENT_SCRATCH_MISSING", "wfc1 for reading"),
        ("no_core", "ERROR_CORE_WAVEFUNCTION", "ERROR reading the core wavefunction file"),
        ("wrong_xiabs", "ERROR_ENGINE", "xiabs < 1 or xiabs > ntyp"),
        ("exhausted", "ERROR_LANCZOS_NOT_CONVERGED", "60 iterations at 1 k points"),
    ],
)
@pytest.mark.parametrize("second", [False, True])
def test_real_failures(parse, good, failure, name, label, told, second):
    """Whichever polarisation failed, even beside the spectrum of a good one."""
    bad = good | {"output": failure(name)}
    results, process = parse(good, bad) if second else parse(bad, good)
    assert process.exit_status == getattr(XspectraCalculation.exit_codes, label).status
    assert told in process.exit_message
    assert set(results) == {"output_parameters"}
    assert results["output_parameters"]["converged"] == ([True, False] if second else [False, True])


def test_fortran_runtime_error(parse, good, failure):
    stderr = "At line 67 of file io_routines.f90\nFortran runtime error: End of file\nError termination. Backtrace:\n#0"
    _, process = parse(good | {"output": failure("truncated_core")}, stderr=stderr)
    assert process.exit_status == XspectraCalculation.exit_codes.ERROR_CORE_WAVEFUNCTION.status
    assert "End of file" in process.exit_message
    _, process = parse(good | {"output": "Program XSpectra v.6.7MaX"}, stderr=stderr)
    assert process.exit_status == XspectraCalculation.exit_codes.ERROR_ENGINE.status


def test_killed_run(parse, good):
    """Cut off in the middle of the Lanczos chain, as at a walltime."""
    text = good["output"]
    _, process = parse(good | {"output": text[: text.index("Estimated error at iter    200")]})
    assert process.exit_status == XspectraCalculation.exit_codes.ERROR_OUTPUT_STDOUT_INCOMPLETE.status
    assert "Estimated error at iter    150" in process.exit_message


def test_gamma_only_parent(parse):
    _, process = parse(extra=("parent_check.txt",))
    assert process.exit_status == XspectraCalculation.exit_codes.ERROR_PARENT_GAMMA_ONLY.status


def test_missing_output(parse, good):
    _, process = parse(good, {})
    assert process.exit_status == XspectraCalculation.exit_codes.ERROR_OUTPUT_STDOUT_MISSING.status
    assert "polarisation 1" in process.exit_message


def spoil(text: str, column: int, factor: float) -> str:
    lines = text.splitlines()
    energy, sigma = lines[column].split()
    lines[column] = f"{energy} {float(sigma) * factor}"
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("kind", "change", "label", "told"),
    [
        ("spectrum", lambda text: None, "ERROR_SPECTRUM_UNREADABLE", "xanes_0.dat"),
        ("spectrum", lambda text: text.rsplit("\n", 3)[0], "ERROR_SPECTRUM_UNREADABLE", "points instead of 1000"),
        ("spectrum", lambda text: text.replace(" -10.0000", " -11.0000", 1), "ERROR_SPECTRUM_UNREADABLE", "energies"),
        ("spectrum", lambda text: spoil(text, 300, np.nan), "ERROR_SPECTRUM_UNREADABLE", "not finite"),
        ("spectrum", lambda text: spoil(text, 300, 1.02), "ERROR_SPECTRUM_INCONSISTENT", "polarisation 0"),
        ("coefficients", lambda text: None, "ERROR_COEFFICIENTS_UNREADABLE", "lanczos_0.sav"),
        ("coefficients", lambda text: text[:5000], "ERROR_COEFFICIENTS_UNREADABLE", "truncated"),
        (
            "coefficients",
            lambda text: text.replace(" 2.534", " 3.534"),
            "ERROR_COEFFICIENTS_UNREADABLE",
            "energy zeros",
        ),
        ("output", lambda text: text.replace(" 2.5349", " 2.5449"), "ERROR_ENERGY_ZEROS_DIFFER", "2.5449 eV, 2.5349"),
        (
            "output",
            lambda text: text.replace("CONVERGED at", "STOPPED at"),
            "ERROR_LANCZOS_NOT_CONVERGED",
            "1 k points",
        ),
    ],
)
def test_spoiled_files(parse, good, kind, change, label, told):
    spoiled = copy.deepcopy(good)
    changed = change(good[kind])
    assert changed != good[kind]
    spoiled[kind] = changed
    if changed is None:
        del spoiled[kind]
    results, process = parse(spoiled, good)
    assert process.exit_status == getattr(XspectraCalculation.exit_codes, label).status, process.exit_message
    assert told in process.exit_message
    assert "curves" not in results

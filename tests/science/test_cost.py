"""The table of costs: counts that pw.x itself reports, what was measured, how it scales."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import pathlib
import sys

import numpy as np
import pytest
import yaml

from aiida_siox.science.cost import (
    ENGINES,
    CostTable,
    EngineCost,
    Job,
    lanczos_repeats,
    plane_waves,
    scf_kpoints,
    scratch_passing,
)

#: Root mean square of ln(measured / estimated) over the points for the model of fourteen coefficients, with covariances
#: and fitted iterations, that this table replaced.
ERRORS_BEFORE = {"lmp": 0.47, "ld1": 0.16, "pw": 0.31, "bader": 0.281, "xspectra": 0.11}


REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def costs():
    """Return the packaged table."""
    path = REPOSITORY / "aiida_siox" / "workflows" / "protocols" / "cost.yaml"
    return CostTable.from_dict(yaml.safe_load(path.read_text()))


@pytest.fixture(scope="module")
def script():
    """Return the script that fits the table."""
    spec = importlib.util.spec_from_file_location("validation_cost", REPOSITORY / "docs" / "validation" / "cost.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def table(**rows: EngineCost) -> CostTable:
    """Return a table whose rows are free where not given."""
    return CostTable({engine: rows.get(engine, EngineCost()) for engine in ENGINES}, 2.0, {})


def test_plane_waves_are_those_of_pw():
    """The wfc1.dat of α-quartz at 50 Ry (2,176,192 bytes, 29 bands) holds 16 bytes a coefficient and 12 a vector."""
    assert plane_waves(113.01, 50.0) == pytest.approx(2176192 / (29 * 16 + 12), rel=0.01)


def test_kpoints_of_a_mesh_with_time_reversal():
    """Γ and its like stand alone, all others come in pairs."""
    assert [scf_kpoints((n, n, n)) for n in (1, 2, 3, 4)] == [1, 8, 14, 36]
    assert scf_kpoints((2, 1, 1)) == 2
    assert scf_kpoints((3, 1, 1)) == 2


def test_size_is_proportional_to_the_atoms_of_a_material():
    """Twice the cell has twice the size; vacuum around it costs plane waves, but no bands."""
    cell = Job("pw", n_atoms=12, n_plane_waves=8000.0)
    assert dataclasses.replace(cell, n_atoms=24, n_plane_waves=16000.0).size == pytest.approx(2 * cell.size)
    assert dataclasses.replace(cell, n_plane_waves=64000.0).size == pytest.approx(2 * cell.size)
    assert Job("lmp", n_atoms=12).size == pytest.approx(12)


def test_seconds_by_hand():
    row = EngineCost(start_s=5.0, atom_s=0.1, unit_s=2.0, exponent=3.0)
    job = Job("pw", n_atoms=8, n_plane_waves=8.0, repeats=4, digits=7.0)
    assert table(pw=row).seconds(job) == pytest.approx(5 + 7 * (0.1 * 8 + 2 * 4 * 8**3))
    row = EngineCost(unit_s=2.0, per_digit=1.5)
    assert table(xspectra=row).seconds(Job("xspectra", 8, 8.0, 4, digits=2.0)) == pytest.approx(1.5**2 * 2 * 4 * 8)


def test_broadening_shortens_the_chains():
    """√(cutoff / γ): four times the broadening takes half the iterations."""
    assert lanczos_repeats(24, 50.0, 3.2) == pytest.approx(lanczos_repeats(24, 50.0, 0.8) / 2)
    assert lanczos_repeats(24, 50.0, 2.0) == pytest.approx(24 * 5)


@pytest.mark.parametrize("engine", ENGINES)
def test_error_is_not_larger_than_that_of_the_fitted_model(costs, script, engine):
    """The 218 measured jobs are predicted as well as before."""
    found = [point for point in script.points() if point.job.engine == engine]
    logs = np.log([point.cpu_s / costs.seconds(point.job) for point in found])
    assert math.sqrt(np.mean(logs**2)) <= ERRORS_BEFORE[engine]


def test_packaged_table_is_what_the_script_prints(costs, script):
    """Nothing in cost.yaml is typed in."""
    assert CostTable.from_dict(script.fit()) == costs


@pytest.mark.parametrize(("engine", "exponent"), [("pw", (2.0, 3.0)), ("xspectra", (1.7, 2.1)), ("lmp", (1.0, 1.5))])
def test_exponents_are_those_of_the_engines(costs, engine, exponent):
    """N³ at most for an SCF, near N^1.9 for xspectra.x (measured apart), near N for molecular dynamics."""
    assert exponent[0] <= costs.engines[engine].exponent <= exponent[1]


def test_extrapolation_is_told():
    costs = table(pw=EngineCost(largest=72))
    assert not costs.is_extrapolated(Job("pw", n_atoms=79))
    assert costs.is_extrapolated(Job("pw", n_atoms=80))
    assert not costs.is_extrapolated(Job("ld1"))


def test_scratch_is_wavefunctions_and_density(costs):
    """pw.x of Si8O4 (198 Å³) left 12.4 MB, of Si4O6 (143 Å³) 10.4 MB."""
    for n_atoms, volume, left in ((12, 198.0, 12_419_072), (10, 143.0, 10_371_072)):
        job = Job("pw", n_atoms=n_atoms, n_plane_waves=plane_waves(volume, 50.0), n_kpoints=1)
        assert costs.scratch_bytes(job) == pytest.approx(left, rel=0.05)
    bader = Job("bader", n_atoms=12, n_plane_waves=plane_waves(181.0, 200.0))
    # the Fourier grid that pw.x reports for this cell is 50³, the next above 48.2³ that has small factors
    assert scratch_passing(bader) == pytest.approx(2 * (79 / 6 + 86 / 5) * 48.2**3, rel=0.01)
    assert scratch_passing(Job("pw")) == 0.0


def test_stored_bytes_by_hand():
    row = EngineCost(stored_bytes=100.0, stored_per_atom=2.0, stored_per_repeat=0.5)
    assert table(lmp=row).stored_bytes(Job("lmp", n_atoms=10, repeats=40)) == pytest.approx(100 + 20 + 20)


@pytest.mark.parametrize("data", [None, {}, [], {"engines": {"pw": {"wrong": 1}}}])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(ValueError, match=r"docs/validation/cost\.py"):
        CostTable.from_dict(data)


def test_unknown_engine_is_refused():
    with pytest.raises(ValueError, match=r"engine `vasp`. Valid: lmp, ld1, pw, bader, xspectra"):
        Job("vasp")

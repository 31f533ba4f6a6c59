"""The cost model: counts that pw.x itself reports, coefficients that are known, errors that grow."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from aiida_siox.science.cost import (
    CostModel,
    Estimate,
    JobSize,
    count_bands,
    grid_points,
    plane_waves,
    scf_kpoints,
    scratch_arrays,
    scratch_passing,
    terms,
)
from aiida_siox.science.cost_fit import Measured, fit, fit_iterations, fit_linear
from tests.crystals import SIOX

KNOWN = {
    "lmp": {"start": 0.5, "steps": 2e-6, "atom_steps": 1.5e-6},
    "ld1": {"start": 0.25},
    "pw": {"start": 1.5, "paw": 0.01, "transforms": 2e-7, "orthogonalisation": 1e-8},
    "bader": {"start": 5.0, "grid": 1.5e-5},
    "xspectra": {"start": 1.2, "transforms": 2e-8, "projectors": 5e-8},
}
ITERATIONS = {"ground": 1.4, "hole": 1.6, "xspectra": (7.0, 0.3)}


def cell_size(engine: str, n_atoms: int, **more: float) -> JobSize:
    """Return a job for a cell of SiO2 with the density of quartz and the settings of `fast`."""
    values = {
        "n_atoms": n_atoms,
        "volume_A3": 12.56 * n_atoms,
        "n_bands": count_bands({"Si": n_atoms // 3, "O": n_atoms - n_atoms // 3}, SIOX.species),
        "n_kpoints": 1,
        "ecutwfc_Ry": 50.0,
        "ecutrho_Ry": 200.0,
        "digits": 7.0,
    }
    if engine == "xspectra":
        values |= {"n_polarisations": 3, "n_kpoints": 8, "digits": 3.0, "gamma_eV": 0.8}
    return JobSize(engine, **{**values, **more})


def synthetic(noise: float = 0.0, seed: int = 1, atoms=(9, 12, 24, 36, 72)) -> list[Measured]:
    """Return measured jobs that follow the known coefficients."""
    rng = np.random.default_rng(seed)
    sizes = [JobSize("ld1")] * 3
    for n in atoms:
        for steps in (20_000.0, 248_000.0):
            sizes.append(JobSize("lmp", n_atoms=n, volume_A3=15.0 * n, iterations=steps, n_records=100 + n))
        sizes.append(cell_size("bader", n))
        for digits in (5.0, 8.0):
            for kind in ("ground", "hole"):
                for nk in (1, 4):
                    count = ITERATIONS[kind] * digits
                    sizes.append(cell_size("pw", n, kind=kind, digits=digits, n_kpoints=nk, iterations=count))
        for digits in (2.0, 3.0):
            factor, exponent = ITERATIONS["xspectra"]
            count = factor * math.sqrt(50 / 0.8) * 10 ** (exponent * digits)
            sizes.append(cell_size("xspectra", n, digits=digits, iterations=count))
    points = []
    for number, size in enumerate(sizes):
        seconds = sum(KNOWN[size.engine][name] * value for name, value in terms(size).items())
        seconds *= math.exp(noise * rng.normal())
        points.append(
            Measured(
                f"job-{number}",
                size,
                seconds,
                1.1 * seconds,
                2.0,
                1000.0 + 10 * size.n_atoms,
                5e6 + scratch_arrays(size),
            )
        )
    return points


def test_plane_waves_and_bands_are_those_of_pw():
    """The wfc1.dat of α-quartz at 50 Ry (2,176,192 bytes, 29 bands) holds 16 bytes a coefficient and 12 a vector."""
    assert plane_waves(113.01, 50.0) == pytest.approx(2176192 / (29 * 16 + 12), rel=0.01)
    # pw.x 6.7 reports 29, 38, 34, 31, 20, 154 bands and, for Si4O8 in 181 Å³ at 200 Ry, a grid of 50³: the next number
    # above 48.2 that has small factors
    cells = [(3, 6), (4, 8), (8, 4), (4, 6), (2, 4), (64, 0)]
    assert [count_bands({"Si": si, "O": o}, SIOX.species) for si, o in cells] == [29, 38, 34, 31, 20, 154]
    assert grid_points(181.0, 200.0) == pytest.approx(48.2**3, rel=0.01)


def test_kpoints_of_a_mesh_with_time_reversal():
    """Γ and its like stand alone, all others come in pairs."""
    assert [scf_kpoints((n, n, n)) for n in (1, 2, 3, 4)] == [1, 8, 14, 36]
    assert scf_kpoints((2, 1, 1)) == 2
    assert scf_kpoints((3, 1, 1)) == 2


def test_fit_recovers_known_coefficients():
    model = fit(synthetic(), 2.0, {"date": "2026"})
    for engine, known in KNOWN.items():
        for name, value in known.items():
            assert model.seconds[engine].coefficients[name] == pytest.approx(value, rel=1e-3), (engine, name)
        assert model.seconds[engine].spread < 1e-3
    assert model.iterations["ground"].factor == pytest.approx(1.4)
    assert model.iterations["hole"].factor == pytest.approx(1.6)
    assert model.iterations["xspectra"].factor == pytest.approx(7.0)
    assert model.iterations["xspectra"].exponent == pytest.approx(0.3)
    assert model.overhead_s == 2.0
    assert model.scratch["pw"] == pytest.approx(5e6)
    assert model.seconds["pw"].ranges["n_atoms"] == [9.0, 72.0]


def test_error_bar_is_that_of_the_noise():
    """Twelve hundred seconds predicted from noisy points lie within the error bar of the true value."""
    model = fit(synthetic(noise=0.2), 2.0)
    assert model.seconds["xspectra"].spread == pytest.approx(0.2, abs=0.1)
    size = cell_size("xspectra", 24)
    exact = fit(synthetic(), 2.0).job_seconds(size)
    found = model.estimate([(size, 10)])["xspectra"]
    assert abs(math.log(found.seconds / (10 * exact))) < 2 * math.log(1 + found.relative_error)
    assert 0.1 < found.relative_error < 0.5


def test_what_the_points_do_not_determine_is_uncertain():
    """From cells of one size nobody knows the exponent: the error bar of a large cell says so."""
    narrow = fit(synthetic(noise=0.1, atoms=(10, 12)), 2.0)
    wide = fit(synthetic(noise=0.1), 2.0)
    large = [(cell_size("pw", 216, kind="hole"), 1)]
    small = [(cell_size("pw", 12, kind="hole"), 1)]
    assert narrow.estimate(small)["pw"].relative_error < 0.3
    assert narrow.estimate(large)["pw"].relative_error > 2 * narrow.estimate(small)["pw"].relative_error
    assert wide.estimate(large)["pw"].relative_error < narrow.estimate(large)["pw"].relative_error


def test_repeated_jobs_count_once():
    """A hundred runs of one size do not outweigh the other sizes."""
    rows = [{"start": 1.0, "grid": float(n)} for n in (1, 2, 4, 8)]
    values = [1.0 + 2.0 * row["grid"] for row in rows]
    many = fit_linear([*rows, *[rows[0]] * 100], [*values, *[1.2 * values[0]] * 100])
    assert many.coefficients["grid"] == pytest.approx(2.0, rel=0.1)
    assert many.n_points == 104


def test_coefficients_are_never_negative():
    rows = [{"start": 1.0, "grid": float(n)} for n in (1, 2, 4, 8)]
    found = fit_linear(rows, [8.0, 4.0, 2.0, 1.0])
    assert min(found.coefficients.values()) >= 0.0


def test_iterations_of_one_threshold_have_no_exponent():
    sizes = [cell_size("xspectra", 12, iterations=400.0)] * 3
    found = fit_iterations(sizes)
    assert found.exponent == 0.0
    assert found.digits == [3.0, 3.0]


def test_extrapolation_is_told():
    model = fit(synthetic(), 2.0)
    assert model.extrapolations(cell_size("pw", 24, kind="hole")) == {}
    outside = model.extrapolations(cell_size("pw", 216, kind="hole"))
    assert outside["n_atoms"] == (216.0, 9.0, 72.0)
    assert set(outside) == {"n_atoms", "n_plane_waves"}
    # so is a threshold at which nobody has counted iterations
    assert model.extrapolations(cell_size("xspectra", 24, digits=6.0)) == {"digits": (6.0, 2.0, 3.0)}


def test_estimates_of_engines_add_up():
    total = Estimate(100.0, 9.0) + Estimate(50.0, 16.0)
    assert total.seconds == 150.0
    assert total.relative_error == pytest.approx(5.0 / 150.0)
    assert Estimate().relative_error == 0.0


def test_scratch_is_wavefunctions_and_density():
    """pw.x of Si8O4 (34 bands, 198 Å³) left 12.4 MB, of Si4O6 (31 bands, 143 Å³) 10.4 MB: 6.9 MB beside the arrays."""
    first = scratch_arrays(JobSize("pw", volume_A3=198.0, n_bands=34, n_kpoints=1, ecutwfc_Ry=50.0, ecutrho_Ry=200.0))
    second = scratch_arrays(JobSize("pw", volume_A3=143.0, n_bands=31, n_kpoints=1, ecutwfc_Ry=50.0, ecutrho_Ry=200.0))
    assert 12_419_072 - first == pytest.approx(10_371_072 - second, rel=0.05)
    assert scratch_arrays(cell_size("bader", 12)) == 0.0
    assert scratch_passing(cell_size("bader", 12)) == pytest.approx(60.7 * cell_size("bader", 12).n_grid, rel=0.01)


def test_model_survives_yaml_and_json():
    model = fit(synthetic(), 2.0, {"cpu": "some"})
    again = CostModel.from_dict(json.loads(json.dumps(model.as_dict())))
    assert again == model
    size = cell_size("xspectra", 30)
    assert again.job_seconds(size) == model.job_seconds(size)
    assert again.repository_bytes(cell_size("pw", 12, kind="hole")) == pytest.approx(2.0 * 1120.0, rel=0.01)


@pytest.mark.parametrize("data", [None, {}, [], {"seconds": {"pw": {"wrong": 1}}}])
def test_what_is_no_model_is_refused(data):
    with pytest.raises(ValueError, match="plan fit"):
        CostModel.from_dict(data)


def test_unknown_engine_is_refused():
    with pytest.raises(ValueError, match=r"engine `vasp`. Valid: lmp, ld1, pw, bader, xspectra"):
        JobSize("vasp")


def test_too_few_points_are_refused():
    points = [point for point in synthetic() if point.size.engine != "lmp"]
    with pytest.raises(ValueError, match=r"lmp: 0 measured jobs are too few"):
        fit(points, 2.0)
    with pytest.raises(ValueError, match="how many iterations"):
        fit([point for point in synthetic() if point.size.engine != "pw"], 2.0)
    with pytest.raises(ValueError, match=r"1 measured jobs are too few for the terms start, grid"):
        fit_linear([{"start": 1.0, "grid": 2.0}], [1.0])


def test_iterations_are_filled_in_only_where_unknown():
    model = fit(synthetic(), 2.0)
    known = cell_size("pw", 12, kind="hole", iterations=3.0)
    assert model.complete(known) is known
    assert model.complete(dataclasses.replace(known, iterations=0.0)).iterations == pytest.approx(1.6 * 7)

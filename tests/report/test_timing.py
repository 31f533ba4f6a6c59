"""Times of engine jobs."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_siox.report.timing import (
    CORE_HOLE,
    XSPECTRA,
    JobTime,
    cpu_utilisation,
    engine_name,
    engine_summary,
    is_marked,
    parse_scheduler_stdout,
    study_times,
    utilisation,
)

from .conftest import stdout_of_job


def job(pk, engine, start, end, cpu, cached=False):
    return JobTime(pk, engine, start, end, cpu, 0.0, cached)


def test_parse_takes_the_children_of_the_shell():
    times = parse_scheduler_stdout(stdout_of_job(100.25, 90.5, 83.125, 1.5))
    assert times.start == 100.25
    assert times.end == 190.75
    assert times.user == pytest.approx(83.125)
    assert times.system == pytest.approx(1.5)


def test_parse_of_a_killed_job_has_no_end():
    times = parse_scheduler_stdout("siox-start 1700000000.5\nslurmstepd: error: *** JOB CANCELLED ***\n")
    assert times.start == 1700000000.5
    assert (times.end, times.user, times.system) == (None, None, None)


def test_parse_reads_a_decimal_comma_and_ignores_other_lines():
    text = "hello\nsiox-start 10\n9m9.9s 9m9.9s\nsiox-end 20\n0m0,001s 0m0,000s\n2m3,500s 0m0,250s\n"
    times = parse_scheduler_stdout(text)
    assert times.user == pytest.approx(123.5)
    assert times.system == pytest.approx(0.25)


def test_parse_counts_the_last_start():
    text = "siox-start 10\nsiox-end 12\n0m0.1s 0m0.0s\n0m1.0s 0m0.0s\nsiox-start 30\n"
    times = parse_scheduler_stdout(text)
    assert (times.start, times.end, times.user) == (30.0, None, None)


def test_parse_of_nothing():
    times = parse_scheduler_stdout("")
    assert (times.start, times.end, times.user, times.system) == (None, None, None, None)


@pytest.mark.parametrize(
    ("process_type", "marked", "expected"),
    [
        ("aiida.calculations:quantumespresso.pw", False, "pw.x"),
        ("aiida.calculations:quantumespresso.pw", True, "pw.x (core hole)"),
        ("aiida.calculations:siox.xspectra", True, "xspectra.x"),
        ("aiida.calculations:core.arithmetic.add", False, "add"),
        (None, False, "other"),
    ],
)
def test_engine_name(process_type, marked, expected):
    assert engine_name(process_type, marked) == expected


def test_the_absorber_is_a_kind_of_another_name():
    oxygen, hole = {"name": "O", "symbols": ["O"]}, {"name": "Geh", "symbols": ["Ge"]}
    assert is_marked({"kinds": [oxygen, hole]})
    assert not is_marked({"kinds": [oxygen]})
    assert not is_marked({})


def test_utilisation_counts_the_overlap_of_every_engine():
    jobs = [
        job(1, "lmp", 0.0, 20.0, 20.0),  # half of it before the first core-hole SCF
        job(2, CORE_HOLE, 10.0, 30.0, 18.0),
        job(3, XSPECTRA, 30.0, 110.0, 80.0),
        job(4, "pp.x + siox-bader", 100.0, 120.0, 10.0),  # half of it after the last xspectra.x
        job(5, "ld1.x", 0.0, 5.0, 5.0),
    ]
    found = utilisation(jobs, 2)
    assert found.wall == pytest.approx(100.0)
    assert found.cpu == pytest.approx(10.0 + 18.0 + 80.0 + 5.0)
    assert found.fraction == pytest.approx(113.0 / 200.0)
    assert found.n_jobs == 4
    assert found.reason == ""
    assert "56% of 2 cores" in str(found) or "57% of 2 cores" in str(found)


def test_utilisation_of_a_cached_run_has_a_reason_instead():
    jobs = [job(1, CORE_HOLE, 0.0, 1.0, 1.0, cached=True), job(2, XSPECTRA, 1.0, 2.0, 1.0, cached=True)]
    found = utilisation([*jobs, job(3, "lmp", 0.0, 9.0, 9.0)], 2)
    assert found.fraction is None
    assert found.reason == "pw.x (core hole) and xspectra.x came from the cache (2 of 3 engine jobs)"


def test_utilisation_without_spectra():
    found = utilisation([job(1, "lmp", 0.0, 9.0, 9.0)], 2)
    assert found.fraction is None
    assert "no core-hole pw.x" in found.reason


def test_utilisation_says_what_it_leaves_out():
    jobs = [
        job(1, CORE_HOLE, 0.0, 10.0, 10.0),
        job(2, XSPECTRA, 10.0, 20.0, 10.0),
        job(3, XSPECTRA, 500.0, 600.0, 1.0, cached=True),
        JobTime(4, "pw.x", 5.0, None, None, None, False),
    ]
    found = utilisation(jobs, 1)
    assert found.fraction == pytest.approx(1.0)
    assert "1 of 4 jobs came from the cache" in found.reason
    assert "1 job printed no times" in found.reason


def test_utilisation_needs_a_core():
    with pytest.raises(ValueError, match="number of cores"):
        utilisation([], 0)


def test_summary_is_sorted_and_shares_sum_up():
    summary = engine_summary([
        job(1, "lmp", 0.0, 9.0, 9.0),
        job(2, XSPECTRA, 0.0, 40.0, 31.0, cached=True),
        JobTime(3, XSPECTRA, 0.0, None, None, None, False),
    ])  # fmt: skip
    assert [entry.engine for entry in summary] == [XSPECTRA, "lmp"]
    assert sum(entry.share for entry in summary) == pytest.approx(1.0)
    assert (summary[0].n_jobs, summary[0].n_cached, summary[0].n_untimed) == (2, 1, 1)
    assert summary[0].wall == pytest.approx(40.0)


def test_times_of_a_study_are_read_from_its_nodes(whole_study):
    jobs = study_times(whole_study)
    n_sites = 5 * 4
    count = {engine: sum(entry.engine == engine for entry in jobs) for engine in {entry.engine for entry in jobs}}
    assert count == {"lmp": 5, "pw.x": 5, "pp.x + siox-bader": 5, CORE_HOLE: n_sites, XSPECTRA: n_sites}
    assert all(entry.cpu is not None and not entry.cached for entry in jobs)
    one = next(entry for entry in jobs if entry.engine == XSPECTRA)
    assert one.wall == pytest.approx(60.0, abs=1e-5)
    assert one.cpu == pytest.approx(54.5, abs=1e-3)
    assert study_times(orm.load_node(one.pk)) == [one]


def test_utilisation_of_a_study(whole_study):
    found = cpu_utilisation(whole_study, 2)
    assert found.fraction == pytest.approx(0.9, abs=0.05)

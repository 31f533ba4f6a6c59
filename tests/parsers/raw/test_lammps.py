"""Text of LAMMPS, complete and cut short."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_siox.parsers.raw.lammps import COLUMNS, parse_dump, parse_log


@pytest.fixture
def log(fixtures_path):
    """Return a function that reads the screen output of a case."""
    return lambda case: (fixtures_path / "lammps" / case / "lammps.out").read_text()


@pytest.fixture
def dump(fixtures_path):
    """Return a function that reads a dump file of a case."""
    return lambda case, name="final.dump": (fixtures_path / "lammps" / case / name).read_text()


@pytest.mark.parametrize(
    ("case", "version"), [("finished", "29 Sep 2021 - Update 2"), ("finished_2025", "22 Jul 2025 - Update 4")]
)
def test_finished(log, case, version):
    parsed = parse_log(log(case))
    assert parsed["version"] == version
    assert parsed["finished"]
    assert parsed["stopped_stage"] is None
    assert parsed["stages"] == ["start", "settle", "melt", "quench", "hold", "relax", "minimise"]
    assert parsed["errors"] == []
    assert not parsed["unstable"]
    assert [item["stage"] for item in parsed["minimisations"]] == ["start", "relax", "minimise"]
    assert parsed["minimisations"][-1]["criterion"] == "force tolerance"
    assert parsed["minimisations"][-1]["final_force"] < 1e-4
    assert parsed["wall_time_s"] == 0
    series = parsed["series"]
    assert {len(values) for values in series.values()} == {len(series["step"])}
    melt = [series["temperature_K"][row] for row, stage in enumerate(series["stage"]) if stage == "melt"]
    hold = [series["temperature_K"][row] for row, stage in enumerate(series["stage"]) if stage == "hold"]
    assert np.mean(melt) > 3000
    assert hold[-1] < 10
    assert abs(series["pressure_bar"][-1]) < 100
    assert parsed["last_step"] == series["step"][-1] >= 8000


@pytest.mark.parametrize(
    ("case", "stage", "stopped", "step"), [("killed", "melt", None, 8000), ("stopped", "melt", "melt", 32000)]
)
def test_interrupted(log, case, stage, stopped, step):
    parsed = parse_log(log(case))
    assert not parsed["finished"]
    assert not parsed["unstable"]
    assert parsed["errors"] == []
    assert parsed["stages"][-1] == stage
    assert parsed["stopped_stage"] == stopped
    assert parsed["last_step"] == step


def test_restarted(log):
    parsed = parse_log(log("restarted"))
    assert parsed["finished"]
    assert parsed["stages"][0] == "melt"
    assert parsed["series"]["step"][0] == 32300


def test_unstable(log):
    parsed = parse_log(log("unstable"))
    assert parsed["unstable"]
    assert "Lost atoms: original 12 current 0" in parsed["errors"][0]


def test_values_that_are_no_numbers_are_unstable(log):
    text = log("finished")
    row = next(line for line in text.splitlines() if line.split()[:1] == ["1000"])
    bad = row.replace(row.split()[2], "nan")
    assert parse_log(text.replace(row, bad))["unstable"]


def test_other_errors_are_not_unstable(log):
    parsed = parse_log(log("error"))
    assert parsed["errors"] == ["ERROR: Potential file is missing an entry (src/MANYBODY/pair_tersoff.cpp:555)"]
    assert not parsed["unstable"]
    assert not parsed["finished"]
    assert "Last command: pair_coeff" in parsed["last_lines"]


def test_a_minimisation_out_of_time_is_no_end(log):
    text = log("finished").replace(
        "Stopping criterion = force tolerance", "Stopping criterion = walltime limit reached"
    )
    assert not parse_log(text)["finished"]


def test_cut_anywhere_never_raises_nor_finishes(log):
    text = log("finished")
    for length in range(0, text.index("SIOX-END") + 8, 37):
        parsed = parse_log(text[:length])
        assert not parsed["finished"]
        assert {len(values) for values in parsed["series"].values()} == {len(parsed["series"]["step"])}


def test_half_a_number_at_the_cut_is_no_value(log):
    text = log("killed")
    rows = len(parse_log(text)["series"]["step"])
    assert len(parse_log(text.rstrip("\n")[:-2])["series"]["step"]) == rows - 1


def test_columns_are_read_by_name(log):
    """Columns in another order give the same series."""
    lines, table = [], False
    for line in log("finished").splitlines():
        words = line.split()
        table = (table or words[:2] == ["Step", "Temp"]) and not line.startswith("Loop time")
        if table and len(words) == len(COLUMNS):
            words[2], words[-1] = words[-1], words[2]
            line = " ".join(words)
        lines.append(line)
    swapped = parse_log("\n".join(lines) + "\n")["series"]
    assert swapped == parse_log(log("finished"))["series"]


def test_final_dump(dump):
    frames = parse_dump(dump("finished"))
    assert len(frames) == 1
    frame = frames[0]
    np.testing.assert_array_equal(frame["types"], [1] * 8 + [2] * 4)
    assert frame["positions"].shape == (12, 3)
    assert (frame["positions"] > -1e-6).all()
    assert (frame["positions"] < frame["lengths"] + 1e-6).all()
    assert np.ptp(frame["lengths"]) < 1e-9


def test_atoms_come_in_the_order_of_their_ids(dump):
    text = dump("finished")
    head, rows = text.split("ITEM: ATOMS id type x y z\n")
    shuffled = head + "ITEM: ATOMS id type x y z\n" + "\n".join(reversed(rows.splitlines())) + "\n"
    np.testing.assert_array_equal(parse_dump(shuffled)[0]["positions"], parse_dump(text)[0]["positions"])


def test_trajectory(dump):
    text = dump("finished", "trajectory.dump")
    frames = parse_dump(text)
    assert [frame["step"] for frame in frames] == list(range(0, 8001, 2000))
    assert len(parse_dump(text[:-30])) == len(frames) - 1


@pytest.mark.parametrize("keep", [0, 20, 200, -10])
def test_a_cut_final_dump_is_refused(dump, keep):
    with pytest.raises(ValueError, match="dump file"):
        parse_dump(dump("finished")[:keep])

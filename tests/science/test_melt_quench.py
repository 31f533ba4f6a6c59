"""The script that LAMMPS gets."""

from __future__ import annotations

import itertools

import pytest
from ase import Atoms

from aiida_siox.science.cells import alpha_quartz, starting_cell
from aiida_siox.science.melt_quench import (
    data_file,
    melt_quench_script,
    species_of,
    stage_plan,
    validate_parameters,
    velocity_seed,
)
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain


def parameters(protocol, **changes):
    return {**MeltQuenchWorkChain.get_protocol_inputs(protocol)["parameters"], **changes}


@pytest.mark.parametrize("protocol", ["fast", "paper"])
@pytest.mark.parametrize("restart", [False, True])
def test_script(protocol, restart, file_regression):
    text = melt_quench_script(["Si", "O"], parameters(protocol), seed=1, restart=restart, walltime_s=5000)
    file_regression.check(text, extension=".in")


def test_stages_of_the_paper():
    stages = stage_plan(parameters("paper"))
    assert [stage.name for stage in stages] == ["settle", "melt", "quench", "hold"]
    assert [stage.ensemble for stage in stages] == ["nvt", "npt", "npt", "npt"]
    assert stages[1].last - stages[1].first == 1_000_000
    assert stages[2].last - stages[2].first == 3_000_000
    assert (stages[2].start_K, stages[2].end_K) == (5000, 1)
    assert all(before.last == after.first for before, after in itertools.pairwise(stages))


def test_fixed_volume_never_touches_the_box():
    text = melt_quench_script(["Si"], parameters("fast"), seed=1)
    assert "npt" not in text
    assert "box/relax" not in text
    assert "pair_coeff * * potential.tersoff Si\n" in text


def test_trajectory_is_opt_in():
    assert "dump trajectory" not in melt_quench_script(["Si"], parameters("fast"), seed=1)
    assert "dump trajectory all custom 2000 " in melt_quench_script(
        ["Si"], parameters("fast", trajectory_interval_ps=1.0), seed=1
    )


def test_velocity_seed():
    seeds = [velocity_seed(seed) for seed in range(100)]
    assert len(set(seeds)) == 100
    assert all(1 <= seed <= 899_999_999 for seed in seeds)
    assert velocity_seed(3) == velocity_seed(3)


def test_data_file():
    atoms = starting_cell("Si8O4", 2.4, 1)
    text = data_file(atoms)
    assert "12 atoms\n2 atom types" in text
    rows = text.split("Atoms # atomic\n\n")[1].splitlines()
    assert [row.split()[0] for row in rows] == [str(number) for number in range(1, 13)]
    assert [row.split()[1] for row in rows] == ["1"] * 8 + ["2"] * 4
    assert species_of(Atoms("Si4")) == ["Si"]
    with pytest.raises(ValueError, match="rectangular"):
        data_file(alpha_quartz())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"timestep_fs": 2.0}, "timestep_fs 2.0.*Take 0.5 fs"),
        ({"melt_time_ps": -1.0}, "`melt_time_ps` must be positive, got -1.0"),
        ({"final_temperature_K": 0.0}, "`final_temperature_K` must be positive"),
        ({"final_temperature_K": 6000.0}, "is not below melt_temperature_K"),
        ({"melt_time_ps": "20"}, "must be a number"),
        ({"pressure_bar": float("inf")}, "must be a number"),
        ({"fixed_volume": 1}, "must be true or false"),
        ({"trajectory_interval_ps": -1.0}, "0 \\(none\\) or positive"),
        ({"melt_time": 20.0}, "unknown melt-quench parameter `melt_time`"),
    ],
)
def test_validation(changes, words):
    with pytest.raises(ValueError, match=words):
        validate_parameters(parameters("fast", **changes))


def test_validation_names_what_is_missing():
    with pytest.raises(ValueError, match=r"missing: .*timestep_fs"):
        validate_parameters({"fixed_volume": True})

"""The script that LAMMPS gets."""

from __future__ import annotations

import itertools

import pytest
from ase import Atoms

from aiida_siox.science.melt_quench import (
    Dynamics,
    data_file,
    melt_quench_script,
    species_of,
    stage_plan,
    velocity_seed,
)
from aiida_siox.science.potentials import Potential
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.potential import resolve_potential
from tests.crystals import alpha_quartz, starting_cell

MUNETOH = Potential.parse(resolve_potential("munetoh"))


def parameters(protocol, **changes):
    values = {**MeltQuenchWorkChain.get_protocol_inputs(protocol)["parameters"], **changes}
    if values["fixed_volume"]:
        values.pop("volume_free_below_K")
    return values


@pytest.mark.parametrize("protocol", ["fast", "shortened", "paper"])
@pytest.mark.parametrize("restart", [False, True])
def test_script(protocol, restart, file_regression):
    text = melt_quench_script(["Si", "O"], MUNETOH, parameters(protocol), seed=1, restart=restart, walltime_s=5000)
    file_regression.check(text, extension=".in")


def test_stages_of_the_paper():
    stages = stage_plan(parameters("paper"))
    assert [stage.name for stage in stages] == ["settle", "melt", "quench", "hold"]
    assert [stage.ensemble for stage in stages] == ["nvt", "npt", "npt", "npt"]
    assert stages[1].last - stages[1].first == 1_000_000
    assert stages[2].last - stages[2].first == 3_000_000
    assert (stages[2].start_K, stages[2].end_K) == (5000, 1)
    assert all(before.last == after.first for before, after in itertools.pairwise(stages))


def test_volume_is_set_free_on_the_way():
    """A ramp at fixed volume to 3000 K, then the same slope with the volume free."""
    values = parameters("fast", fixed_volume=False, volume_free_below_K=3000.0)
    stages = {stage.name: stage for stage in stage_plan(values)}
    assert list(stages) == ["settle", "melt", "cool", "quench", "hold"]
    assert [stage.ensemble for stage in stages.values()] == ["nvt", "nvt", "nvt", "npt", "npt"]
    cool, quench = stages["cool"], stages["quench"]
    assert (cool.start_K, cool.end_K, quench.start_K, quench.end_K) == (5000, 3000, 3000, 1)
    slopes = [(stage.end_K - stage.start_K) / (stage.last - stage.first) for stage in (cool, quench)]
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-4)
    assert cool.last - cool.first + quench.last - quench.first == pytest.approx(200_000, abs=1)


@pytest.mark.parametrize("free_below", [5000.0, 9000.0])
def test_volume_that_is_free_from_the_melt_on(free_below):
    values = parameters("fast", fixed_volume=False, volume_free_below_K=free_below)
    assert [(stage.name, stage.ensemble) for stage in stage_plan(values)] == [
        *(("settle", "nvt"), ("melt", "npt"), ("quench", "npt"), ("hold", "npt"))
    ]


def test_fixed_volume_never_touches_the_box():
    text = melt_quench_script(["Si"], MUNETOH, parameters("fast"), seed=1)
    assert "npt" not in text
    assert "box/relax" not in text
    assert "pair_coeff * * SiO.tersoff Si\n" in text


def test_trajectory_is_opt_in():
    assert "dump trajectory" not in melt_quench_script(["Si"], MUNETOH, parameters("fast"), seed=1)
    assert "dump trajectory all custom 2000 " in melt_quench_script(
        ["Si"], MUNETOH, parameters("fast", trajectory_interval_ps=1.0), seed=1
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
        ({"timestep_fs": 2.0}, "`timestep_fs` must be above 0 up to 1 fs .at 5000 K .*, got 2.0"),
        ({"melt_time_ps": -1.0}, "`melt_time_ps` must be a number above 0, got -1.0"),
        ({"final_temperature_K": 0.0}, "`final_temperature_K` must be a number above 0"),
        ({"final_temperature_K": 6000.0}, "is not below melt_temperature_K"),
        ({"melt_time_ps": "20"}, "must be a number"),
        ({"pressure_bar": float("inf")}, "must be a number"),
        ({"fixed_volume": 1}, "must be true or false"),
        ({"fixed_volume": False, "volume_free_below_K": -1.0}, "`volume_free_below_K` must be a temperature"),
        ({"fixed_volume": False, "volume_free_below_K": 0.5}, "is below final_temperature_K"),
        ({"trajectory_interval_ps": -1.0}, "a time in ps, 0 for none, got -1.0"),
        ({"melt_time": 20.0}, "unknown key `melt_time` .*: did you mean `melt_time_ps`"),
    ],
)
def test_validation(changes, words):
    with pytest.raises(ValueError, match=words):
        Dynamics.parse(parameters("fast", **changes))


def test_a_fixed_volume_is_never_free():
    with pytest.raises(ValueError, match=r"`volume_free_below_K` is 3000\.0 although `fixed_volume` is true"):
        Dynamics.parse({**parameters("fast"), "volume_free_below_K": 3000.0})
    values = parameters("fast", fixed_volume=False)
    del values["volume_free_below_K"]
    with pytest.raises(ValueError, match="`volume_free_below_K` is missing"):
        Dynamics.parse(values)


def test_charges_stand_in_the_data_file():
    atoms = starting_cell("Si8O4", 2.4, 1)
    rows = data_file(atoms, {"Si": 2.4, "O": -1.2}).split("Atoms # charge\n\n")[1].splitlines()
    assert [row.split()[2] for row in rows] == ["2.4"] * 8 + ["-1.2"] * 4
    assert {len(row.split()) for row in rows} == {6}


def test_validation_names_what_is_missing():
    with pytest.raises(ValueError, match=r"the input lacks `timestep_fs`, .*: take them from a protocol"):
        Dynamics.parse({"fixed_volume": True})

"""MeltQuenchWorkChain on the real LAMMPS: whole, stopped at its time limit, and killed."""

from __future__ import annotations

import shutil
import stat

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching

from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.structures import validate_structure
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain

pytestmark = pytest.mark.engine

SHORT = {
    "parameters": {
        "settle_time_ps": 0.5,
        "melt_time_ps": 2.0,
        "quench_time_ps": 5.0,
        "hold_time_ps": 0.5,
        "restart_interval_ps": 1.0,
        "thermo_interval_ps": 0.1,
    }
}
LONGER = {"parameters": {**SHORT["parameters"], "melt_time_ps": 40.0, "quench_time_ps": 60.0}}


def jobs_of(node):
    """Return the jobs of a WorkChain in their order."""
    return sorted((child for child in node.called if isinstance(child, orm.CalcJobNode)), key=lambda child: child.pk)


def check_result(outputs, node, formula):
    """Check what every finished melt-quench must give."""
    assert node.is_finished_ok, node.exit_message
    structure = outputs["structure"]
    assert structure.is_stored
    assert {kind.name for kind in structure.kinds} <= {"Si", "O"}
    atoms = structure.get_ase()
    validate_structure(atoms)
    assert atoms.get_chemical_symbols() == outputs["starting_structure"].get_ase().get_chemical_symbols()
    quality = outputs["quality"].get_dict()
    assert quality["formula"] == formula
    assert quality["n_oxygen_bonds"] == 0
    assert "not_relaxed" not in quality["flags"]
    assert sum(quality["coordination_oxygen"].values()) == quality["n_silicon"]
    assert -7 < quality["energy_per_atom_eV"] < -3.5
    thermo = outputs["thermo"]
    stages = thermo.base.attributes.get("stages")
    stage = thermo.get_array("stage")
    step, temperature = thermo.get_array("step"), thermo.get_array("temperature_K")
    melt, hold = (stage == stages.index(name) for name in ("melt", "hold"))
    assert 3000 < temperature[melt].mean() < 7000
    assert temperature[hold][-1] < 50
    assert (np.diff(thermo.get_array("time_ps")) >= 0).all()
    dynamic = step[stage > 0]
    assert (np.diff(dynamic) >= 0).all()


def test_fixed_volume(engine_code):
    builder = MeltQuenchWorkChain.get_builder_from_protocol(engine_code("lmp"), "Si8O4", 1, overrides=SHORT)
    outputs, node = run_get_node(builder)
    check_result(outputs, node, "Si8O4")
    assert outputs["quality"]["density_g_cm3"] == pytest.approx(builder.starting_cell["density_g_cm3"], rel=1e-6)
    job = jobs_of(node)[0]
    assert "input.in" in job.base.repository.list_object_names()
    assert sorted(job.outputs.retrieved.list_object_names()) == [
        "_scheduler-stderr.txt",
        "_scheduler-stdout.txt",
        "final.dump",
        "lammps.out",
    ]
    # from the cell back to formula and seed
    ancestors = orm.QueryBuilder().append(orm.StructureData, filters={"id": outputs["structure"].pk}, tag="cell")
    ancestors.append(orm.Str, with_descendants="cell", filters={"attributes.value": "Si8O4"})
    assert ancestors.count() == 1
    assert outputs["starting_structure"].creator.inputs.version.value == SCIENCE_VERSION

    # the same inputs give the same cell, from LAMMPS itself and from the cache
    builder = MeltQuenchWorkChain.get_builder_from_protocol(engine_code("lmp"), "Si8O4", 1, overrides=SHORT)
    again, _ = run_get_node(builder)
    np.testing.assert_array_equal(again["structure"].get_ase().positions, outputs["structure"].get_ase().positions)
    assert not again["structure"].creator.base.caching.is_created_from_cache
    with enable_caching():
        cached, node = run_get_node(builder)
    assert node.is_finished_ok
    assert all(child.base.caching.is_created_from_cache for child in node.called)
    assert cached["quality"].get_dict() == outputs["quality"].get_dict()


def test_free_volume_silicon_with_trajectory(engine_code):
    overrides = {"parameters": {**SHORT["parameters"], "fixed_volume": False, "trajectory_interval_ps": 1.0}}
    builder = MeltQuenchWorkChain.get_builder_from_protocol(engine_code("lmp"), "Si14", 2, overrides=overrides)
    outputs, node = run_get_node(builder)
    check_result(outputs, node, "Si14")
    assert [kind.name for kind in outputs["structure"].kinds] == ["Si"]
    assert abs(outputs["quality"]["pressure_bar"]) < 1000
    assert outputs["trajectories"]["iteration_01"].numsteps == 9


FREE = {"fixed_volume": False, "volume_free_below_K": 3000.0}


def test_same_seed_same_cell_to_the_last_digit(engine_code):
    """Positions, box and energy, where the volume is set free on the way."""
    overrides = {"parameters": {**SHORT["parameters"], **FREE}}
    first, second, other = (
        run_get_node(
            MeltQuenchWorkChain.get_builder_from_protocol(engine_code("lmp"), "Si8O4", seed, overrides=overrides)
        )[0]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first["structure"].get_ase().positions, second["structure"].get_ase().positions)
    np.testing.assert_array_equal(first["structure"].cell, second["structure"].cell)
    assert first["quality"].get_dict() == second["quality"].get_dict()
    assert other["structure"].cell != first["structure"].cell
    stages = first["thermo"].base.attributes.get("stages")
    assert stages == ["start", "settle", "melt", "cool", "quench", "hold", "relax", "minimise"]
    stage, density = first["thermo"].get_array("stage"), first["thermo"].get_array("density_g_cm3")
    assert np.ptp(density[np.isin(stage, [stages.index("melt"), stages.index("cool")])]) < 1e-6
    assert np.ptp(density[stage == stages.index("quench")]) > 1e-3


@pytest.mark.parametrize("volume", [{}, FREE], ids=["fixed", "free"])
def test_goes_on_after_its_time_limit(engine_code, volume):
    """LAMMPS stops itself before the time limit of three seconds; the WorkChain reaches the end."""
    overrides = {"parameters": {**LONGER["parameters"], **volume}}
    builder = MeltQuenchWorkChain.get_builder_from_protocol(
        engine_code("lmp"), "Si8O4", 1, overrides=overrides, options={"max_wallclock_seconds": 3}
    )
    outputs, node = run_get_node(builder)
    check_result(outputs, node, "Si8O4")
    jobs = jobs_of(node)
    assert len(jobs) > 1
    assert [job.exit_status for job in jobs] == [400] * (len(jobs) - 1) + [0]
    for job in jobs[1:]:
        assert job.inputs.parent_folder.creator.pk == jobs[jobs.index(job) - 1].pk
        assert "All restart file global fix info was re-assigned" in job.outputs.retrieved.get_object_content(
            "lammps.out"
        )
    assert jobs[-1].outputs.results["restarted"]
    temperature = outputs["thermo"].get_array("temperature_K")
    quench = outputs["thermo"].get_array("stage") == outputs["thermo"].base.attributes.get("stages").index("quench")
    time = outputs["thermo"].get_array("time_ps")[quench]
    # the ramp goes on where it was: a straight line from 5000 K to 1 K, within the fluctuations of 12 atoms
    slope = np.polyfit(time, temperature[quench], 1)[0]
    # with free volume the stage has three fifths of the ramp, and the same fluctuations
    assert slope == pytest.approx(-4999 / 60, rel=0.25 if volume else 0.15)


@pytest.fixture
def deadly_code(computer, tmp_path):
    """Return a code that kills LAMMPS after two seconds at its first call and cuts its last restart file."""
    script = tmp_path / "lmp"
    script.write_text(
        f"""#!/bin/bash
if [ ! -e {tmp_path}/killed ]; then
    touch {tmp_path}/killed
    timeout -s KILL 2 {shutil.which("lmp")} "$@"
    last=$(ls -v melt_quench.*.restart | tail -n 1)
    head -c 1000 "$last" > cut && mv cut "$last"
    exit 137
fi
exec {shutil.which("lmp")} "$@"
"""
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return orm.InstalledCode(computer=computer, label="deadly", filepath_executable=str(script), with_mpi=False).store()


def test_goes_on_after_a_kill_in_the_middle_of_a_restart_file(deadly_code):
    """The last restart file is cut: the WorkChain takes the one before."""
    builder = MeltQuenchWorkChain.get_builder_from_protocol(deadly_code, "Si8O4", 1, overrides=LONGER)
    outputs, node = run_get_node(builder)
    check_result(outputs, node, "Si8O4")
    jobs = jobs_of(node)
    assert [job.exit_status for job in jobs] == [400, 420, 0]
    first, second, third = jobs
    assert "structure" not in first.outputs
    assert third.inputs.parent_folder.uuid == first.outputs.remote_folder.uuid
    steps = [int(job.inputs.restart_file.value.split(".")[1]) for job in (second, third)]
    assert steps[0] - steps[1] == 2000
    assert third.outputs.results["first_step"] == steps[1]

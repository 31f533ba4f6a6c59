"""XspectraCalculation on the real pw.x and xspectra.x."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida_pseudo.data.pseudo.upf import UpfData
from aiida_quantumespresso.calculations.pw import PwCalculation

from aiida_siox.calculations.xspectra import XspectraCalculation
from aiida_siox.parsers.raw.xspectra import parse_spectrum
from aiida_siox.science.lanczos import LanczosCoefficients, spectrum_from_coefficients

pytestmark = pytest.mark.engine

BOHR = 0.529177210903
REFERENCE_ZERO_EV = 6.4758
"""Energy zero printed in the reference output of Quantum ESPRESSO 5.2."""

PARAMETERS = {
    "input_xspectra": {"xniter": 2000, "xcheck_conv": 50, "xerror": 0.001, "xcoordcrys": True},
    "plot": {
        "xnepoint": 1000,
        "xgamma": 0.8,
        "xemin": -10.0,
        "xemax": 100.0,
        "terminator": True,
        "cut_occ_states": True,
    },
    "pseudos": {"r_paw": 2.4},
    "cut_occ": {"cut_desmooth": 0.12},
}
"""Those of the example, but for the smoothing (0.1 eV there, less than its energy step of 0.11 eV)."""


def text(path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


@pytest.fixture(scope="module")
def example(fixtures_path):
    """Return the folder of Quantum ESPRESSO's SiO2 example."""
    return fixtures_path / "xspectra" / "sio2"


@pytest.fixture(scope="module")
def quartz():
    """Return the 9-atom quartz of the example, the first Si being the absorber."""
    a = 9.28630318961333 * BOHR
    cell = np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, 1.1001 * a]])
    positions = [
        ("Sih", 0.47, 0.0, 0.0),
        ("Si", 0.0, 0.47, 2 / 3),
        ("Si", -0.47, -0.47, 1 / 3),
        ("O", 0.4131, 0.2677, 0.1189),
        ("O", 0.2677, 0.4131, 0.1189 + 0.428866666666666),
        ("O", -0.2677, 0.1454, 0.78556666666666666),
        ("O", -0.4131, -0.1454, 0.21443333333333333),
        ("O", -0.1454, -0.4131, 0.45223333333333333),
        ("O", 0.1454, -0.2677, -0.1189),
    ]
    structure = orm.StructureData(cell=cell.tolist())
    for kind, *fractional in positions:
        structure.append_atom(position=(np.array(fractional) @ cell).tolist(), symbols=kind[:2].rstrip("h"), name=kind)
    return structure.store()


@pytest.fixture(scope="module")
def mesh():
    """Return a factory of stored meshes."""

    def factory(*divisions: int) -> orm.KpointsData:
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh(list(divisions))
        return kpoints.store()

    return factory


@pytest.fixture(scope="module")
def scf(engine_code, quartz, mesh, example):
    """Return a factory of finished pw.x runs of the example."""

    def factory(divisions=(2, 2, 2), **settings):
        pseudos = {
            kind: UpfData(io.BytesIO(text(example / f"{kind[:2].rstrip('h')}_PBE_USPP.UPF.gz").encode()), filename=f)
            for kind, f in (("Si", "Si.UPF"), ("Sih", "Si.UPF"), ("O", "O.UPF"))
        }
        inputs = {
            "code": engine_code("pw"),
            "structure": quartz,
            "kpoints": mesh(*divisions),
            "pseudos": pseudos,
            "parameters": orm.Dict(
                {
                    "CONTROL": {"calculation": "scf"},
                    "SYSTEM": {
                        "ecutwfc": 20.0,
                        "ecutrho": 150.0,
                        "nbnd": 30,
                        "occupations": "smearing",
                        "smearing": "mp",
                        "degauss": 0.03,
                    },
                    "ELECTRONS": {"conv_thr": 1e-9, "mixing_beta": 0.3},
                }
            ),
            "metadata": {"options": {"resources": {"num_machines": 1}, "withmpi": False}},
        }
        if settings:
            inputs["settings"] = orm.Dict(settings)
        _, node = run_get_node(PwCalculation, **inputs)
        assert node.is_finished_ok, (node.exit_status, node.exit_message)
        return node

    return factory


@pytest.fixture(scope="module")
def ground_state(scf):
    """Return one finished pw.x run, shared by the tests that leave its scratch alone."""
    return scf()


@pytest.fixture(scope="module")
def inputs(engine_code, quartz, mesh, example):
    """Return a factory of inputs of XspectraCalculation: a cheap run unless said otherwise."""

    def factory(parent, kpoints=(1, 1, 1), polarisations=((0.0, 0.0, 1.0),), core=None, **changes):
        core = text(example / "Si.wfc.gz") if core is None else core
        parameters = {name: content | changes.get(name, {}) for name, content in PARAMETERS.items()}
        return {
            "code": engine_code("xspectra"),
            "parent_folder": parent,
            "structure": quartz,
            "absorber_kind": orm.Str("Sih"),
            "core_wavefunction": orm.SinglefileData(io.BytesIO(core.encode()), filename="Si.wfc"),
            "kpoints": mesh(*kpoints),
            "parameters": orm.Dict(parameters),
            "polarisations": orm.List([list(vector) for vector in polarisations]),
            "metadata": {"options": {"resources": {"num_machines": 1}, "withmpi": False}},
        }

    return factory


def test_example_of_quantum_espresso(ground_state, inputs, example):
    """Both polarisations agree with the reference of Quantum ESPRESSO 5.2 on the eigenvalue axis."""
    _, node = run_get_node(
        XspectraCalculation,
        **inputs(ground_state.outputs.remote_folder, (3, 3, 3), ((0.0, 0.0, 1.0), (1.0, 1.0, 0.0))),
    )
    assert node.is_finished_ok, (node.exit_status, node.exit_message)
    result = node.outputs.output_parameters.get_dict()
    energy, sigma = (node.outputs.curves.get_array(name) for name in ("energy_eV", "sigma"))
    assert sigma.shape == (2, 1000)
    for index, name in enumerate(("c", "plane")):
        reference_energy, reference = parse_spectrum(text(example / f"SiO2.xspectra_dip_{name}.dat.gz"))
        axis = reference_energy + REFERENCE_ZERO_EV
        common = (axis > energy[0] + result["energy_zero_eV"]) & (axis < energy[-1] + result["energy_zero_eV"])
        ours = np.interp(axis[common], energy + result["energy_zero_eV"], sigma[index])
        difference = np.abs(ours - reference[common]).max() / reference.max()
        print(f"{name}: largest difference {difference:.2e} of the maximum")
        assert difference < 2e-3
    assert result["energy_zero_eV"] == pytest.approx(2.535, abs=0.005)
    assert result["n_k_points"] == 27
    assert result["converged"] == [True, True]
    assert max(result["error"]) < 1e-3
    assert max(result["replot_deviation"]) < 1e-5
    assert result["cpu_s"] > 0
    lanczos = node.outputs.lanczos
    assert lanczos.get_array("a").shape == lanczos.get_array("b").shape
    assert lanczos.get_array("a").shape[:2] == (2, 27)
    assert lanczos.get_array("n_iterations").max() == max(result["n_iterations"])
    np.testing.assert_allclose(lanczos.get_array("weights"), 2 / 27)
    # Nothing bulky is kept: neither save files nor anything but outputs and curves.
    kept = node.outputs.retrieved.base.repository.list_object_names()
    assert not [name for name in kept if name.endswith(".sav")]


def test_broadening_again_agrees_with_the_engine(ground_state, inputs):
    """Coefficients at a small half width, plotted at a larger one, give what the engine gives there."""
    parent = ground_state.outputs.remote_folder
    _, narrow = run_get_node(XspectraCalculation, **inputs(parent))
    _, wide = run_get_node(XspectraCalculation, **inputs(parent, plot={"xgamma": 1.2}))
    lanczos = narrow.outputs.lanczos
    coefficients = LanczosCoefficients.from_arrays(
        {name: lanczos.get_array(name) for name in lanczos.get_arraynames()}, lanczos.base.attributes.all, 0
    )
    energy, sigma = (wide.outputs.curves.get_array(name) for name in ("energy_eV", "sigma"))
    again = spectrum_from_coefficients(
        coefficients, energy, lanczos.base.attributes.get("energy_zero_eV"), gamma_eV=1.2, smooth_eV=0.12
    )
    # The chains end where each run found itself converged, to 1e-3.
    assert np.abs(again - sigma[0]).max() < 2e-3 * sigma.max()
    unchanged = narrow.outputs.curves.get_array("sigma")[0]
    assert np.abs(again - unchanged).max() > 2e-2 * sigma.max()


def test_exhausted_lanczos(ground_state, inputs):
    """xspectra.x ends with exit status 0 and END JOB; the parser does not believe it."""
    _, node = run_get_node(
        XspectraCalculation, **inputs(ground_state.outputs.remote_folder, input_xspectra={"xniter": 60})
    )
    assert node.exit_status == XspectraCalculation.exit_codes.ERROR_LANCZOS_NOT_CONVERGED.status
    assert "60 iterations at 1 k points" in node.exit_message
    assert "curves" not in node.outputs
    assert not node.base.caching.is_valid_cache


def test_core_wavefunction_too_short(ground_state, inputs, example):
    core = "\n".join(text(example / "Si.wfc.gz").splitlines()[:500]) + "\n"
    _, node = run_get_node(XspectraCalculation, **inputs(ground_state.outputs.remote_folder, core=core))
    assert node.exit_status == XspectraCalculation.exit_codes.ERROR_CORE_WAVEFUNCTION.status
    assert "End of file" in node.exit_message


def test_scratch_cleaned(scf, inputs):
    """The scratch was removed, and the provenance does not know: recoverable by running pw.x again."""
    parent = scf((1, 1, 1)).outputs.remote_folder
    parent._clean()
    _, node = run_get_node(XspectraCalculation, **inputs(parent))
    assert node.exit_status == XspectraCalculation.exit_codes.ERROR_PARENT_SCRATCH_MISSING.status
    assert "data-file-schema.xml not found" in node.exit_message
    assert not node.base.caching.is_valid_cache


def test_gamma_only_parent(scf, inputs, computer):
    """Refused at once when the provenance tells, and by the job itself when it does not."""
    parent = scf((1, 1, 1), GAMMA_ONLY=True).outputs.remote_folder
    with pytest.raises(ValueError, match="gamma_only"):
        run_get_node(XspectraCalculation, **inputs(parent))
    orphan = orm.RemoteData(remote_path=parent.get_remote_path(), computer=computer).store()
    _, node = run_get_node(XspectraCalculation, **inputs(orphan))
    assert node.exit_status == XspectraCalculation.exit_codes.ERROR_PARENT_GAMMA_ONLY.status

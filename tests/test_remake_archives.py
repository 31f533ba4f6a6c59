"""Archives remade from stored coefficients: new nodes in the place of the old ones, and what is refused."""

import importlib.util
import pathlib
import sys

import click
import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.calculations.spectra import assemble_spectrum
from aiida_siox.workflows.settings import validate_settings
from tests.calculations.test_spectra import assemble_inputs

PATH = pathlib.Path(__file__).parent.parent / "tools" / "remake_archives.py"


@pytest.fixture(scope="module")
def tool():
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("remake_archives", PATH)
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


def old_settings(**changes):
    """Return settings as they were before materials and windows of materials."""
    return {
        "protocol": "fast",
        "changed": ["scf.kpoints_mesh"],
        "treatment": "fch",
        "scf": {"ecutrho_Ry": 400.0, "kpoints_mesh": [1, 1, 1], "nspin": 1},
        "xspectra": {"energy_min_eV": -25.0, "energy_max_eV": 60.0, "n_points": 851, "r_paw_bohr": 2.7},
        "coordination": {"cutoff_si_o_angstrom": 2.0, "cutoff_si_si_angstrom": 2.8},
        "grid": {"energy_min_eV": 1838.0, "energy_max_eV": 1898.0, "step_eV": 0.1},
        **changes,
    }


def test_old_settings_become_new_ones(aiida_profile, tool):
    new = tool.renew_settings.__wrapped__(orm.Dict(old_settings()), orm.Int(5))
    assert validate_settings(new) is None
    assert (new["scf"]["kpoints_mesh"], new["scf"]["ecutrho_Ry"], new["xspectra"]["r_paw_bohr"]) == (
        [1, 1, 1],
        400,
        2.7,
    )
    assert new["changed"] == ["scf.ecutrho_Ry", "scf.kpoints_mesh", "xspectra.r_paw_bohr"]
    other = old_settings(coordination={"cutoff_si_o_angstrom": 2.2})
    with pytest.raises(ValueError, match=r"cutoff_si_o_angstrom was 2\.2, the bond Si-O of siox is 2\.0"):
        tool.renew_settings.__wrapped__(orm.Dict(other), orm.Int(5))


@pytest.fixture
def called(aiida_profile):
    """Return a call of `assemble_spectrum`, whose result a WorkChain returned, after a job with its levels."""
    inputs = assemble_inputs()
    inputs["settings"] = orm.Dict(old_settings())
    job = orm.CalcFunctionNode().store()  # stands for pw.x: of a job more links would be looked at
    for label, node in (("output_parameters", inputs["hole_parameters"]), ("output_band", inputs["bands"])):
        node.base.links.add_incoming(job, LinkType.CREATE, label)
        node.store()
    settings = inputs["settings"]
    inputs["settings"] = orm.Dict({**settings.get_dict(), "material": "siox"})
    spectrum, node = assemble_spectrum.run_get_node(**inputs)
    chain = orm.WorkChainNode().store()
    spectrum.base.links.add_incoming(chain, LinkType.RETURN, "spectrum")
    chain.seal()
    return node, spectrum, chain


def test_new_nodes_take_the_place_of_the_old_ones(tool, called):
    node, spectrum, chain = called
    spectrum.label = "of quartz"
    remake, gone = tool.Remake(), [node.pk, spectrum.pk]
    remake.run([node])
    new = remake.new[spectrum.pk]
    assert new.energies == spectrum.energies
    np.testing.assert_array_equal(new.mean, spectrum.mean)
    assert (new.label, new.base.extras.get("siox_remade_from")) == ("of quartz", spectrum.uuid)
    assert validate_settings(new.creator.inputs.settings) is None
    remake.replace()
    assert orm.load_node(chain.pk).outputs.spectrum.uuid == new.uuid
    assert orm.QueryBuilder().append(orm.Node, filters={"id": {"in": gone}}).count() == 0


def test_without_coefficients_or_levels(tool, called):
    node, _, _ = called
    for label, message in (("lanczos", "has no Lanczos coefficients"), ("hole_parameters", "has no levels")):
        bare = orm.CalcFunctionNode()
        bare.set_process_label("assemble_spectrum")
        for link in node.base.links.get_incoming(link_type=LinkType.INPUT_CALC).all():
            empty = {"lanczos": orm.ArrayData(np.zeros(1)), "hole_parameters": orm.Dict({})}
            stand_in = empty[label].store() if link.link_label == label else link.node
            bare.base.links.add_incoming(stand_in, LinkType.INPUT_CALC, link.link_label)
        with pytest.raises(click.ClickException, match=message):
            tool.Remake().run([bare.store()])

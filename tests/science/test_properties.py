"""Properties of sites against crystals whose neighbours and angles are known."""

import numpy as np
import pytest
from ase import Atoms

from aiida_siox.materials import load_material
from aiida_siox.science.cells import reference_crystal
from aiida_siox.science.properties import PROPERTIES, Cell, SiteProperty, compute_properties, property_axes
from aiida_siox.science.quantity import Kind
from aiida_siox.science.rdf import site_rdf

MATERIAL = load_material("siox")
SETTINGS = {"rdf": {"r_max_angstrom": 5.0, "n_bins": 256, "sigma_angstrom": 0.15, "pair": "total"}}


def properties_of(atoms, settings=SETTINGS, electrons=None, **holes):
    """Return the properties of all silicon sites."""
    electrons = np.full(len(atoms), 0.83) if electrons is None else electrons
    cell = Cell(atoms, MATERIAL, settings, electrons, **holes)
    return compute_properties(cell, np.flatnonzero(atoms.numbers == 14))


@pytest.mark.parametrize("supercell", [[1, 1, 1], [2, 1, 1]])
def test_quartz(supercell):
    """Si–O–Si of α-quartz: 143.7° (cell of the regression values); every angle is that of one kind of oxygen."""
    found = properties_of(reference_crystal(MATERIAL, "quartz", supercell))
    n = 3 * int(np.prod(supercell))
    np.testing.assert_allclose(found["bridge_angle"], np.full((n, 1), 143.7), atol=0.1)
    np.testing.assert_array_equal(found["coordination"], [[0, 4]] * n)
    np.testing.assert_array_equal(found["oxidation"], [[0, 0, 0, 0, 1]] * n)
    np.testing.assert_allclose(found["valence"], np.full((n, 1), 3.17))


def test_silicon_has_no_bridge():
    found = properties_of(reference_crystal(MATERIAL, "silicon", [1, 1, 1]))
    assert np.isnan(found["bridge_angle"]).all()
    np.testing.assert_array_equal(found["coordination"], [[4, 0]] * 8)


def test_bridges_of_one_site():
    """Two bridges of 180° and 90° and a terminal oxygen, which is none; the bridge across the cell counts."""
    positions = [[0, 5, 5], [1.6, 5, 5], [3.2, 5, 5], [0, 6.6, 5], [-1.6, 6.6, 5], [0, 5, 3.4]]
    atoms = Atoms("SiOSiOSiO", cell=[6.4, 20, 20], pbc=True, positions=positions)
    found = properties_of(atoms)["bridge_angle"][:, 0]
    np.testing.assert_allclose(found, [135.0, 180.0, 90.0])


@pytest.mark.parametrize("pair", ["total", "Si-O", "Si-Si"])
def test_rdf_is_that_of_the_search_for_each_site(pair):
    atoms = reference_crystal(MATERIAL, "quartz", [1, 1, 1])
    settings = {"rdf": {**SETTINGS["rdf"], "pair": pair}}
    sites = np.flatnonzero(atoms.numbers == 14)
    r, expected = site_rdf(atoms, sites, r_max=5.0, n_bins=256, sigma=0.15, pair=pair)
    np.testing.assert_allclose(properties_of(atoms, settings)["rdf"], expected, atol=1e-12)
    np.testing.assert_array_equal(property_axes(MATERIAL, settings)["rdf"].values, r)


def test_screening_charge_is_that_of_the_own_hole():
    atoms = reference_crystal(MATERIAL, "silicon", [1, 1, 1])
    holes = {0: np.linspace(4.0, 4.7, 8), 3: np.linspace(4.0, 4.7, 8)}
    settings = {**SETTINGS, "screening_charge": True}
    found = properties_of(atoms, settings, np.full(8, 3.9), hole_electrons=holes)["screening_charge"][:, 0]
    np.testing.assert_allclose(found, [0.1, np.nan, np.nan, 0.4] + [np.nan] * 4, atol=1e-12)
    assert "screening_charge" not in properties_of(atoms)


@pytest.mark.parametrize("values", [np.zeros(3), np.full((3, 1), np.inf)])
def test_a_property_that_gives_something_else(monkeypatch, values):
    entry = SiteProperty("odd", "odd", "o", "1", Kind.SCALAR, lambda cell, sites: values)
    monkeypatch.setitem(PROPERTIES._items, "odd", entry)
    with pytest.raises(ValueError, match=r"the property `odd` must give finite numbers of shape \(3, 1\)"):
        properties_of(reference_crystal(MATERIAL, "quartz", [1, 1, 1]))

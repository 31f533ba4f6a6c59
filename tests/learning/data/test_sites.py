"""Sites as plain arrays: checks, properties, what there is to learn, averages, files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aiida_siox.learning.data.sites import Configuration, SiteSet
from aiida_siox.science.quantity import Axis
from tests.learning.toy import QUANTITIES, toy_sites


def test_examples_are_the_sites_that_have_the_property():
    sites = toy_sites()
    whole, part = sites.examples("valence"), sites.examples("bridge_angle")
    assert whole.targets.shape == (60, 1)
    assert whole.rows.tolist() == list(range(60))
    has = sites.properties["oxidation"][:, 0] == 0
    assert 0 < has.sum() < 60
    assert part.rows.tolist() == np.flatnonzero(has).tolist()
    np.testing.assert_array_equal(part.spectra, sites.spectra[has])
    stored = part.stored(part.targets, float)
    assert stored.shape == (60,)
    np.testing.assert_array_equal(np.isfinite(stored), has)
    np.testing.assert_array_equal(stored[has], sites.properties["bridge_angle"][has, 0])
    assert np.isnan(part.spread(np.zeros((2, len(part))))[:, ~has]).all()


def test_a_configuration_that_lacks_the_property_somewhere_is_not_averaged():
    sites = toy_sites(n=12, n_configurations=3)
    values = {name: array.copy() for name, array in sites.properties.items()}
    values["bridge_angle"][:] = 150.0
    values["bridge_angle"][4] = np.nan  # of configuration 1
    averages = toy_sites(12, 3, properties=values).examples("bridge_angle").averaged()
    assert averages.configuration.tolist() == [0, 2]
    assert averages.group.tolist() == ["cell0", "cell2"]


def test_unknown_and_empty_properties():
    sites = toy_sites()
    with pytest.raises(ValueError, match="no property `valense`: did you mean `valence`"):
        sites.examples("valense")
    nothing = {**sites.properties, "bridge_angle": np.full((60, 1), np.nan)}
    with pytest.raises(ValueError, match="no site of the data set has a value of `bridge_angle`"):
        toy_sites(properties=nothing).examples("bridge_angle")


def test_what_a_property_is_comes_from_the_registry():
    """And what the registry does not know is left out."""
    sites = toy_sites()
    properties = {"valence": sites.properties["valence"], "rdf": sites.properties["rdf"], "colour": np.ones((60, 1))}
    axes = {"rdf": sites.axes["rdf"], "valence": None}
    found = toy_sites(properties=properties, quantities=None, axes=axes, attributes={"sigma_angstrom": 0.15})
    assert list(found.quantities) == ["valence", "rdf"]
    assert found.quantity("rdf").note == "σ 0.15 Å"
    assert (found.n_ligands == -1).all()
    assert sites.n_ligands.tolist() == sites.properties["oxidation"].argmax(axis=1).tolist()


def test_averages_are_means_of_complete_configurations():
    cells = [Configuration(f"Si{i}O8", 1.0, f"cell{i}", complete=i != 1) for i in range(3)]
    sites = toy_sites(n=12, n_configurations=3, configurations=cells)
    averages = sites.examples("valence").averaged()
    assert averages.configuration.tolist() == [0, 2]
    np.testing.assert_allclose(averages.spectra[1], sites.spectra[2::3].mean(axis=0))
    np.testing.assert_allclose(averages.targets[1], sites.values("valence")[2::3].mean())
    np.testing.assert_array_equal(sites.mean_spectra()[0], averages.spectra)


def test_equal_configurations_share_a_group():
    """The same cell from another seed, its sites in another order, is no new configuration; a similar one is."""
    sites = toy_sites(n=24, n_configurations=6)
    rows = [np.flatnonzero(sites.configuration == i) for i in range(6)]
    rdf, rng = sites.properties["rdf"].copy(), np.random.default_rng(1)
    rdf[rows[3]] = rdf[rows[0]][::-1] + rng.normal(0, 1e-4, (4, rdf.shape[1]))  # both are Si8O8
    rdf[rows[4]] = rdf[rows[1]]
    rdf[rows[4][2]] *= 1.1  # one site of four differs
    rdf[rows[5]] = rdf[rows[0]]  # of another formula
    same = toy_sites(24, 6, properties={**sites.properties, "rdf": rdf})
    assert same.groups == ("cell0", "cell1", "cell2", "cell0", "cell4", "cell5")
    assert same.n_groups == 5
    three = np.ones(24, dtype=bool)
    three[rows[3][0]] = False  # a site of it failed
    with_failure = toy_sites(
        24,
        6,
        spectra=sites.spectra[three],
        properties={name: array[three] for name, array in {**sites.properties, "rdf": rdf}.items()},
        site_index=sites.site_index[three],
        configuration=sites.configuration[three],
    )
    assert with_failure.groups[3] == "cell0"


def test_file_and_back(tmp_path):
    sites = toy_sites()
    sites.to_npz(tmp_path / "sites.npz")
    again = SiteSet.from_npz(tmp_path / "sites.npz")
    for field in dataclasses.fields(sites):
        ours, theirs = getattr(sites, field.name), getattr(again, field.name)
        if field.name == "properties":
            for name, array in ours.items():
                np.testing.assert_array_equal(array, theirs[name])
        elif isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs)
        else:
            assert ours == theirs, field.name


def test_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", energy=np.arange(3))
    with pytest.raises(ValueError, match="is not a file of sites: it lacks"):
        SiteSet.from_npz(tmp_path / "other.npz")


TWO = Axis("x", "", ("a", "b"))


def broken(array, value):
    array = array.copy()
    array[3, 0] = value
    return array


def with_property(sites, name, values):
    return {"properties": {**sites.properties, name: values}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"spectra": broken(s.spectra, np.nan)}, "the spectrum of row 3 .* not finite"),
        (lambda s: with_property(s, "valence", broken(s.properties["valence"], np.inf)), "the valence of row 3"),
        (lambda s: with_property(s, "rdf", broken(s.properties["rdf"], np.nan)), "the rdf of row 3"),
        (lambda s: {"energy": s.energy[1:]}, "shapes do not fit"),
        (lambda s: with_property(s, "rdf", s.properties["rdf"][:, 1:]), r"`rdf` has \(60, 255\), not \(n, 256\)"),
        (lambda s: with_property(s, "valence", s.properties["valence"][1:]), "60 spectra but 59 valence"),
        (lambda s: {"energy": s.energy[::-1]}, "must increase"),
        (lambda s: {"configuration": s.configuration + 1}, "belongs to configuration 6, but there are 6"),
        (
            lambda s: {
                "quantities": {
                    **QUANTITIES,
                    "valence": dataclasses.replace(QUANTITIES["valence"], axis=TWO),
                }
            },
            r"not \(n, 2\)",
        ),
    ],
)
def test_bad_arrays_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        toy_sites(**change(toy_sites()))

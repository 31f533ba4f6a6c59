"""Sites as plain arrays: checks, targets, averages, files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aiida_siox.learning.parameters import Target
from aiida_siox.learning.sites import SiteSet
from tests.learning.toy import toy_sites


def values(sites, **changes):
    return {field.name: getattr(sites, field.name) for field in dataclasses.fields(sites)} | changes


def test_targets():
    sites = toy_sites()
    assert sites.targets(Target.VALENCE).shape == (60, 1)
    assert sites.targets(Target.RDF) is sites.rdf
    counts = np.array([0, 4, 6])
    few = dataclasses.replace(sites.subset([0, 1, 2]), n_oxygen=counts)
    assert few.targets(Target.OXIDATION).argmax(axis=1).tolist() == [0, 4, 4]


def test_averages_are_means_of_complete_configurations():
    sites = toy_sites(n=12, n_configurations=3)
    complete = np.array([True, False, True])
    averages = dataclasses.replace(sites, complete=complete).averaged(Target.VALENCE)
    assert averages.configuration.tolist() == [0, 2]
    np.testing.assert_allclose(averages.spectra[1], sites.spectra[2::3].mean(axis=0))
    np.testing.assert_allclose(averages.targets[1], sites.valence[2::3].mean())


def test_equal_configurations_share_a_digest():
    """The same cell from another seed, its sites in another order, is no new configuration; a similar one is."""
    sites = toy_sites(n=24, n_configurations=6)
    rows = [np.flatnonzero(sites.configuration == i) for i in range(6)]
    rdf, rng = sites.rdf.copy(), np.random.default_rng(1)
    rdf[rows[3]] = rdf[rows[0]][::-1] + rng.normal(0, 1e-4, (4, rdf.shape[1]))  # both are Si8O8
    rdf[rows[4]] = rdf[rows[1]]
    rdf[rows[4][2]] *= 1.1  # one site of four differs
    rdf[rows[5]] = rdf[rows[0]]  # of another formula
    same = SiteSet.checked(**values(sites, rdf=rdf))
    assert same.digests == ("cell0", "cell1", "cell2", "cell0", "cell4", "cell5")
    assert len(set(same.groups)) == 5
    three = np.ones(24, dtype=bool)
    three[rows[3][0]] = False  # a site of it failed
    with_failure = {name: value[three] for name, value in values(sites, rdf=rdf).items() if len(np.shape(value)) and
                    len(value) == 24}  # fmt: skip
    assert SiteSet.checked(**values(sites) | with_failure).digests[3] == "cell0"


def test_file_and_back(tmp_path):
    sites = toy_sites()
    sites.to_npz(tmp_path / "sites.npz")
    again = SiteSet.from_npz(tmp_path / "sites.npz")
    for name, value in values(sites).items():
        assert np.array_equal(getattr(again, name), value), name


def test_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", energy=np.arange(3))
    with pytest.raises(ValueError, match="is not a file of sites: it lacks"):
        SiteSet.from_npz(tmp_path / "other.npz")


def broken(array, value):
    array = array.copy()
    array[3] = value
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"spectra": broken(s.spectra, np.nan)}, "the spectrum of row 3 .* not finite"),
        (lambda s: {"valence": broken(s.valence, np.inf)}, "the valence of row 3"),
        (lambda s: {"rdf": broken(s.rdf, np.nan)}, "the RDF of row 3"),
        (lambda s: {"energy": s.energy[1:]}, "shapes do not fit"),
        (lambda s: {"r": s.r[1:]}, "shapes do not fit"),
        (lambda s: {"valence": s.valence[1:]}, "60 spectra but 59 valences"),
        (lambda s: {"energy": s.energy[::-1]}, "must increase"),
        (lambda s: {"x": s.x[1:]}, "one entry for each configuration"),
        (lambda s: {"configuration": s.configuration + 1}, "belongs to configuration 6, but there are 6"),
    ],
)
def test_bad_arrays_are_refused(change, message):
    sites = toy_sites()
    with pytest.raises(ValueError, match=message):
        SiteSet.checked(**values(sites, **change(sites)))

"""DatasetData: what it refuses, its rows, and the plain arrays that learning takes."""

import json

import numpy as np
import pytest

from aiida_siox.data.dataset import DatasetData
from tests.factories import make_dataset, make_properties, stack_properties

ENERGY = np.linspace(1830, 1880, 3)
SPECTRA = np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0], [9.0, 9.0, 9.0]])
PROPERTIES = stack_properties([make_properties(n, valence) for n, valence in ((1, 1.0), (2, 2.0), (4, 3.0))])
CONFIGURATIONS = [
    {"formula": "Si2O2", "x": 1.0, "structure_digest": "a"},
    {"formula": "Si3O6", "x": 2.0, "structure_digest": "b", "n_absorbers": 3},
]


def make(**changes):
    """Return two configurations: both sites of the first, one of three of the second."""
    arguments = {
        "energy": ENERGY,
        "spectra": SPECTRA,
        "properties": PROPERTIES,
        "configuration": [0, 0, 1],
        "configurations": CONFIGURATIONS,
        "site_index": [0, 1, 5],
        **changes,
    }
    return make_dataset(**arguments)


@pytest.fixture
def dataset(aiida_profile):
    return make()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy": ENERGY[::-1]}, "the energies of a data set must increase"),
        ({"energy": np.linspace(1830, 1880, 4)}, "the spectra of a data set must have the shape any×4, got 3×3"),
        ({"spectra": np.where(SPECTRA == 9.0, np.inf, SPECTRA)}, r"must be finite, but the number at \[2, 0\] is inf"),
        ({"site_index": [0, 1]}, "the sites of a data set must have the shape 3, got 2"),
        ({"configurations": CONFIGURATIONS[:1], "configuration": [0, 0, 1]}, "argument 2 is shorter|belongs to"),
        ({"properties": {"valence": np.zeros((2, 1))}}, "the property `valence` must have the shape 3×1, got 2×1"),
        ({"colour": "red"}, "a data set has no key `colour`"),
    ],
)
def test_refused(aiida_profile, changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_not_stored_without_contents(aiida_profile):
    with pytest.raises(ValueError, match=r"comes from DatasetData\.from_tables"):
        DatasetData().store()


def test_digest_is_of_the_contents(dataset):
    def digest(node):
        return node.base.attributes.get("digest")

    assert digest(make()) == digest(dataset)
    changes = (
        {"site_index": [0, 1, 6]}, {"shift_eV": -13.0}, {"energy": ENERGY + 1}, {"settings_digest": "other"},
        {"properties": {"valence": PROPERTIES["valence"]}},
    )  # fmt: skip
    assert len({digest(make(**change)) for change in changes} | {digest(dataset)}) == 6


def test_sites_for_learning(dataset):
    """The same rows as plain arrays; an incomplete configuration is known as such."""
    sites = dataset.site_set()
    assert np.array_equal(sites.spectra, dataset.spectra)
    assert sites.group.tolist() == ["a", "a", "b"]
    assert sites.examples("valence").composition.tolist() == ["1.0000", "1.0000", "2.0000"]
    assert [cell.complete for cell in sites.configurations] == [True, False]
    assert (sites.formulas, sites.site_index.tolist()) == (("Si2O2", "Si3O6"), [0, 1, 5])
    assert sites.quantity("rdf").note == "σ 0.15 Å"
    assert sites.n_ligands.tolist() == [1, 2, 4]


def test_arrays(dataset):
    assert dataset.energy[0] == 1830.0
    assert dataset.spectra.shape == (3, 3)
    assert dataset.n_ligands.tolist() == [1, 2, 4]
    assert dataset.configuration.tolist() == [0, 0, 1]
    assert dataset.properties["rdf"].shape == (3, 256)
    assert dataset.axes["coordination"].values == ("Si", "O")
    assert dataset.n_sites == 3


def test_summary_is_json(dataset):
    summary = json.loads(json.dumps(dataset.summary(), allow_nan=False))
    assert summary["type"] == "dataset"
    assert summary["axis"] == "calibrated"
    assert summary["protocol"] == "fast"
    assert summary["valence"] == [1.0, 2.0, 3.0]

"""DatasetData: averages over configurations."""

import json

import numpy as np
import pytest

from aiida_siox.data.dataset import DatasetData


@pytest.fixture
def dataset(aiida_profile):
    """Return two configurations: both sites of the first, one of three of the second."""
    node = DatasetData()
    for name, array in {
        "energy_eV": np.linspace(1830, 1880, 3),
        "spectra": np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0], [9.0, 9.0, 9.0]]),
        "valence_e": np.array([1.0, 2.0, 3.0]),
        "r_angstrom": np.array([1.0, 2.0]),
        "rdf": np.array([[0.0, 2.0], [2.0, 4.0], [9.0, 9.0]]),
        "n_oxygen": np.array([1, 2, 4]),
        "n_silicon": np.array([3, 2, 0]),
        "site_index": np.array([0, 1, 5]),
        "configuration": np.array([0, 0, 1]),
    }.items():
        node.set_array(name, array)
    node.base.attributes.set_many(
        {
            "configurations": [
                {
                    "formula": "Si2O2",
                    "x": 1.0,
                    "structure_digest": "a",
                    "n_requested": 2,
                    "n_done": 2,
                    "n_silicon_total": 2,
                },
                {
                    "formula": "Si3O6",
                    "x": 2.0,
                    "structure_digest": "b",
                    "n_requested": 1,
                    "n_done": 1,
                    "n_silicon_total": 3,
                },
            ],
            "protocol": "fast",
            "sigma_angstrom": 0.15,
        }
    )
    return node


def test_averages_of_whole_configurations_only(dataset):
    (average,) = dataset.averaged()  # of the second, 1 of 3 silicon sites is here: no average
    assert (average.formula, average.x, average.n_done, average.n_requested) == ("Si2O2", 1.0, 2, 2)
    assert average.spectrum.tolist() == [1.0, 2.0, 3.0]
    assert average.valence_e == 1.5
    assert average.rdf.tolist() == [1.0, 3.0]


def test_sites_for_learning(dataset):
    """The same rows as plain arrays; an incomplete configuration is known as such."""
    sites = dataset.site_set()
    assert np.array_equal(sites.spectra, dataset.spectra)
    assert sites.groups.tolist() == ["a", "a", "b"]
    assert sites.compositions.tolist() == ["1.0000", "1.0000", "2.0000"]
    assert sites.complete.tolist() == [True, False]
    assert (sites.formulas, sites.site_index.tolist(), sites.sigma_angstrom) == (("Si2O2", "Si3O6"), [0, 1, 5], 0.15)


def test_arrays(dataset):
    assert dataset.energy[0] == 1830.0
    assert dataset.spectra.shape == (3, 3)
    assert dataset.n_oxygen.tolist() == [1, 2, 4]
    assert dataset.configuration.tolist() == [0, 0, 1]
    assert dataset.r.shape == (2,)
    assert dataset.rdf.shape == (3, 2)


def test_summary_is_json(dataset):
    summary = json.loads(json.dumps(dataset.summary(), allow_nan=False))
    assert summary["type"] == "dataset"
    assert summary["axis"] == "calibrated"
    assert summary["protocol"] == "fast"
    assert summary["valence_e"] == [1.0, 2.0, 3.0]

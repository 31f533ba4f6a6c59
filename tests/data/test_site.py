"""SiteData: one site, finished or failed."""

import json

import numpy as np
import pytest

from aiida_siox.data.site import SiteData


def make_site(status="done"):
    site = SiteData()
    site.set_array("r_angstrom", np.linspace(0, 5, 4))
    site.set_array("rdf", np.arange(4.0))
    if status == "done":
        site.set_array("energy_eV", np.array([1850.0, 1851.0]))
        site.set_array("spectrum", np.array([0.1, 0.2]))
    site.base.attributes.set_many(
        {"site_index": 7, "status": status, "reason": None if status == "done" else "pw.x was killed", "n_oxygen": 2}
    )
    return site


def test_finished_site(aiida_profile):
    site = make_site()
    assert site.status == "done"
    assert site.spectrum.tolist() == [0.1, 0.2]
    assert site.energy.tolist() == [1850.0, 1851.0]
    assert site.rdf.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_failed_site_says_why(aiida_profile):
    site = make_site("failed")
    assert site.rdf.shape == (4,)
    with pytest.raises(ValueError, match=r"site 7 has no spectrum: pw\.x was killed"):
        _ = site.spectrum


@pytest.mark.parametrize("status", ["done", "failed"])
def test_summary_is_json(aiida_profile, status):
    summary = json.loads(json.dumps(make_site(status).summary(), allow_nan=False))
    assert summary["type"] == "site"
    assert summary["site_index"] == 7
    assert ("spectrum" in summary) == (status == "done")
    assert not any(key.startswith(("array|", "default_")) for key in summary)

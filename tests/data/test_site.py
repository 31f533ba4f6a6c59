"""SiteData: one site, finished or failed; its links are tested with `collect`."""

import json

import numpy as np
import pytest

from aiida_siox.data.site import SiteData
from aiida_siox.science.site_row import SiteRow
from tests.factories import make_properties, make_row, make_site


def test_finished_site(aiida_profile):
    site = make_site(make_row(7, np.ones(3), n_ligands=2, valence=1.6)).store()
    attributes = site.base.attributes
    assert (site.site_index, site.status) == (7, "done")
    assert attributes.get("valence") == 1.6
    assert attributes.get("coordination") == {"Si": 2, "O": 2}
    assert (attributes.get("oxidation"), attributes.get("bridge_angle")) == (2, 143.7)
    assert attributes.get("transition_eV") == 1848.725
    with pytest.raises(ValueError, match="does not come from `collect`"):
        _ = site.table


def test_failed_site_says_why(aiida_profile):
    site = make_site(make_row(7, None, reason="pw.x was killed", n_ligands=0)).store()
    assert site.base.attributes.get("bridge_angle") is None
    assert site.base.attributes.get("transition_eV") is None
    with pytest.raises(ValueError, match=r"site 7 has no spectrum: pw\.x was killed"):
        _ = site.spectrum


@pytest.mark.parametrize("spectrum", [np.ones(3), None])
def test_summary_is_json(aiida_profile, spectrum):
    summary = json.loads(json.dumps(make_site(make_row(7, spectrum)).summary(), allow_nan=False))
    assert (summary["type"], summary["site_index"], summary["material"]) == ("site", 7, "siox")
    assert not any(key.startswith(("array|", "default_")) for key in summary)


def test_refused(aiida_profile):
    with pytest.raises(ValueError, match=r"a SiteData comes from SiteData\.from_row; this one lacks formula"):
        SiteData().store()
    with pytest.raises(ValueError, match="a site has no key `formular`: did you mean `formula`"):
        make_site(make_row(7, np.ones(3)), formular="Si")
    for arguments in ({}, {"spectrum": np.ones(3)}, {"spectrum": np.ones(3), "energies": {"a": 1.0}, "reason": "x"}):
        with pytest.raises(ValueError, match="site 3 needs a spectrum with its energies, or a reason"):
            SiteRow(3, make_properties(), **arguments)

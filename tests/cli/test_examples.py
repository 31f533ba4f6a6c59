"""The examples for ``verdi run``: they run to their end, with the engines replaced by hand-made nodes."""

from __future__ import annotations

import io
import pathlib
import runpy
import sys

import ase.io
import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida_pseudo.data.pseudo.upf import UpfData

from tests.cli.conftest import quartz_like
from tests.crystals import alpha_quartz
from tests.factories import make_row, make_site, make_spectrum, make_table

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def run_example(monkeypatch, capsys, aiida_profile):
    """Return a function that runs an example with arguments and returns what it prints."""

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def registered_codes(engine_code):
    """Register the codes of all engines as ``aiida-siox setup`` does."""
    for name in ("lmp", "ld1", "pw", "pp", "xspectra", "bader"):
        engine_code(name).base.extras.set_many({"siox_engine": name, "siox_registered": 0.0})


@pytest.fixture
def launched(monkeypatch, registered_codes, hand_made_study):
    """Take the builders that an example launches; what comes out is hand-made."""
    builders = []
    outputs = {
        "site_table": hand_made_study.tables["Si4O8_1"],
        "calibration": hand_made_study.calibration,
    }
    finished = orm.WorkChainNode()
    finished.set_process_state("finished")
    finished.set_exit_status(0)

    def take(builder):
        builders.append(builder)
        return outputs, finished

    monkeypatch.setattr("aiida.engine.run_get_node", take)
    monkeypatch.setattr("aiida.engine.submit", lambda builder: take(builder)[1])
    header = '<UPF version="2.0.1">\n<PP_HEADER element="{}" z_valence="4.0"/>\n</UPF>\n'
    atomic_data = {
        "pseudos": {
            kind: UpfData(io.BytesIO(header.format(element).encode()), filename=f"{kind}.UPF")
            for kind, element in {"Si": "Si", "O": "O", "Sih": "Si"}.items()
        },
        "core_wavefunction": orm.SinglefileData.from_string("", "wfc.dat"),
        "energies": orm.Dict({"core_correction_eV": 1809.516}),
    }
    monkeypatch.setattr("aiida_siox.workflows.atomic_data.find_atomic_data", lambda code: atomic_data)
    return builders


def test_run_structure(run_example, launched, tmp_path):
    path = tmp_path / "quartz.cif"
    ase.io.write(path, alpha_quartz())
    text = run_example("run_structure.py", path, 0, 2)
    assert "protocol fast" in text
    assert launched[0].sites.get_list() == [0, 2]
    assert launched[0].structure.get_formula() == "O6Si3"


def test_run_calibration(run_example, launched):
    assert "-12.800 eV" in run_example("run_calibration.py", "1846.0")
    assert launched[0].target.value == 1846.0


def test_run_study(run_example, launched):
    assert "Si4O8" in run_example("run_study.py", "Si4O8", "Si14")
    assert launched[0].configurations.get_list() == [["Si4O8", 1], ["Si14", 1]]
    assert launched[0].training["training"]["epochs"] == 200


def test_query_sites(run_example, hand_made_study):
    structure = quartz_like(2).store()
    collect = orm.CalcFunctionNode()
    collect.set_process_label("collect")
    collect.base.links.add_incoming(structure, LinkType.INPUT_CALC, "structure")
    spectra = [make_spectrum(site_index=row).store() for row in range(3)]
    for spectrum in spectra:
        collect.base.links.add_incoming(spectrum, LinkType.INPUT_CALC, f"spectra__site_{spectrum.site_index:04d}")
    collect.store()
    rows = [
        make_row(row, np.ones(3), n_ligands=n_oxygen, valence=valence)
        for row, (n_oxygen, valence) in enumerate([(2, 1.8), (2, 1.2), (3, 2.0)])
    ]
    table = make_table(rows, np.arange(3))
    table.base.links.add_incoming(collect, LinkType.CREATE, "site_table")
    table.store()
    for row, values in enumerate(rows):
        site = make_site(values, formula="Si4O2")
        site.base.links.add_incoming(collect, LinkType.CREATE, f"sites__site_{row:04d}")
        site.store()
    text = run_example("query_sites.py")
    # other tests of the session may have left sites of their own
    assert f"{text.count('SiteData<')} sites with n_O = 2" in text
    assert "Si4O2, site 0, +1.80 e, protocol fast" in text
    assert "+1.20 e" not in text
    assert f"site 0: white line at {spectra[0].white_line:.2f} eV" in text
    assert "white line at" in text
    assert run_example("query_sites.py", structure.pk).count("white line at") == 3

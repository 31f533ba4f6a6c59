"""Sites gathered into tables, tables into a data set."""

import io

import numpy as np
import pytest
from aiida import orm
from aiida_pseudo.data.pseudo.upf import UpfData

from aiida_siox.calculations.spectra import digest_of
from aiida_siox.calculations.tables import (
    N_LAST_LINES,
    assemble,
    check_pseudos,
    check_spectra,
    collect,
    record_failure,
)
from aiida_siox.science.constants import RYDBERG_AIIDA_EV
from aiida_siox.science.site_row import site_label
from aiida_siox.workflows.structure_targets import StructureTargetsWorkChain
from tests.factories import MATERIAL, make_calibration, make_spectrum
from tests.quartz import quartz_spectrum

# The functions under the calcfunctions: what is tested here needs no provenance, and storing takes time.
raw_assemble, raw_collect, raw_record_failure = (f.__wrapped__ for f in (assemble, collect, record_failure))
WINDOW = {"energy_min_eV": 1830.0, "energy_max_eV": 1880.0, "n_points": 256}


@pytest.fixture(autouse=True)
def profile(aiida_profile):
    """All tests make nodes."""


class TestRecordFailure:
    def test_last_lines_of_every_engine_output(self):
        folder = orm.FolderData()
        folder.put_object_from_filelike(io.StringIO("\n".join(f"line {i}" for i in range(100)) + "\n\n"), "aiida.out")
        folder.put_object_from_filelike(io.StringIO("Error in routine cdiaghg\n"), "CRASH")
        folder.put_object_from_filelike(io.BytesIO(b"runtime error \xff\n"), "_scheduler-stderr.txt")
        folder.put_object_from_filelike(io.StringIO("real 0m1s\n"), "_scheduler-stdout.txt")
        folder.put_object_from_filelike(io.StringIO(""), "empty.out")
        failure = raw_record_failure(orm.Int(7), orm.Str("pw.x failed"), retrieved=folder)
        assert failure["site_index"] == 7
        assert failure["reason"] == "pw.x failed"
        expected = "\n".join(f"line {i}" for i in range(100 - N_LAST_LINES, 100))
        assert f"[aiida.out]\n{expected}" in failure["last_lines"]
        assert "line 84\n" not in failure["last_lines"]
        assert "[CRASH]\nError in routine cdiaghg" in failure["last_lines"]
        assert "runtime error" in failure["last_lines"]
        assert "real" not in failure["last_lines"]
        assert "empty" not in failure["last_lines"]

    def test_without_a_job(self):
        assert raw_record_failure(orm.Int(0), orm.Str("the lane stopped"))["last_lines"] == ""


def chain(scale=1.0):
    """Return O and four Si: two of them have the oxygen between them, 1.6 Å away each."""
    structure = orm.StructureData(cell=np.diag([20.0, 20.0, 20.0]).tolist())
    structure.append_atom(symbols="O", position=(10.0 * scale, 10.0, 10.0))
    for x in (8.4, 11.6, 13.9, 2.0):
        structure.append_atom(symbols="Si", position=(x * scale, 10.0, 10.0))
    return structure


def spectrum_of(site, position=1859.0, version="6.7MaX", structure=None, treatment="fch"):
    """Return a spectrum with one peak on the total-energy axis."""
    return make_spectrum(
        [position - 1850.0] * 3,
        site_index=site,
        structure_digest=digest_of(structure or chain()),
        treatment=treatment,
        engines={"pw": "6.7MaX", "xspectra": version},
        energies={
            "ground_Ry": -391.0,
            "hole_Ry": -388.0 + 0.01 * site,
            "core_correction_eV": 1809.0,
            "transition_eV": 1848.0,
            "energy_zero_eV": 2.0,
            "fermi_eV": 2.0 if treatment == "fch" else 0.0,
            "ground_smearing_Ry": -1e-6,
            "hole_smearing_Ry": -2e-6,
        },
    )


def quartz_at(site, position, structure=None, treatment="fch", **attributes):
    """Return the spectrum of quartz as that of a site, to stand in for `spectrum_of`."""
    of = {"structure_digest": digest_of(structure or chain()), "treatment": treatment}
    return quartz_spectrum(site_index=site, **of, **attributes)


def pseudo(element, z_valence):
    text = f'<UPF version="2.0.1">\n<PP_HEADER element="{element}" z_valence="{z_valence}"/>\n</UPF>\n'
    return UpfData(io.BytesIO(text.encode()), filename=f"{element}{z_valence:g}.upf")


def collect_sites(
    requested=(1, 2, 3, 4), failed=(), settings=None, structure=None, run=raw_collect, hole_electrons=None, **spectra_of
):
    """Run collect for the sites of `chain`."""
    values = StructureTargetsWorkChain.get_protocol_inputs("fast", {"settings": settings or {}})["settings"]
    charges = orm.ArrayData()
    charges.set_array("electrons", np.array([7.5, 3.0, 3.1, 3.8, 4.0]))
    of = {"structure": structure, "treatment": values["treatment"], **spectra_of}
    spectra = {site_label(i): spectrum_of(i, 1859.0 + i, **of) for i in requested if i not in failed}
    holes = {site_label(i): orm.ArrayData(np.array(electrons)) for i, electrons in (hole_electrons or {}).items()}
    for node in holes.values():
        node.set_array("electrons", node.get_array())
    failures = {site_label(i): orm.Dict({"reason": f"no {i}", "last_lines": "STOP"}) for i in failed}
    return run(
        structure=structure or chain(),
        settings=orm.Dict({"protocol": "fast", **values}),
        sites=orm.List(list(requested)),
        charges=charges,
        bader_parameters=orm.Dict({"version": "0.1", "method": "neargrid"}),
        ground_parameters=orm.Dict({"creator_version": "6.7MaX"}),
        core_wavefunction=orm.SinglefileData(io.BytesIO(b"0 0"), "core.wfc"),
        version=orm.Int(1),
        pseudos={"Si": pseudo("Si", 4.0), "O": pseudo("O", 6.0), "Sih": pseudo("Si", 5.0)},
        **{
            key: nodes
            for key, nodes in (("spectra", spectra), ("failures", failures), ("hole_charges", holes))
            if nodes
        },
    )


class TestCollect:
    def test_rows(self):
        table = collect_sites(failed=(3,))["site_table"]
        assert table.site_index.tolist() == [1, 2, 3, 4]
        assert table.done.tolist() == [True, True, False, True]
        assert table.n_ligands.tolist() == [1, 1, 0, 0]
        properties = table.properties
        # 11.6 and 13.9 Å are neighbours
        assert properties["coordination"].tolist() == [[0, 1], [1, 1], [1, 0], [0, 0]]
        np.testing.assert_array_equal(properties["oxidation"], np.eye(5)[[1, 1, 0, 0]])
        np.testing.assert_allclose(properties["valence"][:, 0], [1.0, 0.9, 0.2, 0.0], atol=1e-12)
        np.testing.assert_allclose(properties["bridge_angle"][:, 0], [180.0, 180.0, np.nan, np.nan])
        peaks = table.energy[np.argmax(table.spectra[table.done], axis=1)]
        np.testing.assert_allclose(peaks, [1860.0, 1861.0, 1863.0], atol=0.06)
        assert np.isnan(table.spectra[2]).all()
        np.testing.assert_allclose(table.energies["hole_Ry"][table.done], [-387.99, -387.98, -387.96])
        assert properties["rdf"].shape == (4, 256)
        attributes = table.base.attributes
        assert (attributes.get("n_requested"), attributes.get("n_done"), attributes.get("n_absorbers")) == (4, 3, 4)
        assert attributes.get("reasons") == {"3": "no 3\nSTOP"}
        assert (attributes.get("formula"), attributes.get("x")) == ("Si4O", 0.25)

    def test_links(self):
        """As a calcfunction: namespaces of inputs and outputs."""
        results = collect_sites(requested=(1, 2), failed=(2,), run=collect)
        table = results["site_table"]
        assert table.structure.get_formula() == chain().get_formula()
        assert table.creator.inputs.spectra.site_0001.site_index == 1
        assert table.creator.inputs.failures.site_0002["reason"] == "no 2"
        site = results["sites"]["site_0001"]
        assert site.table.uuid == table.uuid
        assert site.spectrum.uuid == table.creator.inputs.spectra.site_0001.uuid

    def test_screening_charge(self):
        """Of the absorber in the cell with its own hole; a site without that cell has none, and nobody unasked."""
        holes = {1: [7.4, 4.1, 3.1, 3.8, 3.6], 2: [7.4, 3.0, 4.3, 3.7, 3.6]}
        results = collect_sites(settings={"screening_charge": True}, hole_electrons=holes)
        charge = results["site_table"].properties["screening_charge"][:, 0]
        np.testing.assert_allclose(charge, [1.1, 1.2, np.nan, np.nan])
        assert results["sites"]["site_0002"].base.attributes.get("screening_charge") == pytest.approx(1.2)
        assert results["sites"]["site_0004"].base.attributes.get("screening_charge") is None
        assert "screening_charge" not in collect_sites()["site_table"].properties

    def test_data_sets_of_another_material(self):
        message = r"the data set Si5\.upf of Si has 5 valence electrons, the material siox says 4 \(`species`"
        with pytest.raises(ValueError, match=message):
            check_pseudos(MATERIAL, {"Si": pseudo("Si", 5.0), "Sih": pseudo("Si", 5.0)})
        with pytest.raises(ValueError, match=r"Si4\.upf of Sih has 4 valence electrons, the material siox says 5"):
            check_pseudos(MATERIAL, {"Si": pseudo("Si", 4.0), "Sih": pseudo("Si", 4.0)})

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"structure_digest": "other"}, "structure_digest"),
            ({"treatment": "xch"}, r"treatment \(xch\) than the others or the settings \(fch\)"),
            ({"gamma_eV": 0.4}, "gamma_eV"),
            ({"engines": {"pw": "7.2", "xspectra": "6.7MaX"}}, "engines"),
            ({"energies": {"ground_Ry": -391.1}}, r"ground_Ry \(-391\.1\) than .* \(-391\.0\)"),
            ({"free_energy": {"quantity": "E"}}, "free_energy"),
            ({"atomic_energies": {"ground_pseudo_Ry": -46.0}}, "atomic_energies"),
            ({"site_index": 3}, "site_0002 is that of site 3"),
        ],
    )
    def test_spectra_that_do_not_belong_together(self, change, message):
        spectra = {site_label(i): spectrum_of(i) for i in (1, 2)}
        for spectrum in spectra.values():
            spectrum.base.attributes.set_many({"structure_digest": digest_of(chain()), "gamma_eV": 0.8})
        check_spectra(chain(), "fch", spectra)
        spectra["site_0002"].base.attributes.set_many(change)
        with pytest.raises(ValueError, match=message):
            check_spectra(chain(), "fch", spectra)

    def test_every_term_of_the_energies(self):
        """In the table, in the site nodes, and added up to the white line."""
        results = collect_sites(failed=(3,), run=collect)
        row = results["site_table"].rows()[0].energies
        assert row["hole_smearing_Ry"] == -2e-6
        site = results["sites"]["site_0001"]
        assert site.base.attributes.get("energies") == row
        lines = {line.label: line.value_eV for line in site.energy_terms(shift=-12.8)}
        assert lines["white line, total energy"] == pytest.approx(
            (-387.99 + 391.0) * RYDBERG_AIIDA_EV + 1809.0 + 2.0 + site.spectrum.white_line - 1850.0
        )
        assert lines["calibration"] == -12.8
        with pytest.raises(ValueError, match="site 3 has no spectrum: no 3"):
            results["sites"]["site_0003"].energy_terms()

    def test_site_nodes_agree_with_the_table(self):
        results = collect_sites(failed=(3,))
        table, sites = results["site_table"], results["sites"]
        assert sorted(sites) == [site_label(i) for i in (1, 2, 3, 4)]
        for row, index in enumerate((1, 2, 3, 4)):
            site = sites[site_label(index)]
            attributes = site.base.attributes
            assert site.site_index == index
            assert attributes.get("coordination")["O"] == attributes.get("oxidation") == table.n_ligands[row]
            assert attributes.get("valence") == pytest.approx(table.properties["valence"][row, 0])
            assert attributes.get("settings_digest") == table.settings_digest
            assert site.status == ("done" if table.done[row] else "failed")

    def test_some_sites_only(self):
        table = collect_sites(requested=(4, 2))["site_table"]
        assert table.site_index.tolist() == [2, 4]
        np.testing.assert_allclose(table.properties["valence"][:, 0], [0.9, 0.0], atol=1e-12)
        assert (table.n_absorbers, table.base.attributes.get("n_requested")) == (4, 2)

    def test_settings_digest(self):
        reference = collect_sites()["site_table"].settings_digest
        assert collect_sites(requested=(1,))["site_table"].settings_digest == reference
        assert collect_sites(structure=chain(1.01))["site_table"].settings_digest == reference
        for change in (
            {"settings": {"scf": {"degauss_Ry": 0.01}}},
            {"settings": {"rdf": {"sigma_angstrom": 0.2}}},
            {"settings": {"treatment": "xch"}},
            {"version": "7.2"},
        ):
            assert collect_sites(**change)["site_table"].settings_digest != reference

    def test_structure_digest(self):
        first, same, other = (
            collect_sites(structure=structure)["site_table"].base.attributes.get("structure_digest")
            for structure in (chain(), chain(1.0 + 1e-9), chain(1.01))
        )
        assert first == same != other

    def test_energies_are_those_that_all_spectra_cover(self):
        """Zeros at 1850 eV, runs from -25 to 60 eV: in steps of 0.1 eV."""
        table = collect_sites(failed=(3,))["site_table"]
        np.testing.assert_allclose(table.energy, np.linspace(1825.0, 1910.0, 851), atol=1e-9)
        assert len(collect_sites(failed=(1, 2, 3, 4))["site_table"].energy) == 501  # of the window


def calibration_of(table, shift=-12.8):
    return make_calibration(shift, table.settings_digest)


def assemble_tables(calibration, window=None, **tables):
    return raw_assemble(
        calibration=calibration, window=orm.Dict({**WINDOW, **(window or {})}), version=orm.Int(1), tables=tables
    )


@pytest.fixture
def table():
    return collect_sites(failed=(3,))["site_table"]


@pytest.fixture
def other():
    return collect_sites(structure=chain(1.01))["site_table"]


class TestAssemble:
    def test_rows_and_counts(self, table, other):
        dataset = assemble_tables(calibration_of(table), Si4O_1=table, Si4O_2=other)
        assert dataset.spectra.shape == (7, 256)
        assert dataset.configuration.tolist() == [0, 0, 0, 1, 1, 1, 1]
        assert dataset.site_index.tolist() == [1, 2, 4, 1, 2, 3, 4]
        np.testing.assert_allclose(dataset.properties["valence"][:3, 0], [1.0, 0.9, 0.0], atol=1e-12)
        assert dataset.properties["rdf"].shape == (7, 256)
        peaks = dataset.energy[np.argmax(dataset.spectra, axis=1)]
        np.testing.assert_allclose(peaks[:3], [1847.2, 1848.2, 1850.2], atol=0.11)
        counts = [(entry["n_requested"], entry["n_done"]) for entry in dataset.configurations]
        assert counts == [(4, 3), (4, 4)]
        assert dataset.base.attributes.get("n_sites") == 7
        assert dataset.base.attributes.get("window_eV") == [1830.0, 1880.0]

    def test_the_digest_is_of_the_contents(self, table, other):
        calibration = calibration_of(table)
        first = assemble_tables(calibration, a=table, b=other).base.attributes.get("digest")
        again = assemble_tables(calibration_of(table), a=table, b=other).base.attributes.get("digest")
        assert first == again
        assert assemble_tables(calibration, a=table).base.attributes.get("digest") != first
        assert assemble_tables(calibration_of(table, -13.0), a=table, b=other).base.attributes.get("digest") != first
        assert assemble_tables(calibration, {"n_points": 128}, a=table, b=other).base.attributes.get("digest") != first

    def test_different_settings(self, table):
        other = collect_sites(settings={"treatment": "xch"}, structure=chain(1.01))["site_table"]
        with pytest.raises(ValueError, match=r"different settings cannot be combined.*: the calibration, a; .*: b"):
            assemble_tables(calibration_of(table), a=table, b=other)

    def test_calibration_of_other_settings(self, table):
        other = collect_sites(settings={"treatment": "xch"})["site_table"]
        with pytest.raises(ValueError, match="the calibration"):
            assemble_tables(calibration_of(other), a=table)

    def test_sites_without_a_hole_have_no_common_axis(self):
        table = collect_sites(settings={"treatment": "none"})["site_table"]
        with pytest.raises(ValueError, match=r"treatment `none` cannot make a data set.*with fch"):
            assemble_tables(calibration_of(table), a=table)

    def test_the_same_configuration_twice(self, table):
        with pytest.raises(ValueError, match="a and b hold the same configuration: give it once"):
            assemble_tables(calibration_of(table), a=table, b=collect_sites()["site_table"])

    def test_no_finished_site(self, table):
        nothing = collect_sites(failed=(1, 2, 3, 4))["site_table"]
        with pytest.raises(ValueError, match="no site of any table is finished"):
            assemble_tables(calibration_of(table), a=nothing)

    def test_a_table_without_finished_sites_does_not_lose_the_others(self, table):
        nothing = collect_sites(failed=(1, 2, 3, 4), structure=chain(1.01))["site_table"]
        dataset = assemble_tables(calibration_of(table), a=nothing, b=table)
        assert dataset.configuration.tolist() == [1, 1, 1]
        assert [entry["n_done"] for entry in dataset.configurations] == [0, 3]
        assert dataset.base.attributes.get("settings_digest") == table.settings_digest

    def test_window_beyond_the_tables(self, table):
        message = (
            r"the table a does not cover 1830\.00 to 1900\.00 eV of the calibrated axis, which is the total energy and "
            r"-12\.80 eV: the spectrum covers 1825\.00 to 1910\.00 eV, but 1842\.80 to 1912\.80 eV are asked for"
        )
        with pytest.raises(ValueError, match=message):
            assemble_tables(calibration_of(table), {"energy_max_eV": 1900.0}, a=table)

    def test_linked_spectra_are_evaluated_from_their_coefficients(self):
        """Not interpolated: on the grid of the data set they are what the coefficients give, to all digits."""
        table = collect_sites(requested=(1, 2), failed=(2,), run=collect)["site_table"]
        calibration = calibration_of(table)
        spectra = assemble_tables(calibration, {"energy_max_eV": 1890.0}, a=table).spectra
        energy = np.linspace(1830.0, 1890.0, 256) - calibration.shift
        spectrum = table.creator.inputs.spectra.site_0001
        np.testing.assert_allclose(spectra, [spectrum.broadened(0.8, energy)], rtol=1e-12)
        with pytest.raises(ValueError, match=r"the table a does not cover.*converged for 1825\.00 to 1910\.00 eV"):
            assemble_tables(calibration, {"energy_max_eV": 1900.0}, a=table)

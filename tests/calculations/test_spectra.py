"""Kinds, meshes, the total-energy axis of one absorber, and the calibration."""

import copy
import io

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.orm.nodes.data.structure import Kind, Site
from aiida_pseudo.data.pseudo.upf import UpfData

from aiida_siox.calculations.spectra import (
    assemble_spectrum,
    calibrate,
    digest_of,
    is_normalised,
    make_kpoints,
    mark_absorber,
    normalise_kinds,
)
from aiida_siox.science.constants import RYDBERG_AIIDA_EV
from tests.crystals import MATERIAL
from tests.factories import RUN, make_row, make_table, pole_coefficients

# The functions under the calcfunctions: what is tested here needs no provenance, and storing takes time.
assemble_spectrum, calibrate, make_kpoints, mark_absorber, normalise_kinds = (
    function.__wrapped__ for function in (assemble_spectrum, calibrate, make_kpoints, mark_absorber, normalise_kinds)
)
ORDER = ["O", "Si", "O", "Si"]


def mixed_structure(names=ORDER):
    """Return four atoms in an order of its own; a kind that begins with its symbol."""
    structure = orm.StructureData(cell=np.diag([5.0, 6.0, 7.0]).tolist())
    for name in dict.fromkeys(names):
        structure.append_kind(Kind(name=name, symbols=name.rstrip("0123456789")))
    for i, name in enumerate(names):
        structure.append_site(Site(kind_name=name, position=(0.1, 1.5 * i, 0.3)))
    return structure


def kind_names(structure):
    return [site.kind_name for site in structure.sites]


@pytest.fixture(autouse=True)
def profile(aiida_profile):
    """All tests make nodes."""


class TestKinds:
    def test_normalise_keeps_order_and_positions(self):
        structure = mixed_structure(["O2", "Si1", "O", "Si7"])
        assert not is_normalised(structure)
        normalised = normalise_kinds(structure)
        assert is_normalised(normalised)
        assert kind_names(normalised) == ORDER
        assert [site.position for site in normalised.sites] == [site.position for site in structure.sites]
        assert normalised.cell == structure.cell
        assert digest_of(normalised) == digest_of(structure)

    def test_mark_absorber_keeps_order(self):
        structure = mixed_structure()
        marked = mark_absorber(structure, orm.Int(3), orm.Str("Sih"))
        assert kind_names(marked) == ["O", "Si", "O", "Sih"]
        assert marked.get_kind("Sih").symbol == "Si"
        assert [site.position for site in marked.sites] == [site.position for site in structure.sites]
        assert digest_of(marked) == digest_of(structure)

    def test_the_only_silicon_leaves_no_kind_behind(self):
        marked = mark_absorber(mixed_structure(["O", "Si", "O"]), orm.Int(1), orm.Str("Sih"))
        assert sorted(marked.get_kind_names()) == ["O", "Sih"]

    @pytest.mark.parametrize("site", [0, 4, -1])
    def test_an_absorber_that_is_no_silicon(self, site):
        with pytest.raises(ValueError, match=f"site {site} of O2Si2 cannot be the absorber `Sih`"):
            mark_absorber(mixed_structure(), orm.Int(site), orm.Str("Sih"))

    def test_another_absorber(self):
        marked = mark_absorber(mixed_structure(), orm.Int(0), orm.Str("Oh"))
        assert kind_names(marked) == ["Oh", "Si", "O", "Si"]
        assert marked.get_kind("Oh").symbol == "O"


@pytest.mark.parametrize(
    ("section", "mesh"),
    [
        ({"kpoints_mesh": [1, 2, 3], "kpoints_distance": 0.1}, [1, 2, 3]),
        ({"kpoints_mesh": None, "kpoints_distance": 0.5}, [3, 3, 2]),
    ],
)
def test_meshes(section, mesh):
    """A mesh overrides the distance; 2π / (a · 0.5) rounded up for 5, 6 and 7 Å."""
    kpoints = make_kpoints(mixed_structure(), orm.Dict({"scf": section}), orm.Str("scf"))
    assert kpoints.get_kpoints_mesh() == (mesh, [0.0, 0.0, 0.0])


PW = {
    "wfc_cutoff": 680.28,
    "rho_cutoff": 2721.1,
    "smearing_type": "gaussian",
    "degauss": 0.068,
    "creator_version": "6.7MaX",
    "fermi_energy": 3.6867,
    "monkhorst_pack_grid": [1, 1, 1],
    "monkhorst_pack_offset": [0, 0, 0],
    "volume": 210.0,
    "dft_exchange_correlation": "PBE",
    "number_of_spin_components": 1,
    "fft_grid": [45, 48, 60],
}
ENERGY = np.linspace(-25.0, 60.0, 851)


def bands_of(levels, occupations):
    """Return the bands of one k point."""
    bands = orm.BandsData()
    bands.set_kpoints([[0.0, 0.0, 0.0]])
    bands.set_bands([levels], units="eV", occupations=[occupations])
    return bands


def assemble_inputs(treatment="fch", **hole_changes):
    """Return inputs of assemble_spectrum with the energies of quartz (docs/develop/engine_facts.md)."""
    ground_energies = {"energy": -391.10607781 * RYDBERG_AIIDA_EV, "fermi_energy": 5.0743}
    ground_energies["energy_smearing"] = -2e-4 * RYDBERG_AIIDA_EV
    hole_energies = {"energy": -388.22426609 * RYDBERG_AIIDA_EV, "energy_smearing": -1e-4 * RYDBERG_AIIDA_EV}
    curves, lanczos = orm.ArrayData(), orm.ArrayData()
    curves.set_array("energy_eV", ENERGY)
    for name, array in pole_coefficients([[8.0], [8.5], [8.2]], [[1.0]] * 3).items():
        lanczos.set_array(name, array)
    lanczos.set_array("polarisations", np.eye(3))
    lanczos.base.attributes.set_many(RUN)
    return {
        "structure": mixed_structure(),
        "site": orm.Int(1),
        "settings": orm.Dict({"material": MATERIAL, "treatment": treatment, "xspectra": {"gamma_eV": 0.8}}),
        "ground_parameters": orm.Dict({**PW, **ground_energies}),
        "hole_parameters": orm.Dict({**PW, **hole_energies, **hole_changes}),
        "atomic_energies": orm.Dict(
            {
                "core_correction_eV": 1809.516,
                "ground_all_electron_Ry": -579.674871,
                "hole_all_electron_Ry": -442.845440,
            }
        ),
        "curves": curves,
        "lanczos": lanczos,
        "xspectra_parameters": orm.Dict({"energy_zero_eV": 2.6065, "version": "6.7MaX"}),
        "bands": bands_of([-15.0, 2.6065, 3.6065, 9.0], [2.0, 2.0, 0.001, 0.0]),
        "version": orm.Int(1),
    }


class TestAssembleSpectrum:
    def test_energies(self):
        spectrum = assemble_spectrum(**assemble_inputs())
        assert spectrum.energies == pytest.approx(
            {
                "ground_Ry": -391.10607781,
                "hole_Ry": -388.22426609,
                "core_correction_eV": 1809.516,
                "transition_eV": 1848.725,
                "energy_zero_eV": 2.6065,
                "fermi_eV": 3.6867,
                "offset_eV": 1851.3315,
                "ground_smearing_Ry": -2e-4,
                "hole_smearing_Ry": -1e-4,
                "highest_occupied_eV": 2.6065,
                "lowest_empty_eV": 3.6065,
            },
            abs=1e-3,
        )
        assert spectrum.base.attributes.get("cut_eV") == pytest.approx(0.5)
        assert spectrum.base.attributes.get("flags") == []
        assert spectrum.energies["ground_smearing_Ry"] == pytest.approx(-2e-4)
        assert spectrum.offset == pytest.approx(1848.725 + 2.6065, abs=1e-3)
        assert spectrum.base.attributes.get("free_energy") == {
            "quantity": "F = E - TS", "smearing": "gaussian", "degauss_eV": 0.068
        }  # fmt: skip
        assert (spectrum.site_index, spectrum.treatment) == (1, "fch")
        assert spectrum.base.attributes.get("structure_digest") == digest_of(mixed_structure())
        assert spectrum.base.attributes.get("engines") == {"pw": "6.7MaX", "xspectra": "6.7MaX"}
        assert spectrum.white_line == pytest.approx(spectrum.offset + 8.2, abs=0.1)
        np.testing.assert_allclose(spectrum.energy - spectrum.offset, ENERGY, atol=1e-9)

    def test_xch_is_relative_to_the_fermi_energy(self):
        spectrum = assemble_spectrum(**assemble_inputs("xch"))
        assert spectrum.offset == pytest.approx(1848.725 + 2.6065 - 3.6867, abs=1e-3)

    def test_without_a_hole_the_transition_is_the_free_atoms(self):
        spectrum = assemble_spectrum(**assemble_inputs("none"))
        assert spectrum.energies["transition_eV"] == pytest.approx(1861.659, abs=1e-2)
        assert spectrum.offset == pytest.approx(1861.659 + 2.6065 - 3.6867, abs=1e-2)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("wfc_cutoff", 544.2),
            ("rho_cutoff", 5442.3),
            ("smearing_type", "marzari-vanderbilt"),
            ("degauss", 0.136),
            ("creator_version", "7.2"),
            ("monkhorst_pack_grid", [2, 2, 2]),
            ("monkhorst_pack_offset", [1, 1, 1]),
            ("volume", 230.0),
            ("dft_exchange_correlation", "PBESOL"),
            ("number_of_spin_components", 2),
            ("fft_grid", [48, 48, 48]),
        ],
    )
    def test_different_settings_are_refused(self, key, value):
        with pytest.raises(ValueError, match=f"differ in {key}.*Compute both with the same settings"):
            assemble_spectrum(**assemble_inputs(**{key: value}))

    @pytest.mark.parametrize(
        ("treatment", "gap", "cut", "flag"),
        [("fch", 0.19, 0.095, "gap of 0.19 eV"), ("none", 0.06, 0.05, "gap of 0.06 eV"), ("xch", 0.06, 0.0, None)],
    )
    def test_small_gaps(self, treatment, gap, cut, flag):
        """Half way, but 0.05 eV above the highest occupied level at least, and flagged; xch keeps the Fermi energy."""
        inputs = assemble_inputs(treatment)
        inputs["bands"] = bands_of([2.6065, 2.6065 + gap], [2.0, 0.0])
        attributes = assemble_spectrum(**inputs).base.attributes
        assert attributes.get("cut_eV") == pytest.approx(cut)
        assert [words[:14] for words in attributes.get("flags")] == ([] if flag is None else [flag])

    def test_axis_and_zero_do_not_move_with_the_cut(self):
        inputs = assemble_inputs()
        one = assemble_spectrum(**inputs)
        inputs["bands"] = bands_of([2.6065, 8.6065], [2.0, 0.0])
        other = assemble_spectrum(**inputs)
        assert (other.offset, other.base.attributes.get("cut_eV")) == (one.offset, pytest.approx(3.0))
        np.testing.assert_array_equal(other.energy, one.energy)

    def test_without_an_empty_level(self):
        inputs = assemble_inputs()
        inputs["bands"] = bands_of([2.6065, 3.0], [2.0, 2.0])
        with pytest.raises(ValueError, match=r"all of the 2 levels are occupied.*Compute more bands"):
            assemble_spectrum(**inputs)

    def test_an_energy_that_is_no_number(self):
        inputs = assemble_inputs()
        inputs["atomic_energies"] = orm.Dict({"core_correction_eV": "inf"})
        with pytest.raises(ValueError, match="an energy of site 1 is not a number"):
            assemble_spectrum(**inputs)


def pseudo(name: str) -> UpfData:
    """Return a stored header of a UPF file."""
    text = f'<UPF version="2.0.1">\n<PP_HEADER element="Si" z_valence="4.0" comment="{name}"/>\n</UPF>\n'
    return UpfData(io.BytesIO(text.encode()), filename=f"{name}.UPF").store()


def finished_job(computer, outputs, **inputs):
    """Return a stored CalcJobNode with inputs and outputs, nested labels joined by two underscores."""
    job = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:quantumespresso.pw")
    for label, node in inputs.items():
        job.base.links.add_incoming(node if node.is_stored else node.store(), LinkType.INPUT_CALC, label)
    job.store()
    for label, node in outputs.items():
        node.base.links.add_incoming(job, LinkType.CREATE, label)
        node.store()
    return job


NAMELISTS = {"SYSTEM": {"ecutwfc": 50.0, "degauss": 0.005, "tot_charge": 0.0}, "ELECTRONS": {"conv_thr": 9e-9}}


class TestLinkedRuns:
    """What only the inputs of the runs tell: they are compared through the links of the parsed outputs."""

    @pytest.fixture
    def linked(self, computer):
        """Return a function that gives the inputs of assemble_spectrum linked to jobs, the hole cell changed."""

        def make(system=None, electrons=None, structure=None, mesh=(1, 1, 1), oxygen="O", ground=None):
            inputs = assemble_inputs()
            pseudos = {name: pseudo(name) for name in ("Si", "O", "Sih", "O2", "Si2")}
            cell = inputs["structure"] if structure is None else structure
            for name, changed in (("ground", False), ("hole", True)):
                namelists = copy.deepcopy(NAMELISTS)
                kpoints = orm.KpointsData()
                kpoints.set_kpoints_mesh(mesh if changed else (1, 1, 1))
                if changed:
                    namelists["SYSTEM"] |= {"tot_charge": 1.0, "nbnd": 30, **(system or {})}
                    namelists["ELECTRONS"] |= electrons or {}
                used = cell if changed else inputs["structure"] if ground is None else ground
                finished_job(
                    computer,
                    {"output_parameters": inputs[f"{name}_parameters"]},
                    structure=mark_absorber(used, orm.Int(1), orm.Str("Sih")) if changed else used,
                    parameters=orm.Dict(namelists),
                    kpoints=kpoints,
                    pseudos__Si=pseudos["Si"],
                    pseudos__O=pseudos[oxygen if changed else "O"],
                    **({"pseudos__Sih": pseudos["Sih"]} if changed else {}),
                )
            return inputs, pseudos

        return make

    def test_runs_that_agree(self, linked):
        """Charge, bands and the kind of the absorber may differ."""
        inputs, _ = linked()
        assert inputs["hole_parameters"].creator is not None
        assert assemble_spectrum(**inputs).energies["transition_eV"] == pytest.approx(1848.725, abs=1e-3)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"system": {"ecutwfc": 40.0}}, r"SYSTEM\.ecutwfc \(50\.0 and 40\.0\)"),
            ({"system": {"nosym": True}}, r"SYSTEM\.nosym \(None and True\)"),
            ({"electrons": {"conv_thr": 1e-6}}, r"ELECTRONS\.conv_thr \(9e-09 and 1e-06\)"),
            ({"mesh": (2, 1, 1)}, r"k points \(\[\[1, 1, 1\], .* and \[\[2, 1, 1\]"),
            ({"oxygen": "O2"}, r"the pseudopotential of O \(O\.UPF and O2\.UPF\)"),
        ],
    )
    def test_inputs_that_differ_are_refused(self, linked, changes, message):
        inputs, _ = linked(**changes)
        with pytest.raises(ValueError, match=f"differ in {message}.*Compute both with the same settings"):
            assemble_spectrum(**inputs)

    @pytest.mark.parametrize(("key", "name"), [("structure", "hole cell"), ("ground", "ground state")])
    def test_another_cell_is_refused(self, linked, key, name):
        other = mixed_structure()
        other.set_cell(np.diag([5.0, 6.0, 7.1]).tolist())
        inputs, _ = linked(**{key: other})
        with pytest.raises(ValueError, match=f"cell or positions \\(those of the {name} are not"):
            assemble_spectrum(**inputs)

    @pytest.mark.parametrize(
        ("ground", "hole", "wrong"), [("Si", "Sih", None), ("Si2", "Sih", "Si"), ("Si", "O", "Sih")]
    )
    def test_core_correction_of_other_pseudopotentials(self, linked, computer, ground, hole, wrong):
        inputs, pseudos = linked()
        made = {}
        for name, kind in (("ground", ground), ("hole", hole)):
            made[name] = orm.Dict({"all_electron_Ry": 1.0})
            again = UpfData(io.BytesIO(pseudos[kind].get_content().encode()), filename=f"{kind}.UPF")
            finished_job(computer, {"output_parameters": made[name], "pseudo": again})
        collect = orm.CalcFunctionNode()
        for name, node in made.items():
            collect.base.links.add_incoming(node, LinkType.INPUT_CALC, name)
        collect.store()
        inputs["atomic_energies"].base.links.add_incoming(collect, LinkType.CREATE, "result")
        inputs["atomic_energies"].store()
        if wrong is None:
            assert assemble_spectrum(**inputs).energies["core_correction_eV"] == 1809.516
        else:
            with pytest.raises(
                ValueError, match=f"belongs to another pseudopotential of {wrong} .*AtomicDataWorkChain"
            ):
                assemble_spectrum(**inputs)


def quartz_table(done=(True, True)):
    """Return a table whose first finished site has its maximum at 1859.58 eV, the next ones 1 eV higher."""
    energy = np.arange(1838.0, 1898.01, 0.1)
    rows, position = [], 1859.58
    for i, ok in enumerate(done):
        rows.append(make_row(i, 1 / (1 + (energy - position) ** 2) if ok else None))
        position += ok
    return make_table(rows, energy, settings_digest="abc")


class TestCalibrate:
    @pytest.mark.parametrize("done", [(True, True), (False, True)])
    def test_shift(self, done):
        calibration = calibrate(quartz_table(done), orm.Float(1846.8), orm.Int(1))
        assert calibration.shift == pytest.approx(-12.78, abs=0.005)
        attributes = calibration.base.attributes
        assert attributes.get("white_line_eV") == pytest.approx(1859.58, abs=0.005)
        assert attributes.get("target_eV") == 1846.8
        assert calibration.settings_digest == "abc"

    def test_no_finished_site(self):
        with pytest.raises(ValueError, match="no finished site: nothing to calibrate with"):
            calibrate(quartz_table((False, False)), orm.Float(1846.8), orm.Int(1))

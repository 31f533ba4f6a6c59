"""``aiida-siox diffraction``: first peak, misfit, figure, columns, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.calculations.structures import structure_from_atoms
from aiida_siox.science.diffraction import structure_factors
from tests import crystals


@pytest.fixture(scope="module")
def rattled():
    """Return two disordered cells of cristobalite."""
    found = []
    for seed in (1, 2):
        atoms = crystals.beta_cristobalite()
        atoms.rattle(0.1, seed=seed)
        found.append(atoms)
    return found


@pytest.fixture(scope="module")
def structures(aiida_profile, rattled):
    return [structure_from_atoms(atoms).store() for atoms in rattled]


def test_first_peaks_and_json(run_cli, structures):
    text = run_cli("diffraction", structures[0].pk).stdout
    assert "neutron S(q): first peak 1.5" in text
    assert "X-ray S(q): first peak 1.5" in text
    shown = run_cli("diffraction", *(node.pk for node in structures), "--json").json
    assert shown["structures"] == [node.pk for node in structures]
    assert shown["first_peak_per_angstrom"]["neutron"] == pytest.approx(2 * np.pi * np.sqrt(3) / 7.16, abs=0.03), (
        "(111)"
    )
    assert shown["stored"] == []


@pytest.mark.parametrize(("form", "probe"), [("S", "neutron"), ("F", "xray"), ("i", "neutron")])
def test_misfit_to_itself_is_small(run_cli, structures, rattled, tmp_path, form, probe):
    """A measured curve (here synthetic: the computed one) on other q, in the forms of the literature."""
    found = structure_factors(rattled[0], 20.0, 0.02, 0.1)
    q = np.linspace(2.0, 11.0, 120)
    values = np.interp(q, found.q, getattr(found, probe))
    values = {"S": values, "F": q * (values - 1), "i": values - 1}[form]
    path = tmp_path / "measured.csv"
    np.savetxt(path, np.column_stack([q, values]), delimiter=",", header="q,value", comments="")
    arguments = ("diffraction", structures[0].pk, "--measured", path, "--form", form, "--probe", probe)
    shown = run_cli(*arguments, "--json").json
    assert shown["misfit"] < 0.02
    assert shown["n_points"] == 120
    assert f"misfit {shown['misfit']:.3f}" in run_cli(*arguments).stdout
    assert run_cli(*arguments, "--window", 3, 6, "--json").json["n_points"] == ((q >= 3) & (q <= 6)).sum()
    other = run_cli("diffraction", structures[1].pk, *arguments[2:], "--json").json
    assert other["misfit"] > 0.05


@pytest.mark.parametrize("name", ["sq.png", "sq.svg"])
def test_figure(run_cli, structures, tmp_path, name):
    path = tmp_path / name
    measured = tmp_path / "measured.txt"
    q = np.linspace(1, 10, 50)
    np.savetxt(measured, np.column_stack([q, 1 + 0.3 * np.sin(q)]))
    run_cli("diffraction", *(node.pk for node in structures), "--measured", measured, "--output", path)
    assert path.stat().st_size > 5000
    run_cli("diffraction", structures[0].pk, "--output", path)


def test_columns_and_stored_nodes(run_cli, structures, rattled, tmp_path):
    path = tmp_path / "sq.csv"
    shown = run_cli("diffraction", structures[0].pk, "--output", path, "--store", "--json").json
    table = np.genfromtxt(path, delimiter=",", names=True, deletechars="")
    found = structure_factors(rattled[0], 20.0, 0.02, 0.1)
    np.testing.assert_allclose(table["neutron"], found.neutron, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["Si-O"], found.partial["Si-O"], rtol=1e-4, atol=1e-5)
    node = orm.load_node(shown["stored"][0])
    np.testing.assert_allclose(node.get_array("xray"), found.xray)
    assert node.creator.process_type.endswith("diffract")
    assert node.creator.inputs.structure.uuid == structures[0].uuid
    assert node.base.attributes.get("first_peak_xray") == pytest.approx(shown["first_peak_per_angstrom"]["xray"])


def test_other_numbers(run_cli, structures, tmp_path):
    path = tmp_path / "numbers.yaml"
    path.write_text("first_peak: [2.0, 4.0]\nq_max: 8.0\n")
    first = run_cli("diffraction", structures[0].pk, "--overrides", path, "--json").json["first_peak_per_angstrom"]
    assert 2.0 < first["neutron"] < 4.0
    path.write_text("q_mxa: 8.0\n")
    assert "q_mxa" in run_cli("diffraction", structures[0].pk, "--overrides", path, fails=True).stderr


def test_refused(run_cli, structures, aiida_profile, tmp_path):
    silicon = structure_from_atoms(crystals.diamond_silicon()).store()
    error = run_cli("diffraction", structures[0].pk, silicon.pk, fails=True).stderr
    assert "several compositions (Si8, Si8O16)" in error
    number = orm.Int(3).store()
    assert "is no structure and made none" in run_cli("diffraction", number.pk, fails=True).stderr
    assert (
        "there is no file" in run_cli("diffraction", silicon.pk, "--measured", tmp_path / "none.txt", fails=True).stderr
    )
    assert "give the lower q first" in run_cli("diffraction", silicon.pk, "--window", 5, 2, fails=True).stderr
    angles = tmp_path / "angles.txt"
    np.savetxt(angles, np.column_stack([np.linspace(25, 90, 30), np.ones(30)]))
    error = run_cli("diffraction", silicon.pk, "--measured", angles, fails=True).stderr
    assert str(angles) in error
    assert "Is q in Å⁻¹" in error
    wrong = tmp_path / "fit.jpg"
    error = run_cli("diffraction", silicon.pk, "--output", wrong, fails=True).stderr
    assert "fit.jpg: the ending must be one of .png" in error
    assert not wrong.exists()
    assert "begins above q_max 20" in run_cli("diffraction", silicon.pk, "--window", 50, 60, fails=True).stderr


def test_doubtful_measurements_are_told(run_cli, structures, tmp_path):
    """In nm⁻¹ most points lie beyond what was computed; q [S(q) − 1] goes below zero."""
    q = np.linspace(0.5, 20, 200)
    values = 1 + np.exp(-0.2 * q) * np.sin(3 * q)
    good, nanometres, as_f = (tmp_path / f"{name}.txt" for name in ("good", "nm", "f"))
    np.savetxt(good, np.column_stack([q, values]))
    np.savetxt(nanometres, np.column_stack([10 * q, values]))
    np.savetxt(as_f, np.column_stack([q, q * (values - 1)]))

    def told(path, *arguments):
        return run_cli("diffraction", structures[0].pk, "--measured", path, *arguments)

    assert "Careful" not in told(good).stderr
    assert "of 200 points" in told(good).stdout
    assert "not in nm⁻¹" in told(nanometres).stderr
    assert "Is --form right?" in told(as_f).stderr
    assert "Careful" not in told(as_f, "--form", "F").stderr


@pytest.fixture
def structure_set(structures):
    """Return a set with two cells of silica and one of silicon."""
    silicon = structure_from_atoms(crystals.diamond_silicon()).store()
    node = orm.WorkChainNode(process_type="aiida.workflows:siox.structure_set").store()
    for label, output in {"Si8O16_1": structures[0], "Si8O16_2": structures[1], "Si8_1": silicon}.items():
        output.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=f"structures__{label}")
    return node


def test_cells_of_a_set(run_cli, structures, structure_set):
    assert "give those of one, or its --formula" in run_cli("diffraction", structure_set.pk, fails=True).stderr
    shown = run_cli("diffraction", structure_set.pk, "--formula", "Si8O16", "--json").json
    assert set(shown["structures"]) == {node.pk for node in structures}
    both = run_cli("diffraction", *(node.pk for node in structures), "--json").json
    assert shown["first_peak_per_angstrom"] == pytest.approx(both["first_peak_per_angstrom"])
    error = run_cli("diffraction", structure_set.pk, "--formula", "Si8O8", fails=True).stderr
    assert "`--formula` Si8O8: there is no structure of it. Valid: Si8, Si8O16." in error


@pytest.mark.parametrize("form", ["S", "F"])
def test_uncertainties_count(run_cli, structures, rattled, tmp_path, form):
    """A curve that is one standard uncertainty off everywhere has χ² = 1."""
    found = structure_factors(rattled[0], 20.0, 0.02, 0.1)
    q, values = found.q[50:400], found.neutron[50:400] + 0.05
    uncertainty = np.full(len(q), 0.05)
    if form == "F":
        values, uncertainty = q * (values - 1), q * uncertainty
    path = tmp_path / "measured.txt"
    np.savetxt(path, np.column_stack([q, values, uncertainty]))
    arguments = ("diffraction", structures[0].pk, "--measured", path, "--form", form)
    figure = tmp_path / "fit.png"
    assert run_cli(*arguments, "--output", figure, "--json").json["chi_squared"] == pytest.approx(1, abs=1e-6)
    assert figure.stat().st_size > 5000
    assert "mean χ² of a point 1," in run_cli(*arguments).stdout
    np.savetxt(path, np.column_stack([q, values, 0 * q]))
    assert "it must be positive" in run_cli(*arguments, fails=True).stderr


def test_single_cells_are_told(run_cli, structures, structure_set, monkeypatch):
    shown = run_cli("diffraction", structure_set.pk, "--formula", "SiO2")
    assert "mean of 2 cells; each alone: 1.5" in shown.stdout
    assert "Careful" not in shown.stderr
    peaks = iter((1.4, 1.8, 1.5, 1.5, 1.6, 1.5))
    monkeypatch.setattr("aiida_siox.cli.diffraction.sq.first_sharp_peak", lambda *_: next(peaks))
    assert (
        "first neutron peak of single cells differs by 0.40"
        in run_cli("diffraction", structure_set.pk, "--formula", "O2Si").stderr
    )

"""``aiida-siox run reference``: what is refused before any engine starts, and what is printed of the result."""

import yaml

from aiida_siox.cli.reference import print_comparison

ROW = {
    "n_atoms": 9,
    "mesh_scf": [1, 1, 1],
    "mesh_xspectra": [2, 2, 2],
    "treatment": "fch",
    "transition_eV": 1848.7251,
    "half_height_eV": 1858.549,
    "white_line_eV": 1859.562,
    "d_white_line_eV": -0.04,
    "l1": 0.031,
    "valence_e": 3.149,
}


def test_bad_cases_are_refused(run_cli, tmp_path):
    overrides = tmp_path / "overrides.yaml"
    case = {"compound": "quartz", "step": "small", "supercell": [1, 1, 1], "settings": {"scf": {"ecutwfc": 50.0}}}
    overrides.write_text(yaml.safe_dump({"cases": {"quartz": case}}))
    message = run_cli("run", "reference", "--overrides", overrides, fails=True).stderr
    assert "cases.quartz.settings.scf.ecutwfc" in message
    assert "did you mean `ecutwfc_Ry`?" in message
    overrides.write_text(yaml.safe_dump({"cases": {"quartz": {**case, "settings": {"treatment": "half"}}}}))
    assert (
        "case `quartz`: `settings.treatment`"
        in run_cli("run", "reference", "--overrides", overrides, fails=True).stderr
    )


def test_comparison_is_printed(capsys):
    comparison = {
        "rows": [{"name": "quartz_9", **ROW}],
        "shifts": [{"step": "small", "white_line_eV": 5.04, "half_height_eV": 5.52}],
        "experiment": {"shift": ["silicon", "quartz"], "shift_eV": 6.5, "source": "a figure"},
        "missing": ["silicon_8"],
    }
    print_comparison("Reference 7", comparison)
    out = capsys.readouterr().out
    for text in ("quartz_9", "2×2×2", "1848.725", "-0.04", "0.031", "5.04", "5.52", "6.50", "a figure", "silicon_8"):
        assert text in out

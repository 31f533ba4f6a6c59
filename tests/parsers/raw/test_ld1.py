"""Text of ld1.x → dictionary."""

from __future__ import annotations

import pytest

from aiida_siox.parsers.raw.ld1 import last_lines, parse_ld1


def read(fixtures_path, case: str) -> str:
    return (fixtures_path / "ld1" / case / "aiida.out").read_text()


@pytest.mark.parametrize(
    ("case", "all_electron", "pseudo", "levels"),
    [
        ("silicon_ground", -579.674871, -46.329006, {"1S": -131.2640, "2P": -7.0235, "3S": -0.7947}),
        ("silicon_hole", -442.845440, -42.496530, {"1S": -142.4326, "2P": -9.9902, "3S": -1.6641}),
    ],
)
def test_energies(fixtures_path, case, all_electron, pseudo, levels):
    result = parse_ld1(read(fixtures_path, case))
    assert result["finished"]
    assert result["error"] is None
    assert result["not_converged"] is None
    assert result["version"] == "6.7MaX"
    assert result["all_electron_Ry"] == all_electron
    assert result["pseudo_Ry"] == pseudo
    assert {label: result["eigenvalues_Ry"][label] for label in levels} == levels
    assert [row["label"] for row in result["test"]] == ["3S", "3P"]
    assert result["eigenvalue_error_Ry"] <= 1e-5
    assert result["scf_iterations"] > 10
    assert result["warnings"] == []


def test_warning_is_quoted(fixtures_path):
    result = parse_ld1(read(fixtures_path, "oxygen_coarse_mesh"))
    assert result["finished"]
    assert result["warnings"] == ["ld1_readin: US requires at least two energies per channel 3D"]


def test_error_is_quoted(fixtures_path):
    result = parse_ld1(read(fixtures_path, "stopped"))
    assert not result["finished"]
    assert result["error"] == "compute_chi (1): chi too large beyond r_c"
    assert result["not_converged"] is None
    assert "pseudo_Ry" not in result, "there is no pseudopotential energy in a run that stopped before"


def test_convergence_failure_is_told(fixtures_path):
    result = parse_ld1(read(fixtures_path, "not_converged"))
    assert result["not_converged"] == "warning: convergence not achieved"
    assert result["warnings"] == ["scf: warning: convergence not achieved"]


def test_truncated_anywhere_is_never_finished(fixtures_path):
    text = read(fixtures_path, "silicon_ground")
    end = text.rindex("End of pseudopotential test")
    for fraction in (0.0, 0.1, 0.5, 0.9, 1.0):
        assert not parse_ld1(text[: int(fraction * end)])["finished"]
    # the total energy of the all-electron run alone must not pass for that of the test at the end
    assert "all_electron_Ry" not in parse_ld1(text[: text.index("Testing the pseudopotential")])


def test_last_lines():
    assert last_lines("a\n\nb  \n\n c\n\n", 2) == "b\n c"

"""Which runs of pw.x may be combined."""

import pytest

from aiida_siox.science.run_comparison import COMPARED, free_energy, run_differences

#: As aiida-quantumespresso parses the runs of quartz.
RUN = {
    "creator_name": "pwscf",
    "creator_version": "6.7MaX",
    "number_of_atoms": 9,
    "volume": 113.0073359930872,
    "fft_grid": [60, 60, 72],
    "smooth_fft_grid": [45, 45, 45],
    "wfc_cutoff": 680.284586265,
    "rho_cutoff": 5442.27669012,
    "monkhorst_pack_grid": [1, 1, 1],
    "monkhorst_pack_offset": [0, 0, 0],
    "occupations": "smearing",
    "smearing_type": "gaussian",
    "degauss": 0.0680284586265,
    "dft_exchange_correlation": "PBE",
    "number_of_spin_components": 1,
    "lda_plus_u_calculation": False,
    "q_real_space": False,
}
#: What each of them may be instead.
OTHER = {
    "creator_name": "vasp",
    "creator_version": "7.2",
    "number_of_atoms": 12,
    "volume": 113.1,
    "fft_grid": [60, 60, 60],
    "smooth_fft_grid": [45, 45, 48],
    "wfc_cutoff": 544.2,
    "rho_cutoff": 2721.1,
    "monkhorst_pack_grid": [2, 2, 2],
    "monkhorst_pack_offset": [1, 1, 1],
    "occupations": "fixed",
    "smearing_type": "marzari-vanderbilt",
    "degauss": 0.136,
    "dft_exchange_correlation": "PBESOL",
    "number_of_spin_components": 2,
    "lda_plus_u_calculation": True,
    "q_real_space": True,
}


def test_runs_that_agree():
    assert run_differences(RUN, dict(RUN)) == []
    assert run_differences(RUN, {**RUN, "volume": RUN["volume"] * (1 + 1e-12), "number_of_symmetries": 2}) == []


@pytest.mark.parametrize("key", COMPARED)
def test_each_difference_is_named_with_both_values(key):
    (difference,) = run_differences(RUN, {**RUN, key: OTHER[key]})
    assert difference == f"{key} ({COMPARED[key]}: {RUN[key]} and {OTHER[key]})"


def test_smearing_in_one_run_only():
    fixed = {key: value for key, value in RUN.items() if key not in ("smearing_type", "degauss")}
    assert run_differences(RUN, {**fixed, "occupations": "fixed"}) == [
        "occupations (occupations: smearing and fixed)",
        "smearing_type (smearing: gaussian and none)",
        "degauss (width of the smearing, eV: 0.0680284586265 and none)",
    ]


def test_free_energy():
    assert free_energy(RUN) == {"quantity": "F = E - TS", "smearing": "gaussian", "degauss_eV": 0.0680284586265}
    assert free_energy({"occupations": "fixed"})["quantity"] == "E"

"""Text of xspectra.x, from real runs."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from aiida_siox.parsers.raw import xspectra as raw


@pytest.fixture
def read(fixtures_path):
    """Return a reader of fixtures."""

    def reader(name: str) -> str:
        data = (fixtures_path / "xspectra" / name).read_bytes()
        return gzip.decompress(data).decode() if name.endswith(".gz") else data.decode()

    return reader


def test_stdout_of_a_good_run(read):
    out = raw.parse_stdout(read("c_axis/polarisation_0.out.gz"))
    assert out["finished"]
    assert out["version"] == "6.7MaX"
    assert out["energy_zero_eV"] == out["fermi_energy_eV"] == 2.5349
    assert out["gamma_eV"] == 0.8
    assert out["weights"] == [2.0]
    assert out["iterations"] == [300]
    assert out["errors"] == [0.00056485]
    assert out["exhausted"] == []
    assert out["n_spins"] == 1
    assert out["cpu_s"] == 1.84
    assert out["wall_s"] == 1.93
    assert out["error"] is None
    assert not out["scratch_missing"]


@pytest.mark.parametrize(
    ("name", "error", "scratch_missing"),
    [
        ("no_scratch", "read_xml_file (1): fatal error reading xml file", True),
        ("no_wavefunctions", "read_wfc (2): cannot open restart file ./out/aiida.save/wfc1 for reading", True),
        ("no_core", "ERROR reading the core wavefunction file", False),
        ("truncated_core", None, False),
        ("wrong_xiabs", "xspectra (1): xiabs < 1 or xiabs > ntyp", False),
    ],
)
def test_stdout_of_runs_that_stopped(read, name, error, scratch_missing):
    out = raw.parse_stdout(read(f"failures/{name}.out"))
    assert not out["finished"]
    assert out["error"] == error
    assert out["scratch_missing"] is scratch_missing


def test_stdout_of_an_exhausted_run(read):
    """It reaches END JOB like any other."""
    out = raw.parse_stdout(read("failures/exhausted.out"))
    assert out["finished"]
    assert out["exhausted"] == [60]
    assert out["iterations"] == []


@pytest.mark.parametrize(
    ("clock", "expected"), [("  22.64s ", 22.64), ("1m 5.23s", 65.23), ("2h 3m", 7380.0), ("1d 1h 0m", 90000.0)]
)
def test_clock(clock, expected):
    assert raw.seconds(clock) == pytest.approx(expected)


def test_clock_without_time():
    with pytest.raises(ValueError, match="not a time"):
        raw.seconds("soon")


def test_last_lines_are_those_that_tell(read):
    assert raw.last_lines(read("failures/no_scratch.out")).endswith(
        "Error in routine read_xml_file (1): | fatal error reading xml file"
    )


def test_spectrum(read):
    energy, sigma = raw.parse_spectrum(read("c_axis/xanes_0.dat.gz"))
    assert energy.shape == sigma.shape == (1000,)
    assert (energy[0], energy[-1]) == (-10.0, 100.0)
    assert sigma.max() == pytest.approx(0.0108, abs=1e-3)


def test_spectrum_with_spin_takes_the_sum_by_name():
    energy, sigma = raw.parse_spectrum("# Energy (eV)   sigma_tot   sigma_up    sigma_down \n 1.0 5.0 2.0 3.0\n")
    assert (energy[0], sigma[0]) == (1.0, 5.0)


@pytest.mark.parametrize(
    "text",
    [
        "1.0 2.0\n",
        "# Energy (eV)   sigma\n 1.0 ****\n",
        "# Energy (eV)   sigma\n 1.0 2.0\n 1.1\n",
        "# Energy (eV)  mu\n",
    ],
)
def test_broken_spectrum(text):
    with pytest.raises(ValueError, match="the spectrum has"):
        raw.parse_spectrum(text)


def test_save_file(read):
    saved = raw.parse_save_file(read("c_axis/lanczos_0.sav.gz"))
    assert saved["a"].shape == saved["b"].shape == (1, 300)
    assert saved["n_iterations"].tolist() == [300]
    assert saved["core_energy_eV"] == 1839.0
    assert saved["fermi_energy_eV"] == pytest.approx(2.534867824)
    assert saved["norm"][0] == pytest.approx(0.014417308)
    np.testing.assert_allclose(saved["polarisation"], [0, 0, 1])
    assert saved["b"].min() > 0


def test_truncated_save_file(read):
    text = read("c_axis/lanczos_0.sav.gz")
    with pytest.raises(ValueError, match="truncated"):
        raw.parse_save_file(text[: len(text) * 3 // 4].rsplit(" ", 1)[0])


@pytest.mark.parametrize(
    ("old", "new"),
    [("xanes_dipole", "unfinished"), ("version=       2", "version=       1"), ("stored=   1", "stored=   2")],
)
def test_other_save_files_are_refused(read, old, new):
    text = read("c_axis/lanczos_0.sav.gz")
    assert old in text
    with pytest.raises(ValueError, match=r"save file"):
        raw.parse_save_file(text.replace(old, new, 1))


def test_weights_sum_to_two():
    np.testing.assert_array_equal(raw.normalised_weights([0.0741] * 27), np.full(27, 2 / 27))
    np.testing.assert_allclose(raw.normalised_weights([0.5, 1.5]), [0.5, 1.5])
    with pytest.raises(ValueError, match="no k points"):
        raw.normalised_weights([])

"""Texts of pp.x, siox-bader and Henkelman's bader."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aiida_siox.parsers.raw.bader import (
    last_lines,
    parse_acf,
    parse_bader_json,
    parse_bader_stdout,
    parse_pp,
    parse_scratch,
    seconds,
)
from aiida_siox.science.constants import BOHR_ANGSTROM


@pytest.fixture
def folder(fixtures_path):
    """Return the folder of outputs of α-quartz, 50/200 Ry."""
    return fixtures_path / "bader"


def acf(positions, electrons, volumes, vacuum=(0.0, 0.0)) -> str:
    """Return ACF.dat as Henkelman's program writes it (its io is in the units of the density file)."""
    rule = " " + 80 * "-"
    lines = ["    #         X           Y           Z       CHARGE      MIN DIST   ATOMIC VOL", rule]
    for index, (position, charge, volume) in enumerate(zip(positions, electrons, volumes, strict=True), 1):
        columns = "".join(f"{x:12.6f}" for x in (*position, charge, 1.1, volume))
        lines.append(f"{index:5d}{columns}")
    lines += [rule, f"    VACUUM CHARGE:     {vacuum[0]:18.4f}", f"    VACUUM VOLUME:     {vacuum[1]:18.4f}"]
    lines.append(f"    NUMBER OF ELECTRONS: {sum(electrons) + vacuum[0]:16.4f}")
    return "\n".join(lines) + "\n"


def test_pp(folder):
    parsed = parse_pp((folder / "pp_charge.out").read_text())
    assert parsed["finished"]
    assert parsed["error"] is None
    assert not parsed["scratch_missing"]
    assert parsed["version"] == "6.7MaX"
    assert 0 < parsed["cpu_s"] <= parsed["wall_s"] < 10


def test_pp_without_density(folder):
    parsed = parse_pp((folder / "pp_no_density.out").read_text())
    assert not parsed["finished"]
    assert parsed["scratch_missing"]
    assert parsed["error"] == "read_rhog: error reading file ./out/aiida.save/charge-density"


def test_pp_error_that_is_not_of_the_scratch():
    text = " %%%%\n     Error in routine postproc (4):\n     wrong plot_num\n %%%%\n"
    parsed = parse_pp(text)
    assert parsed == {"finished": False, "error": "postproc: wrong plot_num", "scratch_missing": False}


@pytest.mark.parametrize(
    ("text", "expected"), [("1.34s", 1.34), ("2m 3.50s", 123.5), ("1h12m", 4320.0), ("2m3.5s", 123.5), ("", 0.0)]
)
def test_seconds(text, expected):
    assert seconds(text) == pytest.approx(expected)


def test_scratch():
    text = "charge-density.hdf5\ndata-file-schema.xml\npaw.txt\n      <nelec>4.800000000000001e1</nelec>\n"
    assert parse_scratch(text) == {"missing": [], "n_electrons": pytest.approx(48.0)}


def test_scratch_that_is_gone():
    parsed = parse_scratch("ls: cannot access 'out/aiida.save': No such file\ngrep: out/data-file-schema.xml: none\n")
    assert parsed == {"missing": ["data-file-schema.xml", "charge-density"], "n_electrons": None}


def test_bader_json(folder):
    parsed = parse_bader_json((folder / "bader.json").read_text())
    assert parsed["electrons"].shape == (9,)
    assert parsed["numbers"].tolist() == [14] * 3 + [8] * 6
    assert parsed["electrons"].sum() == pytest.approx(parsed["n_electrons"])
    assert parsed["n_electrons"] == pytest.approx(48.0, abs=0.005)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.update(schema=99), "schema 99"),
        (lambda content: content.pop("schema"), "schema None"),
        (lambda content: content.pop("electrons"), "electrons"),
        (lambda content: content.update(electrons=[1.0]), "9 atoms"),
    ],
)
def test_bader_json_of_another_kind(folder, change, words):
    content = json.loads((folder / "bader.json").read_text())
    change(content)
    with pytest.raises(ValueError, match=words):
        parse_bader_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_bader_json_that_is_none(text):
    with pytest.raises(ValueError, match=r"schema|Expecting"):
        parse_bader_json(text)


@pytest.mark.parametrize("unit", [BOHR_ANGSTROM, 1.0])
def test_acf_in_bohr_or_angstrom(unit):
    positions = np.array([[0.0, 1.0, 2.0], [-1.0, 0.5, 3.0]])
    text = acf(positions / unit, [0.8, 7.6], np.array([20.0, 90.0]) / unit**3, vacuum=(0.1, 3.0 / unit**3))
    parsed = parse_acf(text, cell_volume_A3=113.0)
    np.testing.assert_allclose(parsed["positions_A"], positions, atol=1e-5)
    np.testing.assert_allclose(parsed["electrons"], [0.8, 7.6])
    np.testing.assert_allclose(parsed["volumes_A3"], [20.0, 90.0], rtol=1e-6)
    assert parsed["n_electrons"] == pytest.approx(8.5)
    assert parsed["n_electrons_unassigned"] == pytest.approx(0.1)


def test_acf_of_another_cell():
    with pytest.raises(ValueError, match="add up to"):
        parse_acf(acf([[0, 0, 0]], [1.0], [50.0]), cell_volume_A3=100.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:250], "incomplete"),
        (lambda text: text.replace("MIN DIST", "SOMETHING"), "columns"),
        (lambda text: "", "columns"),
        (lambda text: text.replace("50.000000", "*********"), "not a number"),
        (lambda text: text.replace("    2 ", "    3 "), "rows"),
    ],
)
def test_damaged_acf(change, words):
    text = acf([[0, 0, 0], [1, 1, 1]], [1.0, 2.0], [50.0, 50.0])
    assert change(text) != text
    with pytest.raises(ValueError, match=words):
        parse_acf(change(text), cell_volume_A3=100.0)


def test_version_of_henkelmans_program():
    assert parse_bader_stdout("\n  GRID BASED BADER ANALYSIS  (Version 1.05 08/19/23)\n") == {
        "version": "1.05 08/19/23"
    }
    assert parse_bader_stdout("something else") == {}


def test_last_lines():
    assert last_lines("a\n\nb  \n\n", 1) == "b"

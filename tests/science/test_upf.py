"""Repair of UPF files, on files that ld1.x wrote."""

from __future__ import annotations

import lzma
import re

import numpy as np
import pytest

from aiida_siox.science import upf


@pytest.fixture(
    scope="module", params=[("silicon_ground", "Si.pbe-gs-kjpaw.UPF"), ("oxygen_coarse_mesh", "O.pbe-kjpaw.UPF")]
)
def files(request, fixtures_path):
    """Return (case, text of the UPF file, text of ld1.wfc) as ld1.x wrote them."""
    case, name = request.param
    folder = fixtures_path / "ld1" / case
    return (
        case,
        lzma.decompress((folder / f"{name}.xz").read_bytes()).decode(),
        lzma.decompress((folder / "ld1.wfc.xz").read_bytes()).decode(),
    )


def numbers(text: str, tag: str) -> np.ndarray:
    """Return the numbers between an opening tag and its end."""
    match = re.search(rf"<{re.escape(tag)}\b[^>]*>(.*?)</{re.escape(tag)}>", text, re.DOTALL)
    assert match is not None, tag
    return np.array(match.group(1).split(), dtype=float)


def test_repair_makes_what_the_xml_reader_needs(files):
    case, raw, wfc = files
    orbitals = upf.read_orbitals(wfc)
    repaired = upf.repair(raw, orbitals)

    assert max(map(len, raw.split("\n"))) > upf.MAX_LINE, "the fixture has lost the defect that the repair is for"
    assert max(map(len, repaired.split("\n"))) < upf.MAX_LINE
    header = upf.header_attributes(repaired)
    assert header["has_gipaw"] == header["paw_as_gipaw"] == "true"
    core = {"silicon_ground": ["1S", "2S", "2P"], "oxygen_coarse_mesh": ["1S"]}[case]
    assert f'number_of_core_orbitals="{len(core)}"' in repaired
    for index, label in enumerate(core, start=1):
        tag = f"PP_GIPAW_CORE_ORBITAL.{index}"
        opening = re.search(rf"<{re.escape(tag)} [^>]*>", repaired).group(0)
        assert f'label="{label}"' in opening
        assert f'index="{index}"' in opening
        values = numbers(repaired, tag)
        assert values.size == int(header["mesh_size"])
        np.testing.assert_allclose(values, orbitals.values[label], rtol=0, atol=1e-14)
        # an orbital is normalised on the mesh of the file it was written into
        norm = np.sum(values**2 * numbers(repaired, "PP_RAB"))
        assert norm == pytest.approx(1.0, abs=2e-3)


def test_repair_keeps_every_number(files):
    _, raw, wfc = files
    repaired = upf.repair(raw, upf.read_orbitals(wfc))
    tags = re.findall(r"<(PP_[A-Z]+(?:\.\d+)*)\b[^>]*[^/]>", raw)
    compared = 0
    for tag in tags:
        body = re.search(rf"<{re.escape(tag)}\b[^>]*>(.*?)</{re.escape(tag)}>", raw, re.DOTALL).group(1)
        if "<" in body or tag in ("PP_INFO", "PP_INPUTFILE"):
            continue
        np.testing.assert_array_equal(numbers(repaired, tag), numbers(raw, tag))
        compared += 1
    assert compared > 20
    size = int(upf.header_attributes(raw)["number_of_proj"])
    assert numbers(repaired, "PP_MULTIPOLES").size == size**2 * 3


def test_repair_is_the_same_whatever_the_day(files):
    _, raw, wfc = files
    orbitals = upf.read_orbitals(wfc)
    date = upf.header_attributes(raw)["date"]
    assert re.fullmatch(r"\d+[A-Z][a-z]{2}\d{4}", date)
    repaired = upf.repair(raw, orbitals)
    assert upf.repair(raw.replace(date, " 1Jan2031"), orbitals) == repaired
    assert date not in repaired
    assert upf.repair(repaired, orbitals) == repaired, "a second repair must change nothing"


def test_repair_refuses_what_is_not_whole(files):
    _, raw, wfc = files
    orbitals = upf.read_orbitals(wfc)
    with pytest.raises(ValueError, match="not written to its end"):
        upf.repair(raw[: int(0.7 * len(raw))], orbitals)
    with pytest.raises(ValueError, match="no PP_HEADER"):
        upf.repair("", orbitals)
    with pytest.raises(ValueError, match="PAW or ultrasoft is needed"):
        upf.repair(raw.replace('pseudo_type="PAW"', 'pseudo_type="NC"'), orbitals)
    shorter = upf.Orbitals(orbitals.r[:-1], {label: values[:-1] for label, values in orbitals.values.items()})
    with pytest.raises(ValueError, match="different runs"):
        upf.repair(raw, shorter)
    moved = upf.Orbitals(orbitals.r * 1.001, orbitals.values)
    with pytest.raises(ValueError, match="different runs"):
        upf.repair(raw, moved)
    with pytest.raises(ValueError, match="no core orbital"):
        upf.repair(raw, upf.Orbitals(orbitals.r, {"3D": orbitals.values["3D"]}))


def test_a_complete_file_keeps_its_own_core_orbitals(files):
    _, raw, wfc = files
    orbitals = upf.read_orbitals(wfc)
    own = '  <PP_GIPAW gipaw_data_format="2">\n  </PP_GIPAW>\n'
    repaired = upf.repair(raw.replace("</UPF>", f"{own}</UPF>"), orbitals)
    assert repaired.count("<PP_GIPAW ") == 1
    assert "PP_GIPAW_CORE_ORBITAL.1" not in repaired


def test_orbitals_are_found_by_name_not_by_position():
    text = "#   r   3S   1S\n 0.1 0.3 0.5\n 0.2 0.4 0.6\n"
    orbitals = upf.read_orbitals(text)
    np.testing.assert_array_equal(orbitals.values["1S"], [0.5, 0.6])
    swapped = upf.read_orbitals("#   r   1S   3S\n 0.1 0.5 0.3\n 0.2 0.6 0.4\n")
    np.testing.assert_array_equal(swapped.values["1S"], orbitals.values["1S"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no header"),
        ("0.1 0.2\n", "no header"),
        ("# x 1S\n0.1 0.2\n", "must be `r`"),
        ("# r 1S\n", "no data"),
        ("# r 1S\n0.1 0.2\n0.3\n", "row 2"),
    ],
)
def test_torn_orbitals_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        upf.read_orbitals(text)


def test_core_wavefunction_is_what_xspectra_reads(files):
    _, _, wfc = files
    orbitals = upf.read_orbitals(wfc)
    lines = upf.core_wavefunction(orbitals, "1S").splitlines()
    assert lines[0].startswith("#")
    assert not any(line.startswith("#") for line in lines[1:]), "xspectra.x 6.7 skips exactly one line"
    table = np.array([line.split() for line in lines[1:]], dtype=float)
    assert table.shape == (orbitals.r.size, 2)
    np.testing.assert_allclose(table[:, 0], orbitals.r, rtol=1e-11)
    np.testing.assert_allclose(table[:, 1], orbitals.values["1S"], rtol=1e-11)
    # r·ψ of 1s is normalised on a logarithmic mesh: dr = r·d(ln r)
    norm = np.sum(table[:, 1] ** 2 * np.gradient(table[:, 0]))
    assert norm == pytest.approx(1.0, abs=2e-3)


def test_core_wavefunction_needs_the_orbital():
    orbitals = upf.read_orbitals("# r 2P\n0.1 0.5\n0.2 0.6\n")
    assert upf.core_wavefunction(orbitals, "1S") is None


def test_long_lines_with_a_tag_are_not_broken():
    text = '<PP_DIJ a="1">\n' + " ".join(["1.0"] * 100) + "\n</PP_DIJ>"
    wrapped = upf.wrap_long_lines(text)
    assert max(map(len, wrapped.split("\n"))) <= 132
    assert wrapped.split() == text.split()
    with pytest.raises(ValueError, match="reads 1024"):
        upf.wrap_long_lines('<PP_X a="' + "1" * 2000 + '">')


def test_header_flags_must_exist():
    with pytest.raises(ValueError, match="no attribute `has_gipaw`"):
        upf.set_header_flags('<PP_HEADER element="Si"/>', has_gipaw=True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [('is_paw="true"', True), ('is_paw=".FALSE."', False), ('is_paw="F"', False), ('is_ultrasoft="T"', None)],
)
def test_is_paw(header, expected):
    assert upf.is_paw(f"<PP_HEADER {header}/>") is expected

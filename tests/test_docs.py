"""The pages of the documentation that are written from the specifications."""

from __future__ import annotations

import importlib.util
import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).parent.parent / "docs"


def load(path: pathlib.Path):
    """Import a script of the documentation."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages():
    """Return the extension that writes the pages of WorkChains and CalcJobs."""
    return load(DOCS / "workchain_pages.py")


@pytest.fixture(scope="module")
def reference():
    """Return the extension that writes the pages of commands and modules."""
    return load(DOCS / "reference_pages.py")


def test_page_of_the_commands(reference):
    """Every command with all of its options."""
    from aiida_siox.cli import COMMANDS

    text = reference.command_page()
    for name in COMMANDS:
        assert f"`aiida-siox {name}`\n" in text
    assert "#### `aiida-siox run structure`\n" in text
    assert "| `--sites TEXT` | Indices of the absorbers" in text


def test_pages_of_the_modules(reference):
    """Every module of the package once, by folder."""
    found = reference.modules()
    names = [name for names in found.values() for name in names]
    assert len(names) == len(set(names)) == len(list((DOCS.parent / "aiida_siox").rglob("*.py")))
    assert "aiida_siox.registry" in found["aiida_siox"]
    assert "aiida_siox.parsers.raw.ld1" in found["parsers"]
    assert ".. automodule:: aiida_siox.materials.material" in reference.module_page("materials", found["materials"])


def test_pictures_are_those_of_the_script():
    """The pictures of the architecture are drawn by their script, and every folder of the package is a layer."""
    draw = load(DOCS / "develop" / "draw.py")
    for name, picture in draw.PICTURES.items():
        assert (DOCS / "develop" / name).read_text() == picture(), f"python docs/develop/draw.py: {name} has changed"
    layers = {name for layer in draw.LAYERS for names, _ in layer for name in names.split(", ")}
    package = DOCS.parent / "aiida_siox"
    assert layers == {
        path.stem for path in package.iterdir() if path.name[0] not in "_." and path.suffix in ("", ".py")
    }


@pytest.mark.parametrize("name", ["siox.study", "siox.structure_targets", "siox.melt_quench", "siox.atomic_data"])
def test_page_of_a_workchain(pages, name):
    """A page holds every input, output and exit code of its own, and the outline."""
    from aiida.plugins import WorkflowFactory

    process = WorkflowFactory(name)
    text = pages.page(name, process)
    assert text.startswith(f"# {process.__name__}\n")
    for port, _ in pages.walk(process.spec().inputs):
        assert f"`{port}`" in text
    for port, _ in pages.walk(process.spec().outputs):
        assert f"`{port}`" in text
    for label, code in process.spec().exit_codes.items():
        if code.status >= 300:
            assert f"| {code.status} | `{label}` |" in text
    assert "## Outline\n\n- " in text
    assert "None.\n" not in text.split("## Outputs")[0]


def test_page_of_a_calcjob(pages):
    from aiida.plugins import CalculationFactory

    text = pages.page("siox.xspectra", CalculationFactory("siox.xspectra"))
    assert "`core_wavefunction`" in text
    assert "## Outline" not in text


def test_every_page_is_in_the_index():
    """No page of the documentation is lost."""
    index = (DOCS / "index.md").read_text()
    for path in DOCS.rglob("*.md"):
        relative = path.relative_to(DOCS)
        if relative.parts[0] == "_build" or relative.parts[:2] in {
            ("reference", "workchains"),
            ("reference", "calcjobs"),
            ("reference", "api"),
            ("validation", "tables"),  # included in a page
            ("structures", "tables"),
        }:
            continue
        if relative.name != "index.md":
            assert str(relative.with_suffix("")) in index, f"{relative} is not in docs/index.md"


def test_no_page_is_unfinished():
    """What a page includes is there, and nothing is left to fill in."""
    for path in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]:
        if "_build" in path.parts:
            continue
        text = path.read_text()
        for included in re.findall(r"^```{include} (\S+)$|^:file: (\S+)$|!\[[^]]*\]\(([^)#:]+)\)", text, re.MULTILINE):
            target = path.parent / "".join(included)
            assert target.is_file(), f"{path.relative_to(DOCS.parent)} includes {''.join(included)}, which is not there"
        assert not re.search(r"\b[A-Z]+_SENTENCE\b|\bTODO\b|\bTBD\b", text), path

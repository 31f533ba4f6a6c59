"""The layers of the package: what may import what, and that every entry point loads."""

from __future__ import annotations

import ast
import graphlib
import importlib.metadata
import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "aiida_siox"

#: From the bottom: what a folder or module of the package imports is in its own layer or one below.
LAYERS = (
    ("registry", "checked"),
    ("materials",),
    ("science",),
    ("learning",),
    ("data",),
    ("calculations", "parsers"),
    ("workflows",),
    ("report",),
    ("cli",),
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
AIIDA = {"aiida", "aiida_quantumespresso", "aiida_lammps", "aiida_pseudo"}
#: Packages that parts of this one must not import, even inside functions.
FORBIDDEN = {
    **{part: {*AIIDA, "torch", "click", "rich"} for part in ("registry", "checked", "materials", "science")},
    "learning": {*AIIDA, "click", "rich"},
    "parsers/raw": {*AIIDA, "torch"},
}
#: The part of the code lines that commands and reports may have: output is not what the package is for.
MOST_SHOWN = 0.36
ENTRY_POINTS = sorted(
    (
        entry_point
        for entry_point in importlib.metadata.distribution("aiida-siox").entry_points
        if entry_point.group.startswith("aiida.") or entry_point.group == "console_scripts"
    ),
    key=lambda entry_point: (entry_point.group, entry_point.name),
)


def imported_names(path: pathlib.Path) -> set[str]:
    """Return the full names of all modules that a file imports, at its top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = path.relative_to(PACKAGE.parent).with_suffix("").parts[: -node.level]
                module = ".".join((*parts, module)).rstrip(".")
            names.add(module)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def files_of(part: str) -> list[pathlib.Path]:
    """Return the modules of a folder of the package, or the one of that name."""
    return sorted((PACKAGE / part).rglob("*.py")) or [PACKAGE / f"{part}.py"]


def test_every_part_is_in_a_layer():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}
    assert parts - {"__init__"} == set(LAYER_OF)


@pytest.mark.parametrize("part", FORBIDDEN)
def test_part_does_not_import(part):
    """Science and learning know nothing of AiiDA, science nothing of torch, raw parsers neither."""
    for path in files_of(part):
        wrong = {name for name in imported_names(path) if name.split(".")[0] in FORBIDDEN[part]}
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {sorted(wrong)}"


@pytest.mark.parametrize("part", LAYER_OF)
def test_no_import_runs_upwards(part):
    """No module imports from a layer above its own."""
    for path in files_of(part):
        own = {name.split(".")[1] for name in imported_names(path) if name.startswith("aiida_siox.")}
        above = {name for name in own if LAYER_OF.get(name, -1) > LAYER_OF[part]}
        assert not above, f"{path.relative_to(PACKAGE)} imports from {sorted(above)}"


def test_bader_script_needs_neither_aiida_nor_torch():
    """`siox-bader` runs where only baderkit is installed beside it."""
    code = (
        "import sys, aiida_siox.science.bader_script\n"
        "heavy = {'aiida', 'torch', 'click', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_training_script_needs_no_aiida():
    """`siox-analyse` runs where numpy, scipy and torch are, and nothing else of this package's needs."""
    code = (
        "import sys, aiida_siox.learning.script, aiida_siox.learning.analysis.parts\n"
        "heavy = {'aiida', 'click', 'rich', 'matplotlib', 'ase'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_entry_points_are_declared():
    """The plugin declares what the design names."""
    names = {(entry_point.group, entry_point.name) for entry_point in ENTRY_POINTS}
    assert {
        ("aiida.calculations", "siox.xspectra"),
        ("aiida.data", "siox.site_table"),
        ("aiida.parsers", "siox.ld1"),
        ("aiida.workflows", "siox.study"),
        ("console_scripts", "aiida-siox"),
        ("console_scripts", "siox-bader"),
        ("console_scripts", "siox-analyse"),
    } <= names


@pytest.mark.parametrize("entry_point", ENTRY_POINTS, ids=lambda entry_point: f"{entry_point.group}:{entry_point.name}")
def test_entry_point_loads(entry_point):
    """Each entry point can be imported and is what its group says."""
    from aiida.engine import CalcJob, WorkChain
    from aiida.orm import Data
    from aiida.parsers import Parser

    loaded = entry_point.load()
    kinds = {
        "aiida.calculations": CalcJob,
        "aiida.parsers": Parser,
        "aiida.data": Data,
        "aiida.workflows": WorkChain,
    }
    if entry_point.group in kinds:
        assert issubclass(loaded, kinds[entry_point.group])
    else:
        assert callable(loaded)


def imports_by_module() -> dict[str, set[str]]:
    """Return the modules of the package that each module imports, at its top or inside functions.

    A package counts only where something of its own is imported, not a module of it.
    """
    modules = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    found = {}
    for name, path in modules.items():
        imported = imported_names(path)
        found[name] = {
            each
            for each in imported & set(modules) - {name}
            if not (
                modules[each].name == "__init__.py" and any(m.startswith(f"{each}.") for m in imported & set(modules))
            )
        }
    return found


def test_no_import_cycle():
    """No module is needed, even inside a function, by one that it needs."""
    graphlib.TopologicalSorter(imports_by_module()).prepare()


#: Literals that name elements, kinds, pairs, crystals or levels, which only a material may.
OF_A_MATERIAL = re.compile(r"(Si|O|Ge)(h|-(Si|O|Ge)|_(Si|O|Ge))?|(alpha-)?quartz|1[Ss]")
#: Where they may stand, and why.
EXCEPTIONS = {
    ("report/records.py", "O"): "one of the elements that take electrons, whatever the material",
}


def test_literals_of_a_material_stand_with_the_material():
    """Si, O, Sih, 1S and quartz are values of materials/*.yaml: code names roles."""
    found = {
        (str(path.relative_to(PACKAGE)), node.value)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and OF_A_MATERIAL.fullmatch(node.value)
    }
    assert {place for place in found if place[0].split("/")[0] != "materials"} == set(EXCEPTIONS)


def test_functions_and_files_are_short():
    """No function has more than 80 lines, no file more than 450."""
    long = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        if text.count("\n") > 450:
            long[str(path.relative_to(PACKAGE))] = text.count("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 80:
                long[f"{path.relative_to(PACKAGE)}: {node.name}"] = node.end_lineno - node.lineno + 1
    assert long == {}


def test_commands_and_reports_are_a_third_of_the_package():
    """By the counter of the repository, tools/count_lines.py."""
    spec = importlib.util.spec_from_file_location("count_lines", PACKAGE.parent / "tools" / "count_lines.py")
    counter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(counter)
    lines = {path: counter.code_lines(path) for path in PACKAGE.rglob("*.py")}
    shown = sum(number for path, number in lines.items() if path.relative_to(PACKAGE).parts[0] in ("cli", "report"))
    assert shown <= MOST_SHOWN * sum(lines.values())

"""``aiida-siox run structures``: amorphous cells of several compositions, and what ``show`` says of them."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import click
from aiida import orm
from aiida.common.links import LinkType

from aiida_siox.cli.codes import get_codes
from aiida_siox.cli.common import named_outputs, scheduler_options, user_errors
from aiida_siox.cli.launch import launch
from aiida_siox.cli.output.numbers import number
from aiida_siox.cli.output.tables import print_table
from aiida_siox.materials import load_material
from aiida_siox.science.acceptance import COLUMNS, REASON_WORDS, acceptance_rows
from aiida_siox.science.composition import validate_melt_formula
from aiida_siox.workflows.melt_quench import MeltQuenchWorkChain
from aiida_siox.workflows.structure_set import StructureSetWorkChain


def launch_structures(
    *,
    formulas: tuple[str, ...],
    compositions: str | None,
    seeds: list[int] | None,
    protocol: str | None,
    overrides: dict[str, Any],
    max_concurrent: int | None,
    options_file: pathlib.Path | None,
    computer: str | None,
    code_label: str | None,
    submit: bool,
    as_json: bool,
) -> None:
    """Build a StructureSetWorkChain from the options of the command line and launch it."""
    options = scheduler_options(options_file, "lmp")
    with user_errors():
        inputs = MeltQuenchWorkChain.get_protocol_inputs(protocol, overrides)
        names = requested_formulas(formulas, compositions, inputs["material"])
        builder = StructureSetWorkChain.get_builder_from_protocol(
            get_codes(["lmp"], {"lmp": code_label} if code_label else None, computer)["lmp"],
            protocol,
            overrides,
            compositions=names or None,
            seeds=seeds,
            max_concurrent=max_concurrent,
            options=options,
        )
    launch(builder, submit)


def requested_formulas(formulas: Sequence[str], compositions: str | None, material: Mapping[str, Any]) -> list[str]:
    """Return the formulas of ``--formula`` and ``--compositions``.

    :param material: all its values.

    :raises click.ClickException: for one that cannot be melted, or that is named twice.
    """
    names = [*formulas, *(word for word in (compositions or "").replace(",", " ").split())]
    with user_errors():
        for name in names:
            validate_melt_formula(name, load_material(material))
        if len(set(names)) < len(names):
            raise ValueError(f"a formula is named twice: {', '.join(names)}. Give more --seeds for more cells of it.")
    return names


def set_summary(node: orm.ProcessNode) -> dict[str, Any]:
    """Return the cells of a structure set with their quality, and the acceptance by formula."""
    outputs = named_outputs(node)
    cells = []
    for label, pk in outputs.get("structure", {}).items():
        quality = orm.load_node(outputs["quality"][label]).get_dict()
        attempts = orm.load_node(outputs["attempts"][label]).get_dict()
        cells.append({"label": label, "structure": pk, "seed": attempts["accepted_seed"], **quality})
    failures = {label: orm.load_node(pk).get_dict()["reason"] for label, pk in outputs.get("failure", {}).items()}
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={"id": node.pk}, tag="set")
    query.append(orm.ProcessNode, with_incoming="set", tag="lane")
    query.append(orm.ProcessNode, with_incoming="lane", edge_project="label", project="id")
    processes = {label.removeprefix("melt_quench_"): pk for pk, label in query.all()}
    return {"cells": cells, "acceptance": acceptance_of(outputs), "failures": failures, "configurations": processes}


def cells_of(node: orm.ProcessNode) -> list[dict[str, Any]]:
    """Return the cell of a melt-quench, or the accepted one and the rejected ones of a configuration."""
    outputs = node.base.links.get_outgoing(link_type=LinkType.RETURN).nested()
    if "quality" in outputs:
        seed = outputs["attempts"]["accepted_seed"] if "attempts" in outputs else node.inputs.seed.value
        found = [(seed, outputs["structure"], outputs["quality"])]
    else:
        found = []
    for label, quality in outputs.get("rejected_qualities", {}).items():
        found.append((int(label.removeprefix("seed_")), outputs["rejected"][label], quality))
    return [
        {"label": f"{quality['formula']}_{seed}", "structure": structure.pk, "seed": seed, **quality.get_dict()}
        for seed, structure, quality in found
    ]


def print_cells(title: str, cells: Sequence[Mapping[str, Any]]) -> None:
    """Print one row a cell."""
    columns = ["configuration", "structure", "seed", "g/cm³", "expected", "SiO₀ … SiO₄, more / %", "Si neighbours"]
    columns += ["O₁ O₂ O₃ / %", "void / %", "S(q) peak / Å⁻¹", "eV/atom", "rejected by", "flags"]
    rows = []
    for cell in sorted(cells, key=lambda entry: (entry["x"], natural(entry["label"]))):
        total = sum(int(n) * count for n, count in cell["coordination_total"].items()) / cell["n_silicon"]
        counts = [cell["coordination_oxygen"].get(str(n), 0) for n in range(5)]
        shares = [100 * count / cell["n_silicon"] for count in (*counts, cell["n_silicon"] - sum(counts))]
        flags = [flag for flag in cell["flags"] if flag not in cell["rejected_by"]]
        rows.append(
            [
                cell["label"],
                str(cell["structure"]),
                str(cell["seed"]),
                number(cell["density_g_cm3"], 3),
                number(cell["expected_density_g_cm3"], 2),
                " ".join(f"{share:.0f}" for share in shares),
                number(total, 2),
                oxygen_shares(cell),
                number(100 * cell["void_fraction"] if "void_fraction" in cell else None, 1),
                number(cell["first_peak_neutron_per_angstrom"], 2),
                number(cell.get("energy_per_atom_eV"), 3),
                in_words(cell["rejected_by"]),
                in_words(flags),
            ]
        )
    print_table(title, columns, rows)


def natural(label: str) -> tuple[str, int]:
    """Return what sorts labels such as Si8O4_10 by formula and number."""
    formula, _, seed = label.rpartition("_")
    return formula, int(seed) if seed.isdigit() else 0


def in_words(rules: Sequence[str]) -> str:
    """Return names of rules in words, a dash for none."""
    return ", ".join(REASON_WORDS.get(rule, rule) for rule in rules) or "-"


def oxygen_shares(cell: Mapping[str, Any]) -> str:
    """Return the percentages of O with one, two and three Si, a dash without O."""
    counts = {int(n): count for n, count in cell["n_silicon_of_oxygen"].items()}
    total = sum(counts.values())
    return " ".join(f"{100 * counts.get(n, 0) / total:.0f}" for n in (1, 2, 3)) if total else "-"


def print_structure_set(title: str, summary: Mapping[str, Any]) -> None:
    """Print the accepted cells, and how many were accepted by formula."""
    print_cells(title, summary["cells"])
    print_acceptance(summary["acceptance"])
    if summary.get("exit_message"):
        click.echo(summary["exit_message"])
    for label, reason in summary["failures"].items():
        pk = summary["configurations"].get(label)
        more = f" All of its cells: aiida-siox show {pk}" if pk else ""
        click.echo(f"{label} failed: {reason}{more}")


def acceptance_of(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the acceptance by formula of a set or study, without formulas where it is not counted yet.

    :param outputs: of :func:`aiida_siox.cli.common.named_outputs`.
    """
    return orm.load_node(outputs["acceptance"]).get_dict() if "acceptance" in outputs else {"order": []}


def print_acceptance(counted: Mapping[str, Any]) -> None:
    """Print one row a formula: cells that were asked for, accepted and made, and what the others came to."""
    if rows := acceptance_rows(counted):
        print_table("Acceptance", list(COLUMNS), rows)

"""From nodes to what reports are made of: the only place of this package that knows what data nodes hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.data.property_arrays import PropertyArrays
from aiida_siox.report.page import signed
from aiida_siox.report.records import CellRecord, Readings, SiteRecords, Substance, columns_of
from aiida_siox.report.study_nodes import Study
from aiida_siox.science.properties import PROPERTIES
from aiida_siox.science.quantity import Quantity
from aiida_siox.science.spectra import MINIMUM_COVERAGE


def quantities_of(node: PropertyArrays) -> dict[str, Quantity]:
    """Return what the properties of a node are; those that nobody has registered here are left out."""
    axes, attributes = node.axes, node.base.attributes.all
    names = [name for name in node.kinds if name in PROPERTIES]
    return {name: PROPERTIES[name].quantity(axes.get(name), attributes) for name in names}


def substance_of(node: PropertyArrays) -> Substance:
    """Return what was computed."""
    identity, axes = node.base.attributes.get("material"), node.axes
    species = tuple(str(label) for label in axes["coordination"].values)
    return Substance(
        title=identity["title"],
        absorber=identity["absorber"],
        edge=identity["edge"],
        ligands=tuple(identity["ligands"]),
        species=species,
        max_ligands=len(axes["oxidation"].values) - 1,
    )


def dataset_records(dataset: DatasetData) -> SiteRecords:
    """Return the sites of a data set."""
    sites, attributes = dataset.site_set(), dataset.base.attributes
    totals = [int(entry["n_absorbers"]) for entry in dataset.configurations]
    names = [f"{f}_{d[:6]}" for f, d in zip(sites.formulas, sites.groups, strict=True)]
    counts = [names[:i].count(name) for i, name in enumerate(names)]
    labels = [f"{name}-{n + 1}" if n else name for name, n in zip(names, counts, strict=True)]
    complete = [cell.complete for cell in sites.configurations]
    cells = zip(labels, sites.formulas, sites.x.tolist(), totals, complete, sites.groups, strict=True)
    quantities, values = quantities_of(dataset), dataset.properties
    return SiteRecords(
        origin=f"data set {str(attributes.get('digest'))[:8]}",
        energy=sites.energy,
        spectra=sites.spectra,
        quantities=quantities,
        values={name: values[name] for name in quantities},
        ligands=dataset.n_ligands,
        site_index=sites.site_index,
        configuration=sites.configuration,
        cells=tuple(CellRecord(*cell) for cell in cells),
        material=substance_of(dataset),
        protocol=str(attributes.get("protocol")),
        treatment=str(attributes.get("treatment")),
    )


def study_records(study: Study, protocol: str, done: bool = True) -> SiteRecords | None:
    """Return the sites of all tables of a study; None where there is none.

    :param protocol: word for all numbers.
    :param done: only those with a spectrum; else all that were asked for, with NaN for what they lack.
    """
    entries = [(entry, entry.table) for entry in study.configurations if entry.table is not None]
    if not entries:
        return None
    tables = [table for _, table in entries]
    rows = [table.done if done else np.full(len(table.done), True) for table in tables]

    def joined(arrays: Iterable[Any]) -> Any:
        return np.concatenate([array[mine] for array, mine in zip(arrays, rows, strict=True)])

    energy = tables[0].energy + (0.0 if study.calibration is None else study.calibration.shift)
    window = energy[[0, -1]] if study.dataset is None else study.dataset.energy[[0, -1]]
    inside = (energy >= window[0]) & (energy <= window[1])
    quantities, values = quantities_of(tables[0]), [table.properties for table in tables]
    cells = [
        CellRecord(entry.label, entry.formula, entry.x, n, bool(table.done.sum() >= MINIMUM_COVERAGE * n), entry.label)
        for entry, table in entries
        for n in [table.n_absorbers]
    ]
    return SiteRecords(
        origin=f"study {study.node.pk}",
        energy=energy[inside],
        spectra=joined(table.spectra for table in tables)[:, inside],
        quantities=quantities,
        values={name: joined(each[name] for each in values) for name in quantities},
        ligands=joined(table.n_ligands for table in tables),
        site_index=joined(table.site_index for table in tables),
        configuration=np.repeat(np.arange(len(tables)), [int(mine.sum()) for mine in rows]),
        cells=tuple(cells),
        material=substance_of(tables[0]),
        protocol=protocol,
        treatment=str(study.shared("treatment")),
        axis=energy_axis(study),
    )


def energy_axis(study: Study) -> str:
    """Return the label of the energies of a study."""
    if study.calibration is None:
        return "Energy, total-energy axis (eV), not calibrated"
    return f"Energy, calibrated axis (eV), shift {signed(study.calibration.shift, 2)} eV"


def model_readings(records: SiteRecords, model: ModelData, splits: Sequence[str]) -> list[Readings]:
    """Return what the networks of a model read of the sites of its data set, for each of some splits that was made.

    :param records: of the data set.
    """
    found = []
    for split in splits:
        if split not in model.scores:
            continue
        parity, scores = model.parity(split), model.scores[split]
        test, values = np.asarray(parity.test)[:, None], columns_of(parity.predicted)
        found.append(
            Readings(
                records.quantities[str(model.target)], split, columns_of(parity.reference),
                np.where(test, values, np.nan), np.where(test, np.nan, values),
                {**scores, "baselines": {"composition_mean": scores.get("rmse_composition_mean")}},
            )
        )  # fmt: skip
    return found

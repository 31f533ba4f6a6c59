"""From nodes to what reports are made of: the only place of this package that knows what data nodes hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aiida_siox.data.dataset import DatasetData
from aiida_siox.data.model import ModelData
from aiida_siox.materials import load_material
from aiida_siox.report.page import signed
from aiida_siox.report.records import CellRecord, Readings, SiteRecords, columns_of
from aiida_siox.report.study_nodes import Study
from aiida_siox.science.quantity import Axis, Kind, Quantity
from aiida_siox.science.spectra import MINIMUM_COVERAGE


def quantities_of(attributes: Any, r: Any) -> dict[str, Quantity]:
    """Return what the properties of a node are."""
    sigma = attributes.get("sigma_angstrom", None)
    note = "" if sigma is None else f"σ = {sigma:g} Å"
    states = Axis("ligands", "", tuple(map(str, range(5))))
    return {
        "valence": Quantity("valence", "Bader valence", "$V$", "e", Kind.SCALAR, error_scale=0.1),
        "rdf": Quantity(
            "rdf", "g(R)", "$g(R)$", "1", Kind.CURVE, Axis("r", "Å", tuple(map(float, r))), error_scale=0.3, note=note
        ),
        "oxidation": Quantity("oxidation", "oxidation states", "fraction", "1", Kind.FRACTIONS, states),
    }


def dataset_records(dataset: DatasetData) -> SiteRecords:
    """Return the sites of a data set."""
    sites, attributes = dataset.site_set(), dataset.base.attributes
    totals = [int(entry["n_silicon_total"]) for entry in dataset.configurations]
    names = [f"{f}_{d[:6]}" for f, d in zip(sites.formulas, sites.digests, strict=True)]
    counts = [names[:i].count(name) for i, name in enumerate(names)]
    labels = [f"{name}-{n + 1}" if n else name for name, n in zip(names, counts, strict=True)]
    cells = zip(labels, sites.formulas, sites.x.tolist(), totals, sites.complete.tolist(), sites.digests, strict=True)
    return SiteRecords(
        origin=f"data set {str(attributes.get('digest', None) or 'unknown')[:8]}",
        energy=sites.energy,
        spectra=sites.spectra,
        quantities=quantities_of(attributes, sites.r),
        values={
            "valence": sites.valence[:, None], "rdf": sites.rdf, "oxidation": np.eye(5)[np.minimum(sites.n_oxygen, 4)],
        },
        ligands=sites.n_oxygen,
        site_index=sites.site_index,
        configuration=sites.configuration,
        cells=tuple(CellRecord(*cell) for cell in cells),
        material=load_material("siox"),
        protocol=str(attributes.get("protocol", None) or "unknown protocol"),
        treatment=str(attributes.get("treatment", None) or "unknown treatment"),
    )  # fmt: skip


def study_records(study: Study, protocol: str, done: bool = True) -> SiteRecords | None:
    """Return the sites of all tables of a study; None where there is none.

    :param protocol: word for all numbers.
    :param done: only those with a spectrum; else all that were asked for, with NaN for what they lack.
    """
    entries = [entry for entry in study.configurations if entry.table is not None]
    if not entries:
        return None
    tables = study.tables
    rows = [table.done if done else np.full(len(table.done), True) for table in tables]
    totals = [int(table.base.attributes.get("n_silicon_total")) for table in tables]
    cells = [
        CellRecord(entry.label, entry.formula, entry.x, n, bool(table.done.sum() >= MINIMUM_COVERAGE * n), entry.label)
        for entry, table, n in zip(entries, tables, totals, strict=True)
    ]

    def joined(name: str) -> Any:
        return np.concatenate([table.get_array(name)[mine] for table, mine in zip(tables, rows, strict=True)])

    shift = 0.0 if study.calibration is None else study.calibration.shift
    energy, spectra = tables[0].energy + shift, joined("spectra")
    window = energy[[0, -1]] if study.dataset is None else study.dataset.energy[[0, -1]]
    inside = (energy >= window[0]) & (energy <= window[1])
    attributes = tables[0].base.attributes
    return SiteRecords(
        origin=f"study {study.node.pk}",
        energy=energy[inside],
        spectra=spectra[:, inside],
        quantities={"valence": quantities_of(attributes, ())["valence"]},
        values={"valence": joined("valence_e")[:, None]},
        ligands=joined("n_oxygen"),
        site_index=joined("index"),
        configuration=np.repeat(np.arange(len(tables)), [int(mine.sum()) for mine in rows]),
        cells=tuple(cells),
        material=load_material("siox"),
        protocol=protocol,
        treatment=str(study.shared("treatment") or "unknown treatment"),
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

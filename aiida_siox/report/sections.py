"""Sections of the report of a study, as plain values for the template."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_siox.data.model import ModelData, Parity
from aiida_siox.report import timing
from aiida_siox.report.figures import charges, parity, spectra, structures
from aiida_siox.report.figures import timing as timing_figures
from aiida_siox.report.figures.style import composition_colour
from aiida_siox.report.frame import Frame
from aiida_siox.report.page import css, duration, number
from aiida_siox.report.query import Configuration, study_input
from aiida_siox.science.acceptance import REASON_WORDS
from aiida_siox.science.spectra import maximum_position

#: Pictures of cells in one report; the coordination of all is in a figure and a table.
MAX_PICTURES = 24


class Sections(Frame):
    """Structures, spectra, charges, networks and timing of a study."""

    def structures(self) -> dict[str, Any]:
        """Return cards of the cells, the figure of the coordination and what is left out."""
        cards: list[dict[str, Any]] = []
        with_structure = [entry for entry in self.study.configurations if entry.structure is not None]
        for entry in with_structure[:MAX_PICTURES]:
            cards.append(self.card(entry))
        rows = [
            (
                entry.label,
                entry.x,
                {str(key): int(count) for key, count in entry.quality["coordination_oxygen"].items()},
            )
            for entry in self.study.configurations
            if entry.quality.get("coordination_oxygen")
        ]
        caption = (
            f"Share of the Si sites by their number of O neighbours, n_O, in each configuration ({self.protocol}). "
            "The numbers in the bars count sites."
        )
        return {
            "cards": cards,
            "left_out": len(with_structure) - len(cards),
            "figure": self.picture(
                structures.coordination_figure(rows, self.note) if rows else None, "coordination of silicon", caption
            ),
            "table": [self.quality_row(entry) for entry in self.study.configurations if entry.quality],
            "acceptance": self.acceptance_rows(),
        }

    def acceptance_rows(self) -> list[dict[str, str]]:
        """Return for each formula the cells asked for, accepted and made, and what the others came to, as text."""
        outputs = self.study.node.outputs
        counted = outputs.acceptance.get_dict() if "acceptance" in outputs else {"order": []}
        rows = []
        for formula in counted["order"]:
            entry = counted[formula]
            reasons = [f"{REASON_WORDS.get(rule, rule)} ({n})" for rule, n in entry["reasons"].items()]
            numbers = {key: str(entry[key]) for key in ("requested", "accepted", "attempts")}
            rows.append({"formula": formula, "x": f"{entry['x']:.3g}", **numbers, "reasons": ", ".join(reasons)})
        return rows

    def quality_row(self, entry: Configuration) -> dict[str, Any]:
        """Return density, coordination and flags of a configuration as text."""
        quality = entry.quality
        total = quality.get("coordination_total") or {}
        count = sum(total.values())
        mean = sum(int(n) * sites for n, sites in total.items()) / count if count else None
        return {
            "label": entry.label,
            "x": f"{entry.x:.3g}",
            "density": number(quality.get("density_g_cm3"), 3),
            "expected": number(quality.get("expected_density_g_cm3"), 3),
            "mean_n_oxygen": number(quality.get("mean_n_oxygen"), 2),
            "mean_total": number(mean, 2),
            "pressure": number(None if quality.get("pressure_bar") is None else quality["pressure_bar"] / 1e4, 2),
            "flags": [REASON_WORDS.get(flag, str(flag)) for flag in quality.get("flags") or []],
        }

    def card(self, entry: Configuration) -> dict[str, Any]:
        """Return picture and key numbers of one cell."""
        assert entry.structure is not None
        atoms = entry.structure.get_ase()
        volume = atoms.get_volume()
        density = entry.quality.get("density_g_cm3", atoms.get_masses().sum() * 1.66053907 / volume)
        sites = "no spectra"
        if entry.table is not None:
            sites = f"{int(entry.table.done.sum())}/{entry.table.n_absorbers} Si sites done"
        return {
            "label": entry.label,
            "formula": entry.formula,
            "seed": entry.seed,
            "x": f"{entry.x:.3g}",
            "colour": css(composition_colour(entry.x)),
            "pk": entry.structure.pk,
            "uri": structures.cell_picture(atoms),
            "density": f"{density:.3f}",
            "n_atoms": len(atoms),
            "sites": sites,
            "flags": [REASON_WORDS.get(flag, str(flag)) for flag in entry.quality.get("flags") or []],
        }

    def site_spectra(self) -> list[spectra.ConfigurationSpectra]:
        """Return the spectra of all tables on the axis of the report."""
        shift = self.study.shift_eV or 0.0
        entries = []
        for entry in self.study.configurations:
            if entry.table is None:
                continue
            table = entry.table
            try:
                average = table.averaged()
            except ValueError:
                average = None
            entries.append(
                spectra.ConfigurationSpectra(
                    label=entry.label,
                    x=entry.x,
                    energy=table.energy + shift,
                    sites=table.spectra[table.done],
                    n_total=table.n_absorbers,
                    average=average,
                )
            )
        return entries

    def spectra(self) -> dict[str, Any]:
        """Return the figures of the spectra, and a row for each averaged one."""
        entries = self.site_spectra()
        if not entries:
            return {"figures": [], "rows": [], "without": []}
        if self.study.dataset is not None:
            window = (float(self.study.dataset.energy[0]), float(self.study.dataset.energy[-1]))
        else:
            window = (float(entries[0].energy[0]), float(entries[0].energy[-1]))
        figures = [
            self.picture(
                spectra.averaged_figure(entries, self.axis, window, self.note),
                "averaged spectra by composition",
                f"Averaged Si K-edge spectra ({self.protocol}, {self.treatment}): the mean cross-section over all Si "
                "sites of a configuration, not normalised, coloured by x. Only configurations with at least 95 % of "
                "their sites done.",
            ),
            self.picture(
                spectra.site_figure(entries, self.axis, window, self.note),
                "spectra of single sites by composition",
                f"Spectra of single sites (thin) and averages (thick) by composition ({self.protocol}, "
                f"{self.treatment}), mean of three polarisations, Lorentzian half width "
                f"{number(self.gamma(), 2)} eV, one scale for all panels.",
            ),
        ]
        rows = []
        for entry in entries:
            if entry.average is None:
                continue
            inside = (entry.energy >= window[0]) & (entry.energy <= window[1])
            energy, average = entry.energy[inside], entry.average[inside]
            rows.append(
                {
                    "label": entry.label,
                    "sites": f"{len(entry.sites)}/{entry.n_total}",
                    "white_line": f"{maximum_position(energy, average):.2f}",
                    "height": f"{average.max():.3g}",
                }
            )
        without = [f"{e.label} ({len(e.sites)}/{e.n_total} sites)" for e in entries if e.average is None]
        return {
            "figures": [figure for figure in figures if figure],
            "rows": rows,
            "without": without,
            "axis": self.axis,
        }

    def charges(self) -> dict[str, Any]:
        """Return the figure of the Bader valences and a row for each formal valence."""
        tables = self.study.tables
        if not tables:
            return {"figure": None, "rows": []}
        n_oxygen = np.concatenate([table.n_ligands for table in tables])
        valence = np.concatenate([table.properties["valence"][:, 0] for table in tables])
        x = np.concatenate([np.full(len(t.site_index), float(t.base.attributes.get("x"))) for t in tables])
        caption = (
            f"Bader valence of {int(np.isfinite(valence).sum())} Si sites ({self.protocol}, ground state) by the "
            "number of O neighbours; points are coloured by the composition of their cell, bars are means."
        )
        return {
            "figure": self.picture(
                charges.charge_figure(n_oxygen, valence, x, self.note), "Bader valence by formal valence", caption
            ),
            "rows": [
                {**row, **{key: number(row[key], 3) for key in ("mean", "std", "low", "high")}}
                for row in charges.charge_rows(n_oxygen, valence)
            ],
        }

    def parities(self, model: ModelData) -> list[Parity]:
        """Return the parities of all splits, the grouped one (no configuration on both sides) first."""
        return [model.parity(split) for split in ("grouped", "random") if split in model.scores]

    def score_rows(self, model: ModelData) -> list[dict[str, str]]:
        """Return the scores of all splits as text."""
        rows = []
        for split in ("grouped", "random"):
            if split not in model.scores:
                continue
            scores = model.scores[split]
            rows.append(
                {
                    "split": split + (" (kept)" if split == model.base.attributes.get("split") else ""),
                    "n_train": str(scores["n_train"]),
                    "n_test": str(scores["n_test"]),
                    "rmse": number(scores["rmse"], 3),
                    "r2": parity.r2_words(scores["r2"]),
                    "no_skill": number(scores["rmse_no_skill"], 3),
                    "composition_mean": number(scores.get("rmse_composition_mean"), 3),
                    "rmse_train": number(scores.get("rmse_train"), 3),
                }
            )
        return rows

    def unavailable(self, model: ModelData) -> list[str]:
        """Return why splits could not be made."""
        reasons = model.base.attributes.get("scores_unavailable", None) or {}
        return [f"{split} split: {reason}" for split, reason in reasons.items()]

    def parity(self) -> dict[str, Any]:
        """Return the figure and the scores of the charge network."""
        model = self.study.charge_model
        if not isinstance(model, ModelData):
            return {"figure": None, "rows": [], "unavailable": [], "pk": None}
        caption = (
            f"Valence read from the spectrum by the charge network over the Bader valence ({self.protocol}). Grey: "
            "training; coloured: test. In the grouped split no configuration is on both sides: it is the honest one. "
            "No skill: predicting the mean of the training sites."
        )
        figure = parity.parity_figure(self.parities(model), model.scores, self.note)
        return {
            "figure": self.picture(figure, "parity plot of the valence", caption),
            "rows": self.score_rows(model),
            "unavailable": self.unavailable(model),
            "pk": model.pk,
        }

    def rdf(self) -> dict[str, Any]:
        """Return the figures and the scores of the RDF network."""
        model = self.study.rdf_model
        if not isinstance(model, ModelData) or model.r is None:
            return {"figures": [], "rows": [], "unavailable": [], "pk": None, "sigma": None}
        sigma = float(model.base.attributes.get("sigma_angstrom"))
        parities = self.parities(model)
        figures = [
            self.picture(
                parity.rdf_figure(parities[0], model.r, sigma, self.note),
                "predicted and reference g(R) of a few sites",
                f"g(R) of Si sites, {self.pair()}, of test sites of the {parities[0].split} split from the "
                f"best (A) to the worst ({self.protocol}); Gaussian broadening σ = {sigma:g} Å.",
            ),
            self.picture(
                parity.rdf_error_figure(parities, model.scores, sigma, self.note),
                "RMSE of g(R) of all test sites",
                f"RMSE of the predicted g(R) of every test site in ascending order ({self.protocol}, σ = {sigma:g} Å), "
                "with the pooled RMSE of the network, of no skill and of the composition's mean.",
            ),
        ]
        return {
            "figures": [figure for figure in figures if figure],
            "rows": self.score_rows(model),
            "unavailable": self.unavailable(model),
            "pk": model.pk,
            "sigma": f"{sigma:g}",
        }

    def timing(self) -> dict[str, Any]:
        """Return table and figures of what the engines cost."""
        jobs = timing.study_times(self.study.node)
        summary = timing.engine_summary(jobs)
        n_cores = self.n_cores or study_input(self.study.node, "max_concurrent")
        utilisation = timing.utilisation(jobs, int(n_cores)) if n_cores else None
        n_cached = sum(job.cached for job in jobs)
        caption = f"CPU time of all engine jobs ({self.protocol})"
        caption += f", {n_cached} of {len(jobs)} from the cache with the times of their first run." if n_cached else "."
        figures = [
            self.picture(timing_figures.share_figure(summary, self.note), "CPU time by engine", caption),
            self.picture(
                timing_figures.timeline_figure(jobs, self.note),
                "engine jobs over the wall clock",
                f"Engine jobs over the wall clock ({self.protocol}); jobs from the cache did not run: not drawn.",
            ),
        ]
        return {
            "rows": [
                {
                    "engine": entry.engine,
                    "n_jobs": entry.n_jobs,
                    "n_cached": entry.n_cached,
                    "n_untimed": entry.n_untimed,
                    "wall": duration(entry.wall),
                    "cpu": duration(entry.cpu),
                    "mean": duration(entry.cpu / max(entry.n_jobs - entry.n_untimed, 1)),
                    "share": f"{entry.share:.1%}",
                }
                for entry in summary
            ],
            "total": {
                "n_jobs": len(jobs),
                "n_cached": n_cached,
                "wall": duration(sum(entry.wall for entry in summary)),
                "cpu": duration(sum(entry.cpu for entry in summary)),
            },
            "figures": [figure for figure in figures if figure],
            "utilisation": None if utilisation is None else str(utilisation),
        }

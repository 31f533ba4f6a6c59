"""From a study to one self-contained HTML file."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import aiida
import jinja2
import markupsafe
import numpy as np
from aiida import orm

from aiida_siox import __version__
from aiida_siox.data.model import ModelData, Parity
from aiida_siox.report import graph, timing
from aiida_siox.report.figures import charges, parity, spectra, structures
from aiida_siox.report.figures import timing as timing_figures
from aiida_siox.report.figures.style import Picture, composition_colour
from aiida_siox.report.query import Configuration, Study, read_study, study_input
from aiida_siox.science.spectra import maximum_position

#: Pictures of cells in one report; the coordination of all is in a figure and a table.
MAX_PICTURES = 24

FLAG_WORDS = {
    "oxygen_bond": "O–O bond",
    "density": "density off",
    "coordination": "odd coordination",
    "identical_sites": "identical sites",
    "not_relaxed": "not relaxed",
}


def render(study_node: orm.WorkChainNode, n_cores: int | None = None) -> str:
    """Return the HTML text of the report of a study; see :func:`aiida_siox.report.write_report`.

    :raises ValueError: if the node is no WorkChain, or it holds a mixture.
    """
    if not isinstance(study_node, orm.WorkChainNode):
        raise ValueError(
            f"a report is made of a study, but {study_node.__class__.__name__}<{study_node.pk}> is none: give the PK "
            "of a StudyWorkChain (`aiida-siox status` lists them)."
        )
    study = read_study(study_node)
    context = Report(study, n_cores).context()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("aiida_siox.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["pretty"] = _pretty
    return environment.get_template("report.html.j2").render(**context)


@dataclasses.dataclass
class Report:
    """Sections of the report of a study, as plain values for the template.

    :param study: what it is made of.
    :param n_cores: cores of the machine, or None.
    """

    study: Study
    n_cores: int | None = None

    @property
    def protocol(self) -> str:
        """Word printed with every number."""
        name = self.study.protocol or "unknown protocol"
        return f"{name}, changed" if self.changed else name

    @property
    def changed(self) -> list[str]:
        """Settings that differ from the protocol."""
        found = next((table.base.attributes.get("changed", None) for table in self.study.tables), None)
        return [str(key) for key in found or []]

    @property
    def treatment(self) -> str:
        """Treatment of the core hole."""
        return self.study.shared("treatment") or "unknown"

    @property
    def note(self) -> str:
        """Words in the corner of every figure."""
        return f"protocol: {self.protocol} · {self.treatment}"

    @property
    def axis(self) -> str:
        """Label of the energy axis."""
        if self.study.shift_eV is None:
            return "Energy, total-energy axis (eV), not calibrated"
        return f"Energy, calibrated axis (eV), shift {_signed(self.study.shift_eV, 2)} eV"

    def picture(self, uri: str | None, alt: str, caption: str) -> Picture | None:
        """Return a figure with its caption, or None where there is nothing to draw."""
        return None if uri is None else Picture(uri, alt, caption)

    def context(self) -> dict[str, Any]:
        """Return everything that the template prints."""
        study = self.study
        return {
            "title": f"Study {study.node.pk}",
            "protocol": self.protocol,
            "header": self.header(),
            "tiles": self.tiles(),
            "missing": study.missing,
            "running": not study.node.is_terminated,
            "structures": self.structures(),
            "spectra": self.spectra(),
            "charges": self.charges(),
            "parity": self.parity(),
            "rdf": self.rdf(),
            "timing": self.timing(),
            "failures": study.failures,
            "provenance": self.provenance(),
            "next_steps": self.next_steps(),
            "version": __version__,
        }

    def header(self) -> list[tuple[str, str]]:
        """Return what the study is, as pairs of name and value."""
        study = self.study
        node = study.node
        state = "finished" if node.is_finished_ok else node.process_state.value if node.process_state else "unknown"
        if node.is_finished and not node.is_finished_ok:
            state = f"finished with exit status {node.exit_status}"
        digest = study.shared("settings_digest")
        versions = node.base.attributes.get("version", None) or {}
        computed_with = ", ".join(
            f"{name} {value}"
            for name, value in (("aiida-core", versions.get("core")), ("aiida-siox", versions.get("plugin")))
            if value
        )
        engines = timing.engine_versions(node)
        rows = [
            ("Study", f"PK {node.pk}"),
            ("UUID", node.uuid),
            ("State", state),
            ("Protocol", study.protocol or "unknown"),
            (
                "Core hole",
                {"fch": "fch — full core hole, charged cell", "xch": "xch — excited electron in the cell"}.get(
                    self.treatment, self.treatment
                ),
            ),
            ("Settings digest", digest or "none"),
            ("Engines", ", ".join(f"{name} {value}" for name, value in engines.items()) or "not recorded"),
            ("Computed with", computed_with or "not recorded"),
            ("Reported with", f"aiida-core {aiida.__version__}, aiida-siox {__version__}"),
            ("Study begun", f"{node.ctime:%Y-%m-%d %H:%M %Z}"),
            ("Report written", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"),
        ]
        if self.changed:
            rows.insert(4, ("Changed settings", ", ".join(self.changed)))
        if study.calibration is not None:
            attributes = study.calibration.base.attributes
            words = f"{_signed(study.calibration.shift, 3)} eV"
            target, white_line = attributes.get("target_eV", None), attributes.get("white_line_eV", None)
            if target is not None and white_line is not None:
                words += f" (α-quartz: white line {white_line:.2f} → {target:.2f} eV)"
            rows.insert(6 + bool(self.changed), ("Calibration", words))
        return rows

    def tiles(self) -> list[tuple[str, str, str]]:
        """Return the headline numbers: value, what it is, and what stands beside it."""
        study = self.study
        requested = sum(int(t.base.attributes.get("n_requested")) for t in study.tables)
        done = sum(int(t.done.sum()) for t in study.tables)
        with_spectra = sum(bool(t.done.any()) for t in study.tables)
        tiles = [
            (f"{with_spectra}/{len(study.configurations)}", "configurations with spectra", self.protocol),
            (f"{done}/{requested}", "silicon sites done", self.protocol),
        ]
        if study.dataset is not None:
            tiles.append((str(len(study.dataset.valence)), "rows in the data set", self.protocol))
        for model, words, unit in (
            (study.charge_model, "RMSE of the valence", " e"),
            (study.rdf_model, "RMSE of g(R)", ""),
        ):
            if not isinstance(model, ModelData):
                continue
            for split in ("grouped", "random"):
                if split in model.scores:
                    score = model.scores[split]
                    beside = f"{split} split, no skill {score['rmse_no_skill']:.3f} · {self.protocol}"
                    tiles.append((f"{score['rmse']:.3f}{unit}", words, beside))
                    break
        return tiles

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
        }

    def quality_row(self, entry: Configuration) -> dict[str, Any]:
        """Return density, coordination and flags of a configuration as text."""
        quality = entry.quality
        total = quality.get("coordination_total") or {}
        count = sum(total.values())
        mean = sum(int(n) * number for n, number in total.items()) / count if count else None
        return {
            "label": entry.label,
            "x": f"{entry.x:.3g}",
            "density": _number(quality.get("density_g_cm3"), 3),
            "expected": _number(quality.get("expected_density_g_cm3"), 3),
            "mean_n_oxygen": _number(quality.get("mean_n_oxygen"), 2),
            "mean_total": _number(mean, 2),
            "pressure": _number(None if quality.get("pressure_bar") is None else quality["pressure_bar"] / 1e4, 2),
            "flags": [FLAG_WORDS.get(flag, str(flag)) for flag in quality.get("flags") or []],
        }

    def card(self, entry: Configuration) -> dict[str, Any]:
        """Return picture and key numbers of one cell."""
        assert entry.structure is not None
        atoms = entry.structure.get_ase()
        volume = atoms.get_volume()
        density = entry.quality.get("density_g_cm3", atoms.get_masses().sum() * 1.66053907 / volume)
        sites = "no spectra"
        if entry.table is not None:
            sites = f"{int(entry.table.done.sum())}/{entry.table.base.attributes.get('n_silicon_total')} Si sites done"
        return {
            "label": entry.label,
            "formula": entry.formula,
            "seed": entry.seed,
            "x": f"{entry.x:.3g}",
            "colour": _css(composition_colour(entry.x)),
            "pk": entry.structure.pk,
            "uri": structures.cell_picture(atoms),
            "density": f"{density:.3f}",
            "n_atoms": len(atoms),
            "sites": sites,
            "flags": [FLAG_WORDS.get(flag, str(flag)) for flag in entry.quality.get("flags") or []],
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
                    n_total=int(table.base.attributes.get("n_silicon_total")),
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
                f"{_number(self.gamma(), 2)} eV, one scale for all panels.",
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

    def gamma(self) -> float | None:
        """Return the Lorentzian half width of the tables in eV."""
        value = self.study.shared("gamma_eV")
        return None if value is None else float(value)

    def charges(self) -> dict[str, Any]:
        """Return the figure of the Bader valences and a row for each formal valence."""
        tables = self.study.tables
        if not tables:
            return {"figure": None, "rows": []}
        n_oxygen = np.concatenate([table.get_array("n_oxygen") for table in tables])
        valence = np.concatenate([table.get_array("valence_e") for table in tables])
        x = np.concatenate([np.full(len(t.get_array("index")), float(t.base.attributes.get("x"))) for t in tables])
        caption = (
            f"Bader valence of {int(np.isfinite(valence).sum())} Si sites ({self.protocol}, ground state) by the "
            "number of O neighbours; points are coloured by the composition of their cell, bars are means."
        )
        return {
            "figure": self.picture(
                charges.charge_figure(n_oxygen, valence, x, self.note), "Bader valence by formal valence", caption
            ),
            "rows": [
                {**row, **{key: _number(row[key], 3) for key in ("mean", "std", "low", "high")}}
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
                    "rmse": _number(scores["rmse"], 3),
                    "r2": parity.r2_words(scores["r2"]),
                    "no_skill": _number(scores["rmse_no_skill"], 3),
                    "composition_mean": _number(scores.get("rmse_composition_mean"), 3),
                    "rmse_train": _number(scores.get("rmse_train"), 3),
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

    def pair(self) -> str:
        """Return which neighbours the g(R) counts, in words."""
        settings = next((table.base.attributes.get("settings", None) for table in self.study.tables), None) or {}
        pair = settings.get("rdf", {}).get("pair", "total")
        return "all Si and O neighbours" if pair == "total" else f"{pair} pairs"

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
                    "wall": _duration(entry.wall),
                    "cpu": _duration(entry.cpu),
                    "mean": _duration(entry.cpu / max(entry.n_jobs - entry.n_untimed, 1)),
                    "share": f"{entry.share:.1%}",
                }
                for entry in summary
            ],
            "total": {
                "n_jobs": len(jobs),
                "n_cached": n_cached,
                "wall": _duration(sum(entry.wall for entry in summary)),
                "cpu": _duration(sum(entry.cpu for entry in summary)),
            },
            "figures": [figure for figure in figures if figure],
            "utilisation": None if utilisation is None else str(utilisation),
        }

    def provenance(self) -> graph.Provenance | None:
        """Return the provenance of one site."""
        return graph.site_provenance(self.study.tables)

    def next_steps(self) -> list[tuple[str, str]]:
        """Return commands to try, each with what it does."""
        study = self.study
        pk = study.node.pk
        steps = []
        if study.failures and study.node.is_terminated:
            steps.append(
                (
                    f"verdi process report {pk}",
                    "read what went wrong; running the same study again redoes only what failed",
                )
            )
        if study.charge_model is not None:
            steps.append(
                (
                    f"aiida-siox predict {study.charge_model.pk} spectrum.txt",
                    "read the valence from a spectrum of your own (two columns: eV, absorption)",
                )
            )
        if study.rdf_model is not None:
            steps.append((f"aiida-siox predict {study.rdf_model.pk} spectrum.txt", "read g(R) from the same spectrum"))
        if study.tables:
            steps.append((f"aiida-siox show {study.tables[0].pk} --json", "take all spectra and targets of one table"))
        steps.append((f"aiida-siox export {pk} study.aiida", "share the study; it opens on a machine without engines"))
        if self.study.protocol == "fast":
            steps.append(
                ("aiida-siox run study --protocol balanced", "cells of 24 to 48 atoms: numbers of fast are for trying")
            )
        if study.tables:
            steps.append((f"verdi node graph generate {study.tables[0].pk}", "draw the whole graph of one table"))
        return steps


def _number(value: float | None, digits: int) -> str:
    """Return a number with a fixed count of decimals, a dash where there is none."""
    return "–" if value is None else f"{float(value):.{digits}f}".replace("-", "−")


def _signed(value: float, digits: int) -> str:
    """Return a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def _pretty(text: str) -> markupsafe.Markup:
    """Return text with n_O set as the symbol it is."""
    return markupsafe.Markup(str(markupsafe.escape(text)).replace("n_O", "<i>n</i><sub>O</sub>"))


def _duration(seconds: float) -> str:
    """Return seconds in the unit that reads best."""
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.1f} s"


def _css(colour: tuple[float, ...]) -> str:
    """Return a colour of matplotlib as text for CSS."""
    red, green, blue = (round(255 * value) for value in colour[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"

"""The report of a study: what its page says, section by section."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import aiida
from aiida import orm

from aiida_siox import __version__
from aiida_siox.data.model import ModelData
from aiida_siox.report import graph, timing
from aiida_siox.report.drawing import Drawing, data_uri, png_bytes
from aiida_siox.report.figures import curves, parity, properties, spectra, structures, style
from aiida_siox.report.figures import timing as timing_figures
from aiida_siox.report.page import (
    Absent,
    Block,
    Card,
    Cards,
    Page,
    Paragraph,
    Section,
    Steps,
    Table,
    Tile,
    badges,
    css,
    duration,
    number,
    signed,
)
from aiida_siox.report.provenance import plain_input
from aiida_siox.report.reading import dataset_records, model_readings, study_records
from aiida_siox.report.records import NotDrawn, SiteRecords, estimate, label_of, plural, r2_words, unit_of, with_note
from aiida_siox.report.study_nodes import Configuration, Study
from aiida_siox.science.acceptance import COLUMNS, REASON_WORDS, acceptance_rows
from aiida_siox.science.quantity import Kind
from aiida_siox.science.spectra import maximum_position

#: Pictures of cells in one report; the coordination of all is in a figure and a table.
MAX_PICTURES = 24
#: The honest split first: no configuration is on both sides.
SPLITS = ("grouped", "random")
TREATMENTS = {"fch": "fch — full core hole, charged cell", "xch": "xch — excited electron in the cell"}


def study_page(study: Study, n_cores: int | None = None) -> Page:
    """Return the report of a study.

    :param n_cores: of the machine, for the CPU utilisation; ``max_concurrent`` of the study when None.
    """
    return StudyReport(study, n_cores).page()


class StudyReport:
    """Sections of the report of a study, and the words that stand beside all its numbers.

    :ivar study: what the report is made of.
    :ivar records: its finished sites, or None.
    """

    def __init__(self, study: Study, n_cores: int | None = None) -> None:
        """Read the sites of the tables and of the data set."""
        self.study, self.n_cores = study, n_cores
        changed = next((table.base.attributes.get("changed", None) for table in study.tables), None)
        self.changed = [str(key) for key in changed or []]
        name = str(study.shared("protocol") or "unknown protocol")
        self.protocol = f"{name}, changed" if self.changed else name
        self.treatment = str(study.shared("treatment") or "unknown")
        self.note = f"protocol: {self.protocol} · {self.treatment}"
        self.records = study_records(study, self.protocol)
        self.learned = None if study.dataset is None else dataset_records(study.dataset)

    def page(self) -> Page:
        """Return everything."""
        study = self.study
        material = study.material
        failures = f"Failures ({len(study.failures)})" if study.failures else "Failures"
        running = not study.node.is_terminated
        return Page(
            title=f"Study {study.node.pk}",
            heading=f"{material.title}: structures, spectra and what they tell",
            lead=f"Study {study.node.pk}: melt-quenched cells, core-hole spectra of their {material.absorber} sites, "
            "Bader charges, radial distribution functions, and networks that read them back from a spectrum. Every "
            f"number comes from the protocol {self.protocol}.",
            protocol=self.protocol,
            tiles=self.tiles(),
            facts=self.facts(),
            missing=study.missing,
            missing_words=f"{'The study is still running.' if running else 'Incomplete study.'} Missing:",
            sections=[
                Section("structures", "Structures", self.structures()),
                Section("spectra", "Spectra by composition", self.spectra()),
                *self.properties(),
                *(self.network(name, model) for name, model in study.models.items()),
                *([] if study.models else [Section("networks", "Networks", [Absent("no network was trained")])]),
                Section("timing", "Timing", self.timing()),
                Section("failures", failures, self.failures()),
                Section("provenance", "Provenance of one site", self.provenance()),
                Section("next", "What to try next", [Steps(self.next_steps())], badge=False),
            ],
        )

    def drawn(self, draw: Callable[..., Drawing], *inputs: Any, **words: str) -> list[Block]:
        """Return a figure with its words, nothing where there is nothing to draw."""
        try:
            return [draw(*inputs).described(**words)]
        except NotDrawn:
            return []

    def facts(self) -> list[tuple[str, str]]:
        """Return what the study is, as pairs of name and value."""
        study, node = self.study, self.study.node
        state = "finished" if node.is_finished_ok else node.process_state.value if node.process_state else "unknown"
        if node.is_finished and not node.is_finished_ok:
            state = f"finished with exit status {node.exit_status}"
        versions = node.base.attributes.get("version", None) or {}
        pairs = (("aiida-core", versions.get("core")), ("aiida-siox", versions.get("plugin")))
        engines = timing.engine_versions(node)
        calibration = ""
        if study.calibration is not None:
            attributes = study.calibration.base.attributes
            calibration = f"{signed(study.calibration.shift, 3)} eV"
            target, white_line = attributes.get("target_eV", None), attributes.get("white_line_eV", None)
            if target is not None and white_line is not None:
                crystal = study.material.calibration.crystal
                calibration += f" ({crystal}: white line {white_line:.2f} → {target:.2f} eV)"
        rows = [
            ("Study", f"PK {node.pk}"),
            ("UUID", node.uuid),
            ("State", state),
            ("Protocol", str(study.shared("protocol") or "unknown")),
            ("Changed settings", ", ".join(self.changed)),
            ("Core hole", TREATMENTS.get(self.treatment, self.treatment)),
            ("Calibration", calibration),
            ("Settings digest", str(study.shared("settings_digest") or "none")),
            ("Engines", ", ".join(f"{name} {value}" for name, value in engines.items()) or "not recorded"),
            ("Computed with", ", ".join(f"{name} {value}" for name, value in pairs if value) or "not recorded"),
            ("Reported with", f"aiida-core {aiida.__version__}, aiida-siox {__version__}"),
            ("Study begun", f"{node.ctime:%Y-%m-%d %H:%M %Z}"),
            ("Report written", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"),
        ]
        return [(name, value) for name, value in rows if value]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers."""
        study = self.study
        requested = sum(int(t.base.attributes.get("n_requested")) for t in study.tables)
        done = sum(int(t.done.sum()) for t in study.tables)
        with_spectra = sum(bool(t.done.any()) for t in study.tables)
        tiles = [
            Tile(f"{with_spectra}/{len(study.configurations)}", "configurations with spectra", self.protocol),
            Tile(f"{done}/{requested}", f"{study.material.absorber} sites done", self.protocol),
        ]
        if self.learned is not None:
            tiles.append(Tile(str(len(self.learned)), "rows in the data set", self.protocol))
        for name, model in study.models.items():
            split = next((split for split in SPLITS if split in model.scores), None)
            if split is None or self.learned is None:
                continue
            score, quantity = model.scores[split], self.learned.quantities[name]
            beside = f"{split} split, no skill {score['rmse_no_skill']:.3f} · {self.protocol}"
            tiles.append(Tile(f"{score['rmse']:.3f}{unit_of(quantity)}", f"RMSE of {quantity.title}", beside))
        return tiles

    def structures(self) -> list[Block]:
        """Return pictures of the cells, their coordination, quality and acceptance."""
        study, material = self.study, self.study.material
        drawn = [entry for entry in study.configurations if entry.structure is not None]
        blocks: list[Block] = [Absent("no structure was made")]
        if drawn:
            key = [(material.colours.get(element, style.MUTED), element) for element in material.species]
            blocks = [Cards([self.card(entry) for entry in drawn[:MAX_PICTURES]], key)]
        if len(drawn) > MAX_PICTURES:
            blocks.append(Paragraph(f"{len(drawn) - MAX_PICTURES} more cells are not drawn.", "none"))
        counts = [
            (entry.label, entry.x, {str(n): int(count) for n, count in entry.quality["coordination_oxygen"].items()})
            for entry in study.configurations
            if entry.quality.get("coordination_oxygen")
        ]
        symbol = f"n_{'+'.join(material.ligands)}"
        if counts:
            blocks += self.drawn(
                structures.coordination_figure, counts, symbol, material.absorber, self.note,
                name="coordination", title=f"Coordination of {material.absorber}",
                explanation=f"Share of the {material.absorber} sites by their number of ligands, {symbol}, in each "
                "configuration. The numbers in the bars count sites.",
            )  # fmt: skip
        return [*blocks, *self.quality_table(symbol), *self.acceptance_table()]

    def card(self, entry: Configuration) -> Card:
        """Return picture and key numbers of one cell."""
        assert entry.structure is not None
        atoms = entry.structure.get_ase()
        density = entry.quality.get("density_g_cm3", atoms.get_masses().sum() * 1.66053907 / atoms.get_volume())
        sites = "no spectra"
        if entry.table is not None:
            requested = entry.table.n_absorbers
            sites = f"{int(entry.table.done.sum())}/{requested} {self.study.material.absorber} sites done"
        with style.style():
            picture = png_bytes(structures.cell_picture(atoms, self.study.material))
        return Card(
            uri=data_uri(picture, "image/png"),
            name=entry.formula,
            beside=f"seed {entry.seed}, x = {entry.x:.3g}",
            lines=[f"{density:.3f} g/cm³ ({self.protocol})", f"{len(atoms)} atoms, PK {entry.structure.pk}", sites],
            colour=css(style.composition_colour(entry.x)),
            flags=[REASON_WORDS.get(flag, str(flag)) for flag in entry.quality.get("flags") or []],
        )

    def quality_table(self, symbol: str) -> list[Block]:
        """Return density, coordination and flags of the configurations."""
        rows = []
        for entry in self.study.configurations:
            quality = entry.quality
            if not quality:
                continue
            total = quality.get("coordination_total") or {}
            count = sum(total.values())
            pressure = quality.get("pressure_bar")
            rows.append([
                entry.label, f"{entry.x:.3g}", number(quality.get("density_g_cm3"), 3),
                number(quality.get("expected_density_g_cm3"), 3), number(quality.get("mean_n_oxygen"), 2),
                number(sum(int(n) * sites for n, sites in total.items()) / count if count else None, 2),
                number(None if pressure is None else pressure / 1e4, 2),
                badges([REASON_WORDS.get(flag, str(flag)) for flag in quality.get("flags") or []]),
            ])  # fmt: skip
        element = self.study.material.absorber
        head = [
            "Configuration", "x", "Density (g/cm³)", "Expected (g/cm³)", f"Mean {symbol} of {element}",
            f"Mean coordination of {element}", "Pressure (GPa)", "Flags",
        ]  # fmt: skip
        words = f"Quality of the cells ({self.protocol}). Flags mark what looks suspicious; flagged cells are kept and "
        return [Table(head, rows, f"{words}counted.")] if rows else []

    def acceptance_table(self) -> list[Block]:
        """Return for each formula the cells asked for, accepted and made, and what the others came to."""
        outputs = self.study.node.outputs
        counted = outputs.acceptance.get_dict() if "acceptance" in outputs else {"order": []}
        words = f"Acceptance of the cells ({self.protocol}). A cell that is not accepted is replaced by one of the next"
        rows = acceptance_rows(counted)
        return [Table([name.capitalize() for name in COLUMNS], rows, f"{words} seed.")] if rows else []

    def spectra(self) -> list[Block]:
        """Return the figures of the spectra, and a row for each averaged one."""
        records = self.records
        if records is None or not len(records):
            return [Absent("no site has a spectrum")]
        material = records.material
        blocks = self.drawn(
            spectra.averaged_spectra, records, name="averaged_spectra", title="Averaged spectra by composition",
            explanation=f"Averaged {material.absorber} {material.edge}-edge spectra: the mean cross-section over all "
            "absorbers of a configuration, not normalised, coloured by x. Only configurations with at least 95 % of "
            "their sites done.",
        )  # fmt: skip
        gamma = self.study.shared("gamma_eV")
        blocks += self.drawn(
            spectra.site_spectra, records, name="site_spectra", title="Spectra of single sites by composition",
            explanation="Spectra of single sites (thin) and averages (thick) by composition, mean of three "
            f"polarisations, Lorentzian half width {number(gamma, 2)} eV, one scale for all panels.",
        )  # fmt: skip
        complete, averages = records.averages()
        done = {i: int((records.configuration == i).sum()) for i in range(len(records.cells))}
        sites = {i: f"{done[i]}/{cell.n_absorbers}" for i, cell in enumerate(records.cells)}
        energy = records.energy
        rows = [
            [records.cells[i].label, sites[i], f"{maximum_position(energy, average):.2f}", f"{average.max():.3g}"]
            for i, average in zip(complete.tolist(), averages, strict=True)
        ]
        if rows:
            head = ["Configuration", "Sites done", "Highest point (eV)", "Its cross-section (arb. units)"]
            blocks.append(Table(head, rows, f"Averaged spectra ({self.protocol}). {records.axis}."))
        without = [f"{cell.label} ({sites[i]} sites)" for i, cell in enumerate(records.cells) if i not in complete]
        if without:
            words = "No averaged spectrum, because fewer than 95 % of the sites are done: "
            blocks.append(Paragraph(f"{words}{', '.join(without)}.", "note"))
        return blocks

    def properties(self) -> list[Section]:
        """Return a section for each scalar property: its figure, and a row for each number of ligands."""
        records = study_records(self.study, self.protocol, done=False)
        if records is None:
            return [Section("properties", "Properties of the sites", [Absent("no property of a site")])]
        sections = []
        for quantity in records.of_kind(Kind.SCALAR):
            label = label_of(quantity)
            explanation = f"{label} of every site by its number of ligands; points are coloured by the composition of"
            blocks = self.drawn(
                properties.by_ligands, records, quantity, name=f"{quantity.name}_by_ligands",
                title=f"{quantity.title} by formal valence", explanation=f"{explanation} their cell, bars are means.",
            )  # fmt: skip
            rows = [
                [str(row["n"]), str(row["count"]), *(number(row[key], 3) for key in ("mean", "std", "low", "high"))]
                for row in properties.ligand_rows(records.ligands, records.values[quantity.name][:, 0])
            ]
            if rows:
                head = [records.ligand_symbol, "Sites", f"Mean of {label}", "Standard deviation", "Lowest", "Highest"]
                words = with_note(f"{quantity.title} of {records.element} ({self.protocol}, ground state)", quantity)
                blocks.append(Table(head, rows, f"{words}."))
            title = f"{quantity.title} by formal valence"
            sections.append(Section(f"by-{quantity.name}", title, blocks or [Absent(f"no {quantity.title}")]))
        return sections

    def network(self, name: str, model: ModelData) -> Section:
        """Return figure and scores of a network."""
        title = f"{name} read from the spectrum"
        if self.learned is None:
            return Section(name, title, [Absent("no data set")])
        records, quantity = self.learned, self.learned.quantities[name]
        found = model_readings(records, model, SPLITS)
        figures: dict[Kind, tuple[Callable[[SiteRecords, list[Any]], Drawing], str]] = {
            Kind.SCALAR: (
                parity.split_parity,
                "Read from the spectrum over what it is. Grey: training; coloured: test. In the grouped split no "
                "configuration is on both sides: it is the honest one. No skill: predicting the mean of training.",
            ),
            Kind.CURVE: (
                curves.sorted_cases,
                "(a) RMSE of every test site in ascending order, with the pooled RMSE of the network, of no skill and "
                "of the composition's mean; (b) test sites from the best (A) to the worst.",
            ),
        }
        blocks: list[Block] = []
        if quantity.kind in figures and found:
            draw, explanation = figures[quantity.kind]
            words = {"title": with_note(label_of(quantity), quantity), "explanation": explanation}
            blocks = self.drawn(draw, records, found, name=f"{name}_network", **words)
        kept = model.base.attributes.get("split")
        rows = []
        for readings in found:
            scores = readings.scores
            keys = ("rmse", "rmse_no_skill", "rmse_composition_mean", "rmse_train")
            means = [estimate(scores.get(key)) for key in keys]
            rmse, *others = [number(None if value is None else value.mean, 3) for value in means]
            split = readings.split + (" (kept)" if readings.split == kept else "")
            rows.append([split, str(scores["n_train"]), str(scores["n_test"]), rmse, r2_words(scores["r2"]), *others])
        head = [
            "Split", "n training", "n test", "RMSE test", "R²", "RMSE no skill", "RMSE composition mean",
            "RMSE training",
        ]  # fmt: skip
        words_below = (
            f"Scores of the network of {with_note(label_of(quantity), quantity)} (model PK {model.pk}, "
            f"{self.protocol}). Kept: the split whose network is stored. RMSE composition mean: predicting the mean of "
            "the training sites of the same composition."
        )
        blocks.append(Table(head, rows, words_below))
        reasons = model.base.attributes.get("scores_unavailable", None) or {}
        blocks += [Paragraph(f"{split} split: {reason}", "note") for split, reason in reasons.items()]
        return Section(name, f"{quantity.title} read from the spectrum", blocks)

    def timing(self) -> list[Block]:
        """Return table and figures of what the engines cost."""
        jobs = timing.study_times(self.study.node)
        if not jobs:
            return [Absent("no engine job belongs to this study")]
        summary = timing.engine_summary(jobs)
        n_cached = sum(job.cached for job in jobs)
        caption = "CPU time of all engine jobs"
        caption += f", {n_cached} of {len(jobs)} from the cache with the times of their first run." if n_cached else "."
        drawn = (
            (timing_figures.share_figure, summary, "cpu_by_engine", "CPU time by engine", caption),
            (timing_figures.timeline_figure, jobs, "timeline", "Engine jobs over the wall clock",
             "Jobs from the cache did not run: not drawn."),
        )  # fmt: skip
        blocks: list[Block] = []
        for draw, data, name, title, explanation in drawn:
            blocks += self.drawn(draw, data, self.note, name=name, title=title, explanation=explanation)
        rows = [
            [
                entry.engine, str(entry.n_jobs), str(entry.n_cached), str(entry.n_untimed), duration(entry.wall),
                duration(entry.cpu), duration(entry.cpu / max(entry.n_jobs - entry.n_untimed, 1)), f"{entry.share:.1%}",
            ]
            for entry in summary
        ]  # fmt: skip
        wall, cpu = (duration(sum(getattr(entry, key) for entry in summary)) for key in ("wall", "cpu"))
        rows.append(["all", str(len(jobs)), str(n_cached), "", wall, cpu, "", ""])
        head = ["Engine", "Jobs", "From cache", "No times", "Wall", "CPU (user + system)", "CPU per job", "Share"]
        words = f"Engine jobs of this study ({self.protocol}), wall times added up. Jobs from the cache count with the"
        blocks.append(Table(head, rows, f"{words} times of their first run.", kind="total"))
        n_cores = self.n_cores or plain_input(self.study.node, "max_concurrent")
        if n_cores:
            begin = "From the start of the first core-hole pw.x to the end of the last xspectra.x"
            blocks.append(Paragraph(f"{timing.utilisation(jobs, int(n_cores))}. {begin} ({self.protocol})."))
        return blocks

    def failures(self) -> list[Block]:
        """Return what failed and why."""
        found = self.study.failures
        if not found:
            return [Paragraph("none")]
        rows = [[failure.what, failure.where, failure.reason] for failure in found]
        words = f"{plural(len(found), 'failure')} of sites, configurations and steps ({self.protocol})."
        return [Table(["What", "Where", "Reason"], rows, words, left=3, kind="reasons")]

    def provenance(self) -> list[Block]:
        """Return the provenance of one site."""
        found = graph.site_provenance(self.study.tables)
        return [Absent("no finished site")] if found is None else found

    def next_steps(self) -> list[tuple[str, str]]:
        """Return commands to try, each with what it does."""
        study, pk = self.study, self.study.node.pk
        table = study.tables[0].pk if study.tables else None
        steps: list[tuple[Any, str, str]] = [
            (
                study.failures and study.node.is_terminated, f"verdi process report {pk}",
                "read what went wrong; running the same study again redoes only what failed",
            ),
            *(
                (True, f"aiida-siox predict {model.pk} spectrum.txt",
                 f"read {name} from a spectrum of your own (two columns: eV, absorption)")
                for name, model in study.models.items()
            ),
            (table, f"aiida-siox show {table} --json", "take all spectra and properties of one table"),
            (True, f"aiida-siox export {pk} study.aiida", "share the study; it opens on a machine without engines"),
            (
                study.shared("protocol") == "fast", "aiida-siox run study --protocol balanced",
                "cells of 24 to 48 atoms: numbers of fast are for trying",
            ),
            (table, f"verdi node graph generate {table}", "draw the whole graph of one table"),
        ]  # fmt: skip
        return [(command, words) for wanted, command, words in steps if wanted]


def check_study(node: Any) -> None:
    """Refuse what is no study.

    :raises ValueError: if the node is no WorkChain.
    """
    if not isinstance(node, orm.WorkChainNode):
        raise ValueError(
            f"a report is made of a study, but {node.__class__.__name__}<{node.pk}> is none: give the PK "
            "of a StudyWorkChain (`aiida-siox status` lists them)."
        )

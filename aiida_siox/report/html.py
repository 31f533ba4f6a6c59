"""From a study to one self-contained HTML file."""

from __future__ import annotations

import datetime
from typing import Any

import aiida
from aiida import orm

from aiida_siox import __version__
from aiida_siox.data.model import ModelData
from aiida_siox.report import graph, timing
from aiida_siox.report.page import environment, signed
from aiida_siox.report.query import read_study
from aiida_siox.report.sections import Sections


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
    return environment().get_template("report.html.j2").render(**context)


class Report(Sections):
    """The whole report of a study."""

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
            words = f"{signed(study.calibration.shift, 3)} eV"
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
            tiles.append((str(study.dataset.n_sites), "rows in the data set", self.protocol))
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

"""The ``aiida-siox`` command. Its subcommands are imported when they are called, so that ``--help`` is quick."""

from __future__ import annotations

import click

from aiida_siox import __version__
from aiida_siox.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "setup": Lazy("setup", "setup", "Make a profile, register the engines; --check says what is usable."),
    "demo": Lazy("demo", "demo", "Run the study of the `fast` protocol, from compositions to a report."),
    "run": Lazy("groups", "run", "Run one of the WorkChains: melt-quench, structure, dataset, study."),
    "plan": Lazy("groups", "plan", "Say what a study costs before it runs: jobs, core hours, scratch, repository."),
    "status": Lazy("status", "status", "Say what runs, and how many sites are done, failed and left."),
    "show": Lazy("show", "show", "Show a structure, site table, model or study, as text or JSON."),
    "structures": Lazy(
        "export_structures", "structures", "Write structures into files: extxyz, cif, vasp, lammps-data."
    ),
    "spectrum": Lazy(
        "spectrum", "spectrum", "Broaden finished spectra anew: model, instrument, range; to file or node."
    ),
    "diffraction": Lazy("diffraction", "diffraction", "Structure factors of structures, beside a measured one."),
    "train": Lazy("train", "train", "Train networks on a data set."),
    "analyse": Lazy(
        "analyse", "analyse", "Analyse a data set: splits, baselines, windows, uncertainty, models; a report."
    ),
    "predict": Lazy("predict", "predict", "Predict the valence or the RDF from a spectrum in a file."),
    "model": Lazy("groups", "model", "Write a model into one file that needs no AiiDA, read one, print its card."),
    "report": Lazy("report", "report", "Write the report of a study: one HTML file."),
    "export": Lazy("archive", "export_archive", "Write an archive of a study with all it needs."),
    "import": Lazy("archive", "import_archive", "Read an archive into the profile."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
@click.version_option(__version__, prog_name="aiida-siox")
@click.option("-p", "--profile", metavar="NAME", help="AiiDA profile; default: `siox` if it exists, else the default.")
@click.pass_context
def main(ctx: click.Context, profile: str | None) -> None:
    """From a composition of SiOx to a trained model that reads Si K-edge XANES spectra."""
    ctx.ensure_object(dict)["profile"] = profile

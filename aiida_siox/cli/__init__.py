"""The ``aiida-siox`` command. Its subcommands are imported when they are called, so that ``--help`` is quick."""

from __future__ import annotations

import importlib
import warnings

import click

from aiida_siox import __version__

#: Subcommand -> (module, attribute, one line for the list of commands).
COMMANDS: dict[str, tuple[str, str, str]] = {
    "setup": ("setup", "setup", "Make a profile, register the engines; --check says what is usable."),
    "demo": ("demo", "demo", "Run the study of the `fast` protocol, from compositions to a report."),
    "run": ("run", "run", "Run one of the WorkChains: melt-quench, structure, dataset, study."),
    "plan": ("plan", "plan", "Say what a study costs before it runs: jobs, core hours, scratch, repository."),
    "status": ("status", "status", "Say what runs, and how many sites are done, failed and left."),
    "show": ("show", "show", "Show a structure, site table, model or study, as text or JSON."),
    "structures": ("structure_files", "structures", "Write structures into files: extxyz, cif, vasp, lammps-data."),
    "spectrum": ("spectrum", "spectrum", "Broaden finished spectra anew: model, instrument, range; to file or node."),
    "diffraction": ("diffraction", "diffraction", "Structure factors of structures, beside a measured one."),
    "train": ("train", "train", "Train the two networks on a data set."),
    "analyse": ("analyse", "analyse", "Analyse a data set: splits, baselines, windows, uncertainty, models; a report."),
    "predict": ("predict", "predict", "Predict the valence or the RDF from a spectrum in a file."),
    "model": ("model", "model", "Write a model into one file that needs no AiiDA, read one, print its card."),
    "report": ("report", "report", "Write the report of a study: one HTML file."),
    "export": ("archive", "export_archive", "Write an archive of a study with all it needs."),
    "import": ("archive", "import_archive", "Read an archive into the profile."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on first use; their help lines stand in ``COMMANDS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        # AiiDA makes its folder as soon as it is imported, and warns of it.
        warnings.filterwarnings("ignore", message="Creating AiiDA configuration folder")
        command = getattr(importlib.import_module(f"aiida_siox.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when the given one does not exist."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.4)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"No such command `{args[0]}`.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="aiida-siox")
@click.option("-p", "--profile", metavar="NAME", help="AiiDA profile; default: `siox` if it exists, else the default.")
@click.pass_context
def main(ctx: click.Context, profile: str | None) -> None:
    """From a composition of SiOx to a trained model that reads Si K-edge XANES spectra."""
    ctx.ensure_object(dict)["profile"] = profile

"""Groups of commands whose modules are imported when a command is called, so that ``--help`` is quick."""

from __future__ import annotations

import difflib
import importlib
import warnings
from typing import Any, NamedTuple

import click


class Lazy(NamedTuple):
    """A command that is not imported yet.

    :param module: below :mod:`aiida_siox.cli`.
    :param attribute: name of the command in the module.
    :param help: one line for the list of commands.
    """

    module: str
    attribute: str
    help: str


class LazyGroup(click.Group):
    """A group whose commands are imported on first use.

    :param lazy: commands by name, in the order in which they are listed.
    :param default: the command that is meant where none is named.
    """

    def __init__(self, *args: Any, lazy: dict[str, Lazy], default: str = "", **keywords: Any) -> None:
        super().__init__(*args, context_settings={"help_option_names": ["-h", "--help"]}, **keywords)
        self.lazy, self.default = lazy, default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before options that come without one."""
        if self.default and (not args or (args[0].startswith("-") and args[0] not in ("-h", "--help"))):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in self.lazy:
            return None
        module, attribute, _ = self.lazy[cmd_name]
        # AiiDA makes its folder as soon as it is imported, and warns of it.
        warnings.filterwarnings("ignore", message="Creating AiiDA configuration folder")
        command = getattr(importlib.import_module(f"aiida_siox.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when the given one does not exist."""
        if args and not args[0].startswith("-") and args[0] not in self.lazy:
            near = difflib.get_close_matches(args[0], self.lazy, n=1, cutoff=0.4)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            ctx.fail(f"No such command `{args[0]}`.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in self.lazy.items()])

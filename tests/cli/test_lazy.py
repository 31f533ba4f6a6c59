"""Groups whose commands are imported on first use."""

from __future__ import annotations

import sys

import click
import pytest
from click.testing import CliRunner

from aiida_siox.cli.lazy import Lazy, LazyGroup


@pytest.fixture
def group():
    """Return a group of two commands, one of which cannot be imported."""
    lazy = {"card": Lazy("model", "card", "Print a card."), "broken": Lazy("nowhere", "broken", "There is none.")}
    return click.group(cls=LazyGroup, lazy=lazy, default="card")(lambda: None)


def test_commands_are_listed_without_being_imported(group):
    result = CliRunner().invoke(group, ["-h"])
    assert result.exit_code == 0
    assert result.output.index("card    Print a card.") < result.output.index("broken  There is none.")
    assert "aiida_siox.cli.nowhere" not in sys.modules


def test_the_command_that_is_meant(group):
    """Options without a command are those of the default; a word is a command."""
    assert "Missing argument 'MODEL'" in CliRunner().invoke(group, ["--json"]).output
    assert "Missing argument 'MODEL'" in CliRunner().invoke(group, []).output
    assert "Did you mean `card`?" in CliRunner().invoke(group, ["cart"]).output

"""What the commands share: options, loading nodes, and errors without a traceback."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click
from aiida import orm
from aiida.common.exceptions import AiidaException, MultipleObjectsError, NotExistent
from aiida.common.links import LinkType
from rich.console import Console

from aiida_siox.cli.engines import ENGINES
from aiida_siox.cli.profile import load_siox_profile
from aiida_siox.materials import load_material
from aiida_siox.workflows.protocol import read_overrides
from aiida_siox.workflows.utils import validate_options

#: Labels of the outputs in JSON, with the name of the output namespace of a study where that differs.
OUTPUT_LABELS = {
    "structure": "structures",
    "quality": "qualities",
    "profiles": "profiles",
    "attempts": "attempts",
    "acceptance": "acceptance",
    "rejected": "rejected",
    "failure": "failures",
    "site_table": "site_tables",
    "calibration": "calibrations",
    "comparison": "comparison",
    "dataset": "dataset",
    "models": "models",
}

#: What AiiDA puts before the messages of our validators.
AIIDA_PREFIX = re.compile(r"^Error occurred validating port '[^']*': ")

#: Files that are read, and that are written.
FILE = click.Path(exists=True, dir_okay=False, path_type=pathlib.Path)
NEW_FILE = click.Path(dir_okay=False, path_type=pathlib.Path)

Command = Callable[..., Any]
NodeT = TypeVar("NodeT", bound=orm.Node)


def say(text: str) -> None:
    """Tell the user something on stderr, where it never mixes with results."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


@contextlib.contextmanager
def user_errors(prefix: str = "") -> Iterator[None]:
    """Turn what is wrong with the user's input into one clear message.

    :param prefix: what was being done or read, put before the message.
    """
    try:
        yield
    except (ValueError, FileNotFoundError, AiidaException) as exception:
        text = AIIDA_PREFIX.sub("", str(exception)) or type(exception).__name__
        raise click.ClickException(f"{prefix}: {text}" if prefix else text)


def with_profile(function: Command) -> Command:
    """Load the profile of the package before a command runs."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with user_errors():
            load_siox_profile()
        return function(*args, **kwargs)

    return wrapper


def load_node(identifier: str, wanted: type[NodeT]) -> NodeT:
    """Load a node by its PK or UUID.

    :param wanted: what the node must be; ``orm.Node`` for anything.
    :raises click.ClickException: if there is no such node, or it is something else.
    """
    try:
        node = orm.load_node(identifier)
    except NotExistent:
        raise click.ClickException(
            f"there is no node `{identifier}` in this profile. `aiida-siox status` lists studies, "
            "`verdi process list -a` all processes."
        )
    except MultipleObjectsError:
        raise click.ClickException(f"`{identifier}` is the beginning of several UUIDs: give more of it.")
    except ValueError:
        raise click.ClickException(f"`{identifier}` is neither a PK nor a UUID.")
    if not isinstance(node, wanted):
        raise click.ClickException(f"node {node.pk} is a {describe(node)}, but a {wanted.__name__} is needed here.")
    return node


def describe(node: orm.Node) -> str:
    """Return what a node is, for a message."""
    if isinstance(node, orm.ProcessNode):
        return f"{node.process_label or type(node).__name__} process"
    return type(node).__name__


def process_class_name(node: orm.ProcessNode) -> str:
    """Return the entry point name of a process (``siox.study``), or an empty text."""
    return (node.process_type or "").partition(":")[2]


def named_outputs(node: orm.ProcessNode) -> dict[str, Any]:
    """Return the PKs of the outputs of a process under their labels in JSON.

    For a study ``structure``, ``quality`` and ``site_table`` map ``<formula>_<seed>`` to PKs; for reference crystals
    ``site_table`` and ``calibration`` map the names of the cases to PKs.
    """
    returned = node.base.links.get_outgoing(link_type=LinkType.RETURN).nested()
    outputs: dict[str, Any] = {}
    for label, plural in OUTPUT_LABELS.items():
        for name in {label, plural}:
            value = returned.get(name)
            if isinstance(value, Mapping):
                outputs[label] = {str(key): entry.pk for key, entry in sorted(value.items())}
            elif value is not None:
                outputs[label] = value.pk
    return outputs


def wants_json() -> bool:
    """Return whether ``--json`` was given to the command that runs."""
    return bool(click.get_current_context().params.get("as_json"))


def scheduler_options(path: pathlib.Path | None, engine: str | None = None) -> dict[str, Any] | None:
    """Read scheduler options, keyed by engine, from a yaml file.

    :param engine: the only engine whose options are wanted.
    """
    if path is None:
        return None
    with user_errors():
        options = read_overrides(path)
        if message := validate_options(options, tuple(ENGINES)):
            raise ValueError(f"{path}: {message}")
    return options if engine is None else options.get(engine)


def json_option(function: Command) -> Command:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one line of JSON on stdout, the rest on stderr."
    )(function)


def protocol_options(function: Command) -> Command:
    """Add ``--protocol`` and ``--overrides``."""
    overrides_type = click.Path(exists=True, dir_okay=False, path_type=pathlib.Path)
    function = click.option(
        "--overrides",
        type=overrides_type,
        help="yaml file with the protocol's keys that differ; unknown keys are refused.",
    )(function)
    return click.option("--protocol", help="fast, balanced or paper [default: fast]; of structures `shortened`, too.")(
        function
    )


def read_changes(path: pathlib.Path | None, material: str | None) -> dict[str, Any]:
    """Return the overrides of a file, with the material that was named beside it.

    :raises click.ClickException: for a file that cannot be read, an unknown material, or one that is no material.
    """
    with user_errors():
        content = {} if path is None else read_overrides(path)
        if material is not None:
            if content.get("material", material) != material:
                raise ValueError(f"--material {material}, but {path} has another `material`: give one of them.")
            content["material"] = material
        if "material" in content:
            content["material"] = load_material(content["material"]).plain()
    return content


def launch_options(function: Command) -> Command:
    """Add the options of all ``run`` commands; ``overrides`` is what the file holds, with the material."""
    inner = function

    @functools.wraps(inner)
    def outer(*args: Any, material: str | None, overrides: pathlib.Path | None, **kwargs: Any) -> Any:
        return inner(*args, overrides=read_changes(overrides, material), **kwargs)

    function = json_option(outer)
    function = click.option(
        "--material",
        help="Name of a material, or the yaml file of another one (absorber, edge, data sets) [default: siox].",
    )(function)
    function = click.option("--submit", is_flag=True, help="Leave it to the daemon, started if need be, and return.")(
        function
    )
    function = click.option(
        "--computer", help="Label of the computer whose codes are taken; the one `setup` made when not given."
    )(function)
    function = click.option(
        "--options",
        "options_file",
        type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
        help="yaml file with scheduler options for each engine (lmp, pw, pp, xspectra, …), e.g. "
        "`pw: {max_wallclock_seconds: 3600}`.",
    )(function)
    function = click.option(
        "--max-concurrent", type=click.IntRange(min=1), help="Engine jobs that may run at the same time."
    )(function)
    return protocol_options(function)


def without(*names: str) -> Callable[[Command], Command]:
    """Leave out shared options that a command would ignore.

    :param names: of their parameters, such as ``submit``.
    """

    def decorator(function: Command) -> Command:
        options: Any = function
        options.__click_params__ = [option for option in options.__click_params__ if option.name not in names]
        return function

    return decorator

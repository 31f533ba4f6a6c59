"""``aiida-siox export`` and ``import``: a study as one file, with all that it needs."""

from __future__ import annotations

import contextlib
import logging
import lzma
import pathlib
import shutil
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import click
from aiida import orm
from aiida.common.exceptions import AiidaException, IncompatibleStorageSchema
from aiida.manage import get_config
from aiida.tools.archive import create_archive
from aiida.tools.archive import import_archive as read
from aiida.tools.archive.abstract import get_format
from sqlalchemy.exc import SQLAlchemyError

from aiida_siox.cli.common import NEW_FILE, describe, json_option, load_node, say, user_errors, with_profile
from aiida_siox.cli.output.files import new_file
from aiida_siox.cli.output.numbers import size_text
from aiida_siox.cli.output.tables import emit_json
from aiida_siox.cli.profile import PROFILE, create_profile, current_profile_option, load_siox_profile

#: The provenance of a node leads to the jobs that made its inputs, but not on to other studies that called these jobs.
TRAVERSAL: dict[str, Any] = {"call_calc_backward": False, "call_work_backward": False}

#: What an import tells the user of, in their order: processes by entry point, data by node type, so that an archive is
#: asked without loading its nodes.
PROCESSES = ("study", "structure_set", "structure_targets")
DATA = {
    "site_table": "SiteTableData", "calibration": "CalibrationData", "dataset": "DatasetData", "model": "ModelData",
}  # fmt: skip
#: What a file that is no archive, or half of one, makes AiiDA raise.
DAMAGED = (
    AiidaException, SQLAlchemyError, zipfile.BadZipFile, tarfile.TarError, zlib.error, ValueError, KeyError, EOFError,
    OSError,
)  # fmt: skip


@click.command("export")
@click.argument("identifier", metavar="PK")
@click.argument("path", metavar="FILE", type=NEW_FILE)
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@with_profile
def export_archive(identifier: str, path: pathlib.Path, force: bool) -> None:
    """Write an AiiDA archive of a study, structure set, table, data set or model with everything it comes from.

    The file holds all nodes and the files the engines gave back, not the scratch folders of the jobs.
    """
    node = load_node(identifier, orm.Node)
    running = [
        process
        for process in ([node, *node.called_descendants] if isinstance(node, orm.ProcessNode) else [])
        if not process.is_sealed
    ]
    if running:
        raise click.ClickException(
            f"{describe(node)} {node.pk} has not ended ({len(running)} processes are open): export it when "
            f"`aiida-siox status {node.pk}` says so."
        )
    with new_file(path, force) as partial, user_errors(f"the archive {path} cannot be written"), quiet():
        create_archive([node], partial, overwrite=True, **TRAVERSAL)
    click.echo(f"{path}: {size_text(path.stat().st_size)}. Elsewhere: aiida-siox import {path.name}")


@click.command("import")
@click.argument("path", metavar="FILE", type=NEW_FILE)
@json_option
def import_archive(path: pathlib.Path, as_json: bool) -> None:
    """Read an AiiDA archive (.aiida, or .aiida.xz) into the profile; without any profile one is made.

    No engine is needed. Reading an archive twice adds nothing. What was imported is never taken from the cache.
    """
    if not path.is_file():
        raise click.ClickException(f"there is no file {path}.")
    with unpacked(path) as archive:
        check_archive(archive)  # before a profile is made for it
        ensure_profile()
        found = contents(archive)
        with readable(path), quiet():
            read(archive, create_group=False)
    imported = {kind: sorted(pk_of(uuid) for uuid in uuids) for kind, uuids in found.items()}
    if as_json:
        emit_json({"file": str(path), "imported": imported})
        return
    if imported["study"]:
        del imported["structure_targets"]  # parts of the study
    for kind, pks in imported.items():
        if pks:
            click.echo(f"{kind}: {', '.join(named(pk) for pk in pks)}")
    if not any(imported.values()):
        click.echo("The archive holds no study, structure set, site table, data set or model.")
        return
    click.echo("Next: " + next_commands(imported))


@contextlib.contextmanager
def unpacked(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Give an archive as it is, or unpacked into a temporary folder if it was packed with xz.

    :raises click.ClickException: if the packed file is damaged.
    """
    if path.suffix != ".xz":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = pathlib.Path(folder) / path.stem
        try:
            with lzma.open(path) as source, archive.open("wb") as target:
                shutil.copyfileobj(source, target)
        except (lzma.LZMAError, EOFError, OSError) as exception:
            raise click.ClickException(f"{path} cannot be unpacked ({exception}): compare sizes after copying.")
        yield archive


def pk_of(uuid: str) -> int:
    """Return the PK that a node has in this profile."""
    pk = orm.load_node(uuid=uuid).pk
    assert pk is not None
    return pk


def named(pk: int) -> str:
    """Return a PK with what tells the node from others of its kind: target of a model, formula of a table, a label."""
    node = orm.load_node(pk)
    attributes = node.base.attributes
    what = attributes.get("target", None) or attributes.get("formula", None) or node.label or None
    return str(pk) if what is None else f"{pk} ({what})"


def next_commands(imported: dict[str, list[int]]) -> str:
    """Return what to try with imported nodes."""
    first = next(pks[0] for pks in imported.values() if pks)
    commands = [f"aiida-siox show {first}"]
    if imported.get("study"):
        commands.append(f"aiida-siox report {imported['study'][0]}")
    if imported.get("model"):
        commands.append(f"aiida-siox predict {imported['model'][0]} SPECTRUM.txt")
    return "; ".join(commands)


def ensure_profile() -> None:
    """Load the profile, or make one without engines where there is none at all."""
    try:
        load_siox_profile()
    except click.ClickException:
        if profiles_exist() and current_profile_option() is None:
            raise
        profile, _ = create_profile(current_profile_option() or PROFILE)
        say(f"Made the AiiDA profile `{profile.name}`, without engines.")


def profiles_exist() -> bool:
    """Return whether the AiiDA configuration has any profile."""
    try:
        return bool(get_config().profile_names)
    except AiidaException:
        return False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep AiiDA's own account of what it reads and writes to itself; warnings of the log go to stderr."""
    # by the module, not by the logger: opening an archive configures all loggers of AiiDA anew
    logging.disable(logging.WARNING - 1)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def readable(path: pathlib.Path) -> Iterator[None]:
    """Turn what AiiDA says of a wrong archive into one message."""
    try:
        yield
    except IncompatibleStorageSchema:
        raise click.ClickException(
            f"{path} was written by another version of AiiDA: `verdi archive migrate {path} NEW_FILE` may bring it up "
            "to this one."
        )
    except DAMAGED as exception:
        raise click.ClickException(
            f"{path} is not an AiiDA archive, or damaged ({str(exception)[:300]}). Write it again with "
            "`aiida-siox export`, and compare sizes after copying."
        )


def check_archive(path: pathlib.Path) -> None:
    """Look at the metadata of an archive.

    :raises click.ClickException: if the file is not an archive of this version of AiiDA.
    """
    with readable(path), quiet(), get_format().open(path, "r") as reader:
        reader.get_metadata()


def contents(path: pathlib.Path) -> dict[str, list[str]]:
    """Return the UUIDs of the studies, tables, data sets and models in an archive.

    :raises click.ClickException: if the archive is damaged.
    """
    wanted: dict[str, tuple[Any, dict[str, str]]] = {
        **{kind: (orm.ProcessNode, {"process_type": f"aiida.workflows:siox.{kind}"}) for kind in PROCESSES},
        **{kind: (orm.Data, {"node_type": f"data.siox.{kind}.{name}."}) for kind, name in DATA.items()},
    }
    with readable(path), quiet(), get_format().open(path, "r") as reader:
        return {
            kind: reader.querybuilder().append(entity, filters=filters, project="uuid").all(flat=True)
            for kind, (entity, filters) in wanted.items()
        }

"""``siox-analyse SITES.npz PARAMETERS.json``: one part of the analysis, from files to files.

Needs numpy, scipy, pydantic and torch, not AiiDA, so that on a cluster ``pip install --no-deps aiida-siox`` beside
them is enough.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

DONE = "siox-analyse: done"
"""Last line of standard output of a run that succeeded."""

#: What stopped a run, in ``result.json``.
PARAMETERS, SITES, WALLTIME = "parameters", "sites", "walltime"


class OutOfTime(Exception):
    """The time that was given is over."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="siox-analyse", description="Run one part of the analysis of a data set.", allow_abbrev=False
    )
    parser.add_argument("sites", nargs="?", type=pathlib.Path, help="file of sites (SiteSet.to_npz)")
    parser.add_argument(
        "parameters", nargs="?", type=pathlib.Path, help="JSON file with `part`, `parameters` and `version`"
    )
    parser.add_argument("-o", dest="output", type=pathlib.Path, default=pathlib.Path(), help="folder of the results")
    parser.add_argument("--max-seconds", type=float, help="stop by itself after so many seconds")
    parser.add_argument("--version", action="store_true", help="print the versions and stop")
    return parser


def progress_printer(
    limit: float | None, clock: Callable[[], float] = time.perf_counter
) -> Callable[[float, str], None]:
    """Return a function that prints lines such as ``progress 0.35 text``.

    :param limit: seconds after which it raises :class:`OutOfTime`; none when None.
    :param clock: seconds.
    """
    start = clock()

    def progress(fraction: float, text: str) -> None:
        elapsed = clock() - start
        print(f"progress {fraction:.3f} {' '.join(text.split())}", flush=True)
        if limit is not None and elapsed > limit:
            raise OutOfTime(f"{elapsed:.0f} s are over at {fraction:.0%} ({' '.join(text.split())})")

    return progress


def read_request(path: pathlib.Path) -> dict[str, Any]:
    """Read the JSON file of parameters.

    :raises ValueError: if it is not one.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as exception:
        raise ValueError(f"{path} is not a readable JSON file: {exception}") from exception
    if not isinstance(content, dict) or not {"part", "parameters", "version"} <= set(content):
        raise ValueError(f"{path} must hold `part`, `parameters` and `version`.")
    return content


def _run(arguments: argparse.Namespace) -> tuple[str, str] | None:
    """Run the part and write its files.

    :returns: None, or kind and message of what stopped it.
    """
    import torch

    from aiida_siox import __version__
    from aiida_siox.learning.analysis.parameters import check_request
    from aiida_siox.learning.analysis.parts import run_part
    from aiida_siox.learning.analysis.results import RESULT_JSON, SCHEMA, write_json, write_result
    from aiida_siox.learning.data.sites import SiteSet

    start_wall, start_cpu = time.perf_counter(), time.process_time()
    versions = {"version": __version__, "torch_version": torch.__version__}
    description: dict[str, Any] = {"program": "siox-analyse", **versions}

    def used() -> dict[str, float]:
        return {
            "wall_s": time.perf_counter() - start_wall,
            "cpu_s": time.process_time() - start_cpu,
            "max_rss_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # Linux counts in kB
        }

    def stopped(kind: str, exception: Exception) -> tuple[str, str]:
        error = {"kind": kind, "message": str(exception)}
        write_json(arguments.output / RESULT_JSON, {"schema": SCHEMA, **description, **used(), "error": error})
        return kind, str(exception)

    try:
        request = read_request(arguments.parameters)
        description |= {key: request[key] for key in ("part", "parameters")} | {"part_version": request["version"]}
        check_request(request["part"], request["parameters"])
    except ValueError as exception:
        return stopped(PARAMETERS, exception)
    try:
        sites = SiteSet.from_npz(arguments.sites)
        result = run_part(request["part"], sites, request["parameters"], progress_printer(arguments.max_seconds))
    except (ValueError, OSError) as exception:
        return stopped(SITES, exception)
    except OutOfTime as exception:
        return stopped(WALLTIME, exception)
    write_result(arguments.output, result, {**description, **used()})
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line without the name of the program; of the process when None.
    :returns: 0, or 1 with the reason on standard error.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        # from the metadata: importing torch takes seconds
        from importlib.metadata import version

        from aiida_siox import __version__

        print(f"siox-analyse {__version__} (torch {version('torch')})")
        return 0
    if arguments.sites is None or arguments.parameters is None:
        parser.error("two files are needed: siox-analyse SITES.npz PARAMETERS.json")
    problem = _run(arguments)
    if problem is not None:
        print(f"siox-analyse: error: {problem[1]}", file=sys.stderr)
        return 1
    print(DONE)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``siox-bader CHARGE -ref REFERENCE``: Bader charges of a density in a cube file, as JSON.

The command line is that of Henkelman's ``bader``. Needs numpy and baderkit, neither AiiDA nor torch, so that on a
cluster ``pip install --no-deps aiida-siox`` and ``pip install baderkit`` are enough.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any

SCHEMA = 1
"""Raise it whenever a key of the JSON file changes its name or meaning."""

DONE = "siox-bader: done"
"""Last line of standard output of a run that succeeded."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="siox-bader", description="Bader charges of a density in a Gaussian cube file.", allow_abbrev=False
    )
    parser.add_argument("charge", nargs="?", type=pathlib.Path, help="cube file of the density whose electrons count")
    parser.add_argument(
        "-ref", dest="reference", type=pathlib.Path, help="cube file of the density that has the basins"
    )
    # literal: the module of the methods needs numpy, which `--version` does without
    parser.add_argument(
        "-b", dest="method", choices=["weight", "neargrid", "ongrid"], default="weight", help="method (default: weight)"
    )
    parser.add_argument("-o", dest="output", type=pathlib.Path, default=pathlib.Path("bader.json"), help="JSON file")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1)")
    parser.add_argument("--warm-up", action="store_true", help="compile what later runs need, and stop")
    parser.add_argument("--version", action="store_true", help="print the versions and stop")
    return parser


def _write(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Write JSON so that a file under this name is always complete."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, allow_nan=False, indent=1) + "\n")
    os.replace(partial, path)


def _run(arguments: argparse.Namespace) -> None:
    """Partition the densities, write the JSON file and print a table."""
    import numpy as np

    from aiida_siox import __version__
    from aiida_siox.science.bader import bader_charges, baderkit_version
    from aiida_siox.science.cube import read_cube

    start_wall, start_cpu = time.perf_counter(), time.process_time()
    charge = read_cube(arguments.charge)
    reference = None if arguments.reference is None else read_cube(arguments.reference)
    result = bader_charges(charge, reference, arguments.method)
    distances = [float(value) if np.isfinite(value) else None for value in result.basin_distances_A]
    _write(
        arguments.output,
        {
            "schema": SCHEMA,
            "program": "siox-bader",
            "version": __version__,
            "baderkit_version": baderkit_version(),
            "method": arguments.method,
            "has_reference": reference is not None,
            "grid": list(charge.values.shape),
            "cell_A": charge.cell.tolist(),
            "numbers": charge.numbers.tolist(),
            "positions_A": charge.positions.tolist(),
            "electrons": result.electrons.tolist(),
            "volumes_A3": result.volumes_A3.tolist(),
            "basin_distances_A": distances,
            "n_basins": result.n_basins.tolist(),
            "n_electrons": result.n_electrons,
            "n_electrons_unassigned": result.n_electrons_unassigned,
            "n_electrons_non_nuclear": result.n_electrons_non_nuclear,
            "n_threads": arguments.threads,
            "cpu_s": time.process_time() - start_cpu,
            "wall_s": time.perf_counter() - start_wall,
            "max_rss_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # Linux counts in kB
        },
    )
    print("  atom   Z   electrons   volume (A^3)   basins   nucleus to maximum (A)")
    for index, number in enumerate(charge.numbers):
        distance = "none" if distances[index] is None else f"{distances[index]:.3f}"
        print(
            f"{index + 1:6d} {number:3d} {result.electrons[index]:11.6f} {result.volumes_A3[index]:14.4f} "
            f"{result.n_basins[index]:8d} {distance:>24}"
        )
    print(f"number of electrons: {result.n_electrons:.6f}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line without the name of the program; of the process when None.
    :returns: 0, or 1 with the reason on standard error.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.threads < 1:
        parser.error("--threads must be at least 1")
    # numba reads this when it is first imported, which happens below.
    os.environ["NUMBA_NUM_THREADS"] = str(arguments.threads)
    from aiida_siox import __version__
    from aiida_siox.science.bader import BaderError, baderkit_version, warm_up
    from aiida_siox.science.cube import CubeError

    if arguments.version:
        print(f"siox-bader {__version__} (baderkit {baderkit_version()})")
        return 0
    if arguments.charge is None and not arguments.warm_up:
        parser.error("a cube file is needed: siox-bader CHARGE -ref REFERENCE")
    try:
        if arguments.warm_up:
            start = time.perf_counter()
            warm_up(arguments.method)
            print(f"compiled in {time.perf_counter() - start:.1f} s")
        else:
            _run(arguments)
    except (BaderError, CubeError) as exception:
        print(f"siox-bader: error: {exception}", file=sys.stderr)
        return 1
    print(DONE)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Gather the outputs that the mock engines replay from a finished StructureTargetsWorkChain of quartz."""

from __future__ import annotations

import gzip
import pathlib
import sys
from typing import Any

import numpy as np

DATA = pathlib.Path(__file__).parent / "data"


def write(name: str, text: str) -> None:
    """Write a file of the fixtures, compressed without its date."""
    (DATA / f"{name}.gz").write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def save_file(lanczos: Any, index: int) -> str:
    """Return the save file of one polarisation in the format of xspectra.x."""
    a, b = lanczos.get_array("a")[index], lanczos.get_array("b")[index]
    attributes = lanczos.base.attributes
    n_iterations = lanczos.get_array("n_iterations")[index]
    length = int(n_iterations.max())

    def row(values: Any) -> str:
        return "  " + "  ".join(f"{value:.9E}" for value in np.ravel(values)) + "\n"

    zero = attributes.get("energy_zero_eV")
    return (
        "# save_file_version=       2\n# save_file_kind   =xanes_dipole\n# number of lanczos stored=   1\n#\n#\n"
        f" F 1\n 1 {len(a)} 3000\n {length}\n {attributes.get('core_energy_eV')} {zero:.12f}\n 0.0 1.0 0.0\n"
        + row(lanczos.get_array("polarisations")[index])
        + row(lanczos.get_array("norm")[index])
        + " ".join(str(n) for n in n_iterations)
        + "\n"
        + "".join(row(k[:length]) for k in a)
        + "".join(row(k[:length]) for k in b)
    )


def main(pk: int) -> None:
    """Write everything to ``data/``."""
    from aiida import load_profile, orm

    load_profile()
    jobs = [node for node in orm.load_node(pk).called_descendants if isinstance(node, orm.CalcJobNode)]
    for job in jobs:
        repository = job.outputs.retrieved.base.repository
        if job.process_label == "PwCalculation":
            stage = "hole" if "Sih" in job.inputs.structure.get_kind_names() else "ground"
            write(f"pw_{stage}.out", repository.get_object_content("aiida.out"))
            write(f"pw_{stage}.xml", repository.get_object_content("data-file-schema.xml"))
        elif job.process_label == "BaderCalculation":
            for name in ("pp_charge.out", "pp_reference.out", "bader.out", "bader.json"):
                write(name, repository.get_object_content(name))
        elif job.process_label == "XspectraCalculation":
            for i in range(3):
                for name in (f"polarisation_{i}.out", f"xanes_{i}.dat"):
                    write(name, repository.get_object_content(name))
                write(f"lanczos_{i}.sav", save_file(job.outputs.lanczos, i))


if __name__ == "__main__":
    main(int(sys.argv[1]))

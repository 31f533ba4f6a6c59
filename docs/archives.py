"""Archives of the documentation: xz files, smaller than AiiDA's zip files, since outputs of one engine are alike.

:func:`aiida_siox.cli.archive.unpacked` reads them.
"""

from __future__ import annotations

import lzma
import pathlib
import shutil
import zipfile


def pack(archive: pathlib.Path, packed: pathlib.Path) -> None:
    """Compress an AiiDA archive as a whole: outputs of one engine are alike, which a zip file cannot see."""
    plain = archive.with_suffix(".plain")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            new.writestr(entry, old.read(entry), compress_type=zipfile.ZIP_STORED)
    with plain.open("rb") as source, lzma.open(packed, "wb", preset=6) as target:
        shutil.copyfileobj(source, target)
    plain.unlink()

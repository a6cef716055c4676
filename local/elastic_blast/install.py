"""Puts the stand-in where pods find programs: one executable file, ``elastic-blast``.

Called by whoever fills the folder that a cluster's pods have in their PATH.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

_PACKAGE = Path(__file__).parent
_MAIN = "import sys\n\nfrom local.elastic_blast.command import main\n\nsys.exit(main())\n"


def install(folder: Path) -> Path:
    """Write the program into a folder, in one step; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    new, target = folder / f".elastic-blast.{os.getpid()}.new", folder / "elastic-blast"
    with new.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("__main__.py", _MAIN)
            archive.writestr("local/__init__.py", "")
            for module in sorted(_PACKAGE.glob("*.py")):
                archive.write(module, f"local/elastic_blast/{module.name}")
    new.chmod(0o755)
    new.replace(target)
    return target

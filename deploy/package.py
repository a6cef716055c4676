"""Builds the deployment package: exactly what runs on Azure, and the same bytes from the same tree (``make package``).

It holds sources only; Azure installs ``requirements.txt`` when the package is deployed (a remote build). What is not
named here is not in it: a new folder has to be added on purpose.
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FILES = ("function_app.py", "host.json", "requirements.txt", "constraints.txt", "LICENSE", "NOTICE")
FOLDERS = {
    "triggers": (".py",),
    "orchestrators": (".py",),
    "activities": (".py",),
    "shared": (".py", ".sh"),
    "web/dist": (".html", ".js", ".css", ".svg"),
}
"""Folder -> endings of the files in it that belong to the app."""
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the package: the earliest that a zip file can say."""
READABLE = 0o644 << 16


def contents(root: Path) -> Iterator[Path]:
    """The files of the package, in order.

    Raises:
        FileNotFoundError: one that must be there is not; the page has to be built first.
    """
    for name in FILES:
        yield _there(root / name)
    _there(root / "web/dist/index.html")
    for folder, endings in FOLDERS.items():
        yield from sorted(file for file in (root / folder).rglob("*") if file.suffix in endings and file.is_file())


def _there(file: Path) -> Path:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there: make setup")
    return file


def build(root: Path, target: Path) -> str:
    """Write the package.

    Args:
        root: the repository.
        target: the zip file; it is replaced when all of it is written.

    Returns:
        Its SHA-256.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_suffix(".new")
    with zipfile.ZipFile(half, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for file in contents(root):
            entry = zipfile.ZipInfo(file.relative_to(root).as_posix(), EARLIEST)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, READABLE
            package.writestr(entry, file.read_bytes())
    half.replace(target)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> None:
    """Build it and say what it is."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=REPOSITORY / "dist" / "app.zip")
    target: Path = arguments.parse_args().out
    digest = build(REPOSITORY, target)
    with zipfile.ZipFile(target) as package:
        files = len(package.namelist())
    print(f"{target}: {files} files, {target.stat().st_size:,} bytes, SHA-256 {digest}")  # noqa: T201


if __name__ == "__main__":
    main()

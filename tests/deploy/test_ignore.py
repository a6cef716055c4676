"""``.funcignore`` leaves out what the package leaves out, and the package forgets no file of the app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec

from deploy.package import FILES, FOLDERS, REPOSITORY, contents

BYTECODE = "__pycache__"
SPEC = GitIgnoreSpec.from_lines((REPOSITORY / ".funcignore").read_text().splitlines())
"""The syntax is that of .gitignore."""


def published(root: Path) -> Iterator[str]:
    """What is published from a folder; one that is left out is not gone into, as every publisher does it."""
    for path in sorted(root.iterdir()):
        name = path.relative_to(REPOSITORY).as_posix()
        if path.is_dir():
            if not SPEC.match_file(name + "/"):
                yield from published(path)
        elif not SPEC.match_file(name):
            yield name


def test_the_folder_and_the_package_are_the_same_files() -> None:
    packaged = [file.relative_to(REPOSITORY).as_posix() for file in contents(REPOSITORY)]
    assert sorted(published(REPOSITORY)) == sorted(packaged)
    assert len(packaged) > 100


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_of_a_folder_is_forgotten_for_its_ending(folder: str) -> None:
    there = {file for file in (REPOSITORY / folder).rglob("*") if file.is_file() and BYTECODE not in file.parts}
    assert there == {file for file in contents(REPOSITORY) if file.is_relative_to(REPOSITORY / folder)}


@pytest.mark.parametrize(
    "name",
    [
        "local.settings.json",
        ".env",
        ".git/config",
        ".venv/bin/python",
        "node_modules/azurite/package.json",
        "tests/deploy/test_ignore.py",
        "local/stack/stack.py",
        "deploy/package.py",
        "infra/main.bicep",
        "web/src/main.tsx",
        "web/node_modules/preact/package.json",
        "web/.env",
        "shared/__pycache__/config.cpython-313.pyc",
        "a-folder-that-comes-later/secret",
        "dist/app.zip",
    ],
)
def test_never_published(name: str) -> None:
    assert SPEC.match_file(name)


@pytest.mark.parametrize("name", FILES)
def test_always_published(name: str) -> None:
    assert not SPEC.match_file(name)

"""The client is a package of its own: what it imports, what it asks to be installed, and that it runs alone."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "elb"
ALLOWED = {"elb", "httpx", "rich"}


def imported(file: Path) -> set[str]:
    """The top-level modules that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            found.add(str(node.module).split(".")[0])
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_it_imports_httpx_and_rich_only(file: Path) -> None:
    assert imported(file) - set(sys.stdlib_module_names) <= ALLOWED


def test_nothing_of_the_app_imports_it() -> None:
    folders = ("triggers", "orchestrators", "activities", "shared")
    files = [
        REPOSITORY / "function_app.py",
        *(file for folder in folders for file in (REPOSITORY / folder).rglob("*.py")),
    ]
    assert [file for file in files if "elb" in imported(file)] == []


def test_its_requirements_are_pinned_as_the_repository_s() -> None:
    wanted = re.findall(r"^(\w+==\S+)$", (PACKAGE / "requirements.txt").read_text(), re.MULTILINE)
    assert [line.split("==")[0] for line in wanted] == ["httpx", "rich"]
    for file in ("requirements-dev.txt", "constraints.txt"):
        assert set(wanted) <= set((REPOSITORY / file).read_text().splitlines())


def test_it_runs_where_nothing_else_of_the_repository_is(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "elb", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "elb", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exit codes:" in done.stdout

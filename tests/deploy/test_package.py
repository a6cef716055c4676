"""The deployment package: what is in it, and that a Functions host finds every function in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from deploy.package import FOLDERS, REPOSITORY, build

PYTHON = REPOSITORY / ".venv-app" / "bin" / "python"
"""An environment with nothing but requirements.txt."""
LIST_FUNCTIONS = """
import json, sys
sys.dont_write_bytecode = True
import function_app
names = sorted(function.get_function_name() for function in function_app.app.get_functions())
print(json.dumps({"names": names, "from": function_app.__file__}))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package in an empty folder."""
    package = tmp_path_factory.mktemp("package") / "app.zip"
    build(REPOSITORY, package)
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(package) as file:
        file.extractall(folder)
    return folder


def functions_of(python: Path, folder: Path) -> dict[str, object]:
    """What a worker finds when it indexes the app in this folder."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(
        [str(python), "-c", LIST_FUNCTIONS], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_all_functions_are_found_with_nothing_but_the_apps_own_packages(unpacked: Path) -> None:
    here = functions_of(REPOSITORY / ".venv" / "bin" / "python", REPOSITORY)
    there = functions_of(PYTHON, unpacked)
    assert there["from"] == str(unpacked / "function_app.py")
    assert there["names"] == here["names"]
    assert len(here["names"]) > 40  # type: ignore[arg-type]


def test_the_environment_has_nothing_of_the_development_tools() -> None:
    done = subprocess.run([str(PYTHON), "-m", "pip", "list", "--format", "json"], capture_output=True, check=True)
    installed = {each["name"].lower() for each in json.loads(done.stdout)}
    assert "azure-functions" in installed
    assert installed.isdisjoint({"pytest", "mypy", "azure-functions-runtime", "httpx", "hypothesis"})


def test_it_holds_the_app_and_nothing_else(unpacked: Path) -> None:
    top = {path.name for path in unpacked.iterdir()}
    assert {"tests", "local", "bench", "elb", "docs", "infra", "node_modules", ".git"}.isdisjoint(top)
    endings = {path.suffix for path in unpacked.rglob("*") if path.is_file()}
    assert endings == {".py", ".sh", ".json", ".txt", ".html", ".js", ".css", ".svg", ""}
    assert (unpacked / "web/dist/index.html").read_bytes() == (REPOSITORY / "web/dist/index.html").read_bytes()
    for folder in FOLDERS:
        assert any((unpacked / folder).rglob("*")), folder


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    first = build(REPOSITORY, tmp_path / "one.zip")
    copy = tmp_path / "copy"
    for folder in FOLDERS:
        shutil.copytree(REPOSITORY / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in REPOSITORY.iterdir():
        if file.is_file():
            shutil.copyfile(file, copy / file.name)  # another time, another mode
    assert build(copy, tmp_path / "two.zip") == first


def test_without_a_built_page_there_is_no_package(tmp_path: Path) -> None:
    for file in REPOSITORY.iterdir():
        if file.is_file():
            shutil.copyfile(file, tmp_path / file.name)
    with pytest.raises(FileNotFoundError, match="make setup"):
        build(tmp_path, tmp_path / "dist" / "app.zip")
    assert not (tmp_path / "dist" / "app.zip").exists()

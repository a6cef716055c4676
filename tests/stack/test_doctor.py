"""What the doctor says on a machine where something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.stack import doctor
from local.stack.home import Home


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, doctor.Check]:
    """The checks of a machine with an old node, a kubectl that fails, a sandbox that is not allowed, and no vmtouch."""
    for name, text in {
        "node": "echo v18.0.0",
        "npm": "exit 0",
        "kubectl": "echo broken >&2; exit 1",
        "bwrap": "echo 'No permissions to create new namespace' >&2; exit 1",
        "curl": "echo curl 7.88.1",
        "blastn": "echo blastn: 2.12.0+",
    }.items():
        put(tmp_path, name, text)
    monkeypatch.setenv("PATH", str(tmp_path))
    return {check.name: check for check in doctor.checks(Home(tmp_path / "home"))}


@pytest.mark.parametrize(
    ("name", "detail", "cure"),
    [
        ("node", "v18.0.0", "Node >= 20"),
        ("kubectl", "exit code 1: broken", "kubernetes-client"),
        ("bwrap, a real sandbox", "No permissions to create new namespace", "user namespaces"),
        ("vmtouch", "vmtouch is not there", "apt-get install vmtouch"),
        ("blastdbcheck", "blastdbcheck is not there", "ncbi-blast+"),
    ],
)
def test_what_is_missing_is_named_with_its_cure(
    found: dict[str, doctor.Check], name: str, detail: str, cure: str
) -> None:
    check = found[name]
    assert not check.ok
    assert detail in check.detail
    assert cure in check.cure


@pytest.mark.parametrize("name", ["Python 3.13", "blastn", "curl", "npm packages", "stack"])
def test_what_is_there_is_ok(found: dict[str, doctor.Check], name: str) -> None:
    assert found[name].ok


def test_the_exit_code_says_whether_something_is_missing(
    found: dict[str, doctor.Check], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main(Home(tmp_path / "home")) == 1
    assert "MISSING vmtouch" in capsys.readouterr().out

"""Which Python ``make`` takes. Every candidate is a fake on a PATH of its own, so this machine's play no part."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "local/setup/find-python.sh"

# Says a version when it is asked for one, and where it is when it is asked for that.
WORKS = '#!/bin/sh\ncase "$2" in *version_info*) echo {} ;; *) echo "$0" ;; esac\n'
SHIM = '#!/bin/sh\necho "pyenv: python3.13: command not found" >&2\nexit 127\n'
WITHOUT_PIP = '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; *) echo 3.13 ;; esac\n'
UV = '#!/bin/sh\ncase "$2" in install) : ;; find) echo "{}" ;; esac\n'
UV_OFFLINE = '#!/bin/sh\necho "error: no network" >&2\nexit 2\n'


@dataclass
class Machine:
    """A home, a PATH, and what was put there."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def put(self, path: str, text: str) -> str:
        """Make an executable file; returns its full path."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return str(file)

    def find(self) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        environment = {"PATH": str(self.root / "bin"), "HOME": str(self.root), **self.environment}
        return subprocess.run(["/bin/sh", str(SCRIPT)], env=environment, capture_output=True, text=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_one_on_path_is_taken_when_it_runs(machine: Machine) -> None:
    python = machine.put("bin/python3.13", WORKS.format("3.13"))
    machine.put(".pyenv/versions/3.13.0/bin/python", WORKS.format("3.13"))
    assert machine.find().stdout.strip() == python


@pytest.mark.parametrize(
    "broken", [SHIM, WORKS.format("3.12"), WITHOUT_PIP], ids=["shim that fails", "another version", "without pip"]
)
def test_one_on_path_that_will_not_do_is_passed_over(machine: Machine, broken: str) -> None:
    machine.put("bin/python3.13", broken)
    python = machine.put(".pyenv/versions/3.13.0/bin/python", WORKS.format("3.13"))
    assert machine.find().stdout.strip() == python


def test_pyenv_may_live_elsewhere(machine: Machine) -> None:
    machine.environment["PYENV_ROOT"] = str(machine.root / "opt/pyenv")
    python = machine.put("opt/pyenv/versions/3.13.9/bin/python", WORKS.format("3.13"))
    assert machine.find().stdout.strip() == python


def test_a_pyenv_root_without_it_does_not_hide_the_usual_place(machine: Machine) -> None:
    machine.environment["PYENV_ROOT"] = str(machine.root / "opt/pyenv")
    python = machine.put(".pyenv/versions/3.13.1/bin/python", WORKS.format("3.13"))
    assert machine.find().stdout.strip() == python


def test_a_broken_version_of_pyenv_is_passed_over(machine: Machine) -> None:
    machine.put(".pyenv/versions/3.13.0/bin/python", SHIM)
    python = machine.put(".pyenv/versions/3.13.2/bin/python", WORKS.format("3.13"))
    assert machine.find().stdout.strip() == python


def test_uv_brings_one(machine: Machine) -> None:
    python = machine.put("share/uv/python3.13", WORKS.format("3.13"))
    machine.put("bin/uv", UV.format(python))
    assert machine.find().stdout.strip() == python


@pytest.mark.parametrize("uv", [None, UV_OFFLINE, UV.format("/nowhere")], ids=["no uv", "uv offline", "uv lies"])
def test_without_any_it_says_what_to_install(machine: Machine, uv: str | None) -> None:
    machine.put("bin/python3.13", SHIM)
    if uv is not None:
        machine.put("bin/uv", uv)
    found = machine.find()
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.strip().splitlines()[-1].startswith("Python 3.13 is needed: install it with")

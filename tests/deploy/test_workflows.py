"""The workflows: least rights, no stored secret, and steps that call what is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.package import REPOSITORY

FOLDER = REPOSITORY / ".github" / "workflows"
FILES = sorted(path.name for path in FOLDER.glob("*.yml"))
KNOWN_ACTIONS = ("actions/", "azure/login@")


def read(name: str) -> dict[Any, Any]:
    """A workflow; YAML reads the key ``on`` as true."""
    found: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def steps(name: str) -> list[dict[str, Any]]:
    """All steps of all jobs."""
    return [step for job in read(name)["jobs"].values() for step in job["steps"]]


def test_there_are_two() -> None:
    assert FILES == ["ci.yml", "deploy.yml"]


@pytest.mark.parametrize("name", FILES)
class TestEach:
    def test_rights_are_named_and_none_may_write_the_repository(self, name: str) -> None:
        workflow = read(name)
        given = [workflow["permissions"], *(job.get("permissions", {}) for job in workflow["jobs"].values())]
        for rights in given:
            assert {right for right, level in rights.items() if level == "write"} <= {"id-token"}
        assert workflow["concurrency"]["group"]

    def test_every_job_ends_some_time(self, name: str) -> None:
        assert all(0 < job["timeout-minutes"] <= 60 for job in read(name)["jobs"].values())

    def test_actions_are_of_known_owners_and_of_a_version(self, name: str) -> None:
        used = [step["uses"] for step in steps(name) if "uses" in step]
        assert used
        assert all(action.startswith(KNOWN_ACTIONS) and re.search(r"@(v\d+|[0-9a-f]{40})$", action) for action in used)

    def test_no_secret_is_stored(self, name: str) -> None:
        assert "secrets." not in (FOLDER / name).read_text()

    def test_what_people_enter_reaches_no_shell(self, name: str) -> None:
        commands = [step["run"] for step in steps(name) if "run" in step]
        assert not any("${{" in command for command in commands)

    def test_make_targets_and_scripts_are_there(self, name: str) -> None:
        makefile = (REPOSITORY / "Makefile").read_text()
        for command in (step["run"] for step in steps(name) if "run" in step):
            for target in re.findall(r"\bmake ([a-z-]+)", command):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
            for script in re.findall(r"\bdeploy/[a-z-]+\.sh", command):
                assert (REPOSITORY / script).is_file(), script
            for module in re.findall(r"python -m ([a-z.]+)", command):
                assert (REPOSITORY / (module.replace(".", "/") + ".py")).is_file(), module

    def test_every_command_is_a_shell_command(self, name: str, tmp_path: Path) -> None:
        for index, command in enumerate(step["run"] for step in steps(name) if "run" in step):
            script = tmp_path / f"{index}.sh"
            script.write_text(command)
            subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_checks_of_ci_are_those_of_everybody() -> None:
    assert any("make ci" in step.get("run", "") for step in steps("ci.yml"))
    assert (REPOSITORY / ".ci" / "run").read_text().endswith("\nexec make ci\n")


def test_only_what_ci_was_happy_with_is_deployed() -> None:
    commands = [step.get("run", "") + step.get("uses", "") for step in steps("deploy.yml")]
    (checked,) = [i for i, command in enumerate(commands) if "ci push main success" in command]
    (signed_in,) = [i for i, command in enumerate(commands) if "azure/login" in command]
    (deployed,) = [i for i, command in enumerate(commands) if "config-zip" in command]
    (smoked,) = [i for i, command in enumerate(commands) if "deploy.smoke" in command]
    assert checked < signed_in < deployed < smoked


def test_an_opening_is_closed_also_when_the_step_is_killed() -> None:
    (closing,) = [step for step in steps("deploy.yml") if "access-restriction remove" in step.get("run", "")]
    assert closing["if"].startswith("always()")
    (deploying,) = [step for step in steps("deploy.yml") if "config-zip" in step.get("run", "")]
    assert deploying["run"].startswith("deploy/open-while.sh timeout 900 az ")
    (asking,) = [step for step in steps("deploy.yml") if "deploy.smoke" in step.get("run", "")]
    assert "\ndeploy/open-while.sh python -m deploy.smoke " in asking["run"]
    assert "access-restriction remove" in steps("deploy.yml")[-1]["run"]


def test_root_finds_the_python_and_node_that_were_set_up() -> None:
    as_root = [step["run"] for step in steps("ci.yml") if "sudo" in step.get("run", "")]
    assert len(as_root) == 2
    assert all(command.startswith('sudo env "PATH=$PATH" ') for command in as_root)

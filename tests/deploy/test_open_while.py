"""A network opening of a deployment is closed on every way out. ``az`` is a script that notes what it is asked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from deploy.package import REPOSITORY

SCRIPT = REPOSITORY / "deploy" / "open-while.sh"
AZ = """#!/bin/sh
case "$*" in
    *" add "*) echo "add $*" >>"$ASKED"; exit "${ADD_CODE:-0}" ;;
    *" show "*) echo "show $*" >>"$ASKED"; printf %s "${STILL_THERE-deploy-203-0-113-7}"; exit "${SHOW_CODE:-0}" ;;
    *" remove "*)
        echo "remove $*" >>"$ASKED"
        [ "$(grep -c ^remove "$ASKED")" -gt "${REMOVE_FAILS:-0}" ] ;;
esac
"""


class Deployment:
    """The script with a fake ``az`` on its path."""

    def __init__(self, folder: Path) -> None:
        self.asked = folder / "asked"
        self.asked.touch()
        (folder / "bin").mkdir()
        (folder / "bin" / "az").write_text(AZ)
        (folder / "bin" / "az").chmod(0o755)
        self.environment = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "ASKED": str(self.asked),
            "RESOURCE_GROUP": "group",
            "APP_NAME": "app",
            "ADDRESS": "203.0.113.7",
            "PAUSE_SECONDS": "0",
            "SETTLE_SECONDS": "0",
        }

    def begin(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(SCRIPT), *command],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        with self.begin(*command, **environment) as process:
            output = process.communicate(timeout=60)[0]
        return process.returncode, output

    @property
    def verbs(self) -> list[str]:
        return [line.split()[0] for line in self.asked.read_text().splitlines()]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@pytest.mark.parametrize("code", [0, 1, 42])
def test_the_commands_own_end(deployment: Deployment, code: int) -> None:
    assert deployment.run("sh", "-c", f"exit {code}")[0] == code
    assert deployment.verbs == ["add", "remove"]
    added, removed = deployment.asked.read_text().splitlines()
    assert "--rule-name deploy-203-0-113-7" in added
    assert "--rule-name deploy-203-0-113-7" in removed


def test_an_opening_that_fails_may_have_happened(deployment: Deployment) -> None:
    assert deployment.run("false", ADD_CODE="1")[0] == 69
    assert deployment.verbs == ["add", "remove"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_command_runs(deployment: Deployment, tmp_path: Path, number: signal.Signals) -> None:
    running = tmp_path / "running"
    with deployment.begin("sh", "-c", f"echo $$ >{running}; exec sleep 60") as process:
        end = time.monotonic() + 30
        while not running.exists() or not running.read_text().strip():
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert deployment.verbs == ["add", "remove"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(running.read_text()), 0)


def test_a_signal_before_the_rule_acts(deployment: Deployment, tmp_path: Path) -> None:
    with deployment.begin("touch", str(tmp_path / "ran"), SETTLE_SECONDS="600") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open: deploy-203-0-113-7, scm\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 143
    assert deployment.verbs == ["add", "remove"]
    assert not (tmp_path / "ran").exists()


def test_a_closing_is_tried_again(deployment: Deployment) -> None:
    assert deployment.run("true", REMOVE_FAILS="2")[0] == 0
    assert deployment.verbs == ["add", "remove", "show", "remove", "show", "remove"]


def test_one_that_cannot_be_closed_is_told(deployment: Deployment) -> None:
    code, output = deployment.run("true", REMOVE_FAILS="9")
    assert code == 70
    assert "NOT closed: remove the access restriction deploy-203-0-113-7 of app (scm site) by hand" in output


def test_an_opening_that_never_was_is_closed(deployment: Deployment) -> None:
    """``az`` refuses to remove a rule that is not there."""
    code, output = deployment.run("true", ADD_CODE="1", REMOVE_FAILS="9", STILL_THERE="")
    assert code == 69
    assert deployment.verbs == ["add", "remove", "show"]
    assert "NOT closed" not in output


def test_nobody_knowing_whether_it_is_there_is_not_closed(deployment: Deployment) -> None:
    assert deployment.run("true", REMOVE_FAILS="9", STILL_THERE="", SHOW_CODE="1")[0] == 70


class TestSites:
    def test_the_deployment_site_alone_unless_told(self, deployment: Deployment) -> None:
        deployment.run("true")
        assert [line.count("--scm-site true") for line in deployment.asked.read_text().splitlines()] == [1, 1]

    def test_both(self, deployment: Deployment) -> None:
        assert deployment.run("sh", "-c", "exit 4", SITES="scm main")[0] == 4
        asked = deployment.asked.read_text().splitlines()
        assert deployment.verbs == ["add", "add", "remove", "remove"]
        assert ["--scm-site true" in line for line in asked] == [True, False, True, False]

    def test_both_are_closed_when_one_does_not_close(self, deployment: Deployment) -> None:
        assert deployment.run("true", SITES="scm main", REMOVE_FAILS="3")[0] == 70
        assert deployment.verbs[-1] == "remove"

    def test_a_word_that_is_no_site_opens_nothing(self, deployment: Deployment) -> None:
        assert deployment.run("true", SITES="1")[0] == 64
        assert deployment.verbs == []


def test_without_an_address_nothing_is_opened(deployment: Deployment) -> None:
    assert deployment.run("sh", "-c", "exit 3", ADDRESS="")[0] == 3
    assert deployment.verbs == []

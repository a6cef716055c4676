"""The hooks that azd runs, run with an azd and a curl that note what they are asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.package import REPOSITORY
from tests.infra.bicep import MAIN, parameter_file, read

HOOKS = REPOSITORY / "infra" / "hooks"
AZD = """#!/bin/sh
echo "azd $*" >>"$ASKED"
case "$1" in auth) [ -n "${TOKEN-}" ] || exit 1; echo "$TOKEN" ;; esac
"""
CURL = """#!/bin/sh
echo "curl $*" >>"$ASKED"
cat >"$ASKED.input"
printf %s "${STATUS-202}"
"""
SIGNED_UP = {"ELB_AUTH_CLIENT_ID": "00000000-0000-0000-0000-000000000001"}
DEPLOYED = {
    **SIGNED_UP,
    "ELB_APP_URL": "https://elb.example",
    "ELB_IMAGE_REGISTRY": "acr",
    "TOKEN": "a-token",
}


class Machine:
    """A machine with a fake azd and curl."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "asked"
        self.log.touch()
        for name, script in (("azd", AZD), ("curl", CURL)):
            (folder / name).write_text(script)
            (folder / name).chmod(0o755)

    def run(self, hook: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a hook with nothing in the environment but this."""
        inherited = {"PATH": f"{self.folder}:{os.environ['PATH']}", "ASKED": str(self.log)}
        command = ["sh", str(HOOKS / hook)]
        return subprocess.run(command, env=inherited | environment, capture_output=True, text=True, timeout=60)

    def asked(self) -> list[str]:
        """What the fakes were asked, in order."""
        return self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine for one test."""
    return Machine(tmp_path)


class TestSecrets:
    def test_are_made_where_there_are_none(self, machine: Machine) -> None:
        done = machine.run("preprovision.sh", **SIGNED_UP)
        assert done.returncode == 0, done.stderr
        made = dict(line.removeprefix("azd env set ").split(" ") for line in machine.asked())
        assert list(made) == ["ELB_CALLBACK_SECRET", "ELB_WEBHOOK_SECRET"]
        assert all(len(value) == 64 and set(value) <= set("0123456789abcdef") for value in made.values())
        assert len(set(made.values())) == 2
        assert not any(value in done.stdout + done.stderr for value in made.values())

    def test_are_others_for_another_deployment(self, machine: Machine) -> None:
        machine.run("preprovision.sh", **SIGNED_UP)
        machine.run("preprovision.sh", **SIGNED_UP)
        assert len(set(machine.asked())) == 4

    def test_stay_where_there_are_some(self, machine: Machine) -> None:
        done = machine.run("preprovision.sh", ELB_CALLBACK_SECRET="one", ELB_WEBHOOK_SECRET="two", **SIGNED_UP)
        assert done.returncode == 0
        assert machine.asked() == []

    def test_an_empty_webhook_secret_stays_empty(self, machine: Machine) -> None:
        done = machine.run("preprovision.sh", ELB_CALLBACK_SECRET="one", ELB_WEBHOOK_SECRET="", **SIGNED_UP)
        assert done.returncode == 0
        assert machine.asked() == []
        assert "webhooks are off" in done.stdout

    def test_an_empty_call_back_secret_is_not_replaced_but_refused(self, machine: Machine) -> None:
        done = machine.run("preprovision.sh", ELB_CALLBACK_SECRET="", **SIGNED_UP)
        assert done.returncode == 1
        assert machine.asked() == []
        assert "ELB_CALLBACK_SECRET is empty" in done.stderr


class TestWhatIsMissing:
    @pytest.mark.parametrize("environment", [{}, {"ELB_AUTH_CLIENT_ID": ""}])
    def test_the_registration_is_asked_for(self, machine: Machine, environment: dict[str, str]) -> None:
        done = machine.run("preprovision.sh", **environment)
        assert done.returncode == 1
        assert "ELB_AUTH_CLIENT_ID" in done.stderr
        assert machine.asked() == []

    @pytest.mark.parametrize("missing", ["ELB_CLUSTER_NAME", "AZURE_RESOURCE_GROUP", "ELB_NODES_SUBNET_ID"])
    def test_an_existing_cluster_needs_its_names(self, machine: Machine, missing: str) -> None:
        known = {
            "ELB_CLUSTER_NAME": "c",
            "AZURE_RESOURCE_GROUP": "g",
            "ELB_NODES_SUBNET_ID": "/subnet",
            "ELB_CLUSTER_MODE": "existing",
        }
        assert machine.run("preprovision.sh", **known, **SIGNED_UP).returncode == 0
        done = machine.run("preprovision.sh", **{**known, missing: ""}, **SIGNED_UP)
        assert done.returncode == 1
        assert missing in done.stderr

    def test_an_open_account_needs_no_subnet(self, machine: Machine) -> None:
        known = {
            "ELB_CLUSTER_NAME": "c",
            "AZURE_RESOURCE_GROUP": "g",
            "ELB_CLUSTER_MODE": "existing",
            "ELB_DATA_FIREWALL": "Allow",
        }
        assert machine.run("preprovision.sh", **known, **SIGNED_UP).returncode == 0


class TestDown:
    def test_does_not_delete_the_group_of_an_existing_cluster(self, machine: Machine) -> None:
        done = machine.run("predown.sh", ELB_CLUSTER_MODE="existing", AZURE_RESOURCE_GROUP="rg-theirs")
        assert done.returncode == 1
        assert "rg-theirs" in done.stderr

    @pytest.mark.parametrize("environment", [{}, {"ELB_CLUSTER_MODE": "new"}])
    def test_deletes_a_group_of_its_own(self, machine: Machine, environment: dict[str, str]) -> None:
        assert machine.run("predown.sh", **environment).returncode == 0


class TestOpenApi:
    def test_is_begun_on_a_new_cluster_and_the_token_is_no_argument(self, machine: Machine) -> None:
        done = machine.run("postdeploy.sh", **DEPLOYED)
        assert done.returncode == 0, done.stderr
        token, posted = machine.asked()
        assert token == f"azd auth token --scope api://{SIGNED_UP['ELB_AUTH_CLIENT_ID']}/.default"
        assert posted.endswith("--data {} https://elb.example/api/aks/openapi/deploy")
        assert "a-token" not in posted + done.stdout + done.stderr
        assert Path(f"{machine.log}.input").read_text() == 'header = "Authorization: Bearer a-token"\n'

    @pytest.mark.parametrize(
        "environment",
        [{"ELB_DEPLOY_OPENAPI": ""}, {"ELB_DEPLOY_OPENAPI": "0"}, {"ELB_CLUSTER_MODE": "existing"}],
    )
    def test_is_left_where_it_is_not_wanted(self, machine: Machine, environment: dict[str, str]) -> None:
        assert machine.run("postdeploy.sh", **DEPLOYED, **environment).returncode == 0
        assert machine.asked() == []

    def test_is_begun_on_an_existing_cluster_when_asked(self, machine: Machine) -> None:
        asked = {"ELB_CLUSTER_MODE": "existing", "ELB_DEPLOY_OPENAPI": "1"}
        assert machine.run("postdeploy.sh", **DEPLOYED, **asked).returncode == 0
        assert len(machine.asked()) == 2

    @pytest.mark.parametrize(
        ("environment", "said"),
        [
            ({"ELB_IMAGE_REGISTRY": ""}, "no registry"),
            ({"TOKEN": ""}, "no token"),
            ({"STATUS": "403"}, "the app answered 403"),
        ],
    )
    def test_says_when_it_was_not_begun(self, machine: Machine, environment: dict[str, str], said: str) -> None:
        done = machine.run("postdeploy.sh", **{**DEPLOYED, **environment})
        assert done.returncode == 1
        assert said in done.stderr


class TestPackage:
    def test_is_unpacked_as_it_was_built(self, tmp_path: Path) -> None:
        root = tmp_path / "repository"
        (root / "infra" / "hooks").mkdir(parents=True)
        (root / ".venv" / "bin").mkdir(parents=True)
        shutil.copy(HOOKS / "package.sh", root / "infra" / "hooks")
        (root / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec "{shutil.which("python3")}" "$@"\n')
        (root / ".venv" / "bin" / "python").chmod(0o755)
        (root / "old").mkdir()
        (root / "new.txt").write_text("new")
        package = "mkdir -p dist && cd dist && ../.venv/bin/python -m zipfile -c app.zip ../new.txt"
        (root / "Makefile").write_text(f".PHONY: package\npackage:\n\t{package}\n")
        (root / "dist" / "app").mkdir(parents=True)
        (root / "dist" / "app" / "left over").touch()
        done = subprocess.run(["sh", str(root / "infra/hooks/package.sh")], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert [file.name for file in (root / "dist" / "app").iterdir()] == ["new.txt"]


class TestProject:
    def test_azd_deploys_the_package_of_make_package(self) -> None:
        project = yaml.safe_load((REPOSITORY / "azure.yaml").read_text())
        assert project["services"] == {"api": {"project": "dist/app", "language": "python", "host": "function"}}
        assert "'azd-service-name': 'api'" in (MAIN.parent / "modules" / "app.bicep").read_text()
        assert project["infra"] == {"provider": "bicep", "path": "infra", "module": "main"}

    def test_every_hook_is_there_and_runs(self) -> None:
        hooks = yaml.safe_load((REPOSITORY / "azure.yaml").read_text())["hooks"]
        assert set(hooks) == {"prepackage", "predeploy", "predown", "preprovision", "postdeploy"}
        assert {Path(hook["run"]).name for hook in hooks.values()} == {file.name for file in HOOKS.iterdir()}
        for hook in hooks.values():
            script = REPOSITORY / hook["run"]
            assert hook["shell"] == "sh"
            assert script.stat().st_mode & stat.S_IXUSR
            subprocess.run(["sh", "-n", str(script)], check=True)
            if shutil.which("shellcheck"):
                subprocess.run(["shellcheck", str(script)], check=True)

    def test_values_that_the_hooks_read_are_parameters_or_outputs(self) -> None:
        known = {value.strip("${}").split("=")[0] for value in parameter_file().values()} | set(read(MAIN).outputs)
        source = "".join(file.read_text() for file in HOOKS.iterdir())
        used = set(re.findall(r"\$\{?((?:ELB|AZURE)_[A-Z_]+)", source))
        assert used - known == {"ELB_DEPLOY_OPENAPI"}

    def test_the_files_are_json(self) -> None:
        for file in sorted(MAIN.parent.glob("*.json")):
            json.loads(file.read_text())

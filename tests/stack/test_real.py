"""The parts of the stack that are real, and the agreement between what it sets and what the app reads."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from local.stack.components import AZURITE
from local.stack.description import shell_lines
from local.stack.home import Home
from local.stack.identity import Identity
from local.stack.nodes import default_nodes, install_tools
from local.stack.settings import app_settings
from local.stack.stack import Stack
from shared.config import check_deployment, read_settings
from tests.stack.programs import own_environment, wait_until

PORTS = {"app": 7071, "blob": 10000, "queue": 10001, "table": 10002, "arm": 1, "cluster": 2, "cluster_control": 3}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All but the Functions host."""
    if not AZURITE.exists():
        pytest.skip("Azurite is not installed: make setup")
    with Stack(tmp_path_factory.mktemp("stack"), parts=("azurite", "cluster", "arm")) as running:
        yield running


class TestStorage:
    def test_the_containers_are_there(self, stack: Stack) -> None:
        with BlobServiceClient.from_connection_string(stack.stack_json["storage_connection_string"]) as service:
            assert {found.name for found in service.list_containers()} >= {"blast-db", "queries", "results"}

    def test_a_blob_survives_a_restart_of_the_storage(self, stack: Stack) -> None:
        with BlobServiceClient.from_connection_string(stack.stack_json["storage_connection_string"]) as service:
            blob = service.get_blob_client("queries", "kept")
            blob.upload_blob(b">q\nACGT\n", overwrite=True)
            stack.stop_part("azurite")
            stack.start_part("azurite")
            assert blob.download_blob().readall() == b">q\nACGT\n"


class TestCommandLines:
    def test_no_secret_is_on_one(self, stack: Stack) -> None:
        given = b"\0".join(
            Path(f"/proc/{pid}/cmdline").read_bytes()
            for name, pid in stack.stack_json["pids"].items()
            if name != "supervisor"
        )
        assert b"local.azure" in given
        for secret in asdict(stack.identity).values():
            assert secret.encode() not in given


class TestCluster:
    def test_kubectl_works_with_the_kubeconfig(self, stack: Stack) -> None:
        assert len(kubectl(stack, "get", "nodes", "-l", "workload=blast", "-o", "name").stdout.split()) == 4

    def test_nodes_are_in_the_region_that_the_app_is_told(self, stack: Stack) -> None:
        region = app_settings(PORTS, stack.identity)["ELB_REGION"]
        found = kubectl(stack, "get", "nodes", "-l", f"topology.kubernetes.io/region={region}", "-o", "name").stdout
        assert len(found.split()) == 4

    def test_arm_switches_it_off_and_on(self, stack: Stack) -> None:
        described = stack.stack_json
        place = "/".join(
            (
                *("subscriptions", described["subscription_id"], "resourceGroups", described["resource_group"]),
                *("providers/Microsoft.ContainerService/managedClusters", described["cluster_name"]),
            )
        )
        headers = {"Authorization": f"Bearer {stack.identity.arm_token}"}
        with httpx.Client(base_url=described["arm"], headers=headers, params={"api-version": "1"}) as arm:
            arm.patch("/control/cluster", json={"start_seconds": 0.1, "stop_seconds": 0.1})
            for call, power, code in (("stop", "Stopped", 1), ("start", "Running", 0)):
                assert arm.post(f"{place}/{call}").status_code == 202
                wait_until(lambda: arm.get(place).json()["properties"]["provisioningState"] == "Succeeded", call)
                assert arm.get(place).json()["properties"]["powerState"]["code"] == power
                assert kubectl(stack, "get", "nodes", "--request-timeout=2s").returncode == code

    def test_a_killed_cluster_is_back_on_its_port(self, stack: Stack) -> None:
        stack.kill("cluster")
        stack.wait_ready()
        assert kubectl(stack, "get", "nodes").returncode == 0


def kubectl(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: make setup")
    command = ["kubectl", "--kubeconfig", str(stack.home.kubeconfig), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=own_environment(HOME=str(stack.home.root)))


class TestSettings:
    def test_the_app_accepts_them(self, tmp_path: Path) -> None:
        home = Home(tmp_path)
        home.make()
        settings = read_settings(app_settings(PORTS, Identity.of(home)))
        check_deployment(settings)
        assert settings.cluster is not None
        assert settings.cluster.storage_account == "elblocal"
        assert settings.table_endpoint == "http://127.0.0.1:10002/{account}"
        assert settings.callback_url == "http://127.0.0.1:7071"

    def test_a_job_fits_on_every_node(self, tmp_path: Path) -> None:
        home = Home(tmp_path)
        home.make()
        settings = read_settings(app_settings(PORTS, Identity.of(home)))
        for node in default_nodes():
            assert settings.job_cpus <= int(node["cpu"])
            assert settings.job_memory_limit_gib <= int(node["memory"].removesuffix("Gi"))


class TestFolder:
    def test_the_identity_is_made_once(self, tmp_path: Path) -> None:
        home = Home(tmp_path)
        home.make()
        assert Identity.of(home) == Identity.of(home)

    def test_pods_find_azcopy_as_a_file_of_its_own(self, tmp_path: Path) -> None:
        home = Home(tmp_path)
        install_tools(home)
        install_tools(home)
        azcopy = home.tools / "azcopy"
        if not azcopy.exists():
            pytest.skip("AzCopy is not installed: make setup")
        assert not azcopy.is_symlink()
        assert os.access(home.tools / "elastic-blast", os.X_OK)
        done = subprocess.run([azcopy, "--version"], capture_output=True, text=True, env={"HOME": str(tmp_path)})
        assert done.stdout.startswith("azcopy version")

    def test_shell_lines_survive_a_shell(self) -> None:
        stack = {"api": "http://x/api", "page": None, "arm": None, "cluster_control": None, "kubeconfig": "/a b/'c"}
        lines = shell_lines({**stack, "storage_connection_string": "A=1;B=$HOME;"}, "t")
        script = f'{lines} printf "%s|%s" "$KUBECONFIG" "$AZURE_STORAGE_CONNECTION_STRING"'
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == "/a b/'c|A=1;B=$HOME;"
        assert "ELB_PAGE" not in lines
        assert shlex.split(lines)[0] == "export"


class TestCommandLine:
    @pytest.mark.parametrize(("command", "code"), [("status", 3), ("env", 3), ("down", 0)])
    def test_without_a_stack(self, tmp_path: Path, command: str, code: int) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "local.stack", command],
            env=own_environment(STACK_HOME=str(tmp_path)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        assert (done.stdout or done.stderr).count("\n") == 1

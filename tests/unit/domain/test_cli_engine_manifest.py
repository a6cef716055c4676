"""The helper's configuration file and Job, whole; and what it takes over from the running elb-openapi pod."""

from __future__ import annotations

import configparser
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.cli_manifest import SCRIPT, CliConfig, HelperJob, Surroundings, helper_name, surroundings_of
from shared.domain.cli_results import Piece, pieces
from shared.domain.errors import PermanentError
from tests.unit.domain.objects import JOB_ID

CONFIG = CliConfig(
    region="koreacentral",
    resource_group="rg-elb",
    storage_account="store",
    acr_name="acr",
    cluster_name="aks",
    machine_type="Standard_E16s_v5",
    nodes=4,
    program="blastn",
    database_url="https://store.blob.core.windows.net/blast-db/core_nt/core_nt",
    queries_url=f"https://store.blob.core.windows.net/queries/{JOB_ID}/query.fa",
    results_url="https://store.blob.core.windows.net/results",
    options="-outfmt '6 std staxids' -evalue 1e-05",
    batch_len=5_000_000,
    memory_request="2G",
    memory_limit="8G",
)
TEXT = f"""\
[cloud-provider]
azure-region = koreacentral
azure-resource-group = rg-elb
azure-storage-account = store
azure-acr-name = acr

[cluster]
name = aks
machine-type = Standard_E16s_v5
num-nodes = 4
reuse = true
exp-use-local-ssd = true

[blast]
program = blastn
db = https://store.blob.core.windows.net/blast-db/core_nt/core_nt
queries = https://store.blob.core.windows.net/queries/{JOB_ID}/query.fa
results = https://store.blob.core.windows.net/results
options = -outfmt '6 std staxids' -evalue 1e-05
batch-len = 5000000
mem-request = 2G
mem-limit = 8G

"""
STRANGE = (
    "a=b",
    "key : value",
    "[section]",
    "# no comment",
    "; no comment",
    "a ; b # c",
    "$(touch x) `x` $$ ${y}",
    "'\"\\",
    "caf\u00e9 \u4e2d",
    "=",
    ":",
    "",
)
REFUSED = (
    "a\nb",
    "a\n[blast]\noptions = -remote",
    "a\rb",
    "a\x00b",
    "a\x0bb",
    "a\u2028b",
    "a\x85b",
    " a",
    "a ",
    "\t",
    "100%",
    "%(options)s",
    "\ud800",
)


class TestConfiguration:
    def test_the_whole_file(self) -> None:
        assert CONFIG.text() == TEXT

    @pytest.mark.parametrize("value", STRANGE)
    def test_what_is_written_is_what_is_read(self, value: str) -> None:
        for interpolation in (None, configparser.BasicInterpolation()):
            parser = configparser.ConfigParser(interpolation=interpolation, empty_lines_in_values=False)
            parser.read_string(replace(CONFIG, options=value, cluster_name=value).text())
            assert (parser["blast"]["options"], parser["cluster"]["name"]) == (value, value)
            assert parser["blast"]["batch-len"] == "5000000"
            assert parser.sections() == ["cloud-provider", "cluster", "blast"]

    @pytest.mark.parametrize("value", REFUSED)
    def test_a_value_that_would_be_read_as_another_is_refused(self, value: str) -> None:
        with pytest.raises(PermanentError, match=r"blast\.options") as caught:
            replace(CONFIG, options=value).text()
        assert caught.value.code == "config_value_refused"


def openapi_pod(**change: Any) -> dict[str, Any]:
    """A running elb-openapi pod."""
    pod: dict[str, Any] = {
        "metadata": {
            "name": "elb-openapi-1",
            "labels": {"app": "elb-openapi", "azure.workload.identity/use": "true", "pod-template-hash": "x"},
        },
        "spec": {
            "serviceAccountName": "elb-openapi",
            "nodeSelector": {"kubernetes.azure.com/mode": "system"},
            "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
            "containers": [
                {
                    "name": "api",
                    "image": "acr.azurecr.io/elb-openapi:4.14",
                    "env": [
                        {"name": "AZURE_CLIENT_ID", "value": "id"},
                        {"name": "AZCOPY_AUTO_LOGIN_TYPE", "value": "WORKLOAD"},
                        {"name": "ELB_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                        {"name": "ELB_OPENAPI_API_TOKEN", "value": "secret"},
                        {"name": "ELB_CLUSTER_NAME", "value": "another"},
                        {"name": "PATH", "value": "/x"},
                    ],
                }
            ],
        },
        "status": {"phase": "Running"},
    }
    return pod | change


AROUND = Surroundings(
    image="acr.azurecr.io/elb-openapi:4.14",
    service_account="elb-openapi",
    env=(
        {"name": "AZURE_CLIENT_ID", "value": "id"},
        {"name": "AZCOPY_AUTO_LOGIN_TYPE", "value": "WORKLOAD"},
        {"name": "ELB_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ),
    labels={"azure.workload.identity/use": "true"},
    pod={
        "nodeSelector": {"kubernetes.azure.com/mode": "system"},
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
    },
)


class TestSurroundings:
    def test_image_account_place_and_azure_settings_of_the_running_pod(self) -> None:
        assert surroundings_of([openapi_pod()]) == AROUND

    @pytest.mark.parametrize(
        "pods",
        [
            [],
            [openapi_pod(status={"phase": "Pending"})],
            [openapi_pod(metadata={"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"})],
        ],
        ids=["none", "pending", "going"],
    )
    def test_none_runs(self, pods: list[dict[str, Any]]) -> None:
        assert surroundings_of(pods) is None

    def test_a_pod_without_an_account_of_its_own_has_the_default_one(self) -> None:
        pod = openapi_pod(spec={"containers": [{"name": "api", "image": "i"}]}, metadata={"name": "p"})
        assert surroundings_of([pod]) == Surroundings("i", "default", (), {}, {})


class TestHelperJob:
    def test_the_whole_job(self) -> None:
        labels = {
            "app": "elb-submit",
            "elb-job-id": JOB_ID,
            "elb-attempt": "1",
            "app.kubernetes.io/managed-by": "elb-control-plane",
        }
        job = HelperJob(JOB_ID, 1, 1, "[blast]\noptions = $(x)\n", False, 600, AROUND)
        assert job.manifest() == {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"elb-submit-{JOB_ID}", "labels": labels},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": 1200,
                "ttlSecondsAfterFinished": 300,
                "template": {
                    "metadata": {"labels": {**labels, "azure.workload.identity/use": "true"}},
                    "spec": {
                        "restartPolicy": "Never",
                        "serviceAccountName": "elb-openapi",
                        "enableServiceLinks": False,
                        "terminationGracePeriodSeconds": 5,
                        "nodeSelector": {"kubernetes.azure.com/mode": "system"},
                        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
                        "containers": [
                            {
                                "name": "submit",
                                "image": "acr.azurecr.io/elb-openapi:4.14",
                                "command": ["/bin/bash", "-c", SCRIPT.replace("$", "$$"), "elb-submit"],
                                "args": [JOB_ID],
                                "env": [
                                    *AROUND.env,
                                    {"name": "ELB_PARALLEL_WARM_REUSE", "value": "0"},
                                    {"name": "ELB_SUBMIT_CONFIG", "value": "[blast]\noptions = $$(x)\n"},
                                ],
                                "resources": {
                                    "requests": {"cpu": "250m", "memory": "256Mi"},
                                    "limits": {"cpu": "2", "memory": "2Gi"},
                                },
                                "securityContext": {
                                    "allowPrivilegeEscalation": False,
                                    "capabilities": {"drop": ["ALL"]},
                                },
                            }
                        ],
                    },
                },
            },
        }

    def test_the_command_gets_the_key_and_reports_its_exit_code(self) -> None:
        assert '--idempotency-key "$1"' in SCRIPT
        assert SCRIPT.index("elastic-blast submit") < SCRIPT.index("EXIT_CODE=")

    @pytest.mark.parametrize(("attempt", "number", "end"), [(1, 1, ""), (2, 1, "-a2"), (1, 2, "-t2"), (3, 2, "-a3-t2")])
    def test_attempts_and_further_helpers_have_names_of_their_own(self, attempt: int, number: int, end: str) -> None:
        assert helper_name(JOB_ID, attempt, number) == f"elb-submit-{JOB_ID}{end}"

    def test_any_id_gives_a_valid_name(self) -> None:
        for strange in ("Job_1", "x" * 80, "job-" + "0" * 47 + "0123456789"):
            assert len(helper_name(strange, 2, 2)) <= 63
            assert helper_name(strange).replace("-", "").isalnum()


class TestPieces:
    def test_results_by_batch_and_shard(self) -> None:
        listed = [
            ("id/batch_010-blastn-db.out.gz", 50),
            ("id/batch_002-blastn-db.out.gz", 50),
            ("id/batch_003-blastn-db.out.gz", 19),
            ("id/logs/BLAST_RUNTIME-000.out", 50),
            ("id/query_batches/batch_000.fa", 50),
            ("id/merged_results.out.gz", 50),
            ("other/batch_000-blastn-db.out.gz", 50),
        ]
        assert [(p.batch, p.shard) for p in pieces("id", listed)] == [(2, 0), (10, 0)]

    def test_a_partitioned_database_has_a_folder_for_each_shard(self) -> None:
        name = "id/shard_03/batch_000-blastn-core_nt_shard_03.out.gz"
        assert pieces("id", [(name, 50)]) == (Piece(0, 3, name),)

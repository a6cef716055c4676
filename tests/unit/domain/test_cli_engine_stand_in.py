"""The stand-in for elastic-blast makes what the real one makes: its Jobs against what is recorded of the real ones."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import local.elastic_blast.install as installer
from local.elastic_blast import command
from local.elastic_blast.faults import read_faults
from local.elastic_blast.jobs import Submission
from local.elastic_blast.services import CommandError
from shared.domain import cli_manifest
from shared.domain.cli_engine import ExitCode
from shared.domain.cli_results import jobs_submitted, pieces, query_batch, success_marker

RECORDED: dict[str, Any] = json.loads((Path(installer.__file__).parent / "recorded.json").read_text("utf-8"))
ID = "job-0195616f2b007a2b8c3d4e5f60718293"
SUBMISSION = Submission(
    job_id=ID,
    program="blastn",
    db="16S_ribosomal_RNA",
    db_url="https://store/blast-db/16S_ribosomal_RNA/16S_ribosomal_RNA",
    results=f"https://store/results/{ID}",
    options="-outfmt '6 std'",
    memory_request="2G",
    memory_limit="8G",
    cluster_name="aks",
    resource_group="group",
    access={"ELB_STAND_IN_TOKEN": "t"},
)
JOBS = {
    "blast": SUBMISSION.blast_job(7),
    "setup": SUBMISSION.setup_job(3, "node-a"),
    "finalizer": SUBMISSION.finalizer_job(),
}
NAMES = {
    "blast": "blastn-batch-16s-ribosomal-rna-job-007-60718293",
    "setup": "init-ssd-60718293-3",
    "finalizer": "elb-finalizer-60718293",
}


def containers(job: dict[str, Any], group: str) -> dict[str, list[str]]:
    """Container -> its variables, without those of the stand-in itself."""
    found = job["spec"]["template"]["spec"].get(group) or []
    own = re.compile("ELB_STAND_IN.*")
    return {c["name"]: sorted(e["name"] for e in c["env"] if not own.fullmatch(e["name"])) for c in found}


@pytest.mark.parametrize("kind", JOBS)
class TestJobsAreThoseOfTheRealOne:
    def test_name(self, kind: str) -> None:
        assert JOBS[kind]["metadata"]["name"] == NAMES[kind]

    def test_labels_of_job_and_pod(self, kind: str) -> None:
        recorded = RECORDED[kind]["labels"] + RECORDED[kind].get("labels_in_later_versions", [])
        for labels in (JOBS[kind]["metadata"]["labels"], JOBS[kind]["spec"]["template"]["metadata"]["labels"]):
            assert set(labels) == {label.partition("=")[0] for label in recorded}
            assert labels["app"] == kind
            assert labels["elb-job-id"] == ID

    def test_containers_and_their_variables(self, kind: str) -> None:
        assert containers(JOBS[kind], "containers") == RECORDED[kind]["containers"]
        assert containers(JOBS[kind], "initContainers") == RECORDED[kind].get("init_containers", {})

    def test_policies_and_volumes(self, kind: str) -> None:
        spec = JOBS[kind]["spec"]
        assert spec["backoffLimit"] == RECORDED[kind]["backoff_limit"]
        assert spec["template"]["spec"]["restartPolicy"] == RECORDED[kind]["restart_policy"]
        volumes = spec["template"]["spec"].get("volumes") or []
        assert [v["hostPath"]["path"] for v in volumes if "hostPath" in v] == RECORDED[kind]["host_paths"]


def test_a_blast_pod_carries_the_id_in_its_environment() -> None:
    (blast, _) = JOBS["blast"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "BLAST_ELB_JOB_ID", "value": ID} in blast["env"]


def test_two_submissions_do_not_meet() -> None:
    other = replace(SUBMISSION, job_id=ID[:-1] + "4").blast_job(7)
    assert other["metadata"]["name"] != NAMES["blast"]


class TestTheProductReadsWhatIsRecorded:
    def test_exit_codes(self) -> None:
        recorded = {name: code for name, code in RECORDED["exit_codes"].items() if isinstance(code, int)}
        assert {code.name: int(code) for code in ExitCode if code} == recorded

    def test_blobs(self) -> None:
        blobs = RECORDED["blobs"]
        assert success_marker(ID) == f"{ID}/{blobs['markers'][0]}"
        assert jobs_submitted(ID) == f"{ID}/{blobs['jobs']}"
        assert query_batch(ID, 7) == f"{ID}/{blobs['batches'].replace('<batch>', '007')}"
        name = blobs["results"].replace("<batch>", "007").replace("<program>", "blastn").replace("<db>", "db")
        (piece,) = pieces(ID, [(f"{ID}/{name}", 100)])
        assert (piece.batch, piece.shard) == (7, 0)

    def test_variables_that_would_go_before_the_file_are_not_passed_on(self) -> None:
        env = [{"name": name, "value": "x"} for name in RECORDED["configuration"]["before_the_file"]]
        spec = {"containers": [{"image": "i", "env": env}]}
        pod = {"metadata": {"name": "p"}, "status": {"phase": "Running"}, "spec": spec}
        around = cli_manifest.surroundings_of([pod])
        assert around is not None
        assert around.env == ()


class TestFaults:
    def test_from_the_environment_and_from_the_file(self) -> None:
        assert read_faults("fail=3,die", {"noise": "100"}) == {"fail": 3, "die": 1, "noise": 100}
        assert read_faults("", {}) == {}

    @pytest.mark.parametrize("text", ["explode=1", "fail=x"])
    def test_an_unknown_one_is_an_error(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"explode|invalid literal"):
            read_faults(text, {})


class TestConfiguration:
    def test_what_the_product_writes_is_read(self, tmp_path: Path) -> None:
        from tests.unit.domain.test_cli_engine_manifest import CONFIG

        file = tmp_path / "x.ini"
        file.write_text(CONFIG.text())
        read = command.read_config(str(file))
        assert {s: dict(read[s]) for s in read.sections()} == CONFIG.sections()

    def test_a_missing_key_is_an_input_error(self, tmp_path: Path) -> None:
        file = tmp_path / "x.ini"
        file.write_text("[blast]\nprogram = blastn\n")
        with pytest.raises(CommandError, match=r"missing cloud-provider\.azure-region") as caught:
            command.read_config(str(file))
        assert caught.value.code == ExitCode.INPUT


def test_it_is_installed_as_one_program(tmp_path: Path) -> None:
    program = installer.install(tmp_path)
    assert program.name == "elastic-blast"
    assert program.stat().st_mode & 0o111
    assert [each.name for each in tmp_path.iterdir()] == ["elastic-blast"]

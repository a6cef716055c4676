"""``elastic-blast submit --cfg FILE [--idempotency-key KEY]``, and ``elastic-blast pod STEP`` for the Jobs it makes."""

from __future__ import annotations

import argparse
import configparser
import os
import re
import signal
import sys
import time
import uuid
from collections.abc import Mapping

from local.elastic_blast.faults import read_faults
from local.elastic_blast.jobs import Submission
from local.elastic_blast.pod import run_step
from local.elastic_blast.services import Cluster, CommandError, NotThereError, Storage

INPUT, DATABASE, CLUSTER = 1, 2, 8
_SETUP_SECONDS = 300
_ACCESS = ("ELB_STAND_IN_KUBERNETES", "ELB_STAND_IN_TOKEN", "ELB_STAND_IN_SAS")
_NEEDED = {
    "cloud-provider": ("azure-region", "azure-resource-group", "azure-storage-account"),
    "cluster": ("name", "machine-type", "num-nodes"),
    "blast": ("program", "db", "queries", "results", "options", "batch-len", "mem-request", "mem-limit"),
}
_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(prog="elastic-blast")
    commands = parser.add_subparsers(dest="command", required=True)
    submit_parser = commands.add_parser("submit")
    submit_parser.add_argument("--cfg", required=True)
    submit_parser.add_argument("--idempotency-key", default="")
    submit_parser.add_argument("--loglevel", default="INFO")
    commands.add_parser("pod").add_argument("step")
    options = parser.parse_args(arguments)
    try:
        return run_step(options.step) if options.command == "pod" else submit(options.cfg, options.idempotency_key)
    except CommandError as error:
        print(f"ERROR: {error}")
        return error.code


def submit(path: str, key: str) -> int:
    """Submit one search; returns once its Jobs are made."""
    config = read_config(path)
    section = dict(config["stand-in"]) if config.has_section("stand-in") else {}
    faults = read_faults(os.environ.get("ELB_STAND_IN", ""), section)
    print("elastic-blast submit (stand-in of the one-machine stack)", flush=True)
    _misbehave(faults)
    if key and not _KEY.fullmatch(key):
        raise CommandError(INPUT, "the idempotency key is not a label value")
    job_id = f"job-{uuid.uuid4().hex}" if faults.get("own_id") or not key else key.lower()
    blast = config["blast"]
    submission = Submission(
        job_id=job_id,
        program=blast["program"],
        db=blast["db"].rsplit("/", 1)[-1],
        db_url=blast["db"],
        results=f"{blast['results'].rstrip('/')}/{job_id}",
        options=blast["options"],
        memory_request=blast["mem-request"],
        memory_limit=blast["mem-limit"],
        cluster_name=config["cluster"]["name"],
        resource_group=config["cloud-provider"]["azure-resource-group"],
        access={name: os.environ[name] for name in _ACCESS if name in os.environ},
    )
    print(f"search id {job_id}", flush=True)
    _make(submission, _split(Storage(), submission, blast["queries"], int(blast["batch-len"])), faults)
    print("submission accepted")
    return 0


def read_config(path: str) -> configparser.ConfigParser:
    """The configuration, read as elastic-blast reads it: with interpolation.

    Raises:
        CommandError: a key is missing, or the file cannot be read.
    """
    config = configparser.ConfigParser(empty_lines_in_values=False)
    try:
        config.read(path)
        missing = [f"{s}.{k}" for s, keys in _NEEDED.items() for k in keys if not config.get(s, k, fallback="")]
    except configparser.Error as error:
        raise CommandError(INPUT, f"configuration error: {error}") from error
    if missing:
        raise CommandError(INPUT, f"configuration error(s): missing {', '.join(missing)}")
    return config


def _misbehave(faults: Mapping[str, int]) -> None:
    line = "noise " * 15
    for _ in range(faults.get("noise", 0) // (len(line) + 1)):
        print(line)
    sys.stdout.flush()
    time.sleep(faults.get("hang", 0))
    if faults.get("die"):
        os.kill(os.getppid(), signal.SIGKILL)
    if "fail" in faults:
        raise CommandError(faults["fail"], "told to fail")
    helper = os.environ.get("HOSTNAME", "")
    if "fail_first" in faults and not re.search(r"-t[0-9]+-", helper):
        raise CommandError(faults["fail_first"], "told to fail the first time")


def _split(storage: Storage, submission: Submission, queries: str, batch_len: int) -> int:
    """Cut the query into batches of whole sequences and upload them; how many there are."""
    try:
        text = storage.read(queries).decode()
    except NotThereError as error:
        raise CommandError(INPUT, f"query {queries} was not found") from error
    batches: list[list[str]] = []
    letters = 0
    for record in (">" + part for part in text.split(">")[1:]):
        size = sum(len(line.strip()) for line in record.splitlines()[1:])
        if not batches or letters + size > batch_len:
            batches.append([])
            letters = 0
        batches[-1].append(record)
        letters += size
    for number, records in enumerate(batches):
        storage.write(f"{submission.results}/query_batches/batch_{number:03d}.fa", "".join(records).encode())
    return len(batches)


def _make(submission: Submission, batches: int, faults: Mapping[str, int]) -> None:
    cluster, storage = Cluster(), Storage()
    _set_up(cluster, submission)
    for batch in range(batches):
        if "half" in faults and batch >= batches / 2:
            raise CommandError(faults["half"], "told to fail half-way")
        cluster.create_job(submission.blast_job(batch))
    storage.write(f"{submission.results}/metadata/num_jobs_submitted.txt", str(batches).encode())
    if not faults.get("no_finalizer"):
        cluster.create_job(submission.finalizer_job())


def _set_up(cluster: Cluster, submission: Submission) -> None:
    """Bring the database to all nodes: at once, or with ``ELB_PARALLEL_WARM_REUSE=0`` to one after another."""
    nodes = cluster.user_nodes()
    if os.environ.get("ELB_PARALLEL_WARM_REUSE", "1") == "1":
        for ordinal, node in enumerate(nodes):
            cluster.create_job(submission.setup_job(ordinal, node))
        _wait(cluster, submission, len(nodes))
        return
    for ordinal, node in enumerate(nodes):
        cluster.create_job(submission.setup_job(ordinal, node))
        _wait(cluster, submission, ordinal + 1)


def _wait(cluster: Cluster, submission: Submission, count: int) -> None:
    end = time.monotonic() + _SETUP_SECONDS
    while time.monotonic() < end:
        jobs = cluster.jobs(f"app=setup,elb-job-id={submission.job_id}")
        conditions = [c["type"] for job in jobs for c in job.get("status", {}).get("conditions") or []]
        if "Failed" in conditions:
            raise CommandError(DATABASE, "the database could not be brought to the nodes")
        if conditions.count("Complete") >= count:
            return
        time.sleep(0.2)
    raise CommandError(CLUSTER, "the nodes did not get the database in time")

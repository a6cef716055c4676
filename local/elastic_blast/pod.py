"""What runs in the pods of the stand-in's Jobs: fetch the database, fetch a batch, search, export, finalize."""

from __future__ import annotations

import gzip
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from local.elastic_blast.services import Cluster, CommandError, NotThereError, Storage

DATABASE = 2
_POLL_SECONDS = 0.3
_REQUESTS, _RESULTS = Path("/shared/requests"), Path("/shared/results")


def get_blastdb() -> int:
    """Download the database to the node, unless it is there."""
    url, folder = os.environ["ELB_STAND_IN_DB"], Path("/blast/blastdb")
    container, _, name = url.rsplit("/", 2)
    db, storage = os.environ["ELB_DB"], Storage()
    done = folder / f".{db}.downloaded"
    files = [f for f in storage.names(container, f"{db}/") if f.removeprefix(f"{db}/").startswith(f"{name}.")]
    if not files:
        raise CommandError(DATABASE, f"BLAST database {url} was not found")
    if not done.exists():
        for file in files:
            (folder / Path(file).name).write_bytes(storage.read(f"{container}/{file}"))
        done.touch()
    print(f"{db}: {len(files)} files on the node")
    return 0


def fetch_query() -> int:
    """Download the batch."""
    for folder in (_REQUESTS, _RESULTS):
        folder.mkdir(parents=True, exist_ok=True)
    name = f"batch_{os.environ['JOB_NUM']}.fa"
    (_REQUESTS / name).write_bytes(Storage().read(f"{os.environ['ELB_RESULTS']}/query_batches/{name}"))
    return 0


def blast() -> int:
    """Run BLAST; its exit code goes to the neighbour that exports, too."""
    env = os.environ
    number, program, db = env["JOB_NUM"], env["ELB_BLAST_PROGRAM"], env["ELB_DB"]
    out = _RESULTS / f"batch_{number}-{program}-{db}.out"
    command = [program, "-db", db, "-query", str(_REQUESTS / f"batch_{number}.fa"), "-out", str(out)]
    command += ["-num_threads", env["ELB_NUM_CPUS"], *shlex.split(env["ELB_BLAST_OPTIONS"])]
    print(f"run start {number} {program} {db}", flush=True)
    code = subprocess.run(command, check=False).returncode
    print(f"run end {number} {code}")
    if out.exists():
        out.with_suffix(".out.gz").write_bytes(gzip.compress(out.read_bytes(), mtime=0))
    (_RESULTS / "BLAST_EXIT_CODE.out").write_text(str(code))
    return code


def export() -> int:
    """Wait for BLAST, then upload what it wrote."""
    env, code = os.environ, _RESULTS / "BLAST_EXIT_CODE.out"
    while not (code.exists() and code.read_text()):
        time.sleep(_POLL_SECONDS)
    name = f"batch_{env['JOB_NUM']}-{env['ELB_BLAST_PROGRAM']}-{env['ELB_DB']}.out.gz"
    if (_RESULTS / name).exists():
        Storage().write(f"{env['ELB_RESULTS']}/{name}", (_RESULTS / name).read_bytes())
    return int(code.read_text())


def finalizer() -> int:
    """Wait until all BLAST Jobs of the submission have ended, then write SUCCESS.txt or FAILURE.txt."""
    env, cluster = os.environ, Cluster()
    while True:
        jobs = cluster.jobs(f"app=blast,elb-job-id={env['BLAST_ELB_JOB_ID']}")
        ends = [_end_of(job) for job in jobs]
        if ends and all(ends):
            break
        time.sleep(_POLL_SECONDS)
    marker = "SUCCESS" if set(ends) == {"Complete"} else "FAILURE"
    Storage().write(f"{env['ELB_RESULTS']}/{env['ELB_METADATA_DIR']}/{marker}.txt", f"{marker}\n".encode())
    print(f"{marker}: {len(ends)} BLAST jobs")
    return 0


def _end_of(job: Mapping[str, object]) -> str:
    status = job.get("status")
    conditions = status.get("conditions") or [] if isinstance(status, dict) else []
    ends = [c["type"] for c in conditions if c["status"] == "True" and c["type"] in ("Complete", "Failed")]
    return str(ends[0]) if ends else ""


STEPS: Mapping[str, Callable[[], int]] = {
    "get-blastdb": get_blastdb,
    "query": fetch_query,
    "blast": blast,
    "export": export,
    "finalizer": finalizer,
}


def run_step(step: str) -> int:
    """One container's work; its exit code."""
    try:
        return STEPS[step]()
    except NotThereError as error:
        raise CommandError(1, f"{error} was not found") from error

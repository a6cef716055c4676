"""A warm-up of four shards against the same done by hand, and a second Warm of what is warm.

By hand means: the same programs in the same order, one shell per shard, all shards at once, without Kubernetes and
without the app: AzCopy, blastdbcheck on the volumes, blastdbcmd on the alias, vmtouch.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from bench.common import Figure, Section
from bench.stand import Stand, Stands
from local.stack.stack import Stack
from tests.e2e.product import DATABASE, wait_for

SHARDS = 4
REPEATS = 3
RATIO, CONSTANT = 1.3, 0.5
"""A warm-up may take this many times as long as by hand, and so many seconds more."""
SECOND = 1.0
"""Seconds that a second Warm may take."""
_BY_HAND = """
set -e
azcopy copy "$SOURCE" "$FOLDER" --from-to BlobLocal --include-pattern "$PATTERN" --overwrite true --check-length=true \\
    --output-level essential >"$SCRATCH/copy.log"
cd "$FOLDER"
blastdbcheck -db "$VOLUMES" -dbtype nucl -no_isam >"$SCRATCH/check.log"
blastdbcmd -db "$ALIAS" -dbtype nucl -info >>"$SCRATCH/check.log"
IFS=';'
for name in $PATTERN; do vmtouch -qt "$FOLDER/$name" >"$SCRATCH/touch.log"; done
"""


def run(stands: Stands) -> list[Section]:
    """Measure both in turn, so that what the machine does besides meets both."""
    with stands.stand() as stand:
        stand.upload()
        hands, warm, second = [], [], []
        for _ in range(1 if stands.options.quick else REPEATS):
            hands.append(by_hand(stand.stack))
            _release(stand)
            warm.append(_warm(stand))
            second.append(_warm(stand))
        ratios = [product / max(hand) for product, hand in zip(warm, hands, strict=True)]
        over = [product - RATIO * max(hand) for product, hand in zip(warm, hands, strict=True)]
        figures = [
            Figure("by hand, all four shards", [max(hand) for hand in hands], "s"),
            Figure("by hand, one shard", [seconds for hand in hands for seconds in hand], "s"),
            Figure("POST to the end of the warm-up", warm, "s"),
            Figure("ratio", ratios, "x"),
            Figure(f"beyond {RATIO:g} x by hand", over, "s", limit=CONSTANT),
            Figure("a second Warm", second, "s", limit=SECOND),
        ]
        notes = ["by hand: AzCopy, blastdbcheck and vmtouch, one shell per shard, all at once, in the same run"]
        return [Section(f"A warm-up of {SHARDS} shards", figures, notes)]


def _warm(stand: Stand) -> float:
    began = time.monotonic()
    started = stand.product.http.post("/warmup/start", json={"database": DATABASE}).raise_for_status().json()
    url = started["status_url"].removeprefix("/api")

    def output() -> dict[str, Any] | None:
        shown: dict[str, Any] | None = stand.product.http.get(url).json()["output"]
        return shown

    ended = wait_for(output, 120, "the end of the warm-up")
    if ended["status"] != "succeeded":
        raise RuntimeError(f"the warm-up failed: {ended}")
    return time.monotonic() - began


def _release(stand: Stand) -> None:
    answer = stand.product.http.post("/warmup/release", json={"database": DATABASE, "force": True})
    if answer.json().get("status") not in ("released", "nothing"):
        raise RuntimeError(f"the database could not be released: {answer.text}")


def by_hand(stack: Stack) -> list[float]:
    """Seconds that each shard takes by hand, all at once."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(SHARDS) as pool:
        return list(pool.map(lambda shard: _one_by_hand(stack, shard, Path(folder) / str(shard)), range(SHARDS)))


def _one_by_hand(stack: Stack, shard: int, folder: Path) -> float:
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    parts = dict(part.split("=", 1) for part in stack.stack_json["storage_connection_string"].split(";") if part)
    signature = generate_container_sas(
        parts["AccountName"],
        "blast-db",
        account_key=parts["AccountKey"],
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    files, volumes = _files_of(stack, shard)
    target = folder / DATABASE
    target.mkdir()
    environ = {
        "PATH": f"{stack.home.tools}:{os.environ['PATH']}",
        "HOME": str(scratch),
        "AZCOPY_LOG_LOCATION": str(scratch),
        "AZCOPY_JOB_PLAN_LOCATION": str(scratch),
        "AZCOPY_DISABLE_SYSLOG": "true",
        "SOURCE": f"{parts['BlobEndpoint'].rstrip('/')}/blast-db/{DATABASE}/*?{signature}",
        "FOLDER": str(target),
        "SCRATCH": str(scratch),
        "PATTERN": ";".join(files),
        "VOLUMES": " ".join(volumes),
        "ALIAS": f"{DATABASE}_{SHARDS:02d}_{shard:02d}",
    }
    began = time.monotonic()
    subprocess.run(["bash", "-c", _BY_HAND], env=environ, check=True, capture_output=True, timeout=120)
    return time.monotonic() - began


def _files_of(stack: Stack, shard: int) -> tuple[list[str], list[str]]:
    """Names of a shard's files, its alias among them, and of its volumes, from the layout in storage."""
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(stack.stack_json["storage_connection_string"]) as service:
        blob = service.get_blob_client("blast-db", f"{DATABASE}/shards/{SHARDS}.json")
        layout = json.loads(blob.download_blob().readall())
    planned = layout["shards"][shard]
    alias = f"{DATABASE}_{SHARDS:02d}_{shard:02d}.nal"
    return [*(name for name, _ in planned["files"]), alias], planned["volumes"]

"""Memory does not grow with the result: a gigabyte of shards' output, merged in a process of its own.

Measured, with 8 shards: 1 GiB of a table takes 25 s of one core, packing included, and 82 MB; most of these are blocks
of storage, 4 MiB of each shard.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
MOST_GROWN = 100_000_000


@pytest.mark.proves("Q4")
@pytest.mark.parametrize(
    ("kind", "megabytes", "kept"),
    [("table", 1024, 1 / 12), ("xml", 256, 1 / 9), ("one-subject", 256, 0.7)],
)
def test_a_merge_holds_little(kind: str, megabytes: int, kept: float) -> None:
    """``kept``: the least part of it that is not cut or stripped."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.e2e.exactness.merging_child", kind, str(megabytes)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert child.returncode == 0, child.stderr
    figures = json.loads(child.stdout)
    assert figures["read"] >= megabytes << 20
    assert figures["written"] >= figures["read"] * kept
    assert figures["grown"] < MOST_GROWN

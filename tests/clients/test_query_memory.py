"""A query of 100 MB goes through a small instance of the app: no second copy of it is ever in memory.

Measured as the resident memory of a process of its own, which is what a platform counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack.home import REPOSITORY
from tests.clients.conftest import Place

MOST_GROWTH = 32_000_000
"""Bytes beyond the body, where there is one."""

pytestmark = [
    pytest.mark.proves("Q4"),
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux: peak memory since a moment"),
]


@pytest.mark.parametrize(
    ("step", "kind"), [("body", "reads"), ("body", "line"), ("commit", "line"), ("search", "reads")]
)
def test_a_query_of_100_mb(place: Place, step: str, kind: str) -> None:
    direct = place.stack.stack_json["blob_endpoint"].rsplit("/", 1)[0] + "/{account}"
    environment = {**os.environ, **place.environment(ELB_BLOB_ENDPOINT=direct)}
    command = [sys.executable, "-m", "tests.clients.query_memory_child", step, kind]
    child = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240)
    assert child.returncode == 0, child.stderr
    growth = json.loads(child.stdout.splitlines()[-1])["growth"]
    print(f"{step} of {kind}: {growth / 1e6:.1f} MB")
    assert growth < MOST_GROWTH

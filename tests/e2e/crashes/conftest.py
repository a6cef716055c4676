"""One stack with tripwires and a warm sample database for all crash tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack.stack import Stack
from local.tripwire.tripwires import Tripwires
from tests.e2e.crashes.guarded import MEGABLAST, Guarded, two_sequences
from tests.e2e.product import DATABASE, Product


@pytest.fixture(scope="package")
def guarded_stack(tmp_path_factory: pytest.TempPathFactory, sample_database: Path) -> Iterator[Guarded]:
    """A stack whose host talks to everything through tripwires."""
    settings = {"ELB_RESULTS_GRACE_SECONDS": "3"}
    home = tmp_path_factory.mktemp("guarded")
    with (
        Tripwires() as tripwires,
        Stack(home, fresh=True, settings=settings, make_components=tripwires.components) as stack,
    ):
        product = Product(stack, sample_database)
        product.prepare()
        guarded = Guarded(product, tripwires)
        yield guarded
        guarded.close()
        product.close()


@pytest.fixture
def guarded(guarded_stack: Guarded) -> Iterator[Guarded]:
    """The stack with its host serving and no tripwire set."""
    guarded_stack.product.stack.wait_ready()
    yield guarded_stack
    guarded_stack.tripwires.clear()


@pytest.fixture
def slow_pods(guarded: Guarded) -> Iterator[None]:
    """BLAST pods that would run for minutes."""
    guarded.pace(120)
    yield
    guarded.pace(0)


@pytest.fixture(scope="package")
def small_result(sample_database: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What plain blastn finds for the two sequences of ``SMALL``."""
    query = tmp_path_factory.mktemp("small") / "query.fa"
    query.write_text(two_sequences())
    command = ["blastn", "-query", str(query), "-db", str(sample_database / DATABASE), *MEGABLAST]
    return subprocess.run(command, check=True, capture_output=True).stdout

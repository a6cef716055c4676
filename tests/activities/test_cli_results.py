"""The results gate of searches that the command line ran: as many whole pieces as it says that it made Jobs."""

from __future__ import annotations

import gzip

import pytest

from activities.results import check_results
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import JOB_ID, ago, put_search, ref

pytestmark = pytest.mark.proves("T3")
ALIAS = "job-" + "ab" * 16
RESULT = gzip.compress(b"q1\ts1\n", mtime=0)


def piece(batch: int, elb_id: str = JOB_ID, shard: str = "") -> str:
    return f"{elb_id}/{shard}batch_{batch:03d}-blastn-db.out.gz"


def put(world: World, name: str, content: bytes = RESULT) -> None:
    world.store.blobs[RESULTS_CONTAINER, name] = content


@pytest.fixture
def search(world: World) -> Search:
    """Eight Jobs were made, and each has written its result."""
    put(world, f"{JOB_ID}/metadata/num_jobs_submitted.txt", b"8")
    for batch in range(8):
        put(world, piece(batch))
    return put_search(world, engine="cli", phase=Phase.RESULTS_PENDING, jobs_created_at=ago(60), aliases=(ALIAS,))


def test_all_eight(search: Search) -> None:
    assert check_results(ref(search)) == {"open": True, "batches": 8, "missing": [], "empty": []}


def test_one_is_missing(world: World, search: Search) -> None:
    del world.store.blobs[RESULTS_CONTAINER, piece(3)]
    gate = check_results(ref(search))
    assert (gate["open"], gate["missing"]) == (False, ["1 of 8 results of the command line (batch_003)"])


@pytest.mark.parametrize("content", [b"", b"x" * 19])
def test_one_is_empty(world: World, search: Search, content: bytes) -> None:
    put(world, piece(3), content)
    gate = check_results(ref(search))
    assert (gate["open"], gate["missing"], gate["empty"]) == (False, [], [piece(3)])


def test_of_a_partitioned_database_only_their_number_is_known(world: World, search: Search) -> None:
    for batch in range(8):
        del world.store.blobs[RESULTS_CONTAINER, piece(batch)]
    for shard in (0, 1, 2):
        put(world, piece(0, shard=f"shard_{shard:02d}/"))
    assert check_results(ref(search))["missing"] == ["5 of 8 results of the command line"]


def test_an_empty_one_that_nobody_waits_for(world: World, search: Search) -> None:
    put(world, piece(9), b"")
    assert check_results(ref(search))["open"]


@pytest.mark.parametrize("said", [None, b"", b"many"])
def test_while_the_command_does_not_say_how_many_there_are_the_gate_is_closed(
    world: World, search: Search, said: bytes | None
) -> None:
    name = f"{JOB_ID}/metadata/num_jobs_submitted.txt"
    if said is None:
        del world.store.blobs[RESULTS_CONTAINER, name]
    else:
        put(world, name, said)
    gate = check_results(ref(search))
    assert (gate["open"], gate["missing"]) == (False, ["the number of Jobs that the command made"])


def test_under_the_alias_that_it_wrote_under(world: World, search: Search) -> None:
    for (container, name), content in list(world.store.blobs.items()):
        if container == RESULTS_CONTAINER:
            del world.store.blobs[container, name]
            put(world, name.replace(JOB_ID, ALIAS), content)
    assert check_results(ref(search))["open"]


def test_other_files_and_another_search_s_are_no_results(world: World, search: Search) -> None:
    del world.store.blobs[RESULTS_CONTAINER, piece(3)]
    put(world, f"{JOB_ID}/logs/batch_003-blastn-db.out.gz")
    put(world, f"{JOB_ID}/batch_003-blastn-db.out")
    put(world, piece(3, "job-" + "9" * 32))
    assert not check_results(ref(search))["open"]

"""What a release has come to, from the logs of its clean-ups; and whom it must not disturb."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.errors import ConflictError
from shared.domain.release import check_not_at_work, check_not_used, outcome_of, read_cleaning
from shared.domain.search import Search
from shared.domain.states import AT_THE_DATABASE, Phase
from tests.unit.domain.objects import search

GONE = 'ELB_CLEAN {"removed_bytes":5,"left_bytes":0,"resident_bytes":0,"gone":true}'


@pytest.mark.parametrize(
    ("log", "failed", "removed", "error"),
    [
        (f"x\n{GONE}\ndone", False, 5, ""),
        (GONE, True, 5, "0 bytes of the folder are still there"),
        (GONE.replace("true", "false").replace('left_bytes":0', 'left_bytes":7'), True, 5, "7 bytes of the folder"),
        (GONE.replace('resident_bytes":0', 'resident_bytes":9'), False, 5, "9 bytes stay in memory until"),
        ("2030 refused: this is not the name of a database", True, 0, "its clean-up failed: 2030 refused"),
        ("", False, 0, "its clean-up did not say what it did"),
        ("ELB_CLEAN {", False, 0, "its clean-up did not say what it did"),
        ("ELB_CLEAN []", False, 0, "its clean-up did not say what it did"),
    ],
)
def test_a_clean_up_is_what_its_log_says(log: str, failed: bool, removed: int, error: str) -> None:
    cleaning = read_cleaning("a", log, failed=failed)
    assert (cleaning.done, cleaning.removed_bytes) == (True, removed)
    assert (error in cleaning.error) if error else cleaning.error == ""


def node(name: str, removed: int = 5, error: str = "") -> dict[str, Any]:
    """The clean-up of a node."""
    return {"node": name, "done": True, "removed_bytes": removed, "error": error}


@pytest.mark.parametrize(
    ("objects", "cleanings", "errors", "status", "deleted"),
    [
        ([], [], [], "nothing", []),
        ([], [node("a", 0)], [], "nothing", []),
        ([], [node("a")], [], "released", ["node/a/db"]),
        (["job/x"], [node("a", 0)], [], "released", ["job/x"]),
        (["job/x"], [node("a", 5, "left")], [], "partial", ["job/x"]),
        (["job/x"], [node("a")], ["late"], "partial", ["job/x", "node/a/db"]),
    ],
)
def test_it_says_what_went_and_what_did_not(
    objects: list[str], cleanings: list[dict[str, Any]], errors: list[str], status: str, deleted: list[str]
) -> None:
    outcome = outcome_of("db", objects, cleanings, errors)
    assert (outcome["status"], outcome["deleted"]) == (status, deleted)
    assert bool(outcome["errors"]) is (status == "partial")


def searches(count: int, **change: Any) -> list[Search]:
    """Searches in one database."""
    return [replace(search(), job_id=f"job-{n:032x}", database="db", **change) for n in range(count)]


@pytest.mark.proves("W6")
def test_it_names_the_searches_that_use_the_database() -> None:
    with pytest.raises(ConflictError) as raised:
        check_not_used("db", searches(2, phase=Phase.RUNNING))
    assert raised.value.code == "database_in_use"
    assert all(f"job-{n:032x}" in raised.value.message for n in range(2))


USING = {"configuring", "staging_db", "submitting", "creating", "submitted", "running"}


@pytest.mark.proves("W6")
@pytest.mark.parametrize("phase", Phase)
def test_one_uses_it_from_when_it_counts_on_the_nodes_until_it_has_read_all(phase: Phase) -> None:
    if phase.value not in USING:
        check_not_used("db", searches(1, phase=phase))
        return
    with pytest.raises(ConflictError, match="database_in_use"):
        check_not_used("db", searches(1, phase=phase))


def test_of_many_it_names_some() -> None:
    with pytest.raises(ConflictError, match=r"25 active searches: .* and 5 more"):
        check_not_used("db", searches(25, phase=Phase.RUNNING))


def test_others_do_not_matter() -> None:
    check_not_used("db", searches(2, phase=Phase.COMPLETED))
    check_not_used("other", searches(2, phase=Phase.RUNNING))


class TestAnotherVersion:
    @pytest.mark.parametrize("phase", sorted(AT_THE_DATABASE))
    def test_not_while_searches_read_the_one_on_the_nodes(self, phase: Phase) -> None:
        with pytest.raises(ConflictError, match="in the version that is on the nodes") as raised:
            check_not_at_work("db", searches(2, phase=phase))
        assert raised.value.code == "database_in_use"
        assert len(raised.value.details) == 2

    @pytest.mark.parametrize("phase", sorted(set(Phase) - AT_THE_DATABASE))
    def test_others_wait_or_have_read_it(self, phase: Phase) -> None:
        check_not_at_work("db", searches(2, phase=phase))

    def test_a_search_is_not_in_the_way_of_its_own_warmup(self) -> None:
        [own] = searches(1, phase=Phase.CONFIGURING)
        check_not_at_work("db", [own], f"warmup-{own.job_id}")
        with pytest.raises(ConflictError):
            check_not_at_work("db", [own], "warmup-x")

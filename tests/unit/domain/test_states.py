"""The table of transitions, cell by cell, and the status of each phase as docs/api.md lists it."""

from __future__ import annotations

from itertools import product

import pytest

from shared.domain.states import (
    STEP_OF_PHASE,
    TERMINAL,
    Phase,
    Status,
    StepName,
    may_follow,
    status_of,
)

#: Row: before; column: after, in the order of the phases. Written out on purpose: a changed rule must change this.
TABLE = """
                     prp wcl wca wdb wwu wrm cfg stg sbm crt sub run res exp cng com fai can del dlf
preparing             +   +   +   +   +   +   +   +   +   +   +   +   +   +   +   .   +   +   .   .
waiting_for_cluster   +   +   +   +   +   +   +   +   +   +   +   +   +   +   +   .   +   +   .   .
waiting_for_capacity  +   +   +   +   +   +   +   +   +   +   +   +   +   +   +   .   +   +   .   .
waiting_for_database  +   +   +   +   +   +   +   +   +   +   +   +   +   +   +   .   +   +   .   .
waiting_for_warmup    +   +   +   +   +   +   +   +   +   +   +   +   +   +   +   .   +   +   .   .
warming_up            .   .   .   .   .   +   +   +   +   +   +   +   +   +   +   .   +   +   .   .
configuring           .   .   .   .   .   .   +   +   +   +   +   +   +   +   +   .   +   +   .   .
staging_db            .   .   .   .   .   .   .   +   +   +   +   +   +   +   +   .   +   +   .   .
submitting            .   .   .   .   .   .   .   .   +   +   +   +   +   +   +   .   +   +   .   .
creating              .   .   .   .   .   .   .   .   .   +   +   +   +   +   +   .   +   +   .   .
submitted             .   .   .   .   .   .   .   .   .   .   +   +   +   +   +   .   +   +   .   .
running               .   .   .   .   .   .   .   .   .   .   .   +   +   +   +   .   +   +   .   .
results_pending       .   .   .   .   .   .   .   .   .   .   .   .   +   +   +   .   +   +   .   .
exporting             .   .   .   .   .   .   .   .   .   .   .   .   +   +   +   +   +   +   .   .
cancelling            .   .   .   .   .   .   .   .   .   .   .   .   .   .   +   +   .   +   .   .
completed             .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   +   .   .   +   .
failed                +   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   +   .   +   .
cancelled             +   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   +   +   .
deleting              .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   +   +
delete_failed         .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   .   +   +
"""
_ROWS = [line.split() for line in TABLE.splitlines() if line.strip()][1:]
ALLOWED = {(Phase(row[0]), after) for row in _ROWS for cell, after in zip(row[1:], Phase, strict=True) if cell == "+"}


def test_the_table_has_every_phase() -> None:
    assert [row[0] for row in _ROWS] == list(Phase)


@pytest.mark.parametrize(("before", "after"), list(product(Phase, Phase)))
def test_every_cell(before: Phase, after: Phase) -> None:
    assert may_follow(before, after) == ((before, after) in ALLOWED)


def test_completed_comes_from_the_results_gate_only() -> None:
    into = {before for before in Phase if may_follow(before, Phase.COMPLETED)} - {Phase.COMPLETED}
    assert into == {Phase.EXPORTING, Phase.CANCELLING}


def test_from_an_end_there_is_only_deleting_and_after_a_failure_or_a_cancel_a_retry() -> None:
    for before, after in product(TERMINAL, set(Phase) - {Phase.DELETING}):
        again = after is Phase.PREPARING and before is not Phase.COMPLETED
        assert may_follow(before, after) == (before is after or again)


@pytest.mark.parametrize(
    ("status", "phases"),
    [
        (Status.QUEUED, "preparing"),
        (Status.PENDING, "waiting_for_cluster waiting_for_capacity waiting_for_database waiting_for_warmup"),
        (
            Status.RUNNING,
            "warming_up configuring staging_db submitting creating submitted running results_pending exporting "
            "cancelling",
        ),
        (Status.COMPLETED, "completed"),
        (Status.FAILED, "failed"),
        (Status.CANCELLED, "cancelled"),
        (Status.DELETING, "deleting"),
        (Status.DELETE_FAILED, "delete_failed"),
    ],
)
def test_status_of_each_phase(status: Status, phases: str) -> None:
    assert {phase for phase in Phase if status_of(phase) is status} == set(map(Phase, phases.split()))


def test_steps_in_display_order() -> None:
    expected = "preparing warming_up configuring staging_db submitting running exporting"
    assert list(StepName) == [StepName(name) for name in expected.split()]


def test_phases_go_through_the_steps_in_order() -> None:
    order = list(StepName)
    positions = [order.index(STEP_OF_PHASE[phase]) for phase in Phase if phase in STEP_OF_PHASE]
    assert positions == sorted(positions)
    assert set(STEP_OF_PHASE.values()) == set(StepName)

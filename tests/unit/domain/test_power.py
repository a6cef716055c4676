"""What a look means for a start or a stop that is under way."""

from __future__ import annotations

import pytest

from shared.domain.lifecycle import Lifecycle
from shared.domain.power import Target, Verdict, verdict_of

STARTS = {
    Lifecycle.STOPPED: Verdict.UNCHANGED,
    Lifecycle.STARTING: Verdict.WAITING,
    Lifecycle.RUNNING: Verdict.WAITING,
    Lifecycle.STOPPING: Verdict.OPPOSITE,
    Lifecycle.PROVISIONING: Verdict.WAITING,
    Lifecycle.DELETING: Verdict.FAILED,
    Lifecycle.FAILED: Verdict.FAILED,
    Lifecycle.NOT_FOUND: Verdict.FAILED,
    Lifecycle.UNKNOWN: Verdict.WAITING,
}
STOPS = STARTS | {
    Lifecycle.STOPPED: Verdict.REACHED,
    Lifecycle.STARTING: Verdict.OPPOSITE,
    Lifecycle.RUNNING: Verdict.UNCHANGED,
    Lifecycle.STOPPING: Verdict.WAITING,
}


@pytest.mark.parametrize("lifecycle", Lifecycle)
@pytest.mark.parametrize(("target", "table"), [(Target.START, STARTS), (Target.STOP, STOPS)])
def test_by_lifecycle(target: Target, table: dict[Lifecycle, Verdict], lifecycle: Lifecycle) -> None:
    assert verdict_of(target, lifecycle, workload=False) is table[lifecycle]


def test_a_start_has_ended_when_searches_can_run() -> None:
    assert verdict_of(Target.START, Lifecycle.RUNNING, workload=True) is Verdict.REACHED
